//! In: the lists of files that the sending side makes. Out: which file an index means.
//! Never: more names than the constants here allow; an order that is not the one in which both sides count.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::NoRsync;
use super::command::Options;
use super::numbers::{Read, Reader, Stop};

/// Longest path, as in rsync.
pub(super) const LONGEST_PATH: usize = 4096;
/// Names that are known at a time, and their bytes together. With more of them at once it is no rsync that is read.
const MOST_NAMES: usize = 1 << 18;
const MOST_BYTES: usize = 16 << 20;
/// Lists that are known at a time: an empty one has no names, and takes memory.
const MOST_LISTS: usize = 1 << 16;

/// What precedes an entry.
mod flag {
    pub(super) const SAME_MODE: u32 = 1 << 1;
    pub(super) const EXTENDED: u32 = 1 << 2;
    pub(super) const SAME_UID: u32 = 1 << 3;
    pub(super) const SAME_GID: u32 = 1 << 4;
    pub(super) const SAME_NAME: u32 = 1 << 5;
    pub(super) const LONG_NAME: u32 = 1 << 6;
    pub(super) const SAME_TIME: u32 = 1 << 7;
    pub(super) const SAME_MAJOR: u32 = 1 << 8;
    pub(super) const HARD_LINKED: u32 = 1 << 9;
    pub(super) const SAME_DEVICE_29: u32 = 1 << 10;
    pub(super) const USER_NAME: u32 = 1 << 10;
    pub(super) const MINOR_IS_BYTE_29: u32 = 1 << 11;
    pub(super) const GROUP_NAME: u32 = 1 << 11;
    pub(super) const FIRST_LINK: u32 = 1 << 12;
    pub(super) const ERROR_AT_END: u32 = 1 << 12;
    pub(super) const NANOSECONDS: u32 = 1 << 13;
    /// What no option that is taken here can bring about: times of access and of birth, and bits without a meaning.
    pub(super) const UNKNOWN: u32 = !((1 << 14) - 1);
}

/// What both sides have agreed upon, as far as lists are concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) options: Options,
    pub(super) protocol: u32,
    /// Flags are packed numbers.
    pub(super) packed: bool,
    /// A list can end with an error.
    pub(super) safe: bool,
    pub(super) sum_length: usize,
}

/// One file of a list.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u32,
    length: u16,
    mode: u32,
}

/// The list of one directory, or of everything.
#[derive(Debug)]
struct List {
    /// The index of its first file.
    start: i32,
    names: Vec<u8>,
    entries: Vec<Entry>,
}

/// All lists that can still be spoken of.
#[derive(Debug, Default)]
pub(super) struct Lists {
    lists: VecDeque<List>,
    /// What the entry before was called, and its mode: the next may have the same.
    last: Vec<u8>,
    mode: u32,
    names: usize,
    bytes: usize,
}

/// What was read of a list.
pub(super) enum Item {
    /// One more file.
    File,
    End,
}

const KIND: u32 = 0o170_000;

pub(super) fn is_regular(mode: u32) -> bool {
    mode & KIND == 0o100_000
}

fn is_directory(mode: u32) -> bool {
    mode & KIND == 0o040_000
}

impl Lists {
    /// Begins a list: the only one, or one of many.
    pub(super) fn begin(&mut self, one_of_many: bool) -> Result<(), NoRsync> {
        if self.lists.len() >= MOST_LISTS {
            return Err(NoRsync);
        }
        let start = match self.lists.back() {
            Some(list) => list.start.saturating_add(list.length()).saturating_add(1),
            None => i32::from(one_of_many),
        };
        self.lists.push_back(List {
            start,
            names: Vec::new(),
            entries: Vec::new(),
        });
        Ok(())
    }

    /// The last list is complete: from here on indices mean files in order.
    pub(super) fn end(&mut self) {
        if let Some(List { names, entries, .. }) = self.lists.back_mut() {
            entries.sort_by(|a, b| in_order((a.name(names), a.mode), (b.name(names), b.mode)));
        }
    }

    pub(super) fn count(&self) -> usize {
        self.lists.len()
    }

    /// Nothing will be said of the oldest list any more.
    pub(super) fn forget(&mut self) {
        if let Some(list) = self.lists.pop_front() {
            self.names -= list.entries.len();
            self.bytes -= list.names.len();
        }
    }

    /// The file's name and mode.
    pub(super) fn file(&self, index: i32) -> Result<(&[u8], u32), NoRsync> {
        let after = self.lists.partition_point(|list| list.start <= index);
        let list = after.checked_sub(1).and_then(|at| self.lists.get(at));
        let list = list.ok_or(NoRsync)?;
        let at = usize::try_from(index - list.start).map_err(|_| NoRsync)?;
        let entry = list.entries.get(at).ok_or(NoRsync)?;
        Ok((entry.name(&list.names), entry.mode))
    }

    /// Whether an index may be spoken of: a file, or the directory of a list.
    pub(super) fn knows(&self, index: i32) -> bool {
        let begins = index.saturating_add(1);
        self.file(index).is_ok()
            || self
                .lists
                .binary_search_by_key(&begins, |list| list.start)
                .is_ok()
    }

    /// Just behind the only list, where protocol 29 says that it is still alive.
    pub(super) fn is_behind(&self, index: i32) -> bool {
        self.lists
            .back()
            .is_some_and(|list| list.start.saturating_add(list.length()) == index)
    }

    /// What the entry that was read last is called.
    pub(super) fn last(&self) -> &[u8] {
        &self.last
    }

    /// One entry of the list that has begun, or its end.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, terms: &Terms) -> Read<Item> {
        let flags = match terms.packed {
            true => reader.varint()? as u32,
            false => match u32::from(reader.byte()?) {
                more if more & flag::EXTENDED != 0 => more | u32::from(reader.byte()?) << 8,
                flags => flags,
            },
        };
        if flags == 0 {
            if terms.packed {
                reader.varint()?;
            }
            return Ok(Item::End);
        }
        if !terms.packed && flags == flag::EXTENDED | flag::ERROR_AT_END && terms.safe {
            reader.varint()?;
            return Ok(Item::End);
        }
        if flags & flag::UNKNOWN != 0 {
            return Err(Stop::NoRsync);
        }
        let (same, rest) = name(reader, flags)?;
        let mut name = self.last.get(..same).ok_or(Stop::NoRsync)?.to_vec();
        name.extend_from_slice(rest);
        if name.len() >= LONGEST_PATH || !is_inside(&name) {
            return Err(Stop::NoRsync);
        }
        let mode = match self.linked(reader, flags, terms)? {
            Some(mode) => mode,
            None => attributes(reader, flags, terms, self.mode)?,
        };
        self.add(name, mode)?;
        Ok(Item::File)
    }

    /// A hard link to a file of the same list has its attributes.
    fn linked(&self, reader: &mut Reader<'_>, flags: u32, terms: &Terms) -> Read<Option<u32>> {
        let links = flags & (flag::HARD_LINKED | flag::FIRST_LINK) == flag::HARD_LINKED;
        if terms.protocol < 30 || !links {
            return Ok(None);
        }
        let first = reader.varint()?;
        let list = self.lists.back().ok_or(Stop::NoRsync)?;
        let Ok(at) = usize::try_from(first.saturating_sub(list.start)) else {
            return match first < 0 {
                true => Err(Stop::NoRsync),
                false => Ok(None),
            };
        };
        // As yet the list is in the order in which it comes.
        let entry = list.entries.get(at).ok_or(Stop::NoRsync)?;
        Ok(Some(entry.mode))
    }

    fn add(&mut self, name: Vec<u8>, mode: u32) -> Result<(), NoRsync> {
        self.names += 1;
        self.bytes += name.len();
        let list = self.lists.back_mut().ok_or(NoRsync)?;
        let at = u32::try_from(list.names.len()).map_err(|_| NoRsync)?;
        let length = u16::try_from(name.len()).map_err(|_| NoRsync)?;
        list.names.extend_from_slice(&name);
        list.entries.push(Entry { at, length, mode });
        (self.last, self.mode) = (name, mode);
        match self.names <= MOST_NAMES && self.bytes <= MOST_BYTES {
            true => Ok(()),
            false => Err(NoRsync),
        }
    }
}

impl List {
    fn length(&self) -> i32 {
        i32::try_from(self.entries.len()).unwrap_or(i32::MAX)
    }
}

impl Entry {
    fn name<'n>(&self, names: &'n [u8]) -> &'n [u8] {
        let at = self.at as usize;
        names
            .get(at..at + usize::from(self.length))
            .unwrap_or_default()
    }
}

/// How much of the name before it begins with, and the rest.
fn name<'b>(reader: &mut Reader<'b>, flags: u32) -> Read<(usize, &'b [u8])> {
    let same = match flags & flag::SAME_NAME {
        0 => 0,
        _ => usize::from(reader.byte()?),
    };
    let length = match flags & flag::LONG_NAME {
        0 => usize::from(reader.byte()?),
        _ => usize::try_from(reader.varint30()?).map_err(|_| Stop::NoRsync)?,
    };
    match length < LONGEST_PATH {
        true => Ok((same, reader.take(length)?)),
        false => Err(Stop::NoRsync),
    }
}

/// Whether a name stays below the root. rsync itself ends where it does not.
fn is_inside(name: &[u8]) -> bool {
    !name.is_empty()
        && !name.starts_with(b"/")
        && !name.contains(&0)
        && name.split(|b| *b == b'/').all(|part| part != b"..")
}

/// Size, times, mode, owner and what else stands behind a name. The mode is what is needed of it.
fn attributes(reader: &mut Reader<'_>, flags: u32, terms: &Terms, before: u32) -> Read<u32> {
    let Terms {
        options, protocol, ..
    } = terms;
    reader.varlong30(3)?;
    if flags & flag::SAME_TIME == 0 {
        match protocol {
            29 => i64::from(reader.int()?),
            _ => reader.varlong(4)?,
        };
    }
    if flags & flag::NANOSECONDS != 0 {
        reader.varint()?;
    }
    let mode = match flags & flag::SAME_MODE {
        0 => reader.int()? as u32,
        _ => before,
    };
    if !matches!(mode >> 12, 0o1 | 0o2 | 0o4 | 0o6 | 0o10 | 0o12 | 0o14) {
        return Err(Stop::NoRsync);
    }
    let owners = [
        (options.owner, flag::SAME_UID, flag::USER_NAME),
        (options.group, flag::SAME_GID, flag::GROUP_NAME),
    ];
    for (kept, same, named) in owners {
        if kept && flags & same == 0 {
            reader.varint30()?;
            if *protocol >= 30 && flags & named != 0 {
                reader.string()?;
            }
        }
    }
    let is_device = matches!(mode >> 12, 0o2 | 0o6);
    let is_special = matches!(mode >> 12, 0o1 | 0o14) && *protocol < 31;
    if options.devices && (is_device || is_special) {
        if flags & flag::SAME_MAJOR == 0 {
            reader.varint30()?;
        }
        match protocol {
            29 if flags & flag::MINOR_IS_BYTE_29 != 0 => i32::from(reader.byte()?),
            _ => reader.varint30()?,
        };
    }
    if options.links && mode >> 12 == 0o12 {
        let length = usize::try_from(reader.varint30()?).map_err(|_| Stop::NoRsync)?;
        if length >= LONGEST_PATH {
            return Err(Stop::NoRsync);
        }
        reader.take(length)?;
    }
    if *protocol < 30 && options.hard_links && flags & flag::HARD_LINKED != 0 {
        if flags & flag::SAME_DEVICE_29 == 0 {
            reader.longint()?;
        }
        reader.longint()?;
    }
    if options.checksums && is_regular(mode) {
        reader.take(terms.sum_length)?;
    }
    Ok(mode)
}

/// The order in which both sides count: a file before a directory, a directory before what is in it, and the root first
/// of all. Names of directories are compared as if a slash stood behind them.
fn in_order(a: (&[u8], u32), b: (&[u8], u32)) -> Ordering {
    let (mut a, mut b) = (Parts::of(a), Parts::of(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((false, _)), Some((true, _))) => return Ordering::Less,
            (Some((true, _)), Some((false, _))) => return Ordering::Greater,
            (Some((is_directory, x)), Some((_, y))) => {
                let behind: &[u8] = if is_directory { b"/" } else { b"" };
                match x.iter().chain(behind).cmp(y.iter().chain(behind)) {
                    Ordering::Equal => {}
                    unequal => return unequal,
                }
            }
        }
    }
}

/// A name part by part, each with whether it is a directory.
struct Parts<'n> {
    rest: Option<&'n [u8]>,
    last_is_directory: bool,
}

impl<'n> Parts<'n> {
    fn of((name, mode): (&'n [u8], u32)) -> Self {
        let last_is_directory = is_directory(mode);
        let is_root = last_is_directory && name == b".";
        Self {
            rest: (!is_root).then_some(name),
            last_is_directory,
        }
    }
}

impl<'n> Iterator for Parts<'n> {
    type Item = (bool, &'n [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        match rest.iter().position(|b| *b == b'/') {
            Some(at) => {
                self.rest = rest.get(at + 1..);
                Some((true, rest.get(..at)?))
            }
            None => {
                self.rest = None;
                Some((self.last_is_directory, rest))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_before_directories_and_these_before_what_is_in_them() {
        let (file, directory) = (0o100_644, 0o040_755);
        let right = [
            (&b"."[..], directory),
            (b"a", file),
            (b"a-b", file),
            (b"ab", file),
            (b"z", file),
            (b"a-b", directory),
            (b"a-b/z", file),
            (b"a", directory),
            (b"a/.x", file),
            (b"a/b", file),
            (b"a/b", directory),
            (b"a/b/c", file),
            (b"ab", directory),
            (b"\xff", directory),
        ];
        for (n, x) in right.iter().enumerate() {
            for (m, y) in right.iter().enumerate() {
                assert_eq!(in_order(*x, *y), n.cmp(&m), "{x:?} {y:?}");
            }
        }
    }
}
