//! In: a recording.
//! Out: an animated picture (SVG, SMIL) that any browser shows: rows of text, each for the time that it stood there.
//! Never: a script, a link, a reference to anything outside, or a word that is not escaped: what was recorded is text in it, no more.
//!
//! Our own writer: the libraries that make such pictures are no Rust, or run a browser. No GIF: that needs a font with
//! Korean and a rasteriser in this program; `agg` makes one of the v2 export.

use std::{
    fmt::Write as _,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use ampgate_recording::EventKind;
use ampgate_screen::avt::{Color, Pen};
use anyhow::Result;

use crate::{
    draw::{Row, Tile, recorded},
    drawn::NO_PTY,
    screen::Screen,
    source, text, times,
};

/// Between two pictures, as played.
const FRAME: Duration = Duration::from_millis(66);
/// Longer silences are shortened, as `play` does.
const IDLE: Duration = Duration::from_secs(2);
/// Size of a cell; the text is stretched to it.
const CELL: (usize, usize) = (9, 19);
/// Where the letters stand in it.
const BASE: usize = 15;
/// Browsers take no more; what comes after is left out and told of.
const MOST: usize = 64 << 20;

const INK: &str = "#d0d0d0";
const PAPER: &str = "#101010";

/// Writes the picture.
pub fn write(path: &Path, out: &mut dyn Write) -> Result<()> {
    let (cols, rows) = largest(path)?;
    let mut timeline = times::open(path, IDLE)?;
    let header = timeline.header().clone();
    let mut screen = Screen::new(&header, NO_PTY);
    let (wide, high) = (cols * CELL.0, rows * CELL.1);
    let title = escaped(&format!(
        "session {} of {} on {}, {} UTC",
        header.session,
        header.user,
        header.target,
        header.started.strftime("%Y-%m-%d %H:%M:%S")
    ));
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {high}\" font-family=\"monospace\" font-size=\"15\" xml:space=\"preserve\">"
    )?;
    writeln!(out, "<title>{title}</title>")?;
    writeln!(
        out,
        "<rect width=\"{wide}\" height=\"{high}\" fill=\"{PAPER}\"/>"
    )?;
    let mut film = Film {
        shown: Vec::new(),
        left: MOST,
    };
    let mut at = Duration::ZERO;
    while let Some(step) = timeline.take() {
        if step.played.saturating_sub(at) >= FRAME {
            film.frame(&mut screen, at, out)?;
            at = step.played;
        }
        match step.kind {
            EventKind::Output { stream, bytes } => screen.output(stream, &bytes),
            EventKind::Resize { cols, rows } => screen.resize(cols, rows),
            _ => {}
        }
        if film.left == 0 {
            source::complain(&format!(
                "{}: the picture ends at {}: it has {} MiB already; \"play\" shows all of it",
                text::path(path),
                text::clock(step.at),
                MOST >> 20
            ));
            break;
        }
    }
    film.frame(&mut screen, at, out)?;
    film.end(&screen, out)?;
    writeln!(out, "</svg>")?;
    Ok(())
}

/// The largest size that the terminal ever had.
fn largest(path: &Path) -> Result<(usize, usize)> {
    let mut timeline = times::open(path, IDLE)?;
    let mut screen = Screen::new(timeline.header(), NO_PTY);
    let mut most = screen.size();
    while let Some(step) = timeline.take() {
        if let EventKind::Resize { cols, rows } = step.kind {
            screen.resize(cols, rows);
            screen.settle();
            let (cols, rows) = screen.size();
            most = (most.0.max(cols), most.1.max(rows));
        }
    }
    Ok(most)
}

/// The rows that are seen, each with the time at which it came.
struct Film {
    shown: Vec<(Row, Duration)>,
    /// Bytes that may still be written.
    left: usize,
}

impl Film {
    /// The picture at a time: rows that are no more are written with their time.
    fn frame(&mut self, screen: &mut Screen, at: Duration, out: &mut dyn Write) -> io::Result<()> {
        screen.settle();
        let (cols, _) = screen.size();
        let (column, line, visible) = screen.cursor();
        let cursor = |row: usize| (visible && row == line).then_some(column);
        let rows: Vec<Row> = screen
            .rows()
            .enumerate()
            .map(|(at, cells)| recorded(cells, cols, cursor(at)))
            .collect();
        let count = rows.len().max(self.shown.len());
        self.shown.resize(count, (Row::new(), at));
        let rows = rows.into_iter().chain(std::iter::repeat(Row::new()));
        for (number, row) in (0..count).zip(rows) {
            let Some((known, since)) = self.shown.get_mut(number) else {
                continue;
            };
            if *known != row {
                let old = std::mem::replace(known, row);
                let from = std::mem::replace(since, at);
                let drawn = drawn(number, &old, from, Some(at), screen);
                self.put(&drawn, out)?;
            }
        }
        Ok(())
    }

    /// What is left stays.
    fn end(&mut self, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
        for (number, (row, since)) in std::mem::take(&mut self.shown).into_iter().enumerate() {
            self.put(&drawn(number, &row, since, None, screen), out)?;
        }
        Ok(())
    }

    fn put(&mut self, drawn: &str, out: &mut dyn Write) -> io::Result<()> {
        self.left = self.left.saturating_sub(drawn.len());
        out.write_all(drawn.as_bytes())
    }
}

/// A row and its time.
fn drawn(
    number: usize,
    row: &Row,
    from: Duration,
    to: Option<Duration>,
    screen: &Screen,
) -> String {
    let mut out = String::new();
    if row.is_empty() {
        return out;
    }
    let end = to.map_or(String::new(), |to| {
        format!(" end=\"{:.3}s\"", to.as_secs_f64())
    });
    let _ = write!(
        out,
        "<g visibility=\"hidden\"><set attributeName=\"visibility\" to=\"visible\" begin=\"{:.3}s\"{end}/>",
        from.as_secs_f64()
    );
    let mut column = 0;
    for run in row.chunk_by(|a, b| a.pen == b.pen && a.cell.is_ascii() && b.cell.is_ascii()) {
        let columns = run.iter().map(|tile| tile.width).sum();
        run_of(number, column, columns, run, screen, &mut out);
        column += columns;
    }
    out.push_str("</g>\n");
    out
}

/// Tiles of one colour.
fn run_of(
    number: usize,
    column: usize,
    columns: usize,
    run: &[Tile],
    screen: &Screen,
    out: &mut String,
) {
    let Some(pen) = run.first().map(|tile| tile.pen) else {
        return;
    };
    let (ink, paper) = colours(&pen);
    let (x, y) = (column * CELL.0, number * CELL.1);
    let wide = columns * CELL.0;
    if paper != PAPER {
        let _ = write!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{}\" fill=\"{paper}\"/>",
            CELL.1
        );
    }
    let mut words = String::new();
    for tile in run {
        screen.clusters().show(tile.cell, &mut words);
    }
    if words.trim().is_empty() {
        return;
    }
    let _ = write!(
        out,
        "<text x=\"{x}\" y=\"{}\" textLength=\"{wide}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{ink}\"",
        y + BASE
    );
    for (on, attribute) in [
        (pen.is_bold(), " font-weight=\"bold\""),
        (pen.is_faint(), " opacity=\"0.6\""),
        (pen.is_italic(), " font-style=\"italic\""),
        (pen.is_underline(), " text-decoration=\"underline\""),
    ] {
        if on {
            out.push_str(attribute);
        }
    }
    let _ = write!(out, ">{}</text>", escaped(&words));
}

fn colours(pen: &Pen) -> (String, String) {
    let ink = pen.foreground().map_or(INK.to_owned(), colour);
    let paper = pen.background().map_or(PAPER.to_owned(), colour);
    if pen.is_inverse() {
        (paper, ink)
    } else {
        (ink, paper)
    }
}

fn colour(colour: Color) -> String {
    const FIRST: [u32; 16] = [
        0x00_0000, 0xcd_3131, 0x0d_bc79, 0xe5_e510, 0x24_72c8, 0xbc_3fbc, 0x11_a8cd, 0xe5_e5e5,
        0x66_6666, 0xf1_4c4c, 0x23_d18b, 0xf5_f543, 0x3b_8eea, 0xd6_70d6, 0x29_b8db, 0xff_ffff,
    ];
    let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * u32::from(n) };
    let number = match colour {
        Color::RGB(c) => u32::from(c.r) << 16 | u32::from(c.g) << 8 | u32::from(c.b),
        Color::Indexed(n @ 0..16) => FIRST.get(usize::from(n)).copied().unwrap_or_default(),
        Color::Indexed(n @ 16..232) => {
            let n = n - 16;
            level(n / 36) << 16 | level(n / 6 % 6) << 8 | level(n % 6)
        }
        Color::Indexed(n) => (8 + 10 * u32::from(n - 232)) * 0x01_0101,
    };
    format!("#{number:06x}")
}

/// Text as XML takes it, in which nothing acts or hides.
fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in text::safe(words).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_picture_is_markup() {
        assert_eq!(
            escaped("<script>\"&'\u{1b}]0;x\u{202e}"),
            "&lt;script&gt;&quot;&amp;&#39;\\u{1b}]0;x\\u{202e}"
        );
    }

    #[test]
    fn colours_are_those_of_terminals() {
        assert_eq!(colour(Color::Indexed(1)), "#cd3131");
        assert_eq!(colour(Color::Indexed(196)), "#ff0000");
        assert_eq!(colour(Color::Indexed(255)), "#eeeeee");
        assert_eq!(colour(Color::rgb(1, 2, 3)), "#010203");
    }
}
