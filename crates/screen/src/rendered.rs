//! In: rows of a virtual terminal, which of them go on in the next, and which cells are new.
//! Out: a line as a reader sees it: rows that wrapped are joined, wide characters are one, letters and marks composed (NFC).
//! Never: more rows than the caller has a budget for; a character that acts or hides.

use std::{ops::Range, time::Duration};

use avt::{self, Terminal};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::glyph::Clusters;

/// Columns of a row that were drawn since somebody last looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub row: usize,
    pub from: usize,
    pub to: usize,
    /// When the last of it was drawn.
    pub at: Duration,
}

/// A line of one or several rows.
#[derive(Debug, Default)]
pub struct Rendered {
    /// Without the blanks at its end.
    pub text: String,
    /// Which bytes of the text are new.
    pub fresh: Vec<Range<usize>>,
    /// A row ends in a blank before a wide character: perhaps a space, perhaps only no room.
    pub padded: bool,
}

/// The rows of the line that `row` is part of: at most `most` rows above, and below the last one that `is_fresh`.
pub fn extent(
    terminal: &Terminal,
    row: usize,
    most: usize,
    is_fresh: impl Fn(usize) -> bool,
) -> Range<usize> {
    let rows = terminal.size().1;
    let goes_on = |row: usize| {
        terminal
            .screen()
            .line(row)
            .is_some_and(avt::Line::is_wrapped)
    };
    let mut first = row;
    while first > 0 && row - first < most && goes_on(first - 1) {
        first -= 1;
    }
    let (mut last, mut left) = (row, most);
    while left > 0 && last + 1 < rows && goes_on(last) {
        last += 1;
        left = if is_fresh(last) { most } else { left - 1 };
    }
    first..last + 1
}

/// The text of rows; with `pads`, a blank before a wide character in the next row counts as a space.
pub fn render(
    terminal: &Terminal,
    clusters: &Clusters,
    rows: Range<usize>,
    spans: &[Span],
    pads: bool,
) -> Rendered {
    let mut out = Rendered::default();
    for row in rows.clone() {
        let Some(line) = terminal.screen().line(row) else {
            break;
        };
        let mut cells = line.cells();
        let next = (row + 1 < rows.end).then(|| terminal.screen().line(row + 1));
        if let (Some(Some(next)), Some((last, before))) = (next, cells.split_last())
            && last.char() == ' '
            && last.width() == 1
            && next.cells().first().is_some_and(|cell| cell.width() == 2)
        {
            out.padded = true;
            if !pads {
                cells = before;
            }
        }
        let fresh = |column: usize| {
            spans
                .iter()
                .any(|span| span.row == row && (span.from..span.to).contains(&column))
        };
        for (column, cell) in cells.iter().enumerate() {
            if cell.width() == 0 {
                continue;
            }
            let from = out.text.len();
            push(cell.char(), clusters, &mut out.text);
            if cell.char() != ' ' && fresh(column) {
                match out.fresh.last_mut() {
                    Some(known) if known.end == from => known.end = out.text.len(),
                    _ => out.fresh.push(from..out.text.len()),
                }
            }
        }
    }
    out.text.truncate(out.text.trim_end().len());
    out
}

/// The line that the cursor is in, and how much of it stands left of the cursor.
pub fn at_cursor(terminal: &Terminal, clusters: &Clusters) -> (String, usize) {
    /// More than a line of commands has.
    const MOST: usize = 16;
    let cursor = terminal.cursor();
    let rows = extent(terminal, cursor.row, MOST, |_| false);
    let (mut text, mut left) = (String::new(), None);
    for row in rows {
        let cells = terminal.screen().line(row).map(avt::Line::cells);
        for (column, cell) in cells.unwrap_or_default().iter().enumerate() {
            if (row, column) == (cursor.row, cursor.col) {
                left = Some(text.len());
            }
            if cell.width() > 0 {
                push(cell.char(), clusters, &mut text);
            }
        }
        if row == cursor.row {
            left = left.or(Some(text.len()));
        }
    }
    text.truncate(text.trim_end().len());
    let left = left.unwrap_or_default().min(text.len());
    (text, left)
}

fn push(cell: char, clusters: &Clusters, text: &mut String) {
    let from = text.len();
    if cell.is_ascii() {
        text.push(if cell.is_ascii_control() { ' ' } else { cell });
        return;
    }
    clusters.show(cell, text);
    let shown = text.get(from..).unwrap_or_default();
    if is_nfc_quick(shown.chars()) != IsNormalized::Yes {
        let composed: String = shown.nfc().collect();
        text.truncate(from);
        text.push_str(&composed);
    }
}
