//! In: where a file lies on this machine; names that a store lists. Out: the names of its objects, and back.
//! Never: a path from a stranger's text: what is no name of ours is passed over.

use std::fmt;
use std::path::{Path, PathBuf};

use ampgate_audit::Segment;
use ampgate_recording::{is_session_id, session_millis};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hash::Sha256;

const RECORDINGS: &str = "recordings";
const JOURNAL: &str = "journal";

/// A file that is archived: `recordings/YYYY/MM/DD/<session id>.cast` (or `.sealed`), `journal/journal-YYYY-MM-DD.jsonl`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// What an object is to its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// It says what the whole file is: the last to be written and the last to be removed.
    Manifest,
    /// All of the file, or the n-th piece of a large one.
    Volume,
    /// A piece of a file that still grew.
    Part(Part),
}

/// The bytes of a growing file from here to there, with their hash: enough to put the file together without a manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Part {
    /// The first byte.
    pub from: u64,
    /// The one after the last.
    pub to: u64,
    /// Of the plain bytes.
    pub sha256: Sha256,
}

impl Key {
    /// Reads a file's name in the archive.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let good = match text.split('/').collect::<Vec<_>>().as_slice() {
            [RECORDINGS, year, month, day, file] => {
                let digits =
                    |part: &str, n| part.len() == n && part.bytes().all(|b| b.is_ascii_digit());
                digits(year, 4) && digits(month, 2) && digits(day, 2) && recording(file).is_some()
            }
            [JOURNAL, file] => Segment::parse(file).is_some() || is_torn(file),
            _ => false,
        };
        good.then(|| Self(text.to_owned()))
    }

    /// The session of a recording; none for the journal.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        match self.0.split_once('/') {
            Some((RECORDINGS, rest)) => recording(rest.rsplit('/').next()?),
            _ => None,
        }
    }

    /// When a recording's session began; none for the journal.
    #[must_use]
    pub fn began(&self) -> Option<Timestamp> {
        let millis = session_millis(self.session()?)?;
        Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()
    }

    /// Whether its objects are compressed. A sealed recording is random to any compressor.
    #[must_use]
    pub fn compressed(&self) -> bool {
        !self.0.ends_with(".sealed")
    }

    /// Where the file lies below a directory of recordings, or of the journal.
    #[must_use]
    pub fn path(&self, recordings: &Path, journal: &Path) -> PathBuf {
        match self.0.split_once('/') {
            Some((RECORDINGS, rest)) => recordings.join(rest),
            Some((_, rest)) => journal.join(rest),
            None => recordings.join(&self.0),
        }
    }

    /// The object that says what the file is.
    #[must_use]
    pub fn manifest(&self) -> String {
        format!("{self}.manifest")
    }

    /// The n-th of so many objects that are the file; numbers begin at 1.
    #[must_use]
    pub fn volume(&self, number: usize, of: usize) -> String {
        let ending = self.ending();
        match of {
            0 | 1 => format!("{self}{ending}"),
            _ => format!("{self}{ending}.{number:06}"),
        }
    }

    /// What the names of all pieces begin with that were sent while it grew.
    #[must_use]
    pub fn parts(&self) -> String {
        format!("{self}.parts/")
    }

    /// One of them.
    #[must_use]
    pub fn part(&self, part: &Part) -> String {
        let Part { from, to, sha256 } = part;
        format!("{self}.parts/{from:015}-{to:015}-{sha256}{}", self.ending())
    }

    fn ending(&self) -> &'static str {
        match self.compressed() {
            true => ".zst",
            false => ".data",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} names nothing that is archived"))
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

/// What an object's name means.
#[must_use]
pub fn read(name: &str) -> Option<(Key, What)> {
    if let Some(key) = name.strip_suffix(".manifest") {
        return Some((Key::parse(key)?, What::Manifest));
    }
    let (key, what) = match name.split_once(".parts/") {
        Some((key, rest)) => {
            let key = Key::parse(key)?;
            let part = part(rest.strip_suffix(key.ending())?)?;
            (key, What::Part(part))
        }
        None => {
            let number = name.rsplit('.').next()?;
            let numbered = number.len() == 6 && number.bytes().all(|b| b.is_ascii_digit());
            let rest = match numbered {
                true => name.strip_suffix(number)?.strip_suffix('.')?,
                false => name,
            };
            let key = [".zst", ".data"]
                .iter()
                .find_map(|end| rest.strip_suffix(end))?;
            (Key::parse(key)?, What::Volume)
        }
    };
    let own = match what {
        What::Part(part) => key.part(&part) == name,
        _ => name.contains(&format!("{key}{}", key.ending())),
    };
    own.then_some((key, what))
}

fn part(text: &str) -> Option<Part> {
    let mut fields = text.split('-');
    let (from, to, hash) = (fields.next()?, fields.next()?, fields.next()?);
    let part = Part {
        from: from.parse().ok()?,
        to: to.parse().ok()?,
        sha256: hash.parse().ok()?,
    };
    (part.from < part.to && fields.next().is_none()).then_some(part)
}

/// The session id in the name of a recording's file.
pub(crate) fn recording(file: &str) -> Option<&str> {
    let id = file
        .strip_suffix(".cast")
        .or_else(|| file.strip_suffix(".sealed"));
    id.filter(|id| is_session_id(id))
}

/// A line that a crash tore, which the journal keeps aside. It is not archived before the journal tells of it.
pub(crate) fn is_torn(file: &str) -> bool {
    file.starts_with("torn-journal-")
        && file.len() < 100
        && file
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        && !file.ends_with(".manifest")
        && !file.ends_with(".untold")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

    /// Found by fuzzing: a whole name of six digits has no room for a dot before it.
    #[test]
    fn a_name_that_is_only_a_number_is_none() {
        for name in ["599959", ".599959", "x.599959", ""] {
            assert_eq!(read(name), None, "{name}");
        }
    }

    #[test]
    fn every_name_is_read_back_as_what_it_is() {
        for text in [
            format!("recordings/2016/07/30/{ID}.cast"),
            format!("recordings/2016/07/30/{ID}.sealed"),
            "journal/journal-2026-11-23.jsonl".to_owned(),
            "journal/torn-journal-2026-11-23.jsonl-1795000000000000".to_owned(),
        ] {
            let key = Key::parse(&text).unwrap();
            let part = Part {
                from: 7,
                to: 4_000_000_000_000,
                sha256: Sha256::of(b"x"),
            };
            for (name, what) in [
                (key.manifest(), What::Manifest),
                (key.volume(1, 1), What::Volume),
                (key.volume(999, 1024), What::Volume),
                (key.part(&part), What::Part(part)),
            ] {
                assert_eq!(read(&name), Some((key.clone(), what)), "{name}");
            }
        }
    }

    #[test]
    fn names_of_others_are_none_of_ours() {
        for bad in [
            "",
            "/",
            "recordings",
            "holds/x",
            "../etc/passwd",
            "recordings/2016/07/30/../x.cast",
            "recordings/2016/07/30/01arz3ndektsv4rrffq69g5fav.cast.zst",
            &format!("recordings/2016/7/30/{ID}.cast.zst"),
            &format!("/recordings/2016/07/30/{ID}.cast.zst"),
            &format!("recordings/2016/07/30/{ID}.cast"),
            &format!("recordings/2016/07/30/{ID}.cast.data"),
            &format!("recordings/2016/07/30/{ID}.cast.parts/1-2-x.zst"),
            "journal/journal-2026-13-23.jsonl.zst",
            "journal/torn-journal-/../x.zst",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_listed_name_leads_out_of_its_directory(name in "(recordings|journal)/[0-9A-Z./a-z-]{0,80}") {
            if let Some((key, _)) = read(&name) {
                let path = key.path(Path::new("/r"), Path::new("/j"));
                prop_assert!(path.components().all(|c| c != std::path::Component::ParentDir));
            }
        }
    }
}
