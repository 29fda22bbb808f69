//! In: `--known FILE`: what is not intact, and was looked at and accepted by somebody.
//! Out: that verdict again, as "known", for as long as the file stays byte for byte what it was.
//! Never: a name without a hash; anything accepted because it looks like what was accepted.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
};

use anyhow::{Context, Result, bail};

use crate::{text, verdict::Status};

/// Which files are known, by name; one name may stand for several.
#[derive(Default)]
pub struct Known(BTreeMap<String, Vec<String>>);

impl Known {
    /// Lines of a BLAKE3 hash in hex and a file's name, as `--print-known` prints them; `#` begins a remark.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = text::path(path);
        let all = fs::read_to_string(path)
            .with_context(|| format!("cannot read the known ones {shown}"))?;
        let mut known = Self::default();
        for (number, line) in (1..).zip(all.lines()) {
            let words: Vec<_> = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            match words.as_slice() {
                [] => {}
                [hash, name] if blake3::Hash::from_hex(hash).is_ok() => {
                    let hashes = known.0.entry((*name).to_owned()).or_default();
                    hashes.push(hash.to_ascii_lowercase());
                }
                _ => bail!(
                    "{shown}:{number}: a known one is a BLAKE3 hash (64 hex digits) and a file's name; `ampgate-replay verify --print-known` prints such lines"
                ),
            }
        }
        Ok(known)
    }

    /// "Known" instead of the status, if the file was accepted as it is.
    pub fn look(&self, path: &Path, status: Status, sentence: String) -> (Status, String) {
        let listed = || {
            let hashes = self.0.get(path.file_name()?.to_str()?)?;
            hashes.contains(&hash(path).ok()?).then_some(())
        };
        match status {
            Status::Intact | Status::Archived | Status::Open => (status, sentence),
            _ if listed().is_some() => (Status::Known, format!("known: {sentence}")),
            _ => (status, sentence),
        }
    }
}

/// A line for the file of known ones; none for what is intact, open, or has no bytes to accept.
pub fn line(path: &Path, status: Status, sentence: &str) -> Option<String> {
    let fine = matches!(
        status,
        Status::Intact | Status::Archived | Status::Open | Status::Known
    );
    let name = path.file_name()?.to_str()?;
    let hash = (!fine).then(|| hash(path).ok())??;
    Some(format!("{hash} {} # {sentence}", text::safe(name)))
}

fn hash(path: &Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}
