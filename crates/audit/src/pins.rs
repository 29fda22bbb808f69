//! In: an amphora's id and the host key it showed; or who wants a pin forgotten, and why.
//! Out: first contact, match, or changed; a new pin on stable storage before anybody relies on it.
//! Never: changes a pin, or forgets one without a person's reason; and no line ever leaves the file.

use crate::error::AuditError;
use crate::journal::{sync_dir, write_once};
use crate::lock::Locked;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The host key that one amphora must show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The amphora's uuid.
    pub amphora: String,
    /// `algorithm base64`, without comment.
    pub host_key: String,
    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// How it became known: `first-contact`, `console`, `static`.
    pub how: String,
    /// When.
    pub time: Timestamp,
}

/// A line that takes a pin back.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Forgotten {
    /// The amphora's uuid.
    forgotten: String,
    /// Fingerprint of the key that was its pin.
    fingerprint: String,
    by: String,
    reason: String,
    time: Timestamp,
}

impl Pin {
    /// The key's algorithm (`ssh-ed25519`): the one to ask the server for, since it may have several host keys.
    pub fn algorithm(&self) -> &str {
        self.host_key.split(' ').next().unwrap_or_default()
    }
}

/// What a shown host key is to the pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinVerdict {
    /// No pin yet.
    FirstContact,
    /// The pinned key.
    Match,
    /// Another key. Refuse the host, tell both fingerprints.
    Changed {
        /// Fingerprint of the pinned key.
        pinned: String,
        /// Fingerprint of the key shown.
        offered: String,
    },
}

/// All pins: `pins.jsonl`, one line each, appended only.
pub struct Pins {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: Locked,
    length: u64,
    pins: HashMap<String, Pin>,
}

impl Pins {
    /// Opens the file, made 0600 if absent, and locks it. A line torn by a crash was never relied on: it is dropped.
    pub fn open(path: &Path) -> Result<Pins, AuditError> {
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(AuditError::io("open", path))?;
        let mut file = Locked::new(file, path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)
            .map_err(AuditError::io("read", path))?;
        let length = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline + 1);
        let pins = read_pins(path, text.get(..length).unwrap_or_default())?;
        let length = length as u64;
        file.set_len(length)
            .and_then(|()| file.sync_all())
            .map_err(AuditError::io("truncate", path))?;
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            sync_dir(dir)?;
        }
        Ok(Pins {
            path: path.into(),
            state: Mutex::new(State { file, length, pins }),
        })
    }

    /// Compares a shown host key (an OpenSSH public key line; a comment is ignored) with the pin.
    pub fn check(&self, amphora: &str, key_openssh: &str) -> Result<PinVerdict, AuditError> {
        let (key, offered) = key_and_fingerprint(key_openssh)?;
        Ok(match self.state().pins.get(&amphora.to_ascii_lowercase()) {
            None => PinVerdict::FirstContact,
            Some(pin) if pin.host_key == key => PinVerdict::Match,
            Some(pin) => PinVerdict::Changed {
                pinned: pin.fingerprint.clone(),
                offered,
            },
        })
    }

    /// Pins a key. When this returns, the pin is on stable storage. Two sessions may meet an amphora at the same time:
    /// the second one's equal key is no new pin, and another key is [`AuditError::PinHeld`].
    pub fn pin(
        &self,
        amphora: &str,
        key_openssh: &str,
        how: &str,
        time: Timestamp,
    ) -> Result<Pin, AuditError> {
        let (host_key, fingerprint) = key_and_fingerprint(key_openssh)?;
        let amphora = amphora.to_ascii_lowercase();
        let mut state = self.state();
        if let Some(pin) = state.pins.get(&amphora) {
            return match pin.host_key == host_key {
                true => Ok(pin.clone()),
                false => Err(AuditError::PinHeld {
                    amphora,
                    pinned: pin.fingerprint.clone(),
                    offered: fingerprint,
                }),
            };
        }
        let pin = Pin {
            amphora,
            host_key,
            fingerprint,
            how: how.to_owned(),
            time,
        };
        let mut line = crate::text::to_json(&pin)?;
        line.push(b'\n');
        self.put(&mut state, &line)?;
        state.pins.insert(pin.amphora.clone(), pin.clone());
        Ok(pin)
    }

    /// Takes a pin back, durably; the next key that is shown may be pinned. None: there was no pin.
    pub fn forget(
        &self,
        amphora: &str,
        by: &str,
        reason: &str,
        time: Timestamp,
    ) -> Result<Option<Pin>, AuditError> {
        let mut state = self.state();
        let Some(pin) = state.pins.get(&amphora.to_ascii_lowercase()).cloned() else {
            return Ok(None);
        };
        let mut line = crate::text::to_json(&Forgotten {
            forgotten: pin.amphora.clone(),
            fingerprint: pin.fingerprint.clone(),
            by: by.to_owned(),
            reason: reason.to_owned(),
            time,
        })?;
        line.push(b'\n');
        self.put(&mut state, &line)?;
        state.pins.remove(&pin.amphora);
        Ok(Some(pin))
    }

    /// All pins, in the order of the amphorae's ids.
    pub fn all(&self) -> Vec<Pin> {
        let mut pins: Vec<Pin> = self.state().pins.values().cloned().collect();
        pins.sort_by(|a, b| a.amphora.cmp(&b.amphora));
        pins
    }

    /// An amphora's pin.
    pub fn get(&self, amphora: &str) -> Option<Pin> {
        self.state()
            .pins
            .get(&amphora.to_ascii_lowercase())
            .cloned()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.state().pins.len()
    }

    fn put(&self, state: &mut State, line: &[u8]) -> Result<(), AuditError> {
        let wrote = match write_once(&state.file, line) {
            Ok(n) if n == line.len() => state.file.sync_data(),
            Ok(_) => Err(std::io::ErrorKind::StorageFull.into()),
            Err(fault) => Err(fault),
        };
        match wrote {
            Ok(()) => {
                state.length += line.len() as u64;
                Ok(())
            }
            Err(fault) => {
                // If this fails too, the half line is dropped at the next start, or read as damage: never as a pin.
                let _ = state.file.set_len(state.length);
                Err(AuditError::io("write to", &self.path)(fault))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_pins(path: &Path, text: &[u8]) -> Result<HashMap<String, Pin>, AuditError> {
    let mut pins: HashMap<String, Pin> = HashMap::new();
    for (number, line) in text
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
    {
        let fault = |why: String| AuditError::Pins {
            file: path.into(),
            line: number + 1,
            why,
        };
        if let Ok(forgotten) = serde_json::from_slice::<Forgotten>(line) {
            let pin = pins.remove(&forgotten.forgotten);
            if pin.is_none_or(|pin| pin.fingerprint != forgotten.fingerprint) {
                return Err(fault("it takes back a pin that is not there".to_owned()));
            }
            continue;
        }
        let pin: Pin = serde_json::from_slice(line).map_err(|error| fault(error.to_string()))?;
        let (key, fingerprint) =
            key_and_fingerprint(&pin.host_key).map_err(|error| fault(error.to_string()))?;
        if (key.as_str(), fingerprint.as_str()) != (&pin.host_key, &pin.fingerprint) {
            return Err(fault("the fingerprint is not that of the key".to_owned()));
        }
        if pins.contains_key(&pin.amphora) {
            return Err(fault(format!("amphora {} has a pin already", pin.amphora)));
        }
        pins.insert(pin.amphora.clone(), pin);
    }
    Ok(pins)
}

/// `algorithm base64` and `SHA256:…` of an OpenSSH public key line.
fn key_and_fingerprint(line: &str) -> Result<(String, String), AuditError> {
    let bad = |why: &str| AuditError::NotAKey(why.to_owned());
    let mut words = line.split_ascii_whitespace();
    let (Some(algorithm), Some(base64)) = (words.next(), words.next()) else {
        return Err(bad("two words expected"));
    };
    let blob = base64_simd::STANDARD
        .decode_to_vec(base64)
        .map_err(|_| bad("the second word is no base64"))?;
    // The blob says its algorithm itself; a line that says another one lies.
    let named = (algorithm.len() as u32).to_be_bytes();
    if !blob
        .strip_prefix(&named)
        .is_some_and(|rest| rest.starts_with(algorithm.as_bytes()))
    {
        return Err(bad("the key is not of the algorithm that the line names"));
    }
    let fingerprint = base64_simd::STANDARD_NO_PAD.encode_to_string(digest(&SHA256, &blob));
    Ok((
        format!("{algorithm} {base64}"),
        format!("SHA256:{fingerprint}"),
    ))
}
