//! In: files whose contents policy wants kept, and what goes wrong meanwhile: disks, the gateway's end, the limits.
//! Out: what passed is kept; what is not kept is said, or did not pass.
//! Never: a byte of content in clear; a broken recording that is called whole.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use ampgate_tests::{
    A, Client, Gateway, Land, Setup, Via,
    bed::bed,
    gateway::{files_below, program, replay},
    outcome::{run, until},
};
use serde_json::Value;

use super::{
    attacks::small_disk,
    sealed::{identity, seal_to},
};

/// What every content here begins with, as nothing else does.
const MINE: &[u8] = b"content-of-mine-";

/// Not to be compressed, so that a recording grows with it.
fn content(length: usize) -> Vec<u8> {
    let noise = (0..u32::MAX).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes());
    MINE.iter().copied().chain(noise).take(length).collect()
}

fn keeping(setup: &mut Setup) {
    seal_to(setup, &[1], 1);
    setup.policy += r#"
@id("kept") @keep("contents")
permit (principal, action in [Action::"read", Action::"write"], resource) when { context.path like "/tmp/held/*" };
"#;
}

/// An empty directory on the amphora, another for each test.
fn place(name: &str) -> String {
    let dir = format!("/tmp/held/{name}");
    let make = format!("rm -rf {dir}; mkdir -p -m 777 /tmp/held {dir}");
    bed().inside(&A, &make).good();
    dir
}

fn events(gateway: &Gateway, name: &str) -> Vec<Value> {
    let all = gateway.journal().into_iter();
    all.filter(|event| event["event"] == name).collect()
}

fn told(client: &Client) -> String {
    fs::read_to_string(client.home().join("err")).unwrap()
}

/// An sftp or scp of which standard error is in a file.
fn started(client: &Client, name: &str, args: &[&str]) -> Child {
    let (way, host) = client.way(Via::Jump, Land::Plain, &A);
    let mut command = client.command(name);
    command.args(way);
    command.args(args.iter().map(|arg| arg.replace("HOST", &host)));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(fs::File::create(client.home().join("err")).unwrap())
        .spawn()
        .unwrap()
}

/// Half a megabyte a second is on its way; the recording of it, which has some already.
fn under_way(gateway: &Gateway, client: &Client, dir: &str, whole: &[u8]) -> (Child, PathBuf) {
    let file = client.file("large", whole).display().to_string();
    let there = format!("HOST:{dir}/large");
    let child = started(client, "scp", &["-s", "-l", "4000", &file, &there]);
    let mut recording = None;
    until("its content is kept", Duration::from_secs(60), || {
        let opened = events(gateway, "content.opened");
        recording = opened.last().map(|event| {
            let path = event["recording"].as_str().unwrap();
            gateway.recordings().join(path)
        });
        let size = |path: &PathBuf| fs::metadata(path).map_or(0, |about| about.len());
        recording.as_ref().map_or(0, size) > 300_000
    });
    (child, recording.unwrap())
}

fn raw(recording: &Path) -> Vec<u8> {
    let (key, path) = (identity(1), recording.display().to_string());
    replay(&["export", "--format", "raw", "--identity", &key, &path]).stdout
}

fn verdict(gateway: &Gateway, recording: &Path) -> String {
    let key = gateway.dir.join("keys/sealing.pub").display().to_string();
    let path = recording.display().to_string();
    replay(&["verify", "--verbose", "--key", &key, &path]).out()
}

fn nothing_is_in_clear(gateway: &Gateway) {
    for dir in [&gateway.dir, &gateway.recordings()] {
        for path in files_below(dir) {
            let bytes = fs::read(&path).unwrap_or_default();
            assert!(!bytes.windows(MINE.len()).any(|w| w == MINE), "{path:?}");
        }
    }
}

/// A disk on which the content can no longer be written ends the transfer with the sentence, and what the amphora has of it is
/// no more than was taken.
#[test]
fn a_failed_write_ends_the_transfer() {
    for call in ["write", "fdatasync,fsync"] {
        let gateway = Gateway::start(keeping);
        let (client, dir) = (gateway.client("alice"), place("failed"));
        let whole = content(6_000_000);
        let (mut child, recording) = under_way(&gateway, &client, &dir, &whole);
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-p"])
            .arg(gateway.relay().as_raw_nonzero().to_string())
            .arg("-P")
            .arg(&recording)
            .args(["-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:error=EIO")])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the transfer ended", Duration::from_secs(60), || {
            child.try_wait().unwrap().is_some()
        });
        strace.kill().ok();
        strace.wait().ok();
        let said = told(&client);
        assert!(!child.wait().unwrap().success(), "{call}");
        assert!(
            said.contains("ampgate: the recording cannot be written"),
            "{call}: {said}"
        );
        gateway.quiet();
        let kept = raw(&recording);
        assert!(
            kept.len() > 200_000 && whole.starts_with(&kept),
            "{call}: {}",
            kept.len()
        );
        let there = bed().inside(&A, &format!("stat -c %s {dir}/large")).good();
        let there: usize = there.out().trim().parse().unwrap();
        assert!(there < whole.len(), "{call}: all of it came through");
        let said = verdict(&gateway, &recording);
        assert!(
            !said.contains("altered") && !said.contains("1 intact"),
            "{call}: {said}"
        );
        let closed = events(&gateway, "session.closed");
        assert_eq!(closed[0]["outcome"], "recorder-failed", "{call}");
        // The session's own recording is whole.
        let own = gateway
            .recordings()
            .join(closed[0]["recording"].as_str().unwrap());
        assert!(verdict(&gateway, &own).contains("intact"), "{call}");
        nothing_is_in_clear(&gateway);
        client.exec(Via::Jump, Land::Plain, &A, "true", b"").good();
    }
}

/// `kill -9` in the middle of a file: what was kept of it is there, is called unsealed, and is no session of its own.
#[test]
fn kill_9_leaves_what_was_kept() {
    let mut gateway = Gateway::start(keeping);
    let (client, dir) = (gateway.client("alice"), place("killed"));
    let whole = content(6_000_000);
    let (mut child, recording) = under_way(&gateway, &client, &dir, &whole);
    gateway.kill();
    assert!(!child.wait().unwrap().success());
    let kept = raw(&recording);
    assert!(kept.len() > 200_000 && whole.starts_with(&kept));
    let said = verdict(&gateway, &recording);
    assert!(said.contains("unsealed"), "{said}");
    gateway.restart();
    let sessions = gateway.sessions(&[]);
    assert_eq!(sessions.len(), 1, "{sessions:#?}");
    nothing_is_in_clear(&gateway);
    // The next one is kept to its end.
    let small = client.file("small", content(10_000)).display().to_string();
    let there = format!("HOST:{dir}/small");
    assert!(
        started(&client, "scp", &["-s", &small, &there])
            .wait()
            .unwrap()
            .success()
    );
    gateway.quiet();
    let closed = events(&gateway, "file.closed");
    assert_eq!(closed.last().unwrap()["bytes_kept"], 10_000);
}

/// Both caps, and a disk that fills while a session goes on: the transfer passes, its hash is there, and the journal says
/// what is not kept and why.
#[test]
fn what_is_not_kept_is_said() {
    let disk = small_disk("kept", "48m");
    let gateway = Gateway::start(|setup| {
        setup.recordings(&disk.join("recordings"));
        setup.set("recording", "reserve = \"8MiB\"");
        setup.set("recording", "low_space = \"9MiB\"");
        setup.set("recording", "keep_session = \"1MiB\"");
        keeping(setup);
    });
    let (client, dir) = (gateway.client("alice"), place("said"));
    let part = content(700_000);
    let file = client.file("part", &part).display().to_string();
    let mut child = started(&client, "sftp", &["-b", "-", "HOST"]);
    let mut typed = child.stdin.take().unwrap();
    let mut put = |name: &str, files: usize| {
        writeln!(typed, "put {file} {dir}/{name}").unwrap();
        until("it is closed", Duration::from_secs(60), || {
            events(&gateway, "file.closed").len() == files
        });
        events(&gateway, "file.closed").pop().unwrap()
    };
    let first = put("first", 1);
    assert_eq!(
        (&first["bytes_kept"], &first["not_kept"]),
        (&part.len().into(), &Value::Null)
    );
    let second = put("second", 2);
    assert_eq!(second["bytes_kept"], (1 << 20) - part.len());
    assert!(
        second["not_kept"]
            .as_str()
            .unwrap()
            .contains("keep_session")
    );
    let mut fill = Command::new("fallocate");
    fill.args(["-l", "43MiB"]).arg(disk.join("filler"));
    run(fill, b"").good();
    let third = put("third", 3);
    assert!(
        third["not_kept"].as_str().unwrap().contains("reserve"),
        "{third}"
    );
    assert_eq!(
        (&third["bytes_kept"], &third["written_kept"]),
        (&0.into(), &Value::Null)
    );
    for event in [&second, &third] {
        assert_eq!(event["written_sha256"], first["written_sha256"]);
    }
    writeln!(typed, "bye").unwrap();
    drop(typed);
    assert!(child.wait().unwrap().success(), "{}", told(&client));
    let same = format!("cmp {dir}/first {dir}/second && cmp {dir}/first {dir}/third");
    bed().inside(&A, &same).good();
    nothing_is_in_clear(&gateway);
}

/// A client that has more files open at once than the gateway keeps is ended with a sentence, and each kept one is closed.
#[test]
fn more_files_than_can_be_kept_end_the_channel() {
    let gateway = Gateway::start(keeping);
    let (client, dir) = (gateway.client("alice"), place("many"));
    bed()
        .inside(
            &A,
            &format!("printf content-of-mine- >{dir}/one; chmod 644 {dir}/one"),
        )
        .good();
    let packet = |fields: &[&[u8]]| {
        let body = fields.concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&length[..], &body].concat()
    };
    let path = format!("{dir}/one");
    let length = u32::try_from(path.len()).unwrap().to_be_bytes();
    let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &["-s"]);
    let mut child = ssh
        .arg("sftp")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(client.home().join("err")).unwrap())
        .spawn()
        .unwrap();
    let (mut into, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut answer = || {
        let mut length = [0; 4];
        out.read_exact(&mut length).ok()?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        out.read_exact(&mut body).ok()?;
        Some(body)
    };
    into.write_all(&packet(&[&[1], &3_u32.to_be_bytes()]))
        .unwrap();
    assert_eq!(answer().unwrap()[0], 2);
    let mut read = 0;
    for id in 0..100_u32 {
        // SSH_FXP_OPEN for reading; SSH_FXP_HANDLE; SSH_FXP_READ; SSH_FXP_DATA.
        let open: [&[u8]; 6] = [
            &[3],
            &id.to_be_bytes(),
            &length,
            path.as_bytes(),
            &[0, 0, 0, 1],
            &[0; 4],
        ];
        if into.write_all(&packet(&open)).is_err() {
            break;
        }
        let Some(handle) = answer() else { break };
        assert_eq!(handle[0], 102, "{handle:?}");
        let ask: [&[u8]; 5] = [
            &[5],
            &id.to_be_bytes(),
            &handle[5..],
            &[0; 8],
            &[0, 0, 1, 0],
        ];
        if into.write_all(&packet(&ask)).is_err() {
            break;
        }
        match answer() {
            Some(data) => assert!(data[0] == 103 && data.ends_with(MINE), "{data:?}"),
            None => break,
        }
        read += 1;
    }
    drop(into);
    let status = child.wait().unwrap();
    assert_eq!(read, 64, "{}", told(&client));
    assert_eq!(status.code(), Some(249), "{}", told(&client));
    assert!(
        told(&client).contains("more than 64 files"),
        "{}",
        told(&client)
    );
    gateway.quiet();
    assert_eq!(events(&gateway, "content.opened").len(), 64);
    let mut verify = Command::new(program("ampgate-replay"));
    verify
        .args(["verify", "--key"])
        .arg(gateway.dir.join("keys/sealing.pub"))
        .arg("--journal")
        .arg(gateway.dir.join("state/journal"))
        .arg("--store")
        .arg(gateway.recordings());
    run(verify, b"").good().says("65 recordings: 65 intact");
}
