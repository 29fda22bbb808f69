//! The journal's promises: the chain, recovery after a crash, failing closed, and that every damage is found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use ampgate_audit::{
    Envelope, Event, Journal, JournalFault, JournalHead, JournalReport, LineHash, Segment, Text,
    VerifyOptions, no_power_cut, verify_journal,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SESSION: &str = "01JD9Q4T4Z0000000000000000";

fn event(n: u64) -> Event {
    Event::JumpRefused {
        connection: format!("c{n}").into(),
        user: "ada".into(),
        source: "192.0.2.7".into(),
        host: format!("host{n}").into(),
        port: 22,
        reason: "no such amphora".into(),
    }
}

fn closed(n: u64) -> Event {
    Event::RecordingClosed {
        recording: format!("2026/11/23/{n}.cast").into(),
        head: LineHash([n as u8; 32]).to_string().into(),
        offset: n,
        recorded: n,
        relayed: n,
        sealed: true,
        sealing_key: None,
    }
}

fn at(day: i64, second: i64) -> Timestamp {
    Timestamp::from_second(1_794_009_600 + day * 86_400 + second).unwrap()
}

/// Three days of events, and the head after the last.
fn three_days(dir: &Path) -> JournalHead {
    let journal = Journal::open(dir).unwrap();
    for day in 0..3 {
        // `open` names the segment of today when the directory is empty, and a clock never goes back to an older one.
        for n in 0..4 {
            journal
                .append_at(
                    at(day, n) + SignedDuration::from_hours(24 * 365),
                    None,
                    &event(n as u64),
                )
                .unwrap();
        }
        journal
            .append_at(
                at(day, 9) + SignedDuration::from_hours(24 * 365),
                Some(SESSION),
                &closed(day as u64),
            )
            .unwrap();
    }
    journal.head()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    Segment::list(dir)
        .unwrap()
        .iter()
        .map(|segment| segment.path(dir))
        .filter(|path| fs::metadata(path).unwrap().len() > 0)
        .collect()
}

fn verify(dir: &Path, anchor: Option<JournalHead>) -> JournalReport {
    verify_journal(
        dir,
        &VerifyOptions {
            anchors: anchor.into_iter().collect(),
            ..VerifyOptions::default()
        },
    )
    .unwrap()
}

fn lines(path: &Path) -> Vec<Vec<u8>> {
    let text = fs::read(path).unwrap();
    text.strip_suffix(b"\n")
        .unwrap()
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

fn put_lines(path: &Path, lines: &[Vec<u8>]) {
    let mut text = lines.join(&b'\n');
    text.push(b'\n');
    fs::write(path, text).unwrap();
}

#[test]
fn a_line_has_the_documented_form_and_the_chain_goes_on_over_days() {
    let dir = tempfile::tempdir().unwrap();
    let head = three_days(dir.path());
    let all: Vec<Vec<u8>> = segments(dir.path())
        .iter()
        .flat_map(|path| lines(path))
        .collect();
    assert_eq!(segments(dir.path()).len(), 3);
    let mut before = JournalHead::EMPTY;
    for line in &all {
        let envelope = Envelope::parse(line).unwrap();
        assert_eq!(
            (envelope.seq, envelope.prev()),
            (before.seq + 1, before.hash)
        );
        before = JournalHead {
            seq: envelope.seq,
            hash: LineHash::of(line),
        };
    }
    assert_eq!(before, head);
    let first = String::from_utf8(all[0].clone()).unwrap();
    let zeros = "0".repeat(64);
    assert!(first.starts_with(r#"{"seq":1,"time":"20"#), "{first}");
    assert!(
        first.contains(r#":00.000000Z","session":null,"event":"jump.refused","connection":"c0","#),
        "{first}"
    );
    assert!(
        first.ends_with(&format!(r#","prev":"{zeros}"}}"#)),
        "{first}"
    );
    let report = verify(dir.path(), Some(head));
    assert!(report.is_intact(), "{:?}", report.faults);
    assert_eq!(
        (report.lines, report.head, report.recordings.len()),
        (15, Some(head), 3)
    );
    assert_eq!(report.recordings[1].head, [1; 32]);
}

#[test]
fn reopening_goes_on_and_a_second_writer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    journal.append(None, &event(1)).unwrap();
    let second = Journal::open(dir.path()).err().unwrap().to_string();
    assert!(second.contains("in use by another process"), "{second}");
    let head = journal.head();
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.head(), head);
    journal.append(None, &event(2)).unwrap();
    assert!(verify(dir.path(), Some(journal.head())).is_intact());
}

#[test]
fn a_clock_set_back_does_not_reopen_an_older_day() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    journal.append_at(at(800, 0), None, &event(1)).unwrap();
    journal.append_at(at(2, 0), None, &event(2)).unwrap();
    let last = segments(dir.path()).pop().unwrap();
    assert_eq!(lines(&last).len(), 2);
    assert!(verify(dir.path(), None).is_intact());
}

#[test]
fn many_threads_make_one_chain() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::open(dir.path()).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                (0..200).for_each(|n| assert!(journal.append(Some(SESSION), &event(n)).is_ok()))
            });
        }
        scope.spawn(|| (0..50).for_each(|_| journal.sync().unwrap()));
    });
    let report = verify(dir.path(), Some(journal.head()));
    assert!(report.is_intact(), "{:?}", report.faults);
    assert_eq!(report.lines, 1600);
}

/// A crash may leave half a line, zeros, or both; whatever it was is kept, and said.
#[test]
fn a_torn_line_is_kept_aside_and_told() {
    let torn: [&[u8]; 5] = [
        b"{",
        b"{\"seq\":6,\"time\":\"2026-",
        b"\0\0\0\0\0\0",
        b"{\"seq\":6,\0\0\0\0\n",
        b"\n",
    ];
    for tail in torn {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        (0..5).for_each(|n| assert!(journal.append(None, &event(n)).is_ok()));
        drop(journal);
        let path = segments(dir.path()).pop().unwrap();
        fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(tail)
            .unwrap();
        assert!(
            !verify(dir.path(), None).is_intact(),
            "damage is seen before recovery"
        );
        let journal = Journal::open(dir.path()).unwrap();
        journal.append(None, &event(9)).unwrap();
        let report = verify(dir.path(), Some(journal.head()));
        assert!(report.is_intact(), "{tail:?}: {:?}", report.faults);
        let told = String::from_utf8(lines(&path)[5].clone()).unwrap();
        let event: Event = serde_json::from_str(&told).unwrap();
        let Event::JournalRecovered {
            kept_as,
            bytes,
            hash,
            ..
        } = event
        else {
            panic!("{told}")
        };
        let kept = fs::read(dir.path().join(kept_as.as_str())).unwrap();
        assert_eq!((kept.as_slice(), bytes), (tail, tail.len() as u64));
        assert_eq!(hash.as_str(), LineHash::of(tail).to_string());
    }
}

/// As ext4 left it when the power went: the file had grown, a sector of its last second was never written, and good lines stand
/// behind the zeros. They follow nothing any more: kept aside, as one torn end, and nobody is accused of a forgery.
#[test]
fn lines_behind_a_hole_are_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    (0..400).for_each(|n| assert!(journal.append(None, &event(n)).is_ok()));
    drop(journal);
    let path = segments(dir.path()).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let hole = lines(&path)[..5]
        .iter()
        .map(|line| line.len() + 1)
        .sum::<usize>()
        + 20;
    bytes[hole..hole + 151].fill(0);
    fs::write(&path, &bytes).unwrap();
    let report = verify(dir.path(), None);
    assert!(
        matches!(report.faults.as_slice(), [JournalFault::Torn { bytes: torn, .. }] if *torn == (bytes.len() - hole + 20) as u64),
        "{:?}",
        report.faults
    );
    // Whoever makes the hole himself has cut the end off, which an anchor shows.
    let cut = verify(
        dir.path(),
        Some(JournalHead {
            seq: 300,
            hash: LineHash::of(b""),
        }),
    );
    assert!(cut.faults.len() > 1, "{:?}", cut.faults);
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(
        journal.head().seq,
        6,
        "five lines and what is said of the rest"
    );
    journal.append(None, &event(9)).unwrap();
    let report = verify(dir.path(), Some(journal.head()));
    assert!(report.is_intact(), "{:?}", report.faults);
}

/// The journal is synced each second. A zero in a line of an hour ago is no power cut's, and the hour behind it is not torn
/// off without a word. The gateway starts nevertheless: a byte must not lock everybody out.
#[test]
fn a_hole_in_front_of_minutes_is_no_power_cut() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let now = Timestamp::now();
    for n in 0..20 {
        let time = now + SignedDuration::from_secs(n);
        journal.append_at(time, None, &event(n as u64)).unwrap();
    }
    drop(journal);
    // The clock may have passed midnight.
    let path = segments(dir.path()).pop().unwrap();
    let all = lines(&path);
    let mut bytes = fs::read(&path).unwrap();
    let behind = |seconds: usize| {
        let lines = &all[all.len() - seconds - 1..];
        bytes.len() - lines.iter().map(|line| line.len() + 1).sum::<usize>()
    };
    let (long, short) = (behind(all.len() - 1), behind(3));
    for (at, altered) in [(short, false), (long, all.len() > 7)] {
        bytes[at + 3] = 0;
        fs::write(&path, &bytes).unwrap();
        match &verify(dir.path(), None).faults[..] {
            [JournalFault::Altered { why, .. }] => {
                assert!(altered && why.contains("zeros"), "{why}")
            }
            [JournalFault::Torn { .. }] => assert!(!altered),
            other => panic!("{other:?}"),
        }
    }
    // A zero at the end of each line makes them no lines; their times stay.
    let mut holed = bytes.clone();
    for at in long + 40..bytes.len() {
        if bytes[at] == b'\n' {
            holed[at - 1] = 0;
        }
    }
    assert_eq!(no_power_cut(&holed[long..]).is_some(), all.len() > 7);
    let torn = bytes.split_off(long);
    drop(Journal::open(dir.path()).unwrap());
    let kept = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("torn-")
        })
        .unwrap();
    assert_eq!(fs::read(kept).unwrap(), torn);
    assert_eq!(no_power_cut(&torn).is_some(), all.len() > 7);
}

/// The disk fills between setting aside and telling (a file size limit stands in for it): the next start tells it.
#[test]
fn what_was_set_aside_is_told_at_last() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if !limited("what_was_set_aside_is_told_at_last") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    (0..5).for_each(|n| assert!(journal.append(None, &event(n)).is_ok()));
    drop(journal);
    let path = segments(dir.path()).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"{\"seq\":6,"].concat()).unwrap();
    let before = getrlimit(Resource::Fsize);
    let little = Rlimit {
        current: Some(whole.len() as u64 + 20),
        maximum: before.maximum,
    };
    setrlimit(Resource::Fsize, little).unwrap();
    let failed = Journal::open(dir.path());
    setrlimit(Resource::Fsize, before).unwrap();
    assert!(failed.is_err());
    assert_eq!(fs::read(&path).unwrap(), whole, "set aside already");
    let journal = Journal::open(dir.path()).unwrap();
    let told = String::from_utf8(lines(&path)[5].clone()).unwrap();
    let Ok(Event::JournalRecovered { kept_as, bytes, .. }) = serde_json::from_str(&told) else {
        panic!("{told}")
    };
    assert_eq!(bytes, 9);
    assert!(dir.path().join(kept_as.as_str()).is_file());
    drop(journal);
    drop(Journal::open(dir.path()).unwrap());
    assert_eq!(lines(&path).len(), 6, "told once");
}

#[test]
fn an_end_that_no_crash_makes_is_not_continued() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    journal.append(None, &event(1)).unwrap();
    drop(journal);
    let path = segments(dir.path()).pop().unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    for _ in 0..3000 {
        file.write_all(b"not a line of any journal, but many of them\n")
            .unwrap();
    }
    let why = Journal::open(dir.path()).err().unwrap().to_string();
    assert!(why.contains("ampgate-replay verify"), "{why}");
}

#[test]
fn a_crash_just_after_midnight_leaves_an_empty_segment() {
    let dir = tempfile::tempdir().unwrap();
    let head = three_days(dir.path());
    fs::write(dir.path().join("journal-2999-01-01.jsonl"), b"").unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.head(), head);
    journal.append(None, &event(1)).unwrap();
    assert!(verify(dir.path(), None).is_intact());
}

/// Whether this is a process of the test's own, where it may limit the size of files: the limit is one for all threads.
/// If not, the test was run in one.
fn limited(name: &str) -> bool {
    if std::env::var_os("AMPGATE_LIMITED").is_some() {
        return true;
    }
    let me = std::env::current_exe().unwrap();
    let status = std::process::Command::new("/bin/sh")
        .args([
            "-c",
            "trap '' XFSZ; exec \"$0\" \"$@\"",
            me.to_str().unwrap(),
            "--exact",
            name,
        ])
        .env("AMPGATE_LIMITED", "1")
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    false
}

/// The disk is full (a file size limit stands in for it): the append fails, nothing half is left, and a later one works.
#[test]
fn a_failed_write_is_an_error_and_leaves_no_half_line() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if !limited("a_failed_write_is_an_error_and_leaves_no_half_line") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    (0..10).for_each(|n| assert!(journal.append(None, &event(n)).is_ok()));
    let path = segments(dir.path()).pop().unwrap();
    let (whole, head) = (fs::read(&path).unwrap(), journal.head());
    let before = getrlimit(Resource::Fsize);
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: Some(whole.len() as u64 + 40),
            maximum: before.maximum,
        },
    )
    .unwrap();
    let failed = journal.append(None, &event(11));
    let again = journal.append(None, &event(11));
    setrlimit(Resource::Fsize, before).unwrap();
    assert!(failed.is_err() && again.is_err());
    assert_eq!(fs::read(&path).unwrap(), whole);
    assert_eq!(journal.head(), head);
    journal.append(None, &event(12)).unwrap();
    assert!(verify(dir.path(), Some(journal.head())).is_intact());
}

#[test]
fn what_operators_type_is_escaped_and_capped() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    for nasty in [
        "a\nb",
        "\u{1b}]0;x\u{7}",
        "\u{202e}",
        "\"}\n{\"seq\":9",
        &"x".repeat(1 << 20),
    ] {
        let event = Event::PrincipalRefused {
            connection: "c".into(),
            user: nasty.into(),
            source: "::1".into(),
            method: "publickey".into(),
            key: None,
            reason: "unknown user".into(),
        };
        journal.append(Some(nasty), &event).unwrap();
        let line = lines(&segments(dir.path())[0]).pop().unwrap();
        assert_eq!(serde_json::from_slice::<Event>(&line).unwrap(), event);
        assert!(!line.iter().any(u8::is_ascii_control));
        assert!(line.len() < 4 * Text::MAX);
    }
    assert_eq!(verify(dir.path(), None).lines, 5);
}

#[test]
fn an_event_over_the_limit_is_refused_not_cut() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let faults = vec![Text::from("f".repeat(1000)); 100];
    let refused = journal.append(
        None,
        &Event::ConfigRefused {
            by: "SIGHUP".into(),
            faults,
        },
    );
    assert!(refused.is_err());
    journal.append(None, &event(1)).unwrap();
    assert!(verify(dir.path(), None).is_intact());
}

#[test]
fn a_removed_segment_is_named() {
    for gone in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let head = three_days(dir.path());
        fs::remove_file(&segments(dir.path())[gone]).unwrap();
        let report = verify(dir.path(), Some(head));
        let first = gone as u64 * 5 + 1;
        match gone {
            2 => assert_eq!(
                report.faults,
                [JournalFault::Truncated {
                    last: 10,
                    anchor: 15
                }]
            ),
            _ => assert!(
                matches!(report.faults.as_slice(), [JournalFault::Missing { line: 1, from, to, .. }] if (*from, *to) == (first, first + 4)),
                "{:?}",
                report.faults
            ),
        }
    }
}

#[test]
fn the_altered_line_is_the_one_named() {
    let dir = tempfile::tempdir().unwrap();
    three_days(dir.path());
    let path = &segments(dir.path())[1];
    let mut all = lines(path);
    all[2] = String::from_utf8(all[2].clone())
        .unwrap()
        .replace("host2", "host3")
        .into_bytes();
    put_lines(path, &all);
    let faults = verify(dir.path(), None).faults;
    assert!(
        matches!(faults.as_slice(), [JournalFault::Altered { line: 3, .. }]),
        "{faults:?}"
    );
}

/// Somebody rewrites a line and then all hashes after it. Only what was kept elsewhere tells: an anchor, or a seal.
#[test]
fn a_journal_written_anew_is_told_by_the_anchor_and_by_the_seal() {
    use ring::signature::{Ed25519KeyPair, KeyPair};
    let dir = tempfile::tempdir().unwrap();
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public: [u8; 32] = key.public_key().as_ref().try_into().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    (0..5).for_each(|n| assert!(journal.append(None, &event(n)).is_ok()));
    let head = journal.head();
    journal.append(None, &event(5)).unwrap();
    let signature = key.sign(&head.message()).as_ref().try_into().unwrap();
    journal.append_seal(&head, &signature, "SHA256:x").unwrap();
    drop(journal);
    let options = VerifyOptions {
        sealing_key: Some(public),
        anchors: vec![head],
        after: None,
    };
    let report = verify_journal(dir.path(), &options).unwrap();
    assert!(report.is_intact(), "{:?}", report.faults);
    assert_eq!(report.sealed, Some(5));

    let path = &segments(dir.path())[0];
    let mut all = lines(path);
    all[1] = String::from_utf8(all[1].clone())
        .unwrap()
        .replace("host1", "host9")
        .into_bytes();
    for n in 2..all.len() {
        let hash = LineHash::of(&all[n - 1]).to_string();
        let text = String::from_utf8(all[n].clone()).unwrap();
        let (start, _) = text.split_once(",\"prev\":\"").unwrap();
        all[n] = format!("{start},\"prev\":\"{hash}\"}}").into_bytes();
    }
    put_lines(path, &all);
    assert!(
        verify(dir.path(), None).is_intact(),
        "the chain alone cannot tell"
    );
    let report = verify_journal(dir.path(), &options).unwrap();
    assert!(
        report
            .faults
            .contains(&JournalFault::AnchorDiffers { seq: 5 }),
        "{:?}",
        report.faults
    );
    assert!(
        report
            .faults
            .iter()
            .any(|fault| matches!(fault, JournalFault::BadSeal { line: 7, .. })),
        "{:?}",
        report.faults
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// With the last line's hash at hand, no flipped bit stays unfound.
    #[test]
    fn every_flipped_bit_is_found(place: prop::sample::Index, bit in 0u8..8) {
        let dir = tempfile::tempdir().unwrap();
        let head = three_days(dir.path());
        let files = segments(dir.path());
        let sizes: Vec<usize> = files.iter().map(|file| fs::metadata(file).unwrap().len() as usize).collect();
        let mut at = place.index(sizes.iter().sum());
        let mut file = 0;
        while at >= sizes[file] {
            at -= sizes[file];
            file += 1;
        }
        let mut bytes = fs::read(&files[file]).unwrap();
        bytes[at] ^= 1 << bit;
        fs::write(&files[file], bytes).unwrap();
        prop_assert!(!verify(dir.path(), Some(head)).is_intact(), "{}:{at}", files[file].display());
    }

    #[test]
    fn every_removed_swapped_or_doubled_line_is_found(from in 0usize..15, to in 0usize..15, what in 0..3) {
        let dir = tempfile::tempdir().unwrap();
        let head = three_days(dir.path());
        let files = segments(dir.path());
        let mut all: Vec<Vec<u8>> = files.iter().flat_map(|file| lines(file)).collect();
        match what {
            0 => drop(all.remove(from)),
            1 if from == to => return Ok(()),
            1 => all.swap(from, to),
            _ => all.insert(to, all[from].clone()),
        }
        put_lines(&files[0], &all[..5]);
        put_lines(&files[1], &all[5..10]);
        put_lines(&files[2], &all[10..]);
        prop_assert!(!verify(dir.path(), Some(head)).is_intact());
    }

    /// The verifier and the reader of lines take any bytes.
    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, sound in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        if sound {
            three_days(dir.path());
        }
        fs::write(dir.path().join("journal-2999-01-01.jsonl"), &bytes).unwrap();
        let report = verify(dir.path(), None);
        prop_assert!(bytes.is_empty() || !report.is_intact());
        let _ = Envelope::parse(&bytes);
        let _ = Journal::open(dir.path());
    }
}
