//! In: a text, and recordings.
//! Out: when it was on whose screen (or in a command), and the command that plays that moment.
//! Never: an unescaped word of a recording; a claim that what is not found was not there (text without letters: a picture, a file in another coding).

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::AtomicBool,
};

use ampgate_recording::Header;
use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::{
    crew, drawn::Drawn, filter::Filter, find, index::Indexes, query::Query, scan, source, text,
    watch::Find,
};

/// Find a text that was on the screen, however it came there, or in a command
#[derive(Args)]
#[command(
    after_help = "What counts is what the terminal showed: text that a program drew with cursor movements, in vim, less or a progress bar,\nlines that wrapped, what was overwritten or scrolled away. Words are found in their order, with any blanks between;\ncapital or small is the same; Unicode is normalised (NFC). Each appearance counts once.\n\nExit status: 0 found, 1 not found, 2 some recordings could not be read.\n\nExamples:\n  ampgate-replay search 'connection refused' recordings --since 7d --user alice\n  ampgate-replay search --commands tcpdump recordings\n  ampgate-replay search --regex 'passw(or)?d' --context 2 recordings --lb web\n  ampgate-replay search --json 한글 recordings | jq -r .play"
)]
pub struct Search {
    /// The text: a word, or several in quotes
    text: String,
    /// Directories (everything below that ends in .cast or .sealed) and recordings
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// The text is a regular expression (syntax of the Rust crate regex)
    #[arg(long)]
    regex: bool,
    /// Capital letters and small ones differ
    #[arg(long)]
    case: bool,
    /// Only commands: of exec sessions, and those typed at a prompt, as far as the screen tells
    #[arg(long)]
    commands: bool,
    #[command(flatten)]
    filter: Filter,
    /// So many lines above and below each
    #[arg(long, short = 'C', value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=50))]
    context: u8,
    /// At most so many in each recording
    #[arg(long, value_name = "N", default_value_t = 1000)]
    most: usize,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    /// Read every recording, whatever an index says
    #[arg(long)]
    no_index: bool,
}

impl Search {
    pub fn run(&self) -> Result<ExitCode> {
        let query = Query::new(&self.text, self.regex, self.case)?;
        let (asked, mut bad) = self.asked(&query);
        let mut out = BufWriter::new(io::stdout().lock());
        let mut any = false;
        crew::each(
            &asked,
            |path| self.one(path, &query),
            |at, drawn| {
                let path = asked.get(at).map_or(Path::new(""), PathBuf::as_path);
                match drawn {
                    Ok(Some(drawn)) => {
                        any |= !drawn.finds.is_empty();
                        bad |= drawn.faults > 0;
                        self.tell(path, &drawn, &mut out)?;
                    }
                    Ok(None) => {}
                    Err(e) => {
                        bad = true;
                        let why = e.root_cause();
                        source::complain(&format!("{}: {why}", text::path(path)));
                    }
                }
                Ok(())
            },
        )?;
        out.flush()?;
        Ok(ExitCode::from(match (any, bad) {
            (_, true) => 2,
            (true, _) => 0,
            (false, _) => 1,
        }))
    }

    /// The recordings to be read, newest first, and whether there was a fault.
    fn asked(&self, query: &Query) -> (Vec<PathBuf>, bool) {
        let (mut asked, mut bad, mut indexes) = (Vec::new(), false, Indexes::default());
        let mut take = |path: PathBuf| {
            let known = !self.no_index && indexes.rule_out(&path, query);
            if !known && !self.filter.surely_not(&path) {
                asked.push(path);
            }
        };
        for path in &self.paths {
            if !path.is_dir() {
                take(path.clone());
                continue;
            }
            for (path, fault) in find::below(path) {
                match fault {
                    Ok(()) => take(path),
                    Err(e) => {
                        source::complain(&format!("{}: {e}", text::path(&path)));
                        bad = true;
                    }
                }
            }
        }
        // The name of a recording is its session's id, which begins with the time.
        asked.sort_by(|a, b| b.file_name().cmp(&a.file_name()));
        (asked, bad)
    }

    /// `None` if the recording is not one that was asked for.
    fn one(&self, path: &Path, query: &Query) -> Result<Option<Drawn>> {
        if !self.filter.wants(source::open(path)?.header()) {
            return Ok(None);
        }
        let stop = AtomicBool::new(false);
        let context = usize::from(self.context);
        scan::search(path, query, context, self.most, self.commands, &stop).map(Some)
    }

    fn tell(&self, path: &Path, drawn: &Drawn, out: &mut dyn Write) -> Result<()> {
        if drawn.faults > 0 {
            source::complain(&format!(
                "{}: {} lines of it are no events and are passed over",
                text::path(path),
                drawn.faults
            ));
        }
        if drawn.finds.is_empty() {
            return Ok(());
        }
        if !self.json {
            writeln!(out, "{}", title(&drawn.header))?;
        }
        for find in &drawn.finds {
            if self.json {
                writeln!(out, "{}", as_json(path, &drawn.header, find))?;
            } else {
                as_text(path, &drawn.header, find, out)?;
            }
        }
        if drawn.beyond > 0 {
            source::complain(&format!(
                "{}: {} more; --most shows more than {}",
                text::path(path),
                drawn.beyond,
                self.most
            ));
        }
        if !self.json {
            writeln!(out)?;
        }
        Ok(())
    }
}

fn title(h: &Header) -> String {
    format!(
        "{}  {} on {} (amphora {}, {})",
        text::fitted(&h.session, 26),
        text::fitted(&h.user, 24),
        text::fitted(&h.load_balancer_name, 32),
        text::fitted(&h.amphora, 36),
        text::fitted(&h.landing, 8),
    )
}

fn as_text(path: &Path, h: &Header, find: &Find, out: &mut dyn Write) -> io::Result<()> {
    let wall = wall(h, find).strftime("%Y-%m-%d %H:%M:%S");
    for line in &find.above {
        writeln!(out, "{:>30} | {}", "", text::safe(line))?;
    }
    let clock = text::clock(find.at);
    writeln!(out, "{clock:>9}  {wall} > {}", text::safe(&find.line))?;
    for line in &find.below {
        writeln!(out, "{:>30} | {}", "", text::safe(line))?;
    }
    writeln!(out, "{:>11}{}", "", jump(path, find))
}

/// The command that plays the moment.
fn jump(path: &Path, find: &Find) -> String {
    format!(
        "ampgate-replay play --at {} {}",
        text::clock(find.at),
        text::shell_word(&path.to_string_lossy())
    )
}

fn wall(h: &Header, find: &Find) -> Timestamp {
    h.started.checked_add(find.at).unwrap_or(h.started)
}

fn as_json(path: &Path, h: &Header, find: &Find) -> String {
    let found = find.line.get(find.range.clone()).unwrap_or_default();
    text::json(&json!({
        "session": h.session, "user": h.user, "load_balancer": h.load_balancer, "load_balancer_name": h.load_balancer_name,
        "amphora": h.amphora, "landing": h.landing, "started": h.started.to_string(), "at": find.at.as_secs_f64(),
        "time": wall(h, find).to_string(), "line": find.line, "found": found, "above": find.above, "below": find.below,
        "file": path.to_string_lossy(), "play": jump(path, find),
    }))
}
