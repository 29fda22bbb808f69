//! In: a recording's path, as the commands that show recordings take it.
//! Out: its reader, after saying on standard error what is wrong with it; faults of single lines, a few in full.
//! Never: refuses to show a damaged recording.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use ampgate_recording::{ReadError, Reader, is_session_id};
use anyhow::{Context, Result, bail};

use crate::{
    find, text,
    trust::KeyArgs,
    verdict::{self, Status},
};

/// An open recording, wherever its bytes come from.
pub type Recording = Reader<File>;

/// So many faults of lines are told in full.
const TOLD: u64 = 5;

/// Says something on standard error, escaped.
pub fn complain(what: &str) {
    let lines: Vec<_> = what.lines().map(text::safe).collect();
    let _ = writeln!(std::io::stderr(), "ampgate-replay: {}", lines.join("\n"));
}

/// The path of a recording that may have been named by its session's id, which is its name in the store.
pub fn locate(named: &Path, store: &Path) -> Result<PathBuf> {
    let id = named.to_str().filter(|name| is_session_id(name));
    let Some(id) = id.filter(|_| !named.exists()) else {
        return Ok(named.to_owned());
    };
    let mut below = find::below(store).map(|(path, _)| path);
    below
        .find(|path| path.file_stem().is_some_and(|stem| stem == id))
        .with_context(|| {
            format!(
                "no recording of session {id} below {}; name the directory with --store, or the file itself",
                text::path(store)
            )
        })
}

/// Opens a regular file: a pipe or a device that somebody put there would block or never end.
pub fn open(path: &Path) -> Result<Recording> {
    let name = text::path(path);
    let about = fs::metadata(path).with_context(|| format!("cannot open {name}"))?;
    if !about.is_file() {
        bail!("{name} is no file; name a recording (\"ampgate-replay list DIR\" finds them)");
    }
    Reader::open_path(path).with_context(|| name)
}

/// The state of the recording, and for anything but an intact one the sentence that was said about it.
pub fn examine(path: &Path, keys: &KeyArgs) -> Result<Option<(Status, String)>> {
    let trust = keys.load(path)?;
    let found = trust.verify(path, None).with_context(|| text::path(path))?;
    let (status, sentence) = verdict::judge(&found, trust.is_empty());
    Ok((status != Status::Intact).then_some((status, sentence)))
}

/// [`examine`], said on standard error.
pub fn warn(path: &Path, keys: &KeyArgs) -> Result<()> {
    if let Some((_, sentence)) = examine(path, keys)? {
        complain(&format!("{}: {sentence}", text::path(path)));
    }
    Ok(())
}

/// Counts what could not be read, and tells of it.
#[derive(Default)]
pub struct Faults(u64);

impl Faults {
    /// Takes a fault; the first few are said at once.
    pub fn take(&mut self, path: &Path, fault: &ReadError) {
        self.0 += 1;
        if self.0 <= TOLD {
            complain(&format!("{}: {fault}", text::path(path)));
        }
    }

    /// Says how many more there were.
    pub fn finish(&self, path: &Path) {
        if self.0 > TOLD {
            complain(&format!(
                "{}: {} more faults like these",
                text::path(path),
                self.0 - TOLD
            ));
        }
    }
}
