//! In: the journal and the recording store.
//! Out: an index made anew, put in the old one's place at once.
//! Never: runs beside a gateway: it would go on writing to the index that was replaced.

use crate::error::AuditError;
use crate::feed::take_lines;
use crate::follow::Follower;
use crate::index::Index;
use crate::journal::{lock, sync_dir};
use std::fs;
use std::path::Path;

/// Memory for sled's pages while an index is built, in bytes.
const BUILD_CACHE: u64 = 256 << 20;

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reindexed {
    /// Lines of the journal.
    pub lines: u64,
    /// Sessions from the journal.
    pub sessions: u64,
    /// Recordings in the store that no line of the journal tells of, taken in from their headers.
    pub unjournalled: u64,
}

/// Builds the index anew. The old one stays in use until the new one is complete, and is deleted then.
pub fn reindex(journal_dir: &Path, store_dir: &Path, index_dir: &Path) -> Result<Reindexed, AuditError> {
    let _held = lock(journal_dir)?;
    let (new, old) = (index_dir.with_extension("new"), index_dir.with_extension("old"));
    remove(&new)?;
    let found = build(journal_dir, store_dir, &new)?;
    remove(&old)?;
    if index_dir.exists() {
        fs::rename(index_dir, &old).map_err(AuditError::io("move", index_dir))?;
    }
    fs::rename(&new, index_dir).map_err(AuditError::io("move", &new))?;
    if let Some(parent) = index_dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        sync_dir(parent)?;
    }
    remove(&old)?;
    Ok(found)
}

fn build(journal_dir: &Path, _store_dir: &Path, new: &Path) -> Result<Reindexed, AuditError> {
    let index = Index::open_with(new, BUILD_CACHE)?;
    let mut follower = Follower::new(journal_dir, None);
    let mut found = Reindexed::default();
    loop {
        let (lines, fresh, _) = take_lines(&index, &mut follower)?;
        found.lines += lines as u64;
        found.sessions += fresh;
        if lines == 0 {
            break;
        }
    }
    index.flush()?;
    Ok(found)
}

fn remove(dir: &Path) -> Result<(), AuditError> {
    match fs::remove_dir_all(dir) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => Err(AuditError::io("remove", dir)(fault)),
        _ => Ok(()),
    }
}
