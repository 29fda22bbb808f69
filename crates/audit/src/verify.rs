//! In: a journal's directory, perhaps an anchor and the sealing key.
//! Out: intact, or each fault by file and line; and the recordings that the journal closed.
//! Never: trusts a line because it reads well: only the hash in the next one, an anchor or a seal vouches for it.

use crate::error::AuditError;
use crate::event::Event;
use crate::line::{Envelope, JournalHead, LineHash, MAX_LINE, unhex};
use crate::segment::{Segment, hole, is_recent, no_power_cut};
use ring::signature::{ED25519, UnparsedPublicKey};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// What the auditor brings along.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Heads noted earlier or elsewhere: each of these lines must be there, with that hash.
    pub anchors: Vec<JournalHead>,
    /// The last line before the oldest segment, where older ones were archived.
    pub after: Option<JournalHead>,
    /// The Ed25519 public key (32 bytes) that `journal.sealed` events must be signed with. Without it seals are not
    /// looked at.
    pub sealing_key: Option<[u8; 32]>,
}

/// What a journal was found to be. Intact if `faults` is empty.
#[derive(Clone, Debug, Default)]
pub struct JournalReport {
    /// Everything that is wrong, in the order of the files.
    pub faults: Vec<JournalFault>,
    /// Segments read.
    pub segments: usize,
    /// Lines read.
    pub lines: u64,
    /// The last line's number and hash.
    pub head: Option<JournalHead>,
    /// The number of the last line that a good seal vouches for. The lines after it, up to the last but one, are only
    /// chained; the very last one is vouched for by nothing but an anchor.
    pub sealed: Option<u64>,
    /// Recordings that were closed.
    pub recordings: Vec<ClosedRecordingRef>,
}

impl JournalReport {
    /// Nothing is wrong.
    pub fn is_intact(&self) -> bool {
        self.faults.is_empty()
    }
}

/// A recording that the journal closed, and the head it must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedRecordingRef {
    /// The session's id.
    pub session: String,
    /// The path below the store.
    pub recording: String,
    /// The closing head: bytes covered, and their hash.
    pub offset: u64,
    /// BLAKE3 over those bytes.
    pub head: [u8; 32],
}

/// One thing wrong with a journal. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalFault {
    /// A line is not what was written.
    Altered {
        /// The segment's name.
        file: String,
        /// The line.
        line: u64,
        /// How it is known.
        why: String,
    },
    /// Lines are gone from the start, from between two lines, or whole segments.
    Missing {
        /// The segment in which the next line is found.
        file: String,
        /// That line.
        line: u64,
        /// The first number gone.
        from: u64,
        /// The last number gone.
        to: u64,
    },
    /// A line comes at a place that is not its own: swapped, or put in twice.
    OutOfOrder {
        /// The segment's name.
        file: String,
        /// The line.
        line: u64,
        /// The number it has.
        seq: u64,
        /// The number it should have.
        expected: u64,
    },
    /// The journal ends before the anchor.
    Truncated {
        /// The last number there is.
        last: u64,
        /// The anchor's number.
        anchor: u64,
    },
    /// The anchored line is there with another hash: everything up to it may have been written anew.
    AnchorDiffers {
        /// The anchor's number.
        seq: u64,
    },
    /// Half a line at a segment's end: a crash, if it is the last segment and no gateway has started since.
    Torn {
        /// The segment's name.
        file: String,
        /// Its length in bytes.
        bytes: u64,
    },
    /// A seal that the sealing key did not sign, or of a head that is not in the chain.
    BadSeal {
        /// The segment's name.
        file: String,
        /// The line.
        line: u64,
        /// What is wrong.
        why: String,
    },
}

impl fmt::Display for JournalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalFault::Altered { file, line, why } => write!(f, "{file}:{line}: altered: {why}"),
            JournalFault::Missing {
                file,
                line,
                from,
                to,
            } if from == to => {
                write!(f, "{file}:{line}: missing before it: line number {from}")
            }
            JournalFault::Missing {
                file,
                line,
                from,
                to,
            } => {
                write!(
                    f,
                    "{file}:{line}: missing before it: line numbers {from} to {to}"
                )
            }
            JournalFault::OutOfOrder {
                file,
                line,
                seq,
                expected,
            } => {
                write!(
                    f,
                    "{file}:{line}: out of order: line number {seq} where {expected} belongs"
                )
            }
            JournalFault::Truncated { last, anchor } => {
                write!(
                    f,
                    "truncated: the last line number is {last}, the anchor's is {anchor}"
                )
            }
            JournalFault::AnchorDiffers { seq } => {
                write!(
                    f,
                    "altered: line number {seq} is not the one that the anchor was taken of"
                )
            }
            JournalFault::Torn { file, bytes } => {
                write!(f, "{file}: its last {bytes} bytes are half a line")
            }
            JournalFault::BadSeal { file, line, why } => {
                write!(f, "{file}:{line}: bad seal: {why}")
            }
        }
    }
}

/// Reads a whole journal and reports. Errors are only those of reading files; what is wrong with them is in the report.
pub fn verify_journal(dir: &Path, options: &VerifyOptions) -> Result<JournalReport, AuditError> {
    let segments = Segment::list(dir)?;
    let mut walk = Walk {
        options,
        report: JournalReport {
            segments: segments.len(),
            ..JournalReport::default()
        },
        last: options.after.unwrap_or(JournalHead::EMPTY),
        before: None,
        anchors: options
            .anchors
            .iter()
            .filter(|anchor| Some(**anchor) != options.after)
            .copied()
            .collect(),
        recent: Vec::new(),
    };
    let newest = segments.last().copied();
    for segment in segments {
        let goes_on = Some(segment) != newest;
        walk.segment(&segment.to_string(), &segment.path(dir), goes_on)?;
    }
    walk.end();
    Ok(walk.report)
}

struct Walk<'a> {
    options: &'a VerifyOptions,
    report: JournalReport,
    /// The last line, as it is.
    last: JournalHead,
    /// Where it stands.
    before: Option<(String, u64)>,
    /// Those whose line has not come yet.
    anchors: Vec<JournalHead>,
    /// The last heads, for seals: a seal comes at most this many lines after its head.
    recent: Vec<JournalHead>,
}

/// A seal must come within so many lines of the head it seals.
const SEAL_REACH: usize = 4096;

impl Walk<'_> {
    fn segment(&mut self, name: &str, path: &Path, goes_on: bool) -> Result<(), AuditError> {
        let file = File::open(path).map_err(AuditError::io("open", path))?;
        let length = file.metadata().map_err(AuditError::io("read", path))?.len();
        let mut read = 0;
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let limit = MAX_LINE as u64 + 1;
            (&mut reader)
                .take(limit)
                .read_until(b'\n', &mut line)
                .map_err(AuditError::io("read", path))?;
            let left = length.saturating_sub(read);
            read += line.len() as u64;
            // What a power cut leaves at the end: the next start keeps it aside.
            if !goes_on && hole(&line) < line.len() && is_recent(left) {
                reader
                    .read_to_end(&mut line)
                    .map_err(AuditError::io("read", path))?;
                self.hole(name, number, &line);
                break;
            }
            match line.pop() {
                None => break,
                Some(b'\n') => self.line(name, number, &line),
                Some(_) if line.len() as u64 + 1 == limit => {
                    self.altered(name, number, "longer than any line")
                }
                Some(_) => {
                    let bytes = line.len() as u64 + 1;
                    self.report.faults.push(JournalFault::Torn {
                        file: name.to_owned(),
                        bytes,
                    });
                }
            }
        }
        Ok(())
    }

    /// A line with a zero in it, and all that follows.
    fn hole(&mut self, file: &str, number: u64, torn: &[u8]) {
        match no_power_cut(torn) {
            None => self.report.faults.push(JournalFault::Torn {
                file: file.to_owned(),
                bytes: torn.len() as u64,
            }),
            Some(took) => self.altered(
                file,
                number,
                &format!("zeros, and behind them the lines of {} s: a power cut takes those of a second or two", took.as_secs()),
            ),
        }
    }

    fn line(&mut self, file: &str, number: u64, line: &[u8]) {
        self.report.lines += 1;
        let Some(envelope) = Envelope::parse(line) else {
            return self.altered(file, number, "it has not the form of a journal line");
        };
        self.link(file, number, &envelope);
        self.last = JournalHead {
            seq: envelope.seq,
            hash: LineHash::of(line),
        };
        self.before = Some((file.to_owned(), number));
        self.check_anchor();
        match envelope.event.as_str() {
            "recording.closed" => self.recording(file, number, line, &envelope),
            "journal.sealed" => self.seal(file, number, line),
            _ => {}
        }
        if self.recent.len() == 2 * SEAL_REACH {
            self.recent.drain(..SEAL_REACH);
        }
        self.recent.push(self.last);
    }

    /// Is this line the next one, and does it vouch for the one before?
    fn link(&mut self, file: &str, number: u64, envelope: &Envelope) {
        let (expected, file_name) = (self.last.seq.saturating_add(1), file.to_owned());
        if envelope.seq > expected {
            let (from, to) = (expected, envelope.seq - 1);
            self.report.faults.push(JournalFault::Missing {
                file: file_name,
                line: number,
                from,
                to,
            });
        } else if envelope.seq < expected {
            let seq = envelope.seq;
            self.report.faults.push(JournalFault::OutOfOrder {
                file: file_name,
                line: number,
                seq,
                expected,
            });
        } else if envelope.prev() != self.last.hash {
            match self.before.clone() {
                Some((file, line)) => {
                    self.altered(&file, line, "its hash is not the one that the next line carries (or that one was altered there)");
                }
                None => self.altered(
                    file,
                    number,
                    "it does not follow what should be before the first line",
                ),
            }
        }
    }

    fn check_anchor(&mut self) {
        let last = self.last;
        let mut differs = false;
        self.anchors.retain(|anchor| {
            differs |= anchor.seq == last.seq && *anchor != last;
            anchor.seq != last.seq
        });
        if differs {
            self.report
                .faults
                .push(JournalFault::AnchorDiffers { seq: last.seq });
        }
    }

    fn recording(&mut self, file: &str, number: u64, line: &[u8], envelope: &Envelope) {
        let closed = match serde_json::from_slice(line) {
            Ok(Event::RecordingClosed {
                recording,
                head,
                offset,
                ..
            }) => Some((recording, head, offset)),
            _ => None,
        };
        let read = closed.zip(envelope.session.clone()).and_then(
            |((recording, head, offset), session)| {
                let head = head.as_str().parse::<LineHash>().ok()?.0;
                Some(ClosedRecordingRef {
                    session,
                    recording: recording.to_string(),
                    offset,
                    head,
                })
            },
        );
        match read {
            Some(closed) => self.report.recordings.push(closed),
            None => self.altered(
                file,
                number,
                "a recording.closed without session, path or head",
            ),
        }
    }

    fn seal(&mut self, file: &str, line_number: u64, line: &[u8]) {
        let Some(key) = self.options.sealing_key else {
            return;
        };
        let Err(why) = self.check_seal(line, &key) else {
            return;
        };
        self.report.faults.push(JournalFault::BadSeal {
            file: file.to_owned(),
            line: line_number,
            why: why.to_owned(),
        });
    }

    fn check_seal(&mut self, line: &[u8], key: &[u8; 32]) -> Result<(), &'static str> {
        let Ok(Event::JournalSealed {
            head_seq,
            head,
            signature,
            ..
        }) = serde_json::from_slice(line)
        else {
            return Err("it has not the form of a seal");
        };
        let hash = head
            .as_str()
            .parse::<LineHash>()
            .map_err(|()| "its head is no hash")?;
        let head = JournalHead {
            seq: head_seq,
            hash,
        };
        let signature = unhex(signature.as_str()).ok_or("its signature is no hex")?;
        let known = self.recent.contains(&head) || Some(head) == self.options.after;
        if !known {
            return Err("it seals a head that is not among the lines before it");
        }
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&head.message(), &signature)
            .map_err(|_| "it was not signed by the sealing key")?;
        self.report.sealed = Some(head_seq);
        Ok(())
    }

    fn altered(&mut self, file: &str, line: u64, why: &str) {
        self.report.faults.push(JournalFault::Altered {
            file: file.to_owned(),
            line,
            why: why.to_owned(),
        });
    }

    fn end(&mut self) {
        self.report.head = (self.last.seq > 0).then_some(self.last);
        // One is enough to tell; the newest tells most.
        let Some(anchor) = self.anchors.iter().map(|anchor| anchor.seq).max() else {
            return;
        };
        self.report.faults.push(JournalFault::Truncated {
            last: self.last.seq,
            anchor,
        });
    }
}
