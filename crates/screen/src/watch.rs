//! In: each step of a virtual terminal, before and after.
//! Out: every line that was ever drawn, seen once, before something is drawn over it; what was looked for in it, with its time.
//! Never: more work per recorded character than a constant, however the recording jumps about; more memory than the finds' limit.
//!
//! Nothing is compared frame by frame. Cells that change are remembered as new, and their line is looked at when it is
//! about to be lost (drawn over, erased, scrolled), or at a newline. So a text counts that stood there for no longer than
//! the program took to move its cursor, and one that stays is not found twice.

use std::{collections::VecDeque, ops::Range, time::Duration};

use avt::{
    ScreenKind, Terminal,
    parser::{AnsiMode, DecMode, EdScope, ElScope, Function},
};
use unicode_width::UnicodeWidthChar;

use crate::{
    glyph::Clusters,
    rendered::{Rendered, Span, at_cursor, extent, render},
    screen::Onlooker,
    shell::Shell,
};

/// Cells of a line around what is new, as long as there is credit.
const AROUND: usize = 2048;
/// And without: a recording that draws over one cell of a huge line again and again pays for a row of it only.
const CLOSE: usize = 128;
/// Cells that a recorded character may cost.
const CREDIT: usize = 256;
const MOST_CREDIT: usize = 1 << 20;
/// More new places than this are looked at at once.
const MOST_SPANS: usize = 256;
/// Erased and drawn again within this time is the same appearance.
const REDRAWN: Duration = Duration::from_secs(1);
/// So many finds are remembered for that.
const MOST_LIVE: usize = 64;
/// Bytes of a line before and after what was found in it, which are kept.
const KEPT: usize = 400;

/// A line that was drawn.
pub struct Line<'a> {
    /// As a reader sees it.
    pub text: &'a str,
    /// Bytes of it that are new since it was last looked at.
    pub fresh: &'a [Range<usize>],
}

/// Looks for something in lines.
pub trait Eye: Send {
    /// Where it is in the line; only what touches something new counts.
    fn look(&mut self, line: &Line<'_>) -> Vec<Range<usize>>;
}

/// Something that was looked for, and when the last of its line was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Find {
    /// Since the recording began.
    pub at: Duration,
    /// The line, or the part of it around what was found.
    pub line: String,
    /// Bytes of the line that were looked for.
    pub range: Range<usize>,
    /// Lines above it on the screen.
    pub above: Vec<String>,
    /// Lines below it on the screen, or that came next.
    pub below: Vec<String>,
    /// Below it was nothing yet: the next lines belong there.
    open: bool,
}

impl Find {
    /// A find in a text that stands by itself.
    pub fn alone(at: Duration, text: &str, range: Range<usize>) -> Self {
        let (line, range) = around(text, range);
        Self {
            at,
            line,
            range,
            above: Vec::new(),
            below: Vec::new(),
            open: false,
        }
    }
}

/// What a step needs afterwards.
pub enum Then {
    /// Nothing.
    Nothing,
    /// A character was printed; whether the screen scrolls for it.
    Printed {
        /// Columns.
        width: usize,
        /// The row goes up.
        scrolls: bool,
    },
    /// A newline from this row.
    Newline(usize),
    /// What was apart stands together here now.
    Joined {
        /// From the top.
        row: usize,
        /// Of what stands behind.
        column: usize,
    },
    /// The row is filled from here to the cursor.
    Filled {
        /// From the top.
        row: usize,
        /// The first one.
        column: usize,
    },
}

/// Where a find stands, so that it is known when it is drawn again.
struct Live {
    rows: Range<usize>,
    offset: usize,
    text: String,
    gone: Option<Duration>,
}

/// Watches a virtual terminal.
pub struct Watch {
    eye: Box<dyn Eye>,
    shell: Option<Shell>,
    now: Duration,
    fresh: Vec<Span>,
    live: VecDeque<Live>,
    insert: bool,
    /// Where the next character of the same run of text comes; none after a pause.
    run: Option<(usize, usize)>,
    /// There may be a scroll region, so that a row that moves may be any.
    region: bool,
    /// The cursor stays at the end of the row.
    stays: bool,
    credit: usize,
    context: usize,
    most: usize,
    finds: Vec<Find>,
    /// Finds beyond the most that are kept.
    pub beyond: u64,
}

impl Watch {
    /// Keeps at most `most` finds, each with `context` lines around.
    pub fn new(eye: Box<dyn Eye>, context: usize, most: usize) -> Self {
        Self {
            eye,
            shell: None,
            now: Duration::ZERO,
            fresh: Vec::new(),
            live: VecDeque::new(),
            insert: false,
            run: None,
            region: false,
            stays: false,
            credit: MOST_CREDIT,
            context,
            most,
            finds: Vec::new(),
            beyond: 0,
        }
    }

    /// Commands are told from the rest.
    pub fn with_shell(mut self) -> Self {
        self.shell = Some(Shell::default());
        self
    }

    /// The time of what is drawn from here on.
    pub fn at(&mut self, now: Duration) {
        self.now = now;
    }

    /// What was found so far and is complete.
    pub fn finds(self) -> Vec<Find> {
        self.finds
    }

    /// Commands since the last call.
    pub fn commands(&mut self) -> Vec<(Duration, String)> {
        self.shell.as_mut().map(Shell::take).unwrap_or_default()
    }
}

impl Onlooker for Watch {
    type Then = Then;

    /// Nothing is known of the terminal any more.
    fn forget(&mut self) {
        self.fresh.clear();
        self.live.clear();
        (self.insert, self.region, self.run) = (false, true, None);
    }

    /// Before a step.
    fn before(&mut self, t: &Terminal, clusters: &Clusters, step: &Function) -> Then {
        self.credit = MOST_CREDIT.min(self.credit + CREDIT);
        if self.fresh.len() >= MOST_SPANS {
            self.harvest(t, clusters);
        }
        let (column, row) = (t.cursor().col, t.cursor().row);
        match step {
            Function::Print(c) => return self.print(t, clusters, *c),
            Function::Lf | Function::Nel => {
                self.newline(t, clusters);
                return Then::Newline(row);
            }
            Function::El(scope) => {
                let columns = match scope {
                    ElScope::ToRight => column..usize::MAX,
                    ElScope::ToLeft => 0..column + 1,
                    ElScope::All => 0..usize::MAX,
                };
                self.erase(t, clusters, row, columns);
            }
            Function::Ech(n) => {
                let to = column + usize::from((*n).max(1));
                self.erase(t, clusters, row, column..to);
            }
            Function::Ich(_) | Function::Dch(_) => {
                self.harvest_row(t, clusters, row);
                self.goes(t, clusters, Some(row));
                return Then::Joined { row, column };
            }
            Function::Rep(n) => {
                if column + usize::from((*n).max(1)) > t.size().0 {
                    self.harvest(t, clusters);
                } else {
                    self.harvest_row(t, clusters, row);
                }
                return Then::Filled { row, column };
            }
            Function::Ed(EdScope::SavedLines) => {}
            Function::Ed(_) => {
                self.harvest(t, clusters);
                self.goes(t, clusters, None);
            }
            Function::Il(_) | Function::Dl(_) | Function::Su(_) | Function::Sd(_) => {
                self.harvest(t, clusters);
                self.live.clear();
            }
            Function::Ri => {
                self.harvest(t, clusters);
                if row == 0 || self.region {
                    self.live.clear();
                }
            }
            Function::Decset(modes) | Function::Decrst(modes) => {
                if modes.as_slice().contains(&DecMode::AutoWrap) {
                    self.stays = matches!(step, Function::Decrst(_));
                }
                if modes.as_slice().iter().any(|mode| switches(*mode)) {
                    self.harvest(t, clusters);
                    self.live.clear();
                }
            }
            Function::Decstbm(top, bottom) => {
                let all = *top <= 1 && (*bottom == 0 || usize::from(*bottom) == t.size().1);
                self.region = !all;
            }
            Function::Ris | Function::Decstr | Function::Decaln => {
                self.harvest(t, clusters);
                self.forget();
                self.region = false;
            }
            Function::Sm(modes) => self.insert |= modes.as_slice().contains(&AnsiMode::Insert),
            Function::Rm(modes) => self.insert &= !modes.as_slice().contains(&AnsiMode::Insert),
            Function::Osc(mark) => {
                if let Some(shell) = &mut self.shell {
                    shell.mark(mark, || at_cursor(t, clusters));
                }
            }
            // Nothing on the screen changes by these.
            _ => {}
        }
        Then::Nothing
    }

    /// After it.
    fn after(&mut self, t: &Terminal, then: Then) {
        let (cols, rows) = t.size();
        let (column, row) = (t.cursor().col, t.cursor().row);
        match then {
            Then::Nothing => {}
            Then::Printed { width, scrolls } => {
                // At the begin of a row, or it has not wrapped after all.
                if scrolls && (column <= width || cols < 4) {
                    self.scrolled();
                    for span in &mut self.fresh {
                        span.row = span.row.saturating_sub(1);
                    }
                }
                // Without wrapping the cursor stays on the last cell that it filled.
                let to = if column + 1 == cols { cols } else { column };
                self.mark(row, column.saturating_sub(width), to);
                self.run = Some((row, column));
                if self.insert {
                    self.mark(row, column, cols.min(column + 1));
                }
            }
            Then::Newline(from) if from == row => {
                if self.region || row + 1 < rows {
                    self.live.clear();
                } else {
                    self.scrolled();
                }
            }
            Then::Newline(_) => {}
            Then::Joined { row, column } => {
                self.mark(row, column.saturating_sub(1), cols.min(column + 1));
            }
            Then::Filled {
                row: from,
                column: start,
            } => {
                let start = if from == row { start } else { 0 };
                self.mark(row, start, column.min(cols));
            }
        }
    }

    /// Before another size: rows flow into others.
    fn resized(&mut self, t: &Terminal, clusters: &Clusters) {
        self.harvest(t, clusters);
        self.live.clear();
    }

    /// The program waits, perhaps for a command.
    fn pause(&mut self, t: &Terminal, clusters: &Clusters) {
        self.run = None;
        if let Some(shell) = &mut self.shell
            && shell.wants_prompt()
            && t.active_screen_kind() == ScreenKind::Primary
        {
            let (line, left) = at_cursor(t, clusters);
            shell.pause(&line, left);
        }
    }

    /// What is left.
    fn finish(&mut self, t: &Terminal, clusters: &Clusters) {
        self.harvest(t, clusters);
    }
}

impl Watch {
    fn print(&mut self, t: &Terminal, clusters: &Clusters, c: char) -> Then {
        let (cols, rows) = t.size();
        let (mut column, mut row) = (t.cursor().col, t.cursor().row);
        let width = c.width().unwrap_or(1).clamp(1, 2);
        let wraps = column + width > cols;
        let mut scrolls = false;
        if wraps && (self.region || self.stays) {
            // Which rows move is the terminal's secret.
            self.harvest(t, clusters);
            self.live.clear();
        } else if wraps && row + 1 == rows {
            scrolls = true;
            if self.fresh.iter().any(|span| span.row == 0) {
                self.harvest(t, clusters);
            }
        } else if wraps {
            (column, row) = (0, row + 1);
        }
        if self.insert {
            self.harvest_row(t, clusters, row);
        }
        let cell = t
            .screen()
            .line(row)
            .and_then(|line| line.cells().get(column));
        if let Some(cell) = cell.filter(|_| !scrolls) {
            let same = cell.char() == c && usize::from(cell.width()) == width;
            if same && !self.insert && !wraps {
                // Drawn again, as it was.
                if self.run == Some((row, column)) {
                    self.run = Some((row, column + width));
                }
                return Then::Nothing;
            }
            let begins = self.run != Some((row, column));
            if cell.char() != ' ' || cell.width() != 1 {
                self.lose(t, clusters, row, column..column + width, begins);
            } else if width == 2 {
                self.lose(t, clusters, row, column + 1..column + 2, begins);
            }
        }
        Then::Printed { width, scrolls }
    }

    fn newline(&mut self, t: &Terminal, clusters: &Clusters) {
        if t.active_screen_kind() == ScreenKind::Primary
            && let Some(shell) = &mut self.shell
        {
            shell.newline(self.now, &at_cursor(t, clusters).0);
        }
        self.harvest(t, clusters);
    }

    /// Columns of a row are about to be erased.
    fn erase(&mut self, t: &Terminal, clusters: &Clusters, row: usize, columns: Range<usize>) {
        let drawn = t.screen().line(row).is_some_and(|line| {
            let cells = line.cells();
            let columns = columns.start.min(cells.len())..columns.end.min(cells.len());
            let mut cells = cells.get(columns).unwrap_or_default().iter();
            cells.any(|cell| cell.char() != ' ')
        });
        if drawn {
            self.lose(t, clusters, row, columns, true);
        }
    }

    /// Something visible in these columns is about to go. Within a run of text over an older one, only what is new
    /// itself counts: the mixture of both was never meant to be read, and a run may be long.
    fn lose(
        &mut self,
        t: &Terminal,
        clusters: &Clusters,
        row: usize,
        columns: Range<usize>,
        begins: bool,
    ) {
        // Half of a wide character takes the other half with it.
        let from = columns.start.saturating_sub(1);
        let new = |span: &Span| span.row == row && span.from < columns.end && span.to > from;
        if begins || self.fresh.iter().any(new) {
            self.harvest_row(t, clusters, row);
        }
        self.goes(t, clusters, Some(row));
    }

    fn mark(&mut self, row: usize, from: usize, to: usize) {
        if from >= to {
            return;
        }
        match self.fresh.last_mut() {
            Some(last) if last.row == row && last.to >= from && last.from <= from => {
                last.to = last.to.max(to);
                last.at = self.now;
            }
            _ => self.fresh.push(Span {
                row,
                from,
                to,
                at: self.now,
            }),
        }
    }

    /// Looks at everything new.
    fn harvest(&mut self, t: &Terminal, clusters: &Clusters) {
        while let Some(row) = self.fresh.iter().map(|span| span.row).min() {
            self.harvest_row(t, clusters, row);
        }
    }

    /// Looks at the line that a row is part of, if something in it is new.
    fn harvest_row(&mut self, t: &Terminal, clusters: &Clusters, row: usize) {
        if self.fresh.is_empty() {
            return;
        }
        let around = if self.credit > 0 { AROUND } else { CLOSE };
        let most = (around / t.size().0.max(1)).max(1);
        let rows = extent(t, row, most, |row| {
            self.fresh.iter().any(|span| span.row == row)
        });
        let mine: Vec<Span>;
        (mine, self.fresh) = std::mem::take(&mut self.fresh)
            .into_iter()
            .partition(|span| rows.contains(&span.row));
        if mine.is_empty() {
            return;
        }
        let cells = rows.len() * t.size().0;
        self.credit = self.credit.saturating_sub(cells);
        let seen = render(t, clusters, rows.clone(), &mine, false);
        let at = mine.iter().map(|span| span.at).max().unwrap_or(self.now);
        self.follow(&seen.text);
        if !self.look(t, clusters, &rows, at, &seen) && seen.padded {
            let other = render(t, clusters, rows.clone(), &mine, true);
            self.look(t, clusters, &rows, at, &other);
        }
    }

    /// Says whether anything was there.
    fn look(
        &mut self,
        t: &Terminal,
        clusters: &Clusters,
        rows: &Range<usize>,
        at: Duration,
        Rendered { text, fresh, .. }: &Rendered,
    ) -> bool {
        if text.is_empty() || fresh.is_empty() {
            return false;
        }
        let found = self.eye.look(&Line { text, fresh });
        let any = !found.is_empty();
        for range in found {
            if self.is_known(rows, text, &range) {
                continue;
            }
            if self.finds.len() >= self.most {
                self.beyond += 1;
                continue;
            }
            let mut find = Find::alone(at, text, range);
            self.surround(t, clusters, rows, &mut find);
            self.finds.push(find);
        }
        any
    }

    /// A new line is what comes after the last finds.
    fn follow(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let context = self.context;
        for find in self.finds.iter_mut().rev() {
            if !find.open {
                break;
            }
            find.below.push(cut(text));
            find.open = find.below.len() < context;
        }
    }

    /// Lines above and below on the screen.
    fn surround(&self, t: &Terminal, clusters: &Clusters, rows: &Range<usize>, find: &mut Find) {
        if self.context == 0 {
            return;
        }
        let line = |row: usize| cut(&render(t, clusters, row..row + 1, &[], true).text);
        let above = rows.start.saturating_sub(self.context)..rows.start;
        find.above = above.map(line).filter(|text| !text.is_empty()).collect();
        let below = rows.end..t.size().1.min(rows.end + self.context);
        find.below = below.map(line).filter(|text| !text.is_empty()).collect();
        find.open = find.below.is_empty();
    }

    /// Whether this stood at the same place a moment ago. If not, it is remembered.
    fn is_known(&mut self, rows: &Range<usize>, text: &str, range: &Range<usize>) -> bool {
        let found = cut(text.get(range.clone()).unwrap_or_default());
        let same = |live: &&mut Live| {
            live.rows.start == rows.start && live.offset == range.start && live.text == found
        };
        if let Some(live) = self.live.iter_mut().find(same) {
            let gone = live.gone.take();
            live.rows = rows.clone();
            return gone.is_some_and(|gone| self.now.saturating_sub(gone) <= REDRAWN);
        }
        if self.live.len() >= MOST_LIVE {
            self.live.pop_front();
        }
        self.live.push_back(Live {
            rows: rows.clone(),
            offset: range.start,
            text: found,
            gone: None,
        });
        false
    }

    /// Finds in this row (or in all) that are still there go now.
    fn goes(&mut self, t: &Terminal, clusters: &Clusters, row: Option<usize>) {
        let now = self.now;
        self.live.retain_mut(|live| {
            if live.gone.is_some() || row.is_some_and(|row| !live.rows.contains(&row)) {
                return true;
            }
            let line = render(t, clusters, live.rows.clone(), &[], false).text;
            let there = line.get(live.offset..).unwrap_or_default();
            live.gone = Some(now);
            there.starts_with(&live.text)
        });
    }

    fn scrolled(&mut self) {
        self.live.retain_mut(|live| {
            let stays = live.rows.start > 0;
            live.rows = live.rows.start.saturating_sub(1)..live.rows.end.saturating_sub(1);
            stays
        });
    }
}

fn switches(mode: DecMode) -> bool {
    matches!(
        mode,
        DecMode::AltScreenBuffer | DecMode::SaveCursorAltScreenBuffer
    )
}

/// The part of a line around what was found.
fn around(text: &str, range: Range<usize>) -> (String, Range<usize>) {
    let mut from = range.start.saturating_sub(KEPT);
    while !text.is_char_boundary(from) {
        from -= 1;
    }
    let mut to = text.len().min(range.end.min(range.start + KEPT) + KEPT);
    while !text.is_char_boundary(to) {
        to += 1;
    }
    let line = text.get(from..to).unwrap_or_default();
    let end = range.end.saturating_sub(from).min(line.len());
    (line.to_owned(), range.start - from..end)
}

fn cut(text: &str) -> String {
    let mut to = text.len().min(2 * KEPT);
    while !text.is_char_boundary(to) {
        to += 1;
    }
    text.get(..to).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ampgate_recording::{Header, Reader, Stream};
    use proptest::prelude::*;

    use super::*;
    use crate::{query::Query, screen::Screen};

    fn header(cols: u32, rows: u32) -> Header {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../recording/fixtures/minimal.cast"
        );
        let mut header = Reader::open_path(path).unwrap().header().clone();
        (header.cols, header.rows, header.pty) = (cols, rows, true);
        header
    }

    fn watched(needle: &str, cols: u32, rows: u32, context: usize) -> Screen<Watch> {
        let query = Query::new(needle, false, false).unwrap();
        let watch = Watch::new(Box::new(query), context, 100);
        Screen::new(&header(cols, rows), (80, 24)).with_watch(watch)
    }

    /// Finds in output that comes at these seconds, on 20 columns and 4 rows.
    fn finds(needle: &str, output: &[(u64, &str)]) -> Vec<(u64, String)> {
        let mut screen = watched(needle, 20, 4, 0);
        for (at, text) in output {
            if screen.watch().unwrap().now < Duration::from_secs(*at) {
                screen.settle();
            }
            screen.watch().unwrap().at(Duration::from_secs(*at));
            screen.output(Stream::Stdout, text.as_bytes());
            screen.pause();
        }
        let finds = screen.watched().unwrap().finds();
        finds
            .into_iter()
            .map(|find| (find.at.as_secs(), find.line))
            .collect()
    }

    fn found(needle: &str, output: &[(u64, &str)]) -> Vec<u64> {
        finds(needle, output)
            .into_iter()
            .map(|(at, _)| at)
            .collect()
    }

    #[test]
    fn text_is_found_that_no_byte_sequence_holds() {
        // Letter by letter, backwards, from other lines; in pieces of colour.
        assert_eq!(
            found(
                "secret",
                &[(
                    1,
                    "\x1b[2;6Ht\x1b[2;1Hs\x1b[2;3Hc\x1b[2;2He\x1b[1;9Hx\x1b[2;5He\x1b[2;4Hr"
                )]
            ),
            [1]
        );
        assert_eq!(
            found(
                "secret",
                &[(1, "s\x1b[31me\x1b[0mc\x1b]0;x\x07r"), (2, "et")]
            ),
            [2]
        );
        // Letters that were deleted or put in between.
        assert_eq!(
            found("secret", &[(1, "sexxcret"), (5, "\r\x1b[2C\x1b[2P")]),
            [5]
        );
        assert_eq!(
            found("secret", &[(1, "seret"), (5, "\r\x1b[2C\x1b[@c")]),
            [5]
        );
        assert_eq!(
            found("secret", &[(1, "seret"), (5, "\r\x1b[2C\x1b[4hc\x1b[4l")]),
            [5]
        );
        // Corrected with backspace.
        assert_eq!(
            found("secret", &[(1, "sexret\x08\x08\x08\x08cret\r\n")]),
            [1]
        );
        // Repeated by REP.
        assert_eq!(found("=====", &[(1, "x =\x1b[6b y")]), [1]);
    }

    #[test]
    fn what_is_drawn_over_within_one_output_is_found() {
        let bar = "\rload 10%\rload 20%\rload 30%\rdone    ";
        for needle in ["10%", "20%", "30%", "done", "load 20%"] {
            assert_eq!(found(needle, &[(3, bar)]), [3], "{needle}");
        }
        assert_eq!(
            found("load", &[(3, bar)]),
            [3],
            "once, however often the number changes"
        );
        for gone in [
            "\x1b[2J",
            "\x1b[H\x1b[J",
            "\r\x1b[K",
            "\x1b[1K",
            "\x1b[2K",
            "\x1bc",
            "\x1b[?1049h",
            "\x1b[M",
            "\x1b[L",
            "\r\x1b[6P",
            "\r\x1b[6X",
            "\x1b[9S",
            "\x1b[9T",
            "\n\n\n\n\n\n",
            "\r      ",
            "\x1b#8",
        ] {
            assert_eq!(
                found("secret", &[(3, &format!("secret{gone}x"))]),
                [3],
                "{gone:?}"
            );
        }
    }

    #[test]
    fn what_stays_or_is_drawn_again_is_found_once() {
        for again in [
            "\rsecret",
            "\x1b[2J\x1b[Hsecret",
            "\r\x1b[Ksecret",
            "\r      \rsecret",
            "\n\n\nx",
            "\x1b[?1049hx\x1b[?1049l",
        ] {
            assert_eq!(
                found("secret", &[(3, "secret"), (4, ""), (60, again)]),
                [3],
                "{again:?}"
            );
        }
        // Another line with the same text is another appearance.
        assert_eq!(found("secret", &[(3, "secret\r\nsecret\r\n")]), [3, 3]);
        assert_eq!(
            found("secret", &[(3, "\n\n\nsecret\r\nsecret\r\nsecret\r\n")]),
            [3, 3, 3]
        );
        // Gone for a while, and back.
        assert_eq!(
            found(
                "secret",
                &[(3, "secret"), (5, "\x1b[2J"), (60, "\x1b[Hsecret")]
            ),
            [3, 60]
        );
        // Twice in one line.
        assert_eq!(found("ab", &[(3, "ab ab")]), [3, 3]);
    }

    #[test]
    fn lines_that_wrap_are_one() {
        let long = "0123456789abcdefghSECRETxyz";
        assert_eq!(finds("secret", &[(1, long)]), [(1, long.to_owned())]);
        assert_eq!(
            finds("secret", &[(1, &format!("\n\n\n\n{long}\r\n"))]),
            [(1, long.to_owned())]
        );
        // Longer than the screen.
        let longer = format!("{}SECRET{}", "x".repeat(200), "y".repeat(200));
        assert_eq!(found("secret", &[(1, &longer)]), [1]);
        assert_eq!(found("xxxsecretyyy", &[(1, &longer)]), [1]);
        // Another size in the middle of it.
        let mut screen = watched("secret", 20, 4, 0);
        screen.output(Stream::Stdout, b"my sec");
        screen.resize(40, 4);
        screen.output(Stream::Stdout, b"ret");
        assert_eq!(screen.watched().unwrap().finds().len(), 1);
    }

    #[test]
    fn korean_is_found_wide_wrapped_and_decomposed() {
        assert_eq!(found("비밀번호", &[(1, "\x1b[2;5H번호\x1b[2;1H비밀")]), [1]);
        // Nineteen columns are full: the next does not fit into the twentieth.
        assert_eq!(found("비밀번호", &[(1, "0123456789abcdefg비밀번호")]), [1]);
        assert_eq!(found("g 비밀", &[(1, "0123456789abcdefghg 비밀")]), [1]);
        assert_eq!(
            found(
                "한글",
                &[(1, "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}")]
            ),
            [1]
        );
        assert_eq!(
            found("한글", &[(1, "\u{1112}"), (1, "\u{1161}\u{11ab}글")]),
            [1]
        );
        assert_eq!(found("café", &[(1, "cafe\u{301}")]), [1]);
    }

    #[test]
    fn context_is_what_stood_around_or_came_after() {
        let mut screen = watched("three", 20, 10, 1);
        screen.output(Stream::Stdout, b"one\r\ntwo\r\nthree\r\nfour\r\nfive\r\n");
        let find = screen.watched().unwrap().finds().pop().unwrap();
        assert_eq!(
            (find.above, find.below),
            (vec!["two".to_owned()], vec!["four".to_owned()])
        );
        let mut screen = watched("three", 20, 10, 2);
        screen.output(
            Stream::Stdout,
            b"\x1b[4Hfour\x1b[5Hfive\x1b[2Htwo\x1b[3Hthree\x1b[H\x1b[J",
        );
        let find = screen.watched().unwrap().finds().pop().unwrap();
        assert_eq!(find.above, ["two"]);
        assert_eq!(find.below, ["four", "five"]);
    }

    #[test]
    fn commands_are_told_from_what_they_print() {
        let mut screen = watched("x", 40, 5, 0);
        let watch = Watch::new(Box::new(Query::new("x", false, false).unwrap()), 0, 1);
        screen = screen.with_watch(watch.with_shell());
        for (at, text) in [
            (1, "op@a:~$ "),
            (2, "lsx"),
            (3, "\x08\x1b[K -l"),
            (4, "\r\n$ not this\r\nop@a:~$ "),
            (
                5,
                "vim\r\n\x1b[?1049h\x1b[Hop@a:~$ nor this\r\n\x1b[?1049lop@a:~$ ",
            ),
            (9, "exit\r\n"),
        ] {
            screen.watch().unwrap().at(Duration::from_secs(at));
            screen.output(Stream::Stdout, text.as_bytes());
            screen.pause();
        }
        let commands = screen.watched().unwrap().commands();
        let expected = [(4, "ls -l"), (5, "vim"), (9, "exit")];
        assert_eq!(
            commands,
            expected.map(|(at, text)| (Duration::from_secs(at), text.to_owned()))
        );
    }

    /// Every picture between two pieces (a run of text, or a step that is none), as plain as can be.
    fn was_ever_shown(needle: &str, pieces: &[String], cols: u32, rows: u32) -> bool {
        let mut screen = Screen::new(&header(cols, rows), (80, 24));
        let mut shown = false;
        for piece in pieces {
            screen.output(Stream::Stdout, piece.as_bytes());
            screen.settle();
            let row = |cells: &[avt::Cell]| -> String {
                let seen = cells.iter().filter(|cell| cell.width() > 0);
                seen.map(avt::Cell::char).collect()
            };
            shown |= screen.rows().any(|cells| row(cells).contains(needle));
        }
        shown
    }

    fn piece() -> impl Strategy<Value = String> {
        let step = prop_oneof![
            Just("\r".to_owned()),
            Just("\n".to_owned()),
            Just("\x08".to_owned()),
            Just("\t".to_owned()),
            Just("\x1b[4h".to_owned()),
            Just("\x1b[4l".to_owned()),
            Just("\x1b[?7l".to_owned()),
            Just("\x1b[?7h".to_owned()),
            Just("\x1bc".to_owned()),
            Just("\x1b7".to_owned()),
            Just("\x1b8".to_owned()),
            Just("\x1bM".to_owned()),
            Just("\x1b[?1049h".to_owned()),
            Just("\x1b[?1049l".to_owned()),
            Just("\x1b[!p".to_owned()),
            Just("\x1b[?6h".to_owned()),
            (
                0u16..4,
                prop::sample::select(b"ABCDEFGHIJKLMPSTXZ@bdfr`".to_vec())
            )
                .prop_map(|(n, end)| format!("\x1b[{n}{}", char::from(end))),
            (0u16..6, 0u16..9, prop::sample::select(b"Hr".to_vec()))
                .prop_map(|(a, b, end)| format!("\x1b[{a};{b}{}", char::from(end))),
        ];
        prop_oneof![3 => "[ab]{1,3}", 1 => Just("한".to_owned()), 1 => Just(" ".to_owned()), 3 => step]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever stood in a row at any moment is found, however it came there and whatever became of it.
        #[test]
        fn nothing_that_was_shown_is_missed(pieces in prop::collection::vec(piece(), 1..40), cols in 1u32..9, rows in 1u32..5, needle in prop::sample::select(vec!["aba", "bb", "한a"])) {
            let mut screen = watched(needle, cols, rows, 1);
            for piece in &pieces {
                screen.output(Stream::Stdout, piece.as_bytes());
                screen.settle();
                screen.pause();
            }
            let failures = screen.failures;
            let finds = screen.watched().unwrap().finds();
            if was_ever_shown(needle, &pieces, cols, rows) {
                prop_assert!(!finds.is_empty());
            }
            prop_assert_eq!(failures, 0);
            for find in finds {
                prop_assert!(find.line.contains(needle));
                prop_assert_eq!(find.line.get(find.range.clone()), Some(needle));
            }
        }
    }
}
