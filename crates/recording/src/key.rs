//! In: an OpenSSH public key line or 32 raw bytes; messages and signatures.
//! Out: the public half of a sealing key: text, fingerprint, verification.
//! Never: a private key. The sealing key itself stays with the signer.

use base64_simd::{STANDARD, STANDARD_NO_PAD};
use ring::{digest, signature};

use crate::error::RecordingError;

/// An Ed25519 signature, raw (RFC 8032).
pub type Signature = [u8; 64];

/// The algorithm's name in the SSH encoding of a key (RFC 8709).
const ALGORITHM: &str = "ssh-ed25519";

/// The public half of a sealing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// A key from its 32 raw bytes (RFC 8032).
    #[must_use]
    pub fn from_raw(raw: [u8; 32]) -> Self {
        Self(raw)
    }

    /// The 32 raw bytes.
    #[must_use]
    pub fn raw(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads `ssh-ed25519 AAAA… comment`, as in a `.pub` file; exactly one key, options are refused.
    ///
    /// # Errors
    /// [`RecordingError::PublicKey`] tells what does not fit.
    pub fn from_openssh(text: &str) -> Result<Self, RecordingError> {
        let refuse = |why| Err(RecordingError::PublicKey(why));
        let text = text.trim();
        if text.lines().count() > 1 {
            return refuse("more than one line");
        }
        let mut words = text.split_ascii_whitespace();
        match words.next() {
            Some(ALGORITHM) => {}
            None => return refuse("the text is empty"),
            Some(_) => return refuse("another kind of key"),
        }
        let Some(blob) = words.next() else {
            return refuse("the key is missing");
        };
        let Ok(blob) = STANDARD.decode_to_vec(blob) else {
            return refuse("the key is no base64");
        };
        let Some(raw) = blob.strip_prefix(blob_prefix().as_slice()) else {
            return refuse("the key inside is of another kind or length");
        };
        match <[u8; 32]>::try_from(raw) {
            Ok(raw) => Ok(Self(raw)),
            Err(_) => refuse("the key has not 32 bytes"),
        }
    }

    /// `ssh-ed25519 AAAA…` without a comment.
    #[must_use]
    pub fn to_openssh(self) -> String {
        format!("{ALGORITHM} {}", STANDARD.encode_to_string(self.blob()))
    }

    /// `SHA256:…` as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.blob());
        format!(
            "SHA256:{}",
            STANDARD_NO_PAD.encode_to_string(digest.as_ref())
        )
    }

    /// Whether this key's owner signed `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        signature::UnparsedPublicKey::new(&signature::ED25519, &self.0)
            .verify(message, signature)
            .is_ok()
    }

    fn blob(self) -> Vec<u8> {
        let mut blob = blob_prefix();
        blob.extend_from_slice(&self.0);
        blob
    }
}

/// SSH strings of the algorithm and of the key's length: all of the blob but the key itself.
fn blob_prefix() -> Vec<u8> {
    let mut prefix = vec![0, 0, 0, 11];
    prefix.extend_from_slice(ALGORITHM.as_bytes());
    prefix.extend_from_slice(&[0, 0, 0, 32]);
    prefix
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Made by `ssh-keygen -t ed25519`, fingerprint by `ssh-keygen -lf`.
    const LINE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOL4QraBNzZyLpl8zUBOKB8YIVZ0dSG5nLPVbKGAAD+f somebody@somewhere";

    #[test]
    fn openssh_line_goes_round() {
        let key = PublicKey::from_openssh(LINE).unwrap();
        assert_eq!(PublicKey::from_openssh(&key.to_openssh()).unwrap(), key);
        assert!(LINE.starts_with(&key.to_openssh()));
        assert_eq!(
            key.fingerprint(),
            "SHA256:9/MePv9FyL4YAQQggEj8Q9ef+LqPykVc5farXXvgb84"
        );
    }

    #[test]
    fn anything_else_is_refused() {
        let blob = LINE.split(' ').nth(1).unwrap();
        for bad in [
            String::new(),
            "ssh-rsa AAAA".into(),
            "ssh-ed25519".into(),
            "ssh-ed25519 !!!".into(),
            format!("ssh-ed25519 {}", &blob[..blob.len() - 4]),
            format!("ssh-ed25519 {blob}AAAA"),
            format!("{LINE}\n{LINE}"),
            format!("no-pty {LINE}"),
        ] {
            assert!(PublicKey::from_openssh(&bad).is_err(), "{bad}");
        }
    }
}
