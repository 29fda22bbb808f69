//! In: what the store, this disk or the bytes did. Out: one enum, each a sentence.
//! Never: a secret, or more than the beginning of what a server said.

use std::path::{Path, PathBuf};

/// What can go wrong.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ArchiveError {
    /// The store does not answer, or refuses.
    #[error("the store {store} does not take {what}: {why}")]
    Store {
        /// Which, as [`crate::Store`] shows itself.
        store: String,
        /// Method and name.
        what: String,
        /// Its words, or the network's.
        why: String,
    },
    /// What was read back is not what was sent.
    #[error(
        "{name} in the store is not what was sent there: {why}; nothing is removed here, and it is sent again"
    )]
    Differs {
        /// The object.
        name: String,
        /// How.
        why: String,
    },
    /// The store has no such object.
    #[error("{name} is not in the store")]
    Missing {
        /// The object.
        name: String,
    },
    /// A file of this machine.
    #[error("{}: {why}", path.display())]
    Local {
        /// Which.
        path: PathBuf,
        /// What about it.
        why: String,
    },
    /// The settings.
    #[error("{0}")]
    Settings(String),
}

impl ArchiveError {
    /// Whether the next file may fare alike.
    #[must_use]
    pub fn concerns_all(&self) -> bool {
        matches!(self, Self::Store { .. } | Self::Settings(_))
    }

    pub(crate) fn local(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Local {
            path,
            why: error.to_string(),
        }
    }
}

/// At most 300 characters of what a stranger said, on one line, with nothing in it that acts.
pub(crate) fn excerpt(text: &str) -> String {
    let shown = text.chars().take(300).flat_map(char::escape_debug);
    shown.collect()
}
