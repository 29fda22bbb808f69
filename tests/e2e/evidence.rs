//! In: recordings, whole and damaged, and gateways that are killed. Out: verdicts, players that play, nothing lost.
//! Never: a recording that only our own programs can read.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use ampgate_tests::{
    A, Gateway, Land, Outcome, Via,
    bed::{project, tool},
    gateway::{program, replay},
    outcome::{run, until},
    seen::Seen,
    terminal::talk,
};

fn verify(path: &Path, key: &Path) -> Outcome {
    replay(&[
        "verify",
        "--key",
        &key.display().to_string(),
        &path.display().to_string(),
    ])
}

fn fixtures() -> PathBuf {
    project().join("crates/recording/fixtures")
}

fn casts(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "cast"))
        .collect();
    all.sort();
    all
}

/// Must show 5: each kind of damage has its own exit status and is named; good files have status 0.
#[test]
fn verify_names_each_kind_of_damage() {
    let key = fixtures().join("sealing.pub");
    for good in casts(&fixtures()) {
        verify(&good, &key).good().says("intact");
    }
    let mut statuses: BTreeMap<String, Vec<(String, i32, String)>> = BTreeMap::new();
    for bad in casts(&fixtures().join("damaged")) {
        let name = bad.file_stem().unwrap().to_string_lossy().into_owned();
        let kind = [
            "altered",
            "truncated",
            "unsealed",
            "bad_signature",
            "foreign_key",
            "no_recording",
        ]
        .into_iter()
        .find(|k| name.starts_with(k))
        .unwrap_or_else(|| panic!("{name} is of no known kind"));
        let said = verify(&bad, &key);
        assert!(
            !matches!(said.code, None | Some(0)),
            "{name} passed: {said:?}"
        );
        statuses.entry(kind.to_owned()).or_default().push((
            name,
            said.code.unwrap(),
            said.out() + &said.err(),
        ));
    }
    let mut taken = BTreeMap::new();
    for (kind, files) in &statuses {
        let status = files[0].1;
        assert!(
            files.iter().all(|f| f.1 == status),
            "{kind} has several statuses: {files:#?}"
        );
        assert_eq!(
            taken.insert(status, kind),
            None,
            "{kind} shares its status {status}: {statuses:#?}"
        );
    }
    assert!(statuses.len() >= 5, "{statuses:#?}");
}

/// A real recording; then one bit of it flipped, wherever that is.
#[test]
fn a_flipped_bit_anywhere_is_found() {
    let gateway = Gateway::start(|_| {});
    gateway
        .client("alice")
        .exec(
            Via::Jump,
            Land::Plain,
            &A,
            "seq 300; head -c 300 /dev/urandom; echo err >&2; exit 4",
            b"",
        )
        .exits(4);
    until("it is sealed", Duration::from_secs(10), || {
        gateway.seen().iter().all(Seen::sealed)
    });
    let path = gateway.casts().pop().unwrap();
    let key = gateway.dir.join("keys/sealing.pub");
    verify(&path, &key).good();
    let whole = fs::read(&path).unwrap();
    let copy = gateway.dir.join(path.file_name().unwrap());
    // 150 places evenly spread, each with another bit of its byte.
    for n in 0..150 {
        let at = n * (whole.len() - 1) / 149;
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (n % 8);
        fs::write(&copy, damaged).unwrap();
        assert_ne!(
            verify(&copy, &key).code,
            Some(0),
            "bit {} of byte {at} of {}",
            n % 8,
            whole.len()
        );
    }
}

/// A directory: every file has its verdict; and against the journal: a recording that is missing is named.
#[test]
fn verify_against_the_journal_names_what_is_missing() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    for n in 0..3 {
        client
            .exec(Via::Jump, Land::Plain, &A, &format!("echo {n}"), b"")
            .good();
    }
    until("all are sealed", Duration::from_secs(10), || {
        gateway.seen().iter().all(Seen::sealed)
    });
    let (store, journal) = (
        gateway.recordings().display().to_string(),
        gateway.dir.join("state/journal").display().to_string(),
    );
    replay(&["verify", &store]).good();
    replay(&["verify", "--journal", &journal, "--store", &store]).good();
    let gone = gateway.casts().remove(1);
    let name = gone.file_stem().unwrap().to_string_lossy().into_owned();
    fs::remove_file(&gone).unwrap();
    let said = replay(&["verify", "--journal", &journal, "--store", &store]).exits(16);
    assert!((said.out() + &said.err()).contains(&name), "{said:?}");
}

/// `kill -9` in the middle of output: whatever the client got is in the recording, which is called unsealed.
#[test]
fn kill_9_loses_nothing_that_was_forwarded() {
    for pty in ["-T", "-tt"] {
        let mut gateway = Gateway::start(|_| {});
        let client = gateway.client("alice");
        let out = fs::File::create(client.home().join("out")).unwrap();
        let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &[pty]);
        let mut child = ssh
            .arg("cat /dev/urandom | head -c 500000000")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("there is output", Duration::from_secs(30), || {
            fs::metadata(client.home().join("out")).is_ok_and(|m| m.len() > 5_000_000)
        });
        gateway.kill();
        child.wait().unwrap();
        let got = fs::read(client.home().join("out")).unwrap();
        let seen = gateway.seen().pop().unwrap();
        assert!(
            seen.stdout.starts_with(&got),
            "{pty}: the client has {} bytes, the recording {}",
            got.len(),
            seen.stdout.len()
        );
        assert!(!seen.sealed());
        let said = verify(&seen.path, &gateway.dir.join("keys/sealing.pub"));
        assert!(!matches!(said.code, None | Some(0)), "{said:?}");
    }
}

/// Recordings of every kind, as the gateway makes them.
fn every_kind() -> (Gateway, Vec<PathBuf>) {
    let gateway = Gateway::start(|setup| setup.set("recording", "input = \"echoed\""));
    let client = gateway.client("alice");
    client
        .exec(
            Via::Jump,
            Land::Plain,
            &A,
            "echo plain; echo err >&2; exit 3",
            b"some input\n",
        )
        .exits(3);
    client
        .exec(
            Via::Jump,
            Land::Root,
            &A,
            "head -c 100000 /dev/urandom",
            b"\xff\xfe",
        )
        .good();
    client.exec(
        Via::Jump,
        Land::Netns,
        &A,
        "printf '\\303'; sleep 0.1; printf '\\244\\377\\342\\202'; kill -TERM $$",
        b"",
    );
    client
        .exec(Via::Syntax, Land::Plain, &A, "", b"echo through a shell\n")
        .good();
    let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &["-tt"]);
    ssh.arg("trap 'stty size' WINCH; printf '\\033[31mred\\033[0m \u{e4}\u{1f980}\\r\\n\\033]0;t\\007'; echo ready; while :; do read -t 0.1 x && exit; done");
    talk(
        &ssh,
        "24x80",
        &["expect ready", "resize 40 100", "expect 40 100", r"send \r"],
    );
    let batch = client.file("batch", "ls /etc/hostname\n");
    let (way, host) = client.way(Via::Jump, Land::Plain, &A);
    let mut sftp = client.command("sftp");
    sftp.args(way).arg("-b").arg(batch).arg(host);
    run(sftp, b"").good();
    // And one refused by the amphora, of which only the beginning exists.
    client.exec(
        Via::Jump,
        Land::Plain,
        &ampgate_tests::amphorae::CLOSED,
        "true",
        b"",
    );
    gateway.quiet();
    let mut all = gateway.casts();
    assert!(all.len() >= 7, "{all:?}");
    all.extend(casts(&fixtures()));
    (gateway, all)
}

/// Must show 6: asciinema itself plays, converts and cats each of them.
#[test]
fn asciinema_plays_converts_and_cats_every_kind() {
    let (gateway, all) = every_kind();
    let asciinema = |args: &[&str]| {
        let mut command = Command::new(tool("asciinema"));
        command
            .args(args)
            .env_clear()
            .env("HOME", &gateway.dir)
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .env("PATH", "/usr/bin:/bin");
        command
    };
    for cast in &all {
        let path = cast.display().to_string();
        let played = talk(
            &asciinema(&["play", "--idle-time-limit", "0.01", "--speed", "100", &path]),
            "50x150",
            &[],
        );
        assert_eq!(played.code, Some(0), "play {path}: {played:?}");
        for format in ["asciicast-v2", "asciicast-v3", "raw", "txt"] {
            let to = gateway
                .dir
                .join(format!("converted.{format}"))
                .display()
                .to_string();
            run(
                asciinema(&["convert", "--overwrite", "-f", format, &path, &to]),
                b"",
            )
            .good();
        }
        // What another program makes of it is the same text as what we decode, wherever it is text at all.
        let raw = fs::read(gateway.dir.join("converted.raw")).unwrap();
        if cast.starts_with(gateway.recordings()) {
            let seen = Seen::read(cast);
            let both: Vec<u8> = [&seen.stdout[..], &seen.stderr[..]].concat();
            // It begins with a control sequence that sets the size, and has one for each resize.
            let text = std::str::from_utf8(&both).is_ok();
            if seen.stderr.is_empty() && seen.sizes.is_empty() && text {
                assert!(
                    raw.ends_with(&both),
                    "{path}: {:?}",
                    String::from_utf8_lossy(&raw)
                );
            }
        }
        run(
            asciinema(&["cat", &path, &all[0].display().to_string()]),
            b"",
        )
        .good();
    }
}

/// Our own programs on files alone: list, cat, export; every byte is recovered.
#[test]
fn replay_works_on_files_alone() {
    let (gateway, all) = every_kind();
    let listed = replay(&["list", &gateway.recordings().display().to_string()])
        .good()
        .out();
    for cast in all.iter().filter(|c| c.starts_with(gateway.recordings())) {
        let seen = Seen::read(cast);
        assert!(
            listed.contains(&seen.session()[..10]),
            "{} is not listed:\n{listed}",
            seen.session()
        );
        let path = cast.display().to_string();
        let cat = replay(&["cat", "--raw", &path]).good();
        if seen.stderr.is_empty() {
            assert!(cat.stdout == seen.stdout, "cat of {path} gives other bytes");
        }
        let v2 = replay(&["export", "--format", "v2", &path]).good().out();
        assert!(
            v2.lines().next().unwrap().contains("\"version\":2")
                || v2.lines().next().unwrap().contains("\"version\": 2"),
            "{v2}"
        );
    }
}

/// Nothing recorded acts on the auditor's terminal: title, clipboard, queries, 8-bit controls stay inside.
#[test]
fn replay_draws_and_nothing_else() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &["-tt"]);
    ssh.arg("printf 'before\\033]0;owned\\007\\033]52;c;b3duZWQ=\\007\\033[c\\033[6n\\033P1$r0m\\033\\\\\\033_apc\\033\\\\\\033^pm\\033\\\\\\033Xsos\\033\\\\\\302\\2330;owned\\302\\234\\033[?1049h\\033[21t\\005after\\n'");
    talk(&ssh, "24x80", &[]);
    gateway.quiet();
    let cast = gateway.casts().pop().unwrap();
    let mut play = Command::new(program("ampgate-replay"));
    play.args(["play", "--speed", "100"])
        .arg(&cast)
        .env("TERM", "xterm-256color");
    let shown = talk(&play, "24x80", &[r"send q"]);
    let shown = shown.stdout;
    for (name, sign) in [
        ("title", &b"\x1b]0;"[..]),
        ("clipboard", b"\x1b]52"),
        ("owned", b"owned"),
        ("DCS", b"\x1bP"),
        ("APC", b"\x1b_"),
        ("PM", b"\x1b^"),
        ("SOS", b"\x1bX"),
        ("query", b"\x1b[6n"),
        ("attributes", b"\x1b[c"),
        ("C1", b"\xc2\x9b"),
        ("answerback", b"\x05"),
    ] {
        assert!(
            !shown.windows(sign.len()).any(|w| w == sign),
            "{name} reached the terminal"
        );
    }
}

/// A sparse hole in a recording is an alteration as well (a lost disk block).
#[test]
fn a_hole_is_found() {
    let gateway = Gateway::start(|_| {});
    gateway
        .client("alice")
        .exec(Via::Jump, Land::Plain, &A, "seq 100000", b"")
        .good();
    until("it is sealed", Duration::from_secs(10), || {
        gateway.seen().iter().all(Seen::sealed)
    });
    let path = gateway.casts().pop().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 4096], 40960).unwrap();
    assert_ne!(
        verify(&path, &gateway.dir.join("keys/sealing.pub")).code,
        Some(0)
    );
}
