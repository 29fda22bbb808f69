//! In: the bytes of an sftp channel, of an scp or of an rsync, both ways. Out: the same, each operation decided, journalled, recorded.
//! Never: lets a request with a path on undecided, or takes the next one before.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ampgate_access::{Ask, Grant};
use ampgate_recording::Stream;
use ampgate_transfer::{
    Command, Direction, FromAmphora, FromClient, Happened, Malformed, Rsync, RsyncCommand,
    RsyncFile, Scp, ScpFile, Sftp, Status, Understood,
};
use bytes::Bytes;
use russh::{ChannelWriteHalf, client};
use tokio::sync::Notify;

use crate::ask::Asked;
use crate::bridge::Piece;
use crate::gateway::Gateway;
use crate::judge;
use crate::keep::{Keeper, Kept, Of};
use crate::live::LiveSession;
use crate::sentence::Trouble;
use crate::story;

/// Answers of the gateway's own that a client has not taken yet. With more of them it is not listened to.
const MAX_ANSWERS: usize = 64;
/// An amphora that neither says where a path leads nor sends anything else for so long is gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of an rsync that the gateway cannot read, by the client's doing or by the amphora's.
const NO_RSYNC: &str = "the gateway reads rsync's protocols 29 to 32, with up to 262144 names and 65536 directories at a time, and this is something else";

/// A channel whose bytes are read on their way. Only what they are is decided here; whether the session may be is not.
pub struct Transfer {
    pub gateway: Arc<Gateway>,
    state: Mutex<State>,
    /// There is an answer for the client.
    answered: Notify,
    /// The amphora said something, or the client took an answer.
    moved: Notify,
    /// Whoever has it tells what happened, in order. Not the state's own lock: files are kept meanwhile.
    keeper: tokio::sync::Mutex<Keeper>,
}

struct State {
    protocol: Protocol,
    answers: VecDeque<Bytes>,
    path: Option<Result<Vec<u8>, Status>>,
    home: Option<Vec<u8>>,
    /// What happened and is not written down yet.
    untold: VecDeque<Untold>,
}

/// Something that happened.
#[derive(Clone)]
enum Untold {
    Sftp(Happened),
    /// Of the file of an scp that ends next.
    Content(Bytes),
    Scp(ScpFile),
    Rsync(RsyncFile),
}

enum Protocol {
    Sftp(Box<Sftp>),
    /// And whether the content is kept.
    Scp(Box<Scp>, Command, bool),
    Rsync(Box<Rsync>, RsyncCommand),
}

impl Transfer {
    /// None for what is no file transfer, or might be something else: that is recorded in full.
    pub fn of(gateway: &Arc<Gateway>, asked: &Asked, grant: &Grant) -> Option<Self> {
        let protocol = match &asked.ask {
            Ask::Sftp => Protocol::Sftp(Box::default()),
            Ask::Exec(command) if asked.terminal.is_none() => {
                Self::command(gateway, grant, command)?
            }
            Ask::Exec(_) | Ask::Shell => return None,
        };
        Some(Self {
            gateway: Arc::clone(gateway),
            state: Mutex::new(State {
                protocol,
                answers: VecDeque::new(),
                path: None,
                home: None,
                untold: VecDeque::new(),
            }),
            answered: Notify::new(),
            moved: Notify::new(),
            keeper: tokio::sync::Mutex::default(),
        })
    }

    fn command(gateway: &Gateway, grant: &Grant, command: &[u8]) -> Option<Protocol> {
        if let Some(command) = RsyncCommand::parse(command) {
            return judge::rsync(gateway, grant, &command)
                .then(|| Protocol::Rsync(Box::new(Rsync::new(&command)), command));
        }
        let command = Command::parse(command)?;
        let keeps = judge::keeps(gateway, grant, &command);
        judge::scp(gateway, grant, &command)
            .then(|| Protocol::Scp(Box::new(Scp::new(command.direction)), command, keeps))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something for the client that is not the amphora's. Never, where there is no transfer.
    pub async fn has_answers(transfer: Option<&Self>) {
        match transfer {
            Some(transfer) => transfer.answered.notified().await,
            None => std::future::pending().await,
        }
    }

    /// The gateway's own answers, where the client can tell them from the amphora's.
    pub fn answers(&self, pieces: &mut Vec<Piece>) {
        let mut state = self.state();
        if let Protocol::Sftp(sftp) = &state.protocol
            && sftp.may_answer()
        {
            // Nothing follows the end of output: the answers come before it.
            let at = pieces
                .iter()
                .position(|piece| matches!(piece, Piece::Exit(..) | Piece::Eof | Piece::Close))
                .unwrap_or(pieces.len());
            pieces.splice(at..at, state.answers.drain(..).map(Piece::Understood));
            self.moved.notify_one();
        }
    }

    /// Output of the amphora. It goes on after [`Transfer::tell`].
    pub fn output(&self, mut data: Bytes, pieces: &mut Vec<Piece>) -> Result<(), Trouble> {
        let outcome = {
            let mut state = self.state();
            let State {
                protocol,
                path,
                untold,
                ..
            } = &mut *state;
            match protocol {
                Protocol::Sftp(sftp) => {
                    let mut each = || sftp.amphora(&mut data);
                    loop {
                        match each() {
                            Ok(Some(FromAmphora::Pass(bytes))) => {
                                pieces.push(Piece::Understood(bytes));
                            }
                            Ok(Some(FromAmphora::Path(answer))) => *path = Some(answer),
                            Ok(None) => break Ok(()),
                            Err(fault) => break Err(malformed(&fault)),
                        }
                    }
                }
                Protocol::Scp(scp, _, keeps) => {
                    let runs = scp.amphora(data);
                    keep(&runs, *keeps, untold);
                    untold.extend(scp.happened().into_iter().map(Untold::Scp));
                    pieces.extend(runs.into_iter().map(piece));
                    Ok(())
                }
                Protocol::Rsync(rsync, _) => {
                    pieces.extend(rsync.amphora(data).into_iter().map(piece));
                    Ok(())
                }
            }
        };
        self.moved.notify_one();
        outcome
    }

    /// Input of the client, which goes on as far as it may.
    pub async fn input(
        &self,
        mut data: Bytes,
        to_amphora: &ChannelWriteHalf<client::Msg>,
        live: &LiveSession,
    ) -> Result<(), Trouble> {
        loop {
            let mut named = None;
            let next = {
                let mut state = self.state();
                let State {
                    protocol, untold, ..
                } = &mut *state;
                match protocol {
                    Protocol::Sftp(sftp) => sftp.client(&mut data).map_err(|e| malformed(&e))?,
                    Protocol::Scp(scp, _, keeps) if !data.is_empty() => {
                        keep(&scp.client(data.clone()), *keeps, untold);
                        untold.extend(scp.happened().into_iter().map(Untold::Scp));
                        Some(FromClient::Pass(std::mem::take(&mut data)))
                    }
                    Protocol::Rsync(rsync, command) if !data.is_empty() => {
                        rsync.client(data.clone());
                        named = Some((command.clone(), rsync.named(), rsync.is_rsync()));
                        Some(FromClient::Pass(std::mem::take(&mut data)))
                    }
                    Protocol::Scp(..) | Protocol::Rsync(..) => None,
                }
            };
            if let Some((command, names, is_rsync)) = named {
                judge::named(&self.gateway, live, &command, names).await?;
                // What is not read has no names to judge: whoever gets out of the reader would get out of the rules.
                if !is_rsync {
                    return Err(Trouble::Transfer(NO_RSYNC.to_owned()));
                }
            }
            self.tell(live).await?;
            // A send that fails means that the amphora has closed: the other direction sees that, and ends both.
            match next {
                None => return Ok(()),
                Some(FromClient::Pass(bytes)) => {
                    let _ = to_amphora.data_bytes(bytes).await;
                }
                Some(FromClient::Answer(bytes)) => self.answer(bytes).await,
                Some(FromClient::Wait) => self.moved.notified().await,
                Some(FromClient::Decide(asked)) => {
                    match judge::places(self, &asked, to_amphora, live).await? {
                        Ok((places, keep)) => {
                            let packet = self.sftp(|sftp| sftp.allow(asked, places, keep));
                            self.tell(live).await?;
                            if let Some(packet) = packet {
                                let _ = to_amphora.data_bytes(packet).await;
                            }
                        }
                        Err(no) => {
                            let packet = self.sftp(|sftp| match no.denied {
                                Some(_) => sftp.refuse(&asked, &no.status),
                                None => sftp.impossible(asked.clone(), &no.status),
                            });
                            if let Some(denied) = &no.denied {
                                let operation = asked.operation();
                                story::refused(&self.gateway, live, "sftp", operation, denied)?;
                            }
                            self.tell(live).await?;
                            if let Some(packet) = packet {
                                self.answer(packet).await;
                            }
                        }
                    }
                }
            }
        }
    }

    fn sftp<T>(&self, act: impl FnOnce(&mut Sftp) -> T) -> Option<T> {
        match &mut self.state().protocol {
            Protocol::Sftp(sftp) => Some(act(sftp)),
            Protocol::Scp(..) | Protocol::Rsync(..) => None,
        }
    }

    async fn answer(&self, packet: Bytes) {
        while self.state().answers.len() >= MAX_ANSWERS {
            self.moved.notified().await;
        }
        self.state().answers.push_back(packet);
        self.answered.notify_one();
    }

    /// Asks the amphora which file this path means. Whoever asks waits, and takes nothing from the client meanwhile.
    pub async fn canonical(
        &self,
        path: &[u8],
        expand: bool,
        to_amphora: &ChannelWriteHalf<client::Msg>,
        live: &LiveSession,
    ) -> Result<Result<Vec<u8>, Status>, Trouble> {
        if let Some(packet) = self.sftp(|sftp| sftp.question(path, expand)) {
            let _ = to_amphora.data_bytes(packet).await;
        }
        loop {
            if let Some(answer) = self.state().path.take() {
                return Ok(answer);
            }
            let before = live.recorder.relayed_bytes();
            let moved = tokio::time::timeout(PATIENCE, self.moved.notified()).await;
            // What was asked for before comes first, and a slow client may take long over it.
            if moved.is_err() && live.recorder.relayed_bytes() == before {
                let silent = "its sftp server does not say where a path leads";
                return Err(Trouble::Broken(silent.to_owned()));
            }
        }
    }

    /// The directory in which relative paths begin. It stays the same for as long as the channel lives.
    pub async fn home(
        &self,
        to_amphora: &ChannelWriteHalf<client::Msg>,
        live: &LiveSession,
    ) -> Result<Result<Vec<u8>, Status>, Trouble> {
        if let Some(home) = self.state().home.clone() {
            return Ok(Ok(home));
        }
        let home = self.canonical(b".", false, to_amphora, live).await?;
        if let Ok(home) = &home {
            self.state().home = Some(home.clone());
        }
        Ok(home)
    }

    /// The channel has ended: what is still open is told as it is.
    pub async fn finish(&self, live: &LiveSession) -> Result<(), Trouble> {
        match &mut self.state().protocol {
            Protocol::Sftp(sftp) => sftp.finish(),
            Protocol::Scp(scp, ..) => scp.finish(),
            Protocol::Rsync(rsync, _) => rsync.finish(),
        }
        self.tell(live).await
    }

    /// Keeps what is to be kept, and writes down what happened: before the other side learns of it.
    pub async fn tell(&self, live: &LiveSession) -> Result<(), Trouble> {
        let mut keeper = self.keeper.lock().await;
        loop {
            // Only once it is told is it taken away: this wait may be cancelled, and another goes on with it.
            let Some((next, path, read)) = self.state().next_untold() else {
                return Ok(());
            };
            let told = self.tell_one(&mut keeper, live, next, &path, read).await;
            self.state().untold.pop_front();
            told?;
        }
    }

    async fn tell_one(
        &self,
        keeper: &mut Keeper,
        live: &LiveSession,
        what: Untold,
        path: &str,
        read: bool,
    ) -> Result<(), Trouble> {
        let gateway = &self.gateway;
        match what {
            Untold::Sftp(Happened::Content {
                number,
                path,
                is_written,
                bytes,
            }) => {
                let of = Of {
                    protocol: "sftp",
                    number,
                    path: &path,
                    is_written,
                };
                keeper.take(gateway, live, of, &bytes).await
            }
            Untold::Sftp(what) => {
                let kept = match &what {
                    Happened::File(file) => keeper.close(gateway, live, file.number).await?,
                    _ => Kept::default(),
                };
                story::happened(gateway, live, what, kept)
            }
            Untold::Content(bytes) => {
                let of = Of {
                    protocol: "scp",
                    number: 0,
                    path: path.as_bytes(),
                    is_written: !read,
                };
                keeper.take(gateway, live, of, &bytes).await
            }
            Untold::Scp(file) => {
                let kept = keeper.close(gateway, live, 0).await?;
                story::scp(gateway, live, path, read, file, kept)
            }
            Untold::Rsync(file) => story::rsync(gateway, live, path, read, file),
        }
    }
}

impl State {
    /// The oldest thing that is not told, with the path and the direction of the command, if it is one.
    fn next_untold(&mut self) -> Option<(Untold, String, bool)> {
        let (path, read) = match &mut self.protocol {
            Protocol::Sftp(sftp) => {
                let happened = sftp.happened();
                self.untold.extend(happened.into_iter().map(Untold::Sftp));
                (String::new(), true)
            }
            Protocol::Scp(scp, command, _) => {
                let happened = scp.happened();
                self.untold.extend(happened.into_iter().map(Untold::Scp));
                let read = command.direction == Direction::FromAmphora;
                (command.path.clone(), read)
            }
            Protocol::Rsync(rsync, command) => {
                let happened = rsync.happened();
                self.untold.extend(happened.into_iter().map(Untold::Rsync));
                let read = command.direction == Direction::FromAmphora;
                (command.path.clone(), read)
            }
        };
        self.untold.front().map(|next| (next.clone(), path, read))
    }
}

/// What of the bytes is content goes to the keeper, if it is kept.
fn keep(runs: &[Understood], keeps: bool, untold: &mut VecDeque<Untold>) {
    untold.extend(runs.iter().filter_map(|run| match run {
        Understood::Content(bytes) if keeps => Some(Untold::Content(bytes.clone())),
        _ => None,
    }));
}

/// Content is accounted for; all the rest is recorded.
fn piece(run: Understood) -> Piece {
    match run {
        Understood::Content(bytes) => Piece::Understood(bytes),
        Understood::Other(bytes) => Piece::Data(Stream::Stdout, bytes),
    }
}

fn malformed(fault: &Malformed) -> Trouble {
    Trouble::Transfer(fault.to_string())
}
