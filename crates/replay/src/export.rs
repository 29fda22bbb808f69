//! In: a recording.
//! Out: a plain asciicast for other players, the text that its terminal showed, or its exact bytes.
//! Never: the exact bytes unless asked for by name; those to a terminal only by force.

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use ampgate_recording::{EventKind, Format, ReadError, export, raw};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::{
    screen::Screen,
    source::{self, Faults, Recording},
    svg, text,
    trust::KeyArgs,
};

/// Turn a recording into something else; an export proves nothing, so keep the recording
#[derive(Args)]
#[command(
    after_help = "v2, v3  plain asciicasts for other players: they write to the terminal what was recorded, so play them\n        only where that may act\ntext    the lines that the terminal showed in the end. What was overwritten or cleared is in \"cat\" and \"play\"\nsvg     an animated picture for a browser: text only, no script, nothing from outside\nraw     exactly the bytes that the operator got; they may act on a terminal\n\nExamples:\n  ampgate-replay export FILE --format v2 -o session.cast\n  ampgate-replay export FILE --format text | less\n  ampgate-replay export FILE --format svg -o session.svg\n  ampgate-replay export FILE --format raw | sha256sum"
)]
pub struct Export {
    /// The recording
    file: PathBuf,
    /// What to make of it
    #[arg(long, value_enum, default_value_t = Form::V3)]
    format: Form,
    /// Where to; standard output otherwise
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Write raw bytes even to a terminal; overwrite OUT
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    keys: KeyArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    #[value(alias = "cast2")]
    V2,
    #[value(alias = "cast3")]
    V3,
    Text,
    Svg,
    Raw,
}

impl Export {
    pub fn run(&self) -> Result<ExitCode> {
        let reader = source::open(&self.file)?;
        if self.format == Form::Raw && self.output.is_none() {
            refuse_terminal(self.force)?;
        }
        source::warn(&self.file, &self.keys)?;
        let mut out = self.out()?;
        match self.format {
            Form::V2 => self.plain(reader, &mut out, Format::V2)?,
            Form::V3 => self.plain(reader, &mut out, Format::V3)?,
            Form::Text => as_text(&self.file, reader, &mut out)?,
            Form::Svg => svg::write(&self.file, &mut out)?,
            Form::Raw => bytes(&self.file, reader, &mut out)?,
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    fn plain(&self, reader: Recording, mut out: &mut dyn Write, format: Format) -> Result<()> {
        match export(reader, &mut out, format) {
            Err(ReadError::Export(e)) => Err(e.into()),
            Err(fault) => {
                source::complain(&format!("{}: {fault}", text::path(&self.file)));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn out(&self) -> Result<Box<dyn Write>> {
        let Some(path) = &self.output else {
            return Ok(Box::new(BufWriter::new(io::stdout().lock())));
        };
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(!self.force)
            .create(true)
            .truncate(self.force);
        let file = options.open(path).with_context(|| {
            format!(
                "cannot write {} (--force overwrites a file)",
                text::path(path)
            )
        })?;
        Ok(Box::new(BufWriter::new(file)))
    }
}

/// Raw bytes and terminals do not meet by accident.
pub fn refuse_terminal(force: bool) -> Result<()> {
    if io::stdout().is_terminal() && !force {
        bail!(
            "raw bytes may act on your terminal (title, clipboard, answers typed for you); send them to a file or a pipe, or use --force"
        );
    }
    Ok(())
}

/// Every output byte, in order.
pub fn bytes(path: &Path, reader: Recording, out: &mut dyn Write) -> Result<()> {
    let mut faults = Faults::default();
    for piece in raw(reader) {
        match piece {
            Ok((_, _, bytes)) => out.write_all(&bytes)?,
            Err(fault) => faults.take(path, &fault),
        }
    }
    faults.finish(path);
    Ok(())
}

fn as_text(path: &Path, reader: Recording, out: &mut dyn Write) -> Result<()> {
    let mut faults = Faults::default();
    let mut screen = Screen::new(reader.header(), (80, 24)).with_transcript();
    for event in reader {
        match event.map(|event| event.kind) {
            Ok(EventKind::Output { stream, bytes }) => screen.output(stream, &bytes),
            Ok(EventKind::Resize { cols, rows }) => screen.resize(cols, rows),
            Ok(_) => {}
            Err(fault) => faults.take(path, &fault),
        }
        lines(screen.lines(), out)?;
    }
    lines(screen.finish(), out)?;
    faults.finish(path);
    Ok(())
}

fn lines(lines: Vec<String>, out: &mut dyn Write) -> io::Result<()> {
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}
