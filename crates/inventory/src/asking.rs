//! In: names that were asked for. Out: which of them are asked of Octavia now, and who waits for whose answer.
//! Never: one name twice at once, more than the rate, or a table that grows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ampgate_access::TargetName;
use tokio::sync::{mpsc, watch};

/// Questions that may come at once, and how many are allowed each second after that, from all operators together.
/// Guessing names makes no more load than this; names that are known are not concerned.
const BURST: f64 = 20.0;
const PER_SECOND: f64 = 5.0;
/// The most names that are remembered as asked for: more than the rate allows in the longest memory.
const REMEMBERED: usize = 4096;

/// One question; dropping it tells those who wait.
pub(crate) struct Question {
    pub(crate) name: TargetName,
    _answered: watch::Sender<()>,
}

/// The questions of the moment.
pub(crate) struct Asking {
    queue: mpsc::Sender<Question>,
    table: Mutex<Table>,
    again: Duration,
}

struct Table {
    asked: HashMap<TargetName, Asked>,
    tokens: f64,
    counted: Instant,
}

struct Asked {
    at: Instant,
    /// Closed when the answer is there.
    waits: watch::Receiver<()>,
}

impl Asking {
    /// `queue` leads to whoever asks; `again` is how long a name counts as asked for.
    pub(crate) fn new(queue: mpsc::Sender<Question>, again: Duration) -> Self {
        Self {
            queue,
            table: Mutex::new(Table {
                asked: HashMap::new(),
                tokens: BURST,
                counted: Instant::now(),
            }),
            again,
        }
    }

    /// Asks, unless that was done a moment ago; waits for the answer, at most `patience`.
    pub(crate) async fn ask(&self, name: &TargetName, patience: Duration) {
        let Some(mut waits) = self.begin(name) else {
            return;
        };
        // The sender is never used, only dropped: either way the view has what there is to have.
        let _ = tokio::time::timeout(patience, waits.changed()).await;
    }

    fn begin(&self, name: &TargetName) -> Option<watch::Receiver<()>> {
        let mut table = self.table();
        if let Some(asked) = table.asked.get(name)
            && asked.at.elapsed() < self.again
        {
            return Some(asked.waits.clone());
        }
        if !table.takes_one(self.again) {
            return None;
        }
        let (answered, waits) = watch::channel(());
        let question = Question {
            name: name.clone(),
            _answered: answered,
        };
        self.queue.try_send(question).ok()?;
        let asked = Asked {
            at: Instant::now(),
            waits: waits.clone(),
        };
        table.asked.insert(name.clone(), asked);
        Some(waits)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn takes_one(&mut self, again: Duration) -> bool {
        let since = self.counted.elapsed();
        self.counted += since;
        self.tokens = (self.tokens + since.as_secs_f64() * PER_SECOND).min(BURST);
        if self.tokens < 1.0 {
            return false;
        }
        if self.asked.len() >= REMEMBERED {
            self.asked.retain(|_, asked| asked.at.elapsed() < again);
        }
        if self.asked.len() >= REMEMBERED {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn guessing_is_bounded_and_one_name_is_asked_once() {
        let (queue, mut questions) = mpsc::channel(1000);
        let asking = Asking::new(queue, Duration::from_secs(60));
        let name = |n: usize| TargetName::parse(&format!("lb-guess-{n}")).unwrap();
        for n in 0..1000 {
            asking.begin(&name(n % 200));
        }
        let mut asked = Vec::new();
        while let Ok(question) = questions.try_recv() {
            asked.push(question.name.clone());
        }
        assert!((20..=25).contains(&asked.len()), "{}", asked.len());
        let different: std::collections::HashSet<_> = asked.iter().collect();
        assert_eq!(different.len(), asked.len());
        // Answered, and remembered: no waiting, no question.
        let began = Instant::now();
        asking.ask(&name(0), Duration::from_secs(5)).await;
        assert!(began.elapsed() < Duration::from_secs(1));
        assert!(questions.try_recv().is_err());
    }
}
