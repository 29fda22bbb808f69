//! In: a recording that somebody may see, and their channel. Out: its playing on their terminal, or its file as it is.
//! Never: a path from anywhere but the index; a recorded byte on a terminal; more at once than the gateway can spare.

use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ampgate_access::Oversight;
use ampgate_audit::{Event, SessionRow};
use ampgate_recording::{Envelope, PublicKey, Reader, Unsealed, Verdict, verify};
use ampgate_screen::draw::{ENTER, LEAVE};
use ampgate_screen::finder::Finder;
use ampgate_screen::player::{Player, Stage};
use ampgate_screen::timeline::{self, Opening, Timeline};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::ask::{self, Downstream};
use crate::oversee::{Overseer, Place};
use crate::pane::{Keys as _, STUCK, Touch};
use crate::sentence::Trouble;
use crate::spare;
use crate::tell;
use crate::wish::SessionWord;

/// Of a file, sent at once.
const CHUNK: usize = 64 << 10;
/// Pieces that wait for the client.
const WAITING: usize = 4;
/// The right is asked for again this often.
const REVIEW: Duration = Duration::from_secs(2);
/// Silences are shortened to this, as ampgate-replay does.
const IDLE: Duration = Duration::from_secs(2);
/// Recordings that are played, or sent, at the same time. Each playing may take a core, and what is looked for in it another;
/// both are behind the sessions.
const MOST_PLAYED: usize = 2;
const MOST_SENT: usize = 16;
/// A player that draws nothing and gets no key for so long is left.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// The largest recording that is played here: it is read once before, and again for each step back.
const LARGEST: u64 = 256 << 20;

/// How a replay ended, and how much of it went out.
struct Over {
    reason: &'static str,
    bytes: u64,
}

/// Plays it where there is a terminal (`window`), else sends the file.
///
/// # Errors
/// Not allowed, not here, or not to be played here.
pub async fn run(
    overseer: &Overseer,
    down: &mut Downstream,
    word: &SessionWord,
    window: Option<(usize, usize)>,
) -> Result<(), Trouble> {
    let (row, right) = overseer.recorded(word).await?;
    let gateway = &overseer.gateway;
    let (store, looked) = (gateway.store.dir().to_owned(), row.clone());
    let path = tokio::task::spawn_blocking(move || path_of(&store, &looked));
    let path = path.await.map_err(|_| Trouble::Fault)??;
    let (of, most, how) = match window {
        Some(_) => (&gateway.playing, MOST_PLAYED, "play"),
        None => (&gateway.sending, MOST_SENT, "file"),
    };
    let _place = Place::take(of, most)?;
    if window.is_some() {
        playable(&gateway.name, &row, &path).await?;
    }
    let mut written = Written::begin(overseer, &right, &row, how);
    gateway.takes_sessions()?;
    let over = match window {
        Some(window) => play(overseer, &right, down, path, window).await,
        None => send(overseer, &right, down, path).await,
    };
    match over {
        Ok(over) => {
            (written.reason, written.bytes) = (over.reason, over.bytes);
            let told = match over.reason {
                "no longer allowed" => Err(Trouble::Revoked("it is no longer allowed".to_owned())),
                _ => Ok(()),
            };
            drop(written);
            if told.is_ok() {
                tell::text(down, false, "", 0).await;
            }
            told
        }
        Err(trouble) => {
            written.reason = "failed";
            Err(trouble)
        }
    }
}

/// The journal's two lines, whatever comes between them.
struct Written<'w> {
    overseer: &'w Overseer,
    right: &'w Oversight,
    how: &'static str,
    begun: Instant,
    reason: &'static str,
    bytes: u64,
}

impl<'w> Written<'w> {
    fn begin(
        overseer: &'w Overseer,
        right: &'w Oversight,
        row: &SessionRow,
        how: &'static str,
    ) -> Self {
        overseer.gateway.journal(
            Some(right.session()),
            Event::ReplayStarted {
                user: right.principal().name().as_str().into(),
                source: overseer.connection.source.ip().to_string().into(),
                connection: overseer.connection.id.as_str().into(),
                how: how.into(),
                recording: row.recording.as_str().into(),
                rules: right.rules().iter().map(|r| r.to_string().into()).collect(),
            },
        );
        Self {
            overseer,
            right,
            how,
            begun: Instant::now(),
            reason: "cut off",
            bytes: 0,
        }
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        self.overseer.gateway.journal(
            Some(self.right.session()),
            Event::ReplayEnded {
                user: self.right.principal().name().as_str().into(),
                how: self.how.into(),
                reason: self.reason.into(),
                bytes: self.bytes,
                milliseconds: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            },
        );
    }
}

/// Where the index says it lies: below the store, and called as its session.
fn path_of(store: &Path, row: &SessionRow) -> Result<PathBuf, Trouble> {
    let name = Path::new(&row.recording);
    let plain = name.components().all(|c| matches!(c, Component::Normal(_)));
    let its_own = name.file_stem().is_some_and(|stem| stem == row.id.as_str());
    let path = store.join(name);
    let there = std::fs::symlink_metadata(&path).is_ok_and(|about| about.is_file());
    if plain && its_own && there {
        return Ok(path);
    }
    Err(Trouble::Denied(
        "its recording is not on this gateway any more; an admin gets it back from the archive with `ampgate archive fetch`"
            .to_owned(),
    ))
}

/// Whether the gateway can play it: it has no auditor's key, and no time for the largest.
async fn playable(gateway: &str, row: &SessionRow, path: &Path) -> Result<(), Trouble> {
    let looked = path.to_owned();
    let looked = tokio::task::spawn_blocking(move || {
        Ok((
            Envelope::of(&looked)?.is_some(),
            std::fs::metadata(&looked)?.len(),
        ))
    });
    let (sealed, size) = match looked.await {
        Ok(io::Result::Ok(looked)) => looked,
        _ => return Err(Trouble::Fault),
    };
    let why = match (sealed, size > LARGEST) {
        (true, _) => "it is sealed to its auditors",
        (false, true) => "it is too large to be played here",
        (false, false) => return Ok(()),
    };
    let identity = if sealed { "--identity KEY " } else { "" };
    Err(Trouble::NotOffered(format!(
        "{why}; play it where you are: ssh {gateway} replay {} --file | ampgate-replay play {identity}-",
        row.id
    )))
}

/// Sends the file's bytes, sealed ones too: nobody but its auditors can read those.
async fn send(
    overseer: &Overseer,
    right: &Oversight,
    down: &mut Downstream,
    path: PathBuf,
) -> Result<Over, Trouble> {
    let (bytes, mut chunks) = mpsc::channel::<io::Result<Vec<u8>>>(WAITING);
    let _reading = tokio::task::spawn_blocking(move || {
        let mut file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) => return drop(bytes.blocking_send(Err(error))),
        };
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = file.read(&mut chunk);
            let end = !matches!(read, Ok(1..));
            let next = read.map(|length| {
                chunk.truncate(length);
                chunk
            });
            if bytes.blocking_send(next).is_err() || end {
                return;
            }
        }
    });
    ask::answer(down, true).await;
    let mut review = tokio::time::interval(REVIEW);
    review.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = 0;
    let over = |reason, bytes| Ok(Over { reason, bytes });
    loop {
        let chunk = tokio::select! {
            chunk = chunks.recv() => chunk,
            _ = review.tick() => {
                if overseer.still(right).await.is_err() {
                    return over("no longer allowed", sent);
                }
                continue;
            }
        };
        let chunk = match chunk {
            Some(Ok(chunk)) if !chunk.is_empty() => chunk,
            Some(Err(error)) => {
                tracing::warn!(%error, "a recording could not be read");
                return Err(Trouble::Denied(
                    "its recording cannot be read; tell whoever runs this gateway".to_owned(),
                ));
            }
            _ => return over("complete", sent),
        };
        let length = chunk.len() as u64;
        let write = tokio::time::timeout(STUCK, down.write.data_bytes(chunk));
        tokio::pin!(write);
        // A client that takes little keeps no right by that.
        let taken = loop {
            tokio::select! {
                taken = &mut write => break taken,
                _ = review.tick() => {
                    if overseer.still(right).await.is_err() {
                        return over("no longer allowed", sent);
                    }
                }
            }
        };
        match taken {
            Ok(Ok(())) => sent += length,
            Ok(Err(_)) => return over("left", sent),
            Err(_) => return over("takes nothing", sent),
        }
    }
}

/// The client's terminal, as the player's thread sees it.
struct Channel {
    drawing: mpsc::Sender<String>,
    keys: Mutex<Receiver<Vec<u8>>>,
    /// Columns above, rows below.
    window: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

fn packed((columns, rows): (usize, usize)) -> u64 {
    (columns as u64) << 32 | rows as u64
}

impl Stage for Channel {
    fn interactive(&self) -> bool {
        true
    }

    fn size(&self) -> (usize, usize) {
        let packed = self.window.load(Ordering::Relaxed);
        let part = |n: u64| usize::try_from(n & 0xffff_ffff).unwrap_or(80);
        (part(packed >> 32), part(packed))
    }

    fn write(&self, drawing: &str) -> io::Result<()> {
        let sent = self.drawing.blocking_send(drawing.to_owned());
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn keys(&self, at_most: Duration) -> Option<Vec<u8>> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        match keys.recv_timeout(at_most) {
            Ok(typed) => Some(typed),
            Err(RecvTimeoutError::Timeout) => Some(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn signal(&self) -> Option<u8> {
        self.stop.load(Ordering::Relaxed).then_some(15)
    }
}

/// Plays it on a thread of its own; here only its drawing and the keys pass.
async fn play(
    overseer: &Overseer,
    right: &Oversight,
    down: &mut Downstream,
    path: PathBuf,
    size: (usize, usize),
) -> Result<Over, Trouble> {
    ask::answer(down, true).await;
    let (drawing, mut drawn) = mpsc::channel(1);
    let (pressed, keys) = sync_channel(16);
    let window = Arc::new(AtomicU64::new(packed(size)));
    let stop = Arc::new(AtomicBool::new(false));
    let stage = Channel {
        drawing,
        keys: Mutex::new(keys),
        window: Arc::clone(&window),
        stop: Arc::clone(&stop),
    };
    let key = overseer.gateway.sealing_key;
    let playing = spare::thread("replay", move || playing(&path, key, &stage));
    let playing = playing.map_err(|_| Trouble::Fault)?;
    let mut review = tokio::time::interval(REVIEW);
    review.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut bytes = 0;
    let mut show = ENTER.to_owned();
    let mut touched = Instant::now();
    let reason = loop {
        if !show.is_empty() {
            let drawing = std::mem::take(&mut show);
            bytes += drawing.len() as u64;
            match tokio::time::timeout(STUCK, down.write.data_bytes(drawing.into_bytes())).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => break "left",
                Err(_) => break "takes nothing",
            }
        }
        tokio::select! {
            drawing = drawn.recv() => match drawing {
                Some(drawing) => {
                    touched = Instant::now();
                    show = drawing;
                }
                None => break "complete",
            },
            touch = down.read.next() => match touch {
                Touch::Gone => break "left",
                Touch::Size(size) => window.store(packed(size), Ordering::Relaxed),
                // Keys that nobody has taken yet are enough; more of them are dropped.
                Touch::Keys(typed) => {
                    touched = Instant::now();
                    match pressed.try_send(typed) {
                        Ok(()) | Err(TrySendError::Full(_)) => {}
                        Err(TrySendError::Disconnected(_)) => break "complete",
                    }
                }
            },
            _ = review.tick() => {
                if overseer.still(right).await.is_err() {
                    break "no longer allowed";
                }
                // A forgotten one holds one of few places.
                if touched.elapsed() > FORGOTTEN {
                    break "forgotten";
                }
            }
        }
    };
    stop.store(true, Ordering::Relaxed);
    drop((pressed, drawn));
    let played = playing.await;
    let left = down.write.data_bytes(LEAVE.as_bytes().to_vec());
    let _ = tokio::time::timeout(REVIEW, left).await;
    match played {
        Ok(Ok(())) => Ok(Over { reason, bytes }),
        Ok(Err(_)) if reason != "complete" => Ok(Over { reason, bytes }),
        Ok(Err(error)) => Err(Trouble::Denied(format!("it cannot be played: {error}"))),
        Err(_) => Err(Trouble::Fault),
    }
}

/// Runs on a thread of its own, as does what is looked for in it.
fn playing(path: &Path, key: PublicKey, stage: &Channel) -> Result<(), String> {
    let warning = warning(path, &key);
    let path = path.to_owned();
    let opening: Opening = Arc::new(move || {
        let file = std::fs::File::open(&path).map_err(|_| "its file cannot be read")?;
        let bytes: Box<dyn Read + Send> = Box::new(file);
        Reader::open(bytes).map_err(|_| "its file is no recording".to_owned())
    });
    let open = || Timeline::open(Arc::clone(&opening), IDLE).map_err(|e| e.to_string());
    let survey = timeline::survey(open()?);
    let mut player = Player::new(open()?, survey, 1.0, warning, stage)
        .with_search(Finder::of(Arc::clone(&opening)));
    player.run(None).map(drop).map_err(|e| e.to_string())
}

/// What is wrong with it, in a word that stays in the status line, as ampgate-replay has it.
fn warning(path: &Path, key: &PublicKey) -> Option<&'static str> {
    Some(match verify(path, Some(key)) {
        Ok(Verdict::Intact { .. }) => return None,
        Ok(Verdict::Unsealed {
            reason: Unsealed::StillOpen,
            ..
        }) => "open",
        Ok(Verdict::Unsealed { .. }) => "unsealed",
        Ok(Verdict::TruncatedAt { .. }) => "truncated",
        Ok(Verdict::AlteredAt { .. }) => "altered",
        Ok(Verdict::ForeignKey { .. }) => "foreign key",
        Ok(Verdict::BadSignature { .. }) => "bad signature",
        Ok(Verdict::Misfiled { .. }) => "misfiled",
        Ok(Verdict::NotARecording { .. }) => "not a recording",
        Err(_) => "unreadable",
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The index is a copy that could be damaged: whatever it says, no other file goes out.
    #[test]
    fn only_the_sessions_own_recording_below_the_store_is_opened() {
        let store = std::env::temp_dir().join(format!("ampgate-replay-{}", std::process::id()));
        let id = "01M83T6P2ESH3FN762TGK9EQE9";
        std::fs::create_dir_all(store.join("2026")).unwrap();
        std::fs::write(store.join("2026").join(format!("{id}.cast")), "x").unwrap();
        std::fs::write(store.join("2026/other.cast"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", store.join(format!("{id}.cast"))).unwrap();
        let row = |recording: String| SessionRow {
            id: id.to_owned(),
            recording,
            ..SessionRow::default()
        };
        let good = path_of(&store, &row(format!("2026/{id}.cast")));
        assert_eq!(good.unwrap(), store.join("2026").join(format!("{id}.cast")));
        for bad in [
            String::new(),
            "2026/other.cast".to_owned(),
            format!("2026/../2026/{id}.cast"),
            format!("{}/2026/{id}.cast", store.display()),
            format!("{id}.cast"),
            format!("2027/{id}.cast"),
        ] {
            assert!(path_of(&store, &row(bad.clone())).is_err(), "{bad}");
        }
        std::fs::remove_dir_all(&store).unwrap();
    }
}
