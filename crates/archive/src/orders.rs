//! In: what admins want of single recordings, with who and why. Out: files that the shipper reads.
//! Never: a deletion of what is held; an approval by the one who asked, where two are wanted.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use ampgate_recording::is_session_id;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::directory::write_whole;
use crate::error::ArchiveError;

const HOLD: &str = "hold";
const RELEASE: &str = "release";
const DELETE: &str = "delete";

/// Who said something, when and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Said {
    /// The user id that the system names.
    pub uid: u32,
    /// Its name.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub when: Timestamp,
}

/// A recording that shall go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deletion {
    /// Who wants it.
    pub asked: Said,
    /// Who agreed; nothing is deleted before.
    pub approved: Option<Said>,
}

impl Deletion {
    /// Agrees.
    ///
    /// # Errors
    /// Two persons are wanted, and this is the one who asked.
    pub fn approve(mut self, said: Said, two_person: bool) -> Result<Self, String> {
        if two_person && said.uid == self.asked.uid {
            return Err(format!(
                "{} asked for this deletion; another admin has to approve it (two_person in [archive])",
                said.by
            ));
        }
        self.approved = Some(said);
        Ok(self)
    }
}

/// A directory of orders, one file each. The gateway writes it, on behalf of those whom its control socket lets in.
pub struct Orders(PathBuf);

impl Orders {
    /// Below the archive's state.
    #[must_use]
    pub fn new(state: &std::path::Path) -> Self {
        Self(state.join("orders"))
    }

    /// Nothing is removed of this recording from now on.
    ///
    /// # Errors
    /// The directory.
    pub fn hold(&self, session: &str, said: &Said) -> Result<(), ArchiveError> {
        self.write(session, HOLD, said)?;
        self.done(session, RELEASE)
    }

    /// It is an ordinary recording again.
    ///
    /// # Errors
    /// The directory.
    pub fn release(&self, session: &str, said: &Said) -> Result<(), ArchiveError> {
        self.write(session, RELEASE, said)?;
        self.done(session, HOLD)
    }

    /// Writes down that a recording shall go, or that somebody agreed.
    ///
    /// # Errors
    /// The directory.
    pub fn delete(&self, session: &str, deletion: &Deletion) -> Result<(), ArchiveError> {
        self.write(session, DELETE, deletion)
    }

    /// What is held by an order of this machine.
    ///
    /// # Errors
    /// The directory. Then nothing may be removed at all.
    pub fn holds(&self) -> Result<BTreeMap<String, Said>, ArchiveError> {
        self.all(HOLD)
    }

    /// What shall go, agreed or not.
    ///
    /// # Errors
    /// The directory.
    pub fn deletions(&self) -> Result<BTreeMap<String, Deletion>, ArchiveError> {
        self.all(DELETE)
    }

    pub(crate) fn releases(&self) -> Result<BTreeMap<String, Said>, ArchiveError> {
        self.all(RELEASE)
    }

    pub(crate) fn deleted(&self, session: &str) -> Result<(), ArchiveError> {
        self.done(session, DELETE)
    }

    pub(crate) fn released(&self, session: &str) -> Result<(), ArchiveError> {
        self.done(session, RELEASE)
    }

    fn path(&self, session: &str, kind: &str) -> Result<PathBuf, ArchiveError> {
        match is_session_id(session) {
            true => Ok(self.0.join(format!("{session}.{kind}"))),
            false => Err(ArchiveError::Settings(format!(
                "{} is no session id",
                session.escape_debug()
            ))),
        }
    }

    fn write(&self, session: &str, kind: &str, value: &impl Serialize) -> Result<(), ArchiveError> {
        let path = self.path(session, kind)?;
        let text = serde_json::to_vec_pretty(value).map_err(io::Error::from);
        text.and_then(|text| write_whole(&path, &text))
            .map_err(ArchiveError::local(&path))
    }

    fn done(&self, session: &str, kind: &str) -> Result<(), ArchiveError> {
        let path = self.path(session, kind)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ArchiveError::local(&path)(error))
            }
            _ => Ok(()),
        }
    }

    fn all<T: DeserializeOwned>(&self, kind: &str) -> Result<BTreeMap<String, T>, ArchiveError> {
        let fault = |error| ArchiveError::local(&self.0)(error);
        let entries = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            entries => entries.map_err(fault)?,
        };
        let mut found = BTreeMap::new();
        for entry in entries {
            let name = entry.map_err(fault)?.file_name();
            let session = name
                .to_str()
                .and_then(|name| name.strip_suffix(kind)?.strip_suffix('.'));
            let Some(session) = session.filter(|id| is_session_id(id)) else {
                continue;
            };
            let path = self.path(session, kind)?;
            let text = std::fs::read(&path).map_err(ArchiveError::local(&path))?;
            // One that cannot be read stops everything: it might be a hold.
            let order =
                serde_json::from_slice(&text).map_err(|e| ArchiveError::local(&path)(e.into()))?;
            found.insert(session.to_owned(), order);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn said(uid: u32) -> Said {
        Said {
            uid,
            by: format!("user {uid}"),
            reason: "court order".to_owned(),
            when: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn two_persons_are_two() {
        let asked = || Deletion {
            asked: said(1),
            approved: None,
        };
        assert!(asked().approve(said(1), true).is_err());
        assert_eq!(
            asked().approve(said(2), true).unwrap().approved,
            Some(said(2))
        );
        assert_eq!(
            asked().approve(said(1), false).unwrap().approved,
            Some(said(1))
        );
    }

    #[test]
    fn an_order_that_cannot_be_read_is_no_order_to_delete() {
        let dir = tempfile::tempdir().unwrap();
        let orders = Orders::new(dir.path());
        let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(orders.holds().unwrap(), BTreeMap::new());
        orders.hold(id, &said(1)).unwrap();
        assert_eq!(orders.holds().unwrap().keys().collect::<Vec<_>>(), [id]);
        orders.release(id, &said(2)).unwrap();
        assert!(orders.holds().unwrap().is_empty() && orders.releases().unwrap().contains_key(id));
        std::fs::write(dir.path().join(format!("orders/{id}.hold")), "{").unwrap();
        assert!(orders.holds().is_err());
        assert!(orders.hold("../x", &said(1)).is_err());
    }
}
