//! In: both directions of one rsync, in the order in which they pass. Out: which bytes are a file's content.
//! Never: calls anything content that the one side did not ask for and the other did not announce.

mod command;
mod frames;
mod list;
mod numbers;
mod talk;

use bytes::Bytes;

use crate::command::Direction;
use crate::content::Sum;
use crate::scp::Understood;

pub use command::RsyncCommand;
use frames::{Frames, Part};
use numbers::{Reader, Stop};
use talk::{Side, Talk};

/// Longest thing that is read in one piece. What is longer is no rsync.
const LONGEST_PIECE: usize = 16 << 10;
/// How much is looked at again when a piece comes in several packets.
const STEP: usize = 64;

/// A file that passed, or was meant to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsyncFile {
    /// As the sending side called it, below the path of the command.
    pub name: Vec<u8>,
    /// Its mode, octal, as the sending side said; rsync's own checksum; what the receiving side had of it already.
    pub attributes: String,
    /// What passed of it.
    pub sum: Sum,
    /// `ok`, or what went wrong.
    pub result: &'static str,
}

/// It is no rsync, or none that is understood.
#[derive(Clone, Copy, Debug)]
struct NoRsync;

/// One exec of rsync.
#[derive(Debug)]
pub struct Rsync {
    direction: Direction,
    talk: Talk,
    client: Stream,
    amphora: Stream,
    /// It was no rsync, or none that is read: from here on nothing is content.
    lost: bool,
}

/// One direction.
#[derive(Debug)]
struct Stream {
    side: Side,
    /// Once both sides send their bytes in frames.
    frames: Option<Frames>,
    /// The beginning of what is to be read next.
    held: Vec<u8>,
}

/// What of a packet is content, in order.
struct Runs {
    data: Bytes,
    runs: Vec<Understood>,
    /// How much at the front of `data` is known, and as what.
    known: usize,
    content: bool,
}

impl Rsync {
    /// The one that this command starts.
    pub fn new(command: &RsyncCommand) -> Self {
        let sends = command.direction == Direction::ToAmphora;
        Self {
            direction: command.direction,
            talk: Talk::new(command.options),
            client: Stream::new(Side::client(sends)),
            amphora: Stream::new(Side::server(!sends)),
            lost: false,
        }
    }

    /// The files that passed since the last call.
    pub fn happened(&mut self) -> Vec<RsyncFile> {
        std::mem::take(&mut self.talk.happened)
    }

    /// What the operator's side named since the last call, and what has to be decided before that goes on: all files that
    /// it will send, or those of which it asks for the content.
    pub fn named(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.talk.named)
    }

    /// Whether everything so far was rsync.
    pub fn is_rsync(&self) -> bool {
        !self.lost
    }

    /// What the client sent.
    pub fn client(&mut self, data: Bytes) -> Vec<Understood> {
        self.take(data, true)
    }

    /// What the amphora sent.
    pub fn amphora(&mut self, data: Bytes) -> Vec<Understood> {
        self.take(data, false)
    }

    /// The channel has ended, or this is no rsync: a file that is not complete stays so.
    pub fn finish(&mut self) {
        self.talk.break_off();
    }

    fn take(&mut self, data: Bytes, from_client: bool) -> Vec<Understood> {
        let mut runs = Runs::of(data.clone());
        let stream = match from_client {
            true => &mut self.client,
            false => &mut self.amphora,
        };
        // From the operator: what they send, or what they want.
        self.talk.names = from_client;
        if !self.lost && stream.read(data, &mut self.talk, &mut runs).is_err() {
            self.lost = true;
            self.talk.break_off();
        }
        runs.finish()
    }

    /// Which way the files go.
    pub fn direction(&self) -> Direction {
        self.direction
    }
}

impl Stream {
    fn new(side: Side) -> Self {
        Self {
            side,
            frames: None,
            held: Vec::new(),
        }
    }

    fn read(&mut self, mut data: Bytes, talk: &mut Talk, runs: &mut Runs) -> Result<(), NoRsync> {
        while !data.is_empty() {
            self.side.settle(talk)?;
            if self.frames.is_none() && self.side.is_framed(talk) {
                self.frames = Some(Frames::default());
            }
            let part = match &mut self.frames {
                Some(frames) => frames.next(&mut data)?,
                None => Part::Body(std::mem::take(&mut data)),
            };
            match part {
                Part::Header(length) => runs.push_mortar(length, self.side.spare(talk), talk),
                Part::Message(length) => runs.push(length, false),
                Part::Body(body) => {
                    let left = self.body(body, talk, runs)?;
                    data = match self.frames {
                        Some(_) => data,
                        None => left,
                    };
                }
            }
        }
        Ok(())
    }

    /// What stands in the frames. Out comes what is left over when frames begin in the middle.
    fn body(
        &mut self,
        mut body: Bytes,
        talk: &mut Talk,
        runs: &mut Runs,
    ) -> Result<Bytes, NoRsync> {
        while !body.is_empty() {
            self.side.settle(talk)?;
            if self.frames.is_none() && self.side.is_framed(talk) {
                break;
            }
            if let Some(count) = self.side.content(&body, talk) {
                let _ = body.split_to(count);
                runs.push(count, true);
                continue;
            }
            if let Some(count) = self.side.sums(body.len()) {
                let _ = body.split_to(count);
                runs.push(count, false);
                continue;
            }
            // Asked before: behind its last token, a file has nothing to spare.
            let spare = self.side.spare(talk);
            let count = self.piece(&body, talk)?;
            let _ = body.split_to(count);
            runs.push_mortar(count, spare, talk);
        }
        Ok(body)
    }

    /// Reads one piece if it is complete. Out comes how much of `body` is dealt with.
    fn piece(&mut self, body: &[u8], talk: &mut Talk) -> Result<usize, NoRsync> {
        let before = self.held.len();
        let offered = match before {
            0 => body.len(),
            _ => body.len().min(STEP),
        };
        let fresh = body.get(..offered).unwrap_or_default();
        let read = match before {
            0 => self
                .side
                .piece(&mut Reader::new(fresh, talk.protocol()), talk),
            _ => {
                self.held.extend_from_slice(fresh);
                let mut reader = Reader::new(&self.held, talk.protocol());
                self.side.piece(&mut reader, talk)
            }
        };
        match read {
            Ok(read) => {
                self.held.clear();
                // Nothing is left of what was held: it was not complete before.
                Ok(read.saturating_sub(before))
            }
            Err(Stop::Short) if before + offered > LONGEST_PIECE => Err(NoRsync),
            Err(Stop::Short) => {
                if before == 0 {
                    self.held.extend_from_slice(fresh);
                }
                Ok(offered)
            }
            Err(Stop::NoRsync) => Err(NoRsync),
        }
    }
}

impl Runs {
    fn of(data: Bytes) -> Self {
        Self {
            data,
            runs: Vec::new(),
            known: 0,
            content: false,
        }
    }

    /// Lengths between the pieces of a file: counted like content as far as there is much more content than these, so
    /// that a large file stays small in the recording; else recorded, or who makes them could talk by them.
    fn push_mortar(&mut self, length: usize, spare: usize, talk: &mut Talk) {
        let counted = length.min(spare);
        talk.spend(counted);
        self.push(counted, true);
        self.push(length - counted, false);
    }

    fn push(&mut self, length: usize, content: bool) {
        if length == 0 {
            return;
        }

        if content != self.content {
            self.cut();
            self.content = content;
        }
        self.known += length;
    }

    fn cut(&mut self) {
        if self.known > 0 {
            let run = self.data.split_to(self.known.min(self.data.len()));
            self.runs.push(match self.content {
                true => Understood::Content(run),
                false => Understood::Other(run),
            });
            self.known = 0;
        }
    }

    /// What nobody understood is the rest.
    fn finish(mut self) -> Vec<Understood> {
        self.cut();
        if !self.data.is_empty() {
            self.runs.push(Understood::Other(self.data));
        }
        self.runs
    }
}
