//! In: which octavia key opened which amphora.
//! Out: the key to try first the next time.
//! Never: matters for security: losing it costs one refused key at the next login.

use crate::error::AuditError;
use crate::journal::write_once;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Remembers, per amphora, the fingerprint of the octavia key that opened it last.
pub struct KeyMemory {
    state: Mutex<(File, HashMap<String, String>)>,
}

#[derive(Serialize, Deserialize)]
struct Learned {
    amphora: String,
    octavia_key: String,
}

impl KeyMemory {
    /// Opens the file, made 0600 if absent. Lines that cannot be read are forgotten; the file is written anew, compact.
    pub fn open(path: &Path) -> Result<KeyMemory, AuditError> {
        let text = fs::read(path).unwrap_or_default();
        let known: HashMap<String, String> = text
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Learned>(line).ok())
            .map(|learned| (learned.amphora, learned.octavia_key))
            .collect();
        let new = path.with_extension("new");
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&new)
            .map_err(AuditError::io("open", &new))?;
        let lines: Vec<u8> = known
            .iter()
            .flat_map(|(amphora, key)| line(amphora, key))
            .collect();
        file.set_len(0)
            .and_then(|()| (&file).write_all(&lines))
            .and_then(|()| fs::rename(&new, path))
            .map_err(AuditError::io("write", path))?;
        Ok(KeyMemory {
            state: Mutex::new((file, known)),
        })
    }

    /// The key that opened the amphora last.
    pub fn recall(&self, amphora: &str) -> Option<String> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .get(amphora)
            .cloned()
    }

    /// Remembers it. A failed write is forgotten at the next start, and that is all.
    pub fn learn(&self, amphora: &str, octavia_key: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state
            .1
            .get(amphora)
            .is_some_and(|known| known == octavia_key)
        {
            return;
        }
        let _ = write_once(&state.0, &line(amphora, octavia_key));
        state.1.insert(amphora.to_owned(), octavia_key.to_owned());
    }
}

fn line(amphora: &str, octavia_key: &str) -> Vec<u8> {
    let learned = Learned {
        amphora: amphora.to_owned(),
        octavia_key: octavia_key.to_owned(),
    };
    let mut line = crate::text::to_json(&learned).unwrap_or_default();
    line.push(b'\n');
    line
}
