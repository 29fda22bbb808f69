//! In: what keeps the signer from starting.
//! Out: one sentence: which file, what is wrong, what to try.
//! Never: anything of a key but its path and fingerprint.

use std::io;
use std::path::PathBuf;

/// Why the signer does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// A file or socket could not be used.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Others can read or change a key file, or it belongs to somebody else.
    #[error("{}: {why}; a private key must belong to the signer's user (or root) with mode 0600 or 0400: try `chmod 0600` and `chown`", path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file is no key that can be used.
    #[error("{}: {why}", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// What is wrong, and what to try.
        why: String,
    },
    /// Others can put their own socket in the place of ours.
    #[error("the socket's directory {} {why}; it must belong to the signer's user or root with mode 0700 or 0750", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another signer answers on that socket.
    #[error("{} is in use: another signer answers there; stop that one first", .0.display())]
    InUse(PathBuf),
    /// Something is wrong with the configuration as a whole.
    #[error("{0}")]
    Config(String),
    /// The system refused something the signer needs.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl SignerError {
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> SignerError {
        let path = path.into();
        move |source| SignerError::Io {
            doing,
            path,
            source,
        }
    }
}
