//! In: the configuration and the files it names. Out: every fault of all of them, or the configuration in force.
//! Never: opens a socket, or changes anything.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line talks on stdout and stderr"
)]

use std::path::Path;

use clap::Args;

use super::{Failure, Outcome, count, load};
use crate::rules;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ampgate check\n  ampgate --config ./ampgate.toml check\n\nExit status 64 when anything is at fault."
)]
pub struct Check {
    /// Say only whether all is well.
    #[arg(long, short)]
    quiet: bool,
}

impl Check {
    pub fn run(self, config: &Path) -> Outcome {
        let rules = load(config)?;
        rules::credential(&rules.config, config).map_err(Failure::Faults)?;
        if !self.quiet {
            print!("{}", rules.config.to_toml());
            eprintln!(
                "ampgate: all is well: {} in {}",
                count(rules.users.iter().count(), "user"),
                rules.config.users.display()
            );
        }
        Ok(())
    }
}
