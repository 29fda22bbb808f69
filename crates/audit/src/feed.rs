//! In: the journal, as it grows.
//! Out: the index, a moment behind.
//! Never: makes an append wait: the feed reads the journal's files, so there is no queue to be full and none to lose.

use crate::error::AuditError;
use crate::event::Event;
use crate::follow::Follower;
use crate::index::{Index, Pending, Place};
use crate::journal::Journal;
use crate::line::{Envelope, LineHash};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Lines that are written to the index at once, at most.
const LINES: usize = 2048;
/// How long lines gather before they are taken in: sessions come first.
const GATHER: Duration = Duration::from_millis(25);
/// How often the thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(250);

/// The thread which keeps an index up with its journal. Dropping it writes what is left and ends it.
pub struct Feed {
    shared: Arc<Shared>,
    journal: Arc<Journal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    end: AtomicBool,
    taken: AtomicU64,
    fault: std::sync::Mutex<Option<String>>,
}

impl Index {
    /// Catches up with a journal and then follows it, in a thread of its own.
    ///
    /// `rebuilt`: why the index is new (from [`Index::open_or_new`]); once it is filled, `index.rebuilt` says so.
    pub fn follow(
        &self,
        journal: &Arc<Journal>,
        rebuilt: Option<String>,
    ) -> Result<Feed, AuditError> {
        let shared = Arc::new(Shared::default());
        let (index, of_thread, followed) = (self.clone(), shared.clone(), journal.clone());
        let thread = thread::Builder::new()
            .name("index".to_owned())
            .spawn(move || {
                if let Err(fault) = run(&index, &followed, rebuilt, &of_thread) {
                    tracing::error!(target: "audit", %fault, "the session index stopped; the journal goes on");
                    *of_thread.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(fault.to_string());
                }
            })
            .map_err(AuditError::io("start a thread for", &self.dir))?;
        Ok(Feed {
            shared,
            journal: journal.clone(),
            thread: Some(thread),
        })
    }
}

impl Feed {
    /// Waits until the index has all that the journal has now, at most that long. True if it has.
    pub fn caught_up(&self, at_most: Duration) -> bool {
        let (goal, began) = (self.journal.head().seq, Instant::now());
        while self.shared.taken.load(Ordering::Acquire) < goal {
            if began.elapsed() >= at_most || self.fault().is_some() {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Lines of the journal that are not in the index yet.
    pub fn behind(&self) -> u64 {
        self.journal
            .head()
            .seq
            .saturating_sub(self.shared.taken.load(Ordering::Acquire))
    }

    /// Why the index stopped, if it did.
    pub fn fault(&self) -> Option<String> {
        self.shared
            .fault
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been printed; the index is only a copy.
            let _ = thread.join();
        }
    }
}

fn run(
    index: &Index,
    journal: &Journal,
    rebuilt: Option<String>,
    shared: &Shared,
) -> Result<(), AuditError> {
    let (mut follower, misplaced) = start(index, journal.dir())?;
    let mut why = rebuilt.or(misplaced);
    shared.taken.store(
        index.place()?.map_or(0, |place| place.seq),
        Ordering::Release,
    );
    let progress = journal.progress();
    let mut sessions = 0;
    loop {
        let ending = shared.end.load(Ordering::Acquire);
        let goal = progress.seq();
        loop {
            let (lines, fresh) = take_some(index, &mut follower, shared)?;
            sessions += fresh;
            if lines < LINES {
                break;
            }
        }
        if ending {
            return index.flush();
        }
        if let Some(reason) = why.take() {
            let event = Event::IndexRebuilt {
                reason: reason.into(),
                sessions,
            };
            if let Err(fault) = journal.append(None, &event) {
                tracing::error!(target: "audit", %fault, "index.rebuilt could not be written");
            }
            continue;
        }
        if progress.wait_beyond(goal, LOOK) > goal {
            thread::sleep(GATHER);
        }
    }
}

/// Where to go on: behind the last line taken in, if that line still is where it was.
fn start(index: &Index, dir: &Path) -> Result<(Follower, Option<String>), AuditError> {
    let Some(place) = index.place()? else {
        return Ok((Follower::new(dir, None), None));
    };
    if let Some(segment) = place.segment()
        && still_there(dir, &place)?
    {
        return Ok((Follower::new(dir, Some((segment, place.offset))), None));
    }
    index.clear()?;
    Ok((
        Follower::new(dir, None),
        Some(format!(
            "the journal has no line {} where the index saw it",
            place.seq
        )),
    ))
}

fn still_there(dir: &Path, place: &Place) -> Result<bool, AuditError> {
    use std::io::{Read, Seek, SeekFrom};
    let Some(segment) = place.segment() else {
        return Ok(false);
    };
    let path = segment.path(dir);
    let Ok(mut file) = std::fs::File::open(&path) else {
        return Ok(false);
    };
    let from = place
        .offset
        .saturating_sub(crate::line::MAX_LINE as u64 + 2);
    let mut before = vec![0; usize::try_from(place.offset - from).unwrap_or(0)];
    if file
        .seek(SeekFrom::Start(from))
        .and_then(|_| file.read_exact(&mut before))
        .is_err()
    {
        return Ok(false);
    }
    let Some(whole) = before.strip_suffix(b"\n") else {
        return Ok(false);
    };
    let start = whole
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    Ok(LineHash::of(whole.get(start..).unwrap_or_default()).0 == place.hash)
}

/// Takes at most [`LINES`] lines in; gives how many there were, and how many sessions were new.
pub(crate) fn take_lines(
    index: &Index,
    follower: &mut Follower,
) -> Result<(usize, u64, Option<u64>), AuditError> {
    let mut pending = Pending::new(index);
    let (mut line, mut place, mut lines) = (Vec::new(), None, 0);
    while lines < LINES && follower.next_line(&mut line)? {
        lines += 1;
        let Some(envelope) = Envelope::parse(&line) else {
            continue;
        };
        pending.take(&line, &envelope)?;
        place = follower
            .place()
            .map(|at| Place::new(at, envelope.seq, &line));
    }
    let fresh = pending.write(place.as_ref())?;
    Ok((lines, fresh, place.map(|place| place.seq)))
}

fn take_some(
    index: &Index,
    follower: &mut Follower,
    shared: &Shared,
) -> Result<(usize, u64), AuditError> {
    let (lines, fresh, seq) = take_lines(index, follower)?;
    if let Some(seq) = seq {
        shared.taken.store(seq, Ordering::Release);
    }
    Ok((lines, fresh))
}
