//! In: chunks of bytes, cut anywhere.
//! Out: how many bytes at a chunk's end begin a character that the next chunk may complete; a lossy decoder.
//! Never: bytes held back that no continuation could turn into a character.

/// Length (0 to 3) of an incomplete but so far valid character at the end of `bytes`.
pub(crate) fn incomplete_tail(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let tail = bytes.get(bytes.len() - back..).unwrap_or_default();
        match tail.first() {
            Some(0x80..=0xBF) => {}
            Some(0xC2..=0xF4) => {
                let incomplete = std::str::from_utf8(tail)
                    .is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none());
                return if incomplete { back } else { 0 };
            }
            _ => return 0,
        }
    }
    0
}

/// How many invalid sequences `bytes` holds, or `None` once there are more than `limit`: random bytes are told apart
/// from text with a few bad bytes without walking through all of them.
pub(crate) fn invalid_sequences(bytes: &[u8], limit: usize) -> Option<usize> {
    let mut invalid = 0;
    for chunk in bytes.utf8_chunks() {
        invalid += usize::from(!chunk.invalid().is_empty());
        if invalid > limit {
            return None;
        }
    }
    Some(invalid)
}

/// Turns bytes into readable text for exports; characters cut by an event's end are joined, bad bytes become U+FFFD.
#[derive(Default)]
pub(crate) struct Lossy {
    held: Vec<u8>,
}

impl Lossy {
    /// The text that is complete with `bytes`.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let whole = self.held.len() - incomplete_tail(&self.held);
        let rest = self.held.split_off(whole);
        let text = String::from_utf8_lossy(&self.held).into_owned();
        self.held = rest;
        text
    }

    /// What was held back and never completed.
    pub(crate) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails() {
        for (bytes, tail) in [
            (&b""[..], 0),
            (b"abc", 0),
            (b"\xc3", 1),
            (b"a\xe2\x82", 2),
            (b"\xf0\x9f\x98", 3),
            (b"\xf0\x9f\x98\x80", 0),
            (b"\x80\x80\x80", 0),
            (b"\xc0", 0),
            (b"\xff", 0),
            (b"\xe0\x80", 0),
            (b"\xed\xa0", 0),
            (b"\xf4\x90", 0),
            (b"\xc3\xa9", 0),
        ] {
            assert_eq!(incomplete_tail(bytes), tail, "{bytes:x?}");
        }
    }

    #[test]
    fn lossy_joins_split_characters() {
        let mut lossy = Lossy::default();
        assert_eq!(lossy.decode(b"a\xe2\x82"), "a");
        assert_eq!(lossy.decode(b"\xac\xff\xc3"), "\u{20ac}\u{fffd}");
        assert_eq!(lossy.finish(), "\u{fffd}");
    }
}
