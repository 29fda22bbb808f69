//! In: directories and recordings; whose, where and when.
//! Out: a line for each recording, newest first, from its header alone: unverified.
//! Never: an unescaped word of a header, or of a file's name.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use ampgate_recording::{Header, session_millis};
use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::{find, source, text};

/// List recordings, newest first, from their headers alone (what a header says is proven by "verify" only)
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ampgate-replay list recordings\n  ampgate-replay list recordings --user alice --since 7d\n  ampgate-replay list recordings --lb cmp-was-lb --since 2026-11-01 --until 2026-11-02 --json"
)]
pub struct List {
    /// Directories (everything below that ends in .cast) and recordings
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// Only this operator's
    #[arg(long)]
    user: Option<String>,
    /// Only on this load balancer, by uuid or name
    #[arg(long, value_name = "LB")]
    lb: Option<String>,
    /// Only on this amphora, by uuid or its beginning
    #[arg(long)]
    amphora: Option<String>,
    /// Started at or after: a time, a day (UTC), or how long ago (30m, 2h, 7d)
    #[arg(long, value_parser = text::moment)]
    since: Option<Timestamp>,
    /// Started before
    #[arg(long, value_parser = text::moment)]
    until: Option<Timestamp>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

struct Found {
    header: Header,
    path: PathBuf,
    size: u64,
}

impl List {
    pub fn run(&self) -> Result<ExitCode> {
        let (mut found, mut bad) = (Vec::new(), false);
        for path in &self.paths {
            if path.is_dir() {
                for (path, fault) in find::below(path) {
                    bad |= match fault {
                        Ok(()) => self.look(path, &mut found),
                        Err(e) => fault_at(&path, &e.to_string()),
                    };
                }
            } else {
                bad |= self.look(path.clone(), &mut found);
            }
        }
        found.sort_by(|a, b| {
            let key = |f: &Found| (f.header.started, f.header.session.clone());
            key(b).cmp(&key(a))
        });
        found.truncate(self.limit.unwrap_or(usize::MAX));
        let mut out = BufWriter::new(io::stdout().lock());
        let lines = if self.json {
            found.iter().map(as_json).collect()
        } else {
            as_table(&found)
        };
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        Ok(ExitCode::from(u8::from(bad)))
    }

    /// Takes a recording that is wanted; says whether there was a fault.
    fn look(&self, path: PathBuf, found: &mut Vec<Found>) -> bool {
        if self.surely_not(&path) {
            return false;
        }
        let header = match source::open(&path) {
            Ok(reader) => reader.header().clone(),
            Err(e) => return fault_at(&path, &e.root_cause().to_string()),
        };
        if self.wants(&header) {
            let size = std::fs::metadata(&path).map_or(0, |about| about.len());
            found.push(Found { header, path, size });
        }
        false
    }

    /// By the time in the file's name alone, so that a week is found among years without opening each. An hour is
    /// left on both sides, for the id and the recording are made one after the other.
    fn surely_not(&self, path: &Path) -> bool {
        const HOUR: i64 = 3_600_000;
        let name = path.file_stem().and_then(|name| name.to_str());
        let Some(time) = name
            .and_then(session_millis)
            .and_then(|ms| i64::try_from(ms).ok())
        else {
            return false;
        };
        self.since
            .is_some_and(|since| time + HOUR < since.as_millisecond())
            || self
                .until
                .is_some_and(|until| time - HOUR > until.as_millisecond())
    }

    fn wants(&self, h: &Header) -> bool {
        let is = |asked: &Option<String>, have: &[&str]| {
            asked.as_deref().is_none_or(|asked| have.contains(&asked))
        };
        let amphora = self
            .amphora
            .as_deref()
            .map(|a| a.strip_prefix("amphora-").unwrap_or(a));
        is(&self.user, &[&h.user])
            && is(&self.lb, &[&h.load_balancer, &h.load_balancer_name])
            && amphora.is_none_or(|a| h.amphora.starts_with(a))
            && self.since.is_none_or(|since| h.started >= since)
            && self.until.is_none_or(|until| h.started < until)
    }
}

fn fault_at(path: &Path, why: &str) -> bool {
    source::complain(&format!("{}: {why}", text::path(path)));
    true
}

fn as_table(found: &[Found]) -> Vec<String> {
    let mut rows = vec![
        [
            "STARTED (UTC)",
            "SESSION",
            "USER",
            "LOAD BALANCER",
            "AMPHORA",
            "LANDING",
            "WHAT",
            "FILE",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for Found {
        header: h, path, ..
    } in found
    {
        let what = h.command_text().unwrap_or_else(|| h.action.clone());
        rows.push(vec![
            h.started.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            text::fitted(&h.session, 26),
            text::fitted(&h.user, 24),
            text::fitted(&h.load_balancer_name, 32),
            text::fitted(&h.amphora, 13),
            text::fitted(&h.landing, 8),
            text::fitted(&what, 40),
            text::path(path),
        ]);
    }
    text::table(&rows)
}

fn as_json(found: &Found) -> String {
    let Found {
        header: h,
        path,
        size,
    } = found;
    text::json(&json!({
        "session": h.session, "started": h.started.to_string(), "user": h.user, "source": h.source, "target": h.target,
        "amphora": h.amphora, "load_balancer": h.load_balancer, "load_balancer_name": h.load_balancer_name,
        "project": h.project, "landing": h.landing, "action": h.action, "command": h.command_text(), "channel": h.channel,
        "pty": h.pty, "cols": h.cols, "rows": h.rows, "term": h.term, "gateway": h.gateway, "host_key": h.host_key,
        "sealing_key": h.sealing_key.fingerprint(), "size": size, "file": path.to_string_lossy(),
    }))
}
