//! In: arguments. Out: one command's exit status: 0 done, 1 could not, 2 usage, 64 configuration at fault.
//! Never: a stack of causes where one line says it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line talks on stdout and stderr"
)]

mod archive;
mod check;
mod doctor;
mod explain;
mod fetch_key;
mod hostkeys;
mod init;
mod reindex;
mod search;
mod serve;
mod sessions;
mod signer;
mod ssh_config;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ampgate_access::Fault;
use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::config::Config;
use crate::rules::{self, Rules};

/// BSD's EX_USAGE and EX_CONFIG differ; the field says 64 for "will not start like this".
const CONFIGURATION: u8 = 64;

/// The bastion for Octavia's amphorae: ssh -J gateway amphora-<uuid>, decided by policy, recorded, replayed.
#[derive(Parser)]
#[command(
    name = "ampgate",
    version,
    after_help = "Examples:\n  ampgate init /etc/ampgate\n  ampgate check\n  ampgate serve\n  ampgate explain alice amphora-93b939b0-… root\n  ampgate sessions --live\n  ampgate watch 01M83T6P\n  ampgate hostkeys list\n  ampgate doctor lb-shop-web\n\nOperators need none of this: they type  ssh -J gateway amphora-<uuid>"
)]
pub struct Arguments {
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        env = "AMPGATE_CONFIG",
        default_value = "/etc/ampgate/ampgate.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a directory with keys, a commented configuration, policy, users and inventory.
    Init(init::Init),
    /// Report every fault of configuration, policy, users and inventory; print the configuration in force.
    Check(check::Check),
    /// Run the gateway (and the signer, unless it has a unit of its own).
    Serve(serve::Serve),
    /// Run the process that holds the octavia keys and the sealing key.
    Signer,
    /// Fetch an octavia key from Barbican into a file for the signer, and end.
    FetchKey(fetch_key::FetchKey),
    /// Say whether a user may land on a target, and which rules say so.
    Explain(explain::Explain),
    /// List who may land on a target.
    WhoCan(explain::WhoCan),
    /// List where a user may land.
    WhatCan(explain::WhatCan),
    /// List sessions, newest first; or find a text that one of them showed.
    Sessions(sessions::Sessions),
    /// Show or end one session.
    #[command(subcommand)]
    Session(sessions::Session),
    /// See a live session as it happens, on its operator's screen; end it from there.
    Watch(watch::Watch),
    /// List, show or forget the host keys by which amphorae are known.
    #[command(subcommand)]
    Hostkeys(hostkeys::Hostkeys),
    /// Bring recordings and journal to the object store, and fetch them from there; hold and delete recordings.
    #[command(subcommand)]
    Archive(archive::Archive),
    /// Show how the running gateway does.
    Status(sessions::Status),
    /// Look for what is wrong: on this host, in the cloud, and on the way to an amphora.
    Doctor(doctor::Doctor),
    /// Make the session index anew from journal and recordings (with the gateway stopped).
    Reindex,
    /// Print the ssh_config block and the known_hosts lines that operators need.
    SshConfig(ssh_config::SshConfig),
}

#[derive(Args)]
struct Json {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What a command can end with beside success.
enum Failure {
    Faults(Vec<Fault>),
    Other(anyhow::Error),
    /// A command that has said everything itself.
    Status(u8),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

type Outcome = Result<(), Failure>;

/// Runs the command, and says what went wrong in one line or in one fault after the other.
pub fn run(arguments: Arguments) -> ExitCode {
    let config = arguments.config;
    let outcome = match arguments.command {
        Command::Init(init) => init.run(),
        Command::Check(check) => check.run(&config),
        Command::Serve(serve) => serve.run(&config),
        Command::Signer => signer::run(&config),
        Command::FetchKey(fetch) => fetch.run(),
        Command::Explain(explain) => explain.run(&config),
        Command::WhoCan(who) => who.run(&config),
        Command::WhatCan(what) => what.run(&config),
        Command::Sessions(sessions) => sessions.run(&config),
        Command::Session(session) => session.run(&config),
        Command::Watch(watch) => watch.run(&config),
        Command::Hostkeys(hostkeys) => hostkeys.run(&config),
        Command::Archive(archive) => archive.run(&config),
        Command::Status(status) => status.run(&config),
        Command::Doctor(doctor) => doctor.run(&config),
        Command::Reindex => reindex::run(&config),
        Command::SshConfig(ssh_config) => ssh_config.run(&config),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Status(status)) => ExitCode::from(status),
        Err(Failure::Faults(faults)) => {
            for fault in &faults {
                eprintln!("{fault}\n");
            }
            eprintln!(
                "ampgate: {} to mend in {}",
                count(faults.len(), "fault"),
                config.display()
            );
            ExitCode::from(CONFIGURATION)
        }
        Err(Failure::Other(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(Failure::Other(error)) => {
            eprintln!("ampgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The reader of our output has gone (`ampgate sessions | head`): it has what it wanted.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

fn load(config: &Path) -> Result<Rules, Failure> {
    rules::load(config).map_err(Failure::Faults)
}

/// The configuration alone, for commands that need no more, and that people run who may not read the other files.
fn load_config(path: &Path) -> Result<Config, Failure> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    Config::parse(path, &text).map_err(Failure::Faults)
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// Prints rows as columns, each as wide as it must be; control characters in them are escaped.
fn table(rows: &[Vec<String>]) -> std::io::Result<()> {
    use std::io::Write as _;
    let shown: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|cell| {
                    cell.chars()
                        .flat_map(|c| {
                            if c.is_control() {
                                c.escape_default().collect::<Vec<_>>()
                            } else {
                                vec![c]
                            }
                        })
                        .collect()
                })
                .collect()
        })
        .collect();
    let columns = shown.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|i| {
            shown
                .iter()
                .filter_map(|row| row.get(i))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut out = std::io::stdout().lock();
    for row in &shown {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(out, "{}", line.join("  ").trim_end())?;
    }
    Ok(())
}

fn print_json(value: &impl serde::Serialize) -> Outcome {
    use std::io::Write as _;
    let text = serde_json::to_string_pretty(value)?;
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}
