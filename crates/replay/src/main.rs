//! In: a command line, recordings, perhaps a journal and a sealing key.
//! Out: what was recorded, readable; what is proven of it, as an exit status.
//! Never: a network, a sealing key, a write to a recording; a recorded byte that acts on the auditor's terminal.

use std::{io, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

mod cat;
mod crew;
mod export;
mod filter;
mod find;
mod index;
mod journal;
mod known;
mod lines;
mod list;
mod metrics;
mod play;
mod scan;
mod search;
mod source;
mod svg;
mod text;
mod times;
mod trust;
mod tty;
mod verdict;
mod verify;

use ampgate_screen::{draw, drawn, query, screen, watch};

/// The auditor's tool: lists, searches, plays, verifies and exports the recordings of an ampgate gateway.
///
/// It works on files alone, on any machine, without the gateway. Nothing recorded acts on your terminal.
#[derive(Parser)]
#[command(
    name = "ampgate-replay",
    version,
    after_help = "Examples:\n  ampgate-replay list /var/lib/ampgate/recordings --user alice --since 7d\n  ampgate-replay search 'connection refused' recordings --since 7d\n  ampgate-replay verify --key sealing.pub recordings\n  ampgate-replay verify --journal state/journal --store recordings\n  ampgate-replay play recordings/2026/11/23/01KAS2….cast\n  ampgate-replay play --identity auditor.age 01KAS2….sealed\n  ampgate-replay cat --timestamps FILE | less\n\nEach command has its own --help. docs/AUDITOR.md is the auditor's page."
)]
struct Cli {
    /// Your age identity (as age-keygen writes it), to read sealed recordings; once for each auditor where several are needed
    #[arg(
        long = "identity",
        global = true,
        value_name = "FILE",
        env = "AMPGATE_IDENTITY",
        value_delimiter = ':'
    )]
    identities: Vec<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(list::List),
    Search(search::Search),
    Index(index::Index),
    Play(play::Play),
    Verify(verify::Verify),
    Export(export::Export),
    Cat(cat::Cat),
}

fn main() -> ExitCode {
    tty::install_panic_hook();
    let cli = Cli::parse();
    let done = source::use_identities(&cli.identities).and_then(|()| match cli.command {
        Command::List(list) => list.run(),
        Command::Search(search) => search.run(),
        Command::Index(index) => index.run(),
        Command::Play(play) => play.run(),
        Command::Verify(verify) => verify.run(),
        Command::Export(export) => export.run(),
        Command::Cat(cat) => cat.run(),
    });
    done.unwrap_or_else(|error| {
        if broken_pipe(&error) {
            // As a program that SIGPIPE ended: whoever read our output has seen enough.
            return ExitCode::from(141);
        }
        source::complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
