//! In: recordings, directories of them, perhaps the journal; the sealing key that the auditor trusts.
//! Out: a verdict for each recording that is not intact, a total, and the worst as exit status.
//! Never: "intact" by a key that only the file itself names, unless asked for.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use ampgate_audit::{Anchor, JournalHead};
use ampgate_recording::{Head, Unsealer};
use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;

use crate::{
    find, journal,
    known::{self, Known},
    metrics, source, text,
    trust::{KeyArgs, Trust},
    verdict::{self, Status},
};

/// Say whether recordings are as they were sealed; each kind of damage has its own exit status
#[derive(Args)]
#[command(after_help = format!("Examples:\n  ampgate-replay verify --key sealing.pub 01KAS2….cast\n  ampgate-replay verify recordings                            (finds keys/sealing.pub beside the store)\n  ampgate-replay verify --journal state/journal --store recordings\n  ampgate-replay verify --journal state/journal --anchor 812:9f3c… --store recordings\n  ampgate-replay verify --journal state/journal --anchors /var/log/ampgate-anchors --store recordings\n  ampgate-replay verify --journal state/journal --store recordings --metrics /var/lib/ampgate-metrics/ampgate.prom\n  ampgate-replay verify --print-known recordings >>known      (after looking at each of them)\n  ampgate-replay verify --known known recordings\n  ampgate-replay verify recordings/2026/11/23                 (one day; --journal speaks of the whole store)\n\n{}", verdict::help()))]
pub struct Verify {
    /// Recordings, and directories of them (everything below that ends in .cast or .sealed); also a journal's directory
    #[arg(required_unless_present_any = ["journal", "store"])]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    keys: KeyArgs,
    /// Accept the key that each file names itself: shows damage, but not who sealed
    #[arg(long)]
    any_key: bool,
    /// The journal's directory: verified as well, and every recording that it tells of must be in the store
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// The directory of recordings, as a directory among PATHS
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// A head of the journal that was noted elsewhere: only this shows that its end was not cut off
    #[arg(long, value_name = "SEQ:HASH", value_parser = anchor)]
    anchor: Option<JournalHead>,
    /// A file in which the gateway's anchors were kept, a syslog for instance: each that the sealing key signed must be in the journal
    #[arg(long, value_name = "FILE", requires = "journal")]
    anchors: Option<PathBuf>,
    /// Write what was found to this file, for Prometheus (node_exporter's textfile collector); the file is replaced as a whole
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// What is not intact and was looked at: lines of a hash and a file's name. It is counted as known, and status 0, as long as no byte of it changes
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
    /// Print lines for --known, of all that is not intact, and nothing else
    #[arg(long)]
    print_known: bool,
    /// Print intact recordings, too
    #[arg(short, long)]
    verbose: bool,
}

/// Collects verdicts and prints those worth it.
pub struct Report<W: Write> {
    out: W,
    counts: BTreeMap<Status, u64>,
    /// Print every verdict.
    all: bool,
    /// Print lines of known ones only.
    bare: bool,
}

impl<W: Write> Report<W> {
    /// Takes a verdict on something.
    pub fn add(&mut self, name: &str, status: Status, sentence: &str) -> io::Result<()> {
        *self.counts.entry(status).or_default() += 1;
        self.tell(name, status, sentence)
    }

    /// Takes a verdict on a file, which may be known.
    pub fn add_file(
        &mut self,
        path: &Path,
        trust: &Trust,
        status: Status,
        sentence: String,
    ) -> io::Result<()> {
        let (status, sentence) = self.look(path, trust, status, sentence)?;
        self.add(&text::path(path), status, &sentence)
    }

    /// The verdict on a file, or that it is known.
    pub fn look(
        &mut self,
        path: &Path,
        trust: &Trust,
        status: Status,
        sentence: String,
    ) -> io::Result<(Status, String)> {
        let (status, sentence) = trust.known.look(path, status, sentence);
        if self.bare
            && let Some(line) = known::line(path, status, &sentence)
        {
            writeln!(self.out, "{line}")?;
        }
        Ok((status, sentence))
    }

    /// Prints a line as it is.
    pub fn note(&mut self, line: &str) -> io::Result<()> {
        match self.bare {
            true => Ok(()),
            false => writeln!(self.out, "{line}"),
        }
    }

    /// Prints something that is no recording and does not count as one.
    pub fn tell(&mut self, name: &str, status: Status, sentence: &str) -> io::Result<()> {
        if !self.bare && (self.all || status != Status::Intact) {
            writeln!(self.out, "{name}: {sentence}")?;
        }
        Ok(())
    }
}

impl Verify {
    pub fn run(&self) -> Result<ExitCode> {
        let (journals, mut paths): (Vec<_>, Vec<_>) = self
            .paths
            .iter()
            .cloned()
            .partition(|path| self.journal.is_none() && journal::is_one(path));
        paths.extend(self.store.clone());
        let journal = self.journal.clone().or(journals.first().cloned());
        let single =
            journal.is_none() && paths.len() == 1 && paths.iter().all(|path| !path.is_dir());
        let mut report = Report {
            out: BufWriter::new(io::stdout().lock()),
            counts: BTreeMap::new(),
            all: single || self.verbose,
            bare: self.print_known,
        };
        let near = paths
            .first()
            .or(journal.as_ref())
            .context("nothing to verify: name a recording or a directory")?;
        let mut trust = self.keys.load(near)?;
        if let Some(known) = &self.known {
            trust.known = Known::read(known)?;
        }
        let mut worst = Status::Intact;
        if let Some(journal) = &journal {
            let mut anchors: Vec<_> = self.anchor.into_iter().collect();
            if let Some(file) = &self.anchors {
                anchors.extend(kept_anchors(file, &trust)?);
            }
            worst = journal::verify(journal, &paths, anchors, &trust, self.any_key, &mut report)?;
        } else {
            for path in &paths {
                self.path(path, &trust, &mut report)?;
            }
        }
        let worst = worst.max(
            report
                .counts
                .keys()
                .max()
                .copied()
                .unwrap_or(Status::Intact),
        );
        if !single && !self.print_known {
            let total = total(&report.counts);
            writeln!(report.out, "{total}")?;
        }
        report.out.flush()?;
        if let Some(file) = &self.metrics {
            metrics::write(file, &report.counts, worst, Timestamp::now())?;
        }
        drop(report);
        self.say_key(&trust);
        Ok(ExitCode::from(worst.code()))
    }

    fn path(&self, path: &Path, trust: &Trust, report: &mut Report<impl Write>) -> Result<()> {
        if !path.is_dir() {
            return file(path, None, trust, self.any_key, report);
        }
        let mut any = false;
        for (path, fault) in find::below(path) {
            any = true;
            match fault {
                Ok(()) => file(&path, None, trust, self.any_key, report)?,
                Err(e) => report.add(
                    &text::path(&path),
                    Status::Unreadable,
                    &format!("unreadable: {e}"),
                )?,
            }
        }
        if !any {
            report.add(
                &text::path(path),
                Status::NoRecording,
                "not a recording: nothing below it ends in .cast or .sealed",
            )?;
        }
        Ok(())
    }

    /// By which key, and where that came from: a key that lies beside the recordings is only as good as that place.
    fn say_key(&self, trust: &Trust) {
        if !trust.is_empty() {
            source::complain(&format!("trusted sealing key: {}", trust.told.join(", ")));
        } else if self.any_key {
            source::complain(
                "no sealing key was given: each signature was checked only against the key that the file names itself",
            );
        }
    }
}

/// Verifies one recording, by itself or against the head in the journal.
pub fn file(
    path: &Path,
    head: Option<&Head>,
    trust: &Trust,
    any_key: bool,
    report: &mut Report<impl Write>,
) -> Result<()> {
    let (status, sentence) = match trust.verify(path, head) {
        Ok(verdict) => match verdict::judge(&verdict, any_key) {
            (Status::Intact, sentence) => opened(path)
                .map_or((Status::Intact, sentence), |(status, why)| {
                    (status, format!("{}: {}", status.word(), text::safe(&why)))
                }),
            other => other,
        },
        Err(e) => (
            Status::Unreadable,
            format!("unreadable: {}", text::safe(&e.to_string())),
        ),
    };
    report.add_file(path, trust, status, sentence)?;
    Ok(())
}

/// With an identity a sealed recording is also opened, frame by frame: what does not open.
fn opened(path: &Path) -> Option<(Status, String)> {
    if source::identities().is_empty() || !matches!(source::envelope(path), Ok(Some(_))) {
        return None;
    }
    let unreadable = |why: String| (Status::Unreadable, why);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) => return Some(unreadable(e.to_string())),
    };
    let mut cast = match Unsealer::open(file, source::identities()) {
        Ok(cast) => cast,
        // Somebody else's recording, not a damaged one.
        Err(e) => return Some(unreadable(e.to_string())),
    };
    let read = io::copy(&mut cast, &mut io::sink());
    read.err().map(|e| (Status::Altered, e.to_string()))
}

/// The anchors of a file, as far as a trusted key signed them; the others are counted and passed over.
fn kept_anchors(file: &Path, trust: &Trust) -> Result<Vec<JournalHead>> {
    let name = text::path(file);
    let key = trust
        .first()
        .context("anchors count only with the sealing key that signed them; give it with --key")?;
    let input = File::open(file).with_context(|| format!("cannot read the anchors {name}"))?;
    let (mut heads, mut others) = (Vec::new(), 0_u64);
    for line in BufReader::new(input).split(b'\n') {
        let line = line.with_context(|| format!("cannot read the anchors {name}"))?;
        match Anchor::find(&String::from_utf8_lossy(&line)) {
            None => {}
            Some(anchor) => match anchor.head(key.raw()) {
                Some(head) => heads.push(head),
                None => others += 1,
            },
        }
    }
    if heads.is_empty() {
        bail!("{name} has no anchor that the trusted sealing key signed");
    }
    source::complain(&format!(
        "{} anchors of {name}, {others} of other keys passed over",
        heads.len()
    ));
    Ok(heads)
}

fn total(counts: &BTreeMap<Status, u64>) -> String {
    let all: u64 = counts.values().sum();
    let parts: Vec<_> = counts
        .iter()
        .map(|(status, n)| format!("{n} {}", status.word()))
        .collect();
    if all == 0 {
        return "no recordings".to_owned();
    }
    format!(
        "{all} recording{}: {}",
        if all == 1 { "" } else { "s" },
        parts.join(", ")
    )
}

fn anchor(text: &str) -> Result<JournalHead, String> {
    text.parse()
        .map_err(|()| "expected SEQ:HASH, as \"verify --journal\" prints it".to_owned())
}
