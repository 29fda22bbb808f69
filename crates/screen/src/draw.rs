//! In: rows of cells, before and now.
//! Out: the bytes that make the auditor's terminal show them.
//! Never: any byte but printable characters, our own cursor positions (CSI H, G), erasures (CSI K, J) and colours (CSI m);
//! before and after it, ENTER and LEAVE.

use std::fmt::Write as _;

use avt::{Cell, Color, Pen};
use unicode_width::UnicodeWidthChar;

use crate::glyph::{Class, Clusters, class};

/// Takes a terminal: its other screen, so that its scrollback stays as it was, without cursor and wrapping.
pub const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
/// Gives it back.
pub const LEAVE: &str = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

/// One character on the auditor's terminal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tile {
    /// A character, or a stand-in of [`Clusters`].
    pub cell: char,
    /// Columns: 1 or 2.
    pub width: usize,
    /// Colours and so on.
    pub pen: Pen,
}

/// A row; its tiles fill at most the terminal's columns.
pub type Row = Vec<Tile>;

/// The tiles of a recorded row, cut to `cols` columns. The cursor is drawn as a cell turned around.
pub fn recorded(cells: &[Cell], cols: usize, cursor: Option<usize>) -> Row {
    let mut row = Row::new();
    let mut at = 0;
    for (column, cell) in cells.iter().enumerate() {
        let mut width = usize::from(cell.width());
        let mut pen = *cell.pen();
        if width == 0 {
            continue;
        }
        if at + width > cols {
            break;
        }
        if cursor.is_some_and(|cursor| (column..column + width).contains(&cursor)) {
            turn(&mut pen);
        }
        // Half of a wide character, as a fault of the virtual terminal might leave it.
        width = width.min(2);
        row.push(Tile {
            cell: cell.char(),
            width,
            pen,
        });
        at += width;
    }
    while row
        .last()
        .is_some_and(|tile| tile.cell == ' ' && tile.pen.is_default())
    {
        row.pop();
    }
    row
}

/// A row of our own text, reversed over the whole width if `bar`.
pub fn written(text: &str, cols: usize, bar: bool) -> Row {
    let mut pen = Pen::default();
    if bar {
        pen.set_inverse();
    }
    let mut row = Row::new();
    let mut left = cols;
    for c in text.chars() {
        let (Class::Plain(cell), Some(width)) = (class(c), c.width()) else {
            continue;
        };
        if width > left {
            break;
        }
        left -= width;
        row.push(Tile { cell, width, pen });
    }
    if bar {
        row.extend(std::iter::repeat_n(
            Tile {
                cell: ' ',
                width: 1,
                pen,
            },
            left,
        ));
    }
    row
}

fn turn(pen: &mut Pen) {
    if pen.is_inverse() {
        pen.unset_inverse();
    } else {
        pen.set_inverse();
    }
}

/// Knows what the terminal shows and writes only rows that differ.
#[derive(Default)]
pub struct Painter {
    shown: Vec<Row>,
    /// The terminal holds something else: begin anew.
    stale: bool,
}

impl Painter {
    /// Everything is drawn anew next time, after erasing.
    pub fn forget(&mut self) {
        self.shown.clear();
        self.stale = true;
    }

    /// The bytes that bring the terminal to `rows`; none if it is there already.
    pub fn paint(&mut self, rows: Vec<Row>, clusters: &Clusters) -> String {
        let mut out = String::new();
        if std::mem::take(&mut self.stale) {
            out.push_str("\x1b[0m\x1b[H\x1b[2J");
        }
        let blank = Row::new();
        for (at, row) in rows.iter().enumerate() {
            if self.shown.get(at).unwrap_or(&blank) != row {
                let _ = write!(out, "\x1b[{};1H", at + 1);
                paint_row(row, clusters, &mut out);
            }
        }
        self.shown = rows;
        out
    }
}

fn paint_row(row: &Row, clusters: &Clusters, out: &mut String) {
    out.push_str("\x1b[0m");
    let (mut pen, mut column, mut certain) = (Pen::default(), 1, true);
    for tile in row {
        if !certain {
            // Terminals disagree about the width of what is no ASCII; so the place is said, not counted on.
            let _ = write!(out, "\x1b[{column}G");
        }
        if tile.pen != pen {
            pen = tile.pen;
            colours(&pen, out);
        }
        clusters.show(tile.cell, out);
        certain = tile.cell.is_ascii();
        column += tile.width;
    }
    if !certain {
        let _ = write!(out, "\x1b[{column}G");
    }
    out.push_str("\x1b[0m\x1b[K");
}

fn colours(pen: &Pen, out: &mut String) {
    out.push_str("\x1b[0");
    let on = [
        (pen.is_bold(), 1),
        (pen.is_faint(), 2),
        (pen.is_italic(), 3),
        (pen.is_underline(), 4),
        (pen.is_blink(), 5),
        (pen.is_inverse(), 7),
        (pen.is_strikethrough(), 9),
    ];
    for (_, number) in on.iter().filter(|(on, _)| *on) {
        let _ = write!(out, ";{number}");
    }
    colour(pen.foreground(), 30, out);
    colour(pen.background(), 40, out);
    out.push('m');
}

fn colour(colour: Option<Color>, base: u8, out: &mut String) {
    let _ = match colour {
        None => Ok(()),
        Some(Color::Indexed(n @ 0..8)) => write!(out, ";{}", base + n),
        Some(Color::Indexed(n @ 8..16)) => write!(out, ";{}", base + 52 + n),
        Some(Color::Indexed(n)) => write!(out, ";{};5;{n}", base + 8),
        Some(Color::RGB(c)) => write!(out, ";{};2;{};{};{}", base + 8, c.r, c.g, c.b),
    };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use ampgate_recording::{Reader, Stream};
    use proptest::prelude::*;

    use super::*;
    use crate::screen::Screen;

    fn screen() -> Screen {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../recording/fixtures/minimal.cast"
        );
        let mut header = Reader::open_path(path).unwrap().header().clone();
        (header.cols, header.rows, header.pty) = (20, 6, true);
        Screen::new(&header, (20, 6))
    }

    fn picture(screen: &mut Screen, cols: usize) -> (Vec<Row>, usize) {
        screen.settle();
        let (column, line, visible) = screen.cursor();
        let cursor = |at: usize| (visible && at == line).then_some(column);
        (
            screen
                .rows()
                .enumerate()
                .map(|(at, cells)| recorded(cells, cols, cursor(at)))
                .collect(),
            cols,
        )
    }

    /// The whole grammar of what a picture may be made of.
    fn only_drawing(bytes: &str) -> Result<(), String> {
        let mut rest = bytes;
        while let Some(at) =
            rest.find(|c: char| crate::text::acts_or_hides(c) || c as u32 >= 0x10_0000)
        {
            let from = rest.get(at..).unwrap();
            let bad = || format!("{:?}", from.chars().take(30).collect::<String>());
            let parameters = from.strip_prefix("\x1b[").ok_or_else(bad)?;
            let end = parameters
                .find(|c: char| !c.is_ascii_digit() && c != ';')
                .ok_or_else(bad)?;
            let (numbers, after) = parameters.split_at(end);
            if !(after.starts_with(['m', 'G'])
                || after.starts_with('H')
                || (after.starts_with('K') && numbers.is_empty())
                || (after.starts_with('J') && numbers == "2"))
            {
                return Err(bad());
            }
            rest = after.get(1..).unwrap();
        }
        Ok(())
    }

    /// Bytes as an attacker arranges them: pieces of sequences, controls, odd characters, and noise.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        const PIECES: &[&[u8]] = &[
            b"\x1b",
            b"[",
            b"]",
            b"P",
            b"_",
            b"^",
            b"X",
            b"\\",
            b"\x07",
            b"\x18",
            b"\x9b",
            b"\x9d",
            b"\xc2\x9b",
            b"\xc2\x9d",
            b"\xc2\x90",
            b";",
            b"?",
            b"0",
            b"52;c;",
            b"999999",
            b"m",
            b"H",
            b"r",
            b"h",
            b"l",
            b"?1049",
            b"\x1b[?1049h",
            b"\x1b[8;9999;9999t",
            b"\x1b[65535b",
            b"\x1b[6n",
            b"\x1bc",
            b"\x1b#8",
            b"\n",
            b"\r",
            b"\t",
            b"\x08",
            b"\x0e",
            b"\x1b(0",
            b"abc",
            b"            ",
            "한글".as_bytes(),
            "e\u{301}".as_bytes(),
            "\u{301}".as_bytes(),
            "\u{202e}".as_bytes(),
            "\u{200d}\u{fe0f}".as_bytes(),
            "\u{100001}".as_bytes(),
            "🦀".as_bytes(),
            b"\xf0\x9f",
            b"\xff",
            b"L",
            b"M",
            b"@",
            b"P",
            b"S",
            b"T",
            b"J",
            b"K",
            b"38;2;1;2;3",
            b"4:3",
            b"\x1b[1;3r",
            b"\x1b[?6h",
            b"\x1b[4h",
            b"\x1b[?7l",
        ];
        let piece = prop_oneof![4 => prop::sample::select(PIECES).prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 0..8)];
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is recorded, in whatever pieces and sizes: only drawing comes out, and each row fits its columns.
        #[test]
        fn only_drawing_comes_out(chunks in prop::collection::vec((hostile(), any::<bool>(), 0u32..40, 0u32..20), 1..6), cols in 1usize..30) {
            let mut screen = screen();
            let mut painter = Painter::default();
            painter.forget();
            for (bytes, stderr, new_cols, new_rows) in chunks {
                if new_cols > 20 {
                    screen.resize(new_cols, new_rows);
                }
                screen.output(if stderr { Stream::Stderr } else { Stream::Stdout }, &bytes);
                let (rows, cols) = picture(&mut screen, cols);
                for row in &rows {
                    prop_assert!(row.iter().map(|tile| tile.width).sum::<usize>() <= cols);
                }
                let drawn = painter.paint(rows, screen.clusters());
                prop_assert!(only_drawing(&drawn).is_ok(), "{:?}", only_drawing(&drawn));
            }
            prop_assert_eq!(screen.failures, 0);
        }

        /// The status line and the help likewise, and they are as wide as they may be.
        #[test]
        fn our_own_text_is_only_drawn(text in ".*", cols in 0usize..50) {
            let row = written(&text, cols, true);
            prop_assert_eq!(row.iter().map(|tile| tile.width).sum::<usize>(), cols);
            let drawn = Painter::default().paint(vec![row], screen().clusters());
            prop_assert!(only_drawing(&drawn).is_ok());
        }
    }

    #[test]
    fn only_what_differs_is_drawn() {
        let (mut screen, mut painter) = (screen(), Painter::default());
        screen.output(Stream::Stdout, b"one\r\ntwo\x1b[?25l");
        let first = painter.paint(picture(&mut screen, 20).0, screen.clusters());
        assert!(first.contains("one") && first.contains("two"));
        screen.output(Stream::Stdout, b"\r\x1b[1mTWO");
        let second = painter.paint(picture(&mut screen, 20).0, screen.clusters());
        assert_eq!(second, "\x1b[2;1H\x1b[0m\x1b[0;1mTWO\x1b[0m\x1b[K");
        assert_eq!(
            painter.paint(picture(&mut screen, 20).0, screen.clusters()),
            ""
        );
    }

    #[test]
    fn colours_are_kept() {
        let (mut screen, mut painter) = (screen(), Painter::default());
        screen.output(
            Stream::Stdout,
            b"\x1b[?25l\x1b[3;31;44ma\x1b[0;93;38;5;200mb\x1b[48;2;1;2;3mc",
        );
        let drawn = painter.paint(picture(&mut screen, 20).0, screen.clusters());
        assert!(
            drawn.contains("\x1b[0;3;31;44ma\x1b[0;38;5;200mb\x1b[0;38;5;200;48;2;1;2;3mc"),
            "{}",
            drawn.escape_debug()
        );
    }
}
