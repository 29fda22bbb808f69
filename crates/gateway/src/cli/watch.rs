//! In: a session's id, and the terminal of an admin of this host. Out: that session's screen on it, as it happens.
//! Never: a byte of the session's itself: what is shown was drawn by the gateway; a terminal left raw.

use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use ampgate_screen::draw::LEAVE;
use anyhow::{Context as _, bail};
use clap::Args;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::{Outcome, load_config};
use crate::control::{self, Answer, Request, Sign};

/// A new window size is looked for this often.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Args)]
#[command(
    after_help = "Keys: q leaves, k ends the session (it asks why), Ctrl-L draws anew.\n\nExamples:\n  ampgate sessions --live\n  ampgate watch 01M83T6P2ESH3FN762TGK9EQE9\n  ampgate watch 01M83T6P\n\nThe operator is told, unless [watch] tell = false. Who may not log in here uses  ssh -t gateway watch ID"
)]
pub struct Watch {
    /// The session's id, or its first 8 characters or more.
    id: String,
}

/// Gives the terminal back, however this ends.
struct Raw(Termios);

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

fn size() -> (u32, u32) {
    tcgetwinsize(std::io::stdout())
        .map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
}

impl Watch {
    pub fn run(self, path: &Path) -> Outcome {
        let socket = load_config(path)?.control.socket;
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            return Err(anyhow::anyhow!("watching needs a terminal").into());
        }
        Ok(watch(&socket, self.id)?)
    }
}

fn watch(socket: &Path, session: String) -> anyhow::Result<()> {
    let stream = UnixStream::connect(socket).with_context(|| {
        format!(
            "no gateway answers on {}; is `ampgate serve` running?",
            socket.display()
        )
    })?;
    let mut known = size();
    let (columns, rows) = known;
    control::send(
        &stream,
        &Request::Watch {
            session,
            columns,
            rows,
        },
    )?;
    let mut drawn = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    drawn.read_line(&mut first)?;
    match serde_json::from_str(&first)
        .context("the gateway's answer cannot be read; is it another version?")?
    {
        Answer::Watching => {}
        Answer::Error { text } => bail!("{text}"),
        _ => bail!("the gateway answers something else; is it another version?"),
    }
    let modes = tcgetattr(std::io::stdin())?;
    let mut raw_modes = modes.clone();
    raw_modes.make_raw();
    tcsetattr(std::io::stdin(), OptionalActions::Now, &raw_modes)?;
    let raw = Raw(modes);
    // A signal that would end this program ends the watching instead: the gateway gives the terminal back.
    let hang_up = stream.try_clone()?;
    let signals = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        signals.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut term), Ok(mut hup)) = (
                signal(SignalKind::terminate()),
                signal(SignalKind::hangup()),
            ) else {
                return;
            };
            tokio::select! { _ = term.recv() => {}, _ = hup.recv() => {} }
            let _ = hang_up.shutdown(Shutdown::Both);
        });
    });
    let (pressed, keys) = sync_channel::<Vec<u8>>(16);
    std::thread::spawn(move || {
        let mut typed = [0; 256];
        while let Ok(length @ 1..) = std::io::stdin().read(&mut typed) {
            if pressed
                .send(typed.get(..length).unwrap_or_default().to_vec())
                .is_err()
            {
                return;
            }
        }
    });
    let sends = stream.try_clone()?;
    std::thread::spawn(move || {
        loop {
            let sign = match keys.recv_timeout(LOOK) {
                Ok(typed) => Some(Sign::Keys(typed)),
                Err(RecvTimeoutError::Timeout) => {
                    let now = size();
                    (std::mem::replace(&mut known, now) != now).then_some(Sign::Size(now.0, now.1))
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Some(sign) = sign
                && control::send(&sends, &sign).is_err()
            {
                break;
            }
        }
        let _ = sends.shutdown(Shutdown::Both);
    });
    let mut out = std::io::stdout().lock();
    let shown = show(&mut drawn, &mut out);
    let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
    drop(raw);
    shown
}

/// Until the gateway has said all.
fn show(drawn: &mut impl std::io::Read, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = match drawn.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => length,
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        out.write_all(bytes)?;
        out.flush()?;
    }
    Ok(())
}
