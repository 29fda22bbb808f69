//! In: what went wrong with the journal, the index or the pins.
//! Out: one error with what is wrong and what to try.
//! Never: a secret or a session's bytes in the text.

use std::io;
use std::path::PathBuf;

/// What can go wrong here. Whoever appends to the journal must treat every variant as "it was not recorded".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// A file could not be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done: "open", "write to", "sync" …
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Another process writes this journal.
    #[error("the journal in {} is in use by another process; stop that one first (`ampgate status` names it)", .0.display())]
    Locked(PathBuf),
    /// The journal's end cannot be read: not a torn line, but a damage.
    #[error("the journal segment {} has no readable line near its end: {why}; it will not be continued as if nothing had happened. \
             Run `ampgate-replay verify` on the directory, keep it aside as evidence, then start with an empty one", file.display())]
    Damaged {
        /// The last segment.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An earlier write or sync failed, so nothing more is accepted until a restart has looked at the file's end.
    #[error(
        "the journal stopped taking events after a fault ({0}); restart the gateway once the disk is well"
    )]
    Stopped(String),
    /// An event larger than any reader accepts.
    #[error("an event of {0} bytes is over the limit of 65536; it was not written")]
    TooLong(usize),
    /// An event could not be written as JSON (a fault of the program, not of the disk).
    #[error("an event could not be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    /// The index does not answer. It can be rebuilt: nothing is lost.
    #[error("the session index in {} does not answer: {why}; the journal is not touched by this, `ampgate reindex` builds the index anew", path.display())]
    Index {
        /// Its directory.
        path: PathBuf,
        /// sled's answer.
        why: String,
    },
    /// A pins file that a person changed, or that was damaged.
    #[error("{}:{line}: {why}; a pin is never guessed. Restore the file from a backup or mend that line", file.display())]
    Pins {
        /// The file of pins.
        file: PathBuf,
        /// 1-based.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// An attempt to change a pin. The caller refuses the host.
    #[error("amphora {amphora} is pinned to {pinned} and showed {offered}; a pin never changes")]
    PinHeld {
        /// The amphora's id.
        amphora: String,
        /// Fingerprint of the pinned key.
        pinned: String,
        /// Fingerprint of the key that was shown.
        offered: String,
    },
    /// Text that is no OpenSSH public key.
    #[error("not an OpenSSH public key line: {0}")]
    NotAKey(String),
}

impl AuditError {
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> AuditError {
        let path = path.into();
        move |source| AuditError::Io {
            doing,
            path,
            source,
        }
    }

    /// The disk is full: a sentence of its own for the operator.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, AuditError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
}
