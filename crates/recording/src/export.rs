//! In: a reader.
//! Out: a plain asciicast v2 or v3 without anything of ours, or the exact bytes with their times.
//! Never: the raw form unless asked for by name; a claim that an export proves anything.

use std::{
    io::{Read, Write},
    time::Duration,
};

use serde::Serialize;

use crate::{
    error::ReadError,
    escape::json,
    header::{Header, drawable},
    live::Stream,
    pending::Pending,
    reader::{Event, EventKind, Reader},
    utf8::Lossy,
};

/// The forms of [`export`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// asciicast v2: absolute times.
    V2,
    /// asciicast v3: intervals, exit status.
    V3,
}

/// Writes a recording as a plain asciicast: readable text, standard error as output. Damaged lines are left out.
///
/// # Errors
/// [`ReadError::Export`] at once; of the recording's own faults the first, after all that can be read is written.
pub fn export<R: Read>(
    reader: Reader<R>,
    out: &mut impl Write,
    format: Format,
) -> Result<(), ReadError> {
    let mut export = Export {
        format,
        at: Duration::ZERO,
        texts: Default::default(),
        line: Pending::default(),
    };
    let mut first_fault = None;
    out.write_all(header(reader.header(), format).as_bytes())
        .map_err(ReadError::Export)?;
    for event in reader {
        match event {
            Ok(event) => export.event(&event),
            Err(fault) => first_fault = first_fault.or(Some(fault)),
        }
        export.flush(out)?;
    }
    export.finish();
    export.flush(out)?;
    first_fault.map_or(Ok(()), Err)
}

/// The exact bytes of the recording, stream by stream, with their times. They may act on a terminal: never print them
/// to one.
pub fn raw<R: Read>(reader: Reader<R>) -> RawBytes<R> {
    RawBytes { reader }
}

/// See [`raw`].
pub struct RawBytes<R> {
    reader: Reader<R>,
}

impl<R: Read> Iterator for RawBytes<R> {
    type Item = Result<(Duration, Stream, Vec<u8>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.reader.next()? {
                Ok(Event {
                    at,
                    kind: EventKind::Output { stream, bytes },
                }) => return Some(Ok((at, stream, bytes))),
                Ok(_) => {}
                Err(e) => return Some(Err(e)),
            }
        }
    }
}

#[derive(Serialize)]
struct Term<'a> {
    cols: u32,
    rows: u32,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
}

#[derive(Serialize)]
struct Env<'a> {
    #[serde(rename = "TERM")]
    term: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<Term<'a>>,
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<Env<'a>>,
}

fn header(h: &Header, format: Format) -> String {
    let (cols, rows) = (drawable(h.cols, 80), drawable(h.rows, 24));
    let v2 = format == Format::V2;
    let line = Line {
        version: if v2 { 2 } else { 3 },
        width: v2.then_some(cols),
        height: v2.then_some(rows),
        term: (!v2).then_some(Term {
            cols,
            rows,
            kind: h.term.as_deref(),
        }),
        timestamp: h.started.as_second().max(0),
        command: h.command_text(),
        title: h.title(),
        env: h.term.as_deref().filter(|_| v2).map(|term| Env { term }),
    };
    json(&line) + "\n"
}

struct Export {
    format: Format,
    /// Time of the last line.
    at: Duration,
    /// Standard output, standard error, input.
    texts: [Lossy; 3],
    line: Pending,
}

impl Export {
    fn event(&mut self, event: &Event) {
        let [stdout, stderr, input] = &mut self.texts;
        match &event.kind {
            EventKind::Output { stream, bytes } => {
                let text = if *stream == Stream::Stdout {
                    stdout.decode(bytes)
                } else {
                    stderr.decode(bytes)
                };
                self.text(event.at, "o", &text);
            }
            EventKind::Input(bytes) => {
                let text = input.decode(bytes);
                self.text(event.at, "i", &text);
            }
            EventKind::Resize { cols, rows } => {
                self.text(
                    event.at,
                    "r",
                    &format!("{}x{}", drawable(*cols, 1), drawable(*rows, 1)),
                );
            }
            EventKind::Marker(text) => self.text(event.at, "m", text),
            EventKind::Exit(exit) if self.format == Format::V3 => {
                self.text(
                    event.at,
                    "x",
                    &exit.shell_status().cast_signed().to_string(),
                );
            }
            EventKind::Exit(_) | EventKind::Unknown { .. } => {}
        }
    }

    fn finish(&mut self) {
        for at in 0..2 {
            let text = self
                .texts
                .get_mut(at)
                .map(Lossy::finish)
                .unwrap_or_default();
            self.text(self.at, "o", &text);
        }
    }

    fn text(&mut self, at: Duration, code: &str, text: &str) {
        if text.is_empty() && code != "m" {
            return;
        }
        let time = if self.format == Format::V2 {
            at
        } else {
            at.saturating_sub(self.at)
        };
        self.at = at;
        self.line.push(b"[");
        self.line
            .seconds(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        self.line.push(b", \"");
        self.line.push(code.as_bytes());
        self.line.push(b"\", \"");
        self.line.text(text);
        self.line.push(b"\"]\n");
    }

    fn flush(&mut self, out: &mut impl Write) -> Result<(), ReadError> {
        out.write_all(self.line.from(0))
            .map_err(ReadError::Export)?;
        self.line.clear();
        Ok(())
    }
}
