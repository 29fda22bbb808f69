//! In: a configuration text and the place in it that is wrong.
//! Out: a fault as people read it: file, line, column, the line itself with a caret, what to try.
//! Never: stops at the first one; whoever reads a file collects all of its faults.

use std::fmt;
use std::ops::Range;

/// One thing wrong in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The file as the administrator named it.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// How many characters the caret underlines, at least 1.
    pub width: usize,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to try, if there is something to try.
    pub help: Option<String>,
    /// The text of the line, control characters escaped.
    pub source_line: String,
}

impl Fault {
    /// A fault at the byte range `span` of `text`. A range that lies outside the text, or inside a character, is moved
    /// to the nearest place that exists.
    pub fn at(
        file: &str,
        text: &str,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Self {
        let start = floor_boundary(text, span.start);
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line_end = text
            .get(start..)
            .and_then(|rest| rest.find('\n'))
            .map_or(text.len(), |i| start + i);
        let source = text
            .get(line_start..line_end)
            .unwrap_or_default()
            .trim_end_matches('\r');
        let end = floor_boundary(text, span.end).clamp(start, line_end);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: text
                .get(line_start..start)
                .unwrap_or_default()
                .chars()
                .count()
                + 1,
            width: text
                .get(start..end)
                .unwrap_or_default()
                .chars()
                .count()
                .max(1),
            message: message.into(),
            help,
            source_line: source.chars().map(printable).collect(),
        }
    }

    /// The same fault with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "error: {}", self.message)?;
        writeln!(f, "{margin}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", self.source_line)?;
        write!(
            f,
            "{margin} | {}{}",
            " ".repeat(self.column.saturating_sub(1)),
            "^".repeat(self.width)
        )?;
        if let Some(help) = &self.help {
            write!(f, "\n{margin} = help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// Tabs become one space, so that the caret stands where it should; other control characters and the characters that
/// turn the direction of writing cannot act on the terminal that shows the fault.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn shows_line_column_and_caret() {
        let text = "a = 1\nnäme = \"x\"\nc = 2\n";
        let start = text.find("\"x\"").unwrap();
        let fault = Fault::at(
            "f.toml",
            text,
            start..start + 3,
            "bad",
            Some("try".to_owned()),
        );
        assert_eq!((fault.line, fault.column, fault.width), (2, 8, 3));
        assert_eq!(
            fault.to_string(),
            "error: bad\n --> f.toml:2:8\n  |\n2 | näme = \"x\"\n  |        ^^^\n  = help: try"
        );
    }

    #[test]
    fn any_range_is_a_place() {
        let text = "ä\r\n\u{202e}\u{1b}[2J";
        for start in 0..12 {
            for end in 0..12 {
                let shown = Fault::at("f", text, start..end, "m", None).to_string();
                assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
            }
        }
        assert_eq!(Fault::at("f", "", 0..0, "m", None).line, 1);
        assert_eq!(Fault::at("f", "a\n", 2..2, "m", None).line, 2);
    }
}
