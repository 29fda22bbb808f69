//! The index: what is found by what, catching up, being lost and made again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use ampgate_audit::{About, AuditError, Event, Feed, Index, Journal, Query, SessionRow, reindex};
use jiff::{SignedDuration, Timestamp};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn time(n: u64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + n as i64 * 10).unwrap()
}

fn id(n: u64) -> String {
    ulid::Ulid::from_parts(time(n).as_millisecond() as u64, u128::from(n)).to_string()
}

fn uuid(n: u64) -> String {
    uuid::Uuid::from_u128(u128::from(n) + 1).to_string()
}

fn about(n: u64) -> Box<About> {
    Box::new(About {
        connection: "c".into(),
        user: format!("user{}", n % 3).into(),
        source: "192.0.2.1".into(),
        target: format!("amphora-{}", uuid(n % 5)).into(),
        amphora: uuid(n % 5).into(),
        load_balancer: uuid(100 + n % 2).into(),
        load_balancer_name: format!("web \u{1f600} {}", n % 2).into(),
        project: "p".into(),
        landing: "root".into(),
        action: "exec".into(),
        command: Some("id".into()),
    })
}

fn path(n: u64) -> String {
    format!("2027/01/15/{}.cast", id(n))
}

fn open(journal: &Journal, n: u64) {
    let (about, recording) = (about(n), path(n));
    let event = Event::RecordingOpened {
        about: about.clone(),
        recording: recording.clone().into(),
    };
    journal.append_at(time(n), Some(&id(n)), &event).unwrap();
    let event = Event::SessionOpened {
        about,
        recording: recording.into(),
    };
    journal.append_at(time(n), Some(&id(n)), &event).unwrap();
}

fn close(journal: &Journal, n: u64) {
    let later = time(n) + SignedDuration::from_secs(5);
    let head = "ab".repeat(32);
    let closed = Event::RecordingClosed {
        recording: path(n).into(),
        head: head.clone().into(),
        offset: 9,
        recorded: 7,
        relayed: 7,
        sealed: true,
        sealing_key: None,
    };
    journal.append_at(later, Some(&id(n)), &closed).unwrap();
    let event = Event::SessionClosed {
        about: about(n),
        outcome: "ended".into(),
        exit_status: Some(3),
        exit_signal: None,
        bytes_out: 7,
        bytes_in: 2,
        milliseconds: 5000,
        recording: path(n).into(),
        head: Some(head.into()),
    };
    journal.append_at(later, Some(&id(n)), &event).unwrap();
}

struct Bed {
    _dir: tempfile::TempDir,
    journal: Arc<Journal>,
    index: Index,
    feed: Feed,
}

fn bed() -> Bed {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::open(&dir.path().join("journal")).unwrap());
    let index = Index::open(&dir.path().join("index")).unwrap();
    let feed = index.follow(&journal, None).unwrap();
    Bed {
        _dir: dir,
        journal,
        index,
        feed,
    }
}

fn ids(index: &Index, query: Query) -> Vec<u64> {
    let rows = index.sessions(&query).unwrap().rows;
    rows.iter()
        .map(|row| (row.started.as_second() as u64 - 1_800_000_000) / 10)
        .collect()
}

#[test]
fn a_row_has_what_the_events_said() {
    let bed = bed();
    open(&bed.journal, 1);
    assert!(bed.feed.caught_up(LONG));
    let row = bed.index.session(&id(1)).unwrap().unwrap();
    assert_eq!(
        (row.outcome.as_str(), row.is_live(), bed.index.live_count()),
        ("live", true, 1)
    );
    close(&bed.journal, 1);
    assert!(bed.feed.caught_up(LONG));
    let row = bed.index.session(&id(1)).unwrap().unwrap();
    let expected = SessionRow {
        id: id(1),
        user: "user1".into(),
        source: "192.0.2.1".into(),
        target: format!("amphora-{}", uuid(1)),
        amphora: uuid(1),
        load_balancer: uuid(101),
        load_balancer_name: "web \u{1f600} 1".into(),
        project: "p".into(),
        landing: "root".into(),
        action: "exec".into(),
        command: Some("id".into()),
        started: time(1),
        ended: Some(time(1) + SignedDuration::from_secs(5)),
        outcome: "ended".into(),
        exit_status: Some(3),
        exit_signal: None,
        bytes_out: 7,
        bytes_in: 2,
        recording: path(1),
        head: Some("ab".repeat(32)),
        sealed: true,
    };
    assert_eq!(row, expected);
    assert_eq!(bed.index.live_count(), 0);
    assert_eq!(bed.index.session("nonsense").unwrap(), None);
}

#[test]
fn each_question_finds_the_newest_first() {
    let bed = bed();
    for n in 0..60 {
        open(&bed.journal, n);
        if n != 42 && n != 50 {
            close(&bed.journal, n);
        }
    }
    assert!(bed.feed.caught_up(LONG));
    let expect = |query: Query, wanted: &dyn Fn(u64) -> bool| {
        let all: Vec<u64> = (0..60).rev().filter(|n| wanted(*n)).collect();
        assert_eq!(
            ids(&bed.index, query.clone()),
            all[..all.len().min(50)],
            "{query:?}"
        );
    };
    let query = Query::default;
    expect(query(), &|_| true);
    expect(
        Query {
            user: Some("user2".into()),
            ..query()
        },
        &|n| n % 3 == 2,
    );
    expect(
        Query {
            amphora: Some(uuid(3)),
            ..query()
        },
        &|n| n % 5 == 3,
    );
    expect(
        Query {
            load_balancer: Some(uuid(101)),
            ..query()
        },
        &|n| n % 2 == 1,
    );
    expect(
        Query {
            load_balancer: Some("web \u{1f600} 0".into()),
            ..query()
        },
        &|n| n % 2 == 0,
    );
    expect(
        Query {
            load_balancer: Some("web".into()),
            ..query()
        },
        &|_| false,
    );
    expect(
        Query {
            live: true,
            ..query()
        },
        &|n| n == 42 || n == 50,
    );
    expect(
        Query {
            live: true,
            user: Some("user0".into()),
            ..query()
        },
        &|n| n == 42,
    );
    let both = Query {
        user: Some("user1".into()),
        amphora: Some(uuid(4)),
        ..query()
    };
    expect(both, &|n| n % 3 == 1 && n % 5 == 4);
    expect(
        Query {
            since: Some(time(10)),
            until: Some(time(20)),
            ..query()
        },
        &|n| (10..20).contains(&n),
    );
    expect(
        Query {
            since: Some(time(20)),
            until: Some(time(10)),
            ..query()
        },
        &|_| false,
    );
    expect(
        Query {
            user: Some("user1".into()),
            since: Some(time(50)),
            ..query()
        },
        &|n| n % 3 == 1 && n >= 50,
    );
    assert_eq!(
        ids(
            &bed.index,
            Query {
                limit: 2,
                ..query()
            }
        ),
        [59, 58]
    );
}

#[test]
fn pages_follow_each_other_without_gap_or_overlap() {
    let bed = bed();
    (0..25).for_each(|n| open(&bed.journal, n));
    assert!(bed.feed.caught_up(LONG));
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = bed
            .index
            .sessions(&Query {
                limit: 10,
                before: before.clone(),
                ..Query::default()
            })
            .unwrap();
        seen.extend(page.rows.iter().map(|row| row.id.clone()));
        match page.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, (0..25).rev().map(id).collect::<Vec<_>>());
}

#[test]
fn an_upstream_that_refused_is_listed_and_not_live() {
    let bed = bed();
    let event = Event::RecordingOpened {
        about: about(1),
        recording: path(1).into(),
    };
    bed.journal
        .append_at(time(1), Some(&id(1)), &event)
        .unwrap();
    let refused = Event::UpstreamRefused {
        amphora: uuid(1).into(),
        address: "192.0.2.9:22".into(),
        fault: "no-route".into(),
        detail: "x".into(),
    };
    bed.journal
        .append_at(time(1), Some(&id(1)), &refused)
        .unwrap();
    let closed = Event::RecordingClosed {
        recording: path(1).into(),
        head: "cd".repeat(32).into(),
        offset: 1,
        recorded: 1,
        relayed: 1,
        sealed: false,
        sealing_key: None,
    };
    bed.journal
        .append_at(time(1), Some(&id(1)), &closed)
        .unwrap();
    assert!(bed.feed.caught_up(LONG));
    let row = bed.index.session(&id(1)).unwrap().unwrap();
    assert_eq!(
        (row.outcome.as_str(), row.is_live(), row.sealed),
        ("upstream refused: no-route", false, false)
    );
    assert_eq!(bed.index.live_count(), 0);
}

#[test]
fn sessions_of_a_gateway_that_died_are_lost_not_live() {
    let bed = bed();
    open(&bed.journal, 1);
    let started = Event::GatewayStarted {
        version: "1".into(),
        gateway: "g".into(),
        pid: 1,
        listen: vec![],
        config: "x".into(),
    };
    bed.journal.append_at(time(2), None, &started).unwrap();
    open(&bed.journal, 3);
    assert!(bed.feed.caught_up(LONG));
    let row = bed.index.session(&id(1)).unwrap().unwrap();
    assert_eq!((row.outcome.as_str(), row.ended), ("lost", Some(time(2))));
    assert_eq!(
        ids(
            &bed.index,
            Query {
                live: true,
                ..Query::default()
            }
        ),
        [3]
    );
}

#[test]
fn what_came_while_the_index_was_away_is_caught_up_over_segments() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("index");
    let journal = Arc::new(Journal::open(&dir.path().join("journal")).unwrap());
    for day in 0..4u64 {
        let first = day * 10_000;
        open(&journal, first);
        if day % 2 == 0 {
            let index = Index::open(&at).unwrap();
            let feed = index.follow(&journal, None).unwrap();
            assert!(feed.caught_up(LONG));
            assert_eq!(feed.behind(), 0);
        }
        close(&journal, first);
    }
    let index = Index::open(&at).unwrap();
    let feed = index.follow(&journal, None).unwrap();
    assert!(feed.caught_up(LONG));
    let rows = index.sessions(&Query::default()).unwrap().rows;
    assert_eq!(rows.len(), 4);
    assert!(
        rows.iter().all(|row| row.outcome == "ended" && row.sealed),
        "{rows:?}"
    );
    drop(feed);
    assert!(fs::read_dir(dir.path().join("journal")).unwrap().count() >= 4);
}

#[test]
fn a_broken_index_is_put_aside_filled_again_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("index");
    let journal = Arc::new(Journal::open(&dir.path().join("journal")).unwrap());
    (0..5).for_each(|n| open(&journal, n));
    // The same sled settings, so that it is the form that is wrong.
    let older = sled::Config::new()
        .path(&at)
        .segment_size(4 << 20)
        .open()
        .unwrap();
    older
        .open_tree("meta")
        .unwrap()
        .insert("form", "ampgate session index 0")
        .unwrap();
    older.flush().unwrap();
    drop(older);
    let why = Index::open(&at).err().unwrap().to_string();
    assert!(why.contains("another version"), "{why}");
    let (index, why) = Index::open_or_new(&at).unwrap();
    assert!(why.is_some());
    let feed = index.follow(&journal, why).unwrap();
    assert!(feed.caught_up(LONG));
    assert_eq!(ids(&index, Query::default()), [4, 3, 2, 1, 0]);
    drop(feed);
    let said = said_rebuilt(&dir.path().join("journal"));
    assert_eq!(said, [5]);
}

/// Whatever is in the files: either it opens and is filled, or it is put aside and filled. It is never the end.
#[test]
fn nonsense_in_the_index_directory_heals() {
    for (conf, db) in [
        (&b"nonsense"[..], vec![0x5a; 1 << 20]),
        (b"", vec![]),
        (b"x", vec![0; 100]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("index");
        let journal = Arc::new(Journal::open(&dir.path().join("journal")).unwrap());
        (0..5).for_each(|n| open(&journal, n));
        fs::create_dir(&at).unwrap();
        fs::write(at.join("conf"), conf).unwrap();
        fs::write(at.join("db"), db).unwrap();
        let (index, why) = Index::open_or_new(&at).unwrap();
        let feed = index.follow(&journal, why).unwrap();
        assert!(feed.caught_up(LONG));
        assert_eq!(ids(&index, Query::default()), [4, 3, 2, 1, 0]);
    }
}

#[test]
fn an_index_of_another_journal_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (at, one, two) = (
        dir.path().join("index"),
        dir.path().join("one"),
        dir.path().join("two"),
    );
    let journal = Arc::new(Journal::open(&one).unwrap());
    (0..5).for_each(|n| open(&journal, n));
    let index = Index::open(&at).unwrap();
    let feed = index.follow(&journal, None).unwrap();
    assert!(feed.caught_up(LONG));
    drop((feed, index));
    let journal = Arc::new(Journal::open(&two).unwrap());
    (7..9).for_each(|n| open(&journal, n));
    let index = Index::open(&at).unwrap();
    let feed = index.follow(&journal, None).unwrap();
    assert!(feed.caught_up(LONG));
    assert_eq!(ids(&index, Query::default()), [8, 7]);
    drop(feed);
    assert_eq!(said_rebuilt(&two), [2]);
}

/// `index.rebuilt` events of a journal: how many sessions each.
fn said_rebuilt(journal: &Path) -> Vec<u64> {
    let mut files: Vec<_> = fs::read_dir(journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "jsonl"));
    files.sort();
    let text: String = files
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    text.lines()
        .filter_map(|line| match serde_json::from_str(line).unwrap() {
            Event::IndexRebuilt { sessions, .. } => Some(sessions),
            _ => None,
        })
        .collect()
}

#[test]
fn reindex_lists_recordings_that_the_journal_does_not_know() {
    use ampgate_recording::{Header, LiveRecording, Store};
    let dir = tempfile::tempdir().unwrap();
    let (at, of) = (dir.path().join("index"), dir.path().join("journal"));
    drop(Journal::open(&of).unwrap());
    let store = Store::open(dir.path().join("store"), 0).unwrap();
    let header = Header {
        session: id(1),
        channel: None,
        user: "ada".into(),
        source: "192.0.2.1".into(),
        target: "lb-web".into(),
        amphora: uuid(1),
        load_balancer: uuid(2),
        load_balancer_name: "web".into(),
        project: "p".into(),
        landing: "plain".into(),
        action: "shell".into(),
        command: None,
        cols: 80,
        rows: 24,
        term: None,
        pty: true,
        started: time(1),
        gateway: "g".into(),
        host_key: None,
        sealing_key: ampgate_recording::PublicKey::from_raw([1; 32]),
    };
    drop(LiveRecording::open(&store, &header).unwrap());
    // The content of a file is no session: its own header says so, and of a sealed one the journal's line.
    let content = Header {
        session: id(2),
        action: "content".into(),
        ..header.clone()
    };
    drop(LiveRecording::open(&store, &content).unwrap());
    let told = Header {
        session: id(3),
        ..header
    };
    drop(LiveRecording::open(&store, &told).unwrap());
    let path = store.path_of(&id(3)).unwrap();
    let journal = Journal::open(&of).unwrap();
    let line = Event::ContentOpened {
        user: "ada".into(),
        amphora: "a".into(),
        landing: "plain".into(),
        protocol: "sftp".into(),
        path: "/tmp/x".into(),
        direction: "up".into(),
        of: id(1).into(),
        recording: path
            .strip_prefix(store.dir())
            .unwrap()
            .to_str()
            .unwrap()
            .into(),
    };
    journal.append(Some(&id(3)), &line).unwrap();
    drop(journal);
    let found = reindex(&of, store.dir(), &at).unwrap();
    assert_eq!((found.sessions, found.unjournalled), (0, 1));
    let row = Index::open(&at).unwrap().session(&id(1)).unwrap().unwrap();
    assert_eq!(
        (row.user.as_str(), row.is_live(), row.sealed),
        ("ada", false, false)
    );
    assert!(
        row.outcome.starts_with("not in the journal: "),
        "{}",
        row.outcome
    );
    assert!(store.dir().join(&row.recording).is_file());
}

#[test]
fn reindex_gives_the_same_rows_and_refuses_beside_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let (at, store, of) = (
        dir.path().join("index"),
        dir.path().join("store"),
        dir.path().join("journal"),
    );
    let journal = Arc::new(Journal::open(&of).unwrap());
    (0..30).for_each(|n| {
        open(&journal, n);
        if n % 4 > 0 {
            close(&journal, n);
        }
    });
    let index = Index::open(&at).unwrap();
    let feed = index.follow(&journal, None).unwrap();
    assert!(feed.caught_up(LONG));
    let before = index.sessions(&Query::default()).unwrap().rows;
    drop((feed, index));
    assert!(matches!(
        reindex(&of, &store, &at),
        Err(AuditError::Locked(_))
    ));
    drop(journal);
    fs::remove_dir_all(&at).unwrap();
    for _ in 0..2 {
        let found = reindex(&of, &store, &at).unwrap();
        assert_eq!((found.sessions, found.unjournalled), (30, 0));
        let index = Index::open(&at).unwrap();
        assert_eq!(index.sessions(&Query::default()).unwrap().rows, before);
    }
}
