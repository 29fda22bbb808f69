//! In: a loaded configuration. Out: what every connection of this process shares, opened and checked once.
//! Never: a global; whoever needs it was given it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use ampgate_access::SessionId;
use ampgate_audit::{Anchor, Event, Feed, Index, Journal, KeyMemory, Pins};
use ampgate_inventory::Live;
use ampgate_recording::{PublicKey, Signature, Store};
use ampgate_signer::SealClient;
use anyhow::Context as _;
use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use russh::ChannelOpenFailure;
use russh::server::{self, ChannelOpenHandle};
use tokio::sync::Semaphore;

use crate::attempts::Attempts;
use crate::config::{Config, Limits};
use crate::keypairs::Keypairs;
use crate::limits::Places;
use crate::oversee;
use crate::people::People;
use crate::registry::Registry;
use crate::reserve::Room;
use crate::rules::Rules;
use crate::sentence::Trouble;
use crate::spare::Spare;
use crate::watch;
use crate::wire::Cut;

/// SSH as both servers speak it.
pub struct Ssh {
    pub outer: Arc<server::Config>,
    pub inner: Arc<server::Config>,
}

/// What every connection shares.
pub struct Gateway {
    /// What the journal and `ampgate status` call this gateway.
    pub name: String,
    pub config_path: PathBuf,
    pub ssh: Ssh,
    rules: RwLock<Arc<Rules>>,
    /// Octavia's amphorae; kept over reloads, as its file and its memory of what was asked are.
    pub octavia: Option<Arc<Live>>,
    pub store: Arc<Store>,
    pub room: Room,
    journal: Arc<Journal>,
    pub index: Index,
    feed: Mutex<Option<Feed>>,
    pub pins: Pins,
    pub key_memory: KeyMemory,
    sealer: SealClient,
    pub sealing_key: PublicKey,
    pub sessions: Registry,
    pub places: Places,
    /// Operators whom Keystone let in, and what others tried.
    pub people: People,
    pub attempts: Attempts,
    pub keypairs: Keypairs,
    pub started: Timestamp,
    signer_answers: AtomicBool,
    draining: AtomicBool,
    journal_failed: AtomicBool,
    journal_sealed: AtomicU64,
    anchor: Mutex<Option<Anchor>>,
    /// Who watches, and what is played and sent of recordings, now.
    pub watching: Arc<AtomicUsize>,
    pub playing: Arc<AtomicUsize>,
    pub sending: Arc<AtomicUsize>,
    /// What watchers see is drawn there.
    pub drawing: Spare,
    /// Who asks for a list of all sessions.
    pub listing: Semaphore,
    pub totals: Totals,
}

/// Counters since the start.
#[derive(Default)]
pub struct Totals {
    pub closed: AtomicU64,
    pub recorded: AtomicU64,
    pub relayed: AtomicU64,
    pub unsealed: AtomicU64,
}

impl Gateway {
    /// Opens everything on disk. The signer must be running.
    ///
    /// # Errors
    /// What cannot be opened, and what to try.
    pub async fn open(config_path: &Path, rules: Rules) -> anyhow::Result<Arc<Self>> {
        let config = Arc::clone(&rules.config);
        let outer = host_key(&config.host_keys.outer)?;
        let inner = host_key(&config.host_keys.inner)?;
        let ssh = Ssh {
            outer: crate::ssh::outer(&config, outer),
            inner: crate::ssh::inner(inner),
        };
        let store = Store::open(&config.recording.directory, config.recording.reserve)
            .context("the recording store cannot be opened")?;
        let journal = Arc::new(Journal::open(&config.state.join("journal")).context(
            "the journal cannot be opened; is another gateway running on this directory?",
        )?);
        let (index, rebuilt) = Index::open_or_new(&config.state.join("index"))
            .context("the session index cannot be opened")?;
        let feed = index
            .follow(&journal, rebuilt)
            .context("the session index cannot follow the journal")?;
        let pins = Pins::open(&config.state.join("pins.jsonl"))
            .context("the host key pins cannot be opened")?;
        let key_memory = KeyMemory::open(&config.state.join("keys.json"))
            .context("the memory of octavia keys cannot be opened")?;
        let sealer = SealClient::connect(&config.signer.socket)
            .await
            .context("the signer does not answer; is it running (`ampgate signer`)?")?;
        let sealing_key = PublicKey::from_raw(*sealer.sealing_public_key());
        let octavia = config.octavia.clone().map(|settings| {
            let file = crate::rules::octavia_file(&config);
            Arc::new(Live::start(settings, &file))
        });
        let rules = rules.with_octavia(octavia.as_ref());
        Ok(Arc::new(Self {
            octavia,
            name: config.name.clone(),
            config_path: config_path.to_owned(),
            ssh,
            rules: RwLock::new(Arc::new(rules)),
            store: Arc::new(store),
            room: Room::default(),
            journal,
            index,
            feed: Mutex::new(Some(feed)),
            pins,
            key_memory,
            sealer,
            sealing_key,
            sessions: Registry::default(),
            places: Places::default(),
            people: People::default(),
            attempts: Attempts::default(),
            keypairs: Keypairs::default(),
            started: Timestamp::now(),
            signer_answers: AtomicBool::new(true),
            draining: AtomicBool::new(false),
            journal_failed: AtomicBool::new(false),
            journal_sealed: AtomicU64::new(0),
            anchor: Mutex::new(None),
            watching: Arc::default(),
            playing: Arc::default(),
            sending: Arc::default(),
            drawing: Spare::start("drawing", watch::MOST)
                .context("the system gives no more threads")?,
            listing: Semaphore::new(oversee::LISTS),
            totals: Totals::default(),
        }))
    }

    /// The rules in force now.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The configuration in force now.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.rules().config)
    }

    /// Puts other rules in force; they get the amphorae of Octavia.
    pub fn replace_rules(&self, rules: Rules) {
        let rules = rules.with_octavia(self.octavia.as_ref());
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    pub fn new_session_id(&self) -> SessionId {
        let millis = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        SessionId::from_parts(millis, u128::from_be_bytes(random()))
    }

    /// Writes an event down. When the journal fails nothing new begins, and what runs ends: nothing goes on unwritten.
    pub fn journal(&self, session: Option<SessionId>, event: Event) {
        let session = session.map(|id| id.to_string());
        if let Err(error) = self.journal.append(session.as_deref(), &event) {
            self.journal_is_lost(&error.to_string());
        }
    }

    /// Makes the journal durable; called each second, from a thread that may wait.
    pub fn sync_journal(&self) {
        if let Err(error) = self.journal.sync() {
            self.journal_is_lost(&error.to_string());
        }
    }

    /// Has the journal's head signed and writes the signature down, if there are new lines.
    ///
    /// # Errors
    /// The signer's words.
    pub async fn seal_journal(&self) -> Result<(), String> {
        let head = self.journal.head();
        if head.seq <= self.journal_sealed.load(Ordering::Acquire) {
            return Ok(());
        }
        let signature = self.seal(&head.message()).await?;
        let anchor = Anchor::new(
            &self.name,
            Timestamp::now(),
            head,
            &self.sealing_key.fingerprint(),
            &signature,
        );
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = Some(anchor);
        match self
            .journal
            .append_seal(&head, &signature, &self.sealing_key.fingerprint())
        {
            // The seal itself is a line too, and no reason for another.
            Ok(appended) => self
                .journal_sealed
                .store(appended.head.seq, Ordering::Release),
            Err(error) => self.journal_is_lost(&error.to_string()),
        }
        Ok(())
    }

    /// The journal's last signed head.
    pub fn anchor(&self) -> Option<Anchor> {
        self.anchor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn journal_is_lost(&self, error: &str) {
        if !self.journal_failed.swap(true, Ordering::AcqRel) {
            tracing::error!(
                error,
                "the journal cannot be written: no new sessions, and the running ones end"
            );
        }
        for live in self.sessions.all() {
            live.end(Trouble::Recorder {
                told: "the journal could not be written",
                detail: error.to_owned(),
            });
        }
    }

    /// # Errors
    /// Whether what was journalled so far is written.
    pub fn writes_journal(&self) -> bool {
        !self.journal_failed.load(Ordering::Acquire)
    }

    /// While nothing new may begin: shutting down, or without a journal.
    pub fn takes_sessions(&self) -> Result<(), Trouble> {
        if self.journal_failed.load(Ordering::Acquire) {
            return Err(Trouble::Recorder {
                told: "the journal could not be written",
                detail: "it failed before".to_owned(),
            });
        }
        if self.draining.load(Ordering::Acquire) {
            return Err(Trouble::Draining);
        }
        Ok(())
    }

    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// How many look at what others do, or did.
    pub fn looking(&self) -> usize {
        let all = [&self.watching, &self.playing, &self.sending];
        all.map(|count| count.load(Ordering::Acquire)).iter().sum()
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Has the signer sign a head.
    ///
    /// # Errors
    /// The signer's words, or that it does not answer.
    pub async fn seal(&self, message: &[u8]) -> Result<Signature, String> {
        let signed = self.sealer.seal(message).await.map_err(|e| e.to_string());
        let answered = self.signer_answers.swap(signed.is_ok(), Ordering::AcqRel);
        match &signed {
            Err(error) if answered => self.journal(
                None,
                Event::SignerStopped {
                    reason: error.as_str().into(),
                },
            ),
            Ok(_) if !answered => self.signer_started().await,
            _ => {}
        }
        signed
    }

    /// Writes down that the signer answers, and with which keys.
    pub async fn signer_started(&self) {
        let config = self.config();
        let keys = crate::upstream::key_ring(&config).await.unwrap_or_default();
        let octavia_keys = keys
            .iter()
            .map(|key| crate::outer::fingerprint(key).into())
            .collect();
        self.journal(
            None,
            Event::SignerStarted {
                socket: config.signer.socket.display().to_string().into(),
                octavia_keys,
                sealing_key: self.sealing_key.fingerprint().into(),
            },
        );
    }

    /// The path below the store, as journal and index name a recording.
    pub fn recording_name(&self, path: &Path) -> String {
        path.strip_prefix(self.store.dir())
            .unwrap_or(path)
            .display()
            .to_string()
    }

    pub fn count_closed(&self, recorded: u64, relayed: u64, sealed: bool) {
        self.totals.closed.fetch_add(1, Ordering::Relaxed);
        self.totals.recorded.fetch_add(recorded, Ordering::Relaxed);
        self.totals.relayed.fetch_add(relayed, Ordering::Relaxed);
        self.totals
            .unsealed
            .fetch_add(u64::from(!sealed), Ordering::Relaxed);
    }

    /// Lets the index take in what is left, and closes it.
    pub fn finish_index(&self) {
        let feed = self
            .feed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(feed);
    }

    /// Journal lines that the index has not taken in.
    pub fn index_behind(&self) -> u64 {
        let feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        feed.as_ref().map_or(0, Feed::behind)
    }

    /// Whether the index has everything up to now; asked before it is read.
    pub fn index_is_current(&self) -> bool {
        let feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        feed.as_ref()
            .is_some_and(|feed| feed.caught_up(Duration::from_secs(2)))
    }
}

/// One operator's TCP connection.
pub struct Connection {
    pub id: String,
    pub source: SocketAddr,
    channels: Arc<AtomicUsize>,
    /// The jumps through this connection, to be cut when it ends: an inner connection that waits for window on a
    /// channel that is gone would wait for ever.
    jumps: Mutex<Vec<Cut>>,
}

/// One channel of a connection; the count goes down when it is dropped.
pub struct OpenChannel(Arc<AtomicUsize>);

impl Drop for OpenChannel {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    pub fn new(source: SocketAddr) -> Self {
        let id = u64::from_be_bytes(random());
        Self {
            id: format!("{id:016x}"),
            source,
            channels: Arc::default(),
            jumps: Mutex::default(),
        }
    }

    /// How a new jump through this connection is cut.
    pub fn jump(&self) -> Cut {
        let cut = Cut::default();
        let mut jumps = self.jumps.lock().unwrap_or_else(PoisonError::into_inner);
        jumps.retain(|jump| !jump.is_over());
        jumps.push(cut.clone());
        cut
    }

    /// The connection has ended, and with it every jump.
    pub fn ended(&self) {
        for jump in self
            .jumps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            jump.cut();
        }
    }

    /// A place for one more channel, also behind a jump; where there is none, the opening is refused.
    pub async fn another_channel(
        &self,
        limits: &Limits,
        reply: ChannelOpenHandle,
    ) -> Option<(OpenChannel, ChannelOpenHandle)> {
        let before = self.channels.fetch_add(1, Ordering::Relaxed);
        let place = OpenChannel(Arc::clone(&self.channels));
        if before < limits.channels_per_connection {
            return Some((place, reply));
        }
        reply.reject(ChannelOpenFailure::ResourceShortage).await;
        None
    }
}

/// Random bytes from the system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        // No randomness, no security: no id and no nonce made without it may be used.
        tracing::error!("the system gives no random bytes");
        std::process::abort();
    }
    bytes
}

fn host_key(path: &Path) -> anyhow::Result<russh::keys::PrivateKey> {
    let text = std::fs::read(path)
        .with_context(|| format!("the host key {} cannot be read", path.display()))?;
    let text = zeroize::Zeroizing::new(text);
    russh::keys::PrivateKey::from_openssh(&*text)
        .with_context(|| format!("{} is no OpenSSH private key", path.display()))
}
