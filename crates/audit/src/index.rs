//! In: rows made from the journal's events.
//! Out: rows by session, and keys that find the newest of a user, load balancer or amphora.
//! Never: the truth: everything here can be thrown away and made again from the journal.

use crate::error::AuditError;
use crate::event::Event;
use crate::line::{Envelope, LineHash};
use crate::row::SessionRow;
use crate::segment::Segment;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use ulid::Ulid;

/// Memory that sled may keep pages in while the gateway runs, in bytes.
const CACHE: u64 = 8 << 20;
/// sled reads the head of each of its segments when it opens: with the usual 512 KiB, a million sessions are 4,000
/// reads, which a cold disk answers in seconds. In bytes.
const SLED_SEGMENT: usize = 4 << 20;
/// Changing the form of keys or rows changes this, and an index of another form is rebuilt.
const FORM: &[u8] = b"ampgate session index 1";

/// The session index. Cheap to clone; all clones are the same index.
#[derive(Clone)]
pub struct Index {
    pub(crate) dir: PathBuf,
    db: sled::Db,
    /// session -> row
    pub(crate) rows: sled::Tree,
    /// short hash of (kind, value) + session -> nothing
    pub(crate) by: sled::Tree,
    /// session -> nothing, while it runs
    pub(crate) live: sled::Tree,
    /// "form", "place"
    meta: sled::Tree,
}

/// What a session can be found by.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    User = b'u' as isize,
    LoadBalancer = b'l' as isize,
    LoadBalancerName = b'n' as isize,
    Amphora = b'a' as isize,
}

/// Keys of one kind and value share these bytes. A hash, so that no name's length or bytes matter; two names with the
/// same hash are told apart by the row.
pub(crate) fn by_prefix(kind: Kind, value: &str) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind as u8]).update(value.as_bytes());
    let mut prefix = [0; 8];
    hasher.finalize_xof().fill(&mut prefix);
    prefix
}

/// A session's ULID as 16 bytes: they sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct SessionKey([u8; 16]);

impl SessionKey {
    pub const FIRST: SessionKey = SessionKey([0; 16]);
    pub const END: SessionKey = SessionKey([0xff; 16]);

    pub fn parse(id: &str) -> Option<SessionKey> {
        let ulid = Ulid::from_string(id).ok()?;
        // One session has one spelling: what is not the canonical one is no session's id.
        (ulid.to_string() == id).then(|| SessionKey(ulid.0.to_be_bytes()))
    }

    pub fn first_at(time: Timestamp) -> SessionKey {
        let milliseconds = u64::try_from(time.as_millisecond()).unwrap_or(0);
        SessionKey(Ulid::from_parts(milliseconds, 0).0.to_be_bytes())
    }

    /// The session of a key in any tree: its last 16 bytes.
    pub fn of_entry(key: &[u8]) -> Option<SessionKey> {
        key.last_chunk::<16>().copied().map(SessionKey)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn id(self) -> String {
        Ulid(u128::from_be_bytes(self.0)).to_string()
    }
}

/// How far the journal is in the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub segment: String,
    /// Behind the last line taken in.
    pub offset: u64,
    pub seq: u64,
    pub hash: [u8; 32],
}

impl Index {
    /// Opens the index of a directory, made if absent. Fails if it is damaged or in use.
    pub fn open(dir: &Path) -> Result<Index, AuditError> {
        Index::open_with(dir, CACHE)
    }

    /// Opens the index, or starts an empty one in the place of one that does not open: says so in the second value.
    /// [`Index::follow`] then fills it from the journal.
    pub fn open_or_new(dir: &Path) -> Result<(Index, Option<String>), AuditError> {
        let why = match Index::open(dir) {
            Ok(index) => return Ok((index, None)),
            Err(AuditError::Index { why, .. }) if !in_use(&why) => why,
            Err(fault) => return Err(fault),
        };
        let broken = dir.with_extension("broken");
        // Only the newest broken index is kept: it is of use to a developer, not to an auditor.
        let _ = fs::remove_dir_all(&broken);
        fs::rename(dir, &broken).map_err(AuditError::io("move", dir))?;
        Ok((Index::open(dir)?, Some(why)))
    }

    pub(crate) fn open_with(dir: &Path, cache: u64) -> Result<Index, AuditError> {
        let fault = |why: String| AuditError::Index {
            path: dir.into(),
            why,
        };
        // sled answers some damages with a panic; for a copy that can be rebuilt that is only one more error.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let db = sled::Config::new()
                .path(dir)
                .cache_capacity(cache)
                .segment_size(SLED_SEGMENT)
                .mode(sled::Mode::LowSpace)
                .flush_every_ms(Some(1000))
                .open()?;
            let [rows, by, live, meta] =
                ["rows", "by", "live", "meta"].map(|name| db.open_tree(name));
            Ok(Index {
                dir: dir.into(),
                rows: rows?,
                by: by?,
                live: live?,
                meta: meta?,
                db,
            })
        }));
        let index = opened
            .map_err(|_| fault("it is damaged".to_owned()))?
            .map_err(|fault_of_sled: sled::Error| fault(fault_of_sled.to_string()))?;
        index.check_form()?;
        Ok(index)
    }

    fn check_form(&self) -> Result<(), AuditError> {
        match self.meta.get("form").map_err(|fault| self.fault(fault))? {
            Some(form) if form == FORM => Ok(()),
            Some(_) => Err(AuditError::Index {
                path: self.dir.clone(),
                why: "it has another version's form".to_owned(),
            }),
            None => self
                .meta
                .insert("form", FORM)
                .map(drop)
                .map_err(|fault| self.fault(fault)),
        }
    }

    /// How many sessions run.
    pub fn live_count(&self) -> usize {
        self.live.len()
    }

    /// Puts everything on disk. Called at the end; while running sled does it each second.
    pub fn flush(&self) -> Result<(), AuditError> {
        self.db.flush().map(drop).map_err(|fault| self.fault(fault))
    }

    pub(crate) fn fault(&self, fault: sled::Error) -> AuditError {
        AuditError::Index {
            path: self.dir.clone(),
            why: fault.to_string(),
        }
    }

    pub(crate) fn row(&self, key: SessionKey) -> Result<Option<SessionRow>, AuditError> {
        let bytes = self
            .rows
            .get(key.bytes())
            .map_err(|fault| self.fault(fault))?;
        Ok(bytes.and_then(|bytes| SessionRow::decode(&key.id(), &bytes)))
    }

    pub(crate) fn place(&self) -> Result<Option<Place>, AuditError> {
        let bytes = self.meta.get("place").map_err(|fault| self.fault(fault))?;
        Ok(bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok()))
    }

    pub(crate) fn clear(&self) -> Result<(), AuditError> {
        let trees = [&self.rows, &self.by, &self.live];
        trees
            .into_iter()
            .try_for_each(|tree| tree.clear())
            .map_err(|fault| self.fault(fault))?;
        self.meta
            .remove("place")
            .map(drop)
            .map_err(|fault| self.fault(fault))
    }
}

fn in_use(why: &str) -> bool {
    why.contains("lock")
}

/// Changes gathered from some lines, then written at once.
pub(crate) struct Pending<'a> {
    index: &'a Index,
    rows: BTreeMap<SessionKey, (SessionRow, bool)>,
}

impl<'a> Pending<'a> {
    pub fn new(index: &'a Index) -> Pending<'a> {
        Pending {
            index,
            rows: BTreeMap::new(),
        }
    }

    /// Takes one line in. Lines that are no session's change nothing.
    pub fn take(&mut self, line: &[u8], envelope: &Envelope) -> Result<(), AuditError> {
        if envelope.event == "gateway.started" {
            return self.all_lost(envelope.time);
        }
        let of_a_session = ["recording.", "session.", "upstream.refused"];
        if !of_a_session
            .iter()
            .any(|start| envelope.event.starts_with(start))
        {
            return Ok(());
        }
        let Some((id, key)) = envelope
            .session
            .as_deref()
            .and_then(|id| Some((id, SessionKey::parse(id)?)))
        else {
            return Ok(());
        };
        // An event of a later version, unknown here, is in the journal all the same.
        let Ok(event) = serde_json::from_slice::<Event>(line) else {
            return Ok(());
        };
        let opened = match &event {
            Event::RecordingOpened { about, recording }
            | Event::SessionOpened { about, recording }
            | Event::SessionClosed {
                about, recording, ..
            } => Some((about, recording)),
            _ => None,
        };
        if !self.rows.contains_key(&key) {
            let known = self.index.row(key)?;
            let fresh = known.is_none();
            let new = || {
                opened.map(|(about, path)| SessionRow::new(id, envelope.time, about, path.as_str()))
            };
            let Some(row) = known.or_else(new) else {
                return Ok(());
            };
            self.rows.insert(key, (row, fresh));
        }
        if let Some((row, _)) = self.rows.get_mut(&key) {
            row.take(envelope.time, &event);
        }
        Ok(())
    }

    /// Takes a row in that no journal line told of (reindex, from a recording). Keeps what is known already.
    pub fn put(&mut self, row: SessionRow) -> Result<bool, AuditError> {
        let Some(key) = SessionKey::parse(&row.id) else {
            return Ok(false);
        };
        if self.rows.contains_key(&key) || self.index.row(key)?.is_some() {
            return Ok(false);
        }
        self.rows.insert(key, (row, true));
        Ok(true)
    }

    /// A gateway starts: whatever was live before has ended without being closed.
    fn all_lost(&mut self, time: Timestamp) -> Result<(), AuditError> {
        for entry in self.index.live.iter() {
            let (key, _) = entry.map_err(|fault| self.index.fault(fault))?;
            let Some(key) = SessionKey::of_entry(&key) else {
                continue;
            };
            if !self.rows.contains_key(&key)
                && let Some(row) = self.index.row(key)?
            {
                self.rows.insert(key, (row, false));
            }
        }
        self.rows
            .values_mut()
            .filter(|(row, _)| row.is_live())
            .for_each(|(row, _)| row.lost(time));
        Ok(())
    }

    /// Writes the changes, then how far the journal has been taken in: after a crash between the two, some lines are
    /// taken in twice, which changes nothing.
    pub fn write(&mut self, place: Option<&Place>) -> Result<u64, AuditError> {
        let (mut rows, mut by, mut live) = (
            sled::Batch::default(),
            sled::Batch::default(),
            sled::Batch::default(),
        );
        let mut fresh_rows = 0;
        for (key, (row, fresh)) in std::mem::take(&mut self.rows) {
            let Some(bytes) = row.encode() else { continue };
            rows.insert(key.bytes(), bytes);
            match row.is_live() {
                true => live.insert(key.bytes(), &[]),
                false => live.remove(key.bytes()),
            }
            if fresh {
                fresh_rows += 1;
                for prefix in prefixes(&row) {
                    by.insert([prefix.as_slice(), key.bytes()].concat(), &[]);
                }
            }
        }
        let index = self.index;
        let write = || -> Result<(), sled::Error> {
            index.by.apply_batch(by)?;
            index.rows.apply_batch(rows)?;
            index.live.apply_batch(live)?;
            if let Some(place) = place.and_then(|place| postcard::to_allocvec(place).ok()) {
                index.meta.insert("place", place)?;
            }
            Ok(())
        };
        write().map_err(|fault| index.fault(fault))?;
        Ok(fresh_rows)
    }
}

fn prefixes(row: &SessionRow) -> [[u8; 8]; 4] {
    [
        by_prefix(Kind::User, &row.user),
        by_prefix(Kind::LoadBalancer, &row.load_balancer),
        by_prefix(Kind::LoadBalancerName, &row.load_balancer_name),
        by_prefix(Kind::Amphora, &row.amphora),
    ]
}

impl Place {
    pub(crate) fn new(at: (Segment, u64), seq: u64, line: &[u8]) -> Place {
        Place {
            segment: at.0.to_string(),
            offset: at.1,
            seq,
            hash: LineHash::of(line).0,
        }
    }

    pub(crate) fn segment(&self) -> Option<Segment> {
        Segment::parse(&self.segment)
    }
}
