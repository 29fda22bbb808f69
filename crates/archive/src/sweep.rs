//! In: what the rule lets go, what admins hold or want deleted. Out: local copies removed, objects removed, each written down
//! before. Never: anything removed while it is not known what is held.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use crate::error::ArchiveError;
use crate::name::{self, Key};
use crate::news::News;
use crate::orders::Deletion;
use crate::retention::{Facts, Fate, fate};
use crate::ship::{Local, Shipper};
use crate::state::Change;

/// The store is looked through for what may go this often.
const LOOK: Duration = Duration::from_secs(3600);
const HOLDS: &str = "holds/";

impl Shipper {
    /// Holds go to the store too: a gateway that is made anew on the same store finds them. Then deletions.
    pub(crate) async fn obey(&mut self, now: Timestamp) -> Result<(), ArchiveError> {
        let mut known = match self.remote_holds.take() {
            Some(known) => known,
            None => self.read_holds().await?,
        };
        for (session, said) in self.orders.holds()? {
            if !known.contains(&session) {
                let text = serde_json::to_vec_pretty(&said).unwrap_or_default();
                self.remote
                    .put(&format!("{HOLDS}{session}"), text.into())
                    .await?;
                known.insert(session);
            }
        }
        for session in self.orders.releases()?.into_keys() {
            self.remote.delete(&format!("{HOLDS}{session}")).await?;
            known.remove(&session);
            self.orders.released(&session)?;
        }
        self.remote_holds = Some(known);
        for (session, deletion) in self.orders.deletions()? {
            if deletion.approved.is_some() && !self.is_held(&session)? && !self.rules.locked {
                self.delete(&session, &deletion, now).await?;
            }
        }
        Ok(())
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

    /// The local copy, if the rule says so.
    pub(crate) async fn let_go(
        &mut self,
        file: &Local,
        now: Timestamp,
    ) -> Result<(), ArchiveError> {
        let (Some(session), Some(began)) = (file.key.session(), file.key.began()) else {
            return Ok(());
        };
        let record = self.state.record(&file.key);
        let Some(manifest) = record.shipped.filter(|shipped| shipped.size == file.size) else {
            return Ok(());
        };
        let facts = Facts {
            age: age(began, now),
            ended: self.ended(&file.key),
            verified: true,
            held: self.is_held(session)?,
            local: true,
            removable: !self.rules.locked,
        };
        if fate(&facts, &self.rules.days) != Fate::RemoveLocal {
            return Ok(());
        }
        self.prove_again(file, &manifest).await?;
        self.outbox.add(&News::LocalRemoved {
            name: file.key.clone(),
            sha256: manifest.sha256,
        })?;
        self.remove_local(file)
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
        if self.rules.locked || !due {
            return Ok(());
        }
        // Somebody may have put a hold there meanwhile, from another machine.
        self.remote_holds = Some(self.read_holds().await?);
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
                self.expire_one(key, now).await?;
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
        self.looked = Some(now);
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
            local: key
                .path(&self.places.recordings, &self.places.journal)
                .exists(),
            removable: true,
        };
        match fate(&facts, &self.rules.days) {
            Fate::RemoveRemote => self.remove_remote(key, "days_kept").await,
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
            let path = key.path(&self.places.recordings, &self.places.journal);
            if path.exists() && self.ended(&key).is_none() {
                tracing::warn!(session, at = %now, "a recording that is still open is not deleted; end the session first");
                return Ok(());
            }
            let there = !self.remote.list(&format!("{key}."), "").await?.is_empty();
            if there || path.exists() {
                self.remove_remote(&key, &why).await?;
                self.remove_local(&Local { key, path, size: 0 })?;
            }
        }
        self.orders.deleted(session)
    }

    /// Written down first; the manifest goes last, so that a crash leaves something that is found again.
    async fn remove_remote(&mut self, key: &Key, why: &str) -> Result<(), ArchiveError> {
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
                self.remote.delete(name).await?;
            }
        }
        self.remote.delete(&manifest).await
    }
}

fn age(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
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
