//! In: bytes that the gateway wants the sealing key to sign.
//! Out: which kind of head they are.
//! Never: lets anything pass that is not exactly a recording's or the journal's head.

/// What the sealing key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealMessage<'a> {
    /// The head of a recording.
    Recording {
        /// The session's ULID.
        session: &'a str,
        /// The bytes of the file that the head covers.
        offset: u64,
    },
    /// The head of the journal.
    Journal {
        /// The last line's number.
        seq: u64,
    },
}

/// The bytes are no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the head of a recording or of the journal")]
pub struct NotASeal;

const RECORDING: &[u8] = b"ampgate recording head v1\0";
const JOURNAL: &[u8] = b"ampgate journal head v1\0";
const HASH: usize = 32;

impl<'a> SealMessage<'a> {
    /// Reads the bytes: prefix, (session id,) number as 8 bytes big-endian, 32 bytes of hash.
    pub fn parse(message: &'a [u8]) -> Result<SealMessage<'a>, NotASeal> {
        let head = if let Some(rest) = message.strip_prefix(RECORDING) {
            recording(rest)
        } else {
            message
                .strip_prefix(JOURNAL)
                .and_then(number_and_hash)
                .map(|seq| SealMessage::Journal { seq })
        };
        head.ok_or(NotASeal)
    }
}

fn recording(rest: &[u8]) -> Option<SealMessage<'_>> {
    let (session, rest) = rest.split_first_chunk::<26>()?;
    // Crockford's base 32, as ULIDs are written: what is logged can be nothing else.
    let ulid = |c: &u8| c.is_ascii_digit() || (c.is_ascii_uppercase() && !b"ILOU".contains(c));
    let session = session
        .iter()
        .all(ulid)
        .then(|| std::str::from_utf8(session).ok())??;
    Some(SealMessage::Recording {
        session,
        offset: number_and_hash(rest)?,
    })
}

fn number_and_hash(bytes: &[u8]) -> Option<u64> {
    let (number, hash) = bytes.split_first_chunk::<8>()?;
    (hash.len() == HASH).then_some(u64::from_be_bytes(*number))
}
