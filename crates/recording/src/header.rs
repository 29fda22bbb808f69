//! In: who, where from, whereto, which command, which terminal.
//! Out: the first line of a recording: an asciicast v3 header with an `ampgate` object, and that line read back.
//! Never: a secret; an unescaped control character; a size that a player cannot draw.

use base64_simd::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    error::{HeaderFault, RecordingError},
    escape::json,
    key::PublicKey,
    session::is_session_id,
};

/// Version of the `ampgate` object; raised when an old reader would misread a new file.
const FORMAT: u32 = 1;
/// Longest header line; the reader's limit for a line is twice that.
const LONGEST: usize = 8 << 20;
/// Largest terminal that players are told of, per dimension: some allocate columns × rows cells at once.
const LARGEST: u32 = 1000;

/// What is known when a recording begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The session's id, a ULID; also the file's name.
    pub session: String,
    /// The inner channel's number, where one is known.
    pub channel: Option<u32>,
    /// The principal.
    pub user: String,
    /// Where the operator came from, as address or address and port.
    pub source: String,
    /// What the operator asked for.
    pub target: String,
    /// The amphora's id.
    pub amphora: String,
    /// The load balancer's id.
    pub load_balancer: String,
    /// The load balancer's name.
    pub load_balancer_name: String,
    /// The project's id.
    pub project: String,
    /// `plain`, `root` or `netns`.
    pub landing: String,
    /// `shell`, `exec` or `sftp`.
    pub action: String,
    /// The operator's command, byte for byte.
    pub command: Option<Vec<u8>>,
    /// Columns of the terminal as the client said; 0 without one.
    pub cols: u32,
    /// Rows of the terminal as the client said; 0 without one.
    pub rows: u32,
    /// The terminal's type.
    pub term: Option<String>,
    /// Whether the channel has a pseudo-terminal.
    pub pty: bool,
    /// When the recording began (UTC).
    pub started: Timestamp,
    /// Which gateway recorded.
    pub gateway: String,
    /// Fingerprint of the amphora's host key, where it is known already.
    pub host_key: Option<String>,
    /// The public half of the key that seals this recording.
    pub sealing_key: PublicKey,
}

impl Header {
    /// The first line with its newline.
    pub(crate) fn line(&self) -> Result<String, RecordingError> {
        if !is_session_id(&self.session) {
            return Err(RecordingError::SessionId(self.session.clone()));
        }
        let line = json(&Line::from(self)) + "\n";
        if line.len() > LONGEST {
            return Err(RecordingError::HeaderTooLarge(line.len()));
        }
        Ok(line)
    }

    /// Reads a first line, with or without its newline.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, HeaderFault> {
        let bare: Bare =
            serde_json::from_slice(line).map_err(|e| HeaderFault::NoCast(e.to_string()))?;
        if bare.version != 3 {
            return Err(HeaderFault::NoCast(format!("version {}", bare.version)));
        }
        let line: Line =
            serde_json::from_slice(line).map_err(|e| HeaderFault::NotOurs(e.to_string()))?;
        line.try_into()
            .map_err(|why: &str| HeaderFault::NotOurs(why.to_owned()))
    }

    /// The command as text, with U+FFFD for bytes that are none.
    #[must_use]
    pub fn command_text(&self) -> Option<String> {
        self.command
            .as_deref()
            .map(|c| String::from_utf8_lossy(c).into_owned())
    }

    /// One line for people: who, where, as what.
    pub(crate) fn title(&self) -> String {
        format!(
            "{} on amphora {} ({}, {})",
            self.user, self.amphora, self.load_balancer_name, self.landing
        )
    }
}

/// A terminal's dimension as players are told: at least 1, or `default` where there is no terminal.
pub(crate) fn drawable(asked: u32, default: u32) -> u32 {
    if asked == 0 {
        default
    } else {
        asked.min(LARGEST)
    }
}

/// Enough of a header to tell an asciicast from anything else.
#[derive(Deserialize)]
struct Bare {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Line {
    version: u32,
    term: Term,
    timestamp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    title: String,
    ampgate: Ampgate,
}

#[derive(Serialize, Deserialize)]
struct Term {
    cols: u32,
    rows: u32,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Ampgate {
    format: u32,
    session: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel: Option<u32>,
    user: String,
    source: String,
    target: String,
    amphora: String,
    load_balancer: String,
    load_balancer_name: String,
    project: String,
    landing: String,
    action: String,
    /// Only if the command is no UTF-8: `command` above is then lossy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command_base64: Option<String>,
    pty: bool,
    cols: u32,
    rows: u32,
    started: Timestamp,
    gateway: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host_key: Option<String>,
    sealing_key: String,
}

impl From<&Header> for Line {
    fn from(h: &Header) -> Self {
        let odd_command = h
            .command
            .as_deref()
            .filter(|c| std::str::from_utf8(c).is_err());
        Self {
            version: 3,
            term: Term {
                cols: drawable(h.cols, 80),
                rows: drawable(h.rows, 24),
                kind: h.term.clone(),
            },
            timestamp: h.started.as_second().max(0),
            command: h.command_text(),
            title: h.title(),
            ampgate: Ampgate {
                format: FORMAT,
                session: h.session.clone(),
                channel: h.channel,
                user: h.user.clone(),
                source: h.source.clone(),
                target: h.target.clone(),
                amphora: h.amphora.clone(),
                load_balancer: h.load_balancer.clone(),
                load_balancer_name: h.load_balancer_name.clone(),
                project: h.project.clone(),
                landing: h.landing.clone(),
                action: h.action.clone(),
                command_base64: odd_command.map(|c| STANDARD.encode_to_string(c)),
                pty: h.pty,
                cols: h.cols,
                rows: h.rows,
                started: h.started,
                gateway: h.gateway.clone(),
                host_key: h.host_key.clone(),
                sealing_key: h.sealing_key.to_openssh(),
            },
        }
    }
}

impl TryFrom<Line> for Header {
    type Error = &'static str;

    fn try_from(line: Line) -> Result<Self, &'static str> {
        let a = line.ampgate;
        if a.format != FORMAT {
            return Err("a newer format; use a newer ampgate-replay");
        }
        if !is_session_id(&a.session) {
            return Err("the session id is none");
        }
        let command = match a.command_base64 {
            Some(text) => Some(
                STANDARD
                    .decode_to_vec(text)
                    .map_err(|_| "command_base64 is no base64")?,
            ),
            None => line.command.map(String::into_bytes),
        };
        Ok(Self {
            session: a.session,
            channel: a.channel,
            user: a.user,
            source: a.source,
            target: a.target,
            amphora: a.amphora,
            load_balancer: a.load_balancer,
            load_balancer_name: a.load_balancer_name,
            project: a.project,
            landing: a.landing,
            action: a.action,
            command,
            cols: a.cols,
            rows: a.rows,
            term: line.term.kind,
            pty: a.pty,
            started: a.started,
            gateway: a.gateway,
            host_key: a.host_key,
            sealing_key: PublicKey::from_openssh(&a.sealing_key)
                .map_err(|_| "the sealing key is none")?,
        })
    }
}
