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
mod desk;
mod diagnosis;
mod doctor;
mod feed;
mod gateway;
mod hostkey;
mod inner;
mod judge;
mod jump;
mod keep;
mod keeping;
mod keypairs;
mod land;
mod limits;
mod listen;
mod live;
mod outer;
mod oversee;
mod pane;
mod password;
mod people;
mod recorder;
mod registry;
mod replay;
mod reserve;
mod rules;
mod screens;
mod seek;
mod sentence;
mod session;
mod spare;
mod ssh;
mod story;
mod tell;
mod transfer;
mod typed;
mod upstream;
mod watch;
mod whole;
mod wire;
mod wish;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // What a panic says may hold a piece of what was drawn, and session bytes are in no log. `screens` counts them.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !ampgate_screen::screen::is_drawing() {
            usual(info);
        }
    }));
    cli::run(cli::Arguments::parse())
}
