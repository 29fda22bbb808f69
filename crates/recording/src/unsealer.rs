//! In: a sealed recording, and identities that are enough to open it.
//! Out: the cast inside, as a stream of bytes.
//! Never: a byte of a frame that is not, in its place, exactly what the recorder sealed.

use std::io::{self, Read};

use ring::aead::Aad;
use zstd::zstd_safe::DCtx;

use crate::{
    envelope::Envelope,
    error::{HeaderFault, ReadError},
    frame::{FrameHead, HEAD, MAGIC},
    line::{Lines, Piece},
    recipient::Identities,
    sealer::{History, Ratchet, recording_tag},
};

/// The cast inside a sealed recording. Reading fails where a frame does not open; what comes before it was read.
pub struct Unsealer<R> {
    lines: Lines<R>,
    session: String,
    recording: [u8; 4],
    ratchet: Ratchet,
    number: u32,
    history: History,
    /// The open frame, and how much of it was read.
    plain: Vec<u8>,
    read: usize,
}

impl<R: Read> Unsealer<R> {
    /// Reads the first line and puts the data key together.
    ///
    /// # Errors
    /// [`ReadError::Header`] if this is no sealed recording, [`ReadError::Recipients`] if the identities do not open it.
    pub fn open(input: R, identities: &Identities) -> Result<Self, ReadError> {
        let mut lines = Lines::new(input);
        let line = match lines.next()? {
            Some(first) if first.ends => first.bytes.to_vec(),
            _ => return Err(HeaderFault::Missing.into()),
        };
        let envelope = Envelope::parse(&line)?;
        let data_key = identities
            .data_key(envelope.wrapped(), envelope.needed())
            .map_err(ReadError::Recipients)?;
        lines.sealed = true;
        Ok(Self {
            lines,
            session: envelope.session().to_owned(),
            recording: recording_tag(&line),
            ratchet: Ratchet::new(&data_key, &line),
            number: 0,
            history: History::default(),
            plain: Vec::new(),
            read: 0,
        })
    }

    /// The session that the first line names.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Opens the next frame; false at the end.
    fn next_frame(&mut self) -> io::Result<bool> {
        let opened = loop {
            let Some(piece) = self.lines.next()? else {
                return Ok(false);
            };
            if !piece.frame {
                continue;
            }
            break open(
                &piece,
                self.recording,
                self.number,
                &mut self.ratchet,
                &self.history,
            );
        };
        self.plain = opened.map_err(|why| {
            let number = self.number + 1;
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("frame {number} of the sealed recording: {why}"),
            )
        })?;
        self.number += 1;
        self.read = 0;
        self.history.push(&self.plain);
        Ok(true)
    }
}

impl<R: Read> Read for Unsealer<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.read == self.plain.len() {
            if !self.next_frame()? {
                return Ok(0);
            }
        }
        let mut rest = self.plain.get(self.read..).unwrap_or_default();
        let length = rest.read(to)?;
        self.read += length;
        Ok(length)
    }
}

fn open(
    piece: &Piece<'_>,
    recording: [u8; 4],
    before: u32,
    ratchet: &mut Ratchet,
    history: &History,
) -> Result<Vec<u8>, &'static str> {
    if piece.cut {
        return Err("it was cut, or its recorder was killed while it wrote");
    }
    let head = FrameHead::parse(piece.bytes).ok_or("no recorder writes such a frame")?;
    if head.recording != recording {
        return Err("it belongs to another recording");
    }
    if head.number != before + 1 {
        return Err("another frame stands in its place");
    }
    let (front, sealed) = piece
        .bytes
        .split_at_checked(HEAD)
        .ok_or("no recorder writes such a frame")?;
    let key = ratchet.key().ok_or("no key")?;
    let mut sealed = sealed.to_vec();
    let plain = key
        .open_in_place(Ratchet::nonce(), Aad::from(front), &mut sealed)
        .map_err(|_| "it does not open: it was altered, or sealed with another key")?;
    if !head.compressed {
        return Ok(plain.to_vec());
    }
    let wrong = "it opens, but does not decompress";
    let history = history.last(head.history).ok_or(wrong)?;
    let mut out = vec![0; head.plain];
    let mut context = DCtx::try_create().ok_or("no memory")?;
    context.ref_prefix(history).map_err(|_| wrong)?;
    let length = context
        .decompress(out.as_mut_slice(), &[&MAGIC[..], plain].concat())
        .map_err(|_| wrong)?;
    if length != out.len() {
        return Err(wrong);
    }
    Ok(out)
}
