//! In: a live session that somebody may watch, and their terminal. Out: its screen on theirs, until either has enough.
//! Never: holds the session up; a byte of the session's on their terminal but drawn anew; a look that is in no journal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ampgate_access::{Action, Oversight};
use ampgate_audit::Event;
use ampgate_screen::draw::{self, ENTER, LEAVE, Painter, Row};
use ampgate_screen::glyph::Clusters;
use ampgate_screen::keys::{Line, Typed};
use ampgate_screen::picture::above_the_line;
use ampgate_screen::text;
use tokio::time::{Interval, MissedTickBehavior};

use crate::control;
use crate::gateway::Gateway;
use crate::live::LiveSession;
use crate::oversee::{Overseer, Place};
use crate::pane::{Keys, Pane, STUCK, Touch};
use crate::screens::{Frame, Shown};
use crate::sentence::Trouble;
use crate::wish::{Reason, SessionWord};

/// Between two pictures.
const FRAME: Duration = Duration::from_millis(50);
/// The right is asked for again this often, and the clock in the status line goes on.
const REVIEW: Duration = Duration::from_secs(2);
/// Who may watch at the same time, all sessions together.
pub const MOST: usize = 256;

/// In whose name it is watched.
pub enum By {
    /// Somebody whom policy lets, over SSH.
    Overseer(Overseer, Box<Oversight>),
    /// A user of this host, at the control socket, as `ampgate session kill` has it.
    Admin { uid: u32, name: String },
}

impl By {
    fn name(&self) -> String {
        match self {
            Self::Overseer(_, right) => right.principal().name().to_string(),
            Self::Admin { name, .. } => name.clone(),
        }
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Overseer(..) => "ssh",
            Self::Admin { .. } => "control",
        }
    }

    async fn still(&self, gateway: &Gateway) -> Result<(), String> {
        match self {
            Self::Overseer(overseer, right) => overseer.still(right).await,
            Self::Admin { uid, .. } => {
                gateway.takes_sessions().map_err(|why| why.to_string())?;
                match control::may(gateway, *uid) {
                    true => Ok(()),
                    false => Err("you are none of this gateway's admins any more".to_owned()),
                }
            }
        }
    }
}

/// Why somebody watches no longer.
pub struct Over {
    /// A word for the journal.
    reason: &'static str,
    /// What they are told, if they can be.
    pub told: Option<String>,
}

impl Over {
    fn of(reason: &'static str, told: Option<String>) -> Self {
        Self { reason, told }
    }
}

/// The journal's two lines, whatever comes between them.
struct Written<'w> {
    gateway: &'w Gateway,
    live: &'w LiveSession,
    by: &'w By,
    begun: Instant,
    reason: &'static str,
}

impl<'w> Written<'w> {
    fn begin(gateway: &'w Gateway, live: &'w LiveSession, by: &'w By) -> Self {
        let (source, connection, rules) = match by {
            By::Admin { .. } => (None, None, Vec::new()),
            By::Overseer(overseer, right) => (
                Some(overseer.connection.source.ip().to_string().into()),
                Some(overseer.connection.id.as_str().into()),
                right.rules().iter().map(|r| r.to_string().into()).collect(),
            ),
        };
        gateway.journal(
            Some(live.session),
            Event::WatchStarted {
                user: by.name().into(),
                source,
                connection,
                method: by.method().into(),
                rules,
            },
        );
        Self {
            gateway,
            live,
            by,
            begun: Instant::now(),
            reason: "cut off",
        }
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        self.gateway.journal(
            Some(self.live.session),
            Event::WatchEnded {
                user: self.by.name().into(),
                method: self.by.method().into(),
                reason: self.reason.into(),
                milliseconds: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            },
        );
    }
}

/// Watches until the session ends, the watcher leaves, or may no longer.
///
/// # Errors
/// Too many watch already.
pub async fn run<K: Keys, P: Pane>(
    gateway: &Arc<Gateway>,
    live: &Arc<LiveSession>,
    by: By,
    keys: &mut K,
    pane: &mut P,
    window: (usize, usize),
) -> Result<Over, Trouble> {
    let _place = Place::take(&gateway.watching, MOST)?;
    let mut written = Written::begin(gateway, live, &by);
    gateway.takes_sessions()?;
    if gateway.config().watch.tell {
        live.announce(&format!("{} watches this session", text::safe(&by.name())));
    }
    let (_watcher, mut shown) = live.screen.watch();
    let mut review = tokio::time::interval(REVIEW);
    review.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut view = View::new(gateway, live, &by, window);
    view.shown = shown.borrow_and_update().clone();
    let mut over = None;
    let mut next = tokio::time::Instant::now();
    if !pane_takes(pane, ENTER.into(), &mut review, &view, &mut over).await {
        over.get_or_insert_with(|| Over::of("left", None));
    }
    while over.is_none() {
        tokio::select! {
            touch = keys.next() => match touch {
                Touch::Gone => over = Some(Over::of("left", None)),
                Touch::Size(window) => view.resize(window),
                Touch::Keys(typed) => over = view.press(&typed).await,
            },
            changed = shown.changed() => {
                // The sender is the session's, which is held here.
                if changed.is_ok() {
                    view.shown = shown.borrow_and_update().clone();
                    view.dirty = true;
                }
            }
            () = tokio::time::sleep_until(next), if view.dirty => {
                let drawing = view.draw().await;
                let ended = matches!(view.shown, Shown::Ended(_));
                if !drawing.is_empty()
                    && !pane_takes(pane, drawing.into_bytes(), &mut review, &view, &mut over).await
                {
                    over.get_or_insert_with(|| Over::of("left", None));
                }
                next = tokio::time::Instant::now() + FRAME;
                if ended {
                    let told = "the session has ended".to_owned();
                    over.get_or_insert_with(|| Over::of("session ended", Some(told)));
                }
            }
            _ = review.tick() => {
                over = view.reviewed().await;
                view.dirty = true;
            }
        }
    }
    let over = over.unwrap_or_else(|| Over::of("left", None));
    written.reason = over.reason;
    let _ = tokio::time::timeout(REVIEW, pane.show(LEAVE.into())).await;
    Ok(over)
}

/// Gives drawing to the watcher's terminal. One that takes nothing holds up nobody but itself, loses its right in time all
/// the same, and is given up in the end.
async fn pane_takes<P: Pane>(
    pane: &mut P,
    drawing: Vec<u8>,
    review: &mut Interval,
    view: &View<'_>,
    over: &mut Option<Over>,
) -> bool {
    let shown = tokio::time::timeout(STUCK, pane.show(drawing));
    tokio::pin!(shown);
    loop {
        tokio::select! {
            taken = &mut shown => {
                if taken.is_err() {
                    *over = Some(Over::of("takes nothing", None));
                }
                return taken.unwrap_or(false);
            }
            _ = review.tick() => {
                *over = view.reviewed().await;
                if over.is_some() {
                    return false;
                }
            }
        }
    }
}

/// What one watcher sees.
struct View<'v> {
    gateway: &'v Arc<Gateway>,
    live: &'v Arc<LiveSession>,
    by: &'v By,
    window: (usize, usize),
    painter: Painter,
    shown: Shown,
    dirty: bool,
    /// The reason that is being typed.
    typed: Option<Typed>,
    /// What was said to the watcher last.
    said: Option<String>,
}

impl<'v> View<'v> {
    fn new(
        gateway: &'v Arc<Gateway>,
        live: &'v Arc<LiveSession>,
        by: &'v By,
        window: (usize, usize),
    ) -> Self {
        let mut painter = Painter::default();
        painter.forget();
        Self {
            gateway,
            live,
            by,
            window,
            painter,
            shown: Shown::Nothing,
            dirty: true,
            typed: None,
            said: None,
        }
    }

    fn resize(&mut self, window: (usize, usize)) {
        self.window = window;
        self.painter.forget();
        self.dirty = true;
    }

    async fn reviewed(&self) -> Option<Over> {
        let why = self.by.still(self.gateway).await.err()?;
        Some(Over::of(
            "no longer allowed",
            Some(format!("watching ends: {why}")),
        ))
    }

    async fn press(&mut self, typed: &[u8]) -> Option<Over> {
        self.dirty = true;
        for byte in typed {
            if let Some(line) = &mut self.typed {
                match line.take(*byte) {
                    Line::More => {}
                    Line::Left => self.typed = None,
                    Line::Done(why) => {
                        self.typed = None;
                        self.said = Some(self.kill(&why).await);
                    }
                }
                continue;
            }
            self.said = None;
            match byte {
                b'q' | b'Q' | 0x03 | 0x04 => return Some(Over::of("left", None)),
                b'k' | b'K' => self.typed = Some(Typed::default()),
                0x0c => self.painter.forget(),
                _ => {}
            }
        }
        None
    }

    /// Asks for its end, which is another right than watching it.
    async fn kill(&self, why: &str) -> String {
        let session = self.live.session.to_string();
        let ended = match (Reason::parse(why), SessionWord::parse(&session), self.by) {
            (Err(wrong), ..) | (_, Err(wrong), _) => Err(wrong),
            (Ok(why), Ok(_), By::Admin { name, .. }) => {
                self.by.still(self.gateway).await.and_then(|()| {
                    match self.live.kill(self.gateway, name.clone(), why.into_text()) {
                        true => Ok(()),
                        false => Err("it is ending already".to_owned()),
                    }
                })
            }
            (Ok(why), Ok(word), By::Overseer(overseer, _)) => overseer
                .kill(&word, why)
                .await
                .map(drop)
                .map_err(|trouble| match trouble {
                    Trouble::Denied(_) => format!("you may not {} it", Action::Kill),
                    other => other.to_string(),
                }),
        };
        match ended {
            Ok(()) => "the session is being ended".to_owned(),
            Err(why) => format!("not ended: {why}"),
        }
    }

    /// Nothing where nothing has changed, or where it could not be drawn, which is tried again.
    async fn draw(&mut self) -> String {
        self.dirty = false;
        let frame = match &self.shown {
            Shown::Now(frame) | Shown::Ended(Some(frame)) => Some(Arc::clone(frame)),
            _ => None,
        };
        let line = self.line(frame.as_deref(), above_the_line(self.window));
        let (window, mut painter) = (self.window, std::mem::take(&mut self.painter));
        let drawn = self.gateway.drawing.run(move || {
            let drawing = painted(&mut painter, frame.as_deref(), &line, window);
            (painter, drawing)
        });
        match drawn.await {
            Some((painter, drawing)) => {
                self.painter = painter;
                drawing
            }
            None => {
                self.painter.forget();
                self.dirty = true;
                String::new()
            }
        }
    }

    /// The line below the picture.
    fn line(&self, frame: Option<&Frame>, space: (usize, usize)) -> String {
        if let Some(typed) = &self.typed {
            let so_far = typed.text();
            return format!(
                " end it, because (Enter ends it, Esc does not): {}",
                text::safe(&so_far)
            );
        }
        let about = self.live.about();
        let mut state = match &self.shown {
            Shown::Ended(_) => " ended".to_owned(),
            _ => " live".to_owned(),
        };
        let watchers = self.live.screen.watchers();
        if watchers > 1 {
            state += &format!(", {watchers} watch");
        }
        let mut parts = vec![state];
        parts.extend(self.said.clone());
        if let Some(frame) = frame {
            if frame.passed_over > 0 {
                parts.push(format!(
                    "NOT EXACT: {} KiB passed over",
                    frame.passed_over >> 10
                ));
            }
            if frame.failures > 0 {
                parts.push(format!(
                    "picture lost and begun anew {} times",
                    frame.failures
                ));
            }
        }
        parts.push(format!(
            "{} -> {} ({})",
            text::fitted(&about.user.to_string(), 16),
            text::fitted(&about.target.to_string(), 24),
            text::fitted(&about.landing.to_string(), 8)
        ));
        if let Some((cols, rows)) = frame.and_then(|frame| frame.picture.exceeds(space)) {
            parts.push(format!("part of {cols}x{rows}"));
        }
        parts.push("q leave, k end it".to_owned());
        parts.push(format!("since {}", text::clock(self.live.age())));
        parts.push(self.live.session.to_string());
        parts.join(" | ")
    }
}

/// What brings a watcher's terminal to the frame and the line below it.
fn painted(
    painter: &mut Painter,
    frame: Option<&Frame>,
    line: &str,
    window: (usize, usize),
) -> String {
    let ((cols, rows), space) = (window, above_the_line(window));
    let mut picture: Vec<Row> = match frame {
        Some(frame) => match frame.too_large {
            None => frame.picture.part(space),
            Some((wide, high)) => {
                let told = format!("a terminal of {wide}x{high} is too large to be watched");
                vec![draw::written(&told, cols, false)]
            }
        },
        None => Vec::new(),
    };
    picture.resize(space.1, Row::new());
    if rows > 1 {
        picture.push(draw::written(line, cols, true));
    }
    let nothing = Clusters::at_most(0);
    painter.paint(picture, frame.map_or(&nothing, |frame| &frame.clusters))
}
