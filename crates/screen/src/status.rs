//! In: a header and where the playing is.
//! Out: the line below the picture.
//! Never: an unescaped word of the header or of a marker; the command, which only "list" and "cat" show.

use std::time::Duration;

use ampgate_recording::Header;

use crate::text;

/// Where the playing is.
pub struct Now<'a> {
    /// The time of the session.
    pub at: Duration,
    /// How long it took.
    pub length: Duration,
    /// How many times faster it is played.
    pub speed: f64,
    /// It waits.
    pub paused: bool,
    /// There is no more.
    pub ended: bool,
    /// Anything but intact, in a word.
    pub warning: Option<&'a str>,
    /// What the gateway said a moment ago.
    pub marker: Option<&'a str>,
    /// What the auditor looks for, and how far that is.
    pub find: Option<String>,
    /// The recorded size, if only a part of it is seen.
    pub part_of: Option<(usize, usize)>,
    /// How to get help, if keys are read.
    pub keys: bool,
}

/// The status line.
pub fn line(h: &Header, now: &Now<'_>) -> String {
    let mut parts = Vec::new();
    let state = match (now.ended, now.paused) {
        (true, _) => "end",
        (_, true) => "paused",
        _ => "play",
    };
    parts.push(format!(
        " {state} {} / {}",
        text::clock(now.at),
        text::clock(now.length)
    ));
    if (now.speed - 1.0).abs() > 0.001 {
        parts.push(format!("{}x", now.speed));
    }
    if let Some(warning) = now.warning {
        parts.push(format!("NOT INTACT: {warning}"));
    }
    if let Some(marker) = now.marker {
        parts.push(format!("gateway: {}", text::safe(marker)));
    }
    if let Some(find) = &now.find {
        parts.push(text::fitted(find, 40));
    }
    parts.push(format!(
        "{} -> {} ({})",
        text::fitted(&h.user, 24),
        text::fitted(&h.target, 44),
        text::fitted(&h.landing, 8)
    ));
    if now.keys {
        parts.push("? help".to_owned());
    }
    if let Some((cols, rows)) = now.part_of {
        parts.push(format!("part of {cols}x{rows}"));
    }
    parts.push(text::fitted(&h.session, 26));
    parts.join(" | ")
}
