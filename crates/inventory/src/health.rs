//! In: good answers and failures of the list, as they come. Out: how the inventory stands, and whether it still counts.
//! Never: an age by a clock that can be set: it counts from the process's own.

use std::time::{Duration, Instant};

use crate::condition::{Condition, State, show_age};
use crate::error::CloudError;
use crate::join::Unusable;
use crate::settings::Settings;

/// How the list was had lately.
pub(crate) struct Health {
    /// When it was had last, and how old it was then.
    good: Option<(Instant, Duration)>,
    failed: Option<CloudError>,
    unusable: Unusable,
    /// What a start found wrong with the file on disk.
    file: Option<String>,
}

impl Health {
    pub(crate) fn new(saved_age: Option<Duration>, file: Option<String>) -> Self {
        Self {
            good: saved_age.map(|age| (Instant::now(), age)),
            failed: None,
            unusable: Unusable::default(),
            file,
        }
    }

    pub(crate) fn good(&mut self, unusable: Unusable, begun: Instant) {
        self.good = Some((begun, Duration::ZERO));
        self.failed = None;
        self.unusable = unusable;
        self.file = None;
    }

    /// Returns whether this is news.
    pub(crate) fn failed(&mut self, error: CloudError) -> bool {
        let news = self.failed.as_ref() != Some(&error);
        self.failed = Some(error);
        news
    }

    pub(crate) fn of_file(&mut self, unusable: Unusable) {
        self.unusable = unusable;
    }

    pub(crate) fn is_down(&self) -> bool {
        self.failed.is_some()
    }

    pub(crate) fn age(&self) -> Option<Duration> {
        self.good.map(|(at, age)| age + at.elapsed())
    }

    /// Why what is known no longer counts, if it does not.
    pub(crate) fn too_old(&self, settings: &Settings) -> Option<String> {
        let because = match (&self.failed, &self.file) {
            (Some(error), _) => error.to_string(),
            (None, Some(file)) => file.clone(),
            (None, None) => "it has not been asked yet".to_owned(),
        };
        match self.age() {
            None => Some(format!("Octavia's amphorae are not known yet: {because}")),
            Some(age) if age > settings.max_age => Some(format!(
                "the last known inventory is {} old, more than max_age ({}): {because}",
                show_age(age),
                show_age(settings.max_age)
            )),
            Some(_) => None,
        }
    }

    pub(crate) fn condition(&self, settings: &Settings, amphorae: usize) -> Condition {
        let age = self.age();
        let gone = self.too_old(settings);
        let (state, sentence) = match (gone, &self.failed, age) {
            (Some(gone), ..) => (State::Gone, Some(gone)),
            (None, Some(error), Some(age)) => (
                State::Down,
                Some(format!(
                    "the last known inventory serves, {} old: {error}",
                    show_age(age)
                )),
            ),
            // A list that takes long is made less often, so that it takes a fifth of the time: four periods are usual.
            (None, _, Some(age)) if age > settings.fresh * 4 => (
                State::Stale,
                Some(format!("the inventory is {} old", show_age(age))),
            ),
            (None, ..) => (State::Fresh, None),
        };
        let mut faults = self.unusable.named.clone();
        faults.extend(self.file.clone());
        Condition {
            state,
            age,
            sentence,
            amphorae,
            fault_count: self.unusable.count + usize::from(self.file.is_some()),
            faults,
        }
    }
}
