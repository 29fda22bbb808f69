//! In: a recording's events at the times they happened.
//! Out: the same at the times they are played, long silences shortened; and a survey of the whole.
//! Never: more than one event in memory, but for the markers.

use std::{io::Read, sync::Arc, time::Duration};

use ampgate_recording::{EventKind, Reader};

/// An open recording, wherever its bytes come from.
pub type Recording = Reader<Box<dyn Read + Send>>;

/// Opens the recording, once for each time that it is played from its begin.
pub type Opening = Arc<dyn Fn() -> Result<Recording, String> + Send + Sync>;

/// The recording cannot be read, or not any more.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

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
    opening: Opening,
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
    ///
    /// # Errors
    /// The recording cannot be opened.
    pub fn open(opening: Opening, idle: Duration) -> Result<Self, Unreadable> {
        let reader = opening().map_err(Unreadable)?;
        Ok(Self {
            opening,
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

    /// From the begin again.
    ///
    /// # Errors
    /// The recording cannot be opened any more.
    pub fn rewind(&mut self) -> Result<(), Unreadable> {
        *self = Self::open(Arc::clone(&self.opening), self.idle)?;
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

/// Reads a recording once, from its begin.
#[must_use]
pub fn survey(mut timeline: Timeline) -> Survey {
    let mut survey = Survey::default();
    while let Some(step) = timeline.take() {
        (survey.length, survey.played) = (step.at, step.played);
        if matches!(step.kind, EventKind::Marker(_)) && survey.markers.len() < MOST_MARKERS {
            survey.markers.push(step.played);
        }
    }
    survey.faults = timeline.faults;
    survey
}
