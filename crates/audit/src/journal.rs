//! In: events, each with its session.
//! Out: lines of the chain, one write(2) each, in a file per UTC day.
//! Never: loses an event silently: what could not be written is an error, and a torn line is kept aside and told.

use crate::error::AuditError;
use crate::event::Event;
use crate::line::{JournalHead, LineHash, hex, write_line};
use crate::lock::Locked;
use crate::segment::{Segment, Tail, tail};
use jiff::Timestamp;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The append-only, hash-chained journal. One process writes it at a time; share it behind an `Arc`.
pub struct Journal {
    dir: PathBuf,
    state: Mutex<State>,
    unsynced: AtomicBool,
    progress: Arc<Progress>,
    _lock: Locked,
}

struct State {
    file: Arc<File>,
    segment: Segment,
    length: u64,
    head: JournalHead,
    stopped: Option<String>,
    line: Vec<u8>,
}

/// Where an appended event stands.
#[derive(Clone, Copy, Debug)]
pub struct Appended {
    /// The journal's head, this line being the last.
    pub head: JournalHead,
    /// The time in the line.
    pub time: Timestamp,
}

impl Journal {
    /// Opens the journal of a directory (made 0700 if absent), reads the last line of the last segment, takes the lock.
    ///
    /// A line torn by a crash is moved to a file of its own and a `journal.recovered` event says so; if not at this start, for
    /// the disk was full, then at the next.
    pub fn open(dir: &Path) -> Result<Journal, AuditError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(AuditError::io("make", dir))?;
        let lock = lock(dir)?;
        let now = Timestamp::now();
        let (segment, end) = end(dir, now)?;
        let path = segment.path(dir);
        if !end.torn.is_empty() {
            keep_aside(dir, segment, &end, now)?;
        }
        let file = open_segment(dir, &path)?;
        let state = State {
            file: Arc::new(file),
            segment,
            length: end.length,
            head: end.head.unwrap_or(JournalHead::EMPTY),
            stopped: None,
            line: Vec::new(),
        };
        let progress = Arc::new(Progress {
            seq: Mutex::new(state.head.seq),
            moved: Condvar::new(),
        });
        let journal = Journal {
            dir: dir.into(),
            state: Mutex::new(state),
            unsynced: AtomicBool::new(false),
            progress,
            _lock: lock,
        };
        journal.tell_kept()?;
        Ok(journal)
    }

    /// Tells of each file that was kept aside, then gives it its last name: told twice is better than never.
    fn tell_kept(&self) -> Result<(), AuditError> {
        for (kept_as, segment) in untold(&self.dir)? {
            let now = self.dir.join(format!("{kept_as}{UNTOLD}"));
            let torn = fs::read(&now).map_err(AuditError::io("read", &now))?;
            let kept = self.dir.join(&kept_as);
            self.append(
                None,
                &Event::JournalRecovered {
                    segment: segment.into(),
                    kept_as: kept_as.into(),
                    bytes: torn.len() as u64,
                    hash: LineHash::of(&torn).to_string().into(),
                },
            )?;
            self.sync()?;
            fs::rename(&now, &kept).map_err(AuditError::io("rename", &now))?;
            sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// Appends one event: one write(2), after which a crash of this process loses it no more. A power cut may, until
    /// [`Journal::sync`]. On any error nothing was recorded, and what was about to happen must not.
    pub fn append(&self, session: Option<&str>, event: &Event) -> Result<Appended, AuditError> {
        self.append_at(Timestamp::now(), session, event)
    }

    /// [`Journal::append`] with the clock as an argument.
    pub fn append_at(
        &self,
        time: Timestamp,
        session: Option<&str>,
        event: &Event,
    ) -> Result<Appended, AuditError> {
        let mut state = self.state();
        if let Some(why) = &state.stopped {
            return Err(AuditError::Stopped(why.clone()));
        }
        // A clock that was set back never reopens an older segment: order of files is order of the chain.
        let day = Segment::of(time);
        if day > state.segment {
            self.roll(&mut state, day)?;
        }
        let appended = self.write(&mut state, time, session, event);
        let seq = state.head.seq;
        drop(state);
        if appended.is_ok() {
            self.unsynced.store(true, Ordering::Release);
            self.progress.reached(seq);
        }
        appended
    }

    /// Puts the events so far on stable storage, if there are new ones. Call it each second, and before what must
    /// survive a power cut. Sessions may append meanwhile.
    pub fn sync(&self) -> Result<(), AuditError> {
        if !self.unsynced.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let (file, path) = {
            let state = self.state();
            (state.file.clone(), state.segment.path(&self.dir))
        };
        file.sync_data().map_err(|fault| {
            // After a failed sync the kernel may have dropped the pages: a later success would prove nothing.
            self.state().stopped = Some(format!("sync: {fault}"));
            AuditError::io("sync", path)(fault)
        })
    }

    /// The last line's number and hash: what the sealing key signs, and what an auditor keeps elsewhere.
    pub fn head(&self) -> JournalHead {
        self.state().head
    }

    /// Appends a `journal.sealed` event for a head taken before (other events may have come in between).
    pub fn append_seal(
        &self,
        head: &JournalHead,
        signature: &[u8; 64],
        sealing_key: &str,
    ) -> Result<Appended, AuditError> {
        self.append(
            None,
            &Event::JournalSealed {
                head_seq: head.seq,
                head: head.hash.to_string().into(),
                sealing_key: sealing_key.into(),
                signature: hex(signature).into(),
            },
        )
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Tells followers (the index) how far the journal is.
    pub(crate) fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    fn roll(&self, state: &mut State, day: Segment) -> Result<(), AuditError> {
        let old = state.segment.path(&self.dir);
        state
            .file
            .sync_data()
            .map_err(AuditError::io("sync", old))?;
        state.file = Arc::new(open_segment(&self.dir, &day.path(&self.dir))?);
        state.segment = day;
        state.length = 0;
        Ok(())
    }

    fn write(
        &self,
        state: &mut State,
        time: Timestamp,
        session: Option<&str>,
        event: &Event,
    ) -> Result<Appended, AuditError> {
        let mut line = std::mem::take(&mut state.line);
        let written = write_line(&mut line, &state.head, time, session, event)
            .and_then(|()| self.put(state, &line));
        if written.is_ok() {
            state.head = JournalHead {
                seq: state.head.seq.saturating_add(1),
                hash: LineHash::of(line.strip_suffix(b"\n").unwrap_or(&line)),
            };
            state.length += line.len() as u64;
        }
        // The buffer is kept for the next line, but not at the size of an odd one.
        if line.capacity() <= 4096 {
            state.line = line;
        }
        written.map(|()| Appended {
            head: state.head,
            time,
        })
    }

    fn put(&self, state: &mut State, line: &[u8]) -> Result<(), AuditError> {
        let fault = match write_once(&state.file, line) {
            Ok(n) if n == line.len() => return Ok(()),
            Ok(_) => io::Error::from(io::ErrorKind::StorageFull),
            Err(fault) => fault,
        };
        // Half a line may be there: take it back, or take nothing more.
        if let Err(also) = state.file.set_len(state.length) {
            state.stopped = Some(format!(
                "{fault}, and the torn line could not be taken back: {also}"
            ));
        }
        Err(AuditError::io("write to", state.segment.path(&self.dir))(
            fault,
        ))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // State is changed only after a write succeeded, so a panic elsewhere cannot have left it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far the journal is, for those who follow it.
pub(crate) struct Progress {
    seq: Mutex<u64>,
    moved: Condvar,
}

impl Progress {
    fn reached(&self, seq: u64) {
        let mut now = self.seq.lock().unwrap_or_else(PoisonError::into_inner);
        if seq > *now {
            *now = seq;
            drop(now);
            self.moved.notify_all();
        }
    }

    /// The last line's number.
    pub fn seq(&self) -> u64 {
        *self.seq.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a line after `seq` is there, at most that long; gives the last line's number.
    pub fn wait_beyond(&self, seq: u64, at_most: Duration) -> u64 {
        let now = self.seq.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, _) = self
            .moved
            .wait_timeout_while(now, at_most, |now| *now <= seq)
            .unwrap_or_else(PoisonError::into_inner);
        *now
    }
}

/// Takes the lock that a writer of this directory must hold. It goes with the file, also at a crash.
pub(crate) fn lock(dir: &Path) -> Result<Locked, AuditError> {
    let path = dir.join("journal.lock");
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(AuditError::io("open", &path))?;
    Locked::new(file, dir)
}

/// The segment to go on with and its end. The newest may be empty (a crash just after a new day's file was made): then
/// the chain's end is in the one before.
fn end(dir: &Path, now: Timestamp) -> Result<(Segment, Tail), AuditError> {
    let segments = Segment::list(dir)?;
    let Some(&newest) = segments.last() else {
        return Ok((
            Segment::of(now),
            Tail {
                head: None,
                length: 0,
                torn: Vec::new(),
            },
        ));
    };
    let mut end = tail(&newest.path(dir))?;
    for older in segments.iter().rev().skip(1) {
        if end.head.is_some() {
            break;
        }
        let before = tail(&older.path(dir))?;
        if !before.torn.is_empty() {
            let why = "its last line is torn, yet a later segment exists".to_owned();
            return Err(AuditError::Damaged {
                file: older.path(dir),
                why,
            });
        }
        end.head = before.head;
    }
    Ok((newest, end))
}

/// The ending of what was kept aside and not yet told.
const UNTOLD: &str = ".untold";

/// Under a name that says that the journal does not tell of it yet.
fn keep_aside(dir: &Path, segment: Segment, end: &Tail, now: Timestamp) -> Result<(), AuditError> {
    let aside = dir.join(format!("torn-{segment}-{}{UNTOLD}", now.as_microsecond()));
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&aside)
        .map_err(AuditError::io("open", &aside))?;
    file.write_all(&end.torn)
        .and_then(|()| file.sync_all())
        .map_err(AuditError::io("write to", &aside))?;
    sync_dir(dir)?;
    let path = segment.path(dir);
    let journal = OpenOptions::new()
        .write(true)
        .open(&path)
        .map_err(AuditError::io("open", &path))?;
    journal
        .set_len(end.length)
        .and_then(|()| journal.sync_all())
        .map_err(AuditError::io("truncate", &path))
}

/// What was kept aside and not told: its name once it is, and the segment that it was torn off.
fn untold(dir: &Path) -> Result<Vec<(String, String)>, AuditError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(AuditError::io("list", dir))? {
        let name = entry.map_err(AuditError::io("list", dir))?.file_name();
        let kept_as = name.to_str().and_then(|name| name.strip_suffix(UNTOLD));
        let segment = kept_as
            .and_then(|kept| kept.strip_prefix("torn-")?.rsplit_once('-'))
            .and_then(|(segment, _)| Segment::parse(segment));
        if let (Some(kept_as), Some(segment)) = (kept_as, segment) {
            found.push((kept_as.to_owned(), segment.to_string()));
        }
    }
    found.sort();
    Ok(found)
}

fn open_segment(dir: &Path, path: &Path) -> Result<File, AuditError> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(AuditError::io("open", path))?;
    sync_dir(dir)?;
    Ok(file)
}

pub(crate) fn sync_dir(dir: &Path) -> Result<(), AuditError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(AuditError::io("sync", dir))
}

/// One write(2), tried again only when a signal came before anything was written.
pub(crate) fn write_once(mut file: &File, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match file.write(bytes) {
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
