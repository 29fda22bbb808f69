//! In: names and bytes. Out: files of a directory, each put there in one step.
//! Never: a name that leads out of it, or a file that is half there under its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::ArchiveError;
use crate::remote::{PAGE, Remote};

/// What a file is called until it is whole; no name of an object ends so.
const UNFINISHED: &str = ".unfinished";

pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    fn path(&self, name: &str) -> Result<PathBuf, ArchiveError> {
        let below = Path::new(name);
        match below
            .components()
            .all(|c| matches!(c, Component::Normal(_)))
            && !name.is_empty()
        {
            true => Ok(self.0.join(below)),
            false => Err(self.fault(name, &io::Error::other("this name leads elsewhere"))),
        }
    }

    fn fault(&self, what: &str, error: &io::Error) -> ArchiveError {
        ArchiveError::Store {
            store: self.0.display().to_string(),
            what: what.to_owned(),
            why: error.to_string(),
        }
    }
}

#[async_trait]
impl Remote for Directory {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        write_whole(&self.path(name)?, &bytes).map_err(|e| self.fault(name, &e))
    }

    async fn get(&self, name: &str, at_most: usize) -> Result<Bytes, ArchiveError> {
        let mut bytes = Vec::new();
        let file = File::open(self.path(name)?).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ArchiveError::Missing {
                name: name.to_owned(),
            },
            _ => self.fault(name, &error),
        })?;
        let read = file.take(at_most as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|e| self.fault(name, &e))?;
        match bytes.len() <= at_most {
            true => Ok(bytes.into()),
            false => Err(ArchiveError::Differs {
                name: name.to_owned(),
                why: format!("it has more than {at_most} bytes"),
            }),
        }
    }

    async fn delete(&self, name: &str) -> Result<(), ArchiveError> {
        match fs::remove_file(self.path(name)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.fault(name, &error)),
            _ => Ok(()),
        }
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<String>, ArchiveError> {
        let mut names = Vec::new();
        walk(&self.0, "", prefix, &mut names).map_err(|e| self.fault(prefix, &e))?;
        names.retain(|name| name.starts_with(prefix) && name.as_str() > after);
        names.sort_unstable();
        names.truncate(PAGE);
        Ok(names)
    }
}

/// Names below a directory; only those directories are entered that may hold names with the prefix.
fn walk(dir: &Path, above: &str, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !above.is_empty() => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Some(name) = entry
            .file_name()
            .to_str()
            .map(|name| format!("{above}{name}"))
        else {
            continue;
        };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let below = format!("{name}/");
            if below.starts_with(prefix) || prefix.starts_with(&below) {
                walk(&entry.path(), &below, prefix, names)?;
            }
        } else if kind.is_file() && !name.ends_with(UNFINISHED) {
            names.push(name);
        }
    }
    Ok(())
}

/// A file with these bytes, durable, and never seen half written. Directories above it are made, for its owner only.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let above = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(above)?;
    let mut new = path.as_os_str().to_owned();
    new.push(UNFINISHED);
    let new = PathBuf::from(new);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(above)?.sync_all()
}
