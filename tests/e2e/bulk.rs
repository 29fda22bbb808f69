//! In: hundreds of MiB through every leg. Out: all of them, each time, and every connection closed.
//! Never: kept: recordings are compared and removed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use ampgate_tests::{
    A, Client, Gateway, Land, Via, bed,
    gateway::{files_below, program},
    outcome::run,
};

const MIB: u64 = 1 << 20;

/// A gateway whose recordings lie in memory where there is enough of it: the disk is not what is tested.
fn start() -> Gateway {
    Gateway::start(|setup| {
        let memory = PathBuf::from("/dev/shm");
        if free(&memory) > 6 << 30 {
            let dir = bed().directory("memory");
            run(
                command(
                    "mount",
                    &[
                        "-t",
                        "tmpfs",
                        "-o",
                        "mode=755",
                        "tmpfs",
                        &dir.display().to_string(),
                    ],
                ),
                b"",
            )
            .good();
            setup.recordings(&dir.join("recordings"));
        }
    })
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

fn free(dir: &std::path::Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(0, |s| s.f_bavail * s.f_frsize)
}

/// Random bytes that are written to disk once; no memory of ours holds them.
fn source(client: &Client, mib: u64) -> PathBuf {
    let path = client.home().join(format!("source-{mib}"));
    run(
        command(
            "bash",
            &[
                "-c",
                &format!("head -c {} /dev/urandom >{}", mib * MIB, path.display()),
            ],
        ),
        b"",
    )
    .good();
    path
}

fn piped(mut ssh: Command, from: &std::path::Path, to: &std::path::Path) -> Option<i32> {
    let mut child = ssh
        .stdin(File::open(from).unwrap())
        .stdout(File::create(to).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    for _ in 0..6000 {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        thread::sleep(Duration::from_millis(50));
    }
    child.kill().ok();
    child.wait().unwrap();
    None
}

fn same(a: &std::path::Path, b: &std::path::Path) -> bool {
    run(
        command("cmp", &[&a.display().to_string(), &b.display().to_string()]),
        b"",
    )
    .code
        == Some(0)
}

/// `ssh … cat <512 MiB >512 MiB`: both directions full at once, where stock russh hangs seven times of eight.
#[test]
fn cat_of_512_mib_both_ways_ten_times() {
    let gateway = start();
    let client = gateway.client("alice");
    let (from, to) = (source(&client, 512), client.home().join("back"));
    for (round, via) in [Via::Jump, Via::Syntax]
        .into_iter()
        .cycle()
        .take(10)
        .enumerate()
    {
        let mut ssh = client.ssh(via, Land::Plain, &A, &[]);
        ssh.arg("cat");
        assert_eq!(
            piped(ssh, &from, &to),
            Some(0),
            "round {round} by {via:?}: hung or failed"
        );
        assert!(
            same(&from, &to),
            "round {round} by {via:?}: other bytes came back"
        );
        closed_and_recorded(&gateway, 512 * MIB);
    }
}

/// 200 transfers of 64 MiB, four at a time, half of them up and half of them down; every one closes and verifies.
#[test]
fn two_hundred_transfers_of_64_mib() {
    let gateway = start();
    let client = gateway.client("alice");
    let from = source(&client, 64);
    let hash = |path: &std::path::Path| {
        run(command("sha256sum", &[&path.display().to_string()]), b"")
            .good()
            .out()[..64]
            .to_owned()
    };
    let sum = hash(&from);
    // The amphora's copy, from which it sends.
    let mut put = client.ssh(Via::Direct, Land::Plain, &A, &[]);
    put.arg("cat >/tmp/source");
    assert_eq!(piped(put, &from, &client.home().join("none")), Some(0));
    for round in 0..50 {
        let via = if round % 2 == 0 {
            Via::Jump
        } else {
            Via::Syntax
        };
        thread::scope(|threads| {
            for lane in 0..4 {
                let (client, from, sum) = (&client, &from, &sum);
                threads.spawn(move || {
                    let to = client.home().join(format!("lane-{lane}"));
                    let up = lane % 2 == 0;
                    let mut ssh = client.ssh(via, Land::Plain, &A, &[]);
                    ssh.arg(if up { "sha256sum" } else { "cat /tmp/source" });
                    let empty = client.home().join("none");
                    assert_eq!(
                        piped(ssh, if up { from } else { &empty }, &to),
                        Some(0),
                        "round {round}, lane {lane}, {via:?}"
                    );
                    let arrived = if up {
                        fs::read_to_string(&to).unwrap()[..64].to_owned()
                    } else {
                        hash(&to)
                    };
                    assert_eq!(arrived, *sum, "round {round}, lane {lane}, {via:?}");
                });
            }
        });
        closed_and_recorded(&gateway, 0);
    }
}

/// 1 GiB by sftp, by scp, by scp of old and by rsync, both ways: the right SHA-256 in the journal, and a recording under 1 MiB.
#[test]
fn one_gib_by_every_transfer_leaves_a_hash_and_no_content() {
    let gateway = start();
    let client = gateway.client("alice");
    let from = source(&client, 1024);
    let sum = run(command("sha256sum", &[&from.display().to_string()]), b"")
        .good()
        .out()[..64]
        .to_owned();
    let (way, host) = client.way(Via::Jump, Land::Plain, &A);
    let (back, there) = (client.home().join("back"), "/tmp/one-gib");
    let (from, to) = (from.display().to_string(), back.display().to_string());
    let batch = |line: &str| client.file("batch", line).display().to_string();
    let (put, get) = (
        batch(&format!("put {from} {there}\n")),
        client.file("other", format!("get {there} {to}\n")),
    );
    let remote = format!("{host}:{there}");
    let shell = format!("ssh -q {}", way.join(" "));
    for (program, args, direction) in [
        ("sftp", vec!["-b", &put, &host], "written"),
        ("sftp", vec!["-b", get.to_str().unwrap(), &host], "read"),
        ("scp", vec!["-s", &from, &remote], "written"),
        ("scp", vec!["-s", &remote, &to], "read"),
        ("scp", vec!["-O", &from, &remote], "written"),
        ("scp", vec!["-O", &remote, &to], "read"),
        ("rsync", vec!["-aW", &from, &remote], "written"),
        ("rsync", vec!["-aW", &remote, &to], "read"),
    ] {
        let mut transfer = client.command(program);
        match program {
            "rsync" => transfer.args(["-e", &shell]).args(&args),
            _ => transfer.args(&way).arg("-q").args(&args),
        };
        ampgate_tests::outcome::run_for(transfer, b"", Duration::from_secs(400)).good();
        gateway.quiet();
        let files = gateway.journal().into_iter();
        let last = files
            .rev()
            .find(|event| event["event"] == "file.closed")
            .unwrap();
        assert_eq!(
            last[format!("{direction}_sha256")],
            sum.as_str(),
            "{args:?}: {last}"
        );
        assert_eq!(last[direction], "whole", "{args:?}: {last}");
        if direction == "read" {
            let got = run(command("sha256sum", &[&to]), b"").good().out();
            assert_eq!(&got[..64], sum, "{args:?}");
            fs::remove_file(&back).unwrap();
        }
        let cast = gateway.casts().pop().unwrap();
        let size = fs::metadata(cast).unwrap().len();
        assert!(size < MIB, "{args:?}: {size} bytes recorded");
    }
    bed().inside(&A, &format!("rm {there}")).good();
    closed_and_recorded(&gateway, 0);
}

/// 10,000 small files up and down: one event for each, and the same files at both ends.
#[test]
fn ten_thousand_small_files_have_an_event_each() {
    let gateway = start();
    let client = gateway.client("alice");
    let (from, back) = (client.home().join("many"), client.home().join("back"));
    fs::create_dir(&from).unwrap();
    for n in 0..10_000 {
        fs::write(from.join(n.to_string()), format!("file {n}\n")).unwrap();
    }
    let (way, host) = client.way(Via::Jump, Land::Plain, &A);
    bed().inside(&A, "rm -rf /tmp/many").good();
    let same = |a: &std::path::Path, b: &std::path::Path| {
        let both = [a, b].map(|path| path.display().to_string());
        run(command("diff", &["-r", &both[0], &both[1]]), b"").good();
    };
    let copy = |from: &str, to: &str| {
        let mut scp = client.command("scp");
        scp.args(&way).args(["-q", "-r", from, to]);
        ampgate_tests::outcome::run_for(scp, b"", Duration::from_secs(400)).good();
    };
    copy(&from.display().to_string(), &format!("{host}:/tmp/many"));
    copy(&format!("{host}:/tmp/many"), &back.display().to_string());
    same(&from, &back);
    bed().inside(&A, "rm -rf /tmp/many").good();
    fs::remove_dir_all(&back).unwrap();
    let shell = format!("ssh -q {}", way.join(" "));
    let sync = |from: &str, to: &str| {
        let mut rsync = client.command("rsync");
        rsync.args(["-a", "-e", &shell, from, to]);
        ampgate_tests::outcome::run_for(rsync, b"", Duration::from_secs(400)).good();
    };
    sync(
        &format!("{}/", from.display()),
        &format!("{host}:/tmp/many/"),
    );
    sync(
        &format!("{host}:/tmp/many/"),
        &format!("{}/", back.display()),
    );
    gateway.quiet();
    same(&from, &back);
    let files = gateway.journal().into_iter();
    let files: Vec<_> = files
        .filter(|event| event["event"] == "file.closed")
        .collect();
    for direction in ["read", "written"] {
        let whole = files
            .iter()
            .filter(|file| file[direction] == "whole" && file["result"] == "ok");
        assert_eq!(whole.count(), 20_000, "{direction}");
    }
    bed().inside(&A, "rm -rf /tmp/many").good();
    closed_and_recorded(&gateway, 0);
}

/// No session is left, each recording is intact, and together they hold at least `bytes`; then they go.
fn closed_and_recorded(gateway: &Gateway, bytes: u64) {
    gateway.quiet();
    let dir = gateway.recordings();
    let mut verify = Command::new(program("ampgate-replay"));
    verify
        .arg("verify")
        .arg("--key")
        .arg(gateway.dir.join("keys/sealing.pub"))
        .arg(&dir);
    run(verify, b"").good();
    let files: Vec<_> = files_below(&dir)
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "cast"))
        .collect();
    let size: u64 = files.iter().map(|p| fs::metadata(p).unwrap().len()).sum();
    assert!(size >= bytes, "{size} bytes recorded of {bytes}");
    for file in files {
        fs::remove_file(file).unwrap();
    }
}
