//! ampgate: the bastion between operators and Octavia's amphorae.
//!
//! In: a command line. Out: the one thing it names. Never: more than choosing; each command is a file under `cli/`.

mod active;
mod admit;
mod anchor;
mod ask;
mod attempts;
mod bridge;
mod cli;
mod config;
mod contain;
mod control;
mod diagnosis;
mod doctor;
mod gateway;
mod hostkey;
mod inner;
mod judge;
mod jump;
mod keeping;
mod keypairs;
mod land;
mod limits;
mod listen;
mod live;
mod outer;
mod password;
mod people;
mod recorder;
mod registry;
mod reserve;
mod rules;
mod seek;
mod sentence;
mod session;
mod ssh;
mod story;
mod tell;
mod transfer;
mod upstream;
mod wire;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    cli::run(cli::Arguments::parse())
}
