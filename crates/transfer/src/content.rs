//! In: the pieces of a file's content with their offsets, in whatever order they come. Out: how much, and its SHA-256.
//! Never: a hash of anything but the first bytes of the file, each once, in order.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use ring::digest::{Context, SHA256};

/// What may wait for something before it, of all files of one channel together. Clients ask for several pieces at once and
/// may get a short one, whose rest then comes behind the others.
pub(crate) const MAX_AHEAD: usize = 8 << 20;
/// What a waiting piece costs beside its bytes.
const PER_PIECE: usize = 128;

/// How much of a file passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// All of it, from the first byte to the end.
    Whole,
    /// From the first byte on; whether that was all did not pass.
    Beginning,
    /// Pieces, or some more than once, or some failed: no hash.
    Partial,
}

impl Completeness {
    /// The word in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Beginning => "beginning",
            Self::Partial => "partial",
        }
    }
}

/// What is known of what passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// How many bytes passed, those that passed twice counted twice.
    pub bytes: u64,
    /// How much of the file that is.
    pub completeness: Completeness,
    /// SHA-256 of these bytes, hex; none if they are partial.
    pub sha256: Option<String>,
}

/// One direction of one file.
pub(crate) struct Content {
    hash: Context,
    /// Up to here everything is hashed.
    next: u64,
    bytes: u64,
    ahead: BTreeMap<u64, Bytes>,
    /// Nothing can mend it.
    broken: bool,
    /// The lowest offset at which there was nothing more to read.
    end: Option<u64>,
    /// The size that the file was said, or made, to have.
    size: Option<u64>,
    /// What was hashed since the last call of [`Content::kept`], where it is to be kept.
    kept: Option<Vec<Bytes>>,
}

/// A hash of bytes that are a secret's may be one itself: only its progress is shown.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.bytes)
    }
}

impl Content {
    pub(crate) fn new() -> Self {
        Self {
            hash: Context::new(&SHA256),
            next: 0,
            bytes: 0,
            ahead: BTreeMap::new(),
            broken: false,
            end: None,
            size: None,
            kept: None,
        }
    }

    /// The same, of which what is hashed is given out too.
    pub(crate) fn keeping(keep: bool) -> Self {
        Self {
            kept: keep.then(Vec::new),
            ..Self::new()
        }
    }

    /// What was hashed since the last call, in order.
    pub(crate) fn kept(&mut self) -> Vec<Bytes> {
        self.kept.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn hash(&mut self, piece: &[u8]) {
        self.hash.update(piece);
        self.next = self.next.saturating_add(piece.len() as u64);
        if let Some(kept) = &mut self.kept {
            kept.push(Bytes::copy_from_slice(piece));
        }
    }

    /// One piece. `waiting` is what waits in the whole channel.
    pub(crate) fn take(&mut self, offset: u64, piece: &[u8], waiting: &mut usize) {
        let length = piece.len() as u64;
        self.bytes = self.bytes.saturating_add(length);
        if self.broken || length == 0 {
            return;
        }
        if offset == self.next {
            self.hash(piece);
            self.catch_up(waiting);
            return;
        }
        let cost = piece.len() + PER_PIECE;
        if offset < self.next || *waiting + cost > MAX_AHEAD || self.ahead.contains_key(&offset) {
            self.give_up(waiting);
            return;
        }
        *waiting += cost;
        self.ahead.insert(offset, Bytes::copy_from_slice(piece));
    }

    fn catch_up(&mut self, waiting: &mut usize) {
        while let Some(first) = self.ahead.first_entry() {
            if *first.key() > self.next {
                return;
            }
            let (offset, piece) = first.remove_entry();
            *waiting = waiting.saturating_sub(piece.len() + PER_PIECE);
            if offset < self.next {
                return self.give_up(waiting);
            }
            self.hash(&piece);
        }
    }

    /// From here on it is partial.
    pub(crate) fn give_up(&mut self, waiting: &mut usize) {
        self.broken = true;
        for piece in std::mem::take(&mut self.ahead).into_values() {
            *waiting = waiting.saturating_sub(piece.len() + PER_PIECE);
        }
    }

    /// There was nothing to read at this offset.
    pub(crate) fn ends(&mut self, at: u64) {
        self.end = Some(self.end.map_or(at, |end| end.min(at)));
    }

    /// The file has this size.
    pub(crate) fn has_size(&mut self, size: u64) {
        self.size = Some(size);
    }

    /// The file holds what passed and nothing else, unless its size was told.
    pub(crate) fn is_all_there_is(&mut self) {
        self.size = self.size.or(Some(self.next));
    }

    pub(crate) fn sum(mut self, waiting: &mut usize) -> Sum {
        if !self.ahead.is_empty() {
            self.give_up(waiting);
        }
        let to_the_end = [self.end, self.size].contains(&Some(self.next));
        let completeness = match (self.broken, to_the_end) {
            (true, _) => Completeness::Partial,
            (false, true) => Completeness::Whole,
            (false, false) => Completeness::Beginning,
        };
        let sha256 = (!self.broken).then(|| hex(self.hash.finish().as_ref()));
        Sum {
            bytes: self.bytes,
            completeness,
            sha256,
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
