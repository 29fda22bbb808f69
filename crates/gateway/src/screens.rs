//! In: what a live session shows its operator, as it is recorded. Out: its screen, for whoever watches, as it is now.
//! Never: work or a wait in the data path, which only copies; more than a fifth of a core; a panic that leaves one session.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ampgate_recording::Stream;
use ampgate_screen::glyph::Clusters;
use ampgate_screen::picture::Picture;
use ampgate_screen::screen::Screen;
use tokio::sync::watch;

use crate::ask::Size;
use crate::feed::{Feed, Taken};
use crate::gateway::Gateway;
use crate::tell;
use crate::whole::{self, Whole};

/// Between two looks at the sessions that somebody watches, which is also how often they get a picture at most.
const FRAME: Duration = Duration::from_millis(50);
/// The same while nobody watches anything.
const UNWATCHED: Duration = Duration::from_millis(250);
/// For each moment of work so many of rest.
const REST: u32 = 4;
/// What one look may take for the sessions that are watched, and for those that nobody watches.
const BUDGET: Duration = Duration::from_millis(50);
/// What one session may take of it: a byte or two can cost a terminal as much as a screen of text.
const LONGEST: Duration = Duration::from_millis(20);
/// So many bytes are drawn between two looks at the time.
const STEP: usize = 64;
/// The newest bytes, which are drawn in any case: a picture that is not exact is at least not old.
const NEWEST: u64 = 4 << 10;
/// The longest rest.
const MOST_REST: Duration = Duration::from_millis(500);

/// So much output waits at most: it paints a terminal full of text many times over.
const MOST: usize = 256 << 10;
/// Unwatched, no terminal is made before so much came: an idle session costs what it showed, and no more.
const RAW: usize = 64 << 10;
/// Without a terminal on the other side the last lines are all there is to see.
const MOST_LINES: usize = 16 << 10;
/// Cells of the largest terminal that is kept: a thousand operators must not cost the gateway its memory.
const CELLS: u32 = 1 << 16;
/// Characters with marks that a live screen tells apart.
const CLUSTERS: usize = 1024;
/// Programs without a terminal are drawn in this size, as the player does.
const NO_PTY: (usize, usize) = (80, 24);

/// One picture, with what the watcher should know of it.
pub struct Frame {
    pub picture: Picture,
    pub clusters: Arc<Clusters>,
    /// Bytes that came faster than they could be drawn: the picture may not be exact.
    pub passed_over: u64,
    /// How often the virtual terminal failed and was made anew.
    pub failures: u32,
    /// The size of a terminal that is too large to be kept.
    pub too_large: Option<(u32, u32)>,
}

/// What watchers see.
#[derive(Clone)]
pub enum Shown {
    Nothing,
    Now(Arc<Frame>),
    /// The session is over, and this was the last picture.
    Ended(Option<Arc<Frame>>),
}

/// The screen of one live session.
pub struct LiveScreen {
    /// The operator's terminal, if there is one, and its size.
    terminal: Option<Mutex<(Whole, (u32, u32))>>,
    /// Whether a program has the whole of it.
    taken: watch::Sender<bool>,
    feed: Mutex<Feed>,
    drawn: Mutex<Drawn>,
    shown: watch::Sender<Shown>,
    watchers: AtomicUsize,
    /// Somebody came who has no picture yet.
    wanted: AtomicBool,
}

/// Somebody who watches; they are counted as long as this is held.
pub struct Watcher<'s>(&'s LiveScreen);

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::AcqRel);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LiveScreen {
    /// With the operator's terminal, if there is one.
    pub fn new(terminal: Option<Size>) -> Self {
        let size = terminal.map(|size| (size.columns, size.rows));
        Self {
            terminal: size.map(|size| Mutex::new((Whole::default(), usual(size)))),
            taken: watch::Sender::new(false),
            feed: Mutex::new(Feed::new(if size.is_some() { MOST } else { MOST_LINES })),
            drawn: Mutex::new(Drawn::new(size)),
            shown: watch::Sender::new(Shown::Nothing),
            watchers: AtomicUsize::new(0),
            wanted: AtomicBool::new(false),
        }
    }

    /// Output that was recorded. Copies it, and sees whether a program takes the whole screen.
    pub fn output(&self, bytes: &[u8]) {
        if let Some(terminal) = &self.terminal {
            let taken = locked(terminal).0.output(bytes);
            self.taken
                .send_if_modified(|before| std::mem::replace(before, taken) != taken);
        }
        locked(&self.feed).output(bytes);
    }

    pub fn resize(&self, size: Size) {
        let size = (size.columns, size.rows);
        if let Some(terminal) = &self.terminal {
            locked(terminal).1 = usual(size);
        }
        locked(&self.feed).resize(size);
    }

    /// Whether a program has the whole screen of the operator's terminal.
    pub fn taken(&self) -> watch::Receiver<bool> {
        self.taken.subscribe()
    }

    /// Sentences for the operator, as their terminal can show them now: lines, or the last row of a program's screen.
    pub fn says(&self, sentences: &[String]) -> Vec<u8> {
        let pty = self.terminal.is_some();
        match &self.terminal {
            Some(terminal) if *self.taken.borrow() => {
                whole::said(&sentences.join("; "), locked(terminal).1)
            }
            _ => sentences
                .iter()
                .flat_map(|sentence| tell::line(pty, sentence))
                .collect(),
        }
    }

    /// Somebody begins to watch.
    pub fn watch(&self) -> (Watcher<'_>, watch::Receiver<Shown>) {
        self.watchers.fetch_add(1, Ordering::AcqRel);
        self.wanted.store(true, Ordering::Release);
        (Watcher(self), self.shown.subscribe())
    }

    pub fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Acquire)
    }

    /// Draws what waits, on a thread that may. Unwatched, only where there is much of it.
    pub fn turn(&self) {
        let watched = self.watchers() > 0;
        let mut drawn = locked(&self.drawn);
        if !watched && (drawn.screen.is_none() && locked(&self.feed).kept() < RAW || !drawn.pty) {
            return;
        }
        let taken = locked(&self.feed).take();
        let changed = !taken.is_empty();
        // The virtual terminal catches its own panics; whatever else there is costs this session its picture alone.
        if catch_unwind(AssertUnwindSafe(|| drawn.draw(taken))).is_err() {
            drawn.begin_anew();
        }
        if watched && (self.wanted.swap(false, Ordering::AcqRel) || changed) {
            let frame = catch_unwind(AssertUnwindSafe(|| drawn.frame()));
            match frame {
                Ok(frame) => self.show(Shown::Now(Arc::new(frame))),
                Err(_) => drawn.begin_anew(),
            }
        }
    }

    fn show(&self, shown: Shown) {
        self.shown.send_if_modified(|before| {
            let goes_on = !matches!(before, Shown::Ended(_));
            if goes_on {
                *before = shown;
            }
            goes_on
        });
    }

    /// The session is over: watchers keep the last picture, and what waited is wiped.
    pub fn close(&self) {
        locked(&self.feed).close();
        let last = match &*self.shown.borrow() {
            Shown::Now(frame) => Some(Arc::clone(frame)),
            _ => None,
        };
        self.show(Shown::Ended(last));
    }
}

/// How long drawing may take.
struct Pace {
    begun: Instant,
    /// Where in the output the part begins that is drawn in any case.
    newest: u64,
}

impl Pace {
    /// How many bytes are not drawn from here on: none while there is time.
    fn skips(&self, at: u64) -> usize {
        if self.begun.elapsed() <= LONGEST {
            return 0;
        }
        usize::try_from(self.newest.saturating_sub(at)).unwrap_or(usize::MAX)
    }
}

/// What was drawn so far.
struct Drawn {
    pty: bool,
    size: (u32, u32),
    screen: Option<Box<Screen>>,
    clusters: Arc<Clusters>,
    passed_over: u64,
    failures: u32,
}

impl Drawn {
    fn new(size: Option<(u32, u32)>) -> Self {
        Self {
            pty: size.is_some(),
            size: usual(size.unwrap_or_default()),
            screen: None,
            clusters: Arc::default(),
            passed_over: 0,
            failures: 0,
        }
    }

    fn begin_anew(&mut self) {
        self.forget();
        self.failures = self.failures.saturating_add(1);
    }

    /// With the table of characters: a new terminal's begins anew.
    fn forget(&mut self) {
        self.screen = None;
        self.clusters = Arc::default();
    }

    fn fits(&self) -> bool {
        self.size.0.saturating_mul(self.size.1) <= CELLS
    }

    fn draw(&mut self, taken: Taken) {
        let Taken {
            pieces,
            start,
            mut sizes,
            lost,
        } = taken;
        let end = start + pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let pace = Pace {
            begun: Instant::now(),
            newest: end.saturating_sub(NEWEST),
        };
        let mut at = start;
        let mut resync = lost > 0;
        if resync {
            // What came before any picture was made is missed by nobody who sees lines alone.
            self.passed_over += if self.pty { lost } else { 0 };
            if let Some(screen) = &mut self.screen {
                screen.resync();
            }
        }
        for piece in pieces {
            let mut bytes = piece.as_slice();
            while let Some((place, size)) = sizes.front().copied()
                && place <= at + bytes.len() as u64
            {
                let before = usize::try_from(place.saturating_sub(at)).unwrap_or(0);
                let (first, rest) = bytes.split_at(before.min(bytes.len()));
                self.output(first, at, &mut resync, &pace);
                at += first.len() as u64;
                bytes = rest;
                self.resize(size);
                sizes.pop_front();
            }
            self.output(bytes, at, &mut resync, &pace);
            at += bytes.len() as u64;
        }
        for (_, size) in sizes {
            self.resize(size);
        }
    }

    /// After a gap the text begins with the next line or sequence: what is before belongs to something that was lost.
    fn output(&mut self, mut bytes: &[u8], mut at: u64, resync: &mut bool, pace: &Pace) {
        if !self.fits() {
            return;
        }
        let before = self.screen.as_ref().map_or(0, |screen| screen.failures);
        while !bytes.is_empty() {
            let skipped = pace.skips(at).min(bytes.len());
            if skipped > 0 {
                self.passed_over += skipped as u64;
                self.terminal().resync();
                *resync = true;
            }
            let rest = bytes.get(skipped..).unwrap_or_default();
            let begin = match std::mem::take(resync) && !rest.is_empty() {
                true => rest
                    .iter()
                    .position(|b| matches!(b, b'\n' | 0x1b))
                    .unwrap_or(0),
                false => 0,
            };
            *resync |= skipped > 0 && rest.is_empty();
            let (_, rest) = rest.split_at(begin);
            let (step, later) = rest.split_at(rest.len().min(STEP));
            if !step.is_empty() {
                self.terminal().output(Stream::Stdout, step);
            }
            at += (bytes.len() - later.len()) as u64;
            bytes = later;
        }
        let failures = self.screen.as_ref().map_or(0, |screen| screen.failures);
        self.failures = self
            .failures
            .saturating_add(failures.saturating_sub(before));
    }

    fn terminal(&mut self) -> &mut Screen {
        let (pty, (cols, rows)) = (self.pty, self.size);
        self.screen.get_or_insert_with(|| {
            let size = if pty {
                (cols as usize, rows as usize)
            } else {
                NO_PTY
            };
            Box::new(Screen::sized(size, pty, Clusters::at_most(CLUSTERS)))
        })
    }

    fn resize(&mut self, size: (u32, u32)) {
        self.size = usual(size);
        if !self.fits() {
            self.forget();
        } else if let Some(screen) = &mut self.screen {
            screen.resize(self.size.0, self.size.1);
        }
    }

    fn frame(&mut self) -> Frame {
        let too_large = (!self.fits()).then_some(self.size);
        let (picture, clusters) = if too_large.is_some() {
            (Picture::default(), Arc::clone(&self.clusters))
        } else {
            let known = self.clusters.count();
            let screen = self.terminal();
            let picture = screen.picture();
            // A table only grows: as long as it has not, watchers share one copy of it.
            let grown = (screen.clusters().count() != known).then(|| screen.clusters().clone());
            if let Some(grown) = grown {
                self.clusters = Arc::new(grown);
            }
            (picture, Arc::clone(&self.clusters))
        };
        Frame {
            picture,
            clusters,
            passed_over: self.passed_over,
            failures: self.failures,
            too_large,
        }
    }
}

/// A client that does not say its size has the usual one.
fn usual((columns, rows): (u32, u32)) -> (u32, u32) {
    match (columns, rows) {
        (0, _) | (_, 0) => (80, 24),
        size => size,
    }
}

/// Starts the thread that draws. It ends when `stop` is set.
pub fn keep(
    gateway: Arc<Gateway>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name("screens".to_owned())
        .spawn(move || {
            let mut turn = 0_usize;
            while !stop.load(Ordering::Acquire) {
                let begun = Instant::now();
                let mut all = gateway.sessions.all();
                all.sort_unstable_by_key(|live| live.session);
                // Another one is first each time, so that a flood of some does not keep the others from their turn.
                let first = turn.checked_rem(all.len()).unwrap_or(0);
                all.rotate_left(first);
                turn = turn.wrapping_add(1);
                let (watched, others): (Vec<_>, Vec<_>) =
                    all.into_iter().partition(|live| live.screen.watchers() > 0);
                for live in &watched {
                    if begun.elapsed() > BUDGET {
                        break;
                    }
                    live.screen.turn();
                }
                let unwatched = Instant::now();
                for live in &others {
                    if unwatched.elapsed() > BUDGET {
                        break;
                    }
                    live.screen.turn();
                }
                let pause = if watched.is_empty() { UNWATCHED } else { FRAME };
                drop((watched, others));
                let rest = (begun.elapsed() * REST).min(MOST_REST);
                std::thread::sleep(pause.max(rest));
            }
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use ampgate_screen::draw::Painter;

    use super::*;

    fn size(columns: u32, rows: u32) -> Size {
        Size::clamped(columns, rows, 0, 0)
    }

    fn now(receiver: &watch::Receiver<Shown>) -> Arc<Frame> {
        match &*receiver.borrow() {
            Shown::Now(frame) | Shown::Ended(Some(frame)) => Arc::clone(frame),
            _ => panic!("no picture"),
        }
    }

    fn painted(frame: &Frame) -> String {
        let rows = frame.picture.part((80, 24));
        Painter::default().paint(rows, &frame.clusters)
    }

    #[test]
    fn whoever_joins_late_sees_the_screen_as_it_is() {
        let live = LiveScreen::new(Some(size(40, 10)));
        live.output(b"first\r\n\x1b[2J\x1b[Hsecond\x1b]52;c;b3duZWQ=\x07 third");
        live.turn();
        assert!(
            locked(&live.drawn).screen.is_none(),
            "an idle one has no terminal"
        );
        let (watcher, shown) = live.watch();
        live.turn();
        let picture = painted(&now(&shown));
        assert!(picture.contains("second third") && !picture.contains("first"));
        assert!(!picture.contains("52;c"), "{picture:?}");
        live.resize(size(20, 5));
        live.output(b"\x1b[H\x1b[2Jsmall");
        live.turn();
        assert_eq!(now(&shown).picture.size, (20, 5));
        drop(watcher);
        assert_eq!(live.watchers(), 0);
    }

    #[test]
    fn a_flood_is_passed_over_and_said_and_the_newest_is_there() {
        let live = LiveScreen::new(Some(size(40, 10)));
        let (_watcher, shown) = live.watch();
        live.output(&b"old line\r\n".repeat(200_000));
        live.output(b"\x1b[31mthe newest");
        live.turn();
        let frame = now(&shown);
        assert!(frame.passed_over > 1_000_000);
        assert!(painted(&frame).contains("the newest"));
    }

    /// Two bytes that make the whole terminal anew, as fast as they come, on the largest that is kept.
    #[test]
    fn what_costs_a_terminal_much_is_passed_over_and_what_is_newest_is_drawn() {
        let live = LiveScreen::new(Some(size(256, 256)));
        let (_watcher, shown) = live.watch();
        live.output(&b"\x1bc".repeat(120_000));
        live.output(&b" ".repeat(NEWEST as usize));
        live.output(b"\x1b[2J\x1b[Hthe newest");
        live.turn();
        let frame = now(&shown);
        assert!(frame.passed_over > 100_000, "{}", frame.passed_over);
        assert!(painted(&frame).contains("the newest"));
    }

    #[test]
    fn unwatched_a_terminal_is_made_only_for_much_output() {
        let live = LiveScreen::new(Some(size(40, 10)));
        live.output(&vec![b'x'; RAW]);
        live.turn();
        assert!(locked(&live.drawn).screen.is_some());
        assert_eq!(locked(&live.feed).kept(), 0);
        let lines = LiveScreen::new(None);
        lines.output(&vec![b'x'; 10 * MOST]);
        lines.turn();
        assert!(locked(&lines.drawn).screen.is_none());
        assert!(locked(&lines.feed).kept() <= MOST_LINES);
        lines.output(b"\nthe\nend");
        let (_watcher, shown) = lines.watch();
        lines.turn();
        assert!(painted(&now(&shown)).contains("end"));
    }

    #[test]
    fn a_huge_terminal_costs_no_memory_and_is_said() {
        let live = LiveScreen::new(Some(size(1000, 1000)));
        let (_watcher, shown) = live.watch();
        live.output(b"x");
        live.turn();
        assert_eq!(now(&shown).too_large, Some((1000, 1000)));
        assert!(locked(&live.drawn).screen.is_none());
        live.resize(size(80, 24));
        live.output(b"back");
        live.turn();
        assert!(painted(&now(&shown)).contains("back"));
    }

    #[test]
    fn a_programs_screen_is_told_from_the_shells() {
        let live = LiveScreen::new(Some(size(40, 10)));
        let taken = live.taken();
        let told = ["look".to_owned()];
        assert_eq!(live.says(&told), b"\r\nlook\r\n");
        live.output(b"\x1b[?10");
        live.output(b"49h");
        live.resize(size(40, 20));
        assert!(*taken.borrow() && live.says(&told).starts_with(b"\x1b7\x1b[20;1H"));
        live.output(b"\x1b[?1049l");
        assert!(!*taken.borrow());
        let lines = LiveScreen::new(None);
        lines.output(b"\x1b[?1049h");
        assert_eq!(lines.says(&told), b"look\n");
    }

    #[test]
    fn the_end_is_the_last_word() {
        let live = LiveScreen::new(Some(size(40, 10)));
        let (_watcher, shown) = live.watch();
        live.output(b"bye");
        live.turn();
        live.close();
        live.turn();
        assert!(matches!(&*shown.borrow(), Shown::Ended(Some(_))));
        assert!(painted(&now(&shown)).contains("bye"));
    }
}
