//! In: questions about amphorae's host keys, and a pin to forget. Out: the running gateway's answers.
//! Never: touches the file of pins itself, or forgets without a reason.
#![allow(clippy::print_stdout, reason = "a command line talks on stdout")]

use std::path::Path;

use clap::Subcommand;

use super::{Failure, Json, Outcome, load_config, print_json, table};
use crate::control::{self, Answer, HostKeys, PinRow, Request};

#[derive(Subcommand)]
#[command(
    after_help = "Examples:\n  ampgate hostkeys list\n  ampgate hostkeys list --json | jq -r '.[] | select(.how == \"first-contact\") | .target'\n  ampgate hostkeys show amphora-93b939b0\n  ampgate hostkeys forget amphora-93b939b0 --reason \"rebuilt under its old id, INC-1234\""
)]
pub enum Hostkeys {
    /// List the pinned host keys, one amphora a line.
    List {
        #[command(flatten)]
        json: Json,
    },
    /// Show what pin, inventory file and Nova's console say of one amphora's host key; exit status 1 if they disagree.
    #[command(
        after_help = "Examples:\n  ampgate hostkeys show amphora-93b939b0\n  ampgate hostkeys show lb-cmp-was-lb.backup --json"
    )]
    Show {
        /// amphora-<uuid> or the first 8 digits of one, lb-<name>, or any other name of a target.
        target: String,
        #[command(flatten)]
        json: Json,
    },
    /// Take a pin back: the amphora's next connection pins a key anew. Look at `show` first.
    #[command(
        after_help = "Example:\n  ampgate hostkeys forget amphora-93b939b0 --reason \"rebuilt under its old id, INC-1234\""
    )]
    Forget {
        /// amphora-<uuid> or the first 8 digits of one; also of one that is gone.
        target: String,
        /// Kept in the journal, with who you are.
        #[arg(long)]
        reason: String,
    },
}

impl Hostkeys {
    pub fn run(self, path: &Path) -> Outcome {
        let socket = load_config(path)?.control.socket;
        let (request, json) = match self {
            Self::List { json } => (Request::Pins, json.json),
            Self::Show { target, json } => (Request::HostKeys { target }, json.json),
            Self::Forget { target, reason } => (Request::ForgetPin { target, reason }, false),
        };
        match control::ask(&socket, &request)? {
            Answer::Pins { rows } if json => print_json(&rows),
            Answer::Pins { rows } => list(&rows),
            Answer::HostKeys(known) => {
                match json {
                    true => print_json(&known)?,
                    false => show(&known)?,
                }
                match known.agree {
                    true => Ok(()),
                    false => Err(Failure::Status(1)),
                }
            }
            Answer::Done { text } => {
                println!("{text}");
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// No blank within a cell but in names of load balancers, which are last: easy to cut, sort and paste.
fn list(rows: &[PinRow]) -> Outcome {
    let mut lines = vec![
        [
            "AMPHORA",
            "ALGORITHM",
            "FINGERPRINT",
            "HOW",
            "PINNED",
            "LOAD BALANCER",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    lines.extend(rows.iter().map(|row| {
        vec![
            row.target.clone(),
            row.algorithm.clone(),
            row.fingerprint.clone(),
            row.how.clone(),
            row.pinned.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            row.load_balancer.clone().unwrap_or_else(|| "–".to_owned()),
        ]
    }));
    table(&lines)?;
    Ok(())
}

fn show(known: &HostKeys) -> Outcome {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
    let pin = known.pin.as_ref().map_or_else(
        || {
            format!(
                "none: its next connection makes one, by mode {}",
                known.mode
            )
        },
        |pin| {
            format!(
                "{} {}, {} at {}",
                pin.algorithm, pin.fingerprint, pin.how, pin.pinned
            )
        },
    );
    let mut facts = vec![
        ("amphora", known.target.clone()),
        ("load balancer", or_none(&known.load_balancer)),
        ("address", or_none(&known.address)),
        ("mode", known.mode.clone()),
        ("pin", pin),
        ("inventory file", or_none(&known.file)),
    ];
    facts.extend(known.console.iter().map(|key| ("console", key.clone())));
    facts.extend(
        known
            .console_says
            .iter()
            .map(|why| ("console", why.clone())),
    );
    let agree = match known.agree {
        true => "yes",
        false => "NO: find out which is right, then correct the inventory file or forget the pin",
    };
    facts.push(("they agree", agree.to_owned()));
    let rows: Vec<Vec<String>> = facts
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    table(&rows)?;
    Ok(())
}
