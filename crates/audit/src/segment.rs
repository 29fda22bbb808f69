//! In: a journal's directory.
//! Out: its segments in order, the end of the last one, and what a crash left torn.
//! Never: reads more of a segment than its last mebibyte: a start is fast with gigabytes of journal.

use crate::error::AuditError;
use crate::line::{Envelope, JournalHead, LineHash, MAX_LINE};
use jiff::{SignedDuration, Timestamp, civil::Date};
use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How far back from a segment's end a whole line is looked for.
const TAIL: u64 = 1 << 20;

/// One UTC day's file, `journal-YYYY-MM-DD.jsonl`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Segment(Date);

impl Segment {
    /// The segment of a moment.
    pub fn of(time: Timestamp) -> Segment {
        Segment(jiff::tz::Offset::UTC.to_datetime(time).date())
    }

    /// Reads a file name; `None` for any other file.
    pub fn parse(name: &str) -> Option<Segment> {
        let day = name.strip_prefix("journal-")?.strip_suffix(".jsonl")?;
        let segment = Segment(day.parse().ok()?);
        (segment.to_string() == name).then_some(segment)
    }

    /// Its file in that directory.
    pub fn path(&self, dir: &Path) -> PathBuf {
        dir.join(self.to_string())
    }

    /// All segments of a directory, oldest first.
    pub fn list(dir: &Path) -> Result<Vec<Segment>, AuditError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).map_err(AuditError::io("list", dir))? {
            let name = entry.map_err(AuditError::io("list", dir))?.file_name();
            found.extend(name.to_str().and_then(Segment::parse));
        }
        found.sort();
        Ok(found)
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal-{}.jsonl", self.0)
    }
}

/// How a segment ends.
pub(crate) struct Tail {
    /// The last whole line, if there is any.
    pub head: Option<JournalHead>,
    /// The length up to and with that line's newline.
    pub length: u64,
    /// What follows it: a line cut by a crash. Empty in a sound segment.
    pub torn: Vec<u8>,
}

/// Reads a segment's end.
pub(crate) fn tail(path: &Path) -> Result<Tail, AuditError> {
    let mut file = File::open(path).map_err(AuditError::io("open", path))?;
    let length = file.metadata().map_err(AuditError::io("read", path))?.len();
    let from = length.saturating_sub(TAIL);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))
        .and_then(|_| file.read_to_end(&mut bytes))
        .map_err(AuditError::io("read", path))?;
    let whole = bytes.get(..hole(&bytes)).unwrap_or(&bytes);
    let holed = whole.len() < bytes.len();
    let (head, end) = last_line(whole, from == 0);
    if head.is_none() && from > 0 {
        return Err(AuditError::Damaged {
            file: path.into(),
            why: format!("no whole line in its last {TAIL} bytes"),
        });
    }
    let torn = bytes.split_off(end);
    // One write is one line: a crash tears at most one. More than that after the last good line is no crash's work, unless
    // it begins with the zeros that a power cut leaves.
    if torn.len() > MAX_LINE + 1 && !holed {
        return Err(AuditError::Damaged {
            file: path.into(),
            why: format!("{} bytes of no journal at its end", torn.len()),
        });
    }
    Ok(Tail {
        head,
        length: from + end as u64,
        torn,
    })
}

/// Where the first zero byte is, else the end. No line has one. When the power goes, a file system may have made a file
/// longer without all of its last second: zeros, and good lines behind them, which belong to nothing that is left.
pub(crate) fn hole(bytes: &[u8]) -> usize {
    bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len())
}

/// Whether a power cut can have left so many bytes behind a hole: so far back a start looks.
pub(crate) fn is_recent(bytes: u64) -> bool {
    bytes <= TAIL
}

/// The journal is synced each second; a disk that is busy may take some more.
const UNSYNCED: SignedDuration = SignedDuration::from_secs(5);

/// What a power cut tears off was written since the last sync. If the lines in `torn` took longer than that, somebody else
/// tore them off: how long they took.
pub fn no_power_cut(torn: &[u8]) -> Option<SignedDuration> {
    let mut times = torn.split(|b| *b == b'\n' || *b == 0).filter_map(begun);
    let first = times.next()?;
    let (earliest, latest) = times.fold((first, first), |(earliest, latest), time| {
        (earliest.min(time), latest.max(time))
    });
    let took = latest.duration_since(earliest);
    (took > UNSYNCED).then_some(took)
}

/// The time at the begin of a line, which may be broken further on.
fn begun(line: &[u8]) -> Option<Timestamp> {
    let rest = line.strip_prefix(b"{\"seq\":")?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = rest.get(digits..)?.strip_prefix(b",\"time\":\"")?;
    let end = rest.iter().position(|b| *b == b'"')?;
    std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()
}

/// The last newline-ended line with an envelope, and where it ends. After a power cut the end may be zeros, or hold a
/// newline behind half a line, so the newline alone is not trusted.
fn last_line(bytes: &[u8], from_start: bool) -> (Option<JournalHead>, usize) {
    let mut end = bytes.iter().rposition(|b| *b == b'\n');
    while let Some(newline) = end {
        let before = bytes.get(..newline).unwrap_or_default();
        let start = before.iter().rposition(|b| *b == b'\n');
        // A line that starts before the bytes we hold is not whole.
        if start.is_some() || from_start {
            let line = before.get(start.map_or(0, |s| s + 1)..).unwrap_or_default();
            if let Some(envelope) = Envelope::parse(line) {
                return (
                    Some(JournalHead {
                        seq: envelope.seq,
                        hash: LineHash::of(line),
                    }),
                    newline + 1,
                );
            }
        }
        end = start;
    }
    (None, 0)
}
