//! In: a landed channel and a live session. Out: an outcome. Between them, every byte: recorded first, then forwarded.
//! Never: forwards a byte that the recorder has not taken, or waits for one side without hearing the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ampgate_access::{LandingFailure, LandingProbe, Stream as Leg};
use ampgate_recording::{Exit, Stream};
use bytes::Bytes;
use futures_util::FutureExt;
use russh::{ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig, client, server};
use tokio::sync::watch;

use crate::ask::{self, Downstream, Size};
use crate::land::Landed;
use crate::live::LiveSession;
use crate::recorder::Recorded;
use crate::sentence::Trouble;
use crate::tell;
use crate::transfer::Transfer;

/// How long a program's screen is given back before what was said on it is said again; and how much of it.
const GIVEN_BACK: Duration = Duration::from_millis(200);
const AGAIN: usize = 16;
/// Messages recorded with one write: a write of 700 KiB costs the kernel half as much per byte as one of 40 KiB.
const BATCH: usize = 32;
/// From this size on a message is part of a stream, and more is likely right behind it.
const BULK: usize = 1024;
/// How often the connection's own task gets a turn to bring more before a batch of bulk is closed. Nothing waits for
/// time to pass; a keystroke's echo goes at once.
const TURNS: usize = 4;
/// RFC 4254 section 5.2.
const STDERR: u32 = 1;
/// After the client has closed the channel, the amphora gets this long to say how the program ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How a session ended.
#[derive(Debug, Default)]
pub struct Outcome {
    pub exit_status: Option<u32>,
    pub exit_signal: Option<String>,
    pub trouble: Option<Trouble>,
    /// The operator has been told of the trouble, and the channel is closed.
    pub told: bool,
    client_left: bool,
}

impl Outcome {
    pub fn refused(trouble: Trouble) -> Self {
        Self {
            trouble: Some(trouble),
            ..Self::default()
        }
    }

    /// One word for listings.
    pub fn word(&self) -> &'static str {
        match &self.trouble {
            Some(trouble) => trouble.code(),
            None if self.exit_status.is_some() || self.exit_signal.is_some() => "exited",
            None if self.client_left => "client-left",
            None => "closed",
        }
    }

    /// A sentence for the recording.
    pub fn reason(&self) -> String {
        match (&self.trouble, self.exit_status, &self.exit_signal) {
            (Some(trouble), ..) => trouble.to_string(),
            (None, Some(status), _) => format!("the program ended with exit status {status}"),
            (None, None, Some(signal)) => format!("the program was ended by signal {signal}"),
            (None, None, None) if self.client_left => "the operator's client left".to_owned(),
            (None, None, None) => "the amphora closed the channel".to_owned(),
        }
    }
}

/// Waits for an order to end the session.
pub async fn ordered(orders: &mut watch::Receiver<Option<Trouble>>) -> Trouble {
    match orders
        .wait_for(Option::is_some)
        .await
        .map(|order| order.clone())
    {
        Ok(Some(order)) => order,
        // The sender lives as long as the session; without it nobody can order anything.
        _ => std::future::pending().await,
    }
}

/// Why one direction stopped.
enum Stop {
    /// The amphora closed its channel: all is said.
    AmphoraClosed,
    /// The client closed its channel, or its connection is gone.
    ClientClosed,
    Trouble(Trouble),
}

/// Runs until both sides are done, or an order or a fault ends it. Closes both channels.
pub async fn run(
    down: &mut Downstream,
    landed: Landed,
    live: &LiveSession,
    pty: bool,
    mut orders: watch::Receiver<Option<Trouble>>,
    transfer: Option<Transfer>,
) -> Outcome {
    let transfer = transfer.as_ref();
    let Landed {
        read: mut from_amphora,
        write: to_amphora,
        probe,
        early,
        upstream,
    } = landed;
    let mut output = Output {
        live,
        probe: Some(probe),
        exit: None,
        failure: None,
        transfer,
    };
    let Downstream {
        id,
        read: from_client,
        write: to_client,
        handle,
        ended,
        ..
    } = &mut *down;
    let client = Client {
        id: *id,
        write: to_client,
        handle,
        ended,
    };
    let stop = {
        let relay = output.relay(&mut from_amphora, early, &client);
        tokio::pin!(relay);
        let first = tokio::select! {
            stop = &mut relay => stop,
            stop = input(from_client, &to_amphora, &client, live, transfer) => stop,
            stop = gone(&client) => stop,
            stop = notices(live, &client) => stop,
            order = ordered(&mut orders) => Stop::Trouble(order),
        };
        if matches!(first, Stop::ClientClosed) {
            // A ControlMaster client closes its half once it has EOF, before the exit status: that is still to come. A
            // program that goes on is told by the closing of its channel, as sshd would.
            if !client.ended.load(Ordering::Relaxed) {
                let _ = to_amphora.close().await;
            }
            let _ = tokio::time::timeout(LAST_WORDS, &mut relay).await;
        }
        first
    };
    let client_left = matches!(stop, Stop::ClientClosed);
    let mut outcome = output.finish(&client).await;
    outcome.client_left = client_left;
    if let Stop::Trouble(trouble) = stop {
        outcome.trouble = Some(trouble);
    }
    if let Some(transfer) = transfer
        && let Err(trouble) = transfer.finish(live).await
    {
        outcome.trouble.get_or_insert(trouble);
    }
    // What the gateway says is in the recording too. A dead recorder cannot take it, and is itself the trouble.
    if let Some(trouble) = &outcome.trouble {
        let _ = live.recorder.marker(&trouble.told(&live.session));
    }
    match &outcome.trouble {
        Some(trouble) => tell::trouble(down, pty, trouble, &live.session).await,
        None => tell::done(down).await,
    }
    outcome.told = true;
    let _ = to_amphora.close().await;
    upstream.hang_up().await;
    outcome
}

/// The client's side of the channel, as far as output needs it.
struct Client<'d> {
    id: ChannelId,
    write: &'d ChannelWriteHalf<server::Msg>,
    handle: &'d server::Handle,
    /// EOF has been sent: nothing may follow but how the program ended.
    ended: &'d AtomicBool,
}

/// One thing to record and then to forward.
pub enum Piece {
    Data(Stream, Bytes),
    /// Of a file transfer: counted, hashed and journalled instead.
    Understood(Bytes),
    Exit(Exit, ChannelMsg),
    Eof,
    Close,
}

/// The direction from the amphora to the operator.
struct Output<'s> {
    live: &'s LiveSession,
    /// Until it is known whether the landing came about.
    probe: Option<LandingProbe>,
    exit: Option<(Exit, ChannelMsg)>,
    failure: Option<LandingFailure>,
    /// What reads the output, if it is a file transfer.
    transfer: Option<&'s Transfer>,
}

impl Output<'_> {
    async fn relay(
        &mut self,
        read: &mut ChannelReadHalf,
        early: Vec<ChannelMsg>,
        client: &Client<'_>,
    ) -> Stop {
        let mut batch = early;
        loop {
            if batch.is_empty() {
                tokio::select! {
                    message = read.wait() => match message {
                        Some(message) => batch.push(message),
                        None => return Stop::AmphoraClosed,
                    },
                    // The gateway itself answers: there is nothing of the amphora's to pass.
                    () = Transfer::has_answers(self.transfer) => {}
                }
            }
            let mut turns = if batch.iter().any(is_bulk) { TURNS } else { 0 };
            while batch.len() < BATCH {
                match read.wait().now_or_never() {
                    Some(Some(message)) => batch.push(message),
                    None if turns > 0 => {
                        turns -= 1;
                        tokio::task::yield_now().await;
                    }
                    // Closed, or nothing more for now: the next turn tells.
                    _ => break,
                }
            }
            match self.pass(&mut batch, client).await {
                Ok(true) => {}
                Ok(false) => return Stop::AmphoraClosed,
                Err(trouble) => return Stop::Trouble(trouble),
            }
        }
    }

    /// Records a batch with one write, then forwards it. False when the amphora has closed its channel.
    async fn pass(
        &mut self,
        batch: &mut Vec<ChannelMsg>,
        client: &Client<'_>,
    ) -> Result<bool, Trouble> {
        let mut pieces = Vec::with_capacity(batch.len());
        for message in batch.drain(..) {
            self.take(message, &mut pieces)?;
        }
        if let Some(transfer) = self.transfer {
            transfer.tell(self.live).await?;
            transfer.answers(&mut pieces);
        }
        let recordable = pieces.iter().filter_map(|piece| match piece {
            Piece::Data(stream, bytes) => Some(Recorded::Output(*stream, bytes)),
            Piece::Exit(exit, _) => Some(Recorded::Exit(exit)),
            Piece::Understood(_) | Piece::Eof | Piece::Close => None,
        });
        let recorder = &self.live.recorder;
        recorder.output(recordable)?;
        recorder.durable_enough().await?;
        for piece in pieces {
            match piece {
                Piece::Data(stream, bytes) => {
                    self.live.screen.output(&bytes);
                    let length = bytes.len();
                    client.output(stream, bytes).await;
                    recorder.relayed(stream, length);
                }
                Piece::Understood(bytes) => {
                    let length = bytes.len();
                    recorder.understood(length);
                    client.output(Stream::Stdout, bytes).await;
                    recorder.relayed(Stream::Stdout, length);
                }
                Piece::Exit(exit, message) => {
                    client.exit(&message).await;
                    self.exit = Some((exit, message));
                }
                Piece::Eof => ask::end_of_output(client.write, client.ended).await,
                Piece::Close => return Ok(false),
            }
        }
        Ok(self.failure.is_none())
    }

    fn take(&mut self, message: ChannelMsg, pieces: &mut Vec<Piece>) -> Result<(), Trouble> {
        match message {
            ChannelMsg::Data { data } => self.output(Stream::Stdout, data, pieces)?,
            ChannelMsg::ExtendedData { data, ext: STDERR } => {
                self.output(Stream::Stderr, data, pieces)?;
            }
            message @ ChannelMsg::ExitStatus { exit_status } => {
                self.exited(Exit::Status(exit_status), message, pieces)
            }
            ChannelMsg::ExitSignal {
                ref signal_name, ..
            } => {
                let exit = Exit::Signal(signal_word(signal_name));
                self.exited(exit, message, pieces);
            }
            ChannelMsg::Eof if self.has_landed() => pieces.push(Piece::Eof),
            ChannelMsg::Close => pieces.push(Piece::Close),
            _ => {}
        }
        Ok(())
    }

    /// Until it is known that the landing came about, and where it did not, EOF is held back: nothing may follow it, and
    /// the sentence has to.
    fn has_landed(&self) -> bool {
        self.failure.is_none() && self.probe.as_ref().is_none_or(LandingProbe::is_settled)
    }

    fn output(
        &mut self,
        stream: Stream,
        data: Bytes,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Trouble> {
        let Some(probe) = self.probe.as_mut().filter(|probe| !probe.is_settled()) else {
            return self.landed(stream, data, pieces);
        };
        let leg = if stream == Stream::Stdout {
            Leg::Stdout
        } else {
            Leg::Stderr
        };
        let fed = probe.feed(leg, &data);
        let (pass, verdict) = (Bytes::copy_from_slice(&fed.pass), fed.verdict);
        if !pass.is_empty() {
            self.landed(stream, pass, pieces)?;
        }
        match verdict {
            Some(Ok(())) => {
                self.probe = None;
                if let Some((exit, message)) = self.exit.take() {
                    pieces.push(Piece::Exit(exit, message));
                }
            }
            Some(Err(failure)) => self.failure = Some(failure),
            None => {}
        }
        Ok(())
    }

    /// Output of the operator's own program.
    fn landed(&self, stream: Stream, data: Bytes, pieces: &mut Vec<Piece>) -> Result<(), Trouble> {
        match self.transfer {
            Some(transfer) if stream == Stream::Stdout => transfer.output(data, pieces),
            _ => {
                pieces.push(Piece::Data(stream, data));
                Ok(())
            }
        }
    }

    /// The exit status of a landing that did not come about is sudo's or the script's, not the operator's program's.
    fn exited(&mut self, exit: Exit, message: ChannelMsg, pieces: &mut Vec<Piece>) {
        match &self.probe {
            Some(probe) if !probe.is_settled() => self.exit = Some((exit, message)),
            _ => pieces.push(Piece::Exit(exit, message)),
        }
    }

    /// What is left when the amphora has closed: bytes that the probe still held, and its verdict.
    async fn finish(mut self, client: &Client<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        if let Some(probe) = self.probe.take() {
            let status = match &self.exit {
                Some((Exit::Status(status), _)) => Some(*status),
                _ => None,
            };
            let (leg, held, failure) = probe.finish(status);
            if !held.is_empty() {
                let stream = if leg == Leg::Stdout {
                    Stream::Stdout
                } else {
                    Stream::Stderr
                };
                if self
                    .live
                    .recorder
                    .output([Recorded::Output(stream, &held)])
                    .is_ok()
                {
                    self.live.screen.output(&held);
                    let length = held.len();
                    let sent = client.output(stream, held.into());
                    if tokio::time::timeout(LAST_WORDS, sent).await.is_ok() {
                        self.live.recorder.relayed(stream, length);
                    }
                }
            }
            if let Some(failure) = self.failure.or(failure) {
                outcome.trouble = Some(Trouble::Landed(failure));
                return outcome;
            }
        }
        match self.exit {
            Some((Exit::Status(status), _)) => outcome.exit_status = Some(status),
            Some((Exit::Signal(signal), _)) => outcome.exit_signal = Some(signal),
            None => {}
        }
        outcome
    }
}

impl Client<'_> {
    /// A client that is gone takes nothing: what it would have got is recorded all the same.
    async fn output(&self, stream: Stream, bytes: Bytes) {
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        let _gone = match stream {
            Stream::Stdout => self.write.data_bytes(bytes).await,
            Stream::Stderr => self.write.extended_data_bytes(STDERR, bytes).await,
        };
    }

    /// How the program ended, as the amphora said it.
    async fn exit(&self, message: &ChannelMsg) {
        match message {
            ChannelMsg::ExitStatus { exit_status } => {
                let _ = self.write.exit_status(*exit_status).await;
            }
            ChannelMsg::ExitSignal {
                signal_name,
                core_dumped,
                error_message,
                lang_tag,
            } => {
                let _ = self
                    .handle
                    .exit_signal_request(
                        self.id,
                        signal_name.clone(),
                        *core_dumped,
                        error_message.clone(),
                        lang_tag.clone(),
                    )
                    .await;
            }
            _ => {}
        }
    }
}

/// The direction from the operator to the amphora. Ends when the client closes its channel.
async fn input(
    read: &mut ChannelReadHalf,
    to_amphora: &ChannelWriteHalf<client::Msg>,
    client: &Client<'_>,
    live: &LiveSession,
    transfer: Option<&Transfer>,
) -> Stop {
    let mut next = None;
    loop {
        let message = match next.take() {
            Some(message) => message,
            None => match read.wait().await {
                Some(message) => message,
                None => return Stop::ClientClosed,
            },
        };
        // A send that fails means that the amphora has closed: the other direction sees that, and ends both.
        match message {
            ChannelMsg::Data { data } => {
                if let Err(trouble) = live.recorder.input(&data) {
                    return Stop::Trouble(trouble);
                }
                live.took_input(data.len());
                let Some(transfer) = transfer else {
                    let _ = to_amphora.data_bytes(data).await;
                    continue;
                };
                if let Err(trouble) = transfer.input(data, to_amphora, live).await {
                    return Stop::Trouble(trouble);
                }
            }
            ChannelMsg::Eof => {
                let _ = to_amphora.eof().await;
            }
            ChannelMsg::WindowChange {
                col_width,
                row_height,
                pix_width,
                pix_height,
            } => {
                let mut size = Size::clamped(col_width, row_height, pix_width, pix_height);
                // Sizes that came meanwhile are history: the newest counts, so a flood of them waits nowhere.
                while let Some(Some(message)) = read.wait().now_or_never() {
                    let ChannelMsg::WindowChange {
                        col_width,
                        row_height,
                        pix_width,
                        pix_height,
                    } = message
                    else {
                        next = Some(message);
                        break;
                    };
                    size = Size::clamped(col_width, row_height, pix_width, pix_height);
                }
                if let Err(trouble) = live.recorder.resize(size) {
                    return Stop::Trouble(trouble);
                }
                live.screen.resize(size);
                let _ = to_amphora
                    .window_change(size.columns, size.rows, size.width, size.height)
                    .await;
            }
            ChannelMsg::Signal { signal } => {
                let _ = to_amphora.signal(signal).await;
            }
            // `… | head` has what it wanted: the program learns it by its next write, as without a gateway.
            ChannelMsg::Eow => {
                let _ = to_amphora.eow().await;
            }
            ChannelMsg::Close => return Stop::ClientClosed,
            // A second program, agent or X11 on a running channel.
            message if ask::wants_reply(&message) => {
                let _ = client.handle.channel_failure(client.id).await;
            }
            _ => {}
        }
    }
}

/// The client's close, past all that it sent before: `input` does not see it while the amphora takes nothing. What is on
/// its way gets a moment to arrive.
async fn gone(client: &Client<'_>) -> Stop {
    client.write.closed().await;
    tokio::time::sleep(LAST_WORDS).await;
    Stop::ClientClosed
}

/// Passes on what the gateway has to say meanwhile; a client that reads nothing misses it, the recording does not. What was
/// said in a row of a program's screen, which the program may draw over, is said again when the program gives it back.
async fn notices(live: &LiveSession, client: &Client<'_>) -> Stop {
    let mut taken = live.screen.taken();
    let mut again = Vec::new();
    loop {
        let given_back = async { taken.wait_for(|taken| !*taken).await.is_ok() };
        let notices = tokio::select! {
            notices = live.noticed() => {
                for notice in &notices {
                    if let Err(trouble) = live.recorder.marker(notice) {
                        return Stop::Trouble(trouble);
                    }
                }
                notices
            }
            true = given_back, if !again.is_empty() => {
                // The program's last drawing is on its way, and a prompt behind it.
                tokio::time::sleep(GIVEN_BACK).await;
                std::mem::take(&mut again)
            }
        };
        let lines = live.screen.says(&notices);
        if *taken.borrow() {
            again.extend(notices);
            again.truncate(AGAIN);
        }
        live.screen.output(&lines);
        let said = client.output(Stream::Stderr, lines.into());
        let _ = tokio::time::timeout(LAST_WORDS, said).await;
    }
}

fn is_bulk(message: &ChannelMsg) -> bool {
    matches!(message, ChannelMsg::Data { data } if data.len() >= BULK)
}

/// A signal's name without "SIG", as RFC 4254 section 6.10 has it.
fn signal_word(signal: &Sig) -> String {
    match signal {
        Sig::ABRT => "ABRT".to_owned(),
        Sig::ALRM => "ALRM".to_owned(),
        Sig::FPE => "FPE".to_owned(),
        Sig::HUP => "HUP".to_owned(),
        Sig::ILL => "ILL".to_owned(),
        Sig::INT => "INT".to_owned(),
        Sig::KILL => "KILL".to_owned(),
        Sig::PIPE => "PIPE".to_owned(),
        Sig::QUIT => "QUIT".to_owned(),
        Sig::SEGV => "SEGV".to_owned(),
        Sig::TERM => "TERM".to_owned(),
        Sig::USR1 => "USR1".to_owned(),
        Sig::Custom(name) => name.chars().take(32).collect(),
    }
}
