//! In: the auditors' public keys (`age1…`), how many of them are needed to read; later, their private keys.
//! Out: a new data key wrapped to each of them; the data key back for those who are enough.
//! Never: a data key kept beyond the call, or shown; a private key where recordings are written.

use std::{
    fmt,
    io::{Read, Write},
};

use age::x25519;
use base64_simd::STANDARD;
use blahaj::{Share, Sharks};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Bytes of a data key.
pub(crate) const KEY: usize = 32;
/// Recipients of one recording; the number of a share is a byte.
const MOST: usize = 64;
/// No identity file is larger.
const LARGEST_FILE: usize = 64 << 10;

/// The key of one recording. On the heap: what is moved leaves no copy behind.
pub(crate) type DataKey = Zeroizing<Vec<u8>>;

/// What is wrong with recipients or identities, or why they cannot open a recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// Not an X25519 public key of age.
    #[error("{0:?} is no recipient; give an age public key (age1…), as \"age-keygen\" prints it")]
    Recipient(String),
    /// An identity where a recipient belongs; it is not repeated.
    #[error(
        "this is a private key; it belongs to an auditor, never to a gateway: make a new one, and give its public half (age1…)"
    )]
    Private,
    /// A kind of recipient that nothing here could open.
    #[error(
        "{0:?} is a post-quantum or plugin recipient, which ampgate-replay could not open; give an X25519 key (age1 and 58 more characters)"
    )]
    Kind(String),
    /// One key under two names would be two votes.
    #[error("the recipient {0:?} is there twice; each auditor needs a key of their own")]
    Twice(String),
    /// A number that can never be reached, or none.
    #[error("{needed} of {there} recipients cannot be needed; give 1 to {there}")]
    Needed {
        /// What was asked for.
        needed: usize,
        /// How many there are.
        there: usize,
    },
    /// More than a header has room for.
    #[error("{0} recipients are too many; give at most 64")]
    TooMany(usize),
    /// A file without an identity, or with something else.
    #[error(
        "line {0} is no identity; an identity file has lines AGE-SECRET-KEY-1…, as \"age-keygen\" writes them"
    )]
    Identity(usize),
    /// A file without any.
    #[error("there is no identity in it; \"age-keygen\" writes such files")]
    NoIdentity,
    /// None of the identities is a recipient, or too few are.
    #[error("{have} of the {needed} auditors needed are here; give the identity of {} more of: {}", needed.saturating_sub(*have), recipients.join(", "))]
    TooFew {
        /// How many of the identities are recipients.
        have: usize,
        /// How many are needed.
        needed: usize,
        /// Whose identities would help.
        recipients: Vec<String>,
    },
    /// What was wrapped does not open, or is no key.
    #[error(
        "the data key wrapped to {0} does not open; the first line of the recording was altered"
    )]
    Damaged(String),
    /// The system gave no randomness, or a library failed.
    #[error("a data key could not be made ({0}); look at this machine's random numbers")]
    Unmade(&'static str),
}

/// Whom recordings are sealed to, and how many of them it takes to read one.
#[derive(Clone)]
pub struct Recipients {
    all: Vec<(String, x25519::Recipient)>,
    needed: u8,
}

impl Recipients {
    /// Parses the keys. With `needed` above one, no single auditor can read a recording: each gets a share of its key.
    ///
    /// # Errors
    /// The first key or number that does not fit.
    pub fn new<T: AsRef<str>>(keys: &[T], needed: usize) -> Result<Self, RecipientError> {
        if keys.len() > MOST {
            return Err(RecipientError::TooMany(keys.len()));
        }
        let mut all: Vec<(String, x25519::Recipient)> = Vec::with_capacity(keys.len());
        for text in keys {
            let key: x25519::Recipient = text.as_ref().trim().parse().map_err(|_| {
                let text = text.as_ref().to_owned();
                if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
                    return RecipientError::Private;
                }
                if ["age1pq", "age1tagpq", "age1tag", "age1yubikey"]
                    .iter()
                    .any(|kind| text.starts_with(kind))
                {
                    RecipientError::Kind(text)
                } else {
                    RecipientError::Recipient(text)
                }
            })?;
            let text = key.to_string();
            if all.iter().any(|(other, _)| *other == text) {
                return Err(RecipientError::Twice(text));
            }
            all.push((text, key));
        }
        match u8::try_from(needed) {
            Ok(needed) if needed > 0 && usize::from(needed) <= all.len() => {
                Ok(Self { all, needed })
            }
            _ => Err(RecipientError::Needed {
                needed,
                there: all.len(),
            }),
        }
    }

    /// The public keys, as text.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|(text, _)| text.as_str())
    }

    /// How many of them are needed to read.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.needed.into()
    }

    /// A new data key, and what each recipient gets of it.
    pub(crate) fn deal(&self) -> Result<(DataKey, Vec<Wrapped>), RecipientError> {
        let mut key = DataKey::new(vec![0; KEY]);
        SystemRandom::new()
            .fill(&mut key)
            .map_err(|_| RecipientError::Unmade("no random numbers"))?;
        let parts = self.parts(&key);
        let wrapped = self
            .all
            .iter()
            .zip(parts.iter())
            .map(|((recipient, to), part)| {
                let sealed = age::encrypt(to, part)
                    .map_err(|_| RecipientError::Unmade("age refused to wrap it"))?;
                Ok(Wrapped {
                    recipient: recipient.clone(),
                    wrapped: STANDARD.encode_to_string(sealed),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok((key, wrapped))
    }

    /// Seals what an auditor keeps beside recordings, as one age file that each recipient opens alone.
    ///
    /// # Errors
    /// If age fails, or several are needed: there is no quorum for such a file.
    pub fn seal(&self, bytes: &[u8]) -> Result<Vec<u8>, RecipientError> {
        if self.needed > 1 {
            return Err(RecipientError::Unmade(
                "several auditors are needed to read, which an age file cannot ask for",
            ));
        }
        let failed = |_| RecipientError::Unmade("age refused to seal");
        let recipients = self.all.iter().map(|(_, key)| key as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients)
            .map_err(|_| RecipientError::Unmade("age refused the recipients"))?;
        let mut sealed = Vec::with_capacity(bytes.len() + 512);
        let mut writer = encryptor.wrap_output(&mut sealed).map_err(failed)?;
        writer.write_all(bytes).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(sealed)
    }

    /// The key itself for everybody; or to each a share: its number, then as many bytes as the key has.
    fn parts(&self, key: &DataKey) -> Zeroizing<Vec<Vec<u8>>> {
        if self.needed == 1 {
            return Zeroizing::new(self.all.iter().map(|_| key.to_vec()).collect());
        }
        let shares = Sharks(self.needed).dealer(key).take(self.all.len());
        Zeroizing::new(shares.map(|share| Vec::from(&share)).collect())
    }
}

impl PartialEq for Recipients {
    fn eq(&self, other: &Self) -> bool {
        self.needed == other.needed && self.keys().eq(other.keys())
    }
}

impl Eq for Recipients {}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipients")
            .field("all", &self.keys().collect::<Vec<_>>())
            .field("needed", &self.needed)
            .finish()
    }
}

/// A data key, or a share of it, as an age file for one recipient.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Wrapped {
    pub(crate) recipient: String,
    pub(crate) wrapped: String,
}

/// Auditors' private keys.
#[derive(Default)]
pub struct Identities(Vec<(String, x25519::Identity)>);

impl Identities {
    /// Adds the identities of a file as `age-keygen` writes it: lines `AGE-SECRET-KEY-1…`, comments, empty lines.
    ///
    /// # Errors
    /// A line that is something else, or no identity at all; nothing of a line is in the error.
    pub fn add(&mut self, file: &str) -> Result<(), RecipientError> {
        if file.len() > LARGEST_FILE {
            return Err(RecipientError::NoIdentity);
        }
        let before = self.0.len();
        for (number, line) in file.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity: x25519::Identity = line
                .parse()
                .map_err(|_| RecipientError::Identity(number + 1))?;
            self.0.push((identity.to_public().to_string(), identity));
        }
        if self.0.len() == before {
            return Err(RecipientError::NoIdentity);
        }
        Ok(())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a file is one that [`Recipients::seal`] made, or another of age's.
    #[must_use]
    pub fn may_open(file: &[u8]) -> bool {
        file.starts_with(b"age-encryption.org/v1\n")
    }

    /// Opens what [`Recipients::seal`] made. At most `limit` bytes.
    ///
    /// # Errors
    /// None of the identities opens it, it was altered, or it is larger.
    pub fn open(&self, file: &[u8], limit: u64) -> Result<Vec<u8>, RecipientError> {
        let damaged = || RecipientError::Damaged("these identities".to_owned());
        let identities = self.0.iter().map(|(_, key)| key as &dyn age::Identity);
        let decryptor = age::Decryptor::new_buffered(file).map_err(|_| damaged())?;
        let mut reader = decryptor.decrypt(identities).map_err(|_| damaged())?;
        let mut bytes = Vec::new();
        (&mut reader)
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|_| damaged())?;
        Ok(bytes)
    }

    /// Opens what was wrapped to these identities and puts the key together.
    pub(crate) fn data_key(
        &self,
        wrapped: &[Wrapped],
        needed: usize,
    ) -> Result<DataKey, RecipientError> {
        let mut parts = Vec::new();
        for one in wrapped {
            let Some((_, identity)) = self.0.iter().find(|(public, _)| *public == one.recipient)
            else {
                continue;
            };
            let damaged = || RecipientError::Damaged(one.recipient.clone());
            let sealed = STANDARD
                .decode_to_vec(&one.wrapped)
                .map_err(|_| damaged())?;
            let part = Zeroizing::new(age::decrypt(identity, &sealed).map_err(|_| damaged())?);
            let length = if needed == 1 { KEY } else { KEY + 1 };
            if part.len() != length {
                return Err(damaged());
            }
            parts.push(part);
        }
        if parts.len() < needed.max(1) {
            let have = |one: &Wrapped| self.0.iter().any(|(public, _)| *public == one.recipient);
            return Err(RecipientError::TooFew {
                have: parts.len(),
                needed,
                recipients: wrapped
                    .iter()
                    .filter(|one| !have(one))
                    .map(|one| one.recipient.clone())
                    .collect(),
            });
        }
        combine(&parts, needed).ok_or(RecipientError::Unmade("its shares do not fit together"))
    }
}

fn combine(parts: &[Zeroizing<Vec<u8>>], needed: usize) -> Option<DataKey> {
    let key = if needed == 1 {
        parts.first()?.clone()
    } else {
        let shares: Vec<Share> = parts
            .iter()
            .take(needed)
            .map(|part| Share::try_from(part.as_slice()))
            .collect::<Result<_, _>>()
            .ok()?;
        Zeroizing::new(Sharks(u8::try_from(needed).ok()?).recover(&shares).ok()?)
    };
    (key.len() == KEY).then_some(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use age::secrecy::ExposeSecret;

    use super::*;

    fn auditor() -> (String, Identities) {
        let identity = x25519::Identity::generate();
        let mut identities = Identities::default();
        let file = format!(
            "# created today\n\n{}\n",
            identity.to_string().expose_secret()
        );
        identities.add(&file).unwrap();
        (identity.to_public().to_string(), identities)
    }

    #[test]
    fn each_of_several_opens_alone() {
        let (a, as_a) = auditor();
        let (b, as_b) = auditor();
        let (_, stranger) = auditor();
        let (key, wrapped) = Recipients::new(&[a, b], 1).unwrap().deal().unwrap();
        assert_eq!(as_a.data_key(&wrapped, 1).unwrap(), key);
        assert_eq!(as_b.data_key(&wrapped, 1).unwrap(), key);
        let refused = stranger.data_key(&wrapped, 1).unwrap_err().to_string();
        assert!(
            refused.contains("0 of the 1") && refused.contains("age1"),
            "{refused}"
        );
    }

    #[test]
    fn a_quorum_opens_together_and_nobody_alone() {
        let auditors: Vec<_> = (0..3).map(|_| auditor()).collect();
        let keys: Vec<_> = auditors.iter().map(|(key, _)| key.clone()).collect();
        let (key, wrapped) = Recipients::new(&keys, 2).unwrap().deal().unwrap();
        for (_, alone) in &auditors {
            assert!(matches!(
                alone.data_key(&wrapped, 2),
                Err(RecipientError::TooFew {
                    have: 1,
                    needed: 2,
                    ..
                })
            ));
            // Whoever lowers the number in the header gets a share passed off as a key: it has another length.
            assert!(matches!(
                alone.data_key(&wrapped, 1),
                Err(RecipientError::Damaged(_))
            ));
        }
        for (a, b) in [(0, 1), (1, 2), (2, 0)] {
            let mut two = Identities::default();
            for n in [a, b] {
                two.0.extend(auditors.get(n).unwrap().1.0.iter().cloned());
            }
            assert_eq!(two.data_key(&wrapped, 2).unwrap(), key);
        }
    }

    #[test]
    fn what_is_no_recipient_is_told() {
        let (a, _) = auditor();
        let new = |keys: &[&str], needed| Recipients::new(keys, needed).unwrap_err();
        assert!(matches!(
            new(&["age1nonsense"], 1),
            RecipientError::Recipient(_)
        ));
        assert!(matches!(
            new(&["age1tagpq1qqqq"], 1),
            RecipientError::Kind(_)
        ));
        assert!(matches!(new(&[&a, &a], 1), RecipientError::Twice(_)));
        assert!(matches!(new(&[&a], 2), RecipientError::Needed { .. }));
        assert!(matches!(new(&[&a], 0), RecipientError::Needed { .. }));
        assert!(matches!(new(&[], 1), RecipientError::Needed { .. }));
        let secret = "AGE-SECRET-KEY-1NONSENSE";
        let told = Identities::default().add(secret).unwrap_err().to_string();
        assert!(
            !told.contains("NONSENSE") && told.contains("line 1"),
            "{told}"
        );
        assert_eq!(
            Identities::default().add("# no more\n"),
            Err(RecipientError::NoIdentity)
        );
    }
}
