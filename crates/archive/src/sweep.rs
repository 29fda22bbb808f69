//! In: what the rule lets go, what admins hold or want deleted. Out: local copies removed, objects removed, each written down
//! before. Never: anything removed while it is not known what is held.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use crate::directory::write_whole;
use crate::error::ArchiveError;
use crate::name::{self, Key};
use crate::news::News;
use crate::orders::{Deletion, Said};
use crate::retention::{Facts, Fate, fate};
use crate::ship::{Local, Pass, Shipper};
use crate::state::Change;

/// The store is looked through for what may go this often.
const LOOK: Duration = Duration::from_secs(3600);
const HOLDS: &str = "holds/";
/// So many orders that fail one after the other, and the rest waits for the next pass.
const IN_A_ROW: u32 = 3;
/// An hour that is further than this from the last pass and from the journal's last line is a clock that is wrong, until one
/// of the two is nearer.
const LEAP: Duration = Duration::from_secs(2 * 86_400);

impl Shipper {
    /// Holds go to the store too: a gateway that is made anew on the same store finds them. Then deletions.
    pub(crate) async fn obey(
        &mut self,
        now: Timestamp,
        pass: &mut Pass,
    ) -> Result<(), ArchiveError> {
        if self.remote_holds.is_none() {
            self.hear_holds().await?;
        }
        let mut row = 0;
        for (session, said) in self.orders.holds()? {
            let done = self.put_hold(&session, &said).await;
            row = self.of_order(&session, done, row, pass)?;
            if row >= IN_A_ROW {
                return Ok(());
            }
        }
        for session in self.orders.releases()?.into_keys() {
            let done = self.release(&session).await;
            row = self.of_order(&session, done, row, pass)?;
            if row >= IN_A_ROW {
                return Ok(());
            }
        }
        if self.rules.locked || self.doubt {
            return Ok(());
        }
        for (session, deletion) in self.orders.deletions()? {
            if deletion.approved.is_none() || self.is_held(&session)? {
                continue;
            }
            let done = self.delete(&session, &deletion, now).await;
            row = self.of_order(&session, done, row, pass)?;
            if row >= IN_A_ROW {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A fault of one order is told once, and others go on. Returned: how many failed in a row.
    fn of_order(
        &mut self,
        session: &str,
        done: Result<(), ArchiveError>,
        row: u32,
        pass: &mut Pass,
    ) -> Result<u32, ArchiveError> {
        let fault = match done {
            Ok(()) => {
                self.orders_failed.remove(session);
                return Ok(0);
            }
            Err(fault @ ArchiveError::Settings(_)) => return Err(fault),
            Err(fault) => fault,
        };
        if self.orders_failed.insert(session.to_owned()) {
            tracing::error!(session, "an order waits: {fault}");
            self.outbox.add(&News::Failed {
                name: None,
                why: format!("an order about {session} waits: {fault}"),
            })?;
        }
        pass.fault.get_or_insert(fault);
        Ok(row + 1)
    }

    async fn put_hold(&mut self, session: &str, said: &Said) -> Result<(), ArchiveError> {
        let known = self.remote_holds.as_ref();
        if known.is_some_and(|known| known.contains(session)) {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(said).unwrap_or_default();
        self.remote
            .put(&format!("{HOLDS}{session}"), text.into())
            .await?;
        if let Some(known) = &mut self.remote_holds {
            known.insert(session.to_owned());
        }
        Ok(())
    }

    async fn release(&mut self, session: &str) -> Result<(), ArchiveError> {
        self.remote.delete(&format!("{HOLDS}{session}")).await?;
        if let Some(known) = &mut self.remote_holds {
            known.remove(session);
        }
        self.orders.released(session)
    }

    /// Somebody may have put a hold there meanwhile, from another machine. Where that cannot be read, everything is held.
    async fn hear_holds(&mut self) -> Result<(), ArchiveError> {
        self.remote_holds = None;
        self.remote_holds = Some(self.read_holds().await?);
        Ok(())
    }

    /// Whether this pass's hour can be true. A clock that leapt would make everything old at once.
    pub(crate) fn doubt_hour(&mut self, files: &[Local], now: Timestamp) {
        let path = self.places.state.join("hour");
        let last = std::fs::read_to_string(&path).ok();
        let last = last.and_then(|text| text.trim().parse::<Timestamp>().ok());
        let journal = files.iter().filter(|file| file.key.session().is_none());
        let written = journal.filter_map(|file| {
            let modified = std::fs::symlink_metadata(&file.path)
                .ok()?
                .modified()
                .ok()?;
            Timestamp::try_from(modified).ok()
        });
        let near = last
            .into_iter()
            .chain(written.max())
            .any(|at| age(at, now) <= LEAP);
        if !near && !self.doubt {
            tracing::error!(
                at = %now,
                "this hour is more than two days after the last pass and after the journal's last line; nothing is removed until the clock is right or the journal goes on"
            );
        }
        self.doubt = !near;
        // An hour that is not believed is no measure for the next pass.
        if near && let Err(error) = write_whole(&path, now.to_string().as_bytes()) {
            tracing::warn!("{}: {error}", path.display());
        }
    }

    async fn read_holds(&self) -> Result<BTreeSet<String>, ArchiveError> {
        let mut held = BTreeSet::new();
        let mut after = String::new();
        loop {
            let names = self.remote.list(HOLDS, &after).await?;
            let Some(last) = names.last() else {
                return Ok(held);
            };
            after.clone_from(last);
            held.extend(
                names
                    .iter()
                    .filter_map(|name| name.strip_prefix(HOLDS))
                    .map(str::to_owned),
            );
        }
    }

    /// By an order of this machine, or in the store. Not knowing is held.
    fn is_held(&self, session: &str) -> Result<bool, ArchiveError> {
        let there = self
            .remote_holds
            .as_ref()
            .is_none_or(|held| held.contains(session));
        Ok(there || self.orders.holds()?.contains_key(session))
    }

    /// The local copy, if the rule says so. True: it is removed.
    pub(crate) async fn let_go(
        &mut self,
        file: &Local,
        now: Timestamp,
    ) -> Result<bool, ArchiveError> {
        let (Some(session), Some(began)) = (file.key.session(), file.key.began()) else {
            return Ok(false);
        };
        let record = self.state.record(&file.key);
        let Some(manifest) = record.shipped.filter(|shipped| shipped.size == file.size) else {
            return Ok(false);
        };
        let facts = Facts {
            age: age(began, now),
            ended: self.ended(&file.key),
            verified: true,
            held: self.is_held(session)?,
            local: true,
            removable: !self.rules.locked,
        };
        if self.doubt || fate(&facts, &self.rules.days) != Fate::RemoveLocal {
            return Ok(false);
        }
        self.hear_holds().await?;
        if self.is_held(session)? {
            return Ok(false);
        }
        self.prove_again(file, &manifest).await?;
        // That took its time.
        if self.is_held(session)? {
            return Ok(false);
        }
        self.outbox.add(&News::LocalRemoved {
            name: file.key.clone(),
            sha256: manifest.sha256,
        })?;
        self.remove_local(file)?;
        self.gone.insert(file.key.clone());
        Ok(true)
    }

    fn remove_local(&mut self, file: &Local) -> Result<(), ArchiveError> {
        match std::fs::remove_file(&file.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ArchiveError::local(&file.path)(error));
            }
            _ => {}
        }
        let sessions = file.key.session().map(|id| (id.to_owned(), None));
        self.state.apply(Change {
            sessions: sessions.into_iter().collect(),
            records: BTreeMap::from([(file.key.clone(), None)]),
            ..Change::default()
        })
    }

    /// What has been in the store for all its days.
    pub(crate) async fn expire(&mut self, now: Timestamp) -> Result<(), ArchiveError> {
        let Some(kept) = self.rules.days.kept else {
            return Ok(());
        };
        let due = self.looked.is_none_or(|at| age(at, now) >= LOOK);
        if self.rules.locked || self.doubt || !due {
            return Ok(());
        }
        // A disk that is not mounted is not one from which everything has gone.
        if let Err(error) = std::fs::read_dir(&self.places.recordings) {
            let recordings = self.places.recordings.display();
            tracing::warn!("{recordings}: {error}; nothing is removed from the store");
            return Ok(());
        }
        self.hear_holds().await?;
        let (mut refused, mut row) = (None, 0);
        let mut after = String::new();
        loop {
            let names = self.remote.list("recordings/", &after).await?;
            let Some(last) = names.last() else {
                break;
            };
            after.clone_from(last);
            let keys: BTreeSet<Key> = names
                .iter()
                .filter_map(|name| name::read(name))
                .map(|(key, _)| key)
                .collect();
            for key in &keys {
                match self.expire_one(key, now).await {
                    Ok(()) => row = 0,
                    Err(fault @ ArchiveError::Store { .. }) => {
                        row += 1;
                        if row >= IN_A_ROW {
                            return Err(fault);
                        }
                        tracing::warn!(name = %key, "{fault}");
                        refused = Some(fault);
                    }
                    Err(fault) => return Err(fault),
                }
            }
            // Names are in the order of days: what follows is younger.
            if keys
                .iter()
                .filter_map(Key::began)
                .any(|began| age(began, now) <= kept)
            {
                break;
            }
        }
        // With a refusal it is looked through again in the next pass.
        if refused.is_none() {
            self.looked = Some(now);
        }
        Ok(())
    }

    async fn expire_one(&mut self, key: &Key, now: Timestamp) -> Result<(), ArchiveError> {
        let (Some(session), Some(began)) = (key.session(), key.began()) else {
            return Ok(());
        };
        let facts = Facts {
            age: age(began, now),
            ended: self.ended(key),
            verified: false,
            held: self.is_held(session)?,
            // What left this machine in this pass leaves the store in another.
            local: self.gone.contains(key) || is_here(&self.path(key)),
            removable: true,
        };
        match fate(&facts, &self.rules.days) {
            Fate::RemoveRemote => self.remove_remote(key, "days_kept").await.map(|_| ()),
            _ => Ok(()),
        }
    }

    /// On the word of admins: from the store and from here.
    async fn delete(
        &mut self,
        session: &str,
        deletion: &Deletion,
        now: Timestamp,
    ) -> Result<(), ArchiveError> {
        self.hear_holds().await?;
        if self.is_held(session)? {
            return Ok(());
        }
        let approved = deletion.approved.as_ref().map_or("", |said| &said.by);
        let why = format!(
            "{} asked ({}), {approved} approved",
            deletion.asked.by, deletion.asked.reason
        );
        for ending in ["cast", "sealed"] {
            let Some(key) = key_of(session, ending) else {
                continue;
            };
            // An open one ends first; the order waits.
            let path = self.path(&key);
            if is_here(&path) && self.ended(&key).is_none() {
                tracing::warn!(session, at = %now, "a recording that is still open is not deleted; end the session first");
                return Ok(());
            }
            let there = !self.remote.list(&format!("{key}."), "").await?.is_empty();
            if there || is_here(&path) {
                // The order waits until nobody holds it.
                if !self.remove_remote(&key, &why).await? || self.is_held(session)? {
                    return Ok(());
                }
                self.remove_local(&Local { key, path, size: 0 })?;
            }
        }
        self.orders.deleted(session)
    }

    fn path(&self, key: &Key) -> PathBuf {
        key.path(&self.places.recordings, &self.places.journal)
    }

    /// Written down first; the manifest goes last, so that a crash leaves something that is found again. False: it is held now,
    /// and what was not removed yet stays.
    async fn remove_remote(&mut self, key: &Key, why: &str) -> Result<bool, ArchiveError> {
        let held = |of: &Self| {
            let held = of.is_held(key.session().unwrap_or_default());
            if matches!(held, Ok(true)) {
                tracing::warn!(name = %key, "it is held while it is removed; what is left of it stays");
            }
            held
        };
        if held(self)? {
            return Ok(false);
        }
        self.outbox.add(&News::Deleted {
            name: key.clone(),
            why: why.to_owned(),
        })?;
        let manifest = key.manifest();
        let mut after = String::new();
        loop {
            let names = self.remote.list(&format!("{key}."), &after).await?;
            let Some(last) = names.last() else {
                break;
            };
            after.clone_from(last);
            for name in names.iter().filter(|name| **name != manifest) {
                if held(self)? {
                    return Ok(false);
                }
                self.remote.delete(name).await?;
            }
        }
        if held(self)? {
            return Ok(false);
        }
        self.remote.delete(&manifest).await?;
        Ok(true)
    }
}

fn age(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// Only what is certainly not there is not there.
fn is_here(path: &Path) -> bool {
    match std::fs::symlink_metadata(path) {
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        Ok(_) => true,
    }
}

/// Where the recording of a session is archived.
fn key_of(session: &str, ending: &str) -> Option<Key> {
    let millis = ampgate_recording::session_millis(session)?;
    let began = Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()?;
    let day = began.to_zoned(TimeZone::UTC).date();
    let (year, month, day) = (day.year(), day.month(), day.day());
    Key::parse(&format!(
        "recordings/{year:04}/{month:02}/{day:02}/{session}.{ending}"
    ))
}
