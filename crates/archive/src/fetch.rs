//! In: a store that may be read; an empty directory, or what an earlier fetch left there. Out: `recordings/` and `journal/` as
//! the gateway had them. Never: a file that is not what its manifest, or the names of its parts, say; no gateway, no state.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
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
            false => growing(remote, &key, names.parts, &path)
                .await
                .map(|()| done.growing += 1),
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
    let mut file = Unfinished::new(path)?;
    let count = manifest.volumes.len();
    for (at, volume) in manifest.volumes.iter().enumerate() {
        let plain = prove(remote, key, &key.volume(at + 1, count), volume).await?;
        file.write(&plain)?;
    }
    file.finish(Some((manifest.size, manifest.sha256)))?;
    Ok(true)
}

/// The longest row of parts from the first byte on, each of which is what its name says.
async fn growing(
    remote: &dyn Remote,
    key: &Key,
    mut parts: Vec<Part>,
    path: &Path,
) -> Result<(), ArchiveError> {
    parts.sort_unstable_by_key(|part| (part.from, std::cmp::Reverse(part.to)));
    let mut file = Unfinished::new(path)?;
    let mut at = 0;
    for part in parts {
        if part.from != at {
            continue;
        }
        let name = key.part(&part);
        let stored = remote.get(&name, LARGEST_OBJECT).await?;
        let plain = unpack(key, &stored, part.to - part.from);
        let plain = plain.ok().filter(|plain| Sha256::of(plain) == part.sha256);
        let plain = plain.ok_or_else(|| ArchiveError::Differs {
            name,
            why: "it is not what its name says".to_owned(),
        })?;
        file.write(&plain)?;
        at = part.to;
    }
    file.finish(None)
}

fn hash_of(path: &Path) -> Option<(u64, Sha256)> {
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

    fn finish(self, expected: Option<(u64, Sha256)>) -> Result<(), ArchiveError> {
        let fault = ArchiveError::local(&self.place);
        if expected.is_some_and(|expected| expected != (self.size, self.hasher.finish())) {
            return Err(fault(io::Error::other(
                "put together it is not what its manifest says",
            )));
        }
        let done = self.file.sync_all();
        done.and_then(|()| fs::rename(&self.path, &self.place))
            .map_err(fault)
    }
}
