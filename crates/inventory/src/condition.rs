//! In: when the inventory last had an answer, and what failed since. Out: how old it is and how it stands, in one sentence.
//! Never: a secret or an excerpt of an answer that is longer than a line.

use std::fmt;
use std::time::Duration;

/// How an inventory stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// In one word.
    pub state: State,
    /// Since what it knows was said; none where nothing is known, and for a file.
    pub age: Option<Duration>,
    /// What is wrong, for banner, metric and event.
    pub sentence: Option<String>,
    /// Amphorae that are known.
    pub amphorae: usize,
    /// Rows that could not be used, names that two inventories claim: each a sentence, the first of them.
    pub faults: Vec<String>,
    /// How many faults there are.
    pub fault_count: usize,
}

/// An inventory in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// A file: it is what it is.
    Fixed,
    /// Asked lately, and answered.
    Fresh,
    /// Not asked lately: just started, or the list takes long.
    Stale,
    /// The last attempt failed; the last known inventory serves.
    Down,
    /// The last known inventory is older than may be, or there is none: nothing serves.
    Gone,
}

impl State {
    /// The word in metrics and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Down => "down",
            Self::Gone => "gone",
        }
    }
}

impl Condition {
    /// That of a file.
    pub fn of_file(amphorae: usize) -> Self {
        Self {
            state: State::Fixed,
            age: None,
            sentence: None,
            amphorae,
            faults: Vec::new(),
            fault_count: 0,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An age as people say it: "40 s", "12 min", "3 h 5 min", "2 d 4 h".
pub fn show_age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}
