//! In: the bytes in front of a sealed frame, from anywhere.
//! Out: what they say, or that no recorder wrote them.
//! Never: a length that a reader would have to believe: none is above [`PLAIN`].

/// A frame holds at most this many bytes of the cast.
pub(crate) const PLAIN: usize = 64 << 10;
/// Compression may look back at so many bytes of the cast: as many as two bytes can count.
pub(crate) const HISTORY: usize = (64 << 10) - 1;
/// Bytes of AES-256-GCM's tag.
pub(crate) const TAG: usize = 16;
/// With these a zstd frame begins (RFC 8878, 3.1.1). They say nothing, and are left out.
pub(crate) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes in front of the sealed ones.
pub(crate) const HEAD: usize = 15;

/// What stands in front of each frame, in clear and authenticated. Integers are big endian: kind (1), number (4),
/// recording (4), plain length - 1 (2), history (2), length inside the tag - 1 (2). Each byte here is paid once a second by
/// every shell that prints a word a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    /// Whether the plain bytes were compressed.
    pub(crate) compressed: bool,
    /// Counted from one.
    pub(crate) number: u32,
    /// The begin of the hash of the recording's first line: which recording it belongs to.
    pub(crate) recording: [u8; 4],
    /// Bytes of the cast in it.
    pub(crate) plain: usize,
    /// So many bytes of the cast before it were compression's dictionary.
    pub(crate) history: usize,
    /// Bytes that follow, the tag included.
    pub(crate) sealed: usize,
}

impl FrameHead {
    /// Whether a record that begins with this byte is a frame.
    pub(crate) fn begins(byte: u8) -> bool {
        matches!(byte, 1 | 2)
    }

    /// `None` if the lengths are none of a frame.
    pub(crate) fn bytes(&self) -> Option<[u8; HEAD]> {
        if !self.is_possible() {
            return None;
        }
        let short = |n: usize| u16::try_from(n).ok();
        let parts: [&[u8]; 6] = [
            &[if self.compressed { 1 } else { 2 }],
            &self.number.to_be_bytes(),
            &self.recording,
            &short(self.plain.checked_sub(1)?)?.to_be_bytes(),
            &short(self.history)?.to_be_bytes(),
            &short(self.sealed.checked_sub(TAG + 1)?)?.to_be_bytes(),
        ];
        let mut bytes = [0; HEAD];
        for (to, from) in bytes.iter_mut().zip(parts.concat()) {
            *to = from;
        }
        Some(bytes)
    }

    /// `None` for what no recorder writes.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (recording, rest) = rest.split_first_chunk()?;
        let (plain, rest) = rest.split_first_chunk()?;
        let (history, rest) = rest.split_first_chunk()?;
        let (inside, _) = rest.split_first_chunk()?;
        let long = |bytes: &[u8; 2]| usize::from(u16::from_be_bytes(*bytes));
        let head = Self {
            compressed: match kind {
                1 => true,
                2 => false,
                _ => return None,
            },
            number: u32::from_be_bytes(*number),
            recording: *recording,
            plain: long(plain) + 1,
            history: long(history),
            sealed: long(inside) + 1 + TAG,
        };
        head.is_possible().then_some(head)
    }

    fn is_possible(&self) -> bool {
        let inside = self.sealed.checked_sub(TAG);
        let fits = match inside {
            Some(inside) if self.compressed => inside > 0 && inside < self.plain,
            Some(inside) => inside == self.plain && self.history == 0,
            None => false,
        };
        fits && self.number > 0 && (1..=PLAIN).contains(&self.plain) && self.history <= HISTORY
    }
}
