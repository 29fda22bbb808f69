//! In: a recording, and a watch that knows what to look for.
//! Out: what it found, once the whole recording was drawn on a virtual terminal.
//! Never: drawn on a real one; more than one event in memory, but for what was found.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use ampgate_recording::{EventKind, Header, ReadError};
use anyhow::Result;

use crate::{
    query::Query,
    screen::Screen,
    source::{self, Recording},
    watch::{Eye, Find, Line, Watch},
};

/// A character waits for its marks so long at most, in the session's time.
const MARKS: Duration = Duration::from_millis(100);
/// The size that programs without a terminal are drawn in; lines that wrap are joined.
pub const NO_PTY: (usize, usize) = (80, 24);

/// What there is in a recording.
pub struct Scanned {
    pub header: Header,
    pub finds: Vec<Find>,
    /// Finds beyond the most that were asked for.
    pub beyond: u64,
    pub commands: Vec<(Duration, String)>,
    /// Lines of the file that are no events.
    pub faults: u64,
    /// How often the virtual terminal failed.
    pub failures: u32,
}

/// Looks for nothing.
struct Blind;

impl Eye for Blind {
    fn look(&mut self, _: &Line<'_>) -> Vec<std::ops::Range<usize>> {
        Vec::new()
    }
}

/// Draws the whole recording before the watch.
pub fn scan(recording: Recording, watch: Watch, stop: &AtomicBool) -> Scanned {
    let header = recording.header().clone();
    let mut screen = Screen::new(&header, NO_PTY).with_watch(watch);
    let (mut faults, mut last) = (0, Duration::ZERO);
    for event in recording {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let event = match event {
            Ok(event) => event,
            // Of a session that is running, or whose gateway died: nothing is missing that anybody saw.
            Err(ReadError::Cut { .. }) => continue,
            Err(_) => {
                faults += 1;
                continue;
            }
        };
        if event.at.saturating_sub(last) > MARKS {
            screen.settle();
            screen.pause();
        }
        last = event.at;
        if let Some(watch) = screen.watch() {
            watch.at(event.at);
        }
        match event.kind {
            EventKind::Output { stream, bytes } => {
                screen.output(stream, &bytes);
                screen.pause();
            }
            EventKind::Resize { cols, rows } => screen.resize(cols, rows),
            EventKind::Input(_)
            | EventKind::Marker(_)
            | EventKind::Exit(_)
            | EventKind::Unknown { .. } => {}
        }
    }
    let failures = screen.failures;
    let mut scanned = Scanned {
        header,
        finds: Vec::new(),
        beyond: 0,
        commands: Vec::new(),
        faults,
        failures,
    };
    if let Some(mut watch) = screen.watched() {
        scanned.commands = watch.commands();
        scanned.beyond = watch.beyond;
        scanned.finds = watch.finds();
    }
    scanned.finds.sort_by_key(|find| find.at);
    scanned
}

/// Commands that its screen and its header show, with their times.
pub fn commands(path: &Path) -> Result<Scanned> {
    let watch = Watch::new(Box::new(Blind), 0, 0).with_shell();
    let mut scanned = scan(source::open(path)?, watch, &AtomicBool::new(false));
    if let Some(command) = scanned.header.command_text() {
        scanned.commands.insert(0, (Duration::ZERO, command));
    }
    Ok(scanned)
}

/// Where the query is on the screen, or in the commands alone.
pub fn search(
    path: &Path,
    query: &Query,
    context: usize,
    most: usize,
    only_commands: bool,
    stop: &AtomicBool,
) -> Result<Scanned> {
    if only_commands {
        let mut scanned = commands(path)?;
        for (at, command) in &scanned.commands {
            for range in query.find(command) {
                scanned.finds.push(Find::alone(*at, command, range));
            }
        }
        return Ok(scanned);
    }
    let watch = Watch::new(Box::new(query.clone()), context, most);
    let mut scanned = scan(source::open(path)?, watch, stop);
    // A program without a terminal shows its command nowhere.
    if let Some(command) = scanned.header.command_text() {
        for (at, range) in query.find(&command).into_iter().enumerate() {
            let find = Find::alone(Duration::ZERO, &command, range);
            scanned.finds.insert(at, find);
        }
    }
    Ok(scanned)
}
