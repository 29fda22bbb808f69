//! In: work for people who look on. Out: what comes of it, made where the kernel puts it behind every session.
//! Never: a worker of the runtime, which carries sessions; more work in line than there are who may look.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::oneshot;

/// The nice value of these threads, and of those that they start (setpriority(2): on Linux it is the thread's own).
const NICE: i32 = 10;

/// Does long work on a thread of its own. What comes of it is an error if the work panicked.
///
/// # Errors
/// The system gives no more threads.
pub fn thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (done, result) = oneshot::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            behind();
            let _ = done.send(work());
        })?;
    Ok(result)
}

/// This thread goes behind others. Where that is refused it works all the same.
fn behind() {
    let this = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(this), NICE) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// One thread for short work of many. It ends with this.
pub struct Spare(SyncSender<Job>);

impl Spare {
    /// For so many at a time.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(name: &str, most: usize) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel::<Job>(most);
        let _end = thread(name, move || {
            for job in waiting {
                // One that panics drops its answer; the others' work goes on.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        })?;
        Ok(Self(jobs))
    }

    /// Does it. None if it panicked, or too much is in line.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move || {
            let _ = done.send(work());
        });
        self.0.try_send(job).ok()?;
        result.await.ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[tokio::test]
    async fn work_is_done_behind_others_and_a_panic_ends_none_but_its_own() {
        let nice = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let usual = nice();
        let spare = Spare::start("spare", 4).unwrap();
        assert!(spare.run(|| -> u8 { panic!("on purpose") }).await.is_none());
        assert_eq!(spare.run(nice).await, Some((usual + NICE).clamp(NICE, 19)));
        assert_eq!(nice(), usual, "the others stay as they were");
        // What such a thread starts is behind too: the search beside a playing.
        let child = thread("spare", move || std::thread::spawn(nice).join().unwrap());
        assert_eq!(child.unwrap().await, Ok((usual + NICE).clamp(NICE, 19)));
    }

    #[tokio::test]
    async fn no_more_is_in_line_than_may_be() {
        let spare = Spare::start("spare", 1).unwrap();
        let (go, wait) = sync_channel::<()>(0);
        let (begun, works) = oneshot::channel();
        let first = spare.run(move || {
            let _ = begun.send(());
            wait.recv().is_err()
        });
        let others = async {
            works.await.unwrap();
            let last = async {
                let turned_away = spare.run(|| 3).await;
                drop(go);
                turned_away
            };
            // One works, one waits, the last finds no place.
            tokio::join!(spare.run(|| 2), last)
        };
        assert_eq!(tokio::join!(first, others), (Some(true), (Some(2), None)));
    }
}
