//! In: the configuration. Out: whether this host has what a session needs: space, and a signer with keys.
//! Never: a directory that it makes itself.

use ampgate_recording::Store;

use super::Check;
use crate::config::{Config, show_room};
use crate::outer::fingerprint;
use crate::upstream;

/// Without a running gateway: the store as this user sees it.
pub fn disk(config: &Config) -> Check {
    let recording = &config.recording;
    if !recording.directory.is_dir() {
        let said = format!(
            "{} is no directory, or may not be seen by this user; `ampgate serve` makes it",
            recording.directory.display()
        );
        return Check::fail("disk", said);
    }
    match Store::open(&recording.directory, recording.reserve) {
        Ok(store) => disk_of(&store, recording.low_space),
        Err(error) => Check::fail("disk", error.to_string()),
    }
}

/// Whether a new session's recording may begin, and others after it.
pub fn disk_of(store: &Store, low_space: u64) -> Check {
    let dir = store.dir().display();
    match store.admit().and_then(|()| store.free()) {
        Ok(free) if free < low_space => Check::fail(
            "disk",
            format!(
                "{dir} gets low: {} free, the alarm is at {} ([recording] low_space); make room before new sessions are refused",
                show_room(free),
                show_room(low_space)
            ),
        ),
        Ok(_) => Check::ok("disk", format!("{dir} has more than the reserve free")),
        Err(error) => Check::fail("disk", error.to_string()),
    }
}

/// Whether the signer answers, and with which octavia keys.
pub async fn signer(config: &Config) -> Check {
    match upstream::key_ring(config).await {
        Ok(keys) if keys.is_empty() => Check::fail(
            "signer",
            "it answers, and holds no octavia key; name the private key in [signer] keys",
        ),
        Ok(keys) => {
            let keys: Vec<String> = keys.iter().map(fingerprint).collect();
            Check::ok("signer", format!("holds {}", keys.join(", ")))
        }
        Err(trouble) => Check::fail("signer", trouble.to_string()),
    }
}
