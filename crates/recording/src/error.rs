//! In: what went wrong, where.
//! Out: one enum for writing and opening, one for reading; each sentence says what is wrong, then what to try.
//! Never: session bytes in a message; texts from a file appear escaped only.

use std::path::{Path, PathBuf};

use crate::recipient::RecipientError;

/// Why a recording could not be opened, continued or examined.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The store's directory is missing, of the wrong kind, or open to others.
    #[error("recording store {}: {why}", dir.display())]
    Store {
        /// The store's directory.
        dir: PathBuf,
        /// What is wrong and what to try.
        why: String,
    },
    /// Less space is free than the reserve, so that no new session is begun.
    #[error(
        "recording store {} has {free} bytes free and keeps {reserve} in reserve; free space or lower recording.reserve",
        dir.display()
    )]
    BelowReserve {
        /// The store's directory.
        dir: PathBuf,
        /// Bytes free to an unprivileged user.
        free: u64,
        /// Bytes that must stay free.
        reserve: u64,
    },
    /// The id is no ULID: 26 characters of Crockford's base 32.
    #[error("{0:?} is no session id; an id has 26 characters of 0-9 and A-Z without I, L, O and U")]
    SessionId(String),
    /// A header that no reader would accept.
    #[error(
        "recording header of {0} bytes is too large; the limit is 8 MiB (a shorter command helps)"
    )]
    HeaderTooLarge(usize),
    /// A file of this session and channel exists already.
    #[error("recording {} exists already; a session id is never used twice, so look for a second gateway on this store", .0.display())]
    Exists(PathBuf),
    /// No space, or a quota or a size limit is reached.
    #[error("recording {}: no space to {doing} ({source}); free space on that file system", path.display())]
    Full {
        /// The recording.
        path: PathBuf,
        /// What was attempted.
        doing: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Any other failure of the file system.
    #[error("recording {}: cannot {doing} ({source}); check the file system and its permissions", path.display())]
    Io {
        /// The recording.
        path: PathBuf,
        /// What was attempted.
        doing: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An earlier write failed: nothing is recorded any more.
    #[error("recording {} died of an earlier failure; nothing more is recorded, so end the session", .0.display())]
    Dead(PathBuf),
    /// A signature that the sealing key of the header did not make, or a head of another recording.
    #[error("recording {}: the seal is wrong ({why}); check that the signer holds the sealing key of this gateway", path.display())]
    Seal {
        /// The recording.
        path: PathBuf,
        /// What does not fit.
        why: &'static str,
    },
    /// The recipients do not let a data key be made.
    #[error("{0}")]
    Recipients(RecipientError),
    /// Text that is no Ed25519 public key.
    #[error("not an Ed25519 public key: {0}; expected a line \"ssh-ed25519 AAAA… comment\"")]
    PublicKey(&'static str),
}

impl RecordingError {
    /// A failed system call on `path`, sorted into [`RecordingError::Full`] and [`RecordingError::Io`].
    pub(crate) fn io(path: &Path, doing: &'static str, error: impl Into<std::io::Error>) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let (path, source) = (path.to_owned(), error.into());
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full {
                path,
                doing,
                source,
            },
            _ => Self::Io {
                path,
                doing,
                source,
            },
        }
    }
}

/// What is wrong with the first line of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// No complete first line.
    #[error("the file has no complete first line")]
    Missing,
    /// The first line is not JSON, or not an asciicast v3 header.
    #[error("the first line is no asciicast v3 header ({0})")]
    NoCast(String),
    /// An asciicast, but not one of ampgate's.
    #[error("an asciicast, but not of ampgate: the header has no usable \"ampgate\" object ({0})")]
    NotOurs(String),
}

/// Why a recording could not be read further, or one line of it not understood.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system or the pipe failed.
    #[error("cannot read ({0}); check the file and try again")]
    Io(#[from] std::io::Error),
    /// The identities do not open it.
    #[error("{0}")]
    Recipients(RecipientError),
    /// The recording is sealed, and no identity was given.
    #[error("the recording is sealed; give the identity of an auditor it is sealed to")]
    Sealed,
    /// An export could not be written.
    #[error("cannot write the export ({0}); check where it goes to")]
    Export(std::io::Error),
    /// The first line is not what it must be.
    #[error("not a recording of ampgate: {0}")]
    Header(#[from] HeaderFault),
    /// A line is no event; reading goes on after it.
    #[error(
        "line at byte {offset} is no event ({why}); \"ampgate-replay verify\" tells whether the file was altered"
    )]
    Line {
        /// Where the line begins, in bytes from the file's begin.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The last line has no end: the file was cut, or its recorder was killed while it wrote.
    #[error("the file ends at byte {offset} in the middle of a line; what came before it was read")]
    Cut {
        /// Where the incomplete line begins.
        offset: u64,
    },
}
