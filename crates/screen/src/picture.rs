//! In: rows of cells, a cursor, and the window that somebody looks through.
//! Out: the rows that fit it: the part with the cursor, where not all does.
//! Never: more rows or columns than the window has.

use avt::Cell;

use crate::draw::{self, Row};

/// One moment of a virtual terminal.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    pub(crate) lines: Vec<Vec<Cell>>,
    /// Columns and rows.
    pub size: (usize, usize),
    /// Column and row of the cursor, and whether it is visible.
    pub cursor: (usize, usize, bool),
}

impl Picture {
    /// What of it is seen through a window of this size.
    #[must_use]
    pub fn part(&self, window: (usize, usize)) -> Vec<Row> {
        part(self.lines.iter().map(Vec::as_slice), self.cursor, window)
    }

    /// Its size, if not all of it is seen through a window of this size.
    #[must_use]
    pub fn exceeds(&self, (cols, rows): (usize, usize)) -> Option<(usize, usize)> {
        (self.size.0 > cols || self.size.1 > rows).then_some(self.size)
    }
}

/// The rows that a window of this size shows, and as many as it has.
pub fn part<'a>(
    rows: impl Iterator<Item = &'a [Cell]>,
    (column, line, visible): (usize, usize, bool),
    (cols, height): (usize, usize),
) -> Vec<Row> {
    let top = line.saturating_add(1).saturating_sub(height);
    let cursor = |at: usize| (visible && at == line).then_some(column);
    let mut part: Vec<Row> = rows
        .enumerate()
        .skip(top)
        .take(height)
        .map(|(at, cells)| draw::recorded(cells, cols, cursor(at)))
        .collect();
    part.resize(height, Row::new());
    part
}

/// The part of a window above its status line.
#[must_use]
pub fn above_the_line((cols, rows): (usize, usize)) -> (usize, usize) {
    (cols.max(1), rows.saturating_sub(1).max(1))
}

#[cfg(test)]
mod tests {
    use ampgate_recording::Stream;

    use super::*;
    use crate::{glyph::Clusters, screen::Screen};

    fn shown(rows: &[Row]) -> Vec<String> {
        let text = |row: &Row| row.iter().map(|tile| tile.cell).collect();
        rows.iter().map(text).collect()
    }

    #[test]
    fn a_small_window_shows_the_part_with_the_cursor() {
        let mut screen = Screen::sized((10, 4), true, Clusters::default());
        screen.output(Stream::Stdout, b"one\r\ntwo\r\nthree\r\nfour\x1b[?25l");
        let picture = screen.picture();
        assert_eq!(shown(&picture.part((4, 2))), ["thre", "four"]);
        assert_eq!(picture.exceeds((10, 4)), None);
        assert_eq!(picture.exceeds((10, 3)), Some((10, 4)));
        screen.output(Stream::Stdout, b"\x1b[1;1H");
        assert_eq!(shown(&screen.picture().part((20, 2))), ["one", "two"]);
        let all = screen.picture().part((20, 6));
        assert_eq!(shown(&all), ["one", "two", "three", "four", "", ""]);
    }
}
