//! In: both directions of one sftp channel, in the order in which they pass. Out: what goes on, what has to be decided
//! first, what happened.
//! Never: lets a request on that it does not understand, or a request with a path before it was allowed.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use bytes::Bytes;

use crate::asked::{self, Asked, Place, What};
use crate::content::Content;
use crate::error::Malformed;
use crate::frame::{DATA, Frames, LONGEST_HANDLE, Piece, WRITE};
use crate::happened::{Change, ClosedFile, Happened, Keep};
use crate::path::absolute;
use crate::request::{Request, parse};
use crate::wire::{Attributes, Fields, Packet};

/// Requests that wait for an answer. Some clients ask for a whole file at once: the rest of it waits with them.
pub const MAX_OUTSTANDING: usize = 4096;
/// Files and directories that are open at once.
const MAX_OPEN: usize = 1024;
/// The only version that OpenSSH's server speaks.
const VERSION: u32 = 3;
/// Numbers of the gateway's own questions begin here; one that the client uses at that moment is passed over.
const OWN: u32 = 0xa3b0_0000;

/// A status of the protocol (draft section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The number.
    pub code: u32,
    /// The sentence beside it.
    pub message: Vec<u8>,
}

impl Status {
    /// What the policy does not allow.
    pub const DENIED: u32 = 3;
    /// What cannot be done.
    pub const FAILURE: u32 = 4;
    /// What nobody here understands.
    pub const UNSUPPORTED: u32 = 8;

    fn word(&self) -> String {
        match self.code {
            0 => "ok".to_owned(),
            1 => "eof".to_owned(),
            2 => "no-such-file".to_owned(),
            3 => "permission-denied".to_owned(),
            4 => "failure".to_owned(),
            5 => "bad-message".to_owned(),
            8 => "unsupported".to_owned(),
            other => format!("status-{other}"),
        }
    }
}

/// What comes of the client's bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum FromClient {
    /// Goes on to the amphora.
    Pass(Bytes),
    /// Waits for [`Sftp::allow`] or [`Sftp::refuse`].
    Decide(Asked),
    /// Goes back to the client, and nothing on: it could not be allowed by anybody.
    Answer(Bytes),
    /// Too many requests wait for an answer: try again when one has come.
    Wait,
}

/// What comes of the amphora's bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum FromAmphora {
    /// Goes on to the client.
    Pass(Bytes),
    /// The answer to [`Sftp::question`]: a path, or why there is none.
    Path(Result<Vec<u8>, Status>),
}

/// One sftp channel.
#[derive(Debug)]
pub struct Sftp {
    up: Frames,
    down: Frames,
    began: bool,
    /// What is next for the caller, after the bytes before it.
    next_up: Option<FromClient>,
    next_down: Option<FromAmphora>,
    outstanding: HashMap<u32, Pending>,
    own: u32,
    handles: HashMap<Vec<u8>, u64>,
    open: HashMap<u64, Open>,
    opened: u64,
    writing: Writing,
    /// The file and offset of the content that comes down.
    reading: Option<(u64, u64)>,
    waiting: usize,
    happened: VecDeque<Happened>,
}

/// Whose the content is that comes up.
#[derive(Debug)]
enum Writing {
    Nothing,
    File(u64, u64),
    /// It was refused: its content goes nowhere.
    Dropped,
}

#[derive(Debug)]
enum Pending {
    Version,
    Own,
    Open(Opening),
    Close(u64),
    Read {
        file: u64,
        offset: u64,
        length: u32,
    },
    Write(u64),
    Entries(u64),
    Fstat(u64),
    Fsetstat(u64, Attributes),
    Change(Change),
    /// A question: whatever is answered changes nothing.
    Looks,
}

#[derive(Debug)]
struct Opening {
    path: Vec<u8>,
    /// None for a directory.
    flags: Option<u32>,
    keep: Keep,
}

#[derive(Debug)]
struct Open {
    path: Vec<u8>,
    kind: Kind,
    /// The first failure, or `ok`.
    result: String,
}

#[derive(Debug)]
enum Kind {
    Directory(u64),
    File {
        flags: u32,
        read: Box<Content>,
        written: Box<Content>,
        attributes: Option<Attributes>,
    },
}

impl Default for Sftp {
    fn default() -> Self {
        Self {
            up: Frames::new(WRITE),
            down: Frames::new(DATA),
            began: false,
            next_up: None,
            next_down: None,
            outstanding: HashMap::new(),
            own: OWN,
            handles: HashMap::new(),
            open: HashMap::new(),
            opened: 0,
            writing: Writing::Nothing,
            reading: None,
            waiting: 0,
            happened: VecDeque::new(),
        }
    }
}

/// What becomes of one packet of the client's.
enum Verdict {
    Pass,
    Instead(FromClient),
}

impl Sftp {
    /// What happened since the last call.
    pub fn happened(&mut self) -> VecDeque<Happened> {
        std::mem::take(&mut self.happened)
    }

    /// Whether something may be said to the client now: not in the middle of a packet.
    pub fn may_answer(&self) -> bool {
        self.down.between_packets()
    }

    /// Takes the front of what the client sent. None: all of it is taken, and more is needed.
    ///
    /// # Errors
    /// It is no SFTP: the channel must end.
    pub fn client(&mut self, data: &mut Bytes) -> Result<Option<FromClient>, Malformed> {
        if let Some(next) = self.next_up.take() {
            return Ok(Some(next));
        }
        let mut whole = data.clone();
        let mut passed = 0;
        loop {
            if self.outstanding.len() >= MAX_OUTSTANDING && self.up.between_packets() {
                return Ok(Some(match passed {
                    0 => FromClient::Wait,
                    passed => FromClient::Pass(whole.split_to(passed)),
                }));
            }
            match self.up.next(data)? {
                None if passed == 0 => return Ok(None),
                None => return Ok(Some(FromClient::Pass(whole.split_to(passed)))),
                Some(Piece::Content(content)) => {
                    if self.wrote(&content) {
                        passed += content.len();
                    } else {
                        // Only ever at the front: its head was not passed on either.
                        whole = data.clone();
                    }
                }
                Some(Piece::Packet { bytes, fresh }) => match self.request(&bytes)? {
                    Verdict::Pass if fresh => passed += bytes.len(),
                    Verdict::Pass => return Ok(Some(FromClient::Pass(bytes))),
                    Verdict::Instead(next) if passed == 0 => return Ok(Some(next)),
                    Verdict::Instead(next) => {
                        self.next_up = Some(next);
                        return Ok(Some(FromClient::Pass(whole.split_to(passed))));
                    }
                },
            }
        }
    }

    /// Takes the front of what the amphora sent. None: all of it is taken.
    ///
    /// # Errors
    /// It is no SFTP, or the answer to nothing: the channel must end.
    pub fn amphora(&mut self, data: &mut Bytes) -> Result<Option<FromAmphora>, Malformed> {
        if let Some(next) = self.next_down.take() {
            return Ok(Some(next));
        }
        let mut whole = data.clone();
        let mut passed = 0;
        loop {
            match self.down.next(data)? {
                None if passed == 0 => return Ok(None),
                None => return Ok(Some(FromAmphora::Pass(whole.split_to(passed)))),
                Some(Piece::Content(content)) => {
                    self.read(&content);
                    passed += content.len();
                }
                Some(Piece::Packet { bytes, fresh }) => match self.reply(&bytes)? {
                    None if fresh => passed += bytes.len(),
                    None => return Ok(Some(FromAmphora::Pass(bytes))),
                    Some(next) if passed == 0 => return Ok(Some(next)),
                    Some(next) => {
                        self.next_down = Some(next);
                        return Ok(Some(FromAmphora::Pass(whole.split_to(passed))));
                    }
                },
            }
        }
    }

    /// A question of the gateway's own: which file this path means. Nothing of the client's may be taken until it is
    /// answered, so that no number of its own is the same.
    pub fn question(&mut self, path: &[u8], expand: bool) -> Bytes {
        while self.outstanding.contains_key(&self.own) {
            self.own = self.own.wrapping_add(1);
        }
        self.outstanding.insert(self.own, Pending::Own);
        match expand {
            true => Packet::new(200, self.own)
                .string(b"expand-path@openssh.com")
                .string(path)
                .finish(),
            false => Packet::new(16, self.own).string(path).finish(),
        }
    }

    /// The request goes on, with these paths in the place of its own. If it opens a file, `keep` says what is kept of it.
    pub fn allow(&mut self, asked: Asked, places: Vec<Place>, keep: Keep) -> Bytes {
        let packet = asked.packet(&places);
        let mut places = places.into_iter().map(|place| place.real);
        let first = places.next().unwrap_or_default();
        let pending = match asked.what {
            What::Open(flags) => {
                self.happened.push_back(Happened::Opening {
                    path: first.clone(),
                    flags: asked::flag_words(flags),
                });
                Pending::Open(Opening {
                    path: first,
                    flags: Some(flags),
                    keep,
                })
            }
            What::Opendir => Pending::Open(Opening {
                path: first,
                flags: None,
                keep,
            }),
            what if what.only_looks() => Pending::Looks,
            what => {
                let second = places.next();
                // Of a link, its own name comes second.
                let (path, to) = match (what, second) {
                    (What::Symlink | What::Hardlink, Some(link)) => (link, Some(first)),
                    (_, second) => (first, second),
                };
                Pending::Change(Change {
                    operation: what.word(),
                    path,
                    to,
                    detail: asked.detail,
                    result: String::new(),
                })
            }
        };
        self.outstanding.insert(asked.id, pending);
        packet
    }

    /// What the client is told instead of an answer of the amphora's.
    pub fn refuse(&self, asked: &Asked, status: &Status) -> Bytes {
        answer(asked.id, status)
    }

    /// The same where the amphora itself said, before the request could go on, that there is no such path.
    pub fn impossible(&mut self, asked: Asked, status: &Status) -> Bytes {
        let packet = answer(asked.id, status);
        let id = asked.id;
        let places = asked.paths.iter().map(|path| Place {
            real: path.clone(),
            sent: Vec::new(),
        });
        let places = places.collect();
        self.allow(asked, places, Keep::default());
        if let Some(pending) = self.outstanding.remove(&id) {
            self.ended(pending, status.clone());
        }
        packet
    }

    /// The channel has ended: what was open is closed.
    pub fn finish(&mut self) {
        let mut left: Vec<u64> = self.open.keys().copied().collect();
        left.sort_unstable();
        for file in left {
            if let Some(open) = self.open.get_mut(&file)
                && open.result == "ok"
            {
                open.result = "not closed".to_owned();
            }
            self.close(file);
        }
        let mut left: Vec<(u32, Pending)> = self.outstanding.drain().collect();
        left.sort_unstable_by_key(|(id, _)| *id);
        for (_, pending) in left {
            let unanswered = "no answer".to_owned();
            match pending {
                Pending::Change(change) => self.changed(change, unanswered),
                Pending::Open(opening) => self.not_opened(opening, unanswered),
                _ => {}
            }
        }
    }

    fn request(&mut self, packet: &Bytes) -> Result<Verdict, Malformed> {
        let (id, request) = parse(packet)?;
        match (&request, self.began) {
            (Request::Init, false) => {
                self.began = true;
                self.outstanding.insert(0, Pending::Version);
                return Ok(Verdict::Pass);
            }
            (Request::Init, true) => return Err(Malformed::new("INIT comes twice")),
            (_, false) => return Err(Malformed::new("a request comes before INIT")),
            (_, true) => {}
        }
        if self.outstanding.contains_key(&id) {
            return Err(Malformed::new(format!(
                "two requests have the number {id} at once"
            )));
        }
        let refuse = |code, message: &str| {
            let status = Status {
                code,
                message: message.as_bytes().to_vec(),
            };
            Ok(Verdict::Instead(FromClient::Answer(answer(id, &status))))
        };
        let unknown_handle = || refuse(Status::FAILURE, "ampgate: no such handle is open");
        let pending = match request {
            Request::Init => return Ok(Verdict::Pass),
            Request::Asked(asked) => {
                let opens = matches!(asked.what, What::Open(_) | What::Opendir);
                let opening = self
                    .outstanding
                    .values()
                    .filter(|p| matches!(p, Pending::Open(_)));
                if opens && self.open.len() + opening.count() >= MAX_OPEN {
                    return refuse(Status::FAILURE, "ampgate: too many files are open");
                }
                return Ok(Verdict::Instead(FromClient::Decide(asked)));
            }
            Request::Close(handle) => match self.handles.remove(handle) {
                Some(file) => Pending::Close(file),
                None => return unknown_handle(),
            },
            Request::Read {
                handle,
                offset,
                length,
            } => match self.file(handle) {
                Some((file, flags)) if flags & asked::READ != 0 => Pending::Read {
                    file,
                    offset,
                    length,
                },
                Some(_) => return refuse(Status::DENIED, "ampgate: it is not open for reading"),
                None => return unknown_handle(),
            },
            Request::Write { handle, offset } => match self.file(handle) {
                Some((file, flags)) if asked::writes(flags) => {
                    self.writing = Writing::File(file, offset);
                    Pending::Write(file)
                }
                found => {
                    self.writing = Writing::Dropped;
                    return match found {
                        Some(_) => refuse(Status::DENIED, "ampgate: it is not open for writing"),
                        None => unknown_handle(),
                    };
                }
            },
            Request::Fstat(handle) => match self.handles.get(handle) {
                Some(file) => Pending::Fstat(*file),
                None => return unknown_handle(),
            },
            Request::Fsetstat { handle, attributes } => match self.handles.get(handle) {
                Some(file) => match self.open.get(file) {
                    Some(open) if !open.is_written() => {
                        let asked = Asked {
                            id,
                            what: What::Fsetstat,
                            paths: vec![open.path.clone()],
                            tail: packet.slice(packet.len().min(9)..),
                            detail: Some(attributes.to_string()),
                        };
                        return Ok(Verdict::Instead(FromClient::Decide(asked)));
                    }
                    _ => Pending::Fsetstat(*file, attributes),
                },
                None => return unknown_handle(),
            },
            Request::Readdir(handle) => match self.handles.get(handle) {
                Some(file) => Pending::Entries(*file),
                None => return unknown_handle(),
            },
            Request::OfHandle(handle) if self.handles.contains_key(handle) => Pending::Looks,
            Request::OfHandle(_) => return unknown_handle(),
            Request::CopyData { from, to } => match (self.file(from), self.file(to)) {
                (Some((from, reads)), Some((to, writes)))
                    if reads & asked::READ != 0 && asked::writes(writes) =>
                {
                    self.copied(from, to)
                }
                (Some(_), Some(_)) => {
                    return refuse(Status::DENIED, "ampgate: one is not open for that");
                }
                _ => return unknown_handle(),
            },
            Request::General => Pending::Looks,
            Request::Unknown => {
                return refuse(
                    Status::UNSUPPORTED,
                    "ampgate: what this request does is not known here",
                );
            }
        };
        self.outstanding.insert(id, pending);
        Ok(Verdict::Pass)
    }

    fn file(&self, handle: &[u8]) -> Option<(u64, u32)> {
        let file = *self.handles.get(handle)?;
        match self.open.get(&file)?.kind {
            Kind::File { flags, .. } => Some((file, flags)),
            Kind::Directory(_) => None,
        }
    }

    /// What is copied on the amphora itself does not pass here: the target has no hash.
    fn copied(&mut self, from: u64, to: u64) -> Pending {
        let source = self.open.get(&from).map(|open| open.path.clone());
        let mut path = Vec::new();
        if let Some(open) = self.open.get_mut(&to) {
            path.clone_from(&open.path);
            if let Kind::File { written, .. } = &mut open.kind {
                written.give_up(&mut self.waiting);
            }
        }
        Pending::Change(Change {
            operation: "copy-data",
            path: source.unwrap_or_default(),
            to: Some(path),
            detail: None,
            result: String::new(),
        })
    }

    /// False where the content belongs to nothing and goes nowhere.
    fn wrote(&mut self, content: &[u8]) -> bool {
        match &mut self.writing {
            Writing::File(file, offset) => {
                if let Some(Open {
                    path,
                    kind: Kind::File { written, .. },
                    ..
                }) = self.open.get_mut(file)
                {
                    written.take(*offset, content, &mut self.waiting);
                    keep(&mut self.happened, *file, path, true, written.kept());
                }
                *offset = offset.saturating_add(content.len() as u64);
                true
            }
            Writing::Nothing | Writing::Dropped => false,
        }
    }

    fn read(&mut self, content: &[u8]) {
        let Some((file, offset)) = &mut self.reading else {
            return;
        };
        if let Some(Open {
            path,
            kind: Kind::File { read, .. },
            ..
        }) = self.open.get_mut(file)
        {
            read.take(*offset, content, &mut self.waiting);
            keep(&mut self.happened, *file, path, false, read.kept());
        }
        *offset = offset.saturating_add(content.len() as u64);
    }

    /// One packet of the amphora's: None where it goes on as it is.
    fn reply(&mut self, packet: &Bytes) -> Result<Option<FromAmphora>, Malformed> {
        let kind = packet.get(4).copied().unwrap_or_default();
        let mut fields = Fields::new(packet.get(5..).unwrap_or_default(), "an answer");
        let id = fields.u32()?;
        if kind == 2 {
            return match (self.outstanding.remove(&0), id) {
                (Some(Pending::Version), VERSION) => Ok(None),
                (Some(Pending::Version), other) => Err(Malformed::new(format!(
                    "the amphora speaks version {other} of SFTP, and 3 is needed"
                ))),
                _ => Err(Malformed::new("the amphora tells its version unasked")),
            };
        }
        let Some(pending) = self.outstanding.remove(&id) else {
            return Err(Malformed::new(format!(
                "the amphora answers {id}, which was not asked"
            )));
        };
        let wrong = || {
            Err(Malformed::new(format!(
                "the amphora answers with a packet of kind {kind} what is not answered so"
            )))
        };
        match (kind, pending) {
            (_, Pending::Version) => return wrong(),
            (101, pending) => {
                let status = status(&mut fields)?;
                if status.code == 0 && matches!(pending, Pending::Own | Pending::Open(_)) {
                    return Err(Malformed::new(
                        "the amphora says ok where an answer was asked for",
                    ));
                }
                return Ok(self.ended(pending, status));
            }
            (102, Pending::Open(opening)) => {
                let handle = fields.string()?;
                self.was_opened(handle, opening)?;
            }
            (
                103,
                Pending::Read {
                    file,
                    offset,
                    length,
                },
            ) => {
                if fields.u32()? > length {
                    return Err(Malformed::new("the amphora sends more than was asked for"));
                }
                if !self.open.contains_key(&file) {
                    return Err(Malformed::new("the amphora sends of a file that it closed"));
                }
                self.reading = Some((file, offset));
            }
            (104, Pending::Own) => {
                let count = fields.u32()?;
                let path = fields.path()?.to_vec();
                // With `..` in it, it would be judged by other letters than it means.
                return match count == 1 && absolute(b"/", &path) == path {
                    true => Ok(Some(FromAmphora::Path(Ok(path)))),
                    false => Err(Malformed::new("the amphora names a path that is none")),
                };
            }
            (104, Pending::Entries(file)) => {
                let count = fields.u32()?;
                if let Some(Open {
                    kind: Kind::Directory(entries),
                    ..
                }) = self.open.get_mut(&file)
                {
                    *entries += u64::from(count);
                }
            }
            (105, Pending::Fstat(file)) => {
                let size = fields.attributes()?.size;
                if let (Some(size), Some(open)) = (size, self.open.get_mut(&file))
                    && let Kind::File { read, .. } = &mut open.kind
                {
                    read.has_size(size);
                }
            }
            (104 | 105 | 201, Pending::Looks) => {}
            _ => return wrong(),
        }
        Ok(None)
    }

    fn was_opened(&mut self, handle: &[u8], opening: Opening) -> Result<(), Malformed> {
        if handle.len() > LONGEST_HANDLE as usize || self.handles.contains_key(handle) {
            return Err(Malformed::new("the amphora gives a handle that is none"));
        }
        self.opened += 1;
        self.handles.insert(handle.to_vec(), self.opened);
        let kind = match opening.flags {
            None => Kind::Directory(0),
            Some(flags) => Kind::File {
                flags,
                read: Box::new(Content::keeping(opening.keep.read)),
                written: Box::new(Content::keeping(opening.keep.written)),
                attributes: None,
            },
        };
        let open = Open {
            path: opening.path,
            kind,
            result: "ok".to_owned(),
        };
        self.open.insert(self.opened, open);
        Ok(())
    }

    /// A request was answered with a status.
    fn ended(&mut self, pending: Pending, status: Status) -> Option<FromAmphora> {
        let good = status.code == 0;
        match pending {
            Pending::Own => return Some(FromAmphora::Path(Err(status))),
            Pending::Open(opening) => self.not_opened(opening, status.word()),
            Pending::Close(file) => {
                self.failed(file, &status);
                self.close(file);
            }
            Pending::Read { file, offset, .. } if status.code == 1 => {
                if let Some(Open {
                    kind: Kind::File { read, .. },
                    ..
                }) = self.open.get_mut(&file)
                {
                    read.ends(offset);
                }
            }
            Pending::Read { file, .. } => self.failed(file, &status),
            Pending::Write(file) if !good => {
                self.failed(file, &status);
                if let Some(Open {
                    kind: Kind::File { written, .. },
                    ..
                }) = self.open.get_mut(&file)
                {
                    written.give_up(&mut self.waiting);
                }
            }
            Pending::Fsetstat(file, attributes) if good => {
                if let Some(Open {
                    kind:
                        Kind::File {
                            written,
                            attributes: set,
                            ..
                        },
                    ..
                }) = self.open.get_mut(&file)
                {
                    if let Some(size) = attributes.size {
                        written.has_size(size);
                    }
                    *set = Some(attributes);
                }
            }
            Pending::Fsetstat(file, _) => self.failed(file, &status),
            Pending::Entries(file) if status.code != 1 => self.failed(file, &status),
            Pending::Change(change) => self.changed(change, status.word()),
            Pending::Write(_)
            | Pending::Entries(_)
            | Pending::Fstat(_)
            | Pending::Looks
            | Pending::Version => {}
        }
        None
    }

    fn failed(&mut self, file: u64, status: &Status) {
        if let Some(open) = self.open.get_mut(&file)
            && status.code != 0
            && open.result == "ok"
        {
            open.result = status.word();
        }
    }

    fn changed(&mut self, mut change: Change, result: String) {
        change.result = result;
        self.happened.push_back(Happened::Changed(change));
    }

    fn not_opened(&mut self, opening: Opening, result: String) {
        self.happened.push_back(match opening.flags {
            None => Happened::Directory {
                path: opening.path,
                entries: 0,
                result,
            },
            Some(flags) => Happened::File(Box::new(ClosedFile {
                number: 0,
                path: opening.path,
                flags: asked::flag_words(flags),
                read: None,
                written: None,
                attributes: None,
                result,
            })),
        });
    }

    fn close(&mut self, file: u64) {
        let Some(open) = self.open.remove(&file) else {
            return;
        };
        let (path, result) = (open.path, open.result);
        self.happened.push_back(match open.kind {
            Kind::Directory(entries) => Happened::Directory {
                path,
                entries,
                result,
            },
            Kind::File {
                flags,
                read,
                mut written,
                attributes,
            } => {
                if asked::begins_empty(flags) {
                    written.is_all_there_is();
                }
                let (read, written) = (read.sum(&mut self.waiting), written.sum(&mut self.waiting));
                Happened::File(Box::new(ClosedFile {
                    number: file,
                    path,
                    flags: asked::flag_words(flags),
                    read: (flags & asked::READ != 0).then_some(read),
                    written: asked::writes(flags).then_some(written),
                    attributes: attributes.map(|set| set.to_string()),
                    result,
                }))
            }
        });
    }
}

impl Open {
    fn is_written(&self) -> bool {
        matches!(&self.kind, Kind::File { flags, .. } if asked::writes(*flags))
    }
}

/// Content that is to be kept.
fn keep(
    happened: &mut VecDeque<Happened>,
    number: u64,
    path: &[u8],
    is_written: bool,
    pieces: Vec<Bytes>,
) {
    happened.extend(pieces.into_iter().map(|bytes| Happened::Content {
        number,
        path: path.to_vec(),
        is_written,
        bytes,
    }));
}

fn status(fields: &mut Fields<'_>) -> Result<Status, Malformed> {
    let code = fields.u32()?;
    let mut message = Vec::new();
    if !fields.is_empty() {
        message = fields.string()?.to_vec();
        fields.string()?;
    }
    fields.end()?;
    Ok(Status { code, message })
}

fn answer(id: u32, status: &Status) -> Bytes {
    Packet::new(101, id)
        .u32(status.code)
        .string(&status.message)
        .string(b"")
        .finish()
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word())
    }
}
