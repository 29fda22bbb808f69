//! In: what was proved to be in the store, what the journal said of sessions. Out: the same after any crash.
//! Never: ahead of the store: a line is written after the proof, and half a line counts for nothing.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::directory::write_whole;
use crate::error::ArchiveError;
use crate::manifest::{Manifest, Volume};
use crate::name::Key;

/// The file is written anew when it has so many lines more than there is to say.
const SLACK: usize = 10_000;

/// How a file came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// A recording that the gateway closed and the signer sealed.
    Sealed,
    /// A recording that nobody sealed: the gateway died, or the signer did not answer. It never leaves this machine by itself.
    Unsealed,
    /// A day of the journal that is over, or a torn line of it. The journal is never removed.
    Rolled,
}

/// What is known of one session's end; from the journal.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Session {
    /// None: it goes on.
    pub(crate) ended: Option<Ended>,
    pub(crate) head: Option<String>,
}

/// What is known of one file in the store.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    /// How many bytes are there as parts.
    #[serde(default)]
    pub(crate) grown: u64,
    /// The proved volumes of a file that is not wholly there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) volumes: Vec<Volume>,
    /// The whole file, every byte of it read back.
    #[serde(default)]
    pub(crate) shipped: Option<Manifest>,
    /// Whether the parts of its growing have been removed.
    #[serde(default)]
    pub(crate) tidy: bool,
}

/// How far the journal was read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Cursor {
    pub(crate) segment: String,
    pub(crate) offset: u64,
}

/// One line: all of it happened, or none.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<Cursor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sessions: BTreeMap<String, Option<Session>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) records: BTreeMap<Key, Option<Record>>,
}

/// Only of what lies on this machine: the rest is in the store's own manifests.
pub(crate) struct State {
    path: PathBuf,
    file: File,
    lines: usize,
    /// Where the last whole line ends.
    length: u64,
    /// An append failed: what may be behind `length` goes before the next, or the two would be one unreadable line.
    torn: bool,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) records: BTreeMap<Key, Record>,
}

impl State {
    pub(crate) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let mut known = Change::default();
        match File::open(path) {
            Ok(file) => read(file, &mut known).map_err(ArchiveError::local(path))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(ArchiveError::local(path)(error)),
        }
        let (file, length) = fresh(path, &known)?;
        let mut state = Self {
            path: path.to_owned(),
            file,
            lines: 1,
            length,
            torn: false,
            cursor: None,
            sessions: BTreeMap::new(),
            records: BTreeMap::new(),
        };
        state.take(known);
        Ok(state)
    }

    pub(crate) fn record(&self, key: &Key) -> Record {
        self.records.get(key).cloned().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, key: &Key, record: Record) -> Result<(), ArchiveError> {
        self.apply(Change {
            records: BTreeMap::from([(key.clone(), Some(record))]),
            ..Change::default()
        })
    }

    /// Durable when it returns.
    pub(crate) fn apply(&mut self, change: Change) -> Result<(), ArchiveError> {
        let mut line =
            serde_json::to_vec(&change).map_err(|e| ArchiveError::local(&self.path)(e.into()))?;
        line.push(b'\n');
        if self.torn {
            let cut = self.file.set_len(self.length);
            cut.map_err(ArchiveError::local(&self.path))?;
        }
        self.torn = true;
        let written = self
            .file
            .write_all(&line)
            .and_then(|()| self.file.sync_data());
        written.map_err(ArchiveError::local(&self.path))?;
        self.torn = false;
        self.length += line.len() as u64;
        self.lines += 1;
        self.take(change);
        if self.lines > SLACK + self.records.len() + self.sessions.len() {
            (self.file, self.length) = fresh(&self.path, &self.all())?;
            self.lines = 1;
        }
        Ok(())
    }

    fn take(&mut self, change: Change) {
        self.cursor = change.cursor.or(self.cursor.take());
        merge(&mut self.sessions, change.sessions);
        merge(&mut self.records, change.records);
    }

    fn all(&self) -> Change {
        let sessions = self.sessions.iter();
        let records = self.records.iter();
        Change {
            cursor: self.cursor.clone(),
            sessions: sessions
                .map(|(id, s)| (id.clone(), Some(s.clone())))
                .collect(),
            records: records
                .map(|(key, r)| (key.clone(), Some(r.clone())))
                .collect(),
        }
    }
}

fn merge<K: Ord, V>(into: &mut BTreeMap<K, V>, changes: BTreeMap<K, Option<V>>) {
    for (key, value) in changes {
        match value {
            Some(value) => into.insert(key, value),
            None => into.remove(&key),
        };
    }
}

/// A last line without its newline was torn by a crash; any other that cannot be read is damage.
fn read(file: File, known: &mut Change) -> std::io::Result<()> {
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        if line.pop() != Some(b'\n') {
            break;
        }
        let change: Change = serde_json::from_slice(&line)?;
        known.cursor = change.cursor.or(known.cursor.take());
        // What was dropped is dropped here too, or the file would never shrink.
        for (id, session) in change.sessions {
            match session {
                None => known.sessions.remove(&id),
                some => known.sessions.insert(id, some),
            };
        }
        for (key, record) in change.records {
            match record {
                None => known.records.remove(&key),
                some => known.records.insert(key, some),
            };
        }
        line.clear();
    }
    Ok(())
}

/// The file anew, with one line, and its length.
fn fresh(path: &Path, all: &Change) -> Result<(File, u64), ArchiveError> {
    let fault = ArchiveError::local(path);
    let mut line = serde_json::to_vec(all).map_err(|e| ArchiveError::local(path)(e.into()))?;
    line.push(b'\n');
    let written = write_whole(path, &line);
    let opened = written.and_then(|()| OpenOptions::new().append(true).mode(0o600).open(path));
    opened.map(|file| (file, line.len() as u64)).map_err(fault)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_set_is_there_again_whatever_a_crash_left_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.jsonl");
        let key = Key::parse("journal/journal-2026-11-23.jsonl").unwrap();
        let other = Key::parse("journal/journal-2026-11-24.jsonl").unwrap();
        let mut state = State::open(&path).unwrap();
        let grown = |grown| Record {
            grown,
            ..Record::default()
        };
        state.set(&key, grown(5)).unwrap();
        state.set(&key, grown(9)).unwrap();
        state.set(&other, grown(1)).unwrap();
        let change = Change {
            records: BTreeMap::from([(other, None)]),
            ..Change::default()
        };
        state.apply(change).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for torn in [
            "",
            "{",
            "{\"records\":{\"journal/journal-2026-11-23.jsonl\":null}}",
        ] {
            std::fs::write(&path, [&whole, torn.as_bytes()].concat()).unwrap();
            let again = State::open(&path).unwrap();
            assert_eq!(
                again.records,
                BTreeMap::from([(key.clone(), grown(9))]),
                "{torn}"
            );
        }
        std::fs::write(&path, "noise\n").unwrap();
        assert!(State::open(&path).is_err());
    }

    #[test]
    fn an_append_that_failed_halfway_is_cut_off_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.jsonl");
        let key = Key::parse("journal/journal-2026-11-23.jsonl").unwrap();
        let mut state = State::open(&path).unwrap();
        state.file.write_all(b"{\"records\":{\"jour").unwrap();
        state.torn = true;
        state.set(&key, Record::default()).unwrap();
        assert!(State::open(&path).unwrap().records.contains_key(&key));
    }
}
