//! In: the rows of the last good answer, and when it came.
//! Out: the same after a restart, in one file that is replaced as a whole and proves that it is undamaged.
//! Never: half a file, a damaged one taken for good, or a damaged one in the way of a start.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::rows::Rows;

/// The first word of the file, with the version of what follows. Rows are JSON objects in which fields may be missing or
/// unknown, so an older or newer ampgate reads them: after an upgrade the cloud may just be down.
const MAGIC: &str = "ampgate-inventory-1";
/// The longest file that is read: some 400 bytes for each of a million rows.
const LONGEST: u64 = 512 << 20;

/// What lies on disk.
pub(crate) struct Saved {
    pub(crate) rows: Rows,
    /// Since Octavia said so; zero if the clock was set back since.
    pub(crate) age: Duration,
}

/// The file's content: a line `ampgate-inventory-1 SECONDS BLAKE3` and the rows; the hash covers the seconds too.
fn content(rows: &Rows, seconds: u64) -> std::io::Result<Vec<u8>> {
    let body = serde_json::to_vec(rows)?;
    let mut content = format!("{MAGIC} {seconds} {}\n", hash(seconds, &body)).into_bytes();
    content.extend_from_slice(&body);
    Ok(content)
}

fn hash(seconds: u64, body: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seconds.to_be_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// Writes the file, in the place of the old one if that can be done as a whole.
///
/// # Errors
/// The disk's.
pub(crate) fn write(path: &Path, rows: &Rows) -> std::io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let content = content(rows, now.unwrap_or_default().as_secs())?;
    let beside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(&content)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    if let Some(directory) = path.parent() {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

/// Reads the file. None: there is none.
///
/// # Errors
/// A sentence for one that cannot be used; the inventory is then asked for anew.
pub(crate) fn read(path: &Path) -> Result<Option<Saved>, String> {
    let shown = path.display();
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{shown} cannot be read: {error}")),
    };
    if metadata.len() > LONGEST {
        return Err(format!("{shown} is longer than {LONGEST} bytes"));
    }
    let content =
        std::fs::read(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    parse(&content).map(Some).map_err(|why| {
        format!("{shown} {why}; it is not used, and written anew when Octavia has answered")
    })
}

pub(crate) fn parse(content: &[u8]) -> Result<Saved, String> {
    let damaged = || "is damaged".to_owned();
    let end = content.iter().take(200).position(|byte| *byte == b'\n');
    let (head, body) = content
        .split_at_checked(end.ok_or_else(damaged)?)
        .ok_or_else(damaged)?;
    let body = body.get(1..).ok_or_else(damaged)?;
    let head = std::str::from_utf8(head).map_err(|_| damaged())?;
    let mut words = head.split(' ');
    match words.next() {
        Some(MAGIC) => {}
        Some(other) if other.starts_with("ampgate-inventory-") => {
            return Err("has a form that this version does not know".to_owned());
        }
        _ => return Err(damaged()),
    }
    let seconds = words.next().and_then(|word| word.parse::<u64>().ok());
    let seconds = seconds.ok_or_else(damaged)?;
    let written = words
        .next()
        .and_then(|word| blake3::Hash::from_hex(word).ok());
    // Compared in constant time by blake3; it is a checksum here, not a secret.
    if written != Some(hash(seconds, body)) || words.next().is_some() {
        return Err(damaged());
    }
    let rows = serde_json::from_slice(body).map_err(|_| damaged())?;
    let since = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let age = since.and_then(|since| SystemTime::now().duration_since(since).ok());
    Ok(Saved {
        rows,
        age: age.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::rows::AmphoraRow;

    fn rows() -> Rows {
        Rows {
            amphorae: vec![AmphoraRow {
                id: Some("93b939b0-1c4e-4b8e-9d0c-0e1f6c1d2a3b".to_owned()),
                ..AmphoraRow::default()
            }],
            ..Rows::default()
        }
    }

    #[test]
    fn what_was_written_is_read_and_no_damaged_byte_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("inventory.json");
        assert!(read(&path).unwrap().is_none());
        write(&path, &rows()).unwrap();
        let saved = read(&path).unwrap().unwrap();
        assert!(saved.rows == rows() && saved.age < Duration::from_secs(60));
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(parse(&bad).is_err(), "byte {at}");
            assert!(parse(&good[..at]).is_err(), "cut at {at}");
        }
        let said = parse(b"ampgate-inventory-2 1 2\n{}").err().unwrap();
        assert!(said.contains("does not know"), "{said}");
    }

    #[test]
    fn a_file_of_another_version_of_the_rows_is_read() {
        let body = br#"{"amphorae":[{"id":"x","new_field":[1]}],"else":{}}"#;
        let mut content = format!("{MAGIC} 5 {}\n", hash(5, body)).into_bytes();
        content.extend_from_slice(body);
        let saved = parse(&content).unwrap();
        assert_eq!(saved.rows.amphorae.len(), 1);
        assert!(saved.age > Duration::from_secs(86_400));
    }
}
