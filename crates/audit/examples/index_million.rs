//! In: a number of sessions (default 1,000,000) and a directory (default: a temporary one).
//! Out: how long building, opening and the usual questions take, one line each.
//! Never: a verdict: budgets are compared by who runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing
)]

use ampgate_audit::{About, Event, Index, Journal, Page, Query, reindex};
use jiff::{SignedDuration, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const USERS: u64 = 200;
const BALANCERS: u64 = 5_000;
const AMPHORAE: u64 = 10_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let sessions: u64 = args
        .next()
        .map_or(1_000_000, |n| n.parse().expect("a number of sessions"));
    let kept: Option<PathBuf> = args.next().map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let dir = kept.as_deref().unwrap_or(temporary.path());
    let (journal, index) = (dir.join("journal"), dir.join("index"));
    if !journal.exists() {
        timed("journal written", || write_journal(&journal, sessions));
    }
    if !index.exists() {
        let found = timed("index built from it (reindex)", || {
            reindex(&journal, &dir.join("store"), &index).unwrap()
        });
        println!(
            "{:>34}  {} sessions of {} lines",
            "", found.sessions, found.lines
        );
    }
    println!("{:>34}  {} MB", "index on disk", size(&index) / 1_000_000);
    for round in ["first", "second"] {
        let opened = timed(&format!("open, {round}"), || Index::open(&index).unwrap());
        questions(&opened);
        drop(opened);
    }
    start_and_add(&journal, &index);
    println!("{:>34}  {} kB", "resident", resident());
}

fn questions(index: &Index) {
    let of = |user: u64| Query {
        user: Some(format!("operator{user}")),
        limit: 50,
        ..Query::default()
    };
    ask(index, "newest 50 of one user, cold", &of(7));
    ask(index, "newest 50 of one user, again", &of(7));
    ask(index, "newest 50 of another user", &of(123));
    ask(
        index,
        "newest 50 of all",
        &Query {
            limit: 50,
            ..Query::default()
        },
    );
    ask(
        index,
        "newest 50 of a load balancer",
        &Query {
            load_balancer: Some(uuid(2, 77)),
            limit: 50,
            ..Query::default()
        },
    );
    ask(
        index,
        "... by name",
        &Query {
            load_balancer: Some("lb-77".into()),
            limit: 50,
            ..Query::default()
        },
    );
    ask(
        index,
        "newest 50 of an amphora",
        &Query {
            amphora: Some(uuid(1, 77)),
            limit: 50,
            ..Query::default()
        },
    );
    let both = Query {
        amphora: Some(uuid(1, 77)),
        ..of(77)
    };
    ask(index, "... and of one user", &both);
    ask(
        index,
        "live",
        &Query {
            live: true,
            limit: 50,
            ..Query::default()
        },
    );
    let month = Query {
        since: Some(time_of(100_000)),
        until: Some(time_of(100_500)),
        ..of(7)
    };
    ask(index, "of one user, a time long ago", &month);
}

fn ask(index: &Index, what: &str, query: &Query) {
    let mut page = Page::default();
    timed(what, || page = index.sessions(query).unwrap());
    println!("{:>34}  {} rows", "", page.rows.len());
}

/// What a daemon does at its start, then one more session until it can be found.
fn start_and_add(dir: &Path, index: &Path) {
    let began = Instant::now();
    let journal = timed("journal opened", || Arc::new(Journal::open(dir).unwrap()));
    let index = timed("index opened", || Index::open(index).unwrap());
    let feed = index.follow(&journal, None).unwrap();
    assert!(feed.caught_up(Duration::from_secs(60)));
    println!("{:>34}  {:.1} ms", "daemon start, in all", ms(began));
    let id = ulid::Ulid::from_parts(u64::try_from(Timestamp::now().as_millisecond()).unwrap(), 1)
        .to_string();
    timed("a session opened until found", || {
        journal.append(Some(&id), &opened(1)).unwrap();
        assert!(feed.caught_up(Duration::from_secs(60)));
        assert!(index.session(&id).unwrap().is_some());
    });
}

fn write_journal(dir: &Path, sessions: u64) {
    let journal = Journal::open(dir).unwrap();
    for n in 0..sessions {
        let time = time_of(n);
        let id = id_of(n);
        let path = format!("2026/01/01/{id}.cast");
        journal.append_at(time, Some(&id), &opened(n)).unwrap();
        // The last few are still live.
        if n + 20 < sessions {
            let head = blake3::hash(id.as_bytes()).to_string();
            let closed = Event::SessionClosed {
                about: Box::new(about(n)),
                outcome: "ended".into(),
                exit_status: Some(0),
                exit_signal: None,
                bytes_out: n * 37,
                bytes_in: n,
                milliseconds: 60_000,
                recording: path.into(),
                head: Some(head.into()),
            };
            journal
                .append_at(time + SignedDuration::from_secs(60), Some(&id), &closed)
                .unwrap();
        }
    }
    journal.sync().unwrap();
}

fn opened(n: u64) -> Event {
    Event::SessionOpened {
        about: Box::new(about(n)),
        recording: format!("2026/01/01/{}.cast", id_of(n)).into(),
    }
}

fn about(n: u64) -> About {
    let (amphora, balancer) = (uuid(1, n % AMPHORAE), uuid(2, n % BALANCERS));
    About {
        connection: format!("c{n}").into(),
        user: format!("operator{}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % USERS).into(),
        source: format!("10.0.{}.{}", n % 250, n / 250 % 250).into(),
        target: format!("amphora-{amphora}").into(),
        amphora: amphora.into(),
        load_balancer: balancer.into(),
        load_balancer_name: format!("lb-{}", n % BALANCERS).into(),
        project: "4f1d5a0c9f6b4b0e8b8f0d8a7c6e5d4c".into(),
        landing: "netns".into(),
        action: "shell".into(),
        command: None,
    }
}

fn time_of(n: u64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + i64::try_from(n).unwrap() * 25).unwrap()
}

fn id_of(n: u64) -> String {
    let random = u128::from_be_bytes(
        blake3::hash(&n.to_be_bytes()).as_bytes()[..16]
            .try_into()
            .unwrap(),
    );
    ulid::Ulid::from_parts(u64::try_from(time_of(n).as_millisecond()).unwrap(), random).to_string()
}

fn uuid(kind: u8, n: u64) -> String {
    let hash = blake3::hash(&[&[kind], n.to_be_bytes().as_slice()].concat());
    uuid::Uuid::from_bytes(hash.as_bytes()[..16].try_into().unwrap()).to_string()
}

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = run();
    println!("{what:>34}  {:.2} ms", ms(began));
    result
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

fn size(dir: &Path) -> u64 {
    let mut total = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        total += if meta.is_dir() {
            size(&entry.path())
        } else {
            meta.len()
        };
    }
    total
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or("0");
    line.split_whitespace()
        .nth(1)
        .and_then(|kb| kb.parse().ok())
        .unwrap_or(0)
}
