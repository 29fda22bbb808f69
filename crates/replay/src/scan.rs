//! In: a recording's path, and what is looked for.
//! Out: where it was on the screen; or the commands that the screen and the header tell.
//! Never: another way to a recording than `source::open`.

use std::{path::Path, sync::atomic::AtomicBool, time::Duration};

use anyhow::Result;

use crate::{
    drawn::{Drawn, draw},
    query::Query,
    source,
    watch::{Eye, Find, Line, Watch},
};

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
    let watch = Watch::new(Box::new(query.clone()), context, most);
    let mut drawn = draw(source::open(path)?, watch, stop);
    // A program without a terminal shows its command nowhere.
    if let Some(command) = drawn.header.command_text() {
        for (at, range) in query.find(&command).into_iter().enumerate() {
            let find = Find::alone(Duration::ZERO, &command, range);
            drawn.finds.insert(at, find);
        }
    }
    Ok(drawn)
}
