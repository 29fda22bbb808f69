//! In: one direction's bytes. Out: whole packets; of the one kind that carries a file's content, its head and then the
//! content in the pieces in which it came.
//! Never: holds content back, copies it, or holds more than one packet.

use bytes::{Bytes, BytesMut};

use crate::error::Malformed;
use crate::wire::Fields;

/// As OpenSSH has it, both ways (SFTP_MAX_MSG_LENGTH).
pub const LONGEST_PACKET: u32 = 256 << 10;
/// Longest handle (draft section 6.2).
pub(crate) const LONGEST_HANDLE: u32 = 256;

/// The kinds of packet that carry content.
pub(crate) const WRITE: u8 = 6;
pub(crate) const DATA: u8 = 103;

/// One direction.
#[derive(Debug)]
pub(crate) struct Frames {
    /// `WRITE` or `DATA`.
    carrier: u8,
    held: BytesMut,
    content: u32,
}

pub(crate) enum Piece {
    /// A packet with its length in front, up to the content if it carries any. `fresh`: it is the front of what was given,
    /// and not pieced together.
    Packet {
        bytes: Bytes,
        fresh: bool,
    },
    Content(Bytes),
}

enum Measure {
    /// So many bytes are needed to know more.
    Needs(usize),
    /// The packet up to its content, and how much content follows.
    Known(usize, u32),
}

impl Frames {
    pub(crate) fn new(carrier: u8) -> Self {
        Self {
            carrier,
            held: BytesMut::new(),
            content: 0,
        }
    }

    /// Nothing of a packet has been given out of which the rest is missing.
    pub(crate) fn between_packets(&self) -> bool {
        self.content == 0
    }

    /// Takes the next piece from the front of `data`; none when all of it is taken or held.
    pub(crate) fn next(&mut self, data: &mut Bytes) -> Result<Option<Piece>, Malformed> {
        if data.is_empty() {
            return Ok(None);
        }
        if self.content > 0 {
            let count = data.len().min(self.content as usize);
            self.content -= u32::try_from(count).unwrap_or(self.content);
            return Ok(Some(Piece::Content(data.split_to(count))));
        }
        if self.held.is_empty() {
            match measure(data, self.carrier)? {
                Measure::Known(count, content) => {
                    self.content = content;
                    let bytes = data.split_to(count.min(data.len()));
                    return Ok(Some(Piece::Packet { bytes, fresh: true }));
                }
                Measure::Needs(_) => {
                    self.held.extend_from_slice(data);
                    data.clear();
                    return Ok(None);
                }
            }
        }
        loop {
            match measure(&self.held, self.carrier)? {
                Measure::Known(_, content) => {
                    self.content = content;
                    let bytes = self.held.split().freeze();
                    return Ok(Some(Piece::Packet {
                        bytes,
                        fresh: false,
                    }));
                }
                Measure::Needs(total) => {
                    let missing = total.saturating_sub(self.held.len()).min(data.len());
                    if missing == 0 {
                        return Ok(None);
                    }
                    self.held.extend_from_slice(&data.split_to(missing));
                }
            }
        }
    }
}

fn measure(front: &[u8], carrier: u8) -> Result<Measure, Malformed> {
    let Some((head, [kind, ..])) = front.split_at_checked(4) else {
        return Ok(Measure::Needs(5));
    };
    let length = Fields::new(head, "a length").u32()?;
    if length == 0 || length > LONGEST_PACKET {
        return Err(Malformed::new(format!(
            "a packet of {length} bytes, and 1 to {LONGEST_PACKET} is possible"
        )));
    }
    let total = 4 + length as usize;
    if *kind != carrier {
        return Ok(whole(front, total));
    }
    // DATA: id, length. WRITE: id, handle, offset, length.
    let mut before = 13;
    if carrier == WRITE {
        let Some(handle) = front.get(9..13) else {
            return Ok(Measure::Needs(13));
        };
        let handle = Fields::new(handle, "a handle").u32()?;
        if handle > LONGEST_HANDLE {
            return Err(Malformed::new(format!("a handle of {handle} bytes")));
        }
        before += handle as usize + 12;
    }
    let Some(count) = front.get(before - 4..before) else {
        return Ok(Measure::Needs(before));
    };
    let content = Fields::new(count, "a length").u32()?;
    match before + content as usize == total {
        true => Ok(Measure::Known(before, content)),
        false => Err(Malformed::new(format!(
            "a packet of {length} bytes that says it carries {content}"
        ))),
    }
}

fn whole(front: &[u8], total: usize) -> Measure {
    match front.len() >= total {
        true => Measure::Known(total, 0),
        false => Measure::Needs(total),
    }
}
