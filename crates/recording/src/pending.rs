//! In: pieces of lines.
//! Out: one reusable buffer, from which whole commits are written and hashed.
//! Never: an allocation per event, or memory kept while a recording rests.
#![allow(
    clippy::indexing_slicing,
    reason = "room() comes before each write and makes the range valid"
)]

use base64_simd::{Out, STANDARD};

use crate::escape::{self, BLOCK, LONGEST};

/// A buffer whose bytes are initialised once and then overwritten: `len` tells how many of them count.
#[derive(Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    len: usize,
}

impl Pending {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn from(&self, at: usize) -> &[u8] {
        self.bytes.get(at..self.len).unwrap_or_default()
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Empties the buffer and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Empties the buffer and gives its memory back.
    pub(crate) fn release(&mut self) {
        *self = Self::default();
    }

    /// Forgets the first `len` bytes.
    pub(crate) fn drop_front(&mut self, len: usize) {
        let len = len.min(self.len);
        self.bytes.copy_within(len..self.len, 0);
        self.len -= len;
    }

    /// Forgets everything after the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len());
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// The content of a JSON string.
    pub(crate) fn text(&mut self, text: &str) {
        let source = text.as_bytes();
        let mut read = 0;
        while let Some(window) = source
            .get(read..)
            .and_then(|rest| rest.first_chunk::<{ BLOCK + 16 }>())
        {
            self.room(LONGEST * BLOCK + 16);
            let out = &mut self.bytes[self.len..];
            let Some(block) = window.first_chunk::<BLOCK>() else {
                return;
            };
            let mask = escape::special(block);
            if mask == 0 {
                out[..BLOCK].copy_from_slice(block);
                (read, self.len) = (read + BLOCK, self.len + BLOCK);
                continue;
            }
            let (r, w) = escape::block(window, BLOCK, mask, out);
            (read, self.len) = (read + r, self.len + w);
        }
        self.text_end(&source[read.min(source.len())..]);
    }

    /// As [`text`](Self::text), also without characters that change the direction of text: for a few words.
    pub(crate) fn words(&mut self, text: &str) {
        let quoted = escape::json(&text);
        self.push(
            quoted
                .strip_prefix('"')
                .unwrap_or_default()
                .strip_suffix('"')
                .unwrap_or_default()
                .as_bytes(),
        );
    }

    /// The last bytes of a text, too few to be looked at in place.
    fn text_end(&mut self, source: &[u8]) {
        let mut padded = [b' '; BLOCK + 16 + BLOCK + 16];
        padded[..source.len()].copy_from_slice(source);
        let mut read = 0;
        while read < source.len() {
            let Some(window) = padded[read..].first_chunk::<{ BLOCK + 16 }>() else {
                return;
            };
            let Some(block) = window.first_chunk::<BLOCK>() else {
                return;
            };
            let limit = (source.len() - read).min(BLOCK);
            self.room(LONGEST * BLOCK + 16);
            let (r, w) = escape::block(
                window,
                limit,
                escape::special(block),
                &mut self.bytes[self.len..],
            );
            (read, self.len) = (read + r, self.len + w);
        }
    }

    /// The bytes in base 64, padded (RFC 4648, section 4).
    pub(crate) fn base64(&mut self, bytes: &[u8]) {
        let size = STANDARD.encoded_length(bytes.len());
        self.room(size);
        let _ = STANDARD.encode(
            bytes,
            Out::from_slice(&mut self.bytes[self.len..self.len + size]),
        );
        self.len += size;
    }

    /// The bytes in lower-case hex.
    pub(crate) fn hex(&mut self, bytes: &[u8]) {
        self.room(2 * bytes.len());
        for &b in bytes {
            self.bytes[self.len..self.len + 2]
                .copy_from_slice(&[escape::hex(b >> 4), escape::hex(b & 15)]);
            self.len += 2;
        }
    }

    /// Microseconds as seconds with six digits after the point.
    pub(crate) fn seconds(&mut self, micros: u64) {
        let (mut seconds, mut fraction) = (micros / 1_000_000, micros % 1_000_000);
        let mut digits = [b'0'; 27];
        for place in digits[21..].iter_mut().rev() {
            *place = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        digits[20] = b'.';
        let mut first = 19;
        while seconds > 9 {
            digits[first] = b'0' + (seconds % 10) as u8;
            seconds /= 10;
            first -= 1;
        }
        digits[first] = b'0' + seconds as u8;
        self.push(&digits[first..]);
    }

    fn room(&mut self, more: usize) {
        let need = self.len + more;
        if need > self.bytes.len() {
            let size = need.next_power_of_two().max(512);
            self.bytes.reserve_exact(size - self.bytes.len());
            self.bytes.resize(size, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &str) -> String {
        let mut pending = Pending::default();
        pending.text(text);
        String::from_utf8(pending.from(0).to_vec()).unwrap()
    }

    #[test]
    fn seconds_have_six_digits() {
        for (micros, text) in [
            (0, "0.000000"),
            (7, "0.000007"),
            (1_000_000, "1.000000"),
            (12_345_678_901, "12345.678901"),
            (u64::MAX, "18446744073709.551615"),
        ] {
            let mut pending = Pending::default();
            pending.seconds(micros);
            assert_eq!(pending.from(0), text.as_bytes());
        }
    }

    #[test]
    fn nothing_acts_on_a_terminal() {
        let text = "\u{1b}[2J\u{9b}2J\u{7f}\u{90}\0\u{a0}\u{a9}\"\\\r\n".repeat(40);
        assert!(!escaped(&text).chars().any(char::is_control));
        assert_eq!(
            json(&"\u{9b}\u{202e}\u{7f}\n"),
            "\"\\u009b\\u202e\\u007f\\n\""
        );
    }

    use crate::escape::json;

    proptest! {
        #[test]
        fn json_gives_the_text_back(text in proptest::collection::vec(
            prop_oneof![any::<char>(), Just('\u{9b}'), Just('\u{a0}'), Just('\n'), Just('"'), Just('a')], 0..400))
        {
            let text: String = text.into_iter().collect();
            let line = escaped(&text);
            prop_assert_eq!(&serde_json::from_str::<String>(&format!("\"{line}\"")).unwrap(), &text);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
