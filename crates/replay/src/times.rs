//! In: a recording's path.
//! Out: its events at the times they are played.
//! Never: another way to a recording than `source::open`.

use std::{path::Path, sync::Arc, time::Duration};

use ampgate_screen::timeline::{Opening, Timeline};
use anyhow::Result;

use crate::source;

/// A recording from its begin; silences above `idle` are shortened to it.
pub fn open(path: &Path, idle: Duration) -> Result<Timeline> {
    // Opened once before, so that a fault is told with all that is known of it.
    source::open(path)?;
    Ok(Timeline::open(opening(path), idle)?)
}

/// Opens it, as often as it is wanted.
pub fn opening(path: &Path) -> Opening {
    let path = path.to_owned();
    Arc::new(move || source::open(&path).map_err(|e| format!("{e:#}")))
}
