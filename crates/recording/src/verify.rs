//! In: a file, perhaps the sealing key that one trusts, perhaps the head that the journal remembers.
//! Out: one verdict: intact, or what was done to it and up to where it is still proven.
//! Never: "intact" for a file of which a single bit differs from what was sealed.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read},
    path::Path,
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, open},
    io::Errno,
};

use crate::{
    chain::Head,
    envelope::Envelope,
    error::{HeaderFault, RecordingError},
    frames::Frames,
    header::Header,
    key::PublicKey,
    line::{Lines, Piece},
    proof::{self, Ending, Proof},
    sealer::recording_tag,
    session::is_session_id,
};

/// Marks whose proofs may still come; a recorder has one or two.
const OPEN_MARKS: usize = 64;
/// The hash is fed with at least this much at once.
const HASH_AT: usize = 128 << 10;

/// What a verifier found. Offsets are bytes from the file's begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Sealed, and every byte is as it was sealed.
    Intact {
        /// The session.
        session: String,
        /// Size of the file.
        size: u64,
        /// Number of proofs, the final one included.
        proofs: u64,
        /// Fingerprint of the sealing key.
        key: String,
        /// Whether that key was given by the caller. If not, it is the one that the file itself names.
        trusted: bool,
        /// Why the recording ended.
        ending: Ending,
    },
    /// The file was cut: its last line is incomplete, or it is shorter than the journal knows.
    TruncatedAt {
        /// Where it ends.
        offset: u64,
        /// Everything before this is proven.
        proven: u64,
    },
    /// Bytes between two offsets were changed, added or removed.
    AlteredAt {
        /// Everything before this is proven.
        after: u64,
        /// The first proof (or the journal's head) that does not fit covers the bytes before this.
        before: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// No final proof; the file ends with a complete line.
    Unsealed {
        /// Why.
        reason: Unsealed,
        /// Everything before this is proven.
        proven: u64,
        /// The bytes after it: readable, but unproven.
        unproven: u64,
    },
    /// Sealed by another key than expected.
    ForeignKey {
        /// Fingerprint in the proof.
        found: String,
        /// Fingerprint of the key that was expected.
        expected: String,
        /// Where the proof is.
        at: u64,
    },
    /// A proof that names the right key but was not signed by it.
    BadSignature {
        /// Where the proof is.
        at: u64,
        /// Everything before this is proven.
        proven: u64,
    },
    /// The recording of another session under this name.
    Misfiled {
        /// The session that was expected.
        name: String,
        /// The session in the header.
        session: String,
    },
    /// Not a recording of ours.
    NotARecording {
        /// Why not.
        fault: HeaderFault,
    },
}

/// Why a recording has no final proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsealed {
    /// A recorder on this host has it open.
    StillOpen,
    /// The recorder could not write any more, and said why.
    RecorderDied(String),
    /// It ended properly, but the final proof was never written (the signer was away), or was cut off.
    NeverSealed,
    /// It just ends: the gateway or its host died. Only the journal can tell this from a cut at a line's end.
    Crashed,
}

/// Verifies a file by itself. With `trusted`, only that key counts; without, the key named in the file's own header,
/// which proves no more than that the file fits itself.
///
/// # Errors
/// Only if the file cannot be read.
pub fn verify(
    path: impl AsRef<Path>,
    trusted: Option<&PublicKey>,
) -> Result<Verdict, RecordingError> {
    examine(path.as_ref(), trusted, None)
}

/// Verifies a file, and that it holds at least what `expected`, the head in the journal, covers.
///
/// # Errors
/// Only if the file cannot be read.
pub fn verify_against(
    path: impl AsRef<Path>,
    trusted: Option<&PublicKey>,
    expected: &Head,
) -> Result<Verdict, RecordingError> {
    examine(path.as_ref(), trusted, Some(expected))
}

/// Verifies a stream of bytes, which has no name and is open for nobody.
///
/// # Errors
/// Only if reading fails.
pub fn verify_stream(
    input: impl Read,
    trusted: Option<&PublicKey>,
    expected: Option<&Head>,
) -> io::Result<Verdict> {
    let mut lines = Lines::new(input);
    let Some(first) = lines.next()? else {
        return Ok(not_ours(HeaderFault::Missing));
    };
    if first.cut {
        let header_was_begun =
            first.bytes.starts_with(b"{\"version\":3") || Envelope::begins(first.bytes);
        let verdict = if header_was_begun {
            Verdict::TruncatedAt {
                offset: first.end(),
                proven: 0,
            }
        } else {
            not_ours(HeaderFault::Missing)
        };
        return Ok(verdict);
    }
    let (subject, frames) = match Subject::parse(first.bytes) {
        Ok(found) => found,
        Err(fault) => return Ok(not_ours(fault)),
    };
    if let Some(expected) = expected.filter(|expected| expected.session() != subject.session) {
        return Ok(Verdict::Misfiled {
            name: expected.session().to_owned(),
            session: subject.session,
        });
    }
    let mut verifier = Verifier::new(subject, trusted, expected);
    verifier.absorb(first.bytes);
    lines.sealed = frames.is_some();
    verifier.frames = frames;
    while let Some(piece) = lines.next()? {
        if let Err(verdict) = verifier.piece(&piece) {
            return Ok(verdict);
        }
    }
    Ok(verifier.verdict())
}

fn examine(
    path: &Path,
    trusted: Option<&PublicKey>,
    expected: Option<&Head>,
) -> Result<Verdict, RecordingError> {
    let failed = |e: io::Error| RecordingError::io(path, "read it", e);
    // Not blocking, for somebody may have put a pipe there.
    let file = open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|e| failed(e.into()))?;
    let file = File::from(file);
    if !file.metadata().map_err(failed)?.is_file() {
        return Ok(not_ours(HeaderFault::Missing));
    }
    // Asked before reading: a recorder that lets go meanwhile has written everything by then.
    let open = flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
    let _ = flock(&file, FlockOperation::Unlock);
    let verdict = verify_stream(&file, trusted, expected).map_err(failed)?;
    let name = path
        .file_stem()
        .and_then(|name| name.to_str())
        .filter(|name| is_session_id(name));
    Ok(match verdict {
        Verdict::Unsealed {
            proven, unproven, ..
        } if open => Verdict::Unsealed {
            reason: Unsealed::StillOpen,
            proven,
            unproven,
        },
        // A write may be seen half done.
        Verdict::TruncatedAt { offset, proven } if open && expected.is_none() => {
            Verdict::Unsealed {
                reason: Unsealed::StillOpen,
                proven,
                unproven: offset - proven,
            }
        }
        Verdict::Intact { session, .. } if name.is_some_and(|name| name != session) => {
            Verdict::Misfiled {
                name: name.unwrap_or_default().to_owned(),
                session,
            }
        }
        other => other,
    })
}

fn not_ours(fault: HeaderFault) -> Verdict {
    Verdict::NotARecording { fault }
}

/// Whose recording it is, and by which key it says to be proven.
struct Subject {
    session: String,
    sealing_key: PublicKey,
}

impl Subject {
    /// Reads the first line of a plain or of a sealed recording; of a sealed one the frames are to be counted.
    fn parse(line: &[u8]) -> Result<(Self, Option<Frames>), HeaderFault> {
        if !Envelope::begins(line) {
            let header = Header::parse(line)?;
            return Ok((
                Self {
                    session: header.session,
                    sealing_key: header.sealing_key,
                },
                None,
            ));
        }
        let envelope = Envelope::parse(line)?;
        let sealing_key = envelope
            .sealing_key()
            .ok_or_else(|| HeaderFault::NotOurs("the sealing key is none".to_owned()))?;
        let frames = Frames::new(recording_tag(line));
        Ok((
            Self {
                session: envelope.session().to_owned(),
                sealing_key,
            },
            Some(frames),
        ))
    }
}

/// What is known of a file at some offset.
struct Verifier<'a> {
    subject: Subject,
    frames: Option<Frames>,
    trusted: bool,
    key: PublicKey,
    fingerprint: String,
    expected: Option<&'a Head>,
    /// Whether the file has the expected hash at the expected offset; `None` before that.
    as_expected: Option<bool>,
    hasher: blake3::Hasher,
    unhashed: Vec<u8>,
    offset: u64,
    marks: u64,
    open_marks: VecDeque<Head>,
    proofs: u64,
    proven: u64,
    ended: Option<(Ending, u64)>,
    died: Option<String>,
    sealed: bool,
    cut: bool,
}

impl<'a> Verifier<'a> {
    fn new(subject: Subject, trusted: Option<&PublicKey>, expected: Option<&'a Head>) -> Self {
        let key = *trusted.unwrap_or(&subject.sealing_key);
        Self {
            subject,
            frames: None,
            trusted: trusted.is_some(),
            key,
            fingerprint: key.fingerprint(),
            expected,
            as_expected: None,
            hasher: blake3::Hasher::new(),
            unhashed: Vec::with_capacity(2 * HASH_AT),
            offset: 0,
            marks: 0,
            open_marks: VecDeque::new(),
            proofs: 0,
            proven: 0,
            ended: None,
            died: None,
            sealed: false,
            cut: false,
        }
    }

    /// Takes one line; `Err` is a verdict that nothing behind it can change.
    fn piece(&mut self, piece: &Piece<'_>) -> Result<(), Verdict> {
        if self.sealed {
            return Err(Verdict::AlteredAt {
                after: piece.offset,
                before: piece.end(),
                what: "bytes after the final proof",
            });
        }
        self.absorb(piece.bytes);
        self.cut |= piece.cut;
        let line = piece.bytes;
        if let Some(frames) = &mut self.frames {
            match frames.take(piece) {
                // What follows a missing frame only tells whether it stands elsewhere.
                Ok(()) if frames.is_waiting() => return Ok(()),
                Ok(()) => {}
                Err(what) => return Err(self.altered(piece.end(), what)),
            }
        }
        if !(piece.begins && piece.ends && line.starts_with(b"# ")) {
            return Ok(());
        }
        if line.starts_with(proof::PROOF.as_bytes()) {
            self.proof(piece)
        } else if line.starts_with(proof::HEAD.as_bytes()) {
            let number = proof::parse_head(line);
            self.mark();
            if number == Some(self.marks) {
                Ok(())
            } else {
                Err(self.altered(piece.end(), "a mark out of order"))
            }
        } else if line.starts_with(proof::END.as_bytes()) {
            self.mark();
            let ending = Ending::parse(line)
                .ok_or_else(|| self.altered(piece.end(), "the ending is unreadable"))?;
            self.ended = Some((ending, self.marks));
            Ok(())
        } else {
            self.died = self.died.take().or_else(|| proof::parse_died(line));
            Ok(())
        }
    }

    fn proof(&mut self, piece: &Piece<'_>) -> Result<(), Verdict> {
        let Some(proof) = Proof::parse(piece.bytes) else {
            return Err(self.altered(piece.end(), "a proof is unreadable"));
        };
        let Some(at) = self
            .open_marks
            .iter()
            .position(|mark| mark.number == proof.n)
        else {
            return Err(self.altered(piece.end(), "a proof without its mark"));
        };
        let Some(mark) = self.open_marks.remove(at) else {
            return Ok(());
        };
        let signed = proof
            .signature()
            .is_some_and(|sig| self.key.verifies(&mark.message(), &sig));
        let fits = proof.offset == mark.offset() && proof.blake3 == mark.hash_hex();
        if signed {
            // The signature tells that the bytes are right, so what differs is the text of the proof.
            self.proven = self.proven.max(mark.offset());
        }
        if !fits {
            let before = if signed {
                piece.end()
            } else {
                mark.offset().max(self.proven)
            };
            return Err(self.altered(before, "the hash differs"));
        }
        if proof.key != self.fingerprint {
            return Err(if signed {
                self.altered(piece.end(), "a proof names another key than signed it")
            } else {
                Verdict::ForeignKey {
                    found: proof.key,
                    expected: self.fingerprint.clone(),
                    at: piece.offset,
                }
            });
        }
        if !signed {
            return Err(Verdict::BadSignature {
                at: piece.offset,
                proven: self.proven,
            });
        }
        self.proofs += 1;
        let of_ending = self
            .ended
            .as_ref()
            .is_some_and(|(_, number)| *number == proof.n);
        if proof.last != of_ending {
            return Err(self.altered(
                piece.end(),
                "a proof in the middle is passed off as the final one, or the reverse",
            ));
        }
        if proof.last && mark.offset() != piece.offset {
            return Err(self.altered(piece.offset, "bytes between the ending and the final proof"));
        }
        self.sealed = proof.last;
        Ok(())
    }

    /// Takes the head of everything so far.
    fn mark(&mut self) {
        self.hash();
        self.marks += 1;
        let mut head = Head::new(
            self.subject.session.clone(),
            self.offset,
            *self.hasher.finalize().as_bytes(),
        );
        head.number = self.marks;
        if self.open_marks.len() == OPEN_MARKS {
            self.open_marks.pop_front();
        }
        self.open_marks.push_back(head);
    }

    fn absorb(&mut self, bytes: &[u8]) {
        let due = self
            .expected
            .and_then(|head| head.offset().checked_sub(self.offset))
            .and_then(|n| usize::try_from(n).ok());
        let (before, after) = due
            .and_then(|n| bytes.split_at_checked(n))
            .unwrap_or((bytes, &[]));
        self.unhashed.extend_from_slice(before);
        if before.len() < bytes.len() || due == Some(bytes.len()) {
            self.hash();
            self.as_expected = self
                .expected
                .map(|head| head.hash() == self.hasher.finalize().as_bytes());
        }
        self.unhashed.extend_from_slice(after);
        self.offset += bytes.len() as u64;
        if self.unhashed.len() >= HASH_AT {
            self.hash();
        }
    }

    fn hash(&mut self) {
        self.hasher.update(&self.unhashed);
        self.unhashed.clear();
    }

    fn altered(&self, before: u64, what: &'static str) -> Verdict {
        Verdict::AlteredAt {
            after: self.proven,
            before,
            what,
        }
    }

    /// The verdict at the end of the file.
    fn verdict(self) -> Verdict {
        if self.frames.as_ref().is_some_and(Frames::is_waiting) {
            return self.altered(self.offset, "a frame is missing");
        }
        if let Some(expected) = self.expected {
            match self.as_expected {
                None => {
                    return Verdict::TruncatedAt {
                        offset: self.offset,
                        proven: self.proven,
                    };
                }
                Some(false) => {
                    let after = if self.proven < expected.offset() {
                        self.proven
                    } else {
                        0
                    };
                    return Verdict::AlteredAt {
                        after,
                        before: expected.offset(),
                        what: "the journal remembers another hash",
                    };
                }
                Some(true) => {}
            }
        }
        let proven = self.proven.max(self.expected.map_or(0, Head::offset));
        match (self.ended, self.sealed) {
            (Some((ending, _)), true) => Verdict::Intact {
                session: self.subject.session,
                size: self.offset,
                proofs: self.proofs,
                key: self.fingerprint,
                trusted: self.trusted,
                ending,
            },
            _ if self.cut => Verdict::TruncatedAt {
                offset: self.offset,
                proven,
            },
            (ended, _) => {
                let reason = match (ended, self.died) {
                    (Some(_), _) => Unsealed::NeverSealed,
                    (None, Some(why)) => Unsealed::RecorderDied(why),
                    (None, None) => Unsealed::Crashed,
                };
                Verdict::Unsealed {
                    reason,
                    proven,
                    unproven: self.offset - proven,
                }
            }
        }
    }
}
