//! In: any bytes at all.
//! Out: their lines with offsets; overlong lines in pieces.
//! Never: more memory than one piece.

use std::io::{self, BufRead, BufReader, Read};

/// Longest line that is handed out whole: far above what the writer makes.
pub(crate) const LONGEST: u64 = 16 << 20;

/// Reads lines.
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    piece: Vec<u8>,
    offset: u64,
    begins: bool,
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
        }
    }

    /// The next line or piece, `None` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.piece.clear();
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
        }))
    }
}
