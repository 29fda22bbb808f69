//! In: `--key`, `AMPGATE_SEALING_KEY`, or a `sealing.pub` beside or above what is verified.
//! Out: the sealing keys that count, and where they came from, so that the auditor can judge that.
//! Never: a private key; trust in the key that a recording itself names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ampgate_recording::{
    Head, PublicKey, RecordingError, Verdict, verify as verify_file, verify_against,
};
use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{known::Known, text};

/// A key file is a line; this is plenty.
const LARGEST: u64 = 64 << 10;
/// The file that `ampgate init` writes.
const NAME: &str = "sealing.pub";

/// Which sealing keys are trusted.
#[derive(Args, Clone, Debug, Default)]
pub struct KeyArgs {
    /// The gateway's sealing key (its public half, keys/sealing.pub); more than one after a change of keys
    #[arg(
        long = "key",
        value_name = "SEALING.PUB",
        env = "AMPGATE_SEALING_KEY",
        value_delimiter = ':'
    )]
    keys: Vec<PathBuf>,
}

/// The keys that count.
#[derive(Default)]
pub struct Trust {
    keys: Vec<PublicKey>,
    /// For people: each key with the file that it is from.
    pub told: Vec<String>,
    /// What is not intact, and accepted as it is.
    pub known: Known,
}

impl KeyArgs {
    /// The keys given, or those found near `place`.
    pub fn load(&self, place: &Path) -> Result<Trust> {
        let mut trust = Trust::default();
        for file in &self.keys {
            trust.add(file)?;
        }
        if self.keys.is_empty()
            && let Some(found) = near(place)
        {
            trust.add(&found)?;
        }
        Ok(trust)
    }
}

impl Trust {
    /// Whether there is any key at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of a journal's seals.
    pub fn first(&self) -> Option<&PublicKey> {
        self.keys.first()
    }

    /// Verifies a file with the key that it needs, among those that count.
    pub fn verify(&self, path: &Path, head: Option<&Head>) -> Result<Verdict, RecordingError> {
        let with = |key: Option<&PublicKey>| match head {
            Some(head) => verify_against(path, key, head),
            None => verify_file(path, key),
        };
        let verdict = with(self.keys.first())?;
        if let Verdict::ForeignKey { found, .. } = &verdict
            && let Some(other) = self.keys.iter().find(|key| key.fingerprint() == *found)
        {
            return with(Some(other));
        }
        Ok(verdict)
    }

    fn add(&mut self, file: &Path) -> Result<()> {
        let name = text::path(file);
        let size = fs::metadata(file)
            .with_context(|| format!("cannot read the sealing key {name}"))?
            .len();
        if size > LARGEST {
            bail!("{name} is no sealing key: it has {size} bytes");
        }
        let keys = fs::read_to_string(file)
            .with_context(|| format!("cannot read the sealing key {name}"))?;
        if keys.contains("PRIVATE KEY") {
            bail!(
                "{name} is a private key, which no auditor should hold; give its public half, {name}.pub"
            );
        }
        let lines = keys
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let before = self.keys.len();
        for line in lines {
            let key = PublicKey::from_openssh(line)
                .with_context(|| format!("{name} is no sealing key"))?;
            self.told.push(format!("{} ({name})", key.fingerprint()));
            self.keys.push(key);
        }
        if self.keys.len() == before {
            bail!("{name} holds no key; expected a line \"ssh-ed25519 AAAA… comment\"");
        }
        Ok(())
    }
}

/// `sealing.pub` or `keys/sealing.pub` in the directory, the file's directory, or above: a recording lies four
/// directories below the one that `ampgate init` made.
fn near(place: &Path) -> Option<PathBuf> {
    let place = fs::canonicalize(place).ok()?;
    place
        .ancestors()
        .take(6)
        .flat_map(|dir| [dir.join(NAME), dir.join("keys").join(NAME)])
        .find(|file| file.is_file())
}
