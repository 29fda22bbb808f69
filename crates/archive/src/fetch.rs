//! In: a store that may be read; an empty directory, or what an earlier fetch left there. Out: `recordings/` and `journal/` as
//! the gateway had them. Never: a file that is not what its manifest, or the names of its parts, say; no gateway, no state.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::ArchiveError;
use crate::hash::{Hasher, Sha256};
use crate::manifest::{self, Manifest};
use crate::name::{self, Key, Part, What};
use crate::pack::{LARGEST_OBJECT, VOLUME, unpack};
use crate::remote::Remote;
use crate::ship::prove;

/// What came of it.
#[derive(Debug, Default, serde::Serialize)]
pub struct Fetched {
    /// Whole files, each byte of them checked.
    pub whole: usize,
    /// Whole files that were there from an earlier fetch, and were checked.
    pub already: usize,
    /// Files that still grew when the store was last written: all of them that is there.
    pub growing: usize,
    /// Names in the store that are none of ours.
    pub strange: usize,
    /// What could not be fetched, a sentence each.
    pub faults: Vec<String>,
}

/// Fetches everything.
///
/// # Errors
/// The store cannot be listed or asked. What is wrong with single files is in [`Fetched::faults`].
pub async fn fetch(remote: &dyn Remote, dir: &Path) -> Result<Fetched, ArchiveError> {
    let mut done = Fetched::default();
    for (key, names) in everything(remote, &mut done).await? {
        let path = key.path(&dir.join("recordings"), &dir.join("journal"));
        let outcome = match names.manifest {
            true => whole(remote, &key, &path).await.map(|fresh| match fresh {
                true => done.whole += 1,
                false => done.already += 1,
            }),
            false if names.parts.is_empty() => Err(ArchiveError::Missing {
                name: key.manifest(),
            }),
            false => growing(remote, &key, names.parts, &path).await.map(|bad| {
                done.growing += 1;
                done.faults.extend(bad.iter().map(ToString::to_string));
            }),
        };
        match outcome {
            Err(fault) if fault.concerns_all() => return Err(fault),
            Err(fault) => done.faults.push(fault.to_string()),
            Ok(()) => {}
        }
    }
    Ok(done)
}

#[derive(Default)]
struct Names {
    manifest: bool,
    parts: Vec<Part>,
}

async fn everything(
    remote: &dyn Remote,
    done: &mut Fetched,
) -> Result<BTreeMap<Key, Names>, ArchiveError> {
    let mut files: BTreeMap<Key, Names> = BTreeMap::new();
    let mut after = String::new();
    loop {
        let names = remote.list("", &after).await?;
        let Some(last) = names.last() else {
            return Ok(files);
        };
        after.clone_from(last);
        for name in &names {
            match name::read(name) {
                Some((key, What::Manifest)) => files.entry(key).or_default().manifest = true,
                Some((key, What::Part(part))) => files.entry(key).or_default().parts.push(part),
                // A volume without a manifest was being sent: its parts are there, or its gateway has it.
                Some((key, What::Volume)) => {
                    files.entry(key).or_default();
                }
                None => done.strange += usize::from(!name.starts_with("holds/")),
            }
        }
    }
}

/// False: it was there already.
async fn whole(remote: &dyn Remote, key: &Key, path: &Path) -> Result<bool, ArchiveError> {
    let name = key.manifest();
    let text = remote.get(&name, manifest::LARGEST).await?;
    let manifest = Manifest::read(key, &text).map_err(|why| ArchiveError::Differs { name, why })?;
    if hash_of(path).is_some_and(|found| found == (manifest.size, manifest.sha256)) {
        return Ok(false);
    }
    // Longer than the whole it is no beginning of it: that need not be fetched to be known.
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.len() >= manifest.size) {
        return Err(stays(path));
    }
    let mut file = Unfinished::new(path)?;
    let count = manifest.volumes.len();
    for (at, volume) in manifest.volumes.iter().enumerate() {
        let plain = prove(remote, key, &key.volume(at + 1, count), volume).await?;
        file.write(&plain)?;
    }
    file.finish(Some((manifest.size, manifest.sha256)))?;
    Ok(true)
}

/// A row of parts from the first byte on, each of which is what its name says. Returned: parts that are not, where the others
/// make a row without them.
async fn growing(
    remote: &dyn Remote,
    key: &Key,
    mut parts: Vec<Part>,
    path: &Path,
) -> Result<Vec<ArchiveError>, ArchiveError> {
    parts.sort_unstable_by_key(|part| (part.from, std::cmp::Reverse(part.to)));
    let mut file = Unfinished::new(path)?;
    let (mut at, mut beyond, mut bad) = (0, 0, Vec::new());
    for part in parts {
        if part.from != at {
            beyond = part.to.max(beyond);
            continue;
        }
        match proved_part(remote, key, &part).await {
            Ok(plain) => file.write(&plain)?,
            Err(fault) if fault.concerns_all() => return Err(fault),
            Err(fault) => {
                bad.push(fault);
                continue;
            }
        }
        at = part.to;
    }
    if at == 0 || beyond > at {
        // What it lacks is in the middle of it, or all of it.
        if let Some(fault) = bad.into_iter().next() {
            file.discard();
            return Err(fault);
        }
        bad = Vec::new();
    }
    file.finish(None).map(|()| bad)
}

async fn proved_part(remote: &dyn Remote, key: &Key, part: &Part) -> Result<Vec<u8>, ArchiveError> {
    let name = key.part(part);
    let stored = remote.get(&name, LARGEST_OBJECT).await?;
    let plain = unpack(key, &stored, part.to.saturating_sub(part.from));
    let plain = plain.ok().filter(|plain| Sha256::of(plain) == part.sha256);
    plain.ok_or_else(|| ArchiveError::Differs {
        name,
        why: "it is not what its name says".to_owned(),
    })
}

/// Somebody's evidence, perhaps: it is told, and not written over.
fn stays(path: &Path) -> ArchiveError {
    ArchiveError::Local {
        path: path.to_owned(),
        why:
            "this file is not what the store has; it stays as it is, and the store's is not fetched"
                .to_owned(),
    }
}

/// Whether a file is the beginning of another, or all of it.
fn begins(short: &Path, long: &Path) -> io::Result<bool> {
    let mut long = io::BufReader::new(File::open(long)?);
    let mut short = io::BufReader::new(File::open(short)?);
    loop {
        let here = short.fill_buf()?;
        if here.is_empty() {
            return Ok(true);
        }
        let there = long.fill_buf()?;
        let both = here.len().min(there.len());
        if both == 0 || here.get(..both) != there.get(..both) {
            return Ok(false);
        }
        short.consume(both);
        long.consume(both);
    }
}

pub(crate) fn hash_of(path: &Path) -> Option<(u64, Sha256)> {
    let mut file = File::open(path).ok()?;
    let (mut hasher, mut size) = (Hasher::default(), 0);
    let mut some = vec![0; VOLUME.min(1 << 20)];
    loop {
        let read = file.read(&mut some).ok()?;
        if read == 0 {
            return Some((size, hasher.finish()));
        }
        hasher.update(some.get(..read)?);
        size += read as u64;
    }
}

/// A file beside its place, which it takes when it is whole.
struct Unfinished {
    file: File,
    path: PathBuf,
    place: PathBuf,
    hasher: Hasher,
    size: u64,
}

impl Unfinished {
    fn new(place: &Path) -> Result<Self, ArchiveError> {
        let mut path = place.as_os_str().to_owned();
        path.push(".unfinished");
        let path = PathBuf::from(path);
        let made = || {
            let above = place.parent().unwrap_or(Path::new("."));
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(above)?;
            let mut options = OpenOptions::new();
            options
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)
        };
        Ok(Self {
            file: made().map_err(ArchiveError::local(&path))?,
            place: place.to_owned(),
            path,
            hasher: Hasher::default(),
            size: 0,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .map_err(ArchiveError::local(&self.path))
    }

    /// Nobody needs it: what it was made of is in the store.
    fn discard(self) {
        fs::remove_file(&self.path).ok();
    }

    fn finish(self, expected: Option<(u64, Sha256)>) -> Result<(), ArchiveError> {
        let fault = ArchiveError::local(&self.place);
        if expected.is_some_and(|expected| expected != (self.size, self.hasher.finish())) {
            return Err(fault(io::Error::other(
                "put together it is not what its manifest says",
            )));
        }
        // An earlier fetch may have brought its beginning. Anything else in its place is not ours to replace.
        let free = match fs::symlink_metadata(&self.place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
            Ok(meta) if meta.is_file() => begins(&self.place, &self.path),
            Ok(_) => Ok(false),
        };
        match free {
            Ok(true) => {}
            Ok(false) => {
                // Nobody needs it: what it was made of is in the store.
                fs::remove_file(&self.path).ok();
                return Err(stays(&self.place));
            }
            Err(error) => return Err(fault(error)),
        }
        let done = self.file.sync_all();
        done.and_then(|()| fs::rename(&self.path, &self.place))
            .map_err(fault)
    }
}
