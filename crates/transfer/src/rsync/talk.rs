//! In: what one side of an rsync says, piece by piece. Out: what both have agreed upon, and which file passes.
//! Never: takes an answer for something that was not asked, or a number that the other side would not take.

use std::collections::VecDeque;

use super::command::Options;
use super::list::{Item, LONGEST_PATH, Lists, Terms, is_regular};
use super::numbers::{DONE, Indices, LIST, NO_MORE_LISTS, REMOVED, Read, Reader, Stop};
use super::{NoRsync, RsyncFile};
use crate::content::{Content, hex};

/// Protocols that are read.
const OLDEST: u32 = 29;
const NEWEST: u32 = 32;
/// What a version can be: each side says its newest, and both then speak the older.
const LATER: u32 = 40;
/// One byte of lengths and tokens may go unrecorded for so many of content: eight for 4 KiB. rsync of old makes frames
/// of 4 KiB with four bytes before each, and four more for each 32 KiB.
const CONTENT_PER_MORTAR: u64 = 512;
/// Files that were asked for and have not come.
const MOST_ASKED: usize = 1 << 18;
/// Longest list of names of checksums, and longest filter rule.
const LONGEST_NAMES: usize = 256;
const LONGEST_RULE: usize = LONGEST_PATH + 1024;
/// Rounds after all lists: files, files again, and the end.
const ROUNDS: u8 = 3;

/// What the server says that both can do.
mod able {
    pub(super) const MANY_LISTS: i32 = 1;
    pub(super) const SAFE_LISTS: i32 = 1 << 3;
    pub(super) const PACKED_FLAGS: i32 = 1 << 7;
    pub(super) const NAMED_ROOT: i32 = 1 << 8;
}

/// What happens with a file, beside its index.
mod item {
    pub(super) const BASIS: u32 = 1 << 11;
    pub(super) const NAMED: u32 = 1 << 12;
    pub(super) const NEW: u32 = 1 << 13;
    pub(super) const TRANSFER: u32 = 1 << 15;
}

/// The blocks of the old file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Blocks {
    count: i32,
    length: i32,
    sum_length: i32,
    last: i32,
}

/// What both sides know.
#[derive(Debug)]
pub(super) struct Talk {
    options: Options,
    client_version: Option<u32>,
    server_version: Option<u32>,
    able: Option<i32>,
    client_sums: Vec<u8>,
    server_sums: Vec<u8>,
    sum: Option<(&'static str, usize)>,
    lists: Lists,
    complete: bool,
    asked: VecDeque<(i32, Option<Blocks>)>,
    file: Option<File>,
    waiting: usize,
    /// Whether what is said now comes from the operator: what it names has to be decided.
    pub(super) names: bool,
    pub(super) named: Vec<Vec<u8>>,
    pub(super) happened: Vec<RsyncFile>,
}

/// A file that passes.
#[derive(Debug)]
struct File {
    name: Vec<u8>,
    mode: u32,
    blocks: Blocks,
    content: Content,
    passed: u64,
    /// Of the lengths and tokens between its pieces, those that were counted only.
    mortar: u64,
    /// What was taken from the old file.
    kept: u64,
    has_kept: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Version,
    /// It has said its version.
    Greeted,
    Able,
    Checksums,
    Seed,
    Filters,
    List,
    Users,
    Groups,
    Fault,
    /// Of the sending side: what comes next.
    Files,
    Token,
    Literal(u64),
    Checksum,
    Statistics,
    Goodbye,
    /// Of the receiving side.
    Wishes,
    Sums(u64),
}

/// One of the two.
#[derive(Debug)]
pub(super) struct Side {
    is_server: bool,
    sends: bool,
    step: Step,
    indices: Indices,
    rounds: u8,
}

impl Talk {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            client_version: None,
            server_version: None,
            able: None,
            client_sums: Vec::new(),
            server_sums: Vec::new(),
            sum: None,
            lists: Lists::default(),
            complete: false,
            asked: VecDeque::new(),
            file: None,
            waiting: 0,
            names: false,
            named: Vec::new(),
            happened: Vec::new(),
        }
    }

    /// The older one of both, once it is known.
    pub(super) fn protocol(&self) -> u32 {
        match (self.client_version, self.server_version) {
            (Some(client), Some(server)) => client.min(server),
            _ => 0,
        }
    }

    fn can(&self, able: i32) -> bool {
        self.able.is_some_and(|all| all & able != 0)
    }

    /// The checksum of whole files: its name and length.
    fn checksum(&self) -> Result<(&'static str, usize), NoRsync> {
        self.sum.ok_or(NoRsync)
    }

    /// The same, from what both sides offered.
    fn agreed(&self) -> Result<(&'static str, usize), NoRsync> {
        const KNOWN: [(&str, usize); 6] = [
            ("xxh128", 16),
            ("xxh3", 8),
            ("xxh64", 8),
            ("md5", 16),
            ("md4", 16),
            ("sha1", 20),
        ];
        if !self.can(able::PACKED_FLAGS) {
            return Ok(match self.protocol() {
                OLDEST => ("md4", 16),
                _ => ("md5", 16),
            });
        }
        // Each side takes the first of its own that the other has too.
        let first = |mine: &[u8], others: &[u8]| {
            let common = |name: &&[u8]| words(others).any(|other| other == *name);
            let name = words(mine).find(common)?.to_vec();
            KNOWN.into_iter().find(|known| known.0.as_bytes() == name)
        };
        let client = first(&self.client_sums, &self.server_sums);
        let server = first(&self.server_sums, &self.client_sums);
        match client == server {
            true => client.ok_or(NoRsync),
            false => Err(NoRsync),
        }
    }

    fn terms(&self) -> Result<Terms, NoRsync> {
        Ok(Terms {
            options: self.options,
            protocol: self.protocol(),
            packed: self.can(able::PACKED_FLAGS),
            safe: self.can(able::SAFE_LISTS) || self.protocol() >= 31,
            sum_length: self.checksum()?.1,
        })
    }

    fn begin_list(&mut self) -> Result<(), NoRsync> {
        self.lists.begin(self.can(able::MANY_LISTS))
    }

    /// So many bytes between the pieces of the file were counted and not recorded.
    pub(super) fn spend(&mut self, bytes: usize) {
        if let Some(file) = &mut self.file {
            file.mortar = file.mortar.saturating_add(bytes as u64);
        }
    }

    /// The channel has ended, or what it says is not understood.
    pub(super) fn break_off(&mut self) {
        if let Some(mut file) = self.file.take() {
            let attributes = file.attributes(&mut self.waiting);
            let sum = file.content.sum(&mut self.waiting);
            self.happened.push(RsyncFile {
                name: file.name,
                attributes,
                sum,
                result: "broken off",
            });
        }
    }

    /// A file came to its end, with this checksum of rsync's own.
    fn ends(&mut self, checksum: &[u8]) -> Result<(), NoRsync> {
        let mut file = self.file.take().ok_or(NoRsync)?;
        let name = self.checksum()?.0;
        let mut attributes = file.attributes(&mut self.waiting);
        if !file.has_kept {
            file.content.is_all_there_is();
        }
        attributes += &format!(", {name} {}", hex(checksum));
        let sum = file.content.sum(&mut self.waiting);
        self.happened.push(RsyncFile {
            name: file.name,
            attributes,
            sum,
            result: "ok",
        });
        Ok(())
    }
}

impl File {
    /// What is said of it. Bytes that did not pass cannot be hashed.
    fn attributes(&mut self, waiting: &mut usize) -> String {
        let mode = format!("mode {:04o}", self.mode & 0o7777);
        if !self.has_kept {
            return mode;
        }
        self.content.give_up(waiting);
        format!("{mode}, delta: {} bytes of the old file kept", self.kept)
    }
}

fn words(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|b| *b == b' ').filter(|word| !word.is_empty())
}

impl Side {
    pub(super) fn client(sends: bool) -> Self {
        Self::new(false, sends)
    }

    pub(super) fn server(sends: bool) -> Self {
        Self::new(true, sends)
    }

    fn new(is_server: bool, sends: bool) -> Self {
        Self {
            is_server,
            sends,
            step: Step::Version,
            indices: Indices::new(),
            rounds: 0,
        }
    }

    /// Whether what comes now comes in frames.
    pub(super) fn is_framed(&self, talk: &Talk) -> bool {
        match self.step {
            Step::Version | Step::Greeted | Step::Able | Step::Checksums | Step::Seed => false,
            _ => self.is_server || talk.protocol() >= 30,
        }
    }

    /// How many of the bytes that come now need not be recorded, if they hold the pieces of a file together.
    pub(super) fn spare(&self, talk: &Talk) -> usize {
        let file = match self.step {
            Step::Token | Step::Literal(_) => talk.file.as_ref(),
            _ => None,
        };
        file.map_or(0, |file| {
            let spare = (file.passed / CONTENT_PER_MORTAR).saturating_sub(file.mortar);
            usize::try_from(spare).unwrap_or(usize::MAX)
        })
    }

    /// How much of the body is content.
    pub(super) fn content(&mut self, body: &[u8], talk: &mut Talk) -> Option<usize> {
        let Step::Literal(left) = self.step else {
            return None;
        };
        let count = usize::try_from(left).map_or(body.len(), |left| left.min(body.len()));
        let (file, piece) = (talk.file.as_mut()?, body.get(..count)?);
        file.content.take(file.passed, piece, &mut talk.waiting);
        file.passed = file.passed.saturating_add(count as u64);
        self.step = match left - count as u64 {
            0 => Step::Token,
            left => Step::Literal(left),
        };
        Some(count)
    }

    /// How much of a body of this length are sums of blocks.
    pub(super) fn sums(&mut self, length: usize) -> Option<usize> {
        let Step::Sums(left) = self.step else {
            return None;
        };
        let count = usize::try_from(left).map_or(length, |left| left.min(length));
        self.step = match left - count as u64 {
            0 => Step::Wishes,
            left => Step::Sums(left),
        };
        Some(count)
    }

    /// The next piece, if it is all there: how long it is. Nothing is changed if it is not.
    pub(super) fn piece(&mut self, reader: &mut Reader<'_>, talk: &mut Talk) -> Read<usize> {
        match self.step {
            Step::Version => self.version(reader, talk)?,
            Step::Able => {
                talk.able = Some(reader.varint()?);
                self.step = match talk.can(able::PACKED_FLAGS) {
                    true => Step::Checksums,
                    false => Step::Seed,
                };
            }
            Step::Checksums => self.checksums(reader, talk)?,
            Step::Seed => {
                reader.int()?;
                talk.sum = Some(talk.agreed()?);
                self.step = self.begins(talk)?;
            }
            Step::Filters => self.filters(reader, talk)?,
            Step::List => self.list(reader, talk)?,
            Step::Users | Step::Groups => self.ids(reader, talk)?,
            Step::Fault => {
                reader.int()?;
                self.step = Step::Files;
            }
            Step::Files | Step::Goodbye => self.files(reader, talk)?,
            Step::Token => self.token(reader, talk)?,
            Step::Checksum => {
                let checksum = reader.take(talk.checksum()?.1)?;
                talk.ends(checksum)?;
                self.step = Step::Files;
            }
            Step::Statistics => {
                for _ in 0..5 {
                    reader.varlong30(3)?;
                }
                self.step = Step::Goodbye;
            }
            Step::Wishes => self.wishes(reader, talk)?,
            Step::Greeted | Step::Literal(_) | Step::Sums(_) => return Err(Stop::NoRsync),
        }
        Ok(reader.read())
    }

    fn version(&mut self, reader: &mut Reader<'_>, talk: &mut Talk) -> Read<()> {
        let version = u32::try_from(reader.int()?).map_err(|_| Stop::NoRsync)?;
        let slot = match self.is_server {
            true => &mut talk.server_version,
            false => &mut talk.client_version,
        };
        *slot = Some(version);
        if !(OLDEST..=LATER).contains(&version) || talk.protocol() > NEWEST {
            return Err(Stop::NoRsync);
        }
        self.step = Step::Greeted;
        Ok(())
    }

    /// What comes after the version depends on what the other side has said until now.
    pub(super) fn settle(&mut self, talk: &mut Talk) -> Result<(), NoRsync> {
        if self.step != Step::Greeted {
            return Ok(());
        }
        self.step = match (self.is_server, talk.protocol()) {
            // Neither goes on before it has heard the other's.
            (_, 0) => return Err(NoRsync),
            (true, OLDEST) => {
                talk.able = Some(0);
                Step::Seed
            }
            (true, _) => Step::Able,
            (false, _) if talk.able.is_none() => return Err(NoRsync),
            (false, _) if talk.can(able::PACKED_FLAGS) => Step::Checksums,
            (false, _) => self.begins(talk)?,
        };
        Ok(())
    }

    fn checksums(&mut self, reader: &mut Reader<'_>, talk: &mut Talk) -> Read<()> {
        let names = reader.vstring(LONGEST_NAMES)?.to_vec();
        if self.is_server {
            talk.server_sums = names;
            self.step = Step::Seed;
        } else {
            talk.client_sums = names;
            self.step = self.begins(talk)?;
        }
        Ok(())
    }

    /// What the conversation begins with.
    fn begins(&self, talk: &mut Talk) -> Result<Step, NoRsync> {
        let filters = !self.is_server && (!self.sends || talk.options.filters);
        Ok(match (filters, self.sends) {
            (true, _) => Step::Filters,
            (false, true) => {
                talk.begin_list()?;
                Step::List
            }
            (false, false) => Step::Wishes,
        })
    }

    fn filters(&mut self, reader: &mut Reader<'_>, talk: &mut Talk) -> Read<()> {
        match usize::try_from(reader.int()?).map_err(|_| Stop::NoRsync)? {
            0 if self.sends => {
                talk.begin_list()?;
                self.step = Step::List;
            }
            0 => self.step = Step::Wishes,
            length if length < LONGEST_RULE => drop(reader.take(length)?),
            _ => return Err(Stop::NoRsync),
        }
        Ok(())
    }

    fn list(&mut self, reader: &mut Reader<'_>, talk: &mut Talk) -> Read<()> {
        let terms = talk.terms()?;
        match talk.lists.read(reader, &terms)? {
            Item::File if talk.names => talk.named.push(talk.lists.last().to_vec()),
            Item::File => {}
            Item::End => {
                talk.lists.end();
                self.step = match talk.can(able::MANY_LISTS) {
                    true => Step::Files,
                    false => Self::ids_from(Step::Users, talk),
                };
            }
        }
        Ok(())
    }

    /// What follows the only list: who is who, where that is wanted.
    fn ids_from(step: Step, talk: &Talk) -> Step {
        let options = talk.options;
        match step {
            Step::Users if options.owner && !options.numeric_ids => Step::Users,
            Step::Users | Step::Groups if options.group && !options.numeric_ids => Step::Groups,
            _ if talk.protocol() < 30 => Step::Fault,
            _ => Step::Files,
        }
    }

    fn ids(&mut self, reader: &mut Reader<'_>, talk: &mut Talk) -> Read<()> {
        let is_last = reader.varint30()? == 0;
        if !is_last || talk.can(able::NAMED_ROOT) {
            reader.string()?;
        }
        if is_last {
            self.step = match self.step {
                Step::Users => Self::ids_from(Step::Groups, talk),
                _ => Self::ids_from(Step::Fault, talk),
            };
        }
        Ok(())
    }

    /// The sending side: which file comes, or which list.
    fn files(&mut self, reader: &mut Reader<'_>, talk: &mut Talk) -> Read<()> {
        let (index, next) = self.indices.next(reader)?;
        match index {
            DONE => self.done(talk),
            REMOVED => removed(reader)?,
            _ if self.step == Step::Goodbye => return Err(Stop::NoRsync),
            NO_MORE_LISTS if talk.can(able::MANY_LISTS) => talk.complete = true,
            _ if index <= LIST && talk.can(able::MANY_LISTS) && !talk.complete => {
                talk.begin_list()?;
                self.step = Step::List;
            }
            0.. => {
                let flags = attributes(reader)?;
                if self.is_alive(index, flags, talk) {
                } else if flags & item::TRANSFER != 0 {
                    self.file(reader, index, talk)?;
                } else if !talk.lists.knows(index) {
                    return Err(Stop::NoRsync);
                }
            }
            _ => return Err(Stop::NoRsync),
        }
        self.indices = next;
        Ok(())
    }

    /// Protocol 29 has no better way to say that nothing is to say.
    fn is_alive(&self, index: i32, flags: u32, talk: &Talk) -> bool {
        talk.protocol() < 30 && flags == item::NEW && talk.lists.is_behind(index)
    }

    /// The sending side is through with the oldest list, or with a round of the last.
    fn done(&mut self, talk: &mut Talk) {
        if self.step == Step::Goodbye {
            return;
        }
        if talk.lists.count() > 1 {
            return talk.lists.forget();
        }
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds >= ROUNDS {
            self.step = match self.is_server {
                true => Step::Statistics,
                false => Step::Goodbye,
            };
        }
    }

    /// A file begins, if it was asked for.
    fn file(&mut self, reader: &mut Reader<'_>, index: i32, talk: &mut Talk) -> Read<()> {
        let (name, mode) = talk.lists.file(index)?;
        let name = name.to_vec();
        let at = talk.asked.iter().position(|(asked, _)| *asked == index);
        let at = at.ok_or(Stop::NoRsync)?;
        let blocks = match talk.options.dry_run {
            true => None,
            false => Some(Blocks::read(reader, talk)?),
        };
        if talk.asked.get(at).map(|(_, asked)| *asked) != Some(blocks) {
            return Err(Stop::NoRsync);
        }
        if let Some(blocks) = blocks {
            talk.file = Some(File {
                name,
                mode,
                blocks,
                content: Content::new(),
                passed: 0,
                mortar: 0,
                kept: 0,
                has_kept: false,
            });
            self.step = Step::Token;
        }
        // What was asked for before was not there any more.
        talk.asked.drain(..=at);
        Ok(())
    }

    /// A piece of a file, a block of the old one, or the end.
    fn token(&mut self, reader: &mut Reader<'_>, talk: &mut Talk) -> Read<()> {
        let token = reader.int()?;
        let file = talk.file.as_mut().ok_or(Stop::NoRsync)?;
        match u64::try_from(token) {
            Ok(0) => self.step = Step::Checksum,
            Ok(length) => self.step = Step::Literal(length),
            Err(_) => {
                let block = -1 - token;
                let Blocks {
                    count,
                    length,
                    last,
                    ..
                } = file.blocks;
                if block >= count {
                    return Err(Stop::NoRsync);
                }
                let is_cut = block == count - 1 && last != 0;
                let length = if is_cut { last } else { length };
                file.has_kept = true;
                file.kept = file.kept.saturating_add(u64::from(length.unsigned_abs()));
            }
        }
        Ok(())
    }

    /// The receiving side: which file it wants, and what it has of it.
    fn wishes(&mut self, reader: &mut Reader<'_>, talk: &mut Talk) -> Read<()> {
        let (index, next) = self.indices.next(reader)?;
        match index {
            DONE => {}
            REMOVED => removed(reader)?,
            0.. => {
                let flags = attributes(reader)?;
                if self.is_alive(index, flags, talk) {
                } else if flags & item::TRANSFER != 0 {
                    self.wish(reader, index, talk)?;
                } else if !talk.lists.knows(index) {
                    return Err(Stop::NoRsync);
                }
            }
            _ => return Err(Stop::NoRsync),
        }
        self.indices = next;
        Ok(())
    }

    fn wish(&mut self, reader: &mut Reader<'_>, index: i32, talk: &mut Talk) -> Read<()> {
        let (name, mode) = talk.lists.file(index)?;
        if !is_regular(mode) || talk.asked.len() >= MOST_ASKED {
            return Err(Stop::NoRsync);
        }
        let blocks = match talk.options.dry_run {
            true => None,
            false => Some(Blocks::read(reader, talk)?),
        };
        if talk.names {
            let name = name.to_vec();
            talk.named.push(name);
        }
        if let Some(blocks) = blocks.filter(|blocks| blocks.count > 0) {
            self.step = Step::Sums(blocks.sums());
        }
        talk.asked.push_back((index, blocks));
        Ok(())
    }
}

impl Blocks {
    fn read(reader: &mut Reader<'_>, talk: &Talk) -> Read<Self> {
        let blocks = Self {
            count: reader.int()?,
            length: reader.int()?,
            sum_length: reader.int()?,
            last: reader.int()?,
        };
        let longest = match talk.protocol() {
            OLDEST => 1 << 29,
            _ => 1 << 17,
        };
        let sum_length = usize::try_from(blocks.sum_length);
        let good = blocks.count >= 0
            && (0..=longest).contains(&blocks.length)
            && (blocks.count == 0 || blocks.length > 0)
            && (0..=blocks.length).contains(&blocks.last)
            && sum_length.is_ok_and(|length| talk.checksum().is_ok_and(|sum| length <= sum.1));
        match good {
            true => Ok(blocks),
            false => Err(Stop::NoRsync),
        }
    }

    /// How many bytes of sums follow: of each block a short one and a long one.
    fn sums(self) -> u64 {
        u64::from(self.count.unsigned_abs()) * (4 + u64::from(self.sum_length.unsigned_abs()))
    }
}

/// What happens with a file: flags, and the words that these announce.
fn attributes(reader: &mut Reader<'_>) -> Read<u32> {
    let flags = reader.short()?;
    if flags & item::BASIS != 0 {
        reader.byte()?;
    }
    if flags & item::NAMED != 0 {
        reader.vstring(LONGEST_PATH)?;
    }
    Ok(flags)
}

/// How many files, directories, links, devices and others were removed.
fn removed(reader: &mut Reader<'_>) -> Read<()> {
    for _ in 0..5 {
        reader.varint()?;
    }
    Ok(())
}
