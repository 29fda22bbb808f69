//! In: perhaps a target. Out: a table of checks with what to do, from here and from the running gateway.
//! Never: exit status 0 with a FAIL in the table.
#![allow(clippy::print_stdout, reason = "a command line talks on stdout")]

use std::path::Path;

use clap::Args;

use super::{Failure, Json, Outcome, load_config, print_json, table};
use crate::control::{self, Answer, Request};
use crate::doctor::{self, Check, Verdict};
use crate::rules;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ampgate doctor\n  ampgate doctor lb-shop-web\n  ampgate doctor amphora-93b939b0 --json\n\nThe running gateway looks: it has the network and the signer's socket. With a target it logs in there and asks for the\naddresses in the namespace, which is journalled (amphora.probed). Exit status 0 when nothing FAILs, else 1. Run it as root."
)]
pub struct Doctor {
    /// Look at the way to this amphora, or to all those that the name means.
    target: Option<String>,
    #[command(flatten)]
    json: Json,
}

impl Doctor {
    pub fn run(self, path: &Path) -> Outcome {
        let mut checks = vec![configuration(path)];
        if let Ok(config) = load_config(path) {
            let target = self.target.clone();
            match control::ask(&config.control.socket, &Request::Doctor { target }) {
                Ok(Answer::Doctor { checks: found }) => {
                    let said = format!("answers on {}", config.control.socket.display());
                    checks.push(Check::ok("gateway", said));
                    checks.extend(found);
                }
                Ok(_) => checks.push(Check::fail(
                    "gateway",
                    "it answers something else; is it another version?",
                )),
                Err(error) => {
                    checks.push(Check::fail("gateway", format!("{error:#}")));
                    checks.push(doctor::disk(&config));
                    checks.extend(left_out(self.target.is_some()));
                }
            }
        }
        let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
        match self.json.json {
            true => print_json(&checks)?,
            false => show(&checks)?,
        }
        match failed {
            true => Err(Failure::Status(1)),
            false => Ok(()),
        }
    }
}

/// As `ampgate check`.
fn configuration(path: &Path) -> Check {
    let faults = match rules::load(path) {
        Ok(rules) => rules::credential(&rules.config, path).err(),
        Err(faults) => Some(faults),
    };
    match faults {
        None => Check::ok("configuration", path.display().to_string()),
        Some(faults) => {
            let said = format!("{} to mend", super::count(faults.len(), "fault"));
            let mut check = Check::fail("configuration", said);
            let lines = faults.iter().map(ToString::to_string);
            check.advice = lines
                .flat_map(|fault| fault.lines().map(str::to_owned).collect::<Vec<_>>())
                .collect();
            check
        }
    }
}

/// What only a running gateway can see.
fn left_out(target: bool) -> Vec<Check> {
    let checks = ["signer", "clock", "keystone", "octavia", "nova console"].iter();
    let checks = checks.chain(target.then_some(&"target"));
    checks
        .map(|check| Check::skip(check, "the running gateway looks at this"))
        .collect()
}

fn show(checks: &[Check]) -> anyhow::Result<()> {
    let mut of = None;
    for check in checks {
        if check.amphora != of {
            if let Some(amphora) = &check.amphora {
                println!("\namphora-{amphora}");
            }
            of.clone_from(&check.amphora);
        }
        // As wide as the longest of either, so that the lines between do not break the columns.
        let verdict = format!("{:4}", check.verdict.to_string());
        table(&[vec![
            verdict,
            format!("{:13}", check.check),
            check.said.clone(),
        ]])?;
        for line in &check.advice {
            println!("      {line}");
        }
    }
    Ok(())
}
