//! In: the bytes of a recording, in the order of the file.
//! Out: heads: the hash over every byte before an offset, and the message that the sealing key signs.
//! Never: a head over bytes that are not in the file.

/// First bytes of what the sealing key signs, so that no other kind of message can be passed off as a head.
pub const HEAD_PREFIX: &[u8] = b"ampgate recording head v1\0";

/// The state of a recording at one offset: everything before it, in 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    session: String,
    offset: u64,
    hash: [u8; 32],
    /// Which mark of the file it belongs to; zero for a head that came from elsewhere.
    pub(crate) number: u64,
}

impl Head {
    /// A head as the journal remembers it, to verify a file against.
    #[must_use]
    pub fn new(session: String, offset: u64, hash: [u8; 32]) -> Self {
        Self {
            session,
            offset,
            hash,
            number: 0,
        }
    }

    /// The session that was recorded.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// How many bytes of the file the hash covers.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// BLAKE3 over these bytes.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The hash in lower-case hex digits.
    #[must_use]
    pub fn hash_hex(&self) -> String {
        blake3::Hash::from_bytes(self.hash).to_hex().to_string()
    }

    /// What the sealing key signs: prefix, session id, offset (64 bits, big endian), hash.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        [
            HEAD_PREFIX,
            self.session.as_bytes(),
            &self.offset.to_be_bytes(),
            &self.hash,
        ]
        .concat()
    }
}
