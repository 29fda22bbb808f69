//! In: recordings.
//! Out: everything that was printed, in the order it was, as lines of text that are safe on any terminal.
//! Never: a control sequence; a text left out because something was drawn over it.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use ampgate_recording::{EventKind, Exit, Stream};
use anyhow::Result;
use avt::parser::{Function, Parser};
use clap::Args;

use crate::{export, source, source::Faults, text, trust::KeyArgs};

/// A line is broken here at the latest: a recording may have none for gigabytes.
const LONGEST: usize = 64 << 10;

/// Print everything that was ever printed, in its order, as plain text that is safe on any terminal
#[derive(Args)]
#[command(
    after_help = "Control sequences are left out (--visible shows them), so what was drawn over, cleared or shown on another screen\nis all there. Characters that act or hide are spelt out as \\u{1b}; a backspace is \\u{8}.\n\nExamples:\n  ampgate-replay cat FILE | less\n  ampgate-replay cat --timestamps FILE | grep -n passwd\n  ampgate-replay cat --raw FILE | sha256sum"
)]
pub struct Cat {
    /// Recordings
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Only standard error
    #[arg(long, conflicts_with = "raw")]
    stderr: bool,
    /// Each line with its time in the session; also what the gateway said, sizes, input (if recorded) and the exit
    #[arg(short, long, conflicts_with = "raw")]
    timestamps: bool,
    /// Show control sequences, spelt out
    #[arg(short = 'A', long, conflicts_with = "raw")]
    visible: bool,
    /// Exactly the bytes that the operator got (as "export --format raw")
    #[arg(long)]
    raw: bool,
    /// Raw bytes even to a terminal
    #[arg(long, requires = "raw")]
    force: bool,
    #[command(flatten)]
    keys: KeyArgs,
}

impl Cat {
    pub fn run(&self) -> Result<ExitCode> {
        if self.raw {
            export::refuse_terminal(self.force)?;
        }
        let mut out = BufWriter::new(io::stdout().lock());
        for file in &self.files {
            self.file(file, &mut out)?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    fn file(&self, path: &Path, out: &mut dyn Write) -> Result<()> {
        let reader = source::open(path)?;
        source::warn(path, &self.keys)?;
        if self.raw {
            return export::bytes(path, reader, out);
        }
        let mut faults = Faults::default();
        let mut lines = [self.lines("out"), self.lines("err"), self.lines("in ")];
        let [stdout, stderr, input] = &mut lines;
        for event in reader {
            let event = match event {
                Ok(event) => event,
                Err(fault) => {
                    faults.take(path, &fault);
                    continue;
                }
            };
            match event.kind {
                EventKind::Output {
                    stream: Stream::Stdout,
                    bytes,
                } if !self.stderr => {
                    stderr.break_line(out)?;
                    stdout.take(event.at, &bytes, out)?;
                }
                EventKind::Output {
                    stream: Stream::Stderr,
                    bytes,
                } => {
                    stdout.break_line(out)?;
                    stderr.take(event.at, &bytes, out)?;
                }
                EventKind::Input(bytes) if self.timestamps && !self.stderr => {
                    input.take(event.at, &bytes, out)?;
                    input.break_line(out)?;
                }
                EventKind::Marker(said) => self.note(
                    event.at,
                    &format!("gateway: {said}"),
                    &mut lines_of(stdout, stderr),
                    out,
                )?,
                EventKind::Resize { cols, rows } => self.note(
                    event.at,
                    &format!("size {cols}x{rows}"),
                    &mut lines_of(stdout, stderr),
                    out,
                )?,
                EventKind::Exit(Exit::Status(status)) => self.note(
                    event.at,
                    &format!("exit status {status}"),
                    &mut lines_of(stdout, stderr),
                    out,
                )?,
                EventKind::Exit(Exit::Signal(name)) => self.note(
                    event.at,
                    &format!("killed by signal {name}"),
                    &mut lines_of(stdout, stderr),
                    out,
                )?,
                _ => {}
            }
        }
        for lines in &mut lines {
            lines.finish(out)?;
        }
        faults.finish(path);
        Ok(())
    }

    fn lines(&self, what: &'static str) -> Lines {
        Lines {
            what: self.timestamps.then_some(what),
            visible: self.visible,
            parser: Parser::new(),
            cut: Vec::new(),
            line: String::new(),
            at: Duration::ZERO,
            returned: false,
        }
    }

    /// A line of ours; with times only, so that plain `cat` has nothing but the program's text.
    fn note(
        &self,
        at: Duration,
        what: &str,
        lines: &mut [&mut Lines; 2],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if !self.timestamps || self.stderr {
            return Ok(());
        }
        for lines in lines {
            lines.break_line(out)?;
        }
        writeln!(out, "{} --  {}", stamp(at), text::safe(what))
    }
}

fn lines_of<'a>(stdout: &'a mut Lines, stderr: &'a mut Lines) -> [&'a mut Lines; 2] {
    [stdout, stderr]
}

/// Makes lines of a stream.
struct Lines {
    /// The stream's name, if times are shown.
    what: Option<&'static str>,
    visible: bool,
    parser: Parser,
    cut: Vec<u8>,
    line: String,
    /// When the line began.
    at: Duration,
    /// A carriage return came: a newline may follow, and if not, the line is drawn over.
    returned: bool,
}

impl Lines {
    fn take(&mut self, at: Duration, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        if self.line.is_empty() {
            self.at = at;
        }
        let mut all = std::mem::take(&mut self.cut);
        all.extend_from_slice(bytes);
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            for c in chunk.valid().chars() {
                self.character(c, at, out)?;
            }
            let invalid = chunk.invalid();
            let unfinished = std::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none());
            if chunks.peek().is_none() && unfinished {
                self.cut = invalid.to_vec();
            } else {
                self.invalid(invalid, at, out)?;
            }
        }
        Ok(())
    }

    /// Bytes that are no text: in hex where everything is to be seen.
    fn invalid(&mut self, bytes: &[u8], at: Duration, out: &mut dyn Write) -> io::Result<()> {
        if self.visible {
            for byte in bytes {
                self.line.push_str(&format!("\\x{byte:02x}"));
            }
        } else if !bytes.is_empty() {
            self.character(char::REPLACEMENT_CHARACTER, at, out)?;
        }
        Ok(())
    }

    fn character(&mut self, c: char, at: Duration, out: &mut dyn Write) -> io::Result<()> {
        if self.visible {
            return self.plain(c, at, out);
        }
        match self.parser.feed(c) {
            Some(Function::Print(c)) => self.plain(c, at, out),
            Some(Function::Lf | Function::Nel) => self.plain('\n', at, out),
            Some(Function::Cr) => self.plain('\r', at, out),
            Some(Function::Ht) => self.plain('\t', at, out),
            Some(Function::Bs) => self.plain('\u{8}', at, out),
            // To another place: words that stood apart stay apart.
            Some(
                Function::Cup(..)
                | Function::Vpa(_)
                | Function::Vpr(_)
                | Function::Cnl(_)
                | Function::Cpl(_)
                | Function::Cud(_)
                | Function::Cuu(_)
                | Function::Ri
                | Function::Ris
                | Function::Ed(_)
                | Function::Decset(_)
                | Function::Decrst(_),
            ) => self.apart(out),
            Some(Function::Cha(_) | Function::Cuf(_) | Function::Cht(_)) => {
                self.plain(' ', at, out)
            }
            _ => Ok(()),
        }
    }

    fn plain(&mut self, c: char, at: Duration, out: &mut dyn Write) -> io::Result<()> {
        if c == '\n' {
            self.returned = false;
            self.end_line(out)?;
            self.at = at;
            return Ok(());
        }
        if std::mem::take(&mut self.returned) && !self.line.is_empty() {
            // Drawn over: both are lines here.
            self.end_line(out)?;
        }
        if self.line.is_empty() {
            self.at = at;
        }
        match c {
            '\r' => self.returned = true,
            '\t' => self.line.push('\t'),
            c => self.line.push_str(&text::safe(c.encode_utf8(&mut [0; 4]))),
        }
        if self.line.len() >= LONGEST {
            self.end_line(out)?;
        }
        Ok(())
    }

    /// The cursor goes to another line.
    fn apart(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.line.trim().is_empty() {
            return Ok(());
        }
        self.end_line(out)
    }

    /// The other stream goes on: with times each line belongs to one stream; without, the text is as it came.
    fn break_line(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.line.is_empty() {
            return Ok(());
        }
        if self.what.is_some() {
            return self.end_line(out);
        }
        out.write_all(std::mem::take(&mut self.line).as_bytes())
    }

    fn end_line(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(what) = self.what {
            write!(out, "{} {what} ", stamp(self.at))?;
        }
        writeln!(out, "{}", self.line)?;
        self.line.clear();
        self.returned = false;
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let cut = std::mem::take(&mut self.cut);
        self.invalid(&cut, self.at, out)?;
        if self.line.is_empty() {
            return Ok(());
        }
        self.end_line(out)
    }
}

fn stamp(at: Duration) -> String {
    let seconds = at.as_secs();
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        at.subsec_millis()
    )
}
