//! In: the journal and the recording store.
//! Out: an index made anew, put in the old one's place at once.
//! Never: runs beside a gateway: it would go on writing to the index that was replaced.

use crate::contents::contents;
use crate::error::AuditError;
use crate::feed::take_lines;
use crate::follow::Follower;
use crate::index::{Index, Pending};
use crate::journal::{lock, sync_dir};
use crate::row::SessionRow;
use ampgate_recording::{Envelope, Header, Reader, Store, Verdict, verify};
use std::collections::BTreeMap;
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
pub fn reindex(
    journal_dir: &Path,
    store_dir: &Path,
    index_dir: &Path,
) -> Result<Reindexed, AuditError> {
    let _held = lock(journal_dir)?;
    let (new, old) = (
        index_dir.with_extension("new"),
        index_dir.with_extension("old"),
    );
    remove(&new)?;
    let found = build(journal_dir, store_dir, &new)?;
    // Opening writes what sled would otherwise have to work out again from its whole log at the gateway's next start.
    drop(Index::open(&new)?);
    remove(&old)?;
    if index_dir.exists() {
        fs::rename(index_dir, &old).map_err(AuditError::io("move", index_dir))?;
    }
    fs::rename(&new, index_dir).map_err(AuditError::io("move", &new))?;
    if let Some(parent) = index_dir
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        sync_dir(parent)?;
    }
    remove(&old)?;
    Ok(found)
}

fn build(journal_dir: &Path, store_dir: &Path, new: &Path) -> Result<Reindexed, AuditError> {
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
    if store_dir.exists() {
        found.unjournalled = unjournalled(&index, store_dir, &contents(journal_dir, None)?)?;
    }
    index.flush()?;
    Ok(found)
}

/// Recordings without a line in the journal: it was lost, or somebody put a file there. Listed, and said to be so.
/// A sealed one of a file's content cannot be told from a session without its line.
fn unjournalled(
    index: &Index,
    store_dir: &Path,
    contents: &BTreeMap<String, String>,
) -> Result<u64, AuditError> {
    let mut found = 0;
    for path in Store::recordings(store_dir) {
        let path = path.map_err(AuditError::io("list", store_dir))?;
        let id = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if contents.contains_key(id) || index.session(id)?.is_some() {
            continue;
        }
        // What has no header of ours is `ampgate-replay verify`'s to name; there is nothing to list.
        let Some(row) = row(&path, store_dir).filter(|row| row.id == id) else {
            continue;
        };
        let mut pending = Pending::new(index);
        if pending.put(row)? {
            found += pending.write(None)?;
        }
    }
    Ok(found)
}

/// What the recording itself tells; a sealed one only which session it is, and when.
fn row(path: &Path, store_dir: &Path) -> Option<SessionRow> {
    let told = match Envelope::of(path) {
        Ok(Some(envelope)) => SessionRow {
            id: envelope.session().to_owned(),
            started: envelope.started(),
            ended: Some(envelope.started()),
            ..SessionRow::default()
        },
        _ => of_header(Reader::open_path(path).ok()?.header())?,
    };
    let below = path
        .strip_prefix(store_dir)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    let (outcome, sealed, bytes_out, bytes_in) = match verify(path, None) {
        Ok(Verdict::Intact { ending, .. }) => (
            ending.reason,
            true,
            ending.stdout.saturating_add(ending.stderr),
            ending.input,
        ),
        Ok(Verdict::Unsealed { .. }) => ("unsealed".to_owned(), false, 0, 0),
        Ok(_) => ("damaged".to_owned(), false, 0, 0),
        Err(_) => ("unreadable".to_owned(), false, 0, 0),
    };
    Some(SessionRow {
        outcome: format!("not in the journal: {outcome}"),
        bytes_out,
        bytes_in,
        recording: below,
        sealed,
        ..told
    })
}

/// None for the content of a file: no session.
fn of_header(header: &Header) -> Option<SessionRow> {
    (header.action != "content").then(|| SessionRow {
        id: header.session.clone(),
        user: header.user.clone(),
        source: header.source.clone(),
        target: header.target.clone(),
        amphora: header.amphora.clone(),
        load_balancer: header.load_balancer.clone(),
        load_balancer_name: header.load_balancer_name.clone(),
        project: header.project.clone(),
        landing: header.landing.clone(),
        action: header.action.clone(),
        command: header
            .command
            .as_deref()
            .map(|command| crate::text::Text::from(command).to_string()),
        started: header.started,
        // Nobody writes it any more: the gateway is down while this runs.
        ended: Some(header.started),
        ..SessionRow::default()
    })
}

fn remove(dir: &Path) -> Result<(), AuditError> {
    match fs::remove_dir_all(dir) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => {
            Err(AuditError::io("remove", dir)(fault))
        }
        _ => Ok(()),
    }
}
