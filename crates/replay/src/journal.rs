//! In: a journal's directory and the stores that it tells of.
//! Out: the journal's faults; for each recording its verdict against the journal's head; what is missing, what is unknown.
//! Never: a path from the journal that leads out of the store.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    ops::Range,
    path::{Component, Path, PathBuf},
};

use ampgate_audit::{
    Envelope, Event, JournalFault, JournalHead, JournalReport, LineHash, MAX_LINE, Segment,
    VerifyOptions, no_power_cut, verify_journal,
};
use ampgate_recording::{Head, is_session_id, recording_id, session_millis};
use anyhow::{Context, Result, bail};
use jiff::Timestamp;

use crate::{
    find, text,
    trust::Trust,
    verdict::Status,
    verify::{Report, file},
};

/// A gateway makes the file first and tells the journal right after; this many milliseconds later it has.
const FRESH: u64 = 10_000;

/// Whether a directory holds a journal.
pub fn is_one(dir: &Path) -> bool {
    Segment::list(dir).is_ok_and(|segments| !segments.is_empty())
}

/// Verifies the journal, then the recordings against it. Returns the journal's own status.
pub fn verify(
    dir: &Path,
    stores: &[PathBuf],
    anchors: Vec<JournalHead>,
    trust: &Trust,
    any_key: bool,
    report: &mut Report<impl Write>,
) -> Result<Status> {
    let begun = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
    if let Some(file) = stores.iter().find(|store| !store.is_dir()) {
        bail!(
            "{} is no directory; the journal is compared with a whole store",
            text::path(file)
        );
    }
    let options = VerifyOptions {
        anchors,
        after: None,
        sealing_key: trust.first().map(|key| *key.raw()),
    };
    let found = verify_journal(dir, &options).with_context(|| text::path(dir))?;
    let opened = Opened::read(dir)?;
    let status = faults(dir, &found, report)?.max(set_aside(dir, &opened.aside, trust, report)?);
    if stores.is_empty() {
        return Ok(status);
    }
    let closed: BTreeSet<_> = found
        .recordings
        .iter()
        .map(|closed| closed.recording.as_str())
        .collect();
    let mut seen = BTreeSet::new();
    for closed in &found.recordings {
        let head = Head::new(closed.session.clone(), closed.offset, closed.head);
        expect(
            &closed.session,
            &closed.recording,
            Some(&head),
            stores,
            &mut seen,
            &opened.removed,
            trust,
            any_key,
            report,
        )?;
    }
    for (session, recording) in &opened.recordings {
        if !closed.contains(recording.as_str()) {
            expect(
                session,
                recording,
                None,
                stores,
                &mut seen,
                &opened.removed,
                trust,
                any_key,
                report,
            )?;
        }
    }
    let known = opened.first.unwrap_or(0)..begun.saturating_sub(FRESH);
    let known = Known {
        told: known,
        crashes: opened.crashes,
    };
    rest(stores, &seen, &known, trust, any_key, report)?;
    Ok(status)
}

fn faults(dir: &Path, found: &JournalReport, report: &mut Report<impl Write>) -> Result<Status> {
    let name = format!("journal {}", text::path(dir));
    let mut status = Status::Intact;
    for fault in &found.faults {
        let kind = match fault {
            // A crash, not a deed; the gateway repairs it when it starts.
            JournalFault::Torn { .. } => Status::Unsealed,
            _ => Status::Journal,
        };
        status = status.max(kind);
        report.tell(&name, kind, &text::safe(&fault.to_string()))?;
    }
    if found.segments == 0 {
        status = Status::Unreadable;
        report.tell(
            &name,
            status,
            "unreadable: no journal-YYYY-MM-DD.jsonl in it",
        )?;
    }
    if status == Status::Intact {
        let head = found
            .head
            .map_or_else(|| "none".to_owned(), |head| head.to_string());
        let sealed = found
            .sealed
            .map_or_else(String::new, |seq| format!(", sealed up to line {seq}"));
        // Always told: the head is what an auditor notes down for the next time.
        report.note(&format!(
            "{name}: intact, {} lines in {} segments{sealed}, head {head}",
            found.lines, found.segments
        ))?;
    }
    Ok(status)
}

/// What starts of the gateway have set aside: always told, because it is how a line leaves the journal.
fn set_aside(
    dir: &Path,
    aside: &[Aside],
    trust: &Trust,
    report: &mut Report<impl Write>,
) -> Result<Status> {
    let mut worst = Status::Intact;
    for one in aside {
        let name = format!("journal {}: {}", text::path(dir), text::safe(&one.kept_as));
        let (status, sentence) = one.judge(dir);
        let (status, sentence) = report.look(&dir.join(&one.kept_as), trust, status, sentence)?;
        report.tell(&name, status, &sentence)?;
        if status == Status::Intact {
            report.note(&format!("{name}: {sentence}"))?;
        }
        worst = worst.max(status);
    }
    Ok(worst)
}

/// A torn end that a start set aside, as the journal tells it.
struct Aside {
    kept_as: String,
    bytes: u64,
    hash: String,
}

impl Aside {
    fn judge(&self, dir: &Path) -> (Status, String) {
        let mut parts = Path::new(&self.kept_as).components();
        let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else {
            let sentence = "journal altered: this is no file beside it".to_owned();
            return (Status::Journal, sentence);
        };
        // A start that was killed right after it had told of the file has not renamed it.
        let torn = [String::new(), ".untold".to_owned()]
            .iter()
            .map(|ending| dir.join(format!("{}{ending}", self.kept_as)))
            .find_map(|path| read_torn(&path, self.bytes));
        let Some(torn) = torn else {
            let bytes = self.bytes;
            let sentence = format!(
                "missing: a start of the gateway set aside {bytes} bytes of the journal's end as this file"
            );
            return (Status::Missing, sentence);
        };
        if LineHash::of(&torn).to_string() != self.hash {
            let sentence = "altered: not the bytes that a start of the gateway set aside";
            return (Status::Altered, sentence.to_owned());
        }
        match no_power_cut(&torn) {
            Some(took) => (
                Status::Journal,
                format!(
                    "journal altered: a start of the gateway had to set aside the lines of {} s; a power cut tears off those of a second or two",
                    took.as_secs()
                ),
            ),
            None => (
                Status::Intact,
                format!(
                    "a start of the gateway set aside the journal's last {} bytes, as a crash or a power cut tears them off",
                    self.bytes
                ),
            ),
        }
    }
}

/// A byte more than was set aside is enough to see that it is another file.
fn read_torn(path: &Path, bytes: u64) -> Option<Vec<u8>> {
    let mut torn = Vec::new();
    let file = File::open(path).ok()?;
    file.take(bytes.saturating_add(1))
        .read_to_end(&mut torn)
        .ok()?;
    Some(torn)
}

/// A recording that the journal tells of.
#[allow(clippy::too_many_arguments, reason = "private, and each is one fact")]
fn expect(
    session: &str,
    recording: &str,
    head: Option<&Head>,
    stores: &[PathBuf],
    seen: &mut BTreeSet<PathBuf>,
    removed: &BTreeSet<String>,
    trust: &Trust,
    any_key: bool,
    report: &mut Report<impl Write>,
) -> Result<()> {
    let name = text::safe(recording).into_owned();
    let inside = is_session_id(session)
        && Path::new(recording)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
    if !inside {
        report.add(
            &name,
            Status::Journal,
            "journal altered: this is no path in a store",
        )?;
        return Ok(());
    }
    match stores
        .iter()
        .map(|store| store.join(recording))
        .find(|path| path.is_file())
    {
        Some(path) => {
            file(&path, head, trust, any_key, report)?;
            seen.insert(path);
        }
        None if removed.contains(session) => report.add(
            &name,
            Status::Archived,
            "archived: the journal says that it was removed here after the archive had it, or deleted by order; \"ampgate archive fetch\" brings it",
        )?,
        None => {
            let whole = if head.is_some() { "closed" } else { "opened" };
            report.add(&name, Status::Missing, &format!("missing: the journal says that it was {whole} (session {session}), but it is not in the store"))?;
        }
    }
    Ok(())
}

/// Of which sessions the journal must have heard.
struct Known {
    /// Begun between these.
    told: Range<u64>,
    /// But not between these: the power went, and with it the last second of the journal.
    crashes: Vec<Range<u64>>,
}

impl Known {
    fn has(&self, begun: u64) -> bool {
        self.told.contains(&begun) && !self.crashes.iter().any(|crash| crash.contains(&begun))
    }
}

/// What is in the store, but not in the journal.
fn rest(
    stores: &[PathBuf],
    seen: &BTreeSet<PathBuf>,
    known: &Known,
    trust: &Trust,
    any_key: bool,
    report: &mut Report<impl Write>,
) -> Result<()> {
    for (path, fault) in stores.iter().flat_map(|store| find::below(store)) {
        if seen.contains(&path) {
            continue;
        }
        let name = text::path(&path);
        let time = path
            .file_stem()
            .and_then(|name| name.to_str())
            .and_then(session_millis);
        match fault {
            Err(e) => report.add(&name, Status::Unreadable, &format!("unreadable: {e}"))?,
            // Older than the journal that is here, whose segments were archived; begun while we read it; or just before a crash.
            Ok(()) if time.is_some_and(|time| !known.has(time)) => {
                file(&path, None, trust, any_key, report)?
            }
            Ok(()) => {
                let sentence = "unknown: the journal never heard of this recording";
                report.add_file(&path, trust, Status::Unknown, sentence.to_owned())?;
            }
        }
    }
    Ok(())
}

/// Recordings that were opened, closed or not, and when the journal begins.
struct Opened {
    recordings: Vec<(String, String)>,
    /// Sessions whose recording was removed after the archive had it, or deleted from there.
    removed: BTreeSet<String>,
    /// Milliseconds since 1970 UTC.
    first: Option<u64>,
    /// From shortly before the last line that is left of a gateway which died, to the next start.
    crashes: Vec<Range<u64>>,
    /// The last gateway ended as it should.
    stopped: bool,
    /// Torn ends.
    aside: Vec<Aside>,
}

/// A session gets its id before its recording is opened, which may wait for the disk so long.
const OPENING: u64 = 60_000;

impl Opened {
    fn read(dir: &Path) -> Result<Self> {
        let mut opened = Self {
            recordings: Vec::new(),
            removed: BTreeSet::new(),
            first: None,
            crashes: Vec::new(),
            stopped: true,
            aside: Vec::new(),
        };
        for segment in Segment::list(dir)? {
            let path = segment.path(dir);
            let file = File::open(&path).with_context(|| text::path(&path))?;
            opened
                .segment(BufReader::with_capacity(1 << 18, file))
                .with_context(|| text::path(&path))?;
        }
        Ok(opened)
    }

    fn segment(&mut self, mut input: impl BufRead) -> std::io::Result<()> {
        let (mut line, mut before) = (Vec::new(), Vec::new());
        loop {
            std::mem::swap(&mut line, &mut before);
            line.clear();
            if (&mut input)
                .take(MAX_LINE as u64 + 1)
                .read_until(b'\n', &mut line)?
                == 0
            {
                return Ok(());
            }
            self.line(bare(&line), bare(&before));
        }
    }

    fn line(&mut self, line: &[u8], before: &[u8]) {
        const NAMES: [&[u8]; 7] = [
            b"\"gateway.started\"",
            b"\"gateway.stopped\"",
            b"\"journal.recovered\"",
            b"\"recording.opened\"",
            b"\"content.opened\"",
            b"\"archive.removed\"",
            b"\"archive.deleted\"",
        ];
        let wanted = NAMES
            .iter()
            .any(|name| line.windows(name.len()).any(|part| part == *name));
        if !wanted && self.first.is_some() {
            return;
        }
        let Some(envelope) = Envelope::parse(line) else {
            return;
        };
        if self.first.is_none() {
            self.first = u64::try_from(envelope.time.as_millisecond()).ok();
        }
        match serde_json::from_slice(line) {
            Ok(Event::GatewayStopped { .. }) => self.stopped = true,
            Ok(event @ (Event::GatewayStarted { .. } | Event::JournalRecovered { .. })) => {
                if let Event::JournalRecovered {
                    kept_as,
                    bytes,
                    hash,
                    ..
                } = event
                {
                    self.aside.push(Aside {
                        kept_as: kept_as.to_string(),
                        bytes,
                        hash: hash.to_string(),
                    });
                }
                let millis =
                    |envelope: Envelope| u64::try_from(envelope.time.as_millisecond()).ok();
                let last = Envelope::parse(before).and_then(millis);
                if let (false, Some(last), Some(now)) = (self.stopped, last, millis(envelope)) {
                    self.crashes.push(last.saturating_sub(OPENING)..now);
                }
                self.stopped = false;
            }
            Ok(
                Event::RecordingOpened { recording, .. } | Event::ContentOpened { recording, .. },
            ) => {
                if let Some(session) = envelope.session {
                    self.recordings.push((session, recording.to_string()));
                }
            }
            Ok(Event::ArchiveRemoved { name, .. } | Event::ArchiveDeleted { name, .. }) => {
                let file = name.as_str().rsplit('/').next().unwrap_or_default();
                self.removed.extend(recording_id(file).map(str::to_owned));
            }
            _ => {}
        }
    }
}

/// Without its newline.
fn bare(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}
