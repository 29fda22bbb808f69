//! In: OpenSSH private key files with safe modes.
//! Out: a ring of octavia keys that sign logins, and one sealing key that signs heads: two types, so neither does the other's.
//! Never: shows or formats private material; no type here has `Debug`.

use crate::error::SignerError;
use crate::login::LoginProof;
use crate::protocol::{RSA_SHA2_256, RSA_SHA2_512};
use crate::rsa;
use crate::seal::SealMessage;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
};
use rustix::process::geteuid;
use ssh_key::private::{EcdsaKeypair, Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, PrivateKey};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zeroize::Zeroizing;

/// No private key file is longer, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// All octavia keys, in the order of the configuration.
pub struct KeyRing {
    keys: Vec<OctaviaKey>,
}

/// One octavia key.
pub struct OctaviaKey {
    blob: Vec<u8>,
    algorithm: String,
    fingerprint: String,
    comment: String,
    secret: Secret,
}

enum Secret {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    /// `ring` has no P-521: this one signs through ssh-key.
    P521(Box<PrivateKey>),
    Rsa(ring::rsa::KeyPair),
}

/// The key that seals recordings and the journal: Ed25519, never offered as an identity.
pub struct SealingKey {
    pair: Ed25519KeyPair,
    blob: Vec<u8>,
    fingerprint: String,
}

impl KeyRing {
    /// Reads all key files. Refuses an empty ring, and two files with the same key.
    pub fn read(paths: &[impl AsRef<Path>]) -> Result<KeyRing, SignerError> {
        let mut keys: Vec<OctaviaKey> = Vec::new();
        for path in paths.iter().map(AsRef::as_ref) {
            let key = OctaviaKey::read(path)?;
            if keys.iter().any(|known| known.blob == key.blob) {
                let why = format!(
                    "the key {} is in the ring already; name each key once",
                    key.fingerprint
                );
                return Err(SignerError::Key {
                    path: path.into(),
                    why,
                });
            }
            keys.push(key);
        }
        Ok(KeyRing { keys })
    }

    /// The keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &OctaviaKey> {
        self.keys.iter()
    }

    /// The key with that public part.
    pub fn find(&self, blob: &[u8]) -> Option<&OctaviaKey> {
        self.keys.iter().find(|key| key.blob == blob)
    }
}

impl OctaviaKey {
    /// Reads a private key file as `ssh-keygen` writes it.
    pub fn read(path: &Path) -> Result<OctaviaKey, SignerError> {
        let key = read_private(path)?;
        let public = key.public_key();
        let blob = public.to_bytes().map_err(|fault| bad(path, fault))?;
        let fingerprint = public.fingerprint(HashAlg::Sha256).to_string();
        let (algorithm, comment) = (key.algorithm().as_str().to_owned(), printable(path));
        Ok(OctaviaKey {
            secret: Secret::new(path, key)?,
            blob,
            algorithm,
            fingerprint,
            comment,
        })
    }

    /// The public key, as on the wire.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// `SHA256:…`.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What `ssh-add -l` shows beside it: the file's name, not the comment inside, which may name a person.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Signs a login that was read by [`LoginProof::parse`] from exactly these bytes. The algorithm must be the key's,
    /// for RSA with SHA-2 and the flags that ask for the same hash.
    pub(crate) fn sign(
        &self,
        proof: &LoginProof<'_>,
        data: &[u8],
        flags: u32,
    ) -> Result<Vec<u8>, &'static str> {
        let rsa_hash = match proof.algorithm {
            "rsa-sha2-256" => Some(RSA_SHA2_256),
            "rsa-sha2-512" => Some(RSA_SHA2_512),
            _ => None,
        };
        let random = SystemRandom::new();
        match &self.secret {
            Secret::Rsa(pair) => {
                let hash = rsa_hash.ok_or("an RSA key signs rsa-sha2-256 and rsa-sha2-512 only")?;
                if flags != hash {
                    return Err("the flags ask for another hash than the data names");
                }
                let padding = if hash == RSA_SHA2_256 {
                    &RSA_PKCS1_SHA256
                } else {
                    &RSA_PKCS1_SHA512
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, data, &mut signature)
                    .map_err(|_| "RSA signing failed")?;
                Ok(signature)
            }
            _ if proof.algorithm != self.algorithm => {
                Err("the data names another algorithm than the key's")
            }
            Secret::Ed25519(pair) => Ok(pair.sign(data).as_ref().to_vec()),
            Secret::Ecdsa(pair) => {
                let fixed = pair
                    .sign(&random, data)
                    .map_err(|_| "ECDSA signing failed")?;
                Ok(two_mpints(fixed.as_ref()))
            }
            Secret::P521(key) => {
                let signature = ssh_key_sign(key, data).ok_or("ECDSA signing failed")?;
                Ok(signature.as_bytes().to_vec())
            }
        }
    }
}

impl SealingKey {
    /// Reads an Ed25519 private key file.
    pub fn read(path: &Path) -> Result<SealingKey, SignerError> {
        let key = read_private(path)?;
        let KeypairData::Ed25519(pair) = key.key_data() else {
            let why =
                "the sealing key must be ed25519; make one with `ssh-keygen -t ed25519`".to_owned();
            return Err(SignerError::Key {
                path: path.into(),
                why,
            });
        };
        let blob = key
            .public_key()
            .to_bytes()
            .map_err(|fault| bad(path, fault))?;
        let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
        Ok(SealingKey {
            pair: ed25519(path, pair)?,
            blob,
            fingerprint,
        })
    }

    /// The public key: 32 bytes.
    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The public key, as on the wire.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// `SHA256:…`.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Signs a head that was read by [`SealMessage::parse`] from exactly these bytes.
    pub(crate) fn sign(&self, _head: &SealMessage<'_>, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl Secret {
    fn new(path: &Path, key: PrivateKey) -> Result<Secret, SignerError> {
        let random = SystemRandom::new();
        let ecdsa = |algorithm, private: &[u8], public: &[u8]| {
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, &random)
                .map(Secret::Ecdsa)
                .map_err(|fault| bad(path, fault))
        };
        match key.key_data() {
            KeypairData::Ed25519(pair) => Ok(Secret::Ed25519(ed25519(path, pair)?)),
            KeypairData::Ecdsa(EcdsaKeypair::NistP256 { public, private }) => ecdsa(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                private.as_slice(),
                public.as_bytes(),
            ),
            KeypairData::Ecdsa(EcdsaKeypair::NistP384 { public, private }) => ecdsa(
                &ECDSA_P384_SHA384_FIXED_SIGNING,
                private.as_slice(),
                public.as_bytes(),
            ),
            KeypairData::Ecdsa(EcdsaKeypair::NistP521 { .. }) => Ok(Secret::P521(Box::new(key))),
            KeypairData::Rsa(pair) => {
                rsa::key_pair(pair)
                    .map(Secret::Rsa)
                    .map_err(|why| SignerError::Key {
                        path: path.into(),
                        why,
                    })
            }
            _ => {
                let why = format!(
                    "keys of type {} cannot be used; ed25519, ecdsa and rsa can",
                    key.algorithm().as_str()
                );
                Err(SignerError::Key {
                    path: path.into(),
                    why,
                })
            }
        }
    }
}

fn ssh_key_sign(key: &PrivateKey, data: &[u8]) -> Option<ssh_key::Signature> {
    use signature::Signer;
    key.try_sign(data).ok()
}

fn ed25519(path: &Path, pair: &Ed25519Keypair) -> Result<Ed25519KeyPair, SignerError> {
    let seed = Zeroizing::new(pair.private.to_bytes());
    Ed25519KeyPair::from_seed_and_public_key(&*seed, &pair.public.0)
        .map_err(|fault| bad(path, fault))
}

/// `r || s` as the two mpints of RFC 5656 §3.1.2.
fn two_mpints(fixed: &[u8]) -> Vec<u8> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let mut out = Vec::with_capacity(fixed.len() + 10);
    for number in [r, s] {
        let leading = number.iter().take_while(|byte| **byte == 0).count();
        let digits = number.get(leading..).unwrap_or_default();
        let sign: &[u8] = if digits.first().is_some_and(|first| *first >= 0x80) {
            &[0]
        } else {
            &[]
        };
        crate::protocol::put_string(&mut out, &[sign, digits].concat());
    }
    out
}

/// Reads a private key through one open file, so that what was checked is what is read.
fn read_private(path: &Path) -> Result<PrivateKey, SignerError> {
    let file = File::open(path).map_err(SignerError::io("open", path))?;
    let meta = file.metadata().map_err(SignerError::io("read", path))?;
    let exposed = |why: String| {
        Err(SignerError::Exposed {
            path: path.into(),
            why,
        })
    };
    if !meta.is_file() {
        return exposed("it is no regular file".to_owned());
    }
    // systemd's credentials are 0440 on some file systems, in a directory that only the unit's user can enter.
    let credential =
        std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|dir| path.starts_with(dir));
    let open_to_others = if credential { 0o137 } else { 0o177 };
    if meta.mode() & open_to_others != 0 {
        return exposed(format!("its mode is {:04o}", meta.mode() & 0o7777));
    }
    if meta.uid() != 0 && meta.uid() != geteuid().as_raw() {
        return exposed(format!("it belongs to uid {}", meta.uid()));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(
        usize::try_from(meta.len().min(MAX_FILE) + 1).unwrap_or(0),
    ));
    file.take(MAX_FILE)
        .read_to_end(&mut text)
        .map_err(SignerError::io("read", path))?;
    let key = PrivateKey::from_openssh(&*text).map_err(|fault| {
        let why = format!(
            "not an OpenSSH private key ({fault}); a PEM file (\"BEGIN RSA PRIVATE KEY\") is converted in place by `ssh-keygen -p -N '' -f FILE`"
        );
        SignerError::Key { path: path.into(), why }
    })?;
    if key.is_encrypted() {
        let why = "the key is encrypted with a passphrase, which is not supported yet; keep an unencrypted copy in a file of \
                   mode 0600, better in a systemd credential, or name another agent's socket";
        return Err(SignerError::Key {
            path: path.into(),
            why: why.to_owned(),
        });
    }
    Ok(key)
}

fn bad(path: &Path, fault: impl std::fmt::Display) -> SignerError {
    SignerError::Key {
        path: path.into(),
        why: format!("the key cannot be used: {fault}"),
    }
}

fn printable(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.chars()
        .filter(|c| c.is_ascii_graphic())
        .take(64)
        .collect()
}
