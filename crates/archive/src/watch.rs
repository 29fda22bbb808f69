//! In: the journal, from where it was last read. Out: which sessions' recordings are open, sealed, or never will be.
//! Never: half a line, or a guess: a session that the journal does not end is open.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use ampgate_audit::{MAX_LINE, Segment};
use ampgate_recording::is_session_id;
use serde::Deserialize;

use crate::error::ArchiveError;
use crate::state::{Change, Cursor, Ended, Session, State};

/// What is read of a line.
#[derive(Deserialize)]
struct Line {
    event: String,
    session: Option<String>,
    #[serde(default)]
    sealed: bool,
    head: Option<String>,
}

/// Reads on to the journal's end.
pub(crate) fn read_on(journal: &Path, state: &mut State) -> Result<(), ArchiveError> {
    let segments = match journal.exists() {
        true => Segment::list(journal),
        false => Ok(Vec::new()),
    };
    let segments = segments.map_err(|e| ArchiveError::Local {
        path: journal.to_owned(),
        why: e.to_string(),
    })?;
    for segment in segments {
        let name = segment.to_string();
        let from = match &state.cursor {
            Some(cursor) if cursor.segment > name => continue,
            Some(cursor) if cursor.segment == name => cursor.offset,
            _ => 0,
        };
        let path = segment.path(journal);
        let change =
            read(&path, name, from, &state.sessions).map_err(ArchiveError::local(&path))?;
        if change.cursor != state.cursor {
            state.apply(change)?;
        }
    }
    Ok(())
}

fn read(
    path: &Path,
    segment: String,
    from: u64,
    known: &BTreeMap<String, Session>,
) -> std::io::Result<Change> {
    let mut file = File::open(path)?;
    // A torn line that was taken back may have made the segment shorter.
    let mut offset = from.min(file.metadata()?.len());
    file.seek(SeekFrom::Start(offset))?;
    let mut file = BufReader::new(file);
    let mut sessions: BTreeMap<String, Option<Session>> = BTreeMap::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut file)
            .take(MAX_LINE as u64 + 1)
            .read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            break;
        }
        offset += read as u64;
        take(&line, known, &mut sessions);
    }
    Ok(Change {
        cursor: Some(Cursor { segment, offset }),
        sessions,
        ..Change::default()
    })
}

fn take(
    line: &[u8],
    known: &BTreeMap<String, Session>,
    sessions: &mut BTreeMap<String, Option<Session>>,
) {
    let Ok(line) = serde_json::from_slice::<Line>(line) else {
        return;
    };
    if line.event == "gateway.started" {
        // Whoever wrote the open ones is gone: nobody will seal them any more.
        let changed = sessions.keys().cloned();
        let all: Vec<String> = known.keys().cloned().chain(changed).collect();
        for id in all {
            let now = sessions
                .get(&id)
                .cloned()
                .flatten()
                .or_else(|| known.get(&id).cloned());
            if let Some(session) = now.filter(|s| s.ended.is_none()) {
                let ended = Some(Ended::Unsealed);
                sessions.insert(id, Some(Session { ended, ..session }));
            }
        }
        return;
    }
    let Some(id) = line.session.filter(|id| is_session_id(id)) else {
        return;
    };
    match line.event.as_str() {
        "recording.opened" | "content.opened" if !known.contains_key(&id) => {
            sessions
                .entry(id)
                .or_insert_with(|| Some(Session::default()));
        }
        "recording.closed" => {
            let ended = match line.sealed {
                true => Ended::Sealed,
                false => Ended::Unsealed,
            };
            let session = Session {
                ended: Some(ended),
                head: line.head,
            };
            sessions.insert(id, Some(session));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write as _;

    const A: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    const B: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAW";

    fn event(name: &str, session: &str, rest: &str) -> String {
        format!("{{\"seq\":1,\"session\":\"{session}\",\"event\":\"{name}\"{rest}}}\n")
    }

    #[test]
    fn only_the_journal_ends_a_recording() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(&dir.path().join("state")).unwrap();
        let mut journal = File::create(dir.path().join("journal-2026-11-23.jsonl")).unwrap();
        let mut say = |text: &str| {
            journal.write_all(text.as_bytes()).unwrap();
            read_on(dir.path(), &mut state).unwrap();
            [A, B].map(|id| state.sessions.get(id).map(|s| s.ended))
        };
        assert_eq!(say(&event("recording.opened", A, "")), [Some(None), None]);
        let closed = event("recording.closed", A, ",\"sealed\":true,\"head\":\"ab\"");
        let (half, rest) = closed.split_at(40);
        assert_eq!(say(half), [Some(None), None]);
        assert_eq!(say(rest), [Some(Some(Ended::Sealed)), None]);
        assert_eq!(say(&event("recording.opened", B, ""))[1], Some(None));
        // Its gateway died.
        let started = say("{\"seq\":2,\"session\":null,\"event\":\"gateway.started\"}\n");
        assert_eq!(
            started,
            [Some(Some(Ended::Sealed)), Some(Some(Ended::Unsealed))]
        );
        let unsealed = event("recording.closed", B, ",\"sealed\":false,\"head\":null");
        assert_eq!(say(&unsealed)[1], Some(Some(Ended::Unsealed)));
    }

    #[test]
    fn a_gateway_that_died_within_what_is_read_at_once_ends_what_it_opened_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let text = [
            event("recording.opened", A, ""),
            "{\"seq\":2,\"session\":null,\"event\":\"gateway.started\"}\n".to_owned(),
            event("recording.opened", B, ""),
        ];
        std::fs::write(dir.path().join("journal-2026-11-23.jsonl"), text.concat()).unwrap();
        let mut state = State::open(&dir.path().join("state")).unwrap();
        read_on(dir.path(), &mut state).unwrap();
        let ended = [A, B].map(|id| state.sessions.get(id).map(|s| s.ended));
        assert_eq!(ended, [Some(Some(Ended::Unsealed)), Some(None)]);
    }
}
