//! In: a recording's events at the times they happened.
//! Out: the same at the times they are played, long silences shortened; and a survey of the whole.
//! Never: more than one event in memory, but for the markers.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ampgate_recording::EventKind;
use anyhow::Result;

use crate::source::{self, Recording};

/// So many markers are remembered for jumping.
const MOST_MARKERS: usize = 10_000;

/// An event and its times.
pub struct Step {
    /// Since the recording began.
    pub at: Duration,
    /// Since the playing began, at speed 1.
    pub played: Duration,
    /// What happened.
    pub kind: EventKind,
}

/// A recording from its begin.
pub struct Timeline {
    path: PathBuf,
    idle: Duration,
    reader: Recording,
    next: Option<Step>,
    at: Duration,
    played: Duration,
    /// Lines so far that are no events.
    faults: u64,
}

impl Timeline {
    /// Silences above `idle` are shortened to it.
    pub fn open(path: &Path, idle: Duration) -> Result<Self> {
        let reader = source::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            idle,
            reader,
            next: None,
            at: Duration::ZERO,
            played: Duration::ZERO,
            faults: 0,
        })
    }

    /// The header.
    pub fn header(&self) -> &ampgate_recording::Header {
        self.reader.header()
    }

    /// Where the recording is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From the begin again.
    pub fn rewind(&mut self) -> Result<()> {
        *self = Self::open(&self.path, self.idle)?;
        Ok(())
    }

    /// The next event, which stays the next.
    pub fn peek(&mut self) -> Option<&Step> {
        if self.next.is_none() {
            self.next = self.read();
        }
        self.next.as_ref()
    }

    /// The next event. Lines that are none are passed over; the survey counted them.
    pub fn take(&mut self) -> Option<Step> {
        self.peek();
        self.next.take()
    }

    fn read(&mut self) -> Option<Step> {
        let event = loop {
            match self.reader.next()? {
                Ok(event) => break event,
                Err(_) => self.faults = self.faults.saturating_add(1),
            }
        };
        let silence = event.at.saturating_sub(self.at);
        self.at = event.at;
        self.played = self.played.saturating_add(silence.min(self.idle));
        Some(Step {
            at: self.at,
            played: self.played,
            kind: event.kind,
        })
    }
}

/// What is known of the whole before it is played.
#[derive(Default)]
pub struct Survey {
    /// How long it took.
    pub length: Duration,
    /// How long it is played, at speed 1.
    pub played: Duration,
    /// When the gateway said something, in time played.
    pub markers: Vec<Duration>,
    /// Lines that are no events.
    pub faults: u64,
}

/// Reads a recording once.
pub fn survey(path: &Path, idle: Duration) -> Result<Survey> {
    let mut timeline = Timeline::open(path, idle)?;
    let mut survey = Survey::default();
    while let Some(step) = timeline.take() {
        (survey.length, survey.played) = (step.at, step.played);
        if matches!(step.kind, EventKind::Marker(_)) && survey.markers.len() < MOST_MARKERS {
            survey.markers.push(step.played);
        }
    }
    survey.faults = timeline.faults;
    Ok(survey)
}
