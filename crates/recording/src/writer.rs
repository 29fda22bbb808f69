//! In: what happened on a channel, with its time.
//! Out: asciicast v3 event lines in a buffer; every byte can be had back from them.
//! Never: I/O; a clock; a byte held in memory that is in no line.

use crate::{
    escape::escaped_size,
    header::drawable,
    live::Stream,
    pending::Pending,
    reader::Exit,
    utf8::{incomplete_tail, invalid_sequences},
};

/// Most bytes of output in one event, so that a reader needs little memory and a player draws smoothly.
const LARGEST_EVENT: usize = 64 << 10;

/// Bytes of which is decided together whether they are noise.
const STRETCH: usize = 256;

/// The incomplete character at the end of a stream so far: already in the file as a `t` event.
#[derive(Clone, Copy, Default)]
struct Tail {
    bytes: [u8; 3],
    len: usize,
}

/// Turns happenings into lines.
pub(crate) struct Writer {
    pty: bool,
    last_micros: u64,
    stream: Stream,
    tails: [Tail; 2],
}

impl Writer {
    pub(crate) fn new(pty: bool) -> Self {
        Self {
            pty,
            last_micros: 0,
            stream: Stream::Stdout,
            tails: Default::default(),
        }
    }

    pub(crate) fn output(&mut self, out: &mut Pending, at: u64, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.switch(out, at, stream);
        let mut rest = self.join(out, at, bytes);
        // Taken off once, before the cut into parts: the end of a part may look like an open character and is none.
        let tail = incomplete_tail(rest);
        while rest.len() > tail {
            let (whole, _) = rest.split_at(rest.len() - tail);
            let part = first_part(whole, LARGEST_EVENT);
            let used = if self.pty {
                self.shown(out, at, part);
                part.len()
            } else if self.cheaper_as_text(part) {
                self.readable(out, at, part);
                part.len()
            } else {
                // Base 64 needs no whole characters: the last part takes the tail along.
                let part = if part.len() == whole.len() {
                    rest
                } else {
                    part
                };
                self.base64(out, at, part);
                part.len()
            };
            rest = rest.get(used..).unwrap_or_default();
        }
        if !rest.is_empty() {
            self.hold(out, at, rest);
        }
    }

    /// Input as text if it is text, else as base 64.
    pub(crate) fn input(&mut self, out: &mut Pending, at: u64, bytes: &[u8]) {
        for part in bytes.chunks(LARGEST_EVENT) {
            match simdutf8::basic::from_utf8(part) {
                Ok(text) => self.line(out, at, b'i', |out| out.text(text)),
                Err(_) => self.line(out, at, b'j', |out| out.base64(part)),
            }
        }
    }

    pub(crate) fn resize(&mut self, out: &mut Pending, at: u64, cols: u32, rows: u32) {
        let shown = (drawable(cols, 1), drawable(rows, 1));
        if shown != (cols, rows) {
            self.line(out, at, b'z', |out| {
                out.push(format!("{cols}x{rows}").as_bytes())
            });
        }
        self.line(out, at, b'r', |out| {
            out.push(format!("{}x{}", shown.0, shown.1).as_bytes())
        });
    }

    pub(crate) fn marker(&mut self, out: &mut Pending, at: u64, text: &str) {
        self.line(out, at, b'm', |out| out.words(text));
    }

    pub(crate) fn exit(&mut self, out: &mut Pending, at: u64, exit: &Exit) {
        if let Exit::Signal(name) = exit {
            self.line(out, at, b'g', |out| out.words(name));
        }
        // Players want a signed number here; the bits are kept.
        let status = exit.shell_status().cast_signed();
        self.line(out, at, b'x', |out| out.push(status.to_string().as_bytes()));
    }

    /// Characters that were begun and will not be completed.
    pub(crate) fn finish(&mut self, out: &mut Pending, at: u64) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let tail = std::mem::take(self.tail(stream));
            if tail.len > 0 {
                self.switch(out, at, stream);
                self.readable(out, at, tail.bytes.get(..tail.len).unwrap_or_default());
            }
        }
    }

    fn switch(&mut self, out: &mut Pending, at: u64, stream: Stream) {
        if self.stream != stream {
            self.stream = stream;
            let digit: &[u8] = if stream == Stream::Stdout { b"1" } else { b"2" };
            self.line(out, at, b's', |out| out.push(digit));
        }
    }

    fn tail(&mut self, stream: Stream) -> &mut Tail {
        let [stdout, stderr] = &mut self.tails;
        if stream == Stream::Stdout {
            stdout
        } else {
            stderr
        }
    }

    /// If a character is open, writes it with what completes (or breaks) it, and returns the bytes after that.
    fn join<'a>(&mut self, out: &mut Pending, at: u64, bytes: &'a [u8]) -> &'a [u8] {
        let tail = std::mem::take(self.tail(self.stream));
        if tail.len == 0 {
            return bytes;
        }
        let mut joined = tail.bytes.get(..tail.len).unwrap_or_default().to_vec();
        joined.extend_from_slice(bytes.get(..bytes.len().min(3)).unwrap_or_default());
        if incomplete_tail(&joined) == joined.len() {
            self.hold(out, at, &joined);
            return &[];
        }
        let first =
            joined
                .utf8_chunks()
                .next()
                .map_or(0, |chunk| match chunk.valid().chars().next() {
                    Some(c) => c.len_utf8(),
                    None => chunk.invalid().len(),
                });
        // A tail is a valid beginning, so the first sequence covers at least the tail.
        let first = first.max(tail.len).min(joined.len());
        joined.truncate(first);
        self.readable(out, at, &joined);
        bytes.get(first - tail.len..).unwrap_or_default()
    }

    /// What a terminal shows stays readable for every player, whatever it costs; only noise goes as base 64, and that
    /// is decided for short stretches, so that text cannot hide behind noise.
    fn shown(&mut self, out: &mut Pending, at: u64, bytes: &[u8]) {
        if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
            return self.run(out, at, text.as_bytes(), false);
        }
        let (mut run, mut end) = (bytes, 0);
        let mut noisy = false;
        while let Some(rest) = run.get(end..).filter(|rest| !rest.is_empty()) {
            let stretch = first_part(rest, STRETCH);
            let is_noise = noise(stretch);
            if is_noise != noisy {
                let (before, after) = run.split_at(end);
                self.run(out, at, before, noisy);
                (run, end, noisy) = (after, 0, is_noise);
            }
            end += stretch.len();
        }
        self.run(out, at, run, noisy);
    }

    fn run(&mut self, out: &mut Pending, at: u64, bytes: &[u8], noisy: bool) {
        match (bytes, noisy) {
            ([], _) => {}
            (_, true) => self.base64(out, at, bytes),
            (_, false) => self.readable(out, at, bytes),
        }
    }

    fn base64(&mut self, out: &mut Pending, at: u64, bytes: &[u8]) {
        self.line(out, at, b'b', |out| out.base64(bytes));
    }

    /// Whether text (with the bytes that are none beside it) takes less room than base 64. Estimated, not tried.
    fn cheaper_as_text(&self, bytes: &[u8]) -> bool {
        // Random bytes betray themselves at once, without a look at the rest.
        if noise(first_part(bytes, STRETCH)) {
            return false;
        }
        // Each bad byte takes three for U+FFFD and about three in the `f` line.
        let bad = match simdutf8::basic::from_utf8(bytes) {
            Ok(_) => 0,
            Err(_) => match invalid_sequences(bytes, 16 + bytes.len() / 64) {
                Some(bad) => 32 + 6 * bad,
                None => return false,
            },
        };
        escaped_size(bytes) + bad <= bytes.len().div_ceil(3) * 4
    }

    /// Text, and before it the bytes that are none.
    fn readable(&mut self, out: &mut Pending, at: u64, bytes: &[u8]) {
        if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
            return self.line(out, at, b'o', |out| out.text(text));
        }
        self.line(out, at, b'f', |out| {
            let mut separator: &[u8] = b"";
            for bad in replaced(bytes) {
                out.push(separator);
                out.hex(bad);
                separator = b" ";
            }
        });
        self.line(out, at, b'o', |out| {
            out.text(&String::from_utf8_lossy(bytes))
        });
    }

    /// Writes the incomplete character down and remembers it.
    fn hold(&mut self, out: &mut Pending, at: u64, bytes: &[u8]) {
        let mut tail = Tail {
            bytes: [0; 3],
            len: bytes.len().min(3),
        };
        for (to, from) in tail.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        *self.tail(self.stream) = tail;
        self.line(out, at, b't', |out| out.hex(bytes));
    }

    fn line(&mut self, out: &mut Pending, at: u64, code: u8, data: impl FnOnce(&mut Pending)) {
        let interval = at.saturating_sub(self.last_micros);
        self.last_micros += interval;
        out.push(b"[");
        out.seconds(interval);
        out.push(&[b',', b'"', code, b'"', b',', b'"']);
        data(out);
        out.push(b"\"]\n");
    }
}

/// At most `most` bytes, not cut within a character.
fn first_part(bytes: &[u8], most: usize) -> &[u8] {
    match bytes.get(..most) {
        Some(part) if part.len() < bytes.len() => part
            .get(..part.len() - incomplete_tail(part))
            .unwrap_or(part),
        _ => bytes,
    }
}

/// Whether more than a quarter of the bytes are none of a character.
fn noise(bytes: &[u8]) -> bool {
    let limit = bytes.len() / 4;
    // Counting is cheap and settles nearly all; each bad sequence has a byte that is not ASCII.
    let high = bytes.iter().filter(|b| !b.is_ascii()).count();
    high > limit && invalid_sequences(bytes, limit).is_none()
}

/// The real bytes of every U+FFFD in the lossy text of `bytes`, in order: also of those that were U+FFFD all along.
fn replaced(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let genuine = chunk.valid().matches('\u{fffd}').map(str::as_bytes);
        genuine.chain((!chunk.invalid().is_empty()).then(|| chunk.invalid()))
    })
}
