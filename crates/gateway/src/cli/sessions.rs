//! In: questions about sessions. Out: the running gateway's answers, as a table or as JSON; of a text, what `search` finds.
//! Never: reads the journal or the index itself; without a running gateway `ampgate-replay list` serves.
#![allow(clippy::print_stdout, reason = "a command line talks on stdout")]

use std::path::Path;
use std::time::Duration;

use ampgate_audit::SessionRow;
use ampgate_inventory::show_age;
use clap::{Args, Subcommand};
use jiff::{Timestamp, Zoned};

use super::search::{Filter, Text};
use super::{Json, Outcome, load_config, print_json, table};
use crate::config::show_room;
use crate::control::{self, Answer, Request};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ampgate sessions --live\n  ampgate sessions --user alice --since 2h\n  ampgate sessions --lb cmp-was-lb --since 2026-11-01 --until 2026-11-02 --json\n  ampgate sessions --text 'connection refused' --user alice --since 7d\n  ampgate sessions --text tcpdump --session 01M83T6P --identity auditor.age\n\n--text needs the right to read the recordings, ampgate-replay, and no running gateway. Exit status with --text:\n0 found, 1 not found, 2 some recordings could not be read. \"ampgate-replay search\" has more options."
)]
pub struct Sessions {
    /// Only those that run now.
    #[arg(long)]
    live: bool,
    /// Only this operator's.
    #[arg(long)]
    user: Option<String>,
    /// Only on this load balancer, by uuid or name.
    #[arg(long, value_name = "LB")]
    lb: Option<String>,
    /// Only on this amphora, by uuid.
    #[arg(long)]
    amphora: Option<String>,
    /// Started at or after: a time, a day, or how long ago (30m, 2h, 7d).
    #[arg(long, value_parser = moment)]
    since: Option<Timestamp>,
    /// Started before.
    #[arg(long, value_parser = moment)]
    until: Option<Timestamp>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    text: Text,
    #[command(flatten)]
    json: Json,
}

#[derive(Subcommand)]
pub enum Session {
    /// Show all that is known of one session.
    Show {
        id: String,
        #[command(flatten)]
        json: Json,
    },
    /// End a live session; the operator and the recording are told why.
    #[command(
        after_help = "Example:\n  ampgate session kill 01KB… --reason \"wrong load balancer\""
    )]
    Kill {
        id: String,
        /// Told to the operator, kept in recording and journal.
        #[arg(long, default_value = "no reason given")]
        reason: String,
    },
}

#[derive(Args)]
pub struct Status {
    #[command(flatten)]
    json: Json,
}

impl Sessions {
    pub fn run(self, path: &Path) -> Outcome {
        if self.text.is_asked() {
            let filter = Filter {
                user: self.user,
                lb: self.lb,
                amphora: self.amphora,
                since: self.since,
                until: self.until,
                json: self.json.json,
            };
            return self.text.run(filter, path);
        }
        let socket = load_config(path)?.control.socket;
        let amphora = self
            .amphora
            .map(|a| a.strip_prefix("amphora-").map(str::to_owned).unwrap_or(a));
        let request = Request::Sessions {
            live: self.live,
            user: self.user,
            load_balancer: self.lb,
            amphora,
            since: self.since,
            until: self.until,
            before: None,
            limit: self.limit,
        };
        let Answer::Sessions { rows, next } = control::ask(&socket, &request)? else {
            return Ok(());
        };
        if self.json.json {
            return print_json(&rows);
        }
        let mut lines = vec![
            [
                "SESSION",
                "STARTED",
                "USER",
                "LOAD BALANCER",
                "AMPHORA",
                "LANDING",
                "ACTION",
                "OUTCOME",
            ]
            .map(str::to_owned)
            .to_vec(),
        ];
        lines.extend(rows.iter().map(line));
        table(&lines)?;
        if let Some(next) = next {
            println!("(more are older than {next}; raise --limit or set --until)");
        }
        Ok(())
    }
}

fn line(row: &SessionRow) -> Vec<String> {
    let amphora = row.amphora.get(..8).unwrap_or(&row.amphora);
    let outcome = match (&row.exit_status, &row.exit_signal) {
        (Some(status), _) => format!("{} {status}", row.outcome),
        (None, Some(signal)) => format!("{} {signal}", row.outcome),
        _ => row.outcome.clone(),
    };
    vec![
        row.id.clone(),
        clock(row.started),
        row.user.clone(),
        row.load_balancer_name.clone(),
        format!("{amphora}…"),
        row.landing.clone(),
        row.action.clone(),
        outcome,
    ]
}

fn clock(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

impl Session {
    pub fn run(self, path: &Path) -> Outcome {
        let config = load_config(path)?;
        let socket = &config.control.socket;
        match self {
            Self::Kill { id, reason } => {
                if let Answer::Done { text } = control::ask(
                    socket,
                    &Request::Kill {
                        session: id,
                        reason,
                    },
                )? {
                    println!("{text}");
                }
                Ok(())
            }
            Self::Show { id, json } => {
                let Answer::Session { row } = control::ask(socket, &Request::Show { session: id })?
                else {
                    return Ok(());
                };
                if json.json {
                    return print_json(&row);
                }
                show(&row, &config.recording.directory)
            }
        }
    }
}

fn show(row: &SessionRow, store: &Path) -> Outcome {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let facts = [
        ("session", row.id.clone()),
        ("user", format!("{} from {}", row.user, row.source)),
        ("target", row.target.clone()),
        ("amphora", row.amphora.clone()),
        (
            "load balancer",
            format!("{} ({})", row.load_balancer_name, row.load_balancer),
        ),
        ("project", row.project.clone()),
        ("landing", format!("{}, {}", row.landing, row.action)),
        ("command", or_none(row.command.clone())),
        ("started", row.started.to_string()),
        ("ended", or_none(row.ended.map(|t| t.to_string()))),
        ("outcome", row.outcome.clone()),
        (
            "exit",
            or_none(
                row.exit_status
                    .map(|s| s.to_string())
                    .or_else(|| row.exit_signal.clone()),
            ),
        ),
        (
            "bytes",
            format!(
                "{} to the operator, {} to the amphora",
                row.bytes_out, row.bytes_in
            ),
        ),
        (
            "recording",
            store.join(&row.recording).display().to_string(),
        ),
        (
            "head",
            format!(
                "{}{}",
                or_none(row.head.clone()),
                if row.sealed { ", sealed" } else { "" }
            ),
        ),
    ];
    table(&facts.map(|(name, value)| vec![name.to_owned(), value]))?;
    Ok(())
}

impl Status {
    pub fn run(self, path: &Path) -> Outcome {
        let socket = load_config(path)?.control.socket;
        let Answer::Status(status) = control::ask(&socket, &Request::Status)? else {
            return Ok(());
        };
        if self.json.json {
            return print_json(&status);
        }
        let facts = [
            (
                "gateway",
                format!(
                    "{} (ampgate {}, pid {})",
                    status.gateway, status.version, status.pid
                ),
            ),
            ("started", status.started.to_string()),
            (
                "state",
                if status.draining {
                    "draining"
                } else {
                    "serving"
                }
                .to_owned(),
            ),
            (
                "connections",
                format!(
                    "{} ({} not logged in)",
                    status.connections, status.unauthenticated
                ),
            ),
            (
                "sessions",
                format!(
                    "{} live, {} closed since the start",
                    status.live_sessions, status.closed_sessions
                ),
            ),
            (
                "output",
                format!(
                    "{} bytes recorded, {} relayed, {} relayed but not recorded",
                    status.recorded_bytes, status.relayed_bytes, status.relayed_but_not_recorded
                ),
            ),
            ("unsealed", status.unsealed_recordings.to_string()),
            ("pins", status.pins.to_string()),
            (
                "index",
                format!("{} journal lines behind", status.index_behind),
            ),
            ("sealing key", status.sealing_key.clone()),
            ("inventory", inventory(&status.inventory)),
            ("disk", disk(&status.disk)),
        ];
        table(&facts.map(|(name, value)| vec![name.to_owned(), value]))?;
        Ok(())
    }
}

/// "4 amphorae, fresh (3 s old)", and what is wrong.
fn inventory(inventory: &control::Inventory) -> String {
    let mut said = format!("{} amphorae, {}", inventory.amphorae, inventory.state);
    if let Some(age) = inventory.age_seconds {
        said += &format!(" ({} old)", show_age(Duration::from_secs(age)));
    }
    if let Some(fault) = &inventory.fault {
        said += &format!("; {fault}");
    }
    if inventory.unusable_rows > 0 {
        let first = inventory.unusable.first().map_or("", String::as_str);
        said += &format!("; {} rows are of no use: {first}", inventory.unusable_rows);
    }
    said
}

/// "3.1GiB free in DIRECTORY", and what is wrong.
fn disk(disk: &control::Disk) -> String {
    let Some(free) = disk.free_bytes else {
        return format!("{} does not answer", disk.directory);
    };
    let said = format!("{} free in {}", show_room(free), disk.directory);
    match (free < disk.reserve, disk.low) {
        (true, _) => format!(
            "{said}; new sessions are REFUSED below {}",
            show_room(disk.reserve)
        ),
        (_, true) => format!(
            "{said}; LOW: new sessions are refused below {}",
            show_room(disk.reserve)
        ),
        (false, false) => said,
    }
}

/// A moment as people type it.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(span) = text.parse::<jiff::Span>()
        && let Ok(time) = Zoned::now().checked_sub(span)
    {
        return Ok(time.timestamp());
    }
    if let Ok(date) = text
        .parse::<jiff::civil::DateTime>()
        .or_else(|_| text.parse::<jiff::civil::Date>().map(|d| d.at(0, 0, 0, 0)))
    {
        return date
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map(|z| z.timestamp())
            .map_err(|e| e.to_string());
    }
    Err("try 2h, 7d, 2026-11-23 or 2026-11-23T08:00:00Z (UTC)".to_owned())
}
