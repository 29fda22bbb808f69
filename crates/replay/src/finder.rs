//! In: a recording, and what the auditor typed to look for.
//! Out: the times at which it came to the screen, found beside the playing.
//! Never: an answer that somebody waits for; a search that goes on when nobody wants it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    thread,
    time::Duration,
};

use ampgate_screen::player::Find;

use crate::{query::Query, scan};

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
    /// Begins.
    pub fn new(path: &Path, text: String, begun: Duration) -> Self {
        let (sender, results) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let (path, wanted, told) = (path.to_owned(), text.clone(), stop.clone());
        thread::spawn(move || {
            let found = Query::new(&wanted, false, false)
                .and_then(|query| scan::search(&path, &query, 0, MOST, false, &told));
            let times = found.map(|drawn| drawn.finds.iter().map(|find| find.at).collect());
            let _ = sender.send(times.map_err(|e| e.root_cause().to_string()));
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
