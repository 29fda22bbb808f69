//! In: any bytes at all.
//! Out: their lines with offsets, overlong lines in pieces; of a sealed recording its frames and lines.
//! Never: more memory than one piece.

use std::io::{self, BufRead, BufReader, Read};

use crate::frame::{FrameHead, HEAD};

/// Longest line that is handed out whole: far above what the writer makes.
pub(crate) const LONGEST: u64 = 16 << 20;

/// Reads lines.
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    piece: Vec<u8>,
    offset: u64,
    begins: bool,
    /// The first line said that frames follow: what begins with one of their kinds is one.
    pub(crate) sealed: bool,
}

/// A line with its newline, or a piece of one.
pub(crate) struct Piece<'a> {
    pub(crate) bytes: &'a [u8],
    /// Where it begins, in bytes from the begin of the file.
    pub(crate) offset: u64,
    /// Whether a line begins here.
    pub(crate) begins: bool,
    /// Whether it has its newline.
    pub(crate) ends: bool,
    /// No newline because the file ends.
    pub(crate) cut: bool,
    /// A frame of a sealed recording, or what begins like one.
    pub(crate) frame: bool,
}

impl Piece<'_> {
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(128 << 10, input),
            piece: Vec::new(),
            offset: 0,
            begins: true,
            sealed: false,
        }
    }

    /// The next line or piece, `None` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.piece.clear();
        if self.sealed && self.begins {
            let next = self.input.fill_buf()?.first().copied();
            if next.is_some_and(FrameHead::begins) {
                return self.frame().map(Some);
            }
        }
        (&mut self.input)
            .take(LONGEST)
            .read_until(b'\n', &mut self.piece)?;
        if self.piece.is_empty() {
            return Ok(None);
        }
        let (offset, begins) = (self.offset, self.begins);
        let ends = self.piece.ends_with(b"\n");
        self.offset += self.piece.len() as u64;
        self.begins = ends;
        let cut = !ends && (self.piece.len() as u64) < LONGEST;
        Ok(Some(Piece {
            bytes: &self.piece,
            offset,
            begins,
            ends,
            cut,
            frame: false,
        }))
    }

    /// A frame; if its head is none, as much as a head has.
    fn frame(&mut self) -> io::Result<Piece<'_>> {
        (&mut self.input)
            .take(HEAD as u64)
            .read_to_end(&mut self.piece)?;
        let mut cut = self.piece.len() < HEAD;
        if let Some(head) = FrameHead::parse(&self.piece) {
            let length = head.sealed as u64;
            let read = (&mut self.input)
                .take(length)
                .read_to_end(&mut self.piece)?;
            cut = (read as u64) < length;
        }
        let offset = self.offset;
        self.offset += self.piece.len() as u64;
        Ok(Piece {
            bytes: &self.piece,
            offset,
            begins: true,
            ends: !cut,
            cut,
            frame: true,
        })
    }
}
