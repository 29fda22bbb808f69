//! In: a recording's events in time, and keys.
//! Out: its picture on the auditor's terminal, at the times it had for the operator.
//! Never: a recorded byte on the terminal: only what the painter draws of the virtual one.

use std::{
    io,
    time::{Duration, Instant},
};

use ampgate_recording::{EventKind, Header, Stream};

use crate::{
    draw::{self, Painter, Row},
    keys::{HELP, Key, Line, Typed, key},
    picture::{above_the_line, part},
    screen::Screen,
    status, text,
    timeline::{Survey, Timeline, Unreadable},
};

/// Between two pictures.
const FRAME: Duration = Duration::from_millis(33);
/// The longest wait: signals, a new window size and the running time are looked at as often.
const TICK: Duration = Duration::from_millis(100);
/// Work on events between two looks at the keys.
const SLICE: Duration = Duration::from_millis(50);
/// Output given to the virtual terminal at once; an event may hold much more.
const PIECE: usize = 64;
/// How far the arrows seek.
const SEEK: Duration = Duration::from_secs(5);
/// How long a marker stays in the status line, in time played.
const MARKER: Duration = Duration::from_secs(6);

/// Where it is played: somebody's terminal.
pub trait Stage {
    /// Keys are read.
    fn interactive(&self) -> bool;
    /// Columns and rows.
    fn size(&self) -> (usize, usize);
    /// Shows drawing.
    ///
    /// # Errors
    /// The terminal is gone.
    fn write(&self, drawing: &str) -> io::Result<()>;
    /// Waits for keys; what was typed, or none if the terminal is gone.
    fn keys(&self, at_most: Duration) -> Option<Vec<u8>>;
    /// The number of a signal that wants the playing to end.
    fn signal(&self) -> Option<u8>;
}

/// A search inside the recording, beside the playing.
pub trait Find {
    /// Where the playing was when it began.
    fn begun(&self) -> Duration;
    /// Whether it has just ended.
    fn has_ended(&mut self) -> bool;
    /// The first find at or after a time; else the very first.
    fn first(&mut self, from: Duration) -> Option<Duration>;
    /// The find after the chosen one, or before it.
    fn next(&mut self, forward: bool) -> Option<Duration>;
    /// For the status line.
    fn status(&self) -> String;
}

/// Begins to look for a text; where the playing is.
pub type Search = Box<dyn Fn(String, Duration) -> Box<dyn Find>>;

/// Why a playing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was wanted, or there is no more and nobody who could want more.
    Enough,
    /// This signal wanted it.
    Signal(u8),
}

/// Why a playing broke off.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The recording cannot be read any more.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The terminal takes nothing any more.
    #[error("the terminal is gone")]
    Terminal(#[from] io::Error),
}

type Result<T> = std::result::Result<T, PlayError>;

/// Plays one recording.
pub struct Player<'a> {
    stage: &'a dyn Stage,
    search: Option<Search>,
    header: Header,
    timeline: Timeline,
    survey: Survey,
    screen: Screen,
    painter: Painter,
    window: (usize, usize),
    warning: Option<&'static str>,
    speed: f64,
    paused: bool,
    help: bool,
    /// Time played at `since`; it goes on from there unless paused.
    position: Duration,
    since: Instant,
    /// The session's time at the last event, and the time played then.
    at: Duration,
    played: Duration,
    marker: Option<(Duration, String)>,
    /// The rest of a large output.
    rest: Option<(Stream, Vec<u8>, usize)>,
    ended: bool,
    /// What is being typed to look for.
    typed: Option<Typed>,
    finder: Option<Box<dyn Find>>,
    drawn: Option<Instant>,
}

impl<'a> Player<'a> {
    /// At the begin, going.
    pub fn new(
        timeline: Timeline,
        survey: Survey,
        speed: f64,
        warning: Option<&'static str>,
        stage: &'a dyn Stage,
    ) -> Self {
        let header = timeline.header().clone();
        let window = stage.size();
        let screen = Screen::new(&header, above_the_line(window));
        let mut painter = Painter::default();
        painter.forget();
        Self {
            stage,
            search: None,
            header,
            timeline,
            survey,
            screen,
            painter,
            window,
            warning,
            speed,
            paused: false,
            help: false,
            position: Duration::ZERO,
            since: Instant::now(),
            at: Duration::ZERO,
            played: Duration::ZERO,
            marker: None,
            rest: None,
            ended: false,
            typed: None,
            finder: None,
            drawn: None,
        }
    }

    /// With a search behind the key `/`.
    #[must_use]
    pub fn with_search(mut self, search: Search) -> Self {
        self.search = Some(search);
        self
    }

    /// Plays until the end or the auditor's.
    ///
    /// # Errors
    /// The recording cannot be read any more, or the terminal is gone.
    pub fn run(&mut self, start: Option<Duration>) -> Result<Ended> {
        if let Some(start) = start {
            self.draw_until(start);
        }
        loop {
            if let Some(signal) = self.stage.signal() {
                return Ok(Ended::Signal(signal));
            }
            let behind = self.advance();
            if !behind || self.drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
                self.draw()?;
            }
            if self.ended && !self.stage.interactive() {
                return Ok(Ended::Enough);
            }
            let wait = if behind { Duration::ZERO } else { self.wait() };
            let Some(typed) = self.stage.keys(wait) else {
                return Ok(Ended::Enough);
            };
            if self.has_quit(&typed)? {
                return Ok(Ended::Enough);
            }
            if self.finder.as_mut().is_some_and(|f| f.has_ended()) {
                let found = self.finder.as_mut().and_then(|f| f.first(f.begun()));
                self.show(found)?;
            }
        }
    }

    /// Does what the keys say, until one says that it is enough.
    fn has_quit(&mut self, mut typed: &[u8]) -> Result<bool> {
        while let Some((first, behind)) = typed.split_first() {
            if let Some(line) = &mut self.typed {
                match line.take(*first) {
                    Line::More => {}
                    Line::Left => self.typed = None,
                    Line::Done(text) => {
                        self.typed = None;
                        let begin = self.search.as_ref().filter(|_| !text.trim().is_empty());
                        self.finder = begin.map(|search| search(text, self.at));
                    }
                }
                typed = behind;
                continue;
            }
            let (pressed, behind) = key(typed);
            typed = behind;
            match pressed {
                Some(Key::Quit) => return Ok(true),
                Some(pressed) => self.press(pressed)?,
                None => {}
            }
        }
        Ok(false)
    }

    /// How often the virtual terminal failed.
    pub fn failures(&self) -> u32 {
        self.screen.failures
    }

    /// Draws events until now; says whether there are more that are due.
    fn advance(&mut self) -> bool {
        let (now, begun) = (self.now(), Instant::now());
        loop {
            if !self.piece() {
                match self.timeline.peek() {
                    None => {
                        self.ended = true;
                        self.paused = true;
                        self.position = self.survey.played;
                        return false;
                    }
                    Some(step) if step.played > now => return false,
                    Some(_) => self.step(),
                }
            }
            if begun.elapsed() >= SLICE {
                return true;
            }
        }
    }

    /// Takes the next event.
    fn step(&mut self) {
        let Some(step) = self.timeline.take() else {
            return;
        };
        (self.at, self.played) = (step.at, step.played);
        match step.kind {
            EventKind::Output { stream, bytes } => self.rest = Some((stream, bytes, 0)),
            EventKind::Resize { cols, rows } => self.screen.resize(cols, rows),
            EventKind::Marker(text) => self.marker = Some((step.played, text)),
            EventKind::Input(_) | EventKind::Exit(_) | EventKind::Unknown { .. } => {}
        }
    }

    /// Draws a piece of the output that was begun; says whether there was any.
    fn piece(&mut self) -> bool {
        let Some((stream, bytes, from)) = &mut self.rest else {
            return false;
        };
        let to = bytes.len().min(*from + PIECE);
        self.screen
            .output(*stream, bytes.get(*from..to).unwrap_or_default());
        *from = to;
        if to == bytes.len() {
            self.rest = None;
        }
        true
    }

    /// Time played.
    fn now(&self) -> Duration {
        if self.paused {
            return self.position;
        }
        let passed = self.since.elapsed().as_secs_f64() * self.speed;
        self.position
            .saturating_add(Duration::try_from_secs_f64(passed).unwrap_or(Duration::MAX))
    }

    /// How long nothing happens.
    fn wait(&mut self) -> Duration {
        if self.paused {
            return TICK;
        }
        let now = self.now();
        let next = self
            .timeline
            .peek()
            .map_or(TICK, |step| step.played.saturating_sub(now));
        next.div_f64(self.speed)
            .clamp(Duration::from_millis(1), TICK)
            .max(FRAME.saturating_sub(self.drawn.map_or(FRAME, |drawn| drawn.elapsed())))
    }

    fn press(&mut self, key: Key) -> Result<()> {
        match key {
            Key::Pause => self.go_to(self.now(), !self.paused)?,
            Key::Faster => self.set_speed(self.speed * 2.0),
            Key::Slower => self.set_speed(self.speed / 2.0),
            Key::Forward => self.go_to(
                self.now().saturating_add(SEEK).min(self.survey.played),
                self.paused,
            )?,
            Key::Back => self.go_to(self.now().saturating_sub(SEEK), self.paused && !self.ended)?,
            Key::Begin => self.go_to(Duration::ZERO, false)?,
            Key::Step => self.one_step()?,
            Key::MarkerAfter => {
                let now = self.now();
                if let Some(next) = self
                    .survey
                    .markers
                    .iter()
                    .copied()
                    .find(|marker| *marker > now)
                {
                    self.go_to(next, self.paused)?;
                }
            }
            Key::MarkerBefore => {
                // A moment of grace, so that pressing twice goes two back while it plays.
                let before = self.now().saturating_sub(Duration::from_secs(1));
                let marker = self
                    .survey
                    .markers
                    .iter()
                    .rev()
                    .copied()
                    .find(|marker| *marker < before);
                self.go_to(marker.unwrap_or_default(), self.paused && !self.ended)?;
            }
            Key::Help => self.help = !self.help,
            Key::Find => self.typed = self.search.is_some().then(Typed::default),
            Key::FindAfter | Key::FindBefore => {
                let forward = key == Key::FindAfter;
                let found = self.finder.as_mut().and_then(|f| f.next(forward));
                self.show(found)?;
            }
            Key::Quit => {}
        }
        Ok(())
    }

    fn set_speed(&mut self, speed: f64) {
        (self.position, self.since) = (self.now(), Instant::now());
        self.speed = speed.clamp(0.125, 1024.0);
    }

    /// To a time played. Back is from the begin again: a picture is the sum of all before it.
    fn go_to(&mut self, to: Duration, paused: bool) -> Result<()> {
        if to < self.played {
            self.timeline.rewind()?;
            self.screen = Screen::new(&self.header, above_the_line(self.window));
            (self.at, self.played, self.marker, self.rest) =
                (Duration::ZERO, Duration::ZERO, None, None);
        }
        self.ended = false;
        (self.position, self.since, self.paused) = (to, Instant::now(), paused);
        Ok(())
    }

    /// The picture in which a find is complete, paused.
    fn show(&mut self, found: Option<Duration>) -> Result<()> {
        let Some(at) = found else {
            return Ok(());
        };
        if at < self.at {
            self.go_to(Duration::ZERO, true)?;
        }
        self.draw_until(at.saturating_add(Duration::from_micros(1)));
        self.go_to(self.position, true)
    }

    fn one_step(&mut self) -> Result<()> {
        while self.piece() {}
        if let Some(next) = self.timeline.peek().map(|step| step.played) {
            self.step();
            while self.piece() {}
            self.go_to(next.max(self.played), true)?;
        }
        Ok(())
    }

    /// Draws without showing up to a time of the session.
    fn draw_until(&mut self, start: Duration) {
        while self.piece() {}
        while self.timeline.peek().is_some_and(|step| step.at < start)
            && self.stage.signal().is_none()
        {
            self.step();
            while self.piece() {}
        }
        (self.position, self.since) = (self.played, Instant::now());
    }

    fn draw(&mut self) -> Result<()> {
        self.drawn = Some(Instant::now());
        let window = self.stage.size();
        if window != self.window {
            self.window = window;
            self.painter.forget();
        }
        self.screen.settle();
        let rows = self.picture();
        let bytes = self.painter.paint(rows, self.screen.clusters());
        if !bytes.is_empty() {
            self.stage.write(&bytes)?;
        }
        Ok(())
    }

    /// What the auditor's terminal shall show.
    fn picture(&self) -> Vec<Row> {
        let (cols, rows) = self.window;
        let (_, height) = above_the_line(self.window);
        let (recorded_cols, recorded_rows) = self.screen.size();
        let (column, line, visible) = self.screen.cursor();
        let mut picture: Vec<Row> = if self.help {
            HELP.iter()
                .map(|text| draw::written(&format!("  {text}"), cols, false))
                .collect()
        } else {
            let cursor = (column, line, visible && !self.ended);
            part(self.screen.rows(), cursor, (cols, height))
        };
        picture.resize(height, Row::new());
        if rows > 1 {
            let part = (recorded_cols > cols || recorded_rows > height)
                .then_some((recorded_cols, recorded_rows));
            picture.push(draw::written(&self.status(part), cols, true));
        }
        picture
    }

    fn status(&self, part_of: Option<(usize, usize)>) -> String {
        if let Some(typed) = &self.typed {
            return format!(" /{}", text::safe(&typed.text()));
        }
        let now = self.now();
        let silence = now.saturating_sub(self.played);
        let marker = self
            .marker
            .as_ref()
            .filter(|(at, _)| self.ended || now.saturating_sub(*at) < MARKER);
        status::line(
            &self.header,
            &status::Now {
                at: self.at.saturating_add(silence).min(self.survey.length),
                length: self.survey.length,
                speed: self.speed,
                paused: self.paused,
                ended: self.ended,
                warning: self.warning,
                marker: marker.map(|(_, text)| text.as_str()),
                find: self.finder.as_ref().map(|f| f.status()),
                part_of,
                keys: self.stage.interactive(),
            },
        )
    }
}
