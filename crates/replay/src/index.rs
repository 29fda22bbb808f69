//! In: recordings of a directory.
//! Out: a file beside them that says which pieces of text were ever on the screen of each, so that a search opens few of them.
//! Never: a find by itself: whatever the index names is read from the recording. Never trusted: `--no-index` does without.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    ops::Range,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use ampgate_recording::{Identities, Recipients};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::{
    crew,
    drawn::draw,
    find,
    query::{Query, each_gram},
    source, text,
    watch::{Eye, Line, Watch},
};

/// Its name, in each directory with recordings (a day of the store).
pub const NAME: &str = "search.index";
/// Raised when an old index would mislead: another rendering, other pieces.
const VERSION: u32 = 1;
/// A day of a large store has some tens of megabytes.
const LARGEST: u64 = 1 << 30;
/// A recording with more pieces than this (noise, a binary file) is always read.
const MOST_GRAMS: usize = 1 << 20;

/// Make or renew the search index of a store, so that searches open only recordings that may hold the text
#[derive(Args)]
#[command(
    after_help = "One file, search.index, is written into each directory with recordings (mode 0600). It holds pieces of three characters\nof everything that was on a screen, so keep it as you keep the recordings. Where these are sealed, it is sealed to the\nauditors who may read all of them. Recordings that were added, or grew, since\nthen are searched without it; run this again to take them in, only those are read.\n\nExamples:\n  ampgate-replay index recordings\n  ampgate-replay index recordings/2026/11/23"
)]
pub struct Index {
    /// Directories
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// Make it anew, whatever is there
    #[arg(long)]
    rebuild: bool,
}

/// What is known of the recordings of a directory.
#[derive(Default, Serialize, Deserialize)]
pub struct Known {
    recordings: BTreeMap<String, Entry>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    state: State,
    /// Sorted, as differences: a byte or two each. `None`: too many.
    grams: Option<Vec<u32>>,
}

/// The file that the entry was made from; another one has another.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    size: u64,
    modified: (i64, i64),
    inode: u64,
}

impl State {
    fn of(path: &Path) -> io::Result<Self> {
        let about = fs::metadata(path)?;
        Ok(Self {
            size: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            inode: about.ino(),
        })
    }
}

impl Known {
    /// Whether the recording surely does not hold what is looked for.
    pub fn rules_out(&self, path: &Path, query: &Query) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(entry) = self.recordings.get(name.as_ref()) else {
            return false;
        };
        let Some(grams) = &entry.grams else {
            return false;
        };
        if !State::of(path).is_ok_and(|state| state == entry.state) {
            return false;
        }
        let mut wanted = query.grams().iter().copied().peekable();
        let mut at = 0u32;
        for step in grams {
            at = at.saturating_add(*step);
            match wanted.peek() {
                None => return false,
                Some(next) if *next < at => return true,
                Some(next) if *next == at => {
                    wanted.next();
                }
                Some(_) => {}
            }
        }
        wanted.peek().is_some()
    }
}

/// The index of a directory; `None` if there is none. One that is damaged or of another version is told of, and counts as none.
pub fn of(dir: &Path) -> Option<Known> {
    let bytes = match read(&dir.join(NAME)) {
        Ok(bytes) => bytes?,
        Err(e) => {
            source::complain(&format!(
                "{}: {e:#}; searching without it",
                text::path(&dir.join(NAME))
            ));
            return None;
        }
    };
    let known = decode(&bytes);
    if known.is_none() {
        source::complain(&format!(
            "{} is no index of this version; searching without it (\"ampgate-replay index\" makes it anew)",
            text::path(&dir.join(NAME))
        ));
    }
    known
}

/// An index of its bytes.
pub fn decode(bytes: &[u8]) -> Option<Known> {
    let (version, rest) = postcard::take_from_bytes::<u32>(bytes).ok()?;
    let known = postcard::from_bytes(rest).ok()?;
    (version == VERSION).then_some(known)
}

fn encode(known: &Known) -> Result<Vec<u8>> {
    let mut bytes = postcard::to_allocvec(&VERSION)?;
    bytes.extend(postcard::to_allocvec(known)?);
    Ok(bytes)
}

/// The one place where an index is read. A sealed one that no identity was given for is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        bail!("larger than any index");
    }
    if !Identities::may_open(&bytes) {
        return Ok(Some(bytes));
    }
    if source::identities().is_empty() {
        return Ok(None);
    }
    Ok(Some(source::identities().open(&bytes, LARGEST)?))
}

/// Whom the index of these recordings is sealed to: everybody who may read all of them. `None` if they are plain.
fn recipients(recordings: &[PathBuf]) -> Result<Option<Recipients>> {
    let mut all: Option<BTreeSet<String>> = None;
    for path in recordings {
        let Some(envelope) = source::envelope(path)? else {
            continue;
        };
        if envelope.needed() > 1 {
            bail!(
                "{} needs {} auditors together, and an index that one alone can read would tell what it shows; search without an index",
                text::path(path),
                envelope.needed()
            );
        }
        let here: BTreeSet<String> = envelope.recipients().map(str::to_owned).collect();
        all = Some(match all {
            None => here,
            Some(all) => all.intersection(&here).cloned().collect(),
        });
    }
    let Some(all) = all else { return Ok(None) };
    let all: Vec<_> = all.into_iter().collect();
    let sealed = Recipients::new(&all, 1).context("no auditor may read all of these recordings")?;
    Ok(Some(sealed))
}

/// The one place where an index is written: beside the old one, then in its place.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("index.new");
    let _ = fs::remove_file(&new);
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&new, path)?;
    Ok(())
}

impl Index {
    pub fn run(&self) -> Result<ExitCode> {
        let (mut days, mut bad) = (BTreeMap::<PathBuf, Vec<PathBuf>>::new(), false);
        for path in &self.paths {
            if !path.is_dir() {
                bail!(
                    "{} is no directory; an index belongs to one",
                    text::path(path)
                );
            }
            for (path, fault) in find::below(path) {
                if let Err(e) = fault {
                    source::complain(&format!("{}: {e}", text::path(&path)));
                    bad = true;
                    continue;
                }
                let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
                days.entry(dir).or_default().push(path);
            }
        }
        let mut out = io::stdout().lock();
        for (dir, recordings) in days {
            let (kept, made) = self.renew(&dir, &recordings)?;
            writeln!(
                out,
                "{}: {made} recordings read, {kept} known before",
                text::path(&dir.join(NAME))
            )?;
        }
        Ok(ExitCode::from(u8::from(bad)))
    }

    fn renew(&self, dir: &Path, recordings: &[PathBuf]) -> Result<(usize, usize)> {
        let recipients = recipients(recordings)?;
        let mut old = if self.rebuild { None } else { of(dir) }.unwrap_or_default();
        let mut known = Known::default();
        let mut to_read = Vec::new();
        for path in recordings {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            match (old.recordings.remove(name.as_ref()), State::of(path)) {
                (Some(entry), Ok(state)) if entry.state == state => {
                    known.recordings.insert(name.into_owned(), entry);
                }
                _ => to_read.push(path.clone()),
            }
        }
        let kept = known.recordings.len();
        let mut made = 0;
        crew::each(
            &to_read,
            |path| entry(path),
            |at, entry| {
                let path = to_read.get(at).map(PathBuf::as_path).unwrap_or(dir);
                match entry {
                    Ok(entry) => {
                        let name = path.file_name().unwrap_or_default().to_string_lossy();
                        known.recordings.insert(name.into_owned(), entry);
                        made += 1;
                    }
                    Err(e) => {
                        source::complain(&format!("{}: {}", text::path(path), e.root_cause()))
                    }
                }
                Ok(())
            },
        )?;
        if made > 0 || !old.recordings.is_empty() {
            let file = dir.join(NAME);
            let mut bytes = encode(&known)?;
            if let Some(recipients) = recipients {
                bytes = recipients.seal(&bytes)?;
            }
            write(&file, &bytes).with_context(|| format!("cannot write {}", text::path(&file)))?;
        }
        Ok((kept, made))
    }
}

/// What the recording shows, in pieces. Its state is taken before, so that what grows meanwhile is read again.
fn entry(path: &Path) -> Result<Entry> {
    let state = State::of(path)?;
    let pieces = Arc::new(Mutex::new(HashSet::new()));
    let watch = Watch::new(Box::new(Pieces(pieces.clone())), 0, 0);
    let drawn = draw(source::open(path)?, watch, &AtomicBool::new(false));
    let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(command) = drawn.header.command_text() {
        collect(&command, &mut pieces);
    }
    let mut grams: Vec<u32> = pieces.drain().collect();
    // What was drawn after a fault of the virtual terminal may be drawn otherwise by another version.
    if grams.len() > MOST_GRAMS || drawn.failures > 0 {
        return Ok(Entry { state, grams: None });
    }
    grams.sort_unstable();
    let mut last = 0;
    for gram in &mut grams {
        (last, *gram) = (*gram, *gram - last);
    }
    Ok(Entry {
        state,
        grams: Some(grams),
    })
}

/// Collects the pieces of lines.
struct Pieces(Arc<Mutex<HashSet<u32>>>);

impl Eye for Pieces {
    fn look(&mut self, line: &Line<'_>) -> Vec<Range<usize>> {
        let mut pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        collect(line.text, &mut pieces);
        Vec::new()
    }
}

fn collect(text: &str, pieces: &mut HashSet<u32>) {
    // One more than the most says that there are too many.
    if pieces.len() <= MOST_GRAMS {
        each_gram(text, |gram| {
            pieces.insert(gram);
        });
    }
}

/// The indexes of directories, read once each.
#[derive(Default)]
pub struct Indexes(HashMap<PathBuf, Option<Known>>);

impl Indexes {
    /// Whether the index beside a recording rules it out.
    pub fn rule_out(&mut self, path: &Path, query: &Query) -> bool {
        let dir = path.parent().unwrap_or(Path::new("."));
        if !self.0.contains_key(dir) {
            self.0.insert(dir.to_owned(), of(dir));
        }
        let known = self.0.get(dir).and_then(Option::as_ref);
        known.is_some_and(|known| known.rules_out(path, query))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_index_rules_out_only_what_it_knows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cast");
        fs::write(&path, "x").unwrap();
        let state = State::of(&path).unwrap();
        let mut pieces = HashSet::new();
        collect("connection refused 한글", &mut pieces);
        let mut grams: Vec<u32> = pieces.into_iter().collect();
        grams.sort_unstable();
        let mut last = 0;
        for gram in &mut grams {
            (last, *gram) = (*gram, *gram - last);
        }
        let mut known = Known::default();
        let entry = Entry {
            state,
            grams: Some(grams),
        };
        known.recordings.insert("a.cast".to_owned(), entry);
        let known = decode(&encode(&known).unwrap()).unwrap();
        let rules_out = |text: &str, is_regex| {
            known.rules_out(&path, &Query::new(text, is_regex, false).unwrap())
        };
        for there in ["refused", "CONNECT", "ion refu", "한글", "ab", "x"] {
            assert!(!rules_out(there, false), "{there}");
        }
        for absent in ["accepted", "refused!", "글한"] {
            assert!(rules_out(absent, false), "{absent}");
        }
        assert!(
            !rules_out("accepted", true),
            "an expression is always looked for"
        );
        assert!(!known.rules_out(
            &dir.path().join("b.cast"),
            &Query::new("zzz", false, false).unwrap()
        ));
        fs::write(&path, "longer").unwrap();
        assert!(!rules_out("accepted", false), "another file");
    }

    #[test]
    fn what_is_no_index_is_none() {
        for bytes in [
            &b""[..],
            b"x",
            b"\xff\xff\xff\xff\xff\xff",
            b"\x02\x00",
            &[1, 255, 255, 255, 255, 127],
        ] {
            assert!(decode(bytes).is_none(), "{bytes:?}");
        }
        assert!(decode(&encode(&Known::default()).unwrap()).is_some());
    }
}
