//! In: directories and recordings; whose, where and when.
//! Out: a line for each recording, newest first, from its header alone: unverified.
//! Never: an unescaped word of a header, or of a file's name.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use ampgate_recording::Header;
use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::{filter::Filter, find, source, text};

/// List recordings, newest first, from their headers alone (what a header says is proven by "verify" only)
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ampgate-replay list recordings\n  ampgate-replay list recordings --user alice --since 7d\n  ampgate-replay list recordings --lb cmp-was-lb --since 2026-11-01 --until 2026-11-02 --json"
)]
pub struct List {
    /// Directories (everything below that ends in .cast or .sealed) and recordings
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    filter: Filter,
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
        if self.filter.surely_not(&path) {
            return false;
        }
        let header = match source::header(&path) {
            Ok(header) => header,
            Err(e) => return fault_at(&path, &e.root_cause().to_string()),
        };
        if self.filter.wants(&header) {
            let size = std::fs::metadata(&path).map_or(0, |about| about.len());
            found.push(Found { header, path, size });
        }
        false
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
