//! In: a recording: trusted or not, sealed or not, whole or cut.
//! Out: its header and events, with the exact bytes that were written, in bounded memory.
//! Never: a panic; a guess. What is no event is named with its offset, and reading goes on behind it.

use std::{borrow::Cow, collections::VecDeque, fs::File, io::Read, path::Path, time::Duration};

use base64_simd::STANDARD;
use serde::Deserialize;

use crate::{
    error::{HeaderFault, ReadError},
    header::Header,
    line::Lines,
    live::Stream,
};

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Time since the recording began.
    pub at: Duration,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Bytes on their way to the operator. A character that came in two chunks is in one event.
    Output {
        /// Where they came from.
        stream: Stream,
        /// Exactly what was forwarded.
        bytes: Vec<u8>,
    },
    /// Bytes on their way to the amphora, if input was recorded.
    Input(Vec<u8>),
    /// A new size of the terminal as the client said it: any numbers, clamp them before use.
    Resize {
        /// Columns.
        cols: u32,
        /// Rows.
        rows: u32,
    },
    /// What the gateway says.
    Marker(String),
    /// How the program ended.
    Exit(Exit),
    /// An event code that this version does not know.
    Unknown {
        /// The code.
        code: String,
        /// Its data.
        data: String,
    },
}

/// How a program ended (RFC 4254, section 6.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With a status.
    Status(u32),
    /// By a signal, named without `SIG`.
    Signal(String),
}

impl Exit {
    /// The status as a shell tells it: 128 and the signal's number, 255 for an unknown signal.
    #[must_use]
    pub fn shell_status(&self) -> u32 {
        let name = match self {
            Self::Status(status) => return *status,
            Self::Signal(name) => name.as_str(),
        };
        let numbers = [
            ("HUP", 1),
            ("INT", 2),
            ("QUIT", 3),
            ("ILL", 4),
            ("ABRT", 6),
            ("FPE", 8),
            ("KILL", 9),
            ("USR1", 10),
            ("SEGV", 11),
            ("USR2", 12),
            ("PIPE", 13),
            ("ALRM", 14),
            ("TERM", 15),
        ];
        numbers
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(255, |(_, number)| 128 + number)
    }
}

/// Reads a recording event by event.
pub struct Reader<R> {
    lines: Lines<R>,
    header: Header,
    at: u64,
    stream: Stream,
    /// Characters begun on stdout and stderr (`t`), which the next output of that stream begins with.
    held: [Vec<u8>; 2],
    /// Said before the event that it belongs to: `f`, `z`, `g`.
    replaced: Option<Vec<Vec<u8>>>,
    size: Option<(u32, u32)>,
    signal: Option<String>,
    ready: VecDeque<Result<Event, ReadError>>,
    done: bool,
}

/// `[interval, "code", "data"]`.
#[derive(Deserialize)]
struct Raw<'a>(
    f64,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
);

impl Reader<File> {
    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be read, or its first line is no header of ours.
    pub fn open_path(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        Self::open(File::open(path)?)
    }
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// If the first line is no header of ours.
    pub fn open(input: R) -> Result<Self, ReadError> {
        let mut lines = Lines::new(input);
        let header = match lines.next()? {
            Some(first) if first.ends => Header::parse(first.bytes)?,
            _ => return Err(HeaderFault::Missing.into()),
        };
        Ok(Self {
            lines,
            header,
            at: 0,
            stream: Stream::Stdout,
            held: Default::default(),
            replaced: None,
            size: None,
            signal: None,
            ready: VecDeque::new(),
            done: false,
        })
    }

    /// The recording's header. Unverified, as everything that a reader tells.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads one line (or piece), which may make events ready.
    fn advance(&mut self) -> Result<(), ReadError> {
        let Some(piece) = self.lines.next()? else {
            self.finish();
            return Ok(());
        };
        let offset = piece.offset;
        if !piece.begins {
            return Ok(());
        }
        if piece.cut {
            self.finish();
            return Err(ReadError::Cut { offset });
        }
        let fault = |why| ReadError::Line { offset, why };
        if !piece.ends {
            return Err(fault("longer than 16 MiB"));
        }
        if matches!(piece.bytes.first(), Some(b'#' | b'\n')) {
            return Ok(());
        }
        let line = simdutf8::basic::from_utf8(piece.bytes).map_err(|_| fault("no UTF-8"))?;
        let Raw(interval, code, data) =
            serde_json::from_str(line).map_err(|_| fault("no list of interval, code and data"))?;
        let interval = micros(interval).ok_or(fault("an interval that is none"))?;
        // Owned, so that the line's borrow ends; output is decoded into owned bytes anyway.
        let (code, data) = (code.into_owned(), data.into_owned());
        self.at = self.at.saturating_add(interval);
        self.event(&code, data).map_err(fault)
    }

    fn event(&mut self, code: &str, data: String) -> Result<(), &'static str> {
        let replaced = self.replaced.take();
        if replaced.is_some() && code != "o" {
            return Err("bytes (f) are not followed by their text (o)");
        }
        match code {
            "o" => self.output(restore(data, replaced)?),
            "b" => self.output(
                STANDARD
                    .decode_to_vec(data.as_bytes())
                    .map_err(|_| "b is no base64")?,
            ),
            "s" => self.switch(&data),
            "t" => self.hold(&data),
            "f" => {
                let groups: Option<Vec<_>> = data.split(' ').map(unhex).collect();
                self.replaced = Some(groups.ok_or("f is no hex")?);
                Ok(())
            }
            "i" => self.push(EventKind::Input(data.into_bytes())),
            "j" => self.push(EventKind::Input(
                STANDARD
                    .decode_to_vec(data.as_bytes())
                    .map_err(|_| "j is no base64")?,
            )),
            "z" => {
                self.size = Some(size(&data).ok_or("z is no size")?);
                Ok(())
            }
            "r" => {
                let (cols, rows) = size(&data).ok_or("r is no size")?;
                let (cols, rows) = self.size.take().unwrap_or((cols, rows));
                self.push(EventKind::Resize { cols, rows })
            }
            "m" => self.push(EventKind::Marker(data)),
            "g" => {
                self.signal = Some(data);
                Ok(())
            }
            "x" => {
                let status: i32 = data.parse().map_err(|_| "x is no number")?;
                let exit = self
                    .signal
                    .take()
                    .map_or(Exit::Status(status.cast_unsigned()), Exit::Signal);
                self.push(EventKind::Exit(exit))
            }
            _ => self.push(EventKind::Unknown {
                code: code.to_owned(),
                data,
            }),
        }
    }

    fn output(&mut self, bytes: Vec<u8>) -> Result<(), &'static str> {
        let held = std::mem::take(self.held());
        if !bytes.starts_with(&held) {
            self.emit(held);
            self.emit(bytes);
            return Err("output does not begin with the bytes held back before (t)");
        }
        self.emit(bytes);
        Ok(())
    }

    fn hold(&mut self, data: &str) -> Result<(), &'static str> {
        let bytes = unhex(data)
            .filter(|bytes| (1..=3).contains(&bytes.len()))
            .ok_or("t is not one to three bytes in hex")?;
        let before = std::mem::replace(self.held(), bytes.clone());
        if !bytes.starts_with(&before) {
            self.emit(before);
            return Err("t does not begin with the bytes held back before");
        }
        Ok(())
    }

    fn switch(&mut self, data: &str) -> Result<(), &'static str> {
        self.stream = match data {
            "1" => Stream::Stdout,
            "2" => Stream::Stderr,
            _ => return Err("s is neither 1 nor 2"),
        };
        Ok(())
    }

    fn held(&mut self) -> &mut Vec<u8> {
        let [stdout, stderr] = &mut self.held;
        if self.stream == Stream::Stdout {
            stdout
        } else {
            stderr
        }
    }

    /// The end: what was held back was written, so it counts.
    fn finish(&mut self) {
        self.done = true;
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.stream = stream;
            let held = std::mem::take(self.held());
            self.emit(held);
        }
    }

    fn emit(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            let stream = self.stream;
            let _ = self.push(EventKind::Output { stream, bytes });
        }
    }

    fn push(&mut self, kind: EventKind) -> Result<(), &'static str> {
        self.ready.push_back(Ok(Event {
            at: Duration::from_micros(self.at),
            kind,
        }));
        Ok(())
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            if self.done {
                return None;
            }
            if let Err(e) = self.advance() {
                // A device that fails once may fail for ever.
                self.done |= matches!(e, ReadError::Io(_));
                self.ready.push_back(Err(e));
            }
        }
    }
}

/// The bytes of a text in which each U+FFFD stands for some.
fn restore(text: String, replaced: Option<Vec<Vec<u8>>>) -> Result<Vec<u8>, &'static str> {
    let Some(replaced) = replaced else {
        return Ok(text.into_bytes());
    };
    let mut replaced = replaced.into_iter();
    let mut bytes = Vec::with_capacity(text.len());
    let mut between = text.split('\u{fffd}');
    bytes.extend_from_slice(between.next().unwrap_or_default().as_bytes());
    for part in between {
        bytes.extend(
            replaced
                .next()
                .ok_or("fewer bytes (f) than places for them")?,
        );
        bytes.extend_from_slice(part.as_bytes());
    }
    if replaced.next().is_some() {
        return Err("more bytes (f) than places for them");
    }
    Ok(bytes)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok())
        .collect()
}

fn size(text: &str) -> Option<(u32, u32)> {
    let (cols, rows) = text.split_once('x')?;
    Some((cols.parse().ok()?, rows.parse().ok()?))
}

/// Seconds as microseconds; a hundred years at most.
fn micros(seconds: f64) -> Option<u64> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked"
    )]
    (0.0..=3.2e9)
        .contains(&seconds)
        .then(|| (seconds * 1e6).round() as u64)
}
