//! In: everything that passes on one channel. Out: the same, once the recording has it; the count of what did not.
//! Never: lets a byte go on that is not in the file, or that the disk is more than a second behind with.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ampgate_access::{Ask, Grant, SessionId};
use ampgate_recording::{
    ClosedRecording, Exit, Head, Header, LiveRecording, RecordingError, Signature, Store, Stream,
    SyncHandle,
};
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::admit;
use crate::ask::{Asked, Size};
use crate::config::{self, Input};
use crate::gateway::Gateway;
use crate::reserve::BrokenGlass;
use crate::sentence::Trouble;
use crate::session::Visit;
use crate::typed::{Keys, Typed};

/// How far the disk may be behind before output waits for it.
const BEHIND: Duration = Duration::from_secs(1);

/// A sealed recording's frame is closed when its oldest byte is this old; the rest of the second is the disk's.
pub const FRAME_AFTER: Duration = Duration::from_millis(600);

/// A sealed recording gets a proof at most this often. Nobody without its key can forge a frame in between, and a proof
/// is larger than what somebody types meanwhile.
const SEALED_PROOF_EVERY: Duration = Duration::from_secs(60);
/// Or earlier where so many bytes came, of which a proof is a small part.
const SEALED_PROOF_SOON: Duration = Duration::from_secs(10);
const SEALED_PROOF_BYTES: u64 = 64 << 10;

/// What stands for keys that the terminal did not show.
const HIDDEN: &str = "typed, and not shown by the terminal: not recorded";

/// A signer that does not seal is asked again after this.
const SEAL_AGAIN: Duration = Duration::from_millis(200);

/// The same words to everybody, whether or not they might break the glass.
const BELOW_RESERVE: &str = "its disk has no more room than is kept in reserve";

/// One session's recording, from an open header to the seal.
pub struct Recorder {
    session: SessionId,
    path: String,
    live: Mutex<Option<LiveRecording>>,
    sync: SyncHandle,
    input: Kept,
    max_size: u64,
    deadline: Duration,
    relayed: [AtomicU64; 2],
    /// Output that is not in the file but was understood: a file's content, counted and hashed.
    understood: AtomicU64,
    /// Output in the file, also after the recording was closed.
    recorded: AtomicU64,
    /// Milliseconds after `began` of the oldest commit that may not be durable, plus one; 0 when there is none.
    unsynced_since: AtomicU64,
    /// The same of the oldest byte that has no frame.
    owed_since: AtomicU64,
    /// The same of what a sync in progress makes durable.
    syncing_since: AtomicU64,
    began: Instant,
    synced: Notify,
    /// Something was committed since the last proof.
    unproven: AtomicBool,
    /// For a sealed recording: its last proof.
    proven: Option<Proven>,
    notice: Option<String>,
}

/// The last proof of a sealed recording: when, in milliseconds after `began`, and how large the file was.
#[derive(Default)]
struct Proven {
    at: AtomicU64,
    size: AtomicU64,
}

impl Proven {
    fn is_due_again(&self, now: u64, size: u64) -> bool {
        let since = Duration::from_millis(now.saturating_sub(self.at.load(Ordering::Relaxed)));
        let grown = size.saturating_sub(self.size.load(Ordering::Relaxed));
        since >= SEALED_PROOF_EVERY || since >= SEALED_PROOF_SOON && grown >= SEALED_PROOF_BYTES
    }
}

/// What of the input is kept.
enum Kept {
    Nothing,
    Everything,
    Echoed(Mutex<Typed>),
}

impl Kept {
    fn of(input: Input, pty: bool) -> Self {
        match pty {
            false if input.keeps_streams() => Self::Everything,
            true if input.keeps_what_echoes() => Self::Echoed(Mutex::default()),
            _ => Self::Nothing,
        }
    }

    fn typed(&self) -> Option<MutexGuard<'_, Typed>> {
        match self {
            Self::Echoed(typed) => Some(typed.lock().unwrap_or_else(PoisonError::into_inner)),
            Self::Nothing | Self::Everything => None,
        }
    }
}

/// How a closed recording ended.
pub struct Sealed {
    pub head: Option<Head>,
    pub recorded: u64,
    pub sealed: bool,
}

impl Recorder {
    /// Opens the recording and makes its header durable. Waits for the disk on a thread that may.
    ///
    /// # Errors
    /// `Trouble::Recorder`: without a recording there is no session.
    pub async fn open(visit: &Visit, grant: &Grant, asked: &Asked) -> Result<Arc<Self>, Trouble> {
        let gateway = Arc::clone(&visit.gateway);
        let header = header(visit, grant, asked);
        let config = gateway.config();
        let deadline = config.recording.deadline;
        let input = Kept::of(config.recording.input, asked.terminal.is_some());
        let store = gateway.store.sealed_to(config.recording.recipients.clone());
        let mut notice = None;
        let live = match create(store.clone(), header.clone(), deadline).await? {
            Err(full @ RecordingError::BelowReserve { free, .. }) => {
                let glass = BrokenGlass::ask(&gateway, grant, free)
                    .map_err(|why| recorder(BELOW_RESERVE, &format!("{full}; {why}")))?;
                let live = create(store.with_reserve(glass.reserve), header, deadline)
                    .await?
                    .map_err(|error| failed(&error))?;
                let mut about = admit::about(visit, asked);
                about.landing = grant.landing().to_string().into();
                notice = Some(glass.done(&gateway, grant, about));
                live
            }
            opened => opened.map_err(|error| failed(&error))?,
        };
        let recording = &config.recording;
        Ok(Self::new(
            &gateway,
            recording,
            grant.session(),
            live,
            input,
            notice,
        ))
    }

    /// A sealed recording of a file's content; none where the disk has no room, or nothing is sealed.
    ///
    /// # Errors
    /// `Trouble::Recorder`: what cannot be kept does not pass.
    pub async fn of_content(
        gateway: &Gateway,
        session: SessionId,
        header: Header,
    ) -> Result<Option<Arc<Self>>, Trouble> {
        let config = gateway.config();
        let recording = &config.recording;
        let Some(recipients) = &recording.recipients else {
            return Ok(None);
        };
        let store = gateway.store.sealed_to(Some(Arc::clone(recipients)));
        match create(store, header, recording.deadline).await? {
            Ok(live) => {
                let input = Kept::Nothing;
                Ok(Some(Self::new(
                    gateway, recording, session, live, input, None,
                )))
            }
            Err(RecordingError::BelowReserve { .. }) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    fn new(
        gateway: &Gateway,
        config: &config::Recording,
        session: SessionId,
        live: LiveRecording,
        input: Kept,
        notice: Option<String>,
    ) -> Arc<Self> {
        Arc::new(Self {
            session,
            path: gateway.recording_name(live.path()),
            sync: live.sync_handle(),
            live: Mutex::new(Some(live)),
            input,
            max_size: config.max_size,
            deadline: config.deadline,
            relayed: Default::default(),
            understood: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
            unsynced_since: AtomicU64::new(0),
            owed_since: AtomicU64::new(0),
            syncing_since: AtomicU64::new(0),
            began: Instant::now(),
            synced: Notify::new(),
            unproven: AtomicBool::new(true),
            proven: config.recipients.is_some().then(Proven::default),
            notice,
        })
    }

    pub fn session(&self) -> SessionId {
        self.session
    }

    /// What the operator has to know about this recording from the start.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// The file's path below the store, as journal and index name it.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn live(&self) -> MutexGuard<'_, Option<LiveRecording>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills the recording's buffer and commits it. Only after `Ok` may anything of it go on.
    fn record(&self, fill: impl FnOnce(&mut LiveRecording)) -> Result<(), Trouble> {
        // What recording costs is measured against a build without it. A compiler flag, so that no feature of a
        // dependant and no line of configuration can ever ask for it.
        if cfg!(bench_unrecorded) {
            return Ok(());
        }
        let mut guard = self.live();
        let Some(live) = guard.as_mut() else {
            return Err(closed());
        };
        fill(live);
        live.commit().map_err(|e| failed(&e))?;
        self.unproven.store(true, Ordering::Relaxed);
        self.recorded.store(
            live.bytes_recorded(Stream::Stdout) + live.bytes_recorded(Stream::Stderr),
            Ordering::Relaxed,
        );
        let size = live.file_size();
        self.note(live.owes_frame());
        drop(guard);
        if size > self.max_size {
            return Err(Trouble::TooLarge(config::show_size(self.max_size)));
        }
        Ok(())
    }

    /// Milliseconds since the recording was opened.
    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    /// Notes, under the lock, since when there are bytes that have no frame yet, or that the disk may not have yet.
    fn note(&self, owes_frame: bool) {
        let now = self.millis() + 1;
        let begin = |since: &AtomicU64, at| {
            let _ = since.compare_exchange(0, at, Ordering::AcqRel, Ordering::Relaxed);
        };
        if owes_frame {
            begin(&self.owed_since, now);
        } else {
            let owed = self.owed_since.swap(0, Ordering::AcqRel);
            begin(&self.unsynced_since, if owed > 0 { owed } else { now });
        }
        if self.sync.is_dirty() {
            begin(&self.unsynced_since, now);
        }
    }

    /// Output that is about to go to the operator, in order.
    pub fn output<'b>(
        &self,
        pieces: impl IntoIterator<Item = Recorded<'b>>,
    ) -> Result<(), Trouble> {
        let mut typed = self.input.typed();
        self.record(|live| {
            for piece in pieces {
                match piece {
                    Recorded::Output(stream, bytes) => {
                        live.output(stream, bytes);
                        if let Some(typed) = &mut typed {
                            typed.output(bytes);
                            keep(live, typed.decided());
                        }
                    }
                    Recorded::Exit(exit) => live.exit(exit),
                }
            }
        })
    }

    /// Input that is about to go to the amphora: counted, and kept where the configuration says so.
    pub fn input(&self, bytes: &[u8]) -> Result<(), Trouble> {
        match &self.input {
            Kept::Everything => return self.record(|live| live.input(bytes)),
            Kept::Echoed(_) | Kept::Nothing => {}
        }
        let decided = self.input.typed().map_or_else(Vec::new, |mut typed| {
            typed.input(bytes);
            typed.decided()
        });
        if !decided.is_empty() {
            self.record(|live| keep(live, decided))?;
        }
        match self.live().as_mut() {
            Some(live) => {
                live.count_input(bytes.len() as u64);
                Ok(())
            }
            None => Err(closed()),
        }
    }

    pub fn resize(&self, size: Size) -> Result<(), Trouble> {
        self.record(|live| live.resize(size.columns, size.rows))
    }

    pub fn marker(&self, text: &str) -> Result<(), Trouble> {
        self.record(|live| live.marker(text))
    }

    /// Counts what went on, against what was recorded.
    pub fn relayed(&self, stream: Stream, bytes: usize) {
        let [stdout, stderr] = &self.relayed;
        let count = if stream == Stream::Stdout {
            stdout
        } else {
            stderr
        };
        count.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn relayed_bytes(&self) -> u64 {
        self.relayed.iter().map(|n| n.load(Ordering::Relaxed)).sum()
    }

    /// Counts output of a file transfer that is about to go on. The parser has taken it, byte for byte.
    pub fn understood(&self, bytes: usize) {
        self.understood.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Output in the file or understood: nothing else may go on.
    pub fn recorded_bytes(&self) -> u64 {
        self.recorded.load(Ordering::Relaxed) + self.understood.load(Ordering::Relaxed)
    }

    /// The age of the oldest byte that the disk may not have; what it is just being given, or has no frame, counts too.
    fn behind(&self) -> Duration {
        let all = [&self.owed_since, &self.unsynced_since, &self.syncing_since];
        all.map(|since| self.age(since))
            .into_iter()
            .max()
            .unwrap_or_default()
    }

    fn age(&self, since: &AtomicU64) -> Duration {
        match since.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            since => self
                .began
                .elapsed()
                .saturating_sub(Duration::from_millis(since - 1)),
        }
    }

    /// Waits while the disk is more than a second behind.
    ///
    /// # Errors
    /// `Trouble::Recorder` when it does not catch up before the deadline.
    pub async fn durable_enough(&self) -> Result<(), Trouble> {
        if self.behind() <= BEHIND {
            return Ok(());
        }
        let caught_up = async {
            while self.behind() > BEHIND {
                let synced = self.synced.notified();
                if self.behind() > BEHIND {
                    synced.await;
                }
            }
        };
        tokio::time::timeout(self.deadline, caught_up)
            .await
            .map_err(|late| recorder("its disk is too far behind", &late))
    }

    /// Gives what a sealed recording still owes a frame for its frame, but not before it is worth one: each costs some
    /// sixty bytes. Waits for no disk, so that one that is slow keeps no other recording's bytes in memory.
    pub fn flush(&self, after: Duration) -> Result<(), Trouble> {
        match self.live().as_mut() {
            Some(live) if live.owes_frame() && self.age(&self.owed_since) >= after => {
                live.flush().map_err(|e| failed(&e))?;
                self.note(false);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Makes what is committed durable; called from the thread that may wait for disks.
    pub fn sync(&self) -> Result<(), Trouble> {
        let since = {
            // Under the lock: what is committed after this counts from its own time.
            let _live = self.live();
            let since = self.unsynced_since.load(Ordering::Acquire);
            self.syncing_since.store(since, Ordering::Release);
            self.unsynced_since.store(0, Ordering::Release);
            since
        };
        if since == 0 {
            return Ok(());
        }
        let outcome = self.sync.sync().map_err(|e| failed(&e));
        self.syncing_since.store(0, Ordering::Release);
        self.synced.notify_waiters();
        outcome.map(drop)
    }

    /// The head to be signed, if anything happened since the last one.
    pub fn unproven_head(&self) -> Option<Result<Head, Trouble>> {
        let mut guard = self.live();
        let live = guard.as_mut()?;
        if let Some(proven) = &self.proven
            && !proven.is_due_again(self.millis(), live.file_size())
        {
            return None;
        }
        if !self.unproven.swap(false, Ordering::Relaxed) {
            return None;
        }
        let head = live.head().map_err(|e| failed(&e));
        self.note(live.owes_frame());
        Some(head)
    }

    /// A head went unsigned: it is due again.
    pub fn still_unproven(&self) {
        self.unproven.store(true, Ordering::Relaxed);
    }

    pub fn prove(&self, head: &Head, signature: &Signature) -> Result<(), Trouble> {
        let mut guard = self.live();
        let Some(live) = guard.as_mut() else {
            return Ok(());
        };
        live.prove(head, signature).map_err(|e| failed(&e))?;
        self.note(live.owes_frame());
        if let Some(proven) = &self.proven {
            proven.at.store(self.millis(), Ordering::Relaxed);
            proven.size.store(live.file_size(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Ends the recording with its reason and has it sealed.
    pub async fn close(&self, gateway: &Gateway, reason: &str) -> Sealed {
        let taken = self.live().take();
        let Some(mut live) = taken else {
            return Sealed {
                head: None,
                recorded: 0,
                sealed: false,
            };
        };
        if let Some(mut typed) = self.input.typed() {
            keep(&mut live, typed.finish());
        }
        // A failure is `close`'s to tell; here it only must not be counted as recorded.
        let _ = live.flush();
        let recorded = live.bytes_recorded(Stream::Stdout)
            + live.bytes_recorded(Stream::Stderr)
            + self.understood.load(Ordering::Relaxed);
        let (closed, head) = match live.close(reason) {
            Ok(closed) => closed,
            Err(error) => {
                tracing::error!(session = %self.session, %error, "the recording could not be closed");
                return Sealed {
                    head: None,
                    recorded,
                    sealed: false,
                };
            }
        };
        let sealed = match self.signature(gateway, &head).await {
            Ok(signature) => seal(closed, signature).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &sealed {
            tracing::error!(session = %self.session, error, "the recording stays unsealed");
        }
        Sealed {
            head: Some(head),
            recorded,
            sealed: sealed.is_ok(),
        }
    }
}

impl Recorder {
    /// The signer may just be starting again, with a new key ring: it is asked until the deadline.
    async fn signature(&self, gateway: &Gateway, head: &Head) -> Result<Signature, String> {
        let deadline = Instant::now() + self.deadline;
        loop {
            match gateway.seal(&head.message()).await {
                Err(_) if Instant::now() < deadline => tokio::time::sleep(SEAL_AGAIN).await,
                outcome => return outcome,
            }
        }
    }
}

/// The last proof is made durable before anybody is told that there is one.
async fn seal(closed: ClosedRecording, signature: Signature) -> Result<(), String> {
    match tokio::task::spawn_blocking(move || closed.seal(&signature)).await {
        Ok(Ok(_path)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// One thing on its way to the operator.
pub enum Recorded<'b> {
    Output(Stream, &'b [u8]),
    Exit(&'b Exit),
}

/// Lines that the terminal showed; of others, that there were some.
fn keep(live: &mut LiveRecording, decided: Vec<Keys>) {
    for keys in decided {
        match keys {
            Keys::Shown(line) => live.shown_input(&line),
            Keys::Hidden => live.marker(HIDDEN),
        }
    }
}

/// Opens the file on a thread that may wait for the disk.
async fn create(
    store: Store,
    header: Header,
    deadline: Duration,
) -> Result<Result<LiveRecording, RecordingError>, Trouble> {
    let opening = tokio::task::spawn_blocking(move || LiveRecording::open(&store, &header));
    match tokio::time::timeout(deadline, opening).await {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(error)) => Err(recorder("it could not be opened", &error)),
        Err(late) => Err(recorder("its disk did not answer in time", &late)),
    }
}

fn failed(error: &RecordingError) -> Trouble {
    let told = match error {
        RecordingError::Full { .. } => "its disk is full",
        RecordingError::BelowReserve { .. } => BELOW_RESERVE,
        _ => "its file could not be written",
    };
    recorder(told, error)
}

fn recorder(told: &'static str, detail: &dyn std::fmt::Display) -> Trouble {
    Trouble::Recorder {
        told,
        detail: detail.to_string(),
    }
}

fn closed() -> Trouble {
    recorder("it is closed", &"a write after the close")
}

fn header(visit: &Visit, grant: &Grant, asked: &Asked) -> Header {
    let amphora = grant.amphora();
    let size = asked.terminal.as_ref().map(|t| t.size);
    Header {
        session: grant.session().to_string(),
        channel: None,
        user: grant.principal().name().to_string(),
        source: visit.connection.source.to_string(),
        target: visit.target.clone(),
        amphora: amphora.id.to_string(),
        load_balancer: amphora.load_balancer.id.to_string(),
        load_balancer_name: amphora.load_balancer.name.clone(),
        project: amphora.load_balancer.project.to_string(),
        landing: grant.landing().to_string(),
        action: grant.action().to_string(),
        command: match &asked.ask {
            Ask::Exec(command) => Some(command.clone()),
            Ask::Shell | Ask::Sftp => None,
        },
        cols: size.map_or(0, |s| s.columns),
        rows: size.map_or(0, |s| s.rows),
        term: asked.terminal.as_ref().map(|t| t.name.clone()),
        pty: asked.terminal.is_some(),
        started: Timestamp::now(),
        gateway: visit.gateway.name.clone(),
        host_key: None,
        sealing_key: visit.gateway.sealing_key,
    }
}
