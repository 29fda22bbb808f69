//! In: recorded output and sizes, as hostile as they come.
//! Out: a grid of cells as the operator's terminal had it, and the lines that scrolled away.
//! Never: a panic, a grid above 1000 × 1000, an answer to a query: the virtual terminal has no way out.

use std::{
    cell::Cell as Flag,
    panic::{AssertUnwindSafe, catch_unwind},
};

use ampgate_recording::{Header, Stream};
use avt::{
    Cell, Terminal,
    observer::Transcript,
    parser::{Function, Parser},
};

use crate::{
    glyph::{Class, Cluster, Clusters, class},
    picture::Picture,
};

/// Largest terminal per dimension, as in the recording's format.
const LARGEST: u32 = 1000;

thread_local! {
    /// Set while the virtual terminal works, so that the panic hook stays silent: its faults are ours to handle.
    static DRAWING: Flag<bool> = const { Flag::new(false) };
}

/// Whether a panic now is the virtual terminal's.
pub fn is_drawing() -> bool {
    DRAWING.get()
}

/// Sees each step of a virtual terminal, before and after.
pub trait Onlooker {
    /// What a step needs afterwards.
    type Then;
    /// A step is about to be done.
    fn before(&mut self, t: &Terminal, clusters: &Clusters, step: &Function) -> Self::Then;
    /// It is done.
    fn after(&mut self, t: &Terminal, then: Self::Then);
    /// The terminal is about to get another size.
    fn resized(&mut self, t: &Terminal, clusters: &Clusters);
    /// The output of one moment is drawn.
    fn pause(&mut self, t: &Terminal, clusters: &Clusters);
    /// Nothing follows.
    fn finish(&mut self, t: &Terminal, clusters: &Clusters);
    /// The terminal had to be made anew.
    fn forget(&mut self);
}

/// Nobody looks.
pub enum Nobody {}

impl Onlooker for Nobody {
    type Then = ();
    fn before(&mut self, _: &Terminal, _: &Clusters, _: &Function) {}
    fn after(&mut self, _: &Terminal, (): ()) {}
    fn resized(&mut self, _: &Terminal, _: &Clusters) {}
    fn pause(&mut self, _: &Terminal, _: &Clusters) {}
    fn finish(&mut self, _: &Terminal, _: &Clusters) {}
    fn forget(&mut self) {}
}

/// A virtual terminal, for a recording or a live session.
pub struct Screen<W = Nobody> {
    terminal: Terminal,
    parser: Parser,
    clusters: Clusters,
    waiting: Option<Cluster>,
    /// Bytes of an incomplete character, per stream.
    cut: [Vec<u8>; 2],
    /// Without a pty nobody made CR LF of LF.
    bare_newlines: bool,
    /// Sizes come in floods; only the last one before output counts.
    resize: Option<(usize, usize)>,
    /// Collects what scrolls away, where that is wanted.
    transcript: Option<Transcript>,
    lines: Vec<String>,
    /// Sees what is drawn before something is drawn over it, where that is wanted.
    watch: Option<W>,
    /// How often the virtual terminal had to be made anew.
    pub failures: u32,
}

impl Screen {
    /// A terminal as the header says. Without a pty, it is as large as `otherwise` says.
    #[must_use]
    pub fn new(header: &Header, otherwise: (usize, usize)) -> Self {
        let size = match (header.cols, header.rows) {
            (0, _) | (_, 0) => otherwise,
            (cols, rows) => clamped(cols, rows),
        };
        Self::sized(size, header.pty, Clusters::default())
    }

    /// A terminal of this size; `pty`: a terminal made CR LF of each LF. The table for characters with marks may be a
    /// small one ([`Clusters::at_most`]).
    #[must_use]
    pub fn sized(size: (usize, usize), pty: bool, clusters: Clusters) -> Self {
        Self {
            terminal: terminal(size),
            parser: Parser::new(),
            clusters,
            waiting: None,
            cut: Default::default(),
            bare_newlines: !pty,
            resize: None,
            transcript: None,
            lines: Vec::new(),
            watch: None,
            failures: 0,
        }
    }

    /// Keeps the lines that scroll away, for [`Screen::lines`].
    #[must_use]
    pub fn with_transcript(mut self) -> Self {
        self.transcript = Some(Transcript::new());
        self
    }
}

impl<W: Onlooker> Screen<W> {
    /// Shows everything that is drawn to somebody.
    #[must_use]
    pub fn with_watch<V: Onlooker>(self, watch: V) -> Screen<V> {
        Screen {
            terminal: self.terminal,
            parser: self.parser,
            clusters: self.clusters,
            waiting: self.waiting,
            cut: self.cut,
            bare_newlines: self.bare_newlines,
            resize: self.resize,
            transcript: self.transcript,
            lines: self.lines,
            watch: Some(watch),
            failures: self.failures,
        }
    }

    /// The watch, if there is one.
    pub fn watch(&mut self) -> Option<&mut W> {
        self.watch.as_mut()
    }

    /// The output of one moment is drawn: what the watch makes of a program that waits.
    /// The last character may wait for its marks still.
    pub fn pause(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.pause(&self.terminal, &self.clusters);
        }
    }

    /// The end: the watch sees what is left.
    pub fn watched(mut self) -> Option<W> {
        self.settle();
        let mut watch = self.watch.take()?;
        watch.finish(&self.terminal, &self.clusters);
        Some(watch)
    }

    /// Draws output.
    pub fn output(&mut self, stream: Stream, bytes: &[u8]) {
        self.apply_resize();
        let text = self.decode(stream, bytes);
        self.guarded(|screen| {
            for c in text.chars() {
                if c == '\n' && screen.bare_newlines {
                    screen.character('\r');
                }
                screen.character(c);
            }
        });
    }

    /// The client's window has another size.
    pub fn resize(&mut self, cols: u32, rows: u32) {
        self.resize = Some(clamped(cols, rows));
    }

    /// Applies what waits, before the grid is looked at.
    pub fn settle(&mut self) {
        self.guarded(Self::print_waiting);
        self.apply_resize();
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        self.terminal.size()
    }

    /// The rows of the grid.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Cell]> {
        self.terminal
            .screen()
            .visible_lines()
            .map(|line| line.cells())
    }

    /// Column and row of the cursor, and whether it is visible.
    pub fn cursor(&self) -> (usize, usize, bool) {
        let cursor = self.terminal.cursor();
        let (cols, rows) = self.terminal.size();
        (
            cursor.col.min(cols.saturating_sub(1)),
            cursor.row.min(rows.saturating_sub(1)),
            cursor.visible,
        )
    }

    /// What an incomplete sequence or character began is forgotten: what follows does not belong to it.
    pub fn resync(&mut self) {
        self.guarded(Self::print_waiting);
        self.parser = Parser::new();
        self.cut = Default::default();
    }

    /// The picture of this moment, for others to look at.
    pub fn picture(&mut self) -> Picture {
        self.settle();
        Picture {
            lines: self.rows().map(<[Cell]>::to_vec).collect(),
            size: self.size(),
            cursor: self.cursor(),
        }
    }

    /// What the grid's characters stand for.
    pub fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// Lines that scrolled away since the last call; with a transcript only.
    pub fn lines(&mut self) -> Vec<String> {
        let lines = std::mem::take(&mut self.lines);
        self.shown(lines)
    }

    /// The lines that are left at the end: of the primary screen, and of the alternate one if that is active.
    pub fn finish(mut self) -> Vec<String> {
        self.settle();
        let mut lines = std::mem::take(&mut self.lines);
        if let Some(transcript) = self.transcript.take() {
            lines.extend(transcript.finish(&self.terminal));
        }
        if self.terminal.active_screen_kind() == avt::ScreenKind::Alternate {
            lines.extend(self.terminal.screen().text());
        }
        self.shown(lines)
    }

    fn shown(&self, lines: Vec<String>) -> Vec<String> {
        let show = |line: String| {
            let mut shown = String::with_capacity(line.len());
            line.chars().for_each(|c| self.clusters.show(c, &mut shown));
            shown
        };
        lines.into_iter().map(show).collect()
    }

    fn character(&mut self, c: char) {
        match self.parser.feed(c) {
            None => {}
            Some(Function::Print(c)) => match class(c) {
                Class::Plain(c) => {
                    self.print_waiting();
                    self.waiting = Some(Cluster::new(c));
                }
                Class::Mark => {
                    if let Some(cluster) = &mut self.waiting {
                        cluster.mark(c);
                    }
                }
                Class::Hidden => {}
            },
            // No virtual terminal takes its size from the program inside: that is memory for the asking.
            Some(Function::Xtwinops(_)) => {}
            // Five bytes for 65535 characters: a screenful shows the same.
            Some(Function::Rep(n)) => {
                self.print_waiting();
                let (cols, rows) = self.terminal.size();
                self.execute(Function::Rep(
                    n.min(u16::try_from(cols * rows).unwrap_or(u16::MAX)),
                ));
            }
            Some(function) => {
                self.print_waiting();
                self.execute(function);
            }
        }
    }

    fn print_waiting(&mut self) {
        if let Some(cluster) = self.waiting.take() {
            let cell = self.clusters.cell(cluster);
            self.execute(Function::Print(cell));
        }
    }

    fn apply_resize(&mut self) {
        let Some((cols, rows)) = self.resize.take() else {
            return;
        };
        self.guarded(|screen| {
            screen.print_waiting();
            if let Some(watch) = &mut screen.watch {
                watch.resized(&screen.terminal, &screen.clusters);
            }
            match &mut screen.transcript {
                Some(transcript) => {
                    let lines = screen.terminal.resize_with(cols, rows, transcript);
                    screen.lines.extend(lines);
                }
                None => screen.terminal.resize(cols, rows),
            }
        });
    }

    fn execute(&mut self, function: Function) {
        let then = self
            .watch
            .as_mut()
            .map(|watch| watch.before(&self.terminal, &self.clusters, &function));
        self.apply(function);
        if let (Some(watch), Some(then)) = (&mut self.watch, then) {
            watch.after(&self.terminal, then);
        }
    }

    fn apply(&mut self, function: Function) {
        match &mut self.transcript {
            Some(transcript) => {
                let lines = self.terminal.execute_with(function, transcript);
                self.lines.extend(lines);
            }
            None => self.terminal.execute(function),
        }
    }

    /// Runs the virtual terminal. Should a recording find a fault in it, the terminal is made anew and counted.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        DRAWING.set(true);
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        DRAWING.set(false);
        if done.is_err() {
            self.failures = self.failures.saturating_add(1);
            self.terminal = terminal(self.terminal.size());
            self.parser = Parser::new();
            self.waiting = None;
            self.transcript = self.transcript.take().map(|_| Transcript::new());
            if let Some(watch) = &mut self.watch {
                watch.forget();
            }
        }
    }

    /// Text of bytes, in which U+FFFD stands for what is none; an incomplete character waits for its rest.
    fn decode(&mut self, stream: Stream, bytes: &[u8]) -> String {
        let [stdout, stderr] = &mut self.cut;
        let cut = if stream == Stream::Stdout {
            stdout
        } else {
            stderr
        };
        let mut all = std::mem::take(cut);
        all.extend_from_slice(bytes);
        let mut text = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && may_go_on(invalid) {
                *cut = invalid.to_vec();
            } else if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }
}

/// Whether bytes begin a character: then decoding them fails for want of more, not for what is there.
fn may_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}

fn clamped(cols: u32, rows: u32) -> (usize, usize) {
    let clamp = |n: u32| n.clamp(1, LARGEST) as usize;
    (clamp(cols), clamp(rows))
}

#[allow(
    clippy::expect_used,
    reason = "the size is clamped to at least 1 × 1, which is all that can be wrong"
)]
fn terminal((cols, rows): (usize, usize)) -> Terminal {
    Terminal::new(cols.max(1), rows.max(1)).expect("a size above zero")
}
