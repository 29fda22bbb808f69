//! In: how much room the recordings' disk has. Out: an alarm before sessions are refused; who may begin one all the same.
//! Never: a session below the smaller reserve, whoever asks; two alarms for one crossing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ampgate_access::Grant;
use ampgate_audit::{About, Event};
use jiff::Timestamp;

use crate::config::show_room;
use crate::gateway::Gateway;

/// The disk is asked this often: a flood fills the space between the two lines in some seconds.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// No file system has so much room: it did not answer.
const UNKNOWN: u64 = u64::MAX;

/// How the recordings' disk stood when it was last asked.
pub struct Room {
    free: AtomicU64,
    low: AtomicBool,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            free: AtomicU64::new(UNKNOWN),
            low: AtomicBool::new(false),
        }
    }
}

impl Room {
    /// Bytes free; none while the file system does not answer.
    pub fn free(&self) -> Option<u64> {
        Some(self.free.load(Ordering::Relaxed)).filter(|free| *free != UNKNOWN)
    }

    /// Whether the alarm is on.
    pub fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }
}

/// Asks the disk again and again, and writes down when it gets low and when it is well again. Runs for ever.
pub async fn watch(gateway: Arc<Gateway>) {
    loop {
        let store = Arc::clone(&gateway.store);
        let mut asking = tokio::task::spawn_blocking(move || store.free());
        // May hang with its disk: then nothing is known, and nothing else waits for it. It is not asked a second time meanwhile.
        let asked = loop {
            match tokio::time::timeout(WATCH_EVERY, &mut asking).await {
                Ok(asked) => break asked,
                Err(_) => gateway.room.free.store(UNKNOWN, Ordering::Relaxed),
            }
        };
        match asked {
            Ok(Ok(free)) => look(&gateway, free),
            _ => gateway.room.free.store(UNKNOWN, Ordering::Relaxed),
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

fn look(gateway: &Gateway, free: u64) {
    let recording = &gateway.config().recording;
    gateway.room.free.store(free, Ordering::Relaxed);
    let was = gateway.room.is_low();
    let is = low(was, free, recording.low_space);
    gateway.room.low.store(is, Ordering::Relaxed);
    if was == is {
        return;
    }
    let directory = gateway.store.dir().display().to_string();
    if is {
        tracing::warn!(
            directory,
            "the disk of recordings gets low: {} free; below {} new sessions are refused",
            show_room(free),
            show_room(recording.reserve)
        );
        gateway.journal(
            None,
            Event::DiskLow {
                directory: directory.into(),
                free,
                low_space: recording.low_space,
                reserve: recording.reserve,
            },
        );
    } else {
        tracing::info!(
            directory,
            "the disk of recordings is well again: {} free",
            show_room(free)
        );
        gateway.journal(
            None,
            Event::DiskOk {
                directory: directory.into(),
                free,
            },
        );
    }
}

/// Whether the alarm is on. Off again only an eighth above the line, so that a disk which hovers there gives one alarm.
fn low(was: bool, free: u64, line: u64) -> bool {
    free < line.saturating_add(if was { line / 8 } else { 0 })
}

/// Somebody whom policy lets begin although the disk is below the reserve.
pub struct BrokenGlass {
    rules: Vec<String>,
    free: u64,
    /// What has to stay free even so.
    pub reserve: u64,
}

impl BrokenGlass {
    /// Asks policy. Nobody else knows of the answer yet.
    ///
    /// # Errors
    /// Why not, for the journal.
    pub fn ask(gateway: &Gateway, grant: &Grant, free: u64) -> Result<Self, String> {
        let rules = gateway.rules();
        match rules.policy.break_glass(grant, Timestamp::now()) {
            Ok(by) => Ok(Self {
                rules: by.iter().map(ToString::to_string).collect(),
                free,
                reserve: rules.config.recording.break_glass_reserve,
            }),
            Err(refusal) => Err(format!(
                "break-glass is refused: {}",
                match refusal.rules().first() {
                    Some(rule) => rule.to_string(),
                    None => "no rule permits it".to_owned(),
                }
            )),
        }
    }

    /// The recording is open: writes it down, and gives what the operator is told.
    pub fn done(self, gateway: &Gateway, grant: &Grant, about: About) -> String {
        tracing::warn!(
            free = self.free,
            "a session begins below the reserve, by break-glass"
        );
        let told = format!(
            "this session uses the reserve of the gateway's disk, of which {} are free; make it short, and have room made. It is in the journal as break-glass",
            show_room(self.free)
        );
        gateway.journal(
            Some(grant.session()),
            Event::GlassBroken {
                about: Box::new(about),
                rules: self.rules.into_iter().map(Into::into).collect(),
                reason: grant.reason().map(Into::into),
                free: self.free,
                reserve: self.reserve,
            },
        );
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One crossing, one alarm: what goes on around the line is no news.
    #[test]
    fn a_disk_that_hovers_gives_one_alarm() {
        let mut was = false;
        let mut changes = Vec::new();
        for free in [100, 81, 79, 81, 79, 89, 80, 90, 89, 81, 79, 0, 200] {
            let is = low(was, free, 80);
            if is != was {
                changes.push((free, is));
            }
            was = is;
        }
        assert_eq!(changes, [(79, true), (90, false), (79, true), (200, false)]);
        assert!(!low(false, 0, 0), "without a line there is no alarm");
        assert!(low(true, u64::MAX - 1, u64::MAX), "nor an overflow");
    }
}
