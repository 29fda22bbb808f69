//! In: a directory and how much space must stay free in it. It is opened anew for each recording: it may be mounted again.
//! Out: new, empty, private files at `YYYY/MM/DD/<session id>.cast` (sealed ones: `.sealed`), the date taken from the id.
//! Never: a name in a path that is no session id or date; a symbolic link followed below the store; a file reused.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::{Timestamp, tz::TimeZone};
use rustix::{
    fs::{Mode, OFlags, StatVfs, fstat, fstatvfs, fsync, mkdirat, open, openat},
    io::Errno,
};

use crate::{
    error::RecordingError,
    recipient::Recipients,
    session::{is_session_id, session_millis},
};

/// How plain recordings end.
const PLAIN: &str = ".cast";
/// How sealed ones end.
const SEALED: &str = ".sealed";

/// Where recordings are kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    reserve: u64,
    recipients: Option<Arc<Recipients>>,
}

impl Store {
    /// Opens `dir`, making it (0700) if only its last part is missing. `reserve` bytes stay free.
    ///
    /// # Errors
    /// [`RecordingError::Store`] if it cannot be opened, or if others may write into it.
    pub fn open(dir: impl AsRef<Path>, reserve: u64) -> Result<Self, RecordingError> {
        let dir = dir.as_ref();
        let fault = |why: String| RecordingError::Store {
            dir: dir.to_owned(),
            why,
        };
        match rustix::fs::mkdir(dir, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => {
                return Err(fault(format!(
                    "cannot be made ({e}); make the directory above it"
                )));
            }
        }
        let store = Self {
            dir: dir.to_owned(),
            reserve,
            recipients: None,
        };
        store.root()?;
        Ok(store)
    }

    /// The directory, after a look at who may write into it. Not kept open: a file system that failed and was mounted again
    /// is another one, and the old one would take recordings that nobody finds.
    fn root(&self) -> Result<OwnedFd, RecordingError> {
        let root = open(
            &self.dir,
            OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|e| {
            self.fault(format!(
                "cannot be opened ({e}); check its owner and mode, and whether its file system is mounted"
            ))
        })?;
        let mode = fstat(&root).map_err(|e| self.fault(e.to_string()))?.st_mode & 0o7777;
        if mode & 0o022 != 0 {
            return Err(self.fault(format!(
                "others may write into it (mode {mode:04o}); run \"chmod go-w\" on it"
            )));
        }
        Ok(root)
    }

    fn fault(&self, why: String) -> RecordingError {
        RecordingError::Store {
            dir: self.dir.clone(),
            why,
        }
    }

    /// The same store with another reserve.
    #[must_use]
    pub fn with_reserve(&self, reserve: u64) -> Self {
        Self {
            reserve,
            ..self.clone()
        }
    }

    /// The same store, whose new recordings are sealed to these recipients; with `None` they are plain.
    #[must_use]
    pub fn sealed_to(&self, recipients: Option<Arc<Recipients>>) -> Self {
        Self {
            recipients,
            ..self.clone()
        }
    }

    /// Whom new recordings are sealed to; `None` if they are plain.
    pub(crate) fn recipients(&self) -> Option<&Recipients> {
        self.recipients.as_deref()
    }

    /// The store's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether a new session may begin: asked before anything else is done for it, so that a filling disk refuses new
    /// sessions with a sentence instead of ending old ones.
    ///
    /// # Errors
    /// [`RecordingError::BelowReserve`], or [`RecordingError::Store`] if the file system does not answer.
    pub fn admit(&self) -> Result<(), RecordingError> {
        let space = self.space()?;
        // Some file systems have no fixed number of inodes and report zero of zero.
        if space.f_files > 0 && space.f_favail == 0 {
            return Err(self.fault("has no inode free; remove shipped recordings".into()));
        }
        let free = free_bytes(&space);
        if free < self.reserve {
            return Err(RecordingError::BelowReserve {
                dir: self.dir.clone(),
                free,
                reserve: self.reserve,
            });
        }
        Ok(())
    }

    /// Bytes that recordings may still take.
    ///
    /// # Errors
    /// [`RecordingError::Store`] if the file system does not answer.
    pub fn free(&self) -> Result<u64, RecordingError> {
        self.space().map(|space| free_bytes(&space))
    }

    fn space(&self) -> Result<StatVfs, RecordingError> {
        fstatvfs(self.root()?)
            .map_err(|e| self.fault(format!("does not tell its free space ({e})")))
    }

    /// Where the recording of a session is or would be; `None` for text that is no session id.
    #[must_use]
    pub fn path_of(&self, session: &str) -> Option<PathBuf> {
        let [year, month, day] = date(session)?;
        Some(
            self.dir
                .join(year)
                .join(month)
                .join(day)
                .join(self.file_name(session)),
        )
    }

    /// Every recording below `dir`, day by day, oldest first; only the names of one day are in memory at a time.
    /// Directories and files that are not named as the store names them are passed over.
    pub fn recordings(dir: impl AsRef<Path>) -> impl Iterator<Item = io::Result<PathBuf>> {
        let mut stack = vec![(dir.as_ref().to_owned(), 0)];
        std::iter::from_fn(move || {
            loop {
                let (path, depth) = stack.pop()?;
                if depth == 4 {
                    return Some(Ok(path));
                }
                match children(&path, depth) {
                    Ok(found) => {
                        stack.extend(found.into_iter().rev().map(|child| (child, depth + 1)))
                    }
                    Err(e) => return Some(Err(e)),
                }
            }
        })
    }

    fn file_name(&self, session: &str) -> String {
        let end = if self.recipients.is_some() {
            SEALED
        } else {
            PLAIN
        };
        format!("{session}{end}")
    }

    /// A new file and the directory that holds it, neither durable yet.
    pub(crate) fn create(&self, session: &str) -> Result<(File, OwnedFd, PathBuf), RecordingError> {
        let no_id = || RecordingError::SessionId(session.to_owned());
        let path = self.path_of(session).ok_or_else(no_id)?;
        let mut day = self.root()?;
        for part in date(session).ok_or_else(no_id)? {
            day = subdirectory(&day, &part)
                .map_err(|e| RecordingError::io(&path, "make its directory", e))?;
        }
        let flags = OFlags::CREATE
            | OFlags::EXCL
            | OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC;
        match openat(
            &day,
            self.file_name(session),
            flags,
            Mode::RUSR | Mode::WUSR,
        ) {
            Ok(file) => Ok((File::from(file), day, path)),
            Err(Errno::EXIST) => Err(RecordingError::Exists(path)),
            Err(e) => Err(RecordingError::io(&path, "create it", e)),
        }
    }
}

fn free_bytes(space: &StatVfs) -> u64 {
    space.f_bavail.saturating_mul(space.f_frsize)
}

/// Opens a directory, making it and its entry durable if it is new.
fn subdirectory(above: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    match mkdirat(above, name, Mode::RWXU) {
        Ok(()) => fsync(above)?,
        Err(Errno::EXIST) => {}
        Err(e) => return Err(e),
    }
    openat(
        above,
        name,
        OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// The session id in the name of a recording, plain or sealed; `None` for every other name.
#[must_use]
pub fn recording_id(name: &str) -> Option<&str> {
    name.strip_suffix(PLAIN)
        .or_else(|| name.strip_suffix(SEALED))
        .filter(|id| is_session_id(id))
}

/// Year, month and day (UTC) of a session id.
fn date(session: &str) -> Option<[String; 3]> {
    let millis = i64::try_from(session_millis(session)?).ok()?;
    let day = Timestamp::from_millisecond(millis)
        .ok()?
        .to_zoned(TimeZone::UTC)
        .date();
    Some([
        format!("{:04}", day.year()),
        format!("{:02}", day.month()),
        format!("{:02}", day.day()),
    ])
}

/// What the store may hold in a directory of this depth (0 the store, 3 a day), in order.
fn children(dir: &Path, depth: usize) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let fits = match depth {
            0 => {
                name.len() == 4
                    && name.bytes().all(|b| b.is_ascii_digit())
                    && entry.file_type()?.is_dir()
            }
            1 | 2 => {
                name.len() == 2
                    && name.bytes().all(|b| b.is_ascii_digit())
                    && entry.file_type()?.is_dir()
            }
            _ => recording_id(name).is_some() && entry.file_type()?.is_file(),
        };
        if fits {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}
