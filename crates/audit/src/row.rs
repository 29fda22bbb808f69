//! In: the events of one session, in order.
//! Out: one row for listings, and its compact stored form.
//! Never: a fact that is not in the journal.

use crate::event::{About, Event};
use crate::line::{hex, unhex};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One session, as `ampgate sessions` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// The session's ULID.
    pub id: String,
    /// The operator.
    pub user: String,
    /// The operator's address.
    pub source: String,
    /// The name that was typed.
    pub target: String,
    /// The amphora's uuid.
    pub amphora: String,
    /// The load balancer's uuid.
    pub load_balancer: String,
    /// The load balancer's name at that time.
    pub load_balancer_name: String,
    /// The project's id.
    pub project: String,
    /// `plain`, `root` or `netns`.
    pub landing: String,
    /// `shell`, `exec` or `sftp`.
    pub action: String,
    /// The command of an `exec`.
    pub command: Option<String>,
    /// When its recording was opened.
    pub started: Timestamp,
    /// When it ended; none while it lives.
    pub ended: Option<Timestamp>,
    /// `opening`, `live`, `lost` (the gateway ended without closing it), `upstream refused: …`, `recording failed: …`,
    /// or the outcome that `session.closed` gave.
    pub outcome: String,
    /// The remote exit status.
    pub exit_status: Option<u32>,
    /// The signal which ended the remote command, without "SIG".
    pub exit_signal: Option<String>,
    /// Bytes to the operator.
    pub bytes_out: u64,
    /// Bytes to the amphora.
    pub bytes_in: u64,
    /// The recording's path below the store.
    pub recording: String,
    /// The recording's closing head, hex.
    pub head: Option<String>,
    /// Whether that head was sealed.
    pub sealed: bool,
}

impl SessionRow {
    /// Whether the session still runs.
    pub fn is_live(&self) -> bool {
        self.ended.is_none()
    }

    pub(crate) fn new(id: &str, time: Timestamp, about: &About, recording: &str) -> SessionRow {
        SessionRow {
            id: id.to_owned(),
            user: about.user.to_string(),
            source: about.source.to_string(),
            target: about.target.to_string(),
            amphora: about.amphora.to_string(),
            load_balancer: about.load_balancer.to_string(),
            load_balancer_name: about.load_balancer_name.to_string(),
            project: about.project.to_string(),
            landing: about.landing.to_string(),
            action: about.action.to_string(),
            command: about.command.as_ref().map(|command| command.to_string()),
            started: time,
            ended: None,
            outcome: "opening".to_owned(),
            exit_status: None,
            exit_signal: None,
            bytes_out: 0,
            bytes_in: 0,
            recording: recording.to_owned(),
            head: None,
            sealed: false,
        }
    }

    /// Takes one event of this session in. The same event twice changes nothing: catching up may repeat some.
    pub(crate) fn take(&mut self, time: Timestamp, event: &Event) {
        let live = self.outcome == "live";
        match event {
            Event::SessionOpened { .. } => self.outcome = "live".to_owned(),
            Event::UpstreamRefused { fault, .. } if !live => {
                self.outcome = format!("upstream refused: {fault}")
            }
            Event::RecordingFailed { error, .. } if !live => {
                self.outcome = format!("recording failed: {error}");
                self.ended = Some(time);
            }
            Event::RecordingClosed {
                head,
                sealed,
                recorded,
                ..
            } => {
                self.head = Some(head.to_string());
                self.sealed = *sealed;
                self.bytes_out = self.bytes_out.max(*recorded);
                // A session that was opened ends with `session.closed`, not with its file.
                if !live {
                    self.ended.get_or_insert(time);
                }
            }
            Event::SessionClosed {
                outcome,
                exit_status,
                exit_signal,
                bytes_out,
                bytes_in,
                head,
                ..
            } => {
                self.outcome = outcome.to_string();
                self.exit_status = *exit_status;
                self.exit_signal = exit_signal.as_ref().map(|signal| signal.to_string());
                self.bytes_out = *bytes_out;
                self.bytes_in = *bytes_in;
                self.head = head
                    .as_ref()
                    .map(|head| head.to_string())
                    .or_else(|| self.head.take());
                self.ended = Some(time);
            }
            _ => {}
        }
    }

    pub(crate) fn lost(&mut self, time: Timestamp) {
        self.outcome = "lost".to_owned();
        self.ended = Some(time);
    }

    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let amphora = Name::new(&self.amphora);
        let stored = Stored {
            user: &self.user,
            source: &self.source,
            target: (self.target != default_target(&self.amphora)).then_some(self.target.as_str()),
            amphora,
            load_balancer: Name::new(&self.load_balancer),
            load_balancer_name: &self.load_balancer_name,
            project: &self.project,
            landing: &self.landing,
            action: &self.action,
            command: self.command.as_deref(),
            started: self.started.as_microsecond(),
            ended: self.ended.map(|ended| ended.as_microsecond()),
            outcome: &self.outcome,
            exit_status: self.exit_status,
            exit_signal: self.exit_signal.as_deref(),
            bytes_out: self.bytes_out,
            bytes_in: self.bytes_in,
            // The id is the key of the row and stands in the path: it need not be kept twice.
            recording: self.recording.replace(&self.id, "\0"),
            head: self
                .head
                .as_deref()
                .and_then(unhex)
                .and_then(|head| head.try_into().ok()),
            sealed: self.sealed,
        };
        postcard::to_allocvec(&stored).ok()
    }

    pub(crate) fn decode(id: &str, bytes: &[u8]) -> Option<SessionRow> {
        let stored: Stored<'_> = postcard::from_bytes(bytes).ok()?;
        let amphora = stored.amphora.text();
        Some(SessionRow {
            id: id.to_owned(),
            user: stored.user.to_owned(),
            source: stored.source.to_owned(),
            target: stored
                .target
                .map_or_else(|| default_target(&amphora), str::to_owned),
            amphora,
            load_balancer: stored.load_balancer.text(),
            load_balancer_name: stored.load_balancer_name.to_owned(),
            project: stored.project.to_owned(),
            landing: stored.landing.to_owned(),
            action: stored.action.to_owned(),
            command: stored.command.map(str::to_owned),
            started: Timestamp::from_microsecond(stored.started).ok()?,
            ended: stored
                .ended
                .map(Timestamp::from_microsecond)
                .transpose()
                .ok()?,
            outcome: stored.outcome.to_owned(),
            exit_status: stored.exit_status,
            exit_signal: stored.exit_signal.map(str::to_owned),
            bytes_out: stored.bytes_out,
            bytes_in: stored.bytes_in,
            recording: stored.recording.replace('\0', id),
            head: stored.head.map(|head| hex(&head)),
            sealed: stored.sealed,
        })
    }
}

fn default_target(amphora: &str) -> String {
    format!("amphora-{amphora}")
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    user: &'a str,
    source: &'a str,
    target: Option<&'a str>,
    amphora: Name<'a>,
    load_balancer: Name<'a>,
    load_balancer_name: &'a str,
    project: &'a str,
    landing: &'a str,
    action: &'a str,
    command: Option<&'a str>,
    started: i64,
    ended: Option<i64>,
    outcome: &'a str,
    exit_status: Option<u32>,
    exit_signal: Option<&'a str>,
    bytes_out: u64,
    bytes_in: u64,
    recording: String,
    head: Option<[u8; 32]>,
    sealed: bool,
}

/// An id: 16 bytes where it is a uuid in its usual form, which is always.
#[derive(Serialize, Deserialize)]
enum Name<'a> {
    Uuid([u8; 16]),
    Other(&'a str),
}

impl<'a> Name<'a> {
    fn new(text: &'a str) -> Name<'a> {
        match Uuid::try_parse(text) {
            Ok(uuid) if uuid.to_string() == text => Name::Uuid(uuid.into_bytes()),
            _ => Name::Other(text),
        }
    }

    fn text(&self) -> String {
        match self {
            Name::Uuid(bytes) => Uuid::from_bytes(*bytes).to_string(),
            Name::Other(text) => (*text).to_owned(),
        }
    }
}
