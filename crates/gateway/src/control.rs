//! In: one JSON line on the local socket, from a user whom the system names. Out: one JSON line.
//! Never: serves a user who is not root, the gateway's own or a listed admin; takes a longer line than it must.

pub mod archive;
mod hostkeys;
mod watch;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ampgate_archive::News;
use ampgate_audit::{Event, Page, Query, SessionRow};
use ampgate_inventory::Condition;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::doctor::{self, Check};
use crate::gateway::Gateway;
use crate::wish::Reason;

pub use archive::Order;
pub use hostkeys::{HostKeys, PinRow};
pub use watch::Sign;

/// Longest request; a session id and a reason are far shorter.
const MAX_REQUEST: u64 = 64 << 10;
/// A client that asks nothing, or takes no answer, is dropped after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the command line may ask of the running gateway.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    Sessions {
        live: bool,
        user: Option<String>,
        load_balancer: Option<String>,
        amphora: Option<String>,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        before: Option<String>,
        limit: usize,
    },
    Show {
        session: String,
    },
    Kill {
        session: String,
        reason: String,
    },
    /// After the answer the connection carries drawing, and [`Sign`]s back.
    Watch {
        session: String,
        columns: u32,
        rows: u32,
    },
    Pins,
    HostKeys {
        target: String,
    },
    ForgetPin {
        target: String,
        reason: String,
    },
    Status,
    Doctor {
        target: Option<String>,
    },
    /// From the shipper: root or the gateway's own user only.
    ArchiveNews {
        news: Vec<News>,
    },
    ArchiveOrder {
        order: Order,
        session: String,
        reason: String,
    },
}

impl Request {
    /// How long an answer may take.
    fn patience(&self) -> Duration {
        match self {
            Self::Doctor { .. } => doctor::PATIENCE,
            _ => PATIENCE,
        }
    }
}

/// A user of this host who may do all of the above: root, the gateway's own, or one of [control] admins. Only
/// [`Admin::admitted`] makes one, from the user id that the system names.
pub struct Admin {
    uid: u32,
}

impl Admin {
    fn admitted(gateway: &Gateway, uid: u32) -> Option<Self> {
        may(gateway, uid).then_some(Self { uid })
    }

    /// For the journal: `root (uid 0)`.
    pub fn shown(&self) -> String {
        format!("{} (uid {})", name_of(self.uid), self.uid)
    }
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    Sessions {
        rows: Vec<SessionRow>,
        next: Option<String>,
    },
    Session {
        row: Box<SessionRow>,
    },
    Watching,
    Pins {
        rows: Vec<PinRow>,
    },
    HostKeys(Box<HostKeys>),
    Done {
        text: String,
    },
    Status(Box<Status>),
    Doctor {
        checks: Vec<Check>,
    },
    Error {
        text: String,
    },
}

/// The state of a running gateway.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub gateway: String,
    pub pid: u32,
    pub started: Timestamp,
    pub draining: bool,
    pub connections: usize,
    pub unauthenticated: usize,
    pub live_sessions: usize,
    pub closed_sessions: u64,
    /// Bytes of output in recordings, and on their way to operators. Anything but 0 between them is an alarm.
    pub recorded_bytes: u64,
    pub relayed_bytes: u64,
    pub relayed_but_not_recorded: i64,
    pub unsealed_recordings: u64,
    pub pins: usize,
    pub index_behind: u64,
    pub sealing_key: String,
    pub inventory: Inventory,
    pub disk: Disk,
}

/// How the disk of recordings stands.
#[derive(Debug, Serialize, Deserialize)]
pub struct Disk {
    pub directory: String,
    /// None while it does not answer.
    pub free_bytes: Option<u64>,
    /// The alarm is on.
    pub low: bool,
    pub low_space: u64,
    pub reserve: u64,
}

/// How what is known of amphorae stands.
#[derive(Debug, Serialize, Deserialize)]
pub struct Inventory {
    /// fixed, fresh, stale, down or gone.
    pub state: String,
    /// Since Octavia said it; none for a file, or where nothing is known.
    pub age_seconds: Option<u64>,
    pub amphorae: usize,
    /// What is wrong.
    pub fault: Option<String>,
    /// Rows that could not be used; the first of them.
    pub unusable: Vec<String>,
    pub unusable_rows: usize,
}

/// Binds the socket. Anybody may connect; who may ask is decided by the user id that the system names.
///
/// # Errors
/// The socket cannot be made.
pub fn bind(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Serves until the task is dropped.
pub async fn serve(gateway: Arc<Gateway>, listener: UnixListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            let _ = attend(&gateway, stream).await;
        });
    }
}

async fn attend(gateway: &Arc<Gateway>, stream: UnixStream) -> std::io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(MAX_REQUEST));
    tokio::time::timeout(PATIENCE, read.read_line(&mut line)).await??;
    let answer = match serde_json::from_str::<Request>(&line) {
        Err(error) => Answer::Error {
            text: format!("that is no request: {error}"),
        },
        Ok(request) => match Admin::admitted(gateway, uid) {
            Some(admin) if matches!(request, Request::Watch { .. }) => {
                let Request::Watch {
                    session,
                    columns,
                    rows,
                } = request
                else {
                    return Ok(());
                };
                let read = read.into_inner().into_inner();
                let size = (columns, rows);
                return watch::attend(gateway, &admin, &session, size, read, write).await;
            }
            Some(admin) => {
                let patience = request.patience();
                tokio::time::timeout(patience, answer(gateway, &admin, request)).await?
            }
            None => refused(gateway, uid, &request),
        },
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    tokio::time::timeout(PATIENCE, write.write_all(&text)).await?
}

fn refused(gateway: &Gateway, uid: u32, request: &Request) -> Answer {
    let word = format!("{request:?}");
    gateway.journal(
        None,
        Event::ControlRefused {
            uid,
            request: word.into(),
            reason: "not an admin".into(),
        },
    );
    Answer::Error {
        text: format!(
            "user {} may not do this; add the user to [control] admins",
            name_of(uid)
        ),
    }
}

/// Root, or the user that the gateway runs as.
fn is_own(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

pub fn may(gateway: &Gateway, uid: u32) -> bool {
    is_own(uid)
        || gateway
            .config()
            .control
            .admins
            .iter()
            .any(|admin| uid_of(admin) == Some(uid))
}

/// The number of a user given by name or number.
pub fn uid_of(user: &str) -> Option<u32> {
    user.parse().ok().or_else(|| {
        nix::unistd::User::from_name(user)
            .ok()
            .flatten()
            .map(|u| u.uid.as_raw())
    })
}

fn name_of(uid: u32) -> String {
    nix::unistd::User::from_uid(uid.into())
        .ok()
        .flatten()
        .map_or_else(|| uid.to_string(), |user| user.name)
}

async fn answer(gateway: &Arc<Gateway>, admin: &Admin, request: Request) -> Answer {
    match request {
        Request::Sessions {
            live,
            user,
            load_balancer,
            amphora,
            since,
            until,
            before,
            limit,
        } => {
            up_to_date(gateway).await;
            let query = Query {
                live,
                user,
                load_balancer,
                amphora,
                since,
                until,
                before,
                limit,
            };
            match gateway.index.sessions(&query) {
                Ok(Page { rows, next }) => Answer::Sessions { rows, next },
                Err(error) => Answer::Error {
                    text: error.to_string(),
                },
            }
        }
        Request::Show { session } => {
            up_to_date(gateway).await;
            match gateway.index.session(&session) {
                Ok(Some(row)) => Answer::Session { row: Box::new(row) },
                Ok(None) => Answer::Error {
                    text: no_such(&session),
                },
                Err(error) => Answer::Error {
                    text: error.to_string(),
                },
            }
        }
        Request::Kill { session, reason } => {
            let parsed = watch::find(gateway, &session)
                .and_then(|live| Reason::parse(&reason).map(|why| (live, why)));
            match parsed {
                Err(text) => Answer::Error { text },
                Ok((live, why)) => match live.kill(gateway, name_of(admin.uid), why.into_text()) {
                    true => Answer::Done {
                        text: format!("session {} ends", live.session),
                    },
                    false => Answer::Error {
                        text: format!("session {} is ending already", live.session),
                    },
                },
            }
        }
        // It holds the connection, and is taken before.
        Request::Watch { session, .. } => Answer::Error {
            text: no_such(&session),
        },
        Request::Pins => hostkeys::list(gateway).await,
        Request::HostKeys { target } => hostkeys::show(gateway, &target).await,
        Request::ForgetPin { target, reason } => {
            hostkeys::forget(gateway, admin.uid, &target, &reason).await
        }
        Request::Status => Answer::Status(Box::new(status(gateway).await)),
        Request::ArchiveNews { news } => archive::write_down(gateway, admin.uid, news),
        Request::ArchiveOrder {
            order,
            session,
            reason,
        } => archive::order(gateway, admin.uid, order, &session, reason).await,
        Request::Doctor { target } => Answer::Doctor {
            checks: doctor::examine(gateway, admin, target.as_deref()).await,
        },
    }
}

/// Waits, on a thread that may, until the index has what the journal has.
async fn up_to_date(gateway: &Arc<Gateway>) {
    let gateway = Arc::clone(gateway);
    let _ = tokio::task::spawn_blocking(move || gateway.index_is_current()).await;
}

fn no_such(session: &str) -> String {
    format!("there is no session {}", session.escape_debug())
}

async fn status(gateway: &Gateway) -> Status {
    let (connections, unauthenticated) = gateway.places.now();
    let totals = &gateway.totals;
    let (mut recorded, mut relayed) = (
        totals.recorded.load(Ordering::Relaxed),
        totals.relayed.load(Ordering::Relaxed),
    );
    let live = gateway.sessions.all();
    for session in &live {
        // In this order: what is relayed was recorded before, so a difference is never one of timing.
        relayed += session.recorder.relayed_bytes();
        recorded += session.recorder.recorded_bytes();
    }
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        gateway: gateway.name.clone(),
        pid: std::process::id(),
        started: gateway.started,
        draining: gateway.is_draining(),
        connections,
        unauthenticated,
        live_sessions: live.len(),
        closed_sessions: totals.closed.load(Ordering::Relaxed),
        recorded_bytes: recorded,
        relayed_bytes: relayed,
        relayed_but_not_recorded: i64::try_from(relayed.saturating_sub(recorded))
            .unwrap_or(i64::MAX),
        unsealed_recordings: totals.unsealed.load(Ordering::Relaxed),
        pins: gateway.pins.count(),
        index_behind: gateway.index_behind(),
        sealing_key: gateway.sealing_key.fingerprint(),
        inventory: inventory(gateway.rules().inventory.condition().await),
        disk: disk(gateway),
    }
}

fn disk(gateway: &Gateway) -> Disk {
    let recording = &gateway.config().recording;
    Disk {
        directory: gateway.store.dir().display().to_string(),
        free_bytes: gateway.room.free(),
        low: gateway.room.is_low(),
        low_space: recording.low_space,
        reserve: recording.reserve,
    }
}

fn inventory(condition: Condition) -> Inventory {
    Inventory {
        state: condition.state.as_str().to_owned(),
        age_seconds: condition.age.map(|age| age.as_secs()),
        amphorae: condition.amphorae,
        fault: condition.sentence,
        unusable: condition.faults,
        unusable_rows: condition.fault_count,
    }
}

/// Sends one line of JSON.
///
/// # Errors
/// The gateway is gone.
pub fn send(
    mut stream: &std::os::unix::net::UnixStream,
    what: &impl Serialize,
) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Asks a running gateway.
///
/// # Errors
/// It does not run, refuses, or says what is wrong with the request.
pub fn ask(socket: &Path, request: &Request) -> anyhow::Result<Answer> {
    use anyhow::Context as _;
    use std::io::BufRead as _;
    let stream = std::os::unix::net::UnixStream::connect(socket).with_context(|| format!("no gateway answers on {}; is `ampgate serve` running? (`ampgate-replay list` works without it)", socket.display()))?;
    stream.set_read_timeout(Some(request.patience() + Duration::from_secs(5)))?;
    send(&stream, request)?;
    let mut answer = String::new();
    std::io::BufReader::new(stream).read_line(&mut answer)?;
    match serde_json::from_str(&answer)
        .context("the gateway's answer cannot be read; is it another version?")?
    {
        Answer::Error { text } => anyhow::bail!("{text}"),
        answer => Ok(answer),
    }
}
