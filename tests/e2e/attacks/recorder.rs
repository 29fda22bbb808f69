//! In: commands in disguise, disks that fail or fill. Out: every byte that was relayed is in a recording, or there is no session.
//! Never: the gateway's word for it: what the client got is compared with what the file holds.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use ampgate_tests::{
    A, Gateway, Land, Via, bed,
    gateway::files_below,
    outcome::{run, until},
    terminal::talk,
};

/// Row 1: whatever a command looks like, what the operator got is what the recording has. 200 of them, with and
/// without a terminal, over one connection.
#[test]
fn row_01_disguised_commands_are_recorded() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    let faces = [
        "scp -t x",
        "scp -f /etc/hostname",
        "scp -r -p -t /tmp",
        "/usr/bin/scp -t .",
        "rsync --server -logDtpre.iLsfxC . /tmp",
        "rsync --server --sender . /etc/hostname",
        "sftp-server",
        "/usr/lib/openssh/sftp-server",
        "internal-sftp",
        "git-upload-pack x",
        "git-receive-pack x",
        "git-shell -c x",
        "svnserve -t",
        "cvs server",
        "mosh-server new",
        "borg serve",
        "rdiff-backup --server",
        "unison -server",
        "ansible-command",
        "/bin/sh -c :",
        "true; scp",
        "(: scp -t)",
        " scp -t x",
        "\tscp -t x",
        "SCP -t x",
    ];
    let mut commands = Vec::new();
    for (n, face) in faces.iter().enumerate() {
        for (m, disguise) in [
            "{face} </dev/null; {work}",
            "{work}; {face} </dev/null",
            "{face} </dev/null & {work}; wait",
            "{work} # {face}",
        ]
        .iter()
        .enumerate()
        {
            let work = format!(
                "printf 'disguise-{n}-{m}-%s\\n' $(seq 20); printf '\\377\\000\\033[31m' >&2"
            );
            commands.push(disguise.replace("{face}", face).replace("{work}", &work));
        }
    }
    // Once without and once with a terminal.
    let commands: Vec<(String, bool)> = commands
        .iter()
        .map(|c| (format!(": plain; {c}"), false))
        .chain(commands.iter().map(|c| (format!(": pty; {c}"), true)))
        .collect();
    assert_eq!(commands.len(), 200);
    let (way, host) = client.way(Via::Jump, Land::Plain, &A);
    let mux = format!("-oControlPath={}/one", client.home().display());
    let mut master = client.command("ssh");
    master
        .args(&way)
        .arg(&mux)
        .args(["-fNM", &host])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    assert!(master.status().unwrap().success());
    for (command, pty) in &commands {
        let mut ssh = client.command("ssh");
        ssh.args(&way)
            .arg(&mux)
            .arg(if *pty { "-tt" } else { "-T" })
            .arg(&host)
            .arg(command);
        let got = if *pty {
            talk(&ssh, "24x80", &[])
        } else {
            run(ssh, b"")
        };
        let seen = gateway.seen_as(command);
        assert_eq!(
            String::from_utf8_lossy(&seen.stdout),
            got.out(),
            "stdout of {command:?}"
        );
        assert_eq!(
            String::from_utf8_lossy(&seen.stderr),
            got.err(),
            "stderr of {command:?}"
        );
        assert!(
            got.out().contains("disguise-"),
            "{command:?} did not run: {got:?}"
        );
    }
    // And what the journal says of relayed and recorded is equal for each.
    let closed: Vec<_> = gateway
        .journal()
        .into_iter()
        .filter(|e| e.to_string().contains("\"recording.closed\""))
        .collect();
    for event in &closed {
        let text = event.to_string();
        assert_eq!(
            number(&text, "relayed"),
            number(&text, "recorded"),
            "{text}"
        );
    }
    assert!(closed.len() >= 199, "{} recordings closed", closed.len());
}

fn number(text: &str, name: &str) -> u64 {
    let at = text
        .find(&format!("\"{name}\":"))
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        + name.len()
        + 3;
    text[at..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .unwrap()
}

/// A tmpfs of `size` for recordings; gone with the bed.
pub(crate) fn small_disk(name: &str, size: &str) -> PathBuf {
    let dir = bed().directory(name);
    let mut mount = Command::new("mount");
    mount
        .args([
            "-t",
            "tmpfs",
            "-o",
            &format!("size={size},mode=755"),
            "tmpfs",
        ])
        .arg(&dir);
    run(mount, b"").good();
    dir
}

/// Numbers without an end, until nobody reads them: twenty that went on would take the processor from every later test.
fn flood(gateway: &Gateway) -> (ampgate_tests::Client, Child) {
    let client = gateway.client("alice");
    let out = fs::File::create(client.home().join("out")).unwrap();
    let err = fs::File::create(client.home().join("err")).unwrap();
    let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &[]);
    let child = ssh
        .arg("while seq 1000; do sleep 0.02; done")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .unwrap();
    (client, child)
}

fn ends(child: &mut Child) -> i32 {
    until("the session ended", Duration::from_secs(60), || {
        child.try_wait().unwrap().is_some()
    });
    child.wait().unwrap().code().unwrap_or(-1)
}

/// Row 2, before: no recording, no session. The octavia key is not used, no upstream is opened.
#[test]
fn row_02_no_recording_no_session() {
    let disk = small_disk("readonly", "64m");
    let gateway = Gateway::start(|setup| setup.recordings(&disk.join("recordings")));
    let client = gateway.client("alice");
    client.exec(Via::Jump, Land::Plain, &A, "true", b"").good();
    let remount = |how: &str| {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]).arg(&disk);
        run(mount, b"").good();
    };
    gateway.quiet();
    remount("ro");
    let opened = |gateway: &Gateway| {
        gateway
            .journal()
            .iter()
            .filter(|e| e.to_string().contains("\"upstream.opened\""))
            .count()
    };
    let signed = gateway.log().matches("result=\"signed\"").count();
    for via in [Via::Jump, Via::Syntax] {
        let refused = client.exec(via, Land::Plain, &A, "echo never", b"");
        assert_eq!(
            (refused.code, refused.out()),
            (Some(254), String::new()),
            "{refused:?}"
        );
        refused.complains("ampgate: ").complains("recording");
    }
    assert_eq!(
        opened(&gateway),
        1,
        "an upstream was opened without a recording"
    );
    assert_eq!(
        gateway.log().matches("result=\"signed\"").count(),
        signed,
        "the octavia key was used without a recording"
    );
    remount("rw");
    client.exec(Via::Jump, Land::Plain, &A, "true", b"").good();
}

/// Row 2, during: each system call that the recorder makes fails once with EIO (strace injects it): the session ends with
/// a sentence and status 254, and what the client got until then is in the file.
#[test]
fn row_02_a_write_error_ends_the_session() {
    for call in ["write", "fdatasync,fsync"] {
        let gateway = Gateway::start(|_| {});
        let (client, mut child) = flood(&gateway);
        until("there is output", Duration::from_secs(30), || {
            fs::metadata(client.home().join("out")).is_ok_and(|m| m.len() > 100_000)
        });
        let cast = gateway.casts().pop().unwrap();
        let pid = gateway.relay().as_raw_nonzero().to_string();
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-qq", "-p", &pid, "-P"])
            .arg(&cast)
            .args([
                "-e",
                &format!("trace={call}"),
                "-e",
                &format!("inject={call}:error=EIO"),
            ]);
        let mut strace = strace
            .args(["-o", "/dev/null"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let status = ends(&mut child);
        strace.kill().ok();
        strace.wait().ok();
        let said = fs::read_to_string(client.home().join("err")).unwrap();
        assert_eq!(status, 254, "{call}: {said}");
        assert!(
            said.contains("ampgate: the recording cannot be written"),
            "{call}: {said}"
        );
        let got = fs::read(client.home().join("out")).unwrap();
        let seen = ampgate_tests::seen::Seen::read(&cast);
        assert!(
            seen.stdout.starts_with(&got),
            "{call}: the client has {} bytes, the recording {}",
            got.len(),
            seen.stdout.len()
        );
        // Others are not hurt, and new sessions are recorded again.
        client.exec(Via::Jump, Land::Plain, &A, "true", b"").good();
    }
}

/// Row 2: a recording that vanished, a limit that was passed: each ends the session, none goes on in silence.
#[test]
fn row_02_past_the_limit_it_ends_with_a_sentence() {
    let gateway = Gateway::start(|setup| setup.set("recording", "max_size = \"1MiB\""));
    let client = gateway.client("alice");
    let ended = client.exec(Via::Jump, Land::Plain, &A, "yes", b"");
    assert_eq!(ended.code, Some(254), "{:?}", ended.err());
    let said = ended.err();
    assert!(said.contains("limit of 1"), "{said}");
    let seen = gateway.seen().pop().unwrap();
    assert!(
        seen.stdout.starts_with(&ended.stdout),
        "the client has more than the recording"
    );
    assert!(
        seen.sealed() && seen.markers.iter().any(|m| m.contains("limit")),
        "{:?}",
        seen.markers
    );
}

/// Row 12: both streams, resizes, broken UTF-8, in order, each read back from the file exactly as it was.
#[test]
fn row_12_everything_written_is_read_back() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    let odd = client.exec(Via::Jump, Land::Plain, &A, "python3 -c 'import os,random\nrandom.seed(3)\nfor n in range(400): os.write(1 + n % 2, random.randbytes(random.choice([0, 1, 2, 3, 700])) + \"\u{e4}\u{20ac}\u{1f980}\".encode()[: n % 10])'; exit 17", b"").exits(17);
    let seen = gateway.seen_with("random.seed(3)");
    assert!(
        seen.stdout == odd.stdout && seen.stderr == odd.stderr,
        "other bytes in the recording"
    );
    assert_eq!(seen.exit.as_deref(), Some("17"));
    assert_eq!(
        (
            seen.fact("user"),
            seen.fact("landing"),
            seen.fact("action"),
            seen.fact("amphora")
        ),
        ("alice", "plain", "exec", A.id)
    );
    assert!(seen.sealed(), "{:?}", seen.proofs);

    let ssh = {
        let mut ssh = client.ssh(Via::Jump, Land::Root, &A, &["-tt"]);
        ssh.arg("trap 'stty size' WINCH; printf '\\303'; sleep 0.1; printf '\\244 ready\\n'; while :; do read -t 0.1 x && kill -TERM $$; done");
        ssh
    };
    let shown = talk(
        &ssh,
        "30x100",
        &[
            "expect ready",
            "resize 55 144",
            "expect 55 144",
            "resize 9 33",
            "expect 9 33",
            r"send \r",
        ],
    );
    let seen = gateway.seen_with("trap 'stty size'");
    assert_eq!(String::from_utf8_lossy(&seen.stdout), shown.out());
    assert_eq!(seen.sizes, ["144x55", "33x9"]);
    assert_eq!(
        (
            seen.header["term"]["cols"].as_u64(),
            seen.header["term"]["rows"].as_u64()
        ),
        (Some(100), Some(30))
    );
    assert_eq!(seen.signal.as_deref(), Some("TERM"));
}

/// Row 18: the disk fills during 20 sessions: each ends with a sentence, new ones are refused early with a reason, and
/// as soon as there is space again everything works.
#[test]
fn row_18_a_full_disk_is_said_and_survived() {
    let disk = small_disk("small", "24m");
    let mut gateway = Gateway::start(|setup| {
        setup.recordings(&disk.join("recordings"));
        setup.set("recording", "reserve = \"4MiB\"");
    });
    let mut floods: Vec<_> = (0..20).map(|_| flood(&gateway)).collect();
    for (client, child) in &mut floods {
        assert_eq!(ends(child), 254);
        let said = fs::read_to_string(client.home().join("err")).unwrap();
        assert!(
            said.contains("ampgate: ") && said.contains("recording"),
            "{said}"
        );
    }
    assert!(gateway.alive());
    let client = gateway.client("alice");
    let refused = client.exec(Via::Jump, Land::Plain, &A, "echo never", b"");
    assert_eq!(
        (refused.code, refused.out()),
        (Some(254), String::new()),
        "{refused:?}"
    );
    assert!(
        ["space", "full", "room"]
            .iter()
            .any(|word| refused.err().contains(word)),
        "{refused:?}"
    );
    // What each client got is in its recording, although the disk was full at the end.
    let recorded = gateway.seen();
    for (client, _) in &floods {
        let got = fs::read(client.home().join("out")).unwrap();
        assert!(
            recorded.iter().any(|seen| seen.stdout.starts_with(&got)),
            "a client has {} bytes that no recording has",
            got.len()
        );
    }
    remove_casts(&gateway.recordings());
    thread::sleep(Duration::from_millis(100));
    client.exec(Via::Jump, Land::Plain, &A, "true", b"").good();
}

/// Row 18, before: an alarm comes while there is still room; below the reserve only those begin whom policy permits
/// break-glass, down to a smaller one, and they are told; and all of it is in the journal, once.
#[test]
fn row_18_an_alarm_first_and_a_glass_to_break() {
    let disk = small_disk("glass", "24m");
    let gateway = Gateway::start(|setup| {
        setup.recordings(&disk.join("recordings"));
        setup.set("recording", "reserve = \"12MiB\"");
        setup.set("recording", "low_space = \"16MiB\"");
        setup.set("recording", "break_glass_reserve = \"4MiB\"");
        setup.policy += "@id(\"for a reason\") forbid (principal, action == Action::\"break-glass\", resource) unless { context has reason };";
    });
    let leave = |mib: usize| fs::write(disk.join("ballast"), vec![1; (24 - mib) << 20]).unwrap();
    let events = |name: &str| {
        let mut all = gateway.journal();
        all.retain(|event| event["event"] == name);
        all
    };
    let go = |operator: &str, reason: Option<&str>| {
        let client = gateway.client(operator);
        let reason: Vec<_> = reason
            .map(|why| format!("-oSetEnv=AMPGATE_REASON={why}"))
            .into_iter()
            .collect();
        let options: Vec<_> = reason.iter().map(String::as_str).collect();
        let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &options);
        ssh.arg("echo here");
        run(ssh, b"")
    };
    let refused = |outcome: ampgate_tests::Outcome| {
        assert_eq!(
            (outcome.code, outcome.out()),
            (Some(254), String::new()),
            "{outcome:?}"
        );
        outcome.complains("no more room than is kept in reserve");
    };
    gateway.ampgate(&["status"]).good().says("free in");
    leave(14);
    until("the alarm", Duration::from_secs(30), || {
        !events("disk.low").is_empty()
    });
    gateway.ampgate(&["status"]).good().says("LOW");
    gateway.ampgate(&["doctor"]).exits(1).says("gets low");
    assert_eq!(go("bob", None).good().err(), "");
    leave(8);
    refused(go("dave", Some("INC-1")));
    refused(go("alice", None));
    assert!(events("glass.broken").is_empty());
    let told = go("alice", Some("INC-1")).good();
    assert_eq!(told.out(), "here\n");
    told.complains("this session uses the reserve of the gateway's disk");
    let broken = events("glass.broken");
    assert_eq!(broken.len(), 1);
    assert_eq!(
        (
            &broken[0]["user"],
            &broken[0]["reason"],
            &broken[0]["reserve"]
        ),
        (&"alice".into(), &"INC-1".into(), &(4 << 20).into())
    );
    assert!(
        broken[0]["rules"][0]
            .as_str()
            .unwrap()
            .contains("policy.cedar:2"),
        "{broken:?}"
    );
    assert!(
        gateway
            .seen()
            .iter()
            .any(|seen| seen.markers.iter().any(|m| m.contains("reserve")))
    );
    leave(2);
    refused(go("alice", Some("INC-1")));
    fs::remove_file(disk.join("ballast")).unwrap();
    until("all is well", Duration::from_secs(30), || {
        !events("disk.ok").is_empty()
    });
    assert_eq!(go("bob", None).good().err(), "");
    assert_eq!((events("disk.low").len(), events("disk.ok").len()), (1, 1));
}

fn remove_casts(dir: &Path) {
    for file in ampgate_tests::gateway::files_below(dir) {
        if file.extension().is_some_and(|e| e == "cast") {
            fs::remove_file(file).unwrap();
        }
    }
}

/// Row 13: passwords for `read -s`, sudo, su, a MariaDB client and getpass, in a terminal whose input is recorded. What was
/// typed in sight is there, what was typed unseen is nowhere; nor is a key of it.
#[test]
fn row_13_what_is_typed_unseen_is_in_no_file() {
    let gateway = Gateway::start(|setup| setup.set("recording", "input = \"echoed\""));
    let client = gateway.client("alice");
    let ssh = client.ssh(Via::Jump, Land::Root, &A, &["-tt"]);
    let shown = talk(
        &ssh,
        "24x80",
        &[
            "expect #",
            r"send PS1='re''ady> '\r",
            "expect ready>",
            r"send read -s -p 'co''de: ' x; echo; echo got ${#x}\r",
            "expect code: ",
            r"send qZ7vK2xWread\r",
            "expect got 12",
            "expect ready>",
            r"send setpriv --reuid nosudo --clear-groups sudo id\r",
            "expect for nosudo",
            r"send qZ7vK2xWsudo\r",
            "expect for nosudo",
            r"send \x03",
            "expect ready>",
            r"send su -s /bin/bash -c 'su root' nosudo\r",
            "expect assword",
            r"send qZ7vK2xWsu\r",
            "expect ready>",
            r"send mariadb -h 127.0.0.1 -P 1 -p\r",
            "expect assword",
            r"send qZ7vK2xWmysql\r",
            "expect ready>",
            r#"send python3 -c 'import getpass; getpass.getpass("wo" "rd: ")'\r"#,
            "expect word: ",
            // A password of which the program shows something while it is typed.
            r"send qZ7v",
            r"send K2xWpass\r",
            "expect ready>",
            r"send head -n 1 /etc/hostname >/dev/null; exit 7\r",
        ],
    );
    assert_eq!(shown.code, Some(7), "{shown:?}");
    gateway.quiet();
    let path = gateway.casts().pop().unwrap();
    let cast = fs::read_to_string(&path).unwrap();
    let typed: String = cast
        .lines()
        .filter(|line| line.starts_with('['))
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event[1] == "i")
        .map(|event| event[2].as_str().unwrap().to_owned())
        .collect();
    for command in [
        "mariadb -h 127.0.0.1 -P 1 -p\r",
        "getpass.getpass",
        "exit 7\r",
    ] {
        assert!(
            typed.contains(command),
            "{command:?} is missing in {typed:?}"
        );
    }
    let hidden = cast.matches("not shown by the terminal").count();
    assert!(hidden >= 5, "{hidden} markers: {cast}");
    let state = gateway.dir.join("state");
    let everything = files_below(&gateway.dir.join("recordings"))
        .into_iter()
        .chain(files_below(&state));
    for file in everything {
        let bytes = fs::read(&file).unwrap();
        for part in ["qZ7v", "K2xW", "Wread", "Wsudo", "Wmysql", "Wpass"] {
            let found = bytes
                .windows(part.len())
                .any(|found| found == part.as_bytes());
            assert!(!found, "{part} is in {}: {cast}", file.display());
        }
    }
}

/// Row 17: what leaves the terminal goes on, unrecorded, as SECURITY.md says. The line that began it is in the recording.
#[test]
fn row_17_what_leaves_the_terminal_is_begun_on_record() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    let ways = [
        ("setsid", "setsid sh -c 'JOB' </dev/null >/dev/null 2>&1 &"),
        ("nohup", "nohup sh -c 'JOB' </dev/null >/dev/null 2>&1 &"),
        ("daemon", "(sh -c 'JOB' </dev/null >/dev/null 2>&1 &)"),
    ];
    for (name, way) in ways {
        // It waits for a file that comes after the session's end, and answers with another.
        let job = format!(
            "n=0; while [ ! -e /tmp/row17-go ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n+1)); done; echo outlived >/tmp/row17-{name}"
        );
        client
            .exec(Via::Jump, Land::Plain, &A, &way.replace("JOB", &job), b"")
            .good();
    }
    gateway.quiet();
    let told: String = files_below(&gateway.recordings())
        .iter()
        .map(|file| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned())
        .collect();
    for (name, _) in ways {
        assert!(told.contains(&format!("/tmp/row17-{name}")), "{told}");
        assert!(
            !bed()
                .inside(&A, &format!("cat /tmp/row17-{name}"))
                .out()
                .contains("outlived")
        );
    }
    bed().inside(&A, "touch /tmp/row17-go").good();
    until(
        "all of them have outlived their sessions",
        Duration::from_secs(60),
        || {
            ways.iter().all(|(name, _)| {
                bed()
                    .inside(&A, &format!("cat /tmp/row17-{name}"))
                    .out()
                    .contains("outlived")
            })
        },
    );
    assert_eq!(
        files_below(&gateway.recordings()).len(),
        ways.len(),
        "nothing was recorded of what came after"
    );
    bed().inside(&A, "rm -f /tmp/row17-*").good();
}
