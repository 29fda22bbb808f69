//! In: a gateway that seals to auditors. Out: recordings that they read and nobody else, with our program and a second one.
//! Never: a plain byte of a session on the disk, or a key in the gateway that opens what is past.

use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use ampgate_tests::{
    A, Gateway, Land, Outcome, Setup, Via,
    bed::{project, tool},
    gateway::{files_below, program, replay},
    outcome::{run, until},
};
use rustix::process::Pid;

fn fixtures() -> PathBuf {
    project().join("crates/recording/fixtures")
}

pub fn identity(n: u8) -> String {
    fixtures()
        .join(format!("auditor-{n}.age"))
        .display()
        .to_string()
}

fn recipient(n: u8) -> String {
    let text = fs::read_to_string(identity(n)).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("# public key: "));
    line.unwrap().to_owned()
}

/// tests/reader/ampgate_read.py
pub fn second_reader(args: &[&str]) -> Outcome {
    let mut command = Command::new(tool("reader-venv/bin/python3"));
    command
        .arg(project().join("tests/reader/ampgate_read.py"))
        .args(args);
    run(command, b"")
}

pub fn seal_to(setup: &mut Setup, auditors: &[u8], needed: usize) {
    let keys: Vec<_> = auditors.iter().map(|n| recipient(*n)).collect();
    setup.set("recording", &format!("recipients = {keys:?}"));
    setup.set("recording", &format!("recipients_needed = {needed}"));
}

fn sealed(gateway: &Gateway) -> Vec<PathBuf> {
    let mut all = files_below(&gateway.recordings());
    assert!(
        all.iter()
            .all(|path| path.extension().is_some_and(|e| e == "sealed")),
        "{all:?}"
    );
    all.sort();
    all
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// What a reader says of a whole store, file by file, must be what the other one says.
#[test]
fn two_readers_agree_on_every_damage() {
    let key = text(&fixtures().join("sealing.pub"));
    let mut kinds = std::collections::BTreeSet::new();
    for path in [
        files_below(&fixtures().join("damaged")),
        files_below(&fixtures()),
    ]
    .concat()
    {
        if !path
            .extension()
            .is_some_and(|e| e == "cast" || e == "sealed")
        {
            continue;
        }
        let path = text(&path);
        let ours = run(
            {
                let mut command = Command::new(program("ampgate-replay"));
                command.args(["verify", "--key", &key, &path]);
                command
            },
            b"",
        );
        let theirs = second_reader(&["verify", "--key", &key, &path])
            .good()
            .out();
        let (verdict, detail) = theirs
            .trim()
            .split_once(": ")
            .unwrap_or((theirs.trim(), ""));
        let said = ours.out();
        let said = said
            .trim()
            .strip_prefix(&format!("{path}: "))
            .unwrap_or(said.trim());
        assert!(
            said.starts_with(verdict),
            "{path}\nours:   {said}\ntheirs: {theirs}"
        );
        if verdict == "altered" {
            assert!(
                said.contains(detail),
                "{path}\nours:   {said}\ntheirs: {theirs}"
            );
        }
        kinds.insert(theirs);
    }
    assert!(kinds.len() > 15, "{kinds:#?}");
}

/// Sessions of each kind: sealed, proven to who has no key, read by who has one, and nothing of them anywhere else.
#[test]
fn nothing_plain_is_left_behind() {
    let gateway = Gateway::start(|setup| seal_to(setup, &[1, 2], 1));
    let client = gateway.client("alice");
    // Numbers that no command line holds: only output does.
    let secret = (41_253_671_u64 * 97).to_string();
    let shell = "echo $((41253671 * 97)); seq 20000; echo $((41253671 * 97)) >&2";
    for options in [&["-T"][..], &["-tt"]] {
        let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, options);
        ssh.arg(shell);
        let shown = run(ssh, b"").good();
        assert!(shown.out().contains(&secret));
    }
    gateway.quiet();
    let recordings = sealed(&gateway);
    assert_eq!(recordings.len(), 2);
    for path in &recordings {
        let path = text(path);
        for n in [1, 2] {
            let cast = second_reader(&["cast", "--identity", &identity(n), &path])
                .good()
                .out();
            assert!(cast.contains(&secret) && cast.contains("\"user\":\"alice\""));
            assert!(cast.contains("20000"), "the end is there");
        }
        let said = second_reader(&[
            "verify",
            "--key",
            &text(&gateway.dir.join("keys/sealing.pub")),
            &path,
        ]);
        assert_eq!(said.out().trim(), "intact");
    }
    let mut verify = Command::new(program("ampgate-replay"));
    verify.args([
        "verify",
        "--key",
        &text(&gateway.dir.join("keys/sealing.pub")),
    ]);
    verify.args(["--journal", &text(&gateway.dir.join("state/journal"))]);
    verify.args(["--store", &text(&gateway.recordings())]);
    run(verify, b"").good().says("2 recordings: 2 intact");
    // Store, journal, index, log, keys: nowhere is a byte of what was shown.
    let all = files_below(&gateway.dir);
    assert!(all.len() > 10, "{all:?}");
    for path in all.iter().filter(|path| path.is_file()) {
        let bytes = fs::read(path).unwrap();
        let found = bytes
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found, "{} holds what was shown", path.display());
    }
    // Nor does anything that lies on the gateway's host open them.
    for key in files_below(&gateway.dir.join("keys")) {
        let out = second_reader(&["cast", "--identity", &text(&key), &text(&recordings[0])]);
        assert_ne!(out.code, Some(0), "{} opens a recording", key.display());
    }
}

/// The auditor's program: with an identity all of it works, without one it says whose is needed.
#[test]
fn auditors_read_list_search_and_verify_with_their_identity() {
    let gateway = Gateway::start(|setup| seal_to(setup, &[1], 1));
    let client = gateway.client("alice");
    client
        .exec(
            Via::Jump,
            Land::Plain,
            &A,
            "echo out of $((6*7)) frames",
            b"",
        )
        .good();
    gateway.quiet();
    let (store, path) = (text(&gateway.recordings()), text(&sealed(&gateway)[0]));
    let (one, two) = (identity(1), identity(2));
    replay(&["cat", &path]).exits(1).complains(&recipient(1));
    replay(&["cat", "--identity", &two, &path])
        .exits(1)
        .complains("0 of the 1 auditors");
    replay(&["cat", "--identity", &one, &path])
        .good()
        .says("out of 42 frames");
    replay(&["list", &store]).good().says("(sealed)");
    replay(&["list", "--identity", &one, "--user", "alice", &store])
        .good()
        .says("alice");
    replay(&["--identity", &one, "export", "--format", "text", &path])
        .good()
        .says("out of 42 frames");
    for round in ["without an index", "with one"] {
        let found = replay(&["search", "--identity", &one, "of 42 frames", &store]).good();
        assert!(found.out().contains("alice"), "{round}: {found:?}");
        replay(&["search", "--identity", &one, "of 43 frames", &store]).exits(1);
        replay(&["index", "--identity", &one, &store]).good();
    }
    // The index holds pieces of what was shown, so it is sealed as well.
    let index = files_below(&gateway.recordings())
        .into_iter()
        .find(|path| path.ends_with("search.index"))
        .unwrap();
    assert!(
        fs::read(index)
            .unwrap()
            .starts_with(b"age-encryption.org/v1")
    );
    let key = text(&gateway.dir.join("keys/sealing.pub"));
    replay(&["verify", "--key", &key, "--identity", &one, &path])
        .good()
        .says("intact");
    replay(&["verify", "--key", &key, "--identity", &two, &path])
        .exits(14)
        .says("0 of the 1 auditors");
}

#[test]
fn a_quorum_reads_together() {
    let gateway = Gateway::start(|setup| seal_to(setup, &[1, 2], 2));
    gateway
        .client("alice")
        .exec(Via::Jump, Land::Plain, &A, "echo for two", b"")
        .good();
    gateway.quiet();
    let path = text(&sealed(&gateway)[0]);
    second_reader(&[
        "cast",
        "--identity",
        &identity(1),
        "--identity",
        &identity(2),
        &path,
    ])
    .good()
    .says("for two");
    for n in [1, 2] {
        second_reader(&["cast", "--identity", &identity(n), &path])
            .exits(1)
            .complains("1 of the 2 auditors needed");
    }
}

/// Places in a process's writable memory where these bytes are.
fn in_memory(pid: Pid, wanted: &[&[u8]]) -> Vec<usize> {
    let pid = pid.as_raw_nonzero();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut counts = vec![0; wanted.len()];
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        memory.seek(SeekFrom::Start(from)).unwrap();
        if memory.read_exact(&mut bytes).is_err() {
            continue;
        }
        for (count, wanted) in counts.iter_mut().zip(wanted) {
            *count += bytes
                .windows(wanted.len())
                .filter(|part| part == wanted)
                .count();
        }
    }
    counts
}

/// The keys of a recording's frames, as an auditor computes them: the data key, then two for each frame.
fn keys(path: &Path) -> Vec<Vec<u8>> {
    let hex = |line: &str| {
        (0..line.len() / 2)
            .map(|n| u8::from_str_radix(&line[2 * n..2 * n + 2], 16).unwrap())
            .collect()
    };
    let out = second_reader(&["keys", "--identity", &identity(1), &text(path)]).good();
    out.out().lines().map(hex).collect()
}

/// Whoever takes over the gateway in the middle of a session finds no key to what was sealed before.
#[test]
fn the_gateway_has_no_key_to_what_is_past() {
    let gateway = Gateway::start(|setup| seal_to(setup, &[1], 1));
    let client = gateway.client("alice");
    let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &["-T"]);
    let mut child = ssh
        .arg("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let frames = || keys(&sealed(&gateway)[0]).len().saturating_sub(1);
    until("the recording is there", Duration::from_secs(30), || {
        !files_below(&gateway.recordings()).is_empty() && frames() >= 1
    });
    for n in 0..3 {
        let before = frames();
        writeln!(stdin, "line {n}").unwrap();
        until("a frame is closed", Duration::from_secs(30), || {
            frames() > before
        });
    }
    let path = sealed(&gateway)[0].clone();
    let all = keys(&path);
    let mut wanted: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    // What is searched for must be findable: the first line, which the relay wrote, is no secret.
    let name = gateway.dir.join("recordings").display().to_string();
    wanted.push(name.as_bytes());
    let mut counts = in_memory(gateway.relay(), &wanted);
    assert!(counts.pop().unwrap() > 0, "the search finds nothing at all");
    assert_eq!(
        counts,
        vec![0; all.len()],
        "the data key, then chain and frame keys"
    );
    drop(stdin);
    child.wait().unwrap();
    gateway.quiet();
    let all = keys(&path);
    let wanted: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    assert_eq!(in_memory(gateway.relay(), &wanted), vec![0; all.len()]);
}

/// `kill -9` while a session runs: what is older than a second is there, proven or not, and it is called unsealed.
#[test]
fn kill_9_leaves_all_but_the_last_second() {
    let mut gateway = Gateway::start(|setup| seal_to(setup, &[1], 1));
    let client = gateway.client("alice");
    let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &["-tt"]);
    let mut child = ssh
        .arg("echo early; sleep 600")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let path = || files_below(&gateway.recordings()).pop();
    let early = || {
        path().is_some_and(|path| {
            let cast = second_reader(&["cast", "--identity", &identity(1), &text(&path)]);
            cast.out().contains("early")
        })
    };
    until("a frame holds it", Duration::from_secs(30), early);
    gateway.kill();
    child.wait().unwrap();
    let path = text(&sealed(&gateway)[0]);
    second_reader(&["cast", "--identity", &identity(1), &path])
        .good()
        .says("early");
    let verdict = second_reader(&["verify", &path]).good().out();
    assert!(verdict.starts_with("unsealed: crashed"), "{verdict}");
}

#[test]
fn recipients_that_are_none_are_a_fault_of_the_configuration() {
    for (line, words) in [
        ("recipients = [\"age1nonsense\"]", "is no recipient"),
        ("recipients = []", "names nobody"),
        ("recipients_needed = 2", "names nobody"),
        ("recipients = [\"AGE-SECRET-KEY-1QQQ\"]", "a private key"),
    ] {
        let (setup, ..) = Gateway::prepare(|setup| setup.set("recording", line));
        let mut check = Command::new(program("ampgate"));
        check
            .args(["check", "--config"])
            .arg(setup.dir.join("ampgate.toml"));
        run(check, b"").exits(64).complains(words);
    }
}
