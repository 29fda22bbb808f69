//! In: a file that was sent and read back. Out: what it is, in JSON beside its objects: enough to read it without us.
//! Never: taken from the store without being checked against the name it lies under.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hash::Sha256;
use crate::name::Key;
use crate::pack::VOLUME;
use crate::state::Ended;

const FORMAT: u32 = 1;
/// 64 GiB in volumes, 300 bytes each, and room.
pub(crate) const LARGEST: usize = 4 << 20;

/// What a whole file is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// 1.
    pub format: u32,
    /// The file.
    pub name: Key,
    /// Its bytes.
    pub size: u64,
    /// Their hash.
    pub sha256: Sha256,
    /// How the file came to its end.
    pub ended: Ended,
    /// The last hash of a recording's chain, as the journal has it.
    pub head: Option<String>,
    /// When all objects had been read back.
    pub shipped: Timestamp,
    /// The objects, in the order of the file.
    pub volumes: Vec<Volume>,
}

/// One object of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Volume {
    /// Plain bytes in it.
    pub size: u64,
    /// Their hash.
    pub sha256: Sha256,
    /// Bytes of the object.
    pub stored: u64,
    /// Their hash.
    pub stored_sha256: Sha256,
}

impl Manifest {
    pub(crate) fn new(
        name: Key,
        facts: (u64, Sha256),
        ended: Ended,
        head: Option<String>,
        shipped: Timestamp,
        volumes: Vec<Volume>,
    ) -> Self {
        Self {
            format: FORMAT,
            name,
            size: facts.0,
            sha256: facts.1,
            ended,
            head,
            shipped,
            volumes,
        }
    }

    /// Reads one that the store has under this file's name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(key: &Key, bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|e| format!("no manifest: {e}"))?;
        if manifest.format != FORMAT {
            return Err(format!(
                "format {}, which needs a newer ampgate",
                manifest.format
            ));
        }
        if manifest.name != *key {
            return Err(format!("it is the manifest of {}", manifest.name));
        }
        let sum = manifest
            .volumes
            .iter()
            .try_fold(0_u64, |sum, volume| sum.checked_add(volume.size));
        let bounded = manifest.volumes.iter().all(|v| v.size <= VOLUME as u64);
        match sum == Some(manifest.size) && bounded {
            true => Ok(manifest),
            false => Err("its volumes do not make up the file".to_owned()),
        }
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }
}
