//! In: a gateway that leaves its journal's head in a file, a syslog and over https. Out: a past that nobody rewrites unseen.
//! Never: an anchor that counts without the sealing key's signature.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use ampgate_tests::{
    A, Gateway, Land, Outcome, TlsProxy, Via,
    bed::{bed, script},
    gateway::{files_below, program},
    outcome::{run, until},
};

/// Takes what is posted to it.
struct Keeper {
    child: Child,
    kept: PathBuf,
    url: String,
}

impl Keeper {
    fn start(dir: &Path) -> Keeper {
        let kept = dir.join("posted");
        let mut python = bed().command("python3");
        let mut child = python
            .arg(script("keeper.py"))
            .arg(&kept)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut port).unwrap();
        Keeper {
            child,
            kept,
            url: format!("http://127.0.0.1:{}", port.trim()),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn verify(gateway: &Gateway, anchors: &Path) -> Outcome {
    let text = |path: PathBuf| path.display().to_string();
    let mut command = Command::new(program("ampgate-replay"));
    command.args([
        "verify",
        "--key",
        &text(gateway.dir.join("keys/sealing.pub")),
    ]);
    command.args(["--journal", &text(gateway.dir.join("state/journal"))]);
    command.args(["--store", &text(gateway.recordings())]);
    command.arg("--anchors").arg(anchors);
    run(command, b"")
}

/// Takes away the last events and their seals, as root could: what is left is a good journal of its own.
#[test]
fn what_was_anchored_cannot_be_taken_back() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let keeper = Keeper::start(elsewhere.path());
    let proxy = TlsProxy::start("anchors", "good", &keeper.url);
    let socket = elsewhere.path().join("log");
    let syslog = UnixDatagram::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    syslog
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let file = elsewhere.path().join("anchors");
    let mut gateway = Gateway::start(|setup| {
        setup.set("anchor", "every = \"1s\"");
        setup.set("anchor", &format!("file = {file:?}"));
        setup.set("anchor", &format!("syslog = {socket:?}"));
        setup.set("anchor", &format!("https = \"{}/ampgate\"", proxy.url));
        setup.set("anchor", &format!("ca_file = {:?}", proxy.ca()));
    });
    gateway
        .client("alice")
        .exec(Via::Jump, Land::Plain, &A, "echo evidence", b"")
        .good();
    gateway.quiet();
    let closed = || {
        let journal = gateway.journal();
        let closed = journal
            .iter()
            .find(|e| e["event"] == "session.closed")
            .unwrap();
        closed["seq"].as_u64().unwrap()
    };
    let closed = closed();
    let anchored = |text: &str| {
        text.lines()
            .filter_map(|line| line.split_once("\"head\":\""))
            .filter_map(|(_, rest)| rest.split_once(':')?.0.parse::<u64>().ok())
            .max()
    };
    let reaches = |path: &Path| {
        fs::read_to_string(path).is_ok_and(|text| anchored(&text).is_some_and(|seq| seq >= closed))
    };
    until("file and https have it", Duration::from_secs(90), || {
        reaches(&file) && reaches(&keeper.kept)
    });
    let mut said = String::new();
    while anchored(&said).is_none_or(|seq| seq < closed) {
        let mut bytes = [0; 4096];
        let length = syslog.recv(&mut bytes).unwrap();
        said += &(String::from_utf8_lossy(&bytes[..length]).into_owned() + "\n");
    }
    assert!(
        said.starts_with("<109>") && said.contains(" ampgate-anchor["),
        "{said}"
    );
    let log = elsewhere.path().join("syslog");
    fs::write(&log, said).unwrap();
    gateway.signal(rustix::process::Signal::TERM);
    gateway.ended();
    for anchors in [&file, &keeper.kept, &log] {
        verify(&gateway, anchors).good().says("intact");
    }
    // Cut at a line's end, the recording with it: by itself, it is a good journal.
    let segment = files_below(&gateway.dir.join("state/journal"))
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .unwrap();
    let lines = fs::read_to_string(&segment).unwrap();
    let before: Vec<_> = lines
        .split_inclusive('\n')
        .take_while(|line| !line.contains("\"recording.opened\""))
        .collect();
    fs::write(&segment, before.concat()).unwrap();
    for path in files_below(&gateway.recordings()) {
        fs::remove_file(path).unwrap();
    }
    let mut alone = Command::new(program("ampgate-replay"));
    alone
        .args(["verify", "--key"])
        .arg(gateway.dir.join("keys/sealing.pub"));
    alone
        .arg("--journal")
        .arg(gateway.dir.join("state/journal"));
    run(alone, b"").good();
    for anchors in [&file, &keeper.kept, &log] {
        verify(&gateway, anchors)
            .exits(22)
            .says("truncated: the last line number is");
    }
    // Anchors that somebody else signed are none.
    let forged = fs::read_to_string(&file)
        .unwrap()
        .replace("\"signature\":\"", "\"signature\":\"00");
    fs::write(&log, forged).unwrap();
    verify(&gateway, &log)
        .exits(1)
        .complains("no anchor that the trusted sealing key signed");
}
