//! In: the section [archive], and what shall be done with it. Out: the shipper, orders to it, or everything fetched again.
//! Never: a credential shown; anything removed by the command line itself.
#![allow(clippy::print_stdout, reason = "a command line talks on stdout")]

use std::path::{Path, PathBuf};

use ampgate_archive::{Fetched, News, Pass, Places, Rules, Shipper, Status, Witness};
use anyhow::Context as _;
use async_trait::async_trait;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Json, Outcome, load_config, print_json, table};
use crate::config::{Archive as Section, Config, show_size};
use crate::control::{self, Answer, Order, Request};

#[derive(Subcommand)]
#[command(
    after_help = "Examples:\n  ampgate archive run                                   (deploy/ampgate-archive.service does this)\n  ampgate archive status\n  ampgate archive hold 01KAS2… --reason \"court order 12 O 34/26\"\n  ampgate archive delete 01KAS2… --reason \"art. 17 request, ticket 812\"\n  ampgate archive approve 01KAS2… --reason \"checked\"\n  ampgate --config escrow.toml archive fetch /srv/escrow   (another machine, no gateway)"
)]
pub enum Archive {
    /// Ship recordings and journal, and remove what the rules let go, until it is ended.
    #[command(
        after_help = "Examples:\n  ampgate archive run\n  ampgate archive run --once --json      (one pass: exit status 1 where something failed or waits)"
    )]
    Run(Run),
    /// Show how far the archive is: what is shipped, what waits, what is wrong; exit status 1 if something is.
    #[command(after_help = "Example:\n  ampgate archive status --json | jq .waiting_bytes")]
    Status {
        #[command(flatten)]
        json: Json,
    },
    /// Remove nothing of a session's recording from now on, by whatever rule.
    #[command(
        after_help = "Example:\n  ampgate archive hold 01KAS2… --reason \"court order 12 O 34/26\""
    )]
    Hold(Wanted),
    /// End a hold.
    #[command(
        after_help = "Example:\n  ampgate archive release 01KAS2… --reason \"12 O 34/26 is closed\""
    )]
    Release(Wanted),
    /// Have a session's recording removed everywhere; with two_person another admin has to approve.
    #[command(
        after_help = "Example:\n  ampgate archive delete 01KAS2… --reason \"art. 17 request, ticket 812\""
    )]
    Delete(Wanted),
    /// Approve a deletion that another admin asked for.
    #[command(
        after_help = "Example:\n  ampgate archive approve 01KAS2… --reason \"checked with ticket 812\""
    )]
    Approve(Wanted),
    /// Fetch everything from the store into a directory, each file checked; needs no gateway and no other part of it.
    #[command(
        after_help = "Examples:\n  ampgate --config escrow.toml archive fetch /srv/escrow\n  ampgate-replay verify --key sealing.pub --journal /srv/escrow/journal --store /srv/escrow/recordings\n\nescrow.toml needs nothing but [archive], with a credential that may read. What an earlier fetch brought is checked and kept."
    )]
    Fetch {
        /// Where `recordings/` and `journal/` are put.
        directory: PathBuf,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Args)]
pub struct Run {
    /// One pass, and its end.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    json: Json,
}

#[derive(Args)]
pub struct Wanted {
    /// The session's id.
    session: String,
    /// Kept in the journal, with who you are.
    #[arg(long)]
    reason: String,
}

impl Archive {
    pub fn run(self, path: &Path) -> Outcome {
        let config = load_config(path)?;
        let (order, wanted) = match self {
            Self::Run(run) => return run.run(path, &config),
            Self::Status { json } => return status(&config, json.json),
            Self::Fetch { directory, json } => return fetch(&config, &directory, json.json),
            Self::Hold(wanted) => (Order::Hold, wanted),
            Self::Release(wanted) => (Order::Release, wanted),
            Self::Delete(wanted) => (Order::Delete, wanted),
            Self::Approve(wanted) => (Order::Approve, wanted),
        };
        let request = Request::ArchiveOrder {
            order,
            session: wanted.session,
            reason: wanted.reason,
        };
        if let Answer::Done { text } = control::ask(&config.control.socket, &request)? {
            println!("{text}");
        }
        Ok(())
    }
}

fn section(config: &Config) -> anyhow::Result<&Section> {
    config
        .archive
        .as_ref()
        .context("there is no [archive] in the configuration; config/ampgate.toml shows one")
}

fn state(config: &Config) -> PathBuf {
    config.state.join("archive")
}

impl Run {
    fn run(self, path: &Path, config: &Config) -> Outcome {
        let archive = section(config)?;
        let mut arguments = vec!["archive", "run"];
        arguments.extend(self.once.then_some("--once"));
        arguments.extend(self.json.json.then_some("--json"));
        super::serve::become_the_gateway(path, &arguments, config)?;
        super::serve::harden()?;
        super::serve::start_log(&config.log)?;
        let places = Places {
            recordings: config.recording.directory.clone(),
            journal: config.state.join("journal"),
            state: state(config),
        };
        let rules = Rules {
            days: archive.days,
            locked: archive.locked(),
            store: archive.settings.store.to_string(),
        };
        let remote = ampgate_archive::open(&archive.settings)?;
        let witness = Box::new(Journal {
            socket: config.control.socket.clone(),
        });
        let mut shipper = Shipper::open(remote, places, rules, witness)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        match self.once {
            true => once(
                &runtime.block_on(shipper.pass(Timestamp::now()))?,
                self.json.json,
            ),
            false => Ok(runtime.block_on(for_ever(&mut shipper, archive))?),
        }
    }
}

/// Nothing is lost when a signal ends a pass in the middle: that is what the state is for.
async fn for_ever(shipper: &mut Shipper, archive: &Section) -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
            pass = shipper.pass(Timestamp::now()) => { pass?; }
        }
        let pause = shipper.pause().unwrap_or_default().max(archive.interval);
        tokio::select! {
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn once(pass: &Pass, json: bool) -> Outcome {
    let fault = pass.fault.as_ref().map(ToString::to_string);
    match json {
        true => print_json(&serde_json::json!({
            "shipped": pass.shipped,
            "waiting_bytes": pass.waiting_bytes,
            "fault": fault,
        }))?,
        false => println!(
            "{} shipped, {} bytes wait",
            pass.shipped, pass.waiting_bytes
        ),
    }
    match fault {
        Some(fault) => Err(Failure::Other(anyhow::anyhow!(fault))),
        None if pass.waiting_bytes > 0 => Err(Failure::Status(1)),
        None => Ok(()),
    }
}

/// The running gateway, which alone writes the journal.
struct Journal {
    socket: PathBuf,
}

#[async_trait]
impl Witness for Journal {
    async fn tell(&self, news: &[News]) -> bool {
        let request = Request::ArchiveNews {
            news: news.to_vec(),
        };
        let socket = self.socket.clone();
        let told = tokio::task::spawn_blocking(move || control::ask(&socket, &request)).await;
        match told {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::debug!("{error:#}; it is told later");
                false
            }
            Err(_) => false,
        }
    }
}

fn status(config: &Config, json: bool) -> Outcome {
    section(config)?;
    let path = state(config).join("status.json");
    let text = std::fs::read(&path).with_context(|| {
        format!(
            "{} cannot be read; has `ampgate archive run` ever run, and may you read it?",
            path.display()
        )
    })?;
    let status: Status = serde_json::from_slice(&text)
        .context("the archive's status cannot be read; is it another version's?")?;
    match json {
        true => print_json(&status)?,
        false => show(&status)?,
    }
    match status.fault {
        Some(_) => Err(Failure::Status(1)),
        None => Ok(()),
    }
}

fn show(status: &Status) -> std::io::Result<()> {
    let waiting = match status.waiting {
        0 => "nothing".to_owned(),
        files => format!("{} of {files} files", show_size(status.waiting_bytes)),
    };
    let mut facts = vec![
        ("store", status.store.clone()),
        (
            "as of",
            status.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        ),
        (
            "shipped",
            format!("{} files that are here too", status.shipped),
        ),
        ("growing", status.growing.to_string()),
        ("waiting", waiting),
        ("held", status.held.to_string()),
    ];
    let to_approve = status.to_approve.iter();
    facts.extend(to_approve.map(|session| ("to approve", session.clone())));
    if let Some(fault) = &status.fault {
        let failures = super::count(status.failures as usize, "pass");
        facts.push(("FAULT", format!("{fault} ({failures} in a row)")));
    }
    let rows: Vec<Vec<String>> = facts
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    table(&rows)
}

fn fetch(config: &Config, directory: &Path, json: bool) -> Outcome {
    let archive = section(config)?;
    let remote = ampgate_archive::open(&archive.settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done: Fetched = runtime.block_on(ampgate_archive::fetch(remote.as_ref(), directory))?;
    match json {
        true => print_json(&done)?,
        false => {
            println!(
                "{} fetched, {} there already, {} still growing, {} names of others",
                done.whole, done.already, done.growing, done.strange
            );
            for fault in &done.faults {
                println!("FAULT  {fault}");
            }
        }
    }
    match done.faults.is_empty() {
        true => Ok(()),
        false => Err(Failure::Status(1)),
    }
}
