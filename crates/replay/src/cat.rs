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
use clap::Args;

use crate::{
    export,
    lines::{Lines, stamp},
    source,
    source::Faults,
    text,
    trust::KeyArgs,
};

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
        Lines::new(self.timestamps.then_some(what), self.visible)
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
