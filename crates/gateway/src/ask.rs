//! In: the requests on one session channel. Out: what the operator asks for, with terminal and environment.
//! Never: grants a request type that is not named here; agent, X11 and unknown subsystems are refused.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ampgate_access::Ask;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty};

use crate::config::Config;

/// Variables and bytes of environment that one channel may send; OpenSSH clients send a handful.
const MAX_VARIABLES: usize = 64;
const MAX_ENVIRONMENT: usize = 32 << 10;
/// `ssh -o SetEnv=AMPGATE_REASON="INC-1234 slow" …`: kept by the gateway, and not passed on.
const REASON: &str = "AMPGATE_REASON";
const MAX_REASON: usize = 512;
/// Longest command: Linux takes 128 KiB as one argument, and the landing quotes it.
pub const MAX_COMMAND: usize = 120 << 10;
/// Time between opening the channel and saying what it is for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Terminals larger than this are clamped: no emulator downstream is asked for 65535 columns.
const MAX_COLUMNS: u32 = 1000;
const MAX_ROWS: u32 = 1000;

/// The operator's side of one session channel.
pub struct Downstream {
    pub id: ChannelId,
    pub read: ChannelReadHalf,
    pub write: ChannelWriteHalf<Msg>,
    pub handle: Handle,
    /// The last request wants an answer and has none. An answer that nobody waits for would pass for another one's, and
    /// strict clients end the connection over it.
    unanswered: AtomicBool,
    /// EOF has been sent. Strict clients end the connection over a second one, or over data after it.
    pub ended: AtomicBool,
}

impl Downstream {
    pub fn new(channel: Channel<Msg>, handle: Handle) -> Self {
        let id = channel.id();
        let (read, write) = channel.split();
        Self {
            id,
            read,
            write,
            handle,
            unanswered: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }
}

/// A terminal as asked for (RFC 4254 section 6.2).
#[derive(Clone, Debug)]
pub struct Terminal {
    pub name: String,
    pub size: Size,
    pub modes: Vec<(Pty, u32)>,
}

/// Columns, rows, and both in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: u32,
    pub rows: u32,
    pub width: u32,
    pub height: u32,
}

impl Size {
    pub fn clamped(columns: u32, rows: u32, width: u32, height: u32) -> Self {
        Self {
            columns: columns.min(MAX_COLUMNS),
            rows: rows.min(MAX_ROWS),
            width: width.min(u16::MAX.into()),
            height: height.min(u16::MAX.into()),
        }
    }
}

/// All that was asked for before the session can begin.
#[derive(Debug)]
pub struct Asked {
    pub ask: Ask,
    pub terminal: Option<Terminal>,
    pub environment: Vec<(String, String)>,
    /// Why the operator wants in, for policies that ask for it.
    pub reason: Option<String>,
}

/// Why a channel ended before it asked for anything that is given.
#[derive(Debug, PartialEq, Eq)]
pub enum NoAsk {
    /// The client closed the channel, or waited too long.
    Gone,
    /// Something else than a shell, a command or sftp.
    NotOffered(String),
}

/// Reads requests until one says what the channel is for. That one is not yet answered.
pub async fn read(down: &mut Downstream, config: &Config) -> Result<Asked, NoAsk> {
    tokio::time::timeout(PATIENCE, read_requests(down, config))
        .await
        .unwrap_or(Err(NoAsk::Gone))
}

async fn read_requests(down: &mut Downstream, config: &Config) -> Result<Asked, NoAsk> {
    let mut terminal = None;
    let mut environment: Vec<(String, String)> = Vec::new();
    let mut bytes = 0;
    let mut reason = None;
    while let Some(message) = down.read.wait().await {
        down.unanswered
            .store(wants_reply(&message), Ordering::Relaxed);
        let ask = match message {
            ChannelMsg::SetEnv {
                variable_name,
                variable_value,
                ..
            } if variable_name == REASON => {
                let good = variable_value.len() <= MAX_REASON
                    && !variable_value.chars().any(char::is_control);
                if good {
                    reason = Some(variable_value);
                }
                answer(down, good).await;
                continue;
            }
            ChannelMsg::SetEnv {
                variable_name,
                variable_value,
                ..
            } => {
                bytes += variable_name.len() + variable_value.len();
                let passes = config.passes_environment(&variable_name)
                    && environment.len() < MAX_VARIABLES
                    && bytes <= MAX_ENVIRONMENT;
                if passes {
                    environment.push((variable_name, variable_value));
                }
                answer(down, passes).await;
                continue;
            }
            ChannelMsg::RequestPty {
                term,
                col_width,
                row_height,
                pix_width,
                pix_height,
                terminal_modes,
                ..
            } => {
                let size = Size::clamped(col_width, row_height, pix_width, pix_height);
                let good = term.len() <= 128 && terminal.is_none();
                if good {
                    terminal = Some(Terminal {
                        name: term,
                        size,
                        modes: terminal_modes,
                    });
                }
                answer(down, good).await;
                continue;
            }
            ChannelMsg::WindowChange {
                col_width,
                row_height,
                pix_width,
                pix_height,
            } => {
                if let Some(terminal) = terminal.as_mut() {
                    terminal.size = Size::clamped(col_width, row_height, pix_width, pix_height);
                }
                continue;
            }
            ChannelMsg::RequestShell { .. } => Ask::Shell,
            ChannelMsg::Exec { command, .. } if command.len() <= MAX_COMMAND => Ask::Exec(command),
            ChannelMsg::Exec { command, .. } => {
                return Err(NoAsk::NotOffered(format!(
                    "the command is {} bytes long, and {MAX_COMMAND} is the limit; put it into a script and copy that",
                    command.len()
                )));
            }
            // A terminal on the amphora would change bytes after they were judged: newlines, control characters.
            ChannelMsg::RequestSubsystem { name, .. } if name == "sftp" && terminal.is_some() => {
                return Err(NoAsk::NotOffered(
                    "sftp has no terminal; ask for it without one (ssh -T, RequestTTY no)"
                        .to_owned(),
                ));
            }
            ChannelMsg::RequestSubsystem { name, .. } if name == "sftp" => Ask::Sftp,
            ChannelMsg::RequestSubsystem { name, .. } => {
                return Err(NoAsk::NotOffered(format!(
                    "there is no subsystem {:?} here, only sftp",
                    clipped(&name)
                )));
            }
            ChannelMsg::RequestX11 { .. } | ChannelMsg::AgentForward { .. } => {
                answer(down, false).await;
                continue;
            }
            ChannelMsg::Close => return Err(NoAsk::Gone),
            // Data, EOF and signals before there is a program: nothing could take them.
            _ => continue,
        };
        return Ok(Asked {
            ask,
            terminal,
            environment,
            reason,
        });
    }
    Err(NoAsk::Gone)
}

/// Whether the client waits for an answer to this request (RFC 4254 section 5.4).
pub fn wants_reply(message: &ChannelMsg) -> bool {
    match message {
        ChannelMsg::SetEnv { want_reply, .. }
        | ChannelMsg::RequestPty { want_reply, .. }
        | ChannelMsg::RequestShell { want_reply }
        | ChannelMsg::Exec { want_reply, .. }
        | ChannelMsg::RequestSubsystem { want_reply, .. }
        | ChannelMsg::RequestX11 { want_reply, .. }
        | ChannelMsg::AgentForward { want_reply } => *want_reply,
        _ => false,
    }
}

/// Answers the oldest unanswered request of the channel; nothing is sent where none was wanted.
pub async fn answer(down: &Downstream, yes: bool) {
    if !down.unanswered.swap(false, Ordering::Relaxed) {
        return;
    }
    // A failed send means that the connection is gone, which the next read tells.
    let _ = if yes {
        down.handle.channel_success(down.id).await
    } else {
        down.handle.channel_failure(down.id).await
    };
}

/// Says that no more output comes, once.
pub async fn end_of_output(write: &ChannelWriteHalf<Msg>, ended: &AtomicBool) {
    if !ended.swap(true, Ordering::Relaxed) {
        let _ = write.eof().await;
    }
}

fn clipped(text: &str) -> String {
    text.chars().take(64).collect()
}
