//! In: the bytes of one direction, in frames: a length, a kind, and what is in it. Out: the bytes of the conversation.
//! Never: a frame of a kind that rsync does not have.

use bytes::Bytes;

use super::NoRsync;

/// What is added to each kind on the wire.
const BASE: u8 = 7;
/// Bytes of the conversation. All other frames are messages beside it.
const DATA: u8 = 0;
/// Errors, warnings and remarks; again, statistics, faults; alive; the end; what came of a file.
const MESSAGES: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 22, 33, 42, 86, 100, 101, 102];

/// Where in a frame this direction is.
#[derive(Debug)]
pub(super) enum Frames {
    Header { read: u8, length: usize },
    Data(usize),
    Message(usize),
}

/// A stretch of bytes.
pub(super) enum Part {
    /// So many bytes of a frame's beginning.
    Header(usize),
    /// So many of a message.
    Message(usize),
    /// These of the conversation.
    Body(Bytes),
}

impl Default for Frames {
    fn default() -> Self {
        Self::Header { read: 0, length: 0 }
    }
}

impl Frames {
    /// Takes the next stretch off `data`, which must not be empty.
    pub(super) fn next(&mut self, data: &mut Bytes) -> Result<Part, NoRsync> {
        match self {
            Self::Header { read, length } => {
                let byte = data.first().copied().ok_or(NoRsync)?;
                if *read < 3 {
                    *length |= usize::from(byte) << (8 * *read);
                    *read += 1;
                } else {
                    let length = *length;
                    *self = match byte.checked_sub(BASE) {
                        Some(DATA) => Self::Data(length),
                        Some(kind) if MESSAGES.contains(&kind) => Self::Message(length),
                        _ => return Err(NoRsync),
                    };
                    self.ends();
                }
                let _ = data.split_to(1);
                Ok(Part::Header(1))
            }
            Self::Data(left) => {
                let part = data.split_to(data.len().min(*left));
                *left -= part.len();
                self.ends();
                Ok(Part::Body(part))
            }
            Self::Message(left) => {
                let part = data.split_to(data.len().min(*left));
                *left -= part.len();
                self.ends();
                Ok(Part::Message(part.len()))
            }
        }
    }

    fn ends(&mut self) {
        if matches!(self, Self::Data(0) | Self::Message(0)) {
            *self = Self::default();
        }
    }
}
