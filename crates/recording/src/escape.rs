//! In: UTF-8 text on its way into a JSON string.
//! Out: the same with every control character (C0, DEL, C1), quote and backslash escaped, at memory speed.
//! Never: a byte in a recording that a terminal would act on, if somebody looks at the file itself.
#![allow(
    clippy::indexing_slicing,
    reason = "hot loops; every index is a constant or bounded by the block's length"
)]

use serde::Serialize;
use wide::u8x16;

/// Bytes of text looked at together: one bit each in a machine word.
pub(crate) const BLOCK: usize = 64;
/// Longest escape of one byte: `\u001b`.
pub(crate) const LONGEST: usize = 6;

/// For each byte its escape in the first bytes, and the escape's length in the last.
static ESCAPES: [[u8; 8]; 256] = escapes();

/// Which bytes of a block need care, lowest bit first: C0 controls, quote, backslash, DEL, and 0xC2, which begins C1
/// controls (and the harmless U+00A0 to U+00BF).
#[inline]
pub(crate) fn special(block: &[u8; BLOCK]) -> u64 {
    let (chunks, _) = block.as_chunks::<16>();
    let mut mask = 0;
    for (at, chunk) in chunks.iter().enumerate() {
        let v = u8x16::new(*chunk);
        let hit = v.simd_eq(v.min(u8x16::splat(0x1F)))
            | v.simd_eq(u8x16::splat(b'"'))
            | v.simd_eq(u8x16::splat(b'\\'))
            | v.simd_eq(u8x16::splat(0x7F))
            | v.simd_eq(u8x16::splat(0xC2));
        mask |= u64::from(hit.to_bitmask()) << (16 * at);
    }
    mask
}

/// Writes `source[..limit]` escaped to `out`, where `source` holds the rest of the text (at least `limit + 16` bytes, so
/// that short runs are copied as 16). Returns how many bytes were read (`limit`, or one more if a C1 control or CR LF
/// crosses it) and written. `out` has room for `6 * BLOCK + 16`.
#[inline]
pub(crate) fn block(
    source: &[u8; BLOCK + 16],
    limit: usize,
    mut mask: u64,
    out: &mut [u8],
) -> (usize, usize) {
    let (mut read, mut written) = (0, 0);
    while mask != 0 {
        let at = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        if at > read {
            written += run(source, read, at, &mut out[written..]);
        }
        let byte = source[at];
        if byte == 0xC2 {
            let (r, w) = c1(source[at + 1], &mut out[written..]);
            read = at + r;
            written += w;
            continue;
        }
        if byte == b'\r' && source[at + 1] == b'\n' {
            // Every line of a terminal ends so; one step instead of two. If the pair crosses the block's end, its
            // second half has no bit here.
            out[written..written + 4].copy_from_slice(b"\\r\\n");
            (written, read) = (written + 4, at + 2);
            mask &= mask.wrapping_sub(1);
            continue;
        }
        let escape = &ESCAPES[byte as usize];
        out[written..written + 8].copy_from_slice(escape);
        written += escape[7] as usize;
        read = at + 1;
    }
    if read < limit {
        written += run(source, read, limit, &mut out[written..]);
        read = limit;
    }
    (read, written)
}

/// Copies `source[from..to]`; always 16 bytes at a time, which is cheaper than a call with a variable length.
#[inline]
fn run(source: &[u8; BLOCK + 16], from: usize, to: usize, out: &mut [u8]) -> usize {
    let mut at = from;
    while at < to {
        out[at - from..at - from + 16].copy_from_slice(&source[at..at + 16]);
        at += 16;
    }
    to - from
}

/// 0xC2 and its `second` byte: a C1 control is escaped (2 bytes read), anything else passes (1 byte read).
#[cold]
fn c1(second: u8, out: &mut [u8]) -> (usize, usize) {
    if !(0x80..=0x9F).contains(&second) {
        out[0] = 0xC2;
        return (1, 1);
    }
    out[..6].copy_from_slice(&[b'\\', b'u', b'0', b'0', hex(second >> 4), hex(second & 15)]);
    (2, 6)
}

/// Estimated size of `text` as the content of a JSON string: from samples spread over it, for it only decides between
/// two spellings and would else cost as much as the escaping. Exact (but for C1 controls) up to 1 KiB.
pub(crate) fn escaped_size(text: &[u8]) -> usize {
    const SAMPLES: usize = 16;
    let step = text.len().div_ceil(SAMPLES).max(BLOCK);
    let (mut seen, mut size) = (0, 0);
    for part in text.chunks(step) {
        let sample = &part[..part.len().min(BLOCK)];
        seen += sample.len();
        size += sample
            .iter()
            .map(|&b| usize::from(SIZES[usize::from(b)]))
            .sum::<usize>();
    }
    size.saturating_mul(text.len())
        .checked_div(seen)
        .unwrap_or(0)
}

/// Size of each byte's spelling.
static SIZES: [u8; 256] = sizes();

const fn sizes() -> [u8; 256] {
    let mut sizes = [1; 256];
    let mut b = 0;
    while b < 128 {
        if b < 0x20 || b == b'"' as usize || b == b'\\' as usize || b == 0x7F {
            sizes[b] = escapes()[b][7];
        }
        b += 1;
    }
    sizes
}

/// A lower-case hex digit.
pub(crate) const fn hex(nibble: u8) -> u8 {
    nibble + if nibble < 10 { b'0' } else { b'a' - 10 }
}

/// A value as JSON in one line, with nothing in it that a terminal acts on: also DEL, C1 and the characters that
/// change the direction of text are escaped. For headers and comments, not for bulk text.
pub(crate) fn json(value: &impl Serialize) -> String {
    let plain = serde_json::to_string(value).unwrap_or_default();
    let mut safe = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => safe.push_str(&format!("\\u{:04x}", c as u32)),
            c => safe.push(c),
        }
    }
    safe
}

const fn escapes() -> [[u8; 8]; 256] {
    let mut table = [[0; 8]; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        table[b] = match byte {
            b'\n' => short(b'n'),
            b'\r' => short(b'r'),
            b'\t' => short(b't'),
            8 => short(b'b'),
            12 => short(b'f'),
            b'"' | b'\\' => short(byte),
            _ => [
                b'\\',
                b'u',
                b'0',
                b'0',
                hex(byte >> 4),
                hex(byte & 15),
                0,
                6,
            ],
        };
        b += 1;
    }
    table
}

const fn short(letter: u8) -> [u8; 8] {
    [b'\\', letter, 0, 0, 0, 0, 0, 2]
}
