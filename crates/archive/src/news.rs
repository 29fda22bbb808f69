//! In: what the archive did. Out: the same, to the gateway's journal, in order, when the gateway can take it.
//! Never: lost in between: each is on disk before it is done, and goes from there when it was told (twice, after a crash).

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::directory::write_whole;
use crate::error::ArchiveError;
use crate::hash::Sha256;
use crate::name::Key;
use crate::state::Ended;

/// Told at once: so many, and of so many bytes unless one alone has more. The gateway reads no longer requests than twice that.
const AT_ONCE: usize = 50;
const BYTES_AT_ONCE: usize = 32 << 10;

/// What an archive can say: a closed list, an event of the journal each.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "kebab-case", deny_unknown_fields)]
pub enum News {
    /// A whole file is in the store, and was read back.
    Shipped {
        /// Which.
        name: Key,
        /// Its bytes.
        size: u64,
        /// Their hash.
        sha256: Sha256,
        /// How it ended.
        ended: Ended,
    },
    /// It does not get on: said once, until it does.
    Failed {
        /// The file, if it is one file's fault.
        name: Option<Key>,
        /// A sentence.
        why: String,
    },
    /// It gets on again.
    Resumed {
        /// Passes that failed in between.
        failures: u32,
    },
    /// A local copy is removed: its days are over, and the store's was read once more.
    LocalRemoved {
        /// Which.
        name: Key,
        /// What the store has.
        sha256: Sha256,
    },
    /// A recording is removed from the store, and with that for good.
    Deleted {
        /// Which; the file's name in the archive.
        name: Key,
        /// Who wanted it so.
        why: String,
    },
}

/// Who writes news down.
#[async_trait]
pub trait Witness: Send + Sync {
    /// True: all of it is written down.
    async fn tell(&self, news: &[News]) -> bool;
}

/// What was not told yet.
pub(crate) struct Outbox(PathBuf);

impl Outbox {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Durable when it returns.
    pub(crate) fn add(&self, news: &News) -> Result<(), ArchiveError> {
        let fault = ArchiveError::local(&self.0);
        let append = || {
            let mut line = serde_json::to_vec(news)?;
            // A line that a crash tore before is ended with this.
            line.insert(0, b'\n');
            line.push(b'\n');
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(&self.0)?;
            file.write_all(&line)?;
            file.sync_data()
        };
        append().map_err(fault)
    }

    pub(crate) async fn deliver(&self, witness: &dyn Witness) -> Result<(), ArchiveError> {
        // By lines of bytes: a crash may have torn one within a character.
        let text = match std::fs::read(&self.0) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            text => text.map_err(ArchiveError::local(&self.0))?,
        };
        let lines = text.split(|byte| *byte == b'\n');
        let waiting: Vec<(News, usize)> = lines
            .filter_map(|line| Some((serde_json::from_slice(line).ok()?, line.len())))
            .collect();
        let mut told = 0;
        while told < waiting.len() {
            let mut bytes = 0;
            let some: Vec<News> = waiting
                .iter()
                .skip(told)
                .take(AT_ONCE)
                .take_while(|(_, length)| {
                    let first = bytes == 0;
                    bytes += length + 1;
                    first || bytes <= BYTES_AT_ONCE
                })
                .map(|(news, _)| news.clone())
                .collect();
            if !witness.tell(&some).await {
                break;
            }
            told += some.len();
        }
        if told == 0 {
            return Ok(());
        }
        let rest = waiting
            .iter()
            .skip(told)
            .filter_map(|(news, _)| serde_json::to_string(news).ok());
        let rest: String = rest.map(|line| line + "\n").collect();
        write_whole(&self.0, rest.as_bytes()).map_err(ArchiveError::local(&self.0))
    }
}
