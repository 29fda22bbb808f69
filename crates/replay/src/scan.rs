//! In: a recording's path, and what is looked for.
//! Out: where it was on the screen; or the commands that the screen and the header tell.
//! Never: another way to a recording than `source::open`.

use std::{path::Path, sync::atomic::AtomicBool, time::Duration};

use ampgate_screen::{
    drawn::{self, Drawn, draw},
    query::Query,
    watch::{Eye, Find, Line, Watch},
};
use anyhow::Result;

use crate::source;

/// Looks for nothing.
struct Blind;

impl Eye for Blind {
    fn look(&mut self, _: &Line<'_>) -> Vec<std::ops::Range<usize>> {
        Vec::new()
    }
}

/// Commands that its screen and its header show, with their times.
pub fn commands(path: &Path) -> Result<Drawn> {
    let watch = Watch::new(Box::new(Blind), 0, 0).with_shell();
    let mut drawn = draw(source::open(path)?, watch, &AtomicBool::new(false));
    if let Some(command) = drawn.header.command_text() {
        drawn.commands.insert(0, (Duration::ZERO, command));
    }
    Ok(drawn)
}

/// Where the query is on the screen, or in the commands alone.
pub fn search(
    path: &Path,
    query: &Query,
    context: usize,
    most: usize,
    only_commands: bool,
    stop: &AtomicBool,
) -> Result<Drawn> {
    if only_commands {
        let mut drawn = commands(path)?;
        for (at, command) in &drawn.commands {
            for range in query.find(command) {
                drawn.finds.push(Find::alone(*at, command, range));
            }
        }
        return Ok(drawn);
    }
    Ok(drawn::search(
        source::open(path)?,
        query,
        context,
        most,
        stop,
    ))
}
