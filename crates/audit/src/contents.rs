//! In: the journal.
//! Out: which recordings hold the contents of transferred files, and of which session each is.
//! Never: a guess by a recording itself: a sealed one does not say what it holds.

use crate::error::AuditError;
use crate::event::Event;
use crate::line::MAX_LINE;
use crate::segment::Segment;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

const NAME: &[u8] = b"\"content.opened\"";

/// By the id of each recording of a content, the session whose transfer it was of. With `since`, only segments from that
/// one on are read.
///
/// # Errors
/// The journal cannot be read.
pub fn contents(
    journal_dir: &Path,
    since: Option<Segment>,
) -> Result<BTreeMap<String, String>, AuditError> {
    let mut found = BTreeMap::new();
    for segment in Segment::list(journal_dir)? {
        if since.is_some_and(|since| segment < since) {
            continue;
        }
        let path = segment.path(journal_dir);
        let file = File::open(&path).map_err(AuditError::io("open", &path))?;
        let mut lines = BufReader::with_capacity(1 << 18, file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut lines)
                .take(MAX_LINE as u64 + 1)
                .read_until(b'\n', &mut line)
                .map_err(AuditError::io("read", &path))?;
            if read == 0 {
                break;
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            if !line.windows(NAME.len()).any(|part| part == NAME) {
                continue;
            }
            if let Ok(Event::ContentOpened { recording, of, .. }) = serde_json::from_slice(line) {
                let id = Path::new(recording.as_str()).file_stem();
                let id = id.and_then(|id| id.to_str()).map(str::to_owned);
                found.extend(id.map(|id| (id, of.to_string())));
            }
        }
    }
    Ok(found)
}
