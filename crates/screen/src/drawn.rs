//! In: a recording, and a watch that knows what to look for.
//! Out: what it saw, once the whole recording was drawn on a virtual terminal.
//! Never: drawn on a real one; more than one event in memory, but for what was found.

use std::{
    io::Read,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use ampgate_recording::{EventKind, Header, ReadError, Reader};

use crate::{
    query::Query,
    screen::Screen,
    watch::{Find, Watch},
};

/// A character waits for its marks so long at most, in the session's time.
const MARKS: Duration = Duration::from_millis(100);
/// The size that programs without a terminal are drawn in; lines that wrap are joined.
pub const NO_PTY: (usize, usize) = (80, 24);

/// What there is in a recording.
pub struct Drawn {
    /// Its header.
    pub header: Header,
    /// In the order of their times.
    pub finds: Vec<Find>,
    /// Finds beyond the most that were asked for.
    pub beyond: u64,
    /// Commands that were typed at a prompt, as far as the screen tells.
    pub commands: Vec<(Duration, String)>,
    /// Lines of the file that are no events.
    pub faults: u64,
    /// How often the virtual terminal failed.
    pub failures: u32,
}

/// Where the query is on the screen of a whole recording, or in the command of a program without a terminal, which shows it
/// nowhere.
pub fn search<R: Read>(
    recording: Reader<R>,
    query: &Query,
    context: usize,
    most: usize,
    stop: &AtomicBool,
) -> Drawn {
    let watch = Watch::new(Box::new(query.clone()), context, most);
    let mut drawn = draw(recording, watch, stop);
    if let Some(command) = drawn.header.command_text() {
        for (at, range) in query.find(&command).into_iter().enumerate() {
            let find = Find::alone(Duration::ZERO, &command, range);
            drawn.finds.insert(at, find);
        }
    }
    drawn
}

/// Draws the whole recording before the watch.
pub fn draw<R: Read>(recording: Reader<R>, watch: Watch, stop: &AtomicBool) -> Drawn {
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
    let mut drawn = Drawn {
        header,
        finds: Vec::new(),
        beyond: 0,
        commands: Vec::new(),
        faults,
        failures,
    };
    if let Some(mut watch) = screen.watched() {
        drawn.commands = watch.commands();
        drawn.beyond = watch.beyond;
        drawn.finds = watch.finds();
    }
    drawn.finds.sort_by_key(|find| find.at);
    drawn
}
