//! In: what a verification found.
//! Out: a file for Prometheus, replaced as a whole, so that a night without a run or with a bad one raises an alarm.
//! Never: half a file; the time of the last good run lost to a bad one; a name or a path of a recording.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use anyhow::{Context, Result};
use jiff::Timestamp;

use crate::verdict::{Status, TABLE};

/// The one line that is read back.
const SUCCESS: &str = "ampgate_verify_last_success_timestamp_seconds";

/// Writes the file beside its place and renames it: the collector reads whole files only.
pub fn write(
    path: &Path,
    counts: &BTreeMap<Status, u64>,
    worst: Status,
    now: Timestamp,
) -> Result<()> {
    let before = fs::read_to_string(path).ok().and_then(|old| success(&old));
    let text = text(counts, worst, now.as_second(), before);
    // The collector reads *.prom only.
    let beside = path.with_extension("new");
    let shown = path.display();
    let replace = || -> std::io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    replace().with_context(|| {
        format!("cannot write the metrics {shown}; make its directory one that this user may write")
    })
}

/// Open and unsealed recordings are no forgeries: the same line as in deploy/ampgate-verify.service.
fn is_good(worst: Status) -> bool {
    matches!(worst.code(), 0 | 10 | 12)
}

fn text(counts: &BTreeMap<Status, u64>, worst: Status, now: i64, before: Option<i64>) -> String {
    let mut out = String::new();
    let mut gauge = |name: &str, help: &str, rows: &[(String, i64)]| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in rows {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    let of = |status: Status| {
        let count = counts.get(&status).copied().unwrap_or(0);
        i64::try_from(count).unwrap_or(i64::MAX)
    };
    let one = |value| [(String::new(), value)];
    let rows: Vec<_> = TABLE
        .iter()
        .map(|(status, word, _)| (format!("{{verdict={word:?}}}"), of(*status)))
        .collect();
    gauge(
        "ampgate_verify_recordings",
        "Recordings by what the last verification said of them.",
        &rows,
    );
    gauge(
        "ampgate_verify_unsealed_recordings",
        "Recordings without a final proof: their gateway or its signer died.",
        &one(of(Status::Unsealed)),
    );
    gauge(
        "ampgate_verify_worst_status",
        "Exit status of the last verification; 0, 10 and 12 are good.",
        &one(i64::from(worst.code())),
    );
    gauge(
        "ampgate_verify_last_run_timestamp_seconds",
        "When the last verification ended.",
        &one(now),
    );
    // The worst is told by its number, behind which a lesser one that is no good either can hide: a missing key behind an
    // unsealed recording.
    let good = is_good(worst) && counts.keys().all(|status| is_good(*status));
    let success = if good { Some(now) } else { before };
    gauge(
        SUCCESS,
        "When a verification last found nothing worse than unsealed; 0 for never.",
        &one(success.unwrap_or(0)),
    );
    out
}

/// When the last good run was, by the file it wrote.
fn success(old: &str) -> Option<i64> {
    old.lines()
        .find_map(|line| line.strip_prefix(SUCCESS)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_bad_night_keeps_the_last_good_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ampgate.prom");
        let at = |second| Timestamp::from_second(second).unwrap();
        let seen = |line: &str| {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        };
        let good = BTreeMap::from([(Status::Intact, 7), (Status::Unsealed, 2)]);
        write(&path, &good, Status::Unsealed, at(1000)).unwrap();
        seen("ampgate_verify_recordings{verdict=\"intact\"} 7");
        seen("ampgate_verify_recordings{verdict=\"altered\"} 0");
        seen("ampgate_verify_unsealed_recordings 2");
        seen("ampgate_verify_last_success_timestamp_seconds 1000");
        let bad = BTreeMap::from([(Status::Intact, 8), (Status::Altered, 1)]);
        write(&path, &bad, Status::Altered, at(2000)).unwrap();
        seen("ampgate_verify_recordings{verdict=\"altered\"} 1");
        seen("ampgate_verify_unsealed_recordings 0");
        seen("ampgate_verify_worst_status 21");
        seen("ampgate_verify_last_run_timestamp_seconds 2000");
        seen("ampgate_verify_last_success_timestamp_seconds 1000");
        let keyless = BTreeMap::from([(Status::NoKey, 1), (Status::Unsealed, 1)]);
        write(&path, &keyless, Status::Unsealed, at(3000)).unwrap();
        seen("ampgate_verify_last_run_timestamp_seconds 3000");
        seen("ampgate_verify_last_success_timestamp_seconds 1000");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else");
    }

    #[test]
    fn nothing_good_yet_is_said_as_never() {
        let text = text(&BTreeMap::new(), Status::NoRecording, 5, None);
        assert!(text.ends_with(&format!("{SUCCESS} 0\n")), "{text}");
        assert_eq!(success(&text), Some(0));
    }

    /// Each sample belongs to a HELP and a TYPE before it, once.
    #[test]
    fn the_file_is_in_the_form_of_prometheus() {
        let text = text(&BTreeMap::new(), Status::Intact, 5, None);
        let mut announced = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.strip_suffix(" gauge").unwrap().to_owned();
                assert!(!announced.contains(&name), "{name} twice");
                announced.push(name);
            } else if !line.starts_with("# HELP ") {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let name = name.split('{').next().unwrap();
                assert_eq!(announced.last().map(String::as_str), Some(name));
                value.parse::<i64>().unwrap();
            }
        }
        assert_eq!(announced.len(), 5);
    }
}
