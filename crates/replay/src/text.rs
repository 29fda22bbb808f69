//! In: text that an operator, an amphora or whoever made the file may have chosen; times that an auditor types.
//! Out: text that a terminal only shows; times.
//! Never: a control character, or one that hides itself or turns the direction of text, unless it is spelt out.

use std::{fmt::Write as _, path::Path, time::Duration};

use jiff::{Timestamp, Zoned, civil, tz::TimeZone};
use serde_json::Value;

pub use ampgate_screen::text::{acts_or_hides, clock, fitted, safe, width};

/// A path as [`safe`] text.
pub fn path(path: &Path) -> String {
    safe(&path.to_string_lossy()).into_owned()
}

/// JSON in one line in which nothing acts or hides: such characters are `\uXXXX`, and any parser gives them back.
pub fn json(value: &Value) -> String {
    let plain = value.to_string();
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        if acts_or_hides(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Lines of a table: each column as wide as its widest cell, the last one as it is.
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (known, cell) in widths.iter_mut().zip(row) {
            *known = width(cell).max(*known);
        }
    }
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (cell, wide) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(wide.saturating_sub(width(cell)) + 2));
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A word as a shell takes it, for command lines that are shown to be typed again.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:+=@%,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    safe(&format!("'{}'", word.replace('\'', "'\\''"))).into_owned()
}

/// A point in time as `--since` takes it: a time, a day (UTC), or how long ago.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(span) = text.parse::<jiff::Span>()
        && let Ok(time) = Zoned::now().checked_sub(span)
    {
        return Ok(time.timestamp());
    }
    let date = text
        .parse::<civil::DateTime>()
        .or_else(|_| text.parse::<civil::Date>().map(|d| d.at(0, 0, 0, 0)))
        .map_err(|_| "try 2h, 7d, 2026-11-23 or 2026-11-23T08:00:00Z (UTC)".to_owned())?;
    date.to_zoned(TimeZone::UTC)
        .map(|z| z.timestamp())
        .map_err(|e| e.to_string())
}

/// A place in a recording: `90`, `90.5`, `1:30`, `1:02:03`, `90s`, `5m`, `2h`.
pub fn place(text: &str) -> Result<Duration, String> {
    let wrong = || "try 90, 1:30, 1:02:03 or 5m".to_owned();
    let (text, unit) = match text.as_bytes().last() {
        Some(b's') => (text.trim_end_matches('s'), 1.0),
        Some(b'm') => (text.trim_end_matches('m'), 60.0),
        Some(b'h') => (text.trim_end_matches('h'), 3600.0),
        _ => (text, 1.0),
    };
    let mut seconds = 0.0;
    for part in text.split(':') {
        let part: f64 = part.parse().map_err(|_| wrong())?;
        seconds = seconds * 60.0 + part;
    }
    Duration::try_from_secs_f64(seconds * unit)
        .ok()
        .filter(|time| time.as_secs() < 1 << 32)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_that_acts_or_hides_passes() {
        let nasty = "a\u{1b}]0;x\u{7}\u{9b}31m\u{7f}\u{202e}gpj\u{200b}\u{2028}\u{e0041}\u{feff}\n\u{fe0f}\u{ffff}z";
        let line = json(&serde_json::json!({ "user": nasty }));
        assert!(!line.contains(acts_or_hides), "{line}");
        let back: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back.get("user").unwrap(), nasty);
    }

    #[test]
    fn words_for_a_shell_stay_one_word() {
        assert_eq!(shell_word("a/b-1.cast"), "a/b-1.cast");
        assert_eq!(shell_word("a b'c;$(id)"), "'a b'\\''c;$(id)'");
        assert_eq!(shell_word("\u{1b}]0;x"), "'\\u{1b}]0;x'");
    }

    #[test]
    fn places_and_moments() {
        for (text, seconds) in [
            ("90", 90),
            ("1:30", 90),
            ("1:02:03", 3723),
            ("5m", 300),
            ("2h", 7200),
        ] {
            assert_eq!(place(text).unwrap().as_secs(), seconds, "{text}");
        }
        for bad in ["", "x", "-1", "1:x", "inf", "1e300", "nan"] {
            assert!(place(bad).is_err(), "{bad}");
        }
        assert!(moment("7d").unwrap() < Timestamp::now());
        assert_eq!(
            moment("2026-11-23").unwrap().to_string(),
            "2026-11-23T00:00:00Z"
        );
        assert!(moment("yesterday-ish").is_err());
    }
}
