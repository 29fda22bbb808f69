//! In: files that are there, that grow, that are whole; the hour. Out: all of them in the store, each byte read back and hashed.
//! Never: a clock (the hour is an argument), two requests at once, or the end of a pass for the fault of one file.
//!
//! The shipper has its process to itself, so that it reads and compresses where it stands. Dropped or killed at any point it
//! goes on from what `state` knows: what is sent twice has the same name and bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ampgate_audit::Segment;
use ampgate_inventory::back_off;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FlockOperation, flock};

use crate::directory::write_whole;
use crate::error::ArchiveError;
use crate::fetch::hash_of;
use crate::hash::{Hasher, Sha256};
use crate::manifest::{self, Manifest, Volume};
use crate::name::{self, Key, Part, What, is_torn, recording};
use crate::news::{News, Outbox, Witness};
use crate::orders::Orders;
use crate::pack::{PART, VOLUME, pack, unpack};
use crate::remote::Remote;
use crate::retention::Days;
use crate::state::{Ended, Record, State};
use crate::status::Status;
use crate::watch;

/// So many refusals of the store in a row, and no more files are tried in this pass.
const IN_A_ROW: u32 = 3;
/// Parts that could not be removed are tried again after this time.
const UNTIDY: SignedDuration = SignedDuration::from_hours(1);

/// Where things lie on this machine.
#[derive(Clone, Debug)]
pub struct Places {
    /// The recording store.
    pub recordings: PathBuf,
    /// The journal's directory.
    pub journal: PathBuf,
    /// The archive's own; made if it is missing.
    pub state: PathBuf,
}

/// What the deployer wants.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How long recordings are kept.
    pub days: Days,
    /// Whether the store locks what it has: then nothing is removed from it.
    pub locked: bool,
    /// The store, as sentences call it.
    pub store: String,
}

/// How a pass went.
#[derive(Debug, Default)]
pub struct Pass {
    /// Whole files that were proved.
    pub shipped: usize,
    /// Bytes that are not in the store.
    pub waiting_bytes: u64,
    /// The first thing that went wrong.
    pub fault: Option<ArchiveError>,
}

/// Brings files to the store, and removes what may go.
pub struct Shipper {
    pub(crate) remote: Box<dyn Remote>,
    pub(crate) places: Places,
    pub(crate) rules: Rules,
    pub(crate) state: State,
    pub(crate) orders: Orders,
    pub(crate) outbox: Outbox,
    witness: Box<dyn Witness>,
    /// Files that failed.
    failures: BTreeMap<Key, Failure>,
    /// Files whose parts could not be removed, and until when they are left alone.
    untidy: BTreeMap<Key, Timestamp>,
    /// Sessions of orders that failed, and that was told.
    pub(crate) orders_failed: BTreeSet<String>,
    /// Passes in a row that the store failed.
    outage: u32,
    /// Holds that the store knows; none before they were read.
    pub(crate) remote_holds: Option<BTreeSet<String>>,
    /// When the store was last looked through for what may go.
    pub(crate) looked: Option<Timestamp>,
    /// Local copies that this pass removed.
    pub(crate) gone: BTreeSet<Key>,
    /// Whether this pass's hour is not believed; then it removes nothing.
    pub(crate) doubt: bool,
    _lock: File,
}

/// How a file fails.
struct Failure {
    /// How often in a row.
    times: u32,
    /// Until when it is left alone.
    until: Timestamp,
    told: bool,
}

/// What the store refused in a pass.
#[derive(Default)]
struct Refusals {
    /// Files in a row, up to now.
    row: u32,
    /// It did take or show something in this pass.
    answered: bool,
    files: Vec<(Key, ArchiveError)>,
}

/// What shipping a file came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    Parts,
    Whole,
}

/// A file of this machine.
pub(crate) struct Local {
    pub(crate) key: Key,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

impl Shipper {
    /// Opens the archive's state. One shipper at a time.
    ///
    /// # Errors
    /// The state cannot be read, or another shipper has it.
    pub fn open(
        remote: Box<dyn Remote>,
        places: Places,
        rules: Rules,
        witness: Box<dyn Witness>,
    ) -> Result<Self, ArchiveError> {
        let dir = &places.state;
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir);
        made.map_err(ArchiveError::local(dir))?;
        let path = dir.join("lock");
        let mut options = fs::OpenOptions::new();
        let lock = options
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        let lock = lock.map_err(ArchiveError::local(&path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            ArchiveError::Local {
                path,
                why: "another `ampgate archive run` works on this state".to_owned(),
            }
        })?;
        Ok(Self {
            remote,
            rules,
            state: State::open(&dir.join("state.jsonl"))?,
            orders: Orders::new(dir),
            outbox: Outbox::new(dir.join("outbox.jsonl")),
            witness,
            failures: BTreeMap::new(),
            untidy: BTreeMap::new(),
            orders_failed: BTreeSet::new(),
            outage: 0,
            remote_holds: None,
            looked: None,
            gone: BTreeSet::new(),
            doubt: false,
            places,
            _lock: lock,
        })
    }

    /// Everything that can be done now.
    ///
    /// # Errors
    /// This machine: its state or its directories. What the store does wrong is in the [`Pass`].
    pub async fn pass(&mut self, now: Timestamp) -> Result<Pass, ArchiveError> {
        watch::read_on(&self.places.journal, &mut self.state)?;
        let mut files = self.scan()?;
        let failures = &self.failures;
        files.sort_by_key(|file| {
            let times = failures.get(&file.key).map_or(0, |f| f.times);
            (times, file.key.clone())
        });
        self.gone.clear();
        self.doubt_hour(&files, now);
        let mut pass = Pass::default();
        let done = self.work(&files, now, &mut pass).await;
        self.weigh(done, &mut pass)?;
        self.outbox.deliver(self.witness.as_ref()).await?;
        self.write_status(&files, now, &mut pass)?;
        Ok(pass)
    }

    /// How long to leave the store alone after this many failed passes; none of them: not at all.
    #[must_use]
    pub fn pause(&self) -> Option<std::time::Duration> {
        (self.outage > 0).then(|| back_off(self.outage, None))
    }

    async fn work(
        &mut self,
        files: &[Local],
        now: Timestamp,
        pass: &mut Pass,
    ) -> Result<(), ArchiveError> {
        let mut refusals = Refusals::default();
        let done = self.each(files, now, pass, &mut refusals).await;
        // Of a store that takes nothing at all one word is said, and not one of each file.
        let outage = done.is_err() || (refusals.row >= IN_A_ROW && !refusals.answered);
        let mut last = None;
        for (key, fault) in refusals.files {
            match outage {
                true => self.count(&key, now),
                false => self.blame(&key, fault.clone(), now, pass)?,
            }
            last = Some(fault);
        }
        done?;
        match last.filter(|_| outage) {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    async fn each(
        &mut self,
        files: &[Local],
        now: Timestamp,
        pass: &mut Pass,
        refusals: &mut Refusals,
    ) -> Result<(), ArchiveError> {
        for file in files {
            if self
                .failures
                .get(&file.key)
                .is_some_and(|failure| now < failure.until)
            {
                continue;
            }
            let done = self.ship(file, now).await;
            pass.shipped += usize::from(matches!(done, Ok(Sent::Whole)));
            let done = done.map(|sent| sent != Sent::Nothing);
            if !self.of_one(&file.key, done, now, pass, refusals)? {
                break;
            }
        }
        if refusals.row > 0 {
            // Asked anew: whether it answers at all.
            self.remote_holds = None;
        }
        self.obey(now, pass).await?;
        for file in files {
            if self.failures.contains_key(&file.key) {
                continue;
            }
            let done = self.let_go(file, now).await;
            if !self.of_one(&file.key, done, now, pass, refusals)? {
                break;
            }
        }
        self.expire(now).await
    }

    /// A fault of one file, the store's refusal too, does not end the pass. False: too many refusals in a row.
    fn of_one(
        &mut self,
        key: &Key,
        done: Result<bool, ArchiveError>,
        now: Timestamp,
        pass: &mut Pass,
        refusals: &mut Refusals,
    ) -> Result<bool, ArchiveError> {
        match done {
            Ok(answered) => {
                self.failures.remove(key);
                if answered {
                    (refusals.row, refusals.answered) = (0, true);
                }
                Ok(true)
            }
            Err(fault @ ArchiveError::Store { .. }) => {
                refusals.row += 1;
                refusals.files.push((key.clone(), fault));
                Ok(refusals.row < IN_A_ROW)
            }
            Err(fault) if fault.concerns_all() => Err(fault),
            Err(fault) => self.blame(key, fault, now, pass).map(|()| true),
        }
    }

    /// Others come first in the next pass.
    fn count(&mut self, key: &Key, now: Timestamp) {
        let failure = self.failures.entry(key.clone()).or_insert(Failure {
            times: 0,
            until: now,
            told: false,
        });
        failure.times = failure.times.saturating_add(1);
    }

    /// Told once, and the file is left alone for a while.
    fn blame(
        &mut self,
        key: &Key,
        fault: ArchiveError,
        now: Timestamp,
        pass: &mut Pass,
    ) -> Result<(), ArchiveError> {
        let known = self.failures.get(key);
        let times = known.map_or(0, |f| f.times);
        if !known.is_some_and(|f| f.told) {
            tracing::error!(name = %key, "{fault}");
            self.outbox.add(&News::Failed {
                name: Some(key.clone()),
                why: fault.to_string(),
            })?;
        }
        let wait =
            SignedDuration::try_from(back_off(times.saturating_add(1), None)).unwrap_or_default();
        let until = now.checked_add(wait).unwrap_or(now);
        let failure = Failure {
            times: times.saturating_add(1),
            until,
            told: true,
        };
        self.failures.insert(key.clone(), failure);
        pass.fault.get_or_insert(fault);
        Ok(())
    }

    /// An outage is told when it begins and when it ends.
    fn weigh(
        &mut self,
        done: Result<(), ArchiveError>,
        pass: &mut Pass,
    ) -> Result<(), ArchiveError> {
        let fault = match done {
            Err(fault) => fault,
            Ok(()) => {
                if self.outage > 0 {
                    tracing::info!("the store takes what it is sent again");
                    self.outbox.add(&News::Resumed {
                        failures: self.outage,
                    })?;
                    self.outage = 0;
                }
                return Ok(());
            }
        };
        if self.outage == 0 {
            tracing::error!("{fault}");
            self.outbox.add(&News::Failed {
                name: None,
                why: fault.to_string(),
            })?;
        }
        self.outage = self.outage.saturating_add(1);
        pass.fault = Some(fault);
        Ok(())
    }

    /// Recordings and journal as they lie there. Symbolic links are nobody's recordings.
    fn scan(&self) -> Result<Vec<Local>, ArchiveError> {
        let mut files = Vec::new();
        let mut days = vec![self.places.recordings.clone()];
        for width in [4, 2, 2] {
            let mut below = Vec::new();
            for dir in days {
                let entries = entries(&dir)?.into_iter();
                let digits =
                    |name: &str| name.len() == width && name.bytes().all(|b| b.is_ascii_digit());
                below.extend(
                    entries
                        .filter(|(name, meta, _)| meta.is_dir() && digits(name))
                        .map(|e| e.2),
                );
            }
            days = below;
        }
        for dir in days {
            for (name, meta, path) in entries(&dir)? {
                let day = path
                    .strip_prefix(&self.places.recordings)
                    .ok()
                    .and_then(Path::to_str);
                let key = day.and_then(|path| Key::parse(&format!("recordings/{path}")));
                if let (Some(key), Some(_), true) = (key, recording(&name), meta.is_file()) {
                    files.push(Local {
                        key,
                        path,
                        size: meta.size(),
                    });
                }
            }
        }
        for (name, meta, path) in entries(&self.places.journal)? {
            // An empty torn line is about to be written.
            let ours = Segment::parse(&name).is_some() || (is_torn(&name) && meta.size() > 0);
            let key = Key::parse(&format!("journal/{name}")).filter(|_| ours);
            if let (Some(key), true) = (key, meta.is_file()) {
                files.push(Local {
                    key,
                    path,
                    size: meta.size(),
                });
            }
        }
        Ok(files)
    }

    /// How a file ended; none: it may grow.
    pub(crate) fn ended(&self, key: &Key) -> Option<Ended> {
        match key.session() {
            Some(id) => self.state.sessions.get(id)?.ended,
            // A day of the journal is over when what was read of it last is of a later day.
            None => {
                let name = key.to_string();
                let name = name.strip_prefix("journal/")?;
                let over = is_torn(name)
                    || self
                        .state
                        .cursor
                        .as_ref()
                        .is_some_and(|c| c.segment.as_str() > name);
                over.then_some(Ended::Rolled)
            }
        }
    }

    async fn ship(&mut self, file: &Local, now: Timestamp) -> Result<Sent, ArchiveError> {
        let record = self.state.record(&file.key);
        let Some(ended) = self.ended(&file.key) else {
            return self.ship_growth(file, record).await;
        };
        let known = record.shipped.as_ref();
        match known {
            Some(known) if known.size == file.size && known.ended == ended => {
                self.tidy(file, record, now).await;
                Ok(Sent::Nothing)
            }
            Some(known) if known.ended != Ended::Unsealed => Err(ArchiveError::Local {
                path: file.path.clone(),
                why: format!(
                    "it was over and shipped with {} bytes and has {} now; the store keeps what it has",
                    known.size, file.size
                ),
            }),
            _ => {
                // With volumes of ours there it was asked before: what lies there is ours, good or bad.
                if known.is_none() && record.volumes.is_empty() {
                    self.refuse_another(file).await?;
                }
                self.ship_whole(file, record, ended, now).await?;
                Ok(Sent::Whole)
            }
        }
    }

    /// A gateway that was made anew on the same prefix does not write over what the dead one left there.
    async fn refuse_another(&self, file: &Local) -> Result<(), ArchiveError> {
        let name = file.key.manifest();
        let there = match self.remote.get(&name, manifest::LARGEST).await {
            Err(ArchiveError::Missing { .. }) => return Ok(()),
            there => there?,
        };
        let there = Manifest::read(&file.key, &there).ok();
        let there = there.map(|manifest| (manifest.size, manifest.sha256));
        match there.is_some() && there == hash_of(&file.path) {
            true => Ok(()),
            false => Err(ArchiveError::Local {
                path: file.path.clone(),
                why: format!(
                    "the store has another file of this name ({name}), which stays; a gateway that is made anew needs a prefix of its own"
                ),
            }),
        }
    }

    /// What a growing file has more than the store.
    async fn ship_growth(
        &mut self,
        file: &Local,
        mut record: Record,
    ) -> Result<Sent, ArchiveError> {
        let fault = || ArchiveError::local(&file.path);
        let mut sent = Sent::Nothing;
        // A torn line of the journal was taken back: from the beginning, under other names.
        if record.grown > file.size {
            record.grown = 0;
        }
        let mut source = File::open(&file.path).map_err(fault())?;
        while record.grown < file.size {
            let from = record.grown;
            source.seek(SeekFrom::Start(from)).map_err(fault())?;
            let mut plain = Vec::new();
            let limit = PART.min(file.size - from);
            (&mut source)
                .take(limit)
                .read_to_end(&mut plain)
                .map_err(fault())?;
            if plain.is_empty() {
                break;
            }
            let part = Part {
                from,
                to: from + plain.len() as u64,
                sha256: Sha256::of(&plain),
            };
            let name = file.key.part(&part);
            self.put_proved(&file.key, &name, plain, part.sha256)
                .await?;
            record.grown = part.to;
            self.state.set(&file.key, record.clone())?;
            sent = Sent::Parts;
        }
        Ok(sent)
    }

    async fn ship_whole(
        &mut self,
        file: &Local,
        mut record: Record,
        ended: Ended,
        now: Timestamp,
    ) -> Result<(), ArchiveError> {
        let (key, fault) = (&file.key, || ArchiveError::local(&file.path));
        let mut source = File::open(&file.path).map_err(fault())?;
        let count = usize::try_from(file.size.div_ceil(VOLUME as u64))
            .unwrap_or(usize::MAX)
            .max(1);
        let (mut whole, mut size) = (Hasher::default(), 0_u64);
        for at in 0..count {
            let mut plain = Vec::new();
            (&mut source)
                .take(VOLUME as u64)
                .read_to_end(&mut plain)
                .map_err(fault())?;
            whole.update(&plain);
            size += plain.len() as u64;
            let (length, sha256) = (plain.len() as u64, Sha256::of(&plain));
            let name = key.volume(at + 1, count);
            // Sent before a crash, perhaps: what is there is asked, not what was written down about it.
            if let Some(known) = record.volumes.get(at).filter(|v| v.sha256 == sha256) {
                match prove(self.remote.as_ref(), key, &name, known).await {
                    Ok(_) => continue,
                    Err(fault) if fault.concerns_all() => return Err(fault),
                    Err(_) => {}
                }
            }
            let (stored, stored_sha256) = self.put_proved(key, &name, plain, sha256).await?;
            record.volumes.truncate(at);
            record.volumes.push(Volume {
                size: length,
                sha256,
                stored,
                stored_sha256,
            });
            self.state.set(key, record.clone())?;
        }
        if size != file.size {
            return Err(fault()(std::io::Error::other(
                "it changes while it is read",
            )));
        }
        let head = key
            .session()
            .and_then(|id| self.state.sessions.get(id)?.head.clone());
        let volumes = std::mem::take(&mut record.volumes);
        let manifest = Manifest::new(
            key.clone(),
            (size, whole.finish()),
            ended,
            head,
            now,
            volumes,
        );
        self.put_manifest(&manifest).await?;
        let news = News::Shipped {
            name: key.clone(),
            size,
            sha256: manifest.sha256,
            ended,
        };
        // Before the state: a crash in between tells it twice, and not never.
        self.outbox.add(&news)?;
        record.shipped = Some(manifest);
        record.tidy = false;
        self.state.set(key, record.clone())?;
        self.tidy(file, record, now).await;
        Ok(())
    }

    /// Sends an object, reads it back, and believes what it read: size and hash of the object.
    async fn put_proved(
        &self,
        key: &Key,
        name: &str,
        plain: Vec<u8>,
        sha256: Sha256,
    ) -> Result<(u64, Sha256), ArchiveError> {
        let size = plain.len() as u64;
        let stored: Bytes = pack(key, plain)
            .map_err(ArchiveError::local(Path::new(name)))?
            .into();
        let facts = (stored.len() as u64, Sha256::of(&stored));
        self.remote.put(name, stored).await?;
        let volume = Volume {
            size,
            sha256,
            stored: facts.0,
            stored_sha256: facts.1,
        };
        prove(self.remote.as_ref(), key, name, &volume).await?;
        Ok(facts)
    }

    async fn put_manifest(&self, manifest: &Manifest) -> Result<(), ArchiveError> {
        let (name, text) = (manifest.name.manifest(), manifest.write());
        self.remote.put(&name, text.into()).await?;
        self.prove_manifest(manifest).await
    }

    async fn prove_manifest(&self, manifest: &Manifest) -> Result<(), ArchiveError> {
        let name = manifest.name.manifest();
        let back = self.remote.get(&name, manifest::LARGEST).await?;
        match Manifest::read(&manifest.name, &back) {
            Ok(read) if read == *manifest => Ok(()),
            Ok(_) => Err(ArchiveError::Differs {
                name,
                why: "another manifest".to_owned(),
            }),
            Err(why) => Err(ArchiveError::Differs { name, why }),
        }
    }

    /// Everything of a file once more, in the store and here, before the local copy goes.
    pub(crate) async fn prove_again(
        &self,
        file: &Local,
        manifest: &Manifest,
    ) -> Result<(), ArchiveError> {
        let fault = || ArchiveError::local(&file.path);
        let mut source = File::open(&file.path).map_err(fault())?;
        let mut whole = Hasher::default();
        let count = manifest.volumes.len();
        for (at, volume) in manifest.volumes.iter().enumerate() {
            let name = manifest.name.volume(at + 1, count);
            let there = prove(self.remote.as_ref(), &manifest.name, &name, volume).await?;
            let mut here = Vec::new();
            (&mut source)
                .take(volume.size)
                .read_to_end(&mut here)
                .map_err(fault())?;
            if here != there {
                let why = "it is not what was shipped; it stays, and so does what the store has";
                return Err(fault()(std::io::Error::other(why)));
            }
            whole.update(&here);
        }
        let more = source.read(&mut [0]).map_err(fault())?;
        if more > 0 || whole.finish() != manifest.sha256 {
            return Err(fault()(std::io::Error::other("it is not what was shipped")));
        }
        self.prove_manifest(manifest).await
    }

    /// Removes the parts of a file that is wholly there. Nothing is lost where that fails: it is tried again later.
    async fn tidy(&mut self, file: &Local, record: Record, now: Timestamp) {
        let waits = self.untidy.get(&file.key).is_some_and(|until| now < *until);
        if record.tidy || waits {
            return;
        }
        self.untidy.remove(&file.key);
        if let Err(fault) = self.remove_parts(file, record).await {
            tracing::warn!(name = %file.key, "the parts of its growing are still in the store: {fault}");
            let until = now.checked_add(UNTIDY).unwrap_or(now);
            self.untidy.insert(file.key.clone(), until);
        }
    }

    /// Only what the whole has in the same place: another gateway's parts may lie under the same name.
    async fn remove_parts(&mut self, file: &Local, mut record: Record) -> Result<(), ArchiveError> {
        let fault = || ArchiveError::local(&file.path);
        if let (true, Some(whole)) = (record.grown > 0, &record.shipped) {
            if hash_of(&file.path) != Some((whole.size, whole.sha256)) {
                return Err(fault()(std::io::Error::other("it is not what was shipped")));
            }
            let mut source = File::open(&file.path).map_err(fault())?;
            let mut after = String::new();
            loop {
                let names = self.remote.list(&file.key.parts(), &after).await?;
                let Some(last) = names.last() else {
                    break;
                };
                after.clone_from(last);
                for name in &names {
                    match is_within(&mut source, name).map_err(fault())? {
                        true => self.remote.delete(name).await?,
                        false => tracing::warn!(
                            name,
                            "this part is no piece of the whole file; it stays in the store"
                        ),
                    }
                }
            }
        }
        record.tidy = true;
        self.state.set(&file.key, record)
    }

    fn write_status(
        &self,
        files: &[Local],
        now: Timestamp,
        pass: &mut Pass,
    ) -> Result<(), ArchiveError> {
        let (mut shipped, mut growing, mut waiting) = (0, 0, 0);
        for file in files {
            let record = self.state.records.get(&file.key);
            let there = match record {
                Some(Record {
                    shipped: Some(manifest),
                    ..
                }) => manifest.size,
                Some(record) if self.ended(&file.key).is_none() => record.grown,
                _ => 0,
            };
            let missing = file.size.saturating_sub(there);
            pass.waiting_bytes += missing;
            let whole = record.is_some_and(|r| r.shipped.is_some());
            shipped += usize::from(whole);
            growing += usize::from(!whole && self.ended(&file.key).is_none());
            waiting += usize::from(missing > 0);
        }
        let deletions = self.orders.deletions()?.into_iter();
        let status = Status {
            at: now,
            store: self.rules.store.clone(),
            shipped,
            growing,
            waiting,
            waiting_bytes: pass.waiting_bytes,
            held: self.orders.holds()?.len(),
            to_approve: deletions
                .filter(|(_, d)| d.approved.is_none())
                .map(|(id, _)| id)
                .collect(),
            fault: pass.fault.as_ref().map(ToString::to_string),
            failures: self.outage,
        };
        let path = self.places.state.join("status.json");
        let text =
            serde_json::to_vec_pretty(&status).map_err(|e| ArchiveError::local(&path)(e.into()))?;
        write_whole(&path, &text).map_err(ArchiveError::local(&path))
    }
}

/// Reads an object back: its plain bytes, if it is what it should be in every byte.
pub(crate) async fn prove(
    remote: &dyn Remote,
    key: &Key,
    name: &str,
    volume: &Volume,
) -> Result<Vec<u8>, ArchiveError> {
    let differs = |why: String| ArchiveError::Differs {
        name: name.to_owned(),
        why,
    };
    let limit = usize::try_from(volume.stored)
        .unwrap_or(0)
        .min(crate::pack::LARGEST_OBJECT);
    let back = remote.get(name, limit).await?;
    let found = Sha256::of(&back);
    if (back.len() as u64, found) != (volume.stored, volume.stored_sha256) {
        return Err(differs(format!(
            "{} bytes with SHA-256 {found} instead of {} with {}",
            back.len(),
            volume.stored,
            volume.stored_sha256
        )));
    }
    let plain = unpack(key, &back, volume.size).map_err(differs)?;
    match Sha256::of(&plain) == volume.sha256 {
        true => Ok(plain),
        false => Err(differs("unpacked it is another file".to_owned())),
    }
}

/// Whether the bytes that a part's name tells of are there in this file.
fn is_within(source: &mut File, name: &str) -> std::io::Result<bool> {
    let Some((_, What::Part(part))) = name::read(name) else {
        return Ok(false);
    };
    let length = part.to.checked_sub(part.from);
    let Some(length) = length.filter(|length| *length <= VOLUME as u64) else {
        return Ok(false);
    };
    source.seek(SeekFrom::Start(part.from))?;
    let mut plain = Vec::new();
    source.take(length).read_to_end(&mut plain)?;
    Ok(plain.len() as u64 == length && Sha256::of(&plain) == part.sha256)
}

type Entry = (String, fs::Metadata, PathBuf);

/// A directory's entries; one that is not there has none, and one that goes meanwhile is none.
fn entries(dir: &Path) -> Result<Vec<Entry>, ArchiveError> {
    let listed = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(ArchiveError::local(dir))?,
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.map_err(ArchiveError::local(dir))?;
        if let (Ok(name), Ok(meta)) = (entry.file_name().into_string(), entry.metadata()) {
            found.push((name, meta, entry.path()));
        }
    }
    Ok(found)
}
