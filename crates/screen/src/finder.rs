//! In: a recording, and what the auditor typed to look for.
//! Out: the times at which it came to the screen, found beside the playing.
//! Never: an answer that somebody waits for; a search that goes on when nobody wants it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    thread,
    time::Duration,
};

use crate::{
    drawn,
    player::{Find, Search},
    query::Query,
    timeline::Opening,
};

/// So many are remembered for jumping.
const MOST: usize = 10_000;

/// A search inside a recording.
pub struct Finder {
    /// What is looked for.
    text: String,
    results: Receiver<Result<Vec<Duration>, String>>,
    stop: Arc<AtomicBool>,
    found: Option<Result<Vec<Duration>, String>>,
    /// Where the auditor was when it began.
    begun: Duration,
    chosen: Option<usize>,
}

impl Finder {
    /// For a player of the recording that `opening` opens.
    #[must_use]
    pub fn of(opening: Opening) -> Search {
        Box::new(move |text, at| Box::new(Self::new(Arc::clone(&opening), text, at)))
    }

    /// Begins, on a thread that has the nice value of this one.
    fn new(opening: Opening, text: String, begun: Duration) -> Self {
        let (sender, results) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let (wanted, told) = (text.clone(), Arc::clone(&stop));
        thread::spawn(move || {
            let _ = sender.send(look(&opening, &wanted, &told));
        });
        Self {
            text,
            results,
            stop,
            found: None,
            begun,
            chosen: None,
        }
    }

    fn times(&self) -> &[Duration] {
        match &self.found {
            Some(Ok(found)) => found,
            _ => &[],
        }
    }

    fn choose(&mut self, at: usize) -> Option<Duration> {
        let time = self.times().get(at).copied()?;
        self.chosen = Some(at);
        Some(time)
    }
}

/// The times of all finds.
fn look(opening: &Opening, text: &str, stop: &AtomicBool) -> Result<Vec<Duration>, String> {
    let query = Query::new(text, false, false).map_err(|e| e.to_string())?;
    let drawn = drawn::search(opening()?, &query, 0, MOST, stop);
    Ok(drawn.finds.iter().map(|find| find.at).collect())
}

impl Find for Finder {
    fn begun(&self) -> Duration {
        self.begun
    }

    fn has_ended(&mut self) -> bool {
        if self.found.is_some() {
            return false;
        }
        self.found = match self.results.try_recv() {
            Ok(found) => Some(found),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err("the search died".to_owned())),
        };
        self.found.is_some()
    }

    fn first(&mut self, from: Duration) -> Option<Duration> {
        let found = self.times();
        let at = found.iter().position(|at| *at >= from).unwrap_or(0);
        self.choose(at)
    }

    /// Around the ends.
    fn next(&mut self, forward: bool) -> Option<Duration> {
        let count = self.times().len();
        let at = match (self.chosen, forward) {
            (None, _) => 0,
            (Some(at), true) => at + 1,
            (Some(at), false) => at + count.saturating_sub(1),
        };
        self.choose(at.checked_rem(count)?)
    }

    fn status(&self) -> String {
        match (&self.found, self.chosen) {
            (None, _) => format!("looking for {}", self.text),
            (Some(Err(e)), _) => format!("cannot look for {}: {e}", self.text),
            (Some(Ok(found)), Some(at)) => {
                format!("{} of {}: {}", at + 1, found.len(), self.text)
            }
            (Some(Ok(_)), None) => format!("not found: {}", self.text),
        }
    }
}

impl Drop for Finder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
