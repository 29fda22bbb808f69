//! In: an event, its number, time and session, and the hash of the line before.
//! Out: the journal's line, and a line read back.
//! Never: accepts a line over 64 KiB, or one whose envelope has another form than the one written here.

use crate::error::AuditError;
use crate::event::Event;
use crate::text::{Text, to_json};
use jiff::Timestamp;
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// No line is longer, its newline not counted. Every text is capped, so this is far away from any real event.
pub const MAX_LINE: usize = 64 * 1024;

/// BLAKE3 of a journal line, all its bytes but the newline.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LineHash(pub [u8; 32]);

impl LineHash {
    /// What the very first line carries in `prev`.
    pub const NONE: LineHash = LineHash([0; 32]);

    /// The hash of a line given without its newline.
    pub fn of(line: &[u8]) -> LineHash {
        LineHash(*blake3::hash(line).as_bytes())
    }
}

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for LineHash {
    type Err = ();

    /// 64 lower-case hex digits, nothing else.
    fn from_str(text: &str) -> Result<LineHash, ()> {
        unhex(text)
            .and_then(|bytes| bytes.try_into().ok())
            .map(LineHash)
            .ok_or(())
    }
}

/// A place in the chain: the number of the last line and its hash. Kept elsewhere, it anchors the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalHead {
    /// The last line's number, 0 for an empty journal.
    pub seq: u64,
    /// The last line's hash, [`LineHash::NONE`] for an empty journal.
    pub hash: LineHash,
}

impl JournalHead {
    /// The start of every signed message, so that a seal of a journal can be taken for nothing else.
    pub const PREFIX: &[u8] = b"ampgate journal head v1\0";

    /// An empty journal's head.
    pub const EMPTY: JournalHead = JournalHead {
        seq: 0,
        hash: LineHash::NONE,
    };

    /// What the sealing key signs: the prefix, the number as 8 bytes big-endian, the 32 bytes of the hash.
    pub fn message(&self) -> Vec<u8> {
        [Self::PREFIX, &self.seq.to_be_bytes(), &self.hash.0].concat()
    }
}

/// `SEQ:HASH`, the form in which an anchor is given on a command line.
impl fmt::Display for JournalHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for JournalHead {
    type Err = ();

    fn from_str(text: &str) -> Result<JournalHead, ()> {
        let (seq, hash) = text.split_once(':').ok_or(())?;
        Ok(JournalHead {
            seq: seq.parse().map_err(drop)?,
            hash: hash.parse()?,
        })
    }
}

/// The envelope of a line that was read back. The event's own fields are left where they are.
#[derive(Debug, Deserialize)]
pub struct Envelope {
    /// The line's number: 1 for the first ever, one more each, never reset by a new day.
    pub seq: u64,
    /// When it was appended.
    pub time: Timestamp,
    /// The session's id, where the event belongs to one.
    pub session: Option<String>,
    /// The event's name.
    pub event: String,
    /// The hash of the line before, hex.
    prev: String,
}

impl Envelope {
    /// Reads a line given without its newline; `None` if it has not the envelope's form.
    pub fn parse(line: &[u8]) -> Option<Envelope> {
        if line.len() > MAX_LINE || !line.starts_with(b"{\"seq\":") {
            return None;
        }
        let envelope: Envelope = serde_json::from_slice(line).ok()?;
        envelope.prev.parse::<LineHash>().ok()?;
        Some(envelope)
    }

    /// The hash of the line before, as this one carries it.
    pub fn prev(&self) -> LineHash {
        self.prev.parse().unwrap_or(LineHash::NONE)
    }
}

/// Writes the line, newline included, into `out`.
pub(crate) fn write_line(
    out: &mut Vec<u8>,
    before: &JournalHead,
    time: Timestamp,
    session: Option<&str>,
    event: &Event,
) -> Result<(), AuditError> {
    let event = to_json(event)?;
    // An internally tagged enum is always an object, and never an empty one: it has its name.
    let fields = event
        .get(1..event.len().saturating_sub(1))
        .unwrap_or_default();
    let session = to_json(&session.map(Text::from))?;
    out.clear();
    out.extend_from_slice(
        format!(
            "{{\"seq\":{},\"time\":\"{}\",\"session\":",
            before.seq.saturating_add(1),
            micros(time)
        )
        .as_bytes(),
    );
    out.extend_from_slice(&session);
    out.push(b',');
    out.extend_from_slice(fields);
    out.extend_from_slice(format!(",\"prev\":\"{}\"}}\n", before.hash).as_bytes());
    if out.len() > MAX_LINE + 1 {
        return Err(AuditError::TooLong(out.len()));
    }
    Ok(())
}

/// RFC 3339 in UTC with six digits of a second, always the same length.
fn micros(time: Timestamp) -> impl fmt::Display {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: &u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(high)? << 4 | digit(low)?))
        .collect()
}
