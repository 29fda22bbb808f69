//! In: the bytes in front of a sealed frame, from anywhere.
//! Out: what they say, or that no recorder wrote them.
//! Never: a length that a reader would have to believe: none is above [`PLAIN`].

/// A frame holds at most this many bytes of the cast.
pub(crate) const PLAIN: usize = 64 << 10;
/// Compression may look back at so many bytes of the cast.
pub(crate) const HISTORY: usize = 64 << 10;
/// Bytes of AES-256-GCM's tag.
pub(crate) const TAG: usize = 16;
/// Bytes in front of the sealed ones.
pub(crate) const HEAD: usize = 25;

/// What stands in front of each frame, in clear and authenticated. Integers are big endian:
/// kind (1), number (4), recording (8), plain length (4), history (4), sealed length (4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    /// Whether the plain bytes were compressed.
    pub(crate) compressed: bool,
    /// Counted from one.
    pub(crate) number: u32,
    /// The begin of the hash of the recording's first line: which recording it belongs to.
    pub(crate) recording: [u8; 8],
    /// Bytes of the cast in it.
    pub(crate) plain: u32,
    /// So many bytes of the cast before it were compression's dictionary.
    pub(crate) history: u32,
    /// Bytes that follow, the tag included.
    pub(crate) sealed: u32,
}

impl FrameHead {
    /// Whether a record that begins with this byte is a frame.
    pub(crate) fn begins(byte: u8) -> bool {
        matches!(byte, 1 | 2)
    }

    pub(crate) fn bytes(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        let parts: [&[u8]; 6] = [
            &[if self.compressed { 1 } else { 2 }],
            &self.number.to_be_bytes(),
            &self.recording,
            &self.plain.to_be_bytes(),
            &self.history.to_be_bytes(),
            &self.sealed.to_be_bytes(),
        ];
        for (to, from) in bytes.iter_mut().zip(parts.concat()) {
            *to = from;
        }
        bytes
    }

    /// `None` for what no recorder writes.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (recording, rest) = rest.split_first_chunk()?;
        let (plain, rest) = rest.split_first_chunk()?;
        let (history, rest) = rest.split_first_chunk()?;
        let (sealed, _) = rest.split_first_chunk()?;
        let head = Self {
            compressed: match kind {
                1 => true,
                2 => false,
                _ => return None,
            },
            number: u32::from_be_bytes(*number),
            recording: *recording,
            plain: u32::from_be_bytes(*plain),
            history: u32::from_be_bytes(*history),
            sealed: u32::from_be_bytes(*sealed),
        };
        head.is_possible().then_some(head)
    }

    fn is_possible(&self) -> bool {
        let inside = (self.sealed as usize).checked_sub(TAG);
        let fits = match inside {
            Some(inside) if self.compressed => inside > 0 && inside < self.plain as usize,
            Some(inside) => inside == self.plain as usize && self.history == 0,
            None => false,
        };
        fits && self.number > 0
            && (1..=PLAIN).contains(&(self.plain as usize))
            && self.history as usize <= HISTORY
    }
}
