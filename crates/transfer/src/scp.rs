//! In: both directions of one scp of old, in the order in which they pass. Out: which bytes are a file's content.
//! Never: calls anything content that the one side did not announce and the other did not accept.

use bytes::Bytes;

use crate::command::Direction;
use crate::content::{Content, Sum};

/// Longest line; OpenSSH's own buffer for names is shorter.
const LONGEST_LINE: usize = 8 << 10;
/// Deepest tree of which the names are kept.
const DEEPEST: usize = 512;

/// A run of bytes of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Understood {
    /// A file's content: hashed and counted.
    Content(Bytes),
    /// Everything else: lines, answers, and all that is no scp.
    Other(Bytes),
}

/// A file that passed, or was meant to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScpFile {
    /// As the sending side called it, below the directories that it opened.
    pub name: Vec<u8>,
    /// Its mode, octal, as the sending side said.
    pub mode: String,
    /// What passed of it.
    pub sum: Sum,
    /// `ok`, or what went wrong.
    pub result: &'static str,
}

/// What the receiving side has to answer next; until it has, the sending side is silent.
#[derive(Debug)]
enum Awaited {
    Nothing,
    /// The greeting, the end of a directory, times.
    Anything,
    /// Whether it takes this directory.
    Entering,
    /// Whether it takes this file.
    Taking(File),
    /// Whether it has all of it.
    Having(File, &'static str),
}

#[derive(Debug)]
enum Sending {
    Line(Vec<u8>),
    Content(File, u64),
    /// The byte that says whether all of it was good.
    Verdict(File),
}

#[derive(Debug)]
struct File {
    name: Vec<u8>,
    mode: String,
    size: u64,
    content: Content,
    passed: u64,
}

/// One exec of scp.
#[derive(Debug)]
pub struct Scp {
    direction: Direction,
    sending: Sending,
    awaited: Awaited,
    /// An error of the receiving side under way.
    complaint: Option<usize>,
    /// An answer is to come for which the sending side may or may not wait.
    owed: bool,
    directories: Vec<Vec<u8>>,
    /// It was no scp: from here on nothing is content.
    lost: bool,
    happened: Vec<ScpFile>,
    waiting: usize,
}

/// It is no scp.
struct NoScp;

impl Scp {
    /// One that goes this way.
    pub fn new(direction: Direction) -> Self {
        Self {
            direction,
            sending: Sending::Line(Vec::new()),
            awaited: Awaited::Anything,
            complaint: None,
            owed: false,
            directories: Vec::new(),
            lost: false,
            happened: Vec::new(),
            waiting: 0,
        }
    }

    /// The files that passed since the last call.
    pub fn happened(&mut self) -> Vec<ScpFile> {
        std::mem::take(&mut self.happened)
    }

    /// Whether everything so far was scp.
    pub fn is_scp(&self) -> bool {
        !self.lost
    }

    /// What the client sent.
    pub fn client(&mut self, data: Bytes) -> Vec<Understood> {
        match self.direction {
            Direction::ToAmphora => self.sent(data),
            Direction::FromAmphora => self.answered(data),
        }
    }

    /// What the amphora sent.
    pub fn amphora(&mut self, data: Bytes) -> Vec<Understood> {
        match self.direction {
            Direction::ToAmphora => self.answered(data),
            Direction::FromAmphora => self.sent(data),
        }
    }

    /// The channel has ended, or this is no scp: a file that is not complete stays so.
    pub fn finish(&mut self) {
        let sending = std::mem::replace(&mut self.sending, Sending::Line(Vec::new()));
        if let Sending::Content(file, _) | Sending::Verdict(file) = sending {
            self.file(file, "broken off");
        }
        match std::mem::replace(&mut self.awaited, Awaited::Nothing) {
            Awaited::Taking(file) => self.file(file, "not taken"),
            Awaited::Having(file, _) => self.file(file, "not confirmed"),
            Awaited::Nothing | Awaited::Anything | Awaited::Entering => {}
        }
    }

    /// The sending side: lines, and contents where they were announced and taken.
    fn sent(&mut self, mut data: Bytes) -> Vec<Understood> {
        let mut runs = Vec::new();
        let mut whole = data.clone();
        let mut other = 0;
        while !self.lost && !data.is_empty() {
            if let Sending::Content(file, left) = &mut self.sending {
                if other > 0 {
                    runs.push(Understood::Other(whole.split_to(other)));
                    other = 0;
                }
                let count = usize::try_from(*left).map_or(data.len(), |left| left.min(data.len()));
                let content = data.split_to(count);
                whole = data.clone();
                file.content.take(file.passed, &content, &mut self.waiting);
                file.passed += count as u64;
                *left -= count as u64;
                runs.push(Understood::Content(content));
                self.content_ends();
                continue;
            }
            let Some(byte) = data.first().copied() else {
                break;
            };
            match self.line(byte) {
                Ok(()) => {
                    let _ = data.split_to(1);
                    other += 1;
                }
                Err(NoScp) => self.lose(),
            }
        }
        if !whole.is_empty() {
            runs.push(Understood::Other(whole));
        }
        runs
    }

    fn content_ends(&mut self) {
        if !matches!(self.sending, Sending::Content(_, 0)) {
            return;
        }
        if let Sending::Content(file, _) =
            std::mem::replace(&mut self.sending, Sending::Line(Vec::new()))
        {
            self.sending = Sending::Verdict(file);
        }
    }

    /// One byte of the sending side that is no content.
    fn line(&mut self, byte: u8) -> Result<(), NoScp> {
        if !matches!(self.awaited, Awaited::Nothing) {
            return Err(NoScp);
        }
        let line = match &mut self.sending {
            Sending::Verdict(_) => return self.verdict(byte),
            Sending::Line(line) => line,
            Sending::Content(..) => return Err(NoScp),
        };
        let begins = matches!(byte, b'C' | b'D' | b'E' | b'T' | 1 | 2);
        if line.len() >= LONGEST_LINE || (line.is_empty() && !begins) {
            return Err(NoScp);
        }
        if byte != b'\n' {
            line.push(byte);
            return Ok(());
        }
        let line = std::mem::take(line);
        self.whole_line(&line)
    }

    /// 0: all of it was good. 1: an error, which is a line.
    fn verdict(&mut self, byte: u8) -> Result<(), NoScp> {
        let Sending::Verdict(file) =
            std::mem::replace(&mut self.sending, Sending::Line(Vec::new()))
        else {
            return Err(NoScp);
        };
        match byte {
            0 => {
                self.awaited = Awaited::Having(file, "ok");
                Ok(())
            }
            1 => {
                self.sending = Sending::Line(vec![1]);
                self.owed = true;
                self.file(file, "failed at the sending side");
                Ok(())
            }
            _ => {
                self.file(file, "broken off");
                Err(NoScp)
            }
        }
    }

    fn whole_line(&mut self, line: &[u8]) -> Result<(), NoScp> {
        let (kind, rest) = line.split_first().ok_or(NoScp)?;
        match kind {
            b'C' => {
                let (mode, size, name) = entry(rest).ok_or(NoScp)?;
                let mut content = Content::new();
                content.has_size(size);
                self.awaited = Awaited::Taking(File {
                    name: self.below(name),
                    mode,
                    size,
                    content,
                    passed: 0,
                });
            }
            b'D' => {
                let (_, _, name) = entry(rest).ok_or(NoScp)?;
                if self.directories.len() >= DEEPEST {
                    return Err(NoScp);
                }
                self.directories.push(name.to_vec());
                self.awaited = Awaited::Entering;
            }
            b'E' if rest.is_empty() => {
                self.directories.pop().ok_or(NoScp)?;
                self.awaited = Awaited::Anything;
            }
            b'T' => {
                let numbers = rest.split(|b| *b == b' ').filter(|n| number(n).is_some());
                if numbers.count() != 4 || rest.iter().filter(|b| **b == b' ').count() != 3 {
                    return Err(NoScp);
                }
                self.awaited = Awaited::Anything;
            }
            // An error: nobody answers it.
            1 | 2 => {}
            _ => return Err(NoScp),
        }
        Ok(())
    }

    fn below(&self, name: &[u8]) -> Vec<u8> {
        let mut path = Vec::new();
        for directory in &self.directories {
            path.extend_from_slice(directory);
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    /// The receiving side: a NUL for yes, or a line that begins with 1 or 2.
    fn answered(&mut self, data: Bytes) -> Vec<Understood> {
        for byte in &data {
            if self.lost {
                break;
            }
            if self.answer(*byte).is_err() {
                self.lose();
            }
        }
        match data.is_empty() {
            true => Vec::new(),
            false => vec![Understood::Other(data)],
        }
    }

    fn answer(&mut self, byte: u8) -> Result<(), NoScp> {
        match (self.complaint, byte) {
            (Some(_), b'\n') => {
                self.complaint = None;
                self.refused();
                Ok(())
            }
            (Some(length), _) if length < LONGEST_LINE => {
                self.complaint = Some(length + 1);
                Ok(())
            }
            (None, 1 | 2) => {
                self.complaint = Some(1);
                Ok(())
            }
            (None, 0) => self.accepted(),
            _ => Err(NoScp),
        }
    }

    fn accepted(&mut self) -> Result<(), NoScp> {
        match std::mem::replace(&mut self.awaited, Awaited::Nothing) {
            // The error in the place of a verdict is answered like a verdict.
            Awaited::Nothing if self.owed => self.owed = false,
            Awaited::Nothing => return Err(NoScp),
            Awaited::Anything | Awaited::Entering => {}
            Awaited::Taking(file) => {
                let size = file.size;
                self.sending = Sending::Content(file, size);
                self.content_ends();
            }
            Awaited::Having(file, result) => self.file(file, result),
        }
        Ok(())
    }

    fn refused(&mut self) {
        match std::mem::replace(&mut self.awaited, Awaited::Nothing) {
            Awaited::Nothing | Awaited::Anything => {}
            Awaited::Entering => drop(self.directories.pop()),
            Awaited::Taking(file) => self.file(file, "not taken"),
            Awaited::Having(file, _) => self.file(file, "failed at the receiving side"),
        }
    }

    fn file(&mut self, file: File, result: &'static str) {
        let sum = file.content.sum(&mut self.waiting);
        self.happened.push(ScpFile {
            name: file.name,
            mode: file.mode,
            sum,
            result,
        });
    }

    fn lose(&mut self) {
        self.lost = true;
        self.finish();
    }
}

/// `0644 123 name`.
fn entry(rest: &[u8]) -> Option<(String, u64, &[u8])> {
    let mut words = rest.splitn(3, |b| *b == b' ');
    let mode = words.next()?;
    let octal = (3..=5).contains(&mode.len()) && mode.iter().all(|b| (b'0'..=b'7').contains(b));
    let size = number(words.next()?)?;
    let name = words.next()?;
    let good = octal && !name.is_empty() && !name.contains(&b'/') && !name.contains(&0);
    let mode = String::from_utf8_lossy(mode).into_owned();
    good.then_some((mode, size, name))
}

fn number(digits: &[u8]) -> Option<u64> {
    let good = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| good)?
        .parse()
        .ok()
}
