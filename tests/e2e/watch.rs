//! In: live sessions and recordings of others, and people who may see them, or may not.
//! Out: what they see, by real terminals; what the operator notices of it, and the journal.
//! Never: a picture that is compared with our own drawing of it: the other terminal is tmux's.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use ampgate_tests::{
    A, BARE, Client, Gateway, Land, Outcome, Pane, Setup, Via,
    amphorae::Entry,
    bed::project,
    gateway::{POLICY, files_below, program},
    outcome::{run, until},
    terminal::talk,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::replay::is_drawing;

const SOON: Duration = Duration::from_secs(30);

/// carol is an auditor here: she lands nowhere.
fn with_auditor(setup: &mut Setup) {
    setup.policy = POLICY.to_owned()
        + r#"permit (principal == User::"carol", action in [Action::"watch", Action::"replay"], resource);"#;
}

/// `ssh [-tt] gateway WORDS`
fn desk(client: &Client, terminal: bool, words: &[&str]) -> Command {
    let mut ssh = client.command("ssh");
    ssh.arg("-F").arg(client.config());
    if terminal {
        ssh.arg("-tt");
    }
    ssh.arg("gateway").args(words);
    ssh
}

fn on(client: &Client, amphora: &Entry, command: &str) -> Command {
    let mut ssh = client.ssh(Via::Jump, Land::Plain, amphora, &["-tt"]);
    ssh.arg(command);
    ssh
}

/// The id of the one session that is live.
fn the_session(gateway: &Gateway) -> String {
    let mut id = None;
    until("one session is live", SOON, || {
        let live = gateway.sessions(&["--live"]);
        let first = live.first().filter(|row| row["outcome"] == "live");
        id = first.and_then(|row| row["id"].as_str().map(str::to_owned));
        id.is_some()
    });
    id.unwrap()
}

fn events(gateway: &Gateway, name: &str) -> Vec<Value> {
    let mut all = gateway.journal();
    all.retain(|event| event["event"] == name);
    all
}

#[track_caller]
fn event(gateway: &Gateway, name: &str, user: &str) -> Value {
    let mut found = None;
    until(name, SOON, || {
        found = events(gateway, name)
            .into_iter()
            .rfind(|e| e["user"] == user);
        found.is_some()
    });
    found.unwrap()
}

/// Both show the same, but for the watcher's status line.
#[track_caller]
fn same(operator: &Pane, watcher: &Pane, rows: usize) {
    let mut both = (Vec::new(), Vec::new());
    let equal = (0..400).any(|_| {
        both = (operator.screen(), watcher.screen());
        both.0.resize(rows, String::new());
        both.1.resize(rows + 1, String::new());
        both.1.truncate(rows);
        std::thread::sleep(Duration::from_millis(50));
        both.0 == both.1
    });
    assert!(equal, "operator {:#?}\nwatcher {:#?}", both.0, both.1);
}

/// A full-screen editor, joined late, by SSH and by the control socket, in Korean, and through changes of size.
#[test]
fn a_late_watcher_sees_the_operators_screen() {
    let gateway = Gateway::start(|setup| {
        with_auditor(setup);
        setup.set("watch", "tell = false");
    });
    let (alice, carol) = (gateway.client("alice"), gateway.client("carol"));
    let vim = on(
        &alice,
        &A,
        "LANG=C.UTF-8 TERM=screen-256color vim -u NONE -i NONE -n --cmd 'set encoding=utf-8' /tmp/watched",
    );
    let operator = Pane::start(&vim, (80, 24));
    operator.expect("~");
    operator.types(&[
        "i",
        "first line",
        "Enter",
        "안녕하세요 세계",
        "Enter",
        "\tindented",
    ]);
    operator.expect("indented");
    let id = the_session(&gateway);
    let watcher = Pane::start(&desk(&carol, true, &["watch", &id[..12]]), (80, 25));
    watcher.expect("live | alice ->");
    same(&operator, &watcher, 24);
    operator.types(&["Enter", "and more", "Escape", "gg", "dd"]);
    same(&operator, &watcher, 24);
    let local = gateway.command(&["watch", &id]);
    let local = Pane::start(&local, (80, 25));
    local.expect("2 watch");
    same(&operator, &local, 24);
    operator.resize(100, 30);
    watcher.expect("part of 100x30");
    watcher.resize(100, 31);
    same(&operator, &watcher, 30);
    local.types(&["q"]);
    event(&gateway, "watch.ended", "root");
    operator.types(&["Escape", ":q!", "Enter"]);
    watcher.expect("the session has ended");
    let ended = event(&gateway, "watch.ended", "carol");
    assert_eq!(
        (&ended["reason"], &ended["session"], &ended["method"]),
        (&"session ended".into(), &id.as_str().into(), &"ssh".into())
    );
    assert_eq!(
        event(&gateway, "watch.started", "carol")["session"],
        id.as_str()
    );
    assert_eq!(
        event(&gateway, "watch.started", "root")["method"],
        "control"
    );
}

/// Row 11: what a session prints acts on its operator's terminal, and only draws on a watcher's.
#[test]
fn row_11_a_hostile_session_only_draws_for_the_watcher() {
    let gateway = Gateway::start(with_auditor);
    let (alice, carol) = (gateway.client("alice"), gateway.client("carol"));
    let hostile = r#"printf '\033]52;c;b3duZWQ=\007\033]0;owned\007\033P$q"p\033\\\033[c\033[6n\033[?1000h\033]8;;http://x/\007link\033]8;;\007\302\2330;owned\302\234needle'; exec sleep 600"#;
    let operator = Pane::start(&on(&alice, &A, hostile), (80, 24));
    operator.expect("needle");
    let id = the_session(&gateway);
    let watch = desk(&carol, true, &["watch", &id]);
    let seen = talk(&watch, "24x80", &["expect needle", "send q"]).good();
    is_drawing(&seen.out());
    assert!(seen.out().contains("link") && !seen.out().contains("52;c"));
    let local = gateway.command(&["watch", &id]);
    let seen = talk(&local, "24x80", &["expect needle", "send q"]).good();
    is_drawing(&seen.out());
    drop(operator);
    gateway.quiet();
    // The recording of it, played by the gateway, likewise.
    let play = desk(&carol, true, &["replay", &id]);
    let script = [
        "expect needle",
        "expect end",
        "send /needle\\r",
        "expect of ",
        "send /nowhere\\r",
        "expect not found",
        "send q",
    ];
    let seen = talk(&play, "24x120", &script).good();
    is_drawing(&seen.out());
    let ended = event(&gateway, "replay.ended", "carol");
    assert_eq!(
        (&ended["how"], &ended["session"]),
        (&"play".into(), &id.as_str().into())
    );
    // Without a terminal there is no picture, and the file goes to nobody who did not ask for it.
    let (code, said) = answer(&run(desk(&carol, false, &["replay", &id]), b""));
    assert!(
        code == Some(253) && said.contains("needs a terminal"),
        "{said}"
    );
    // What was changed says so all the time.
    let file = files_below(&gateway.recordings())
        .into_iter()
        .find(|file| file.file_stem().is_some_and(|stem| stem == id.as_str()))
        .unwrap();
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, whole.replacen("needle", "noodle", 1)).unwrap();
    talk(&play, "24x80", &["expect NOT INTACT: altered", "send q"]).good();
}

struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A watcher who never reads, and one that is stopped: the session they watch is as whole and goes on as before.
#[test]
fn a_stuck_watcher_holds_up_nobody() {
    let gateway = Gateway::start(with_auditor);
    let (alice, carol) = (gateway.client("alice"), gateway.client("carol"));
    let flood =
        "echo ready; read x; seq 1500000 | tail -n 1500000; printf 'all-done'; exec sleep 600";
    let operator = Pane::start(&on(&alice, &A, flood), (80, 24));
    operator.expect("ready");
    let id = the_session(&gateway);
    let mut stuck = desk(&carol, true, &["watch", &id]);
    let stuck = stuck
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let stuck = Stopped(stuck.spawn().unwrap());
    event(&gateway, "watch.started", "carol");
    kill_process(Pid::from_child(&stuck.0), Signal::STOP).unwrap();
    let watcher = Pane::start(&desk(&carol, true, &["watch", &id]), (80, 25));
    watcher.expect("2 watch");
    operator.types(&["Enter"]);
    operator.expect("all-done");
    // Whoever reads has the newest picture, however much was passed over before it.
    watcher.expect("all-done");
    watcher.expect("1500000");
    drop(operator);
    gateway.quiet();
    until("the recording is whole", SOON, || {
        gateway.seen()[0].stdout.ends_with(b"all-done")
    });
}

/// A program that has the whole screen keeps its picture when the operator is told something, and they find it in the shell
/// again afterwards.
#[test]
fn what_is_told_spoils_no_programs_screen() {
    let gateway = Gateway::start(with_auditor);
    let (alice, carol) = (gateway.client("alice"), gateway.client("carol"));
    let full = r"printf 'before\r\n\033[?1049h\033[H'; for n in $(seq 1 23); do printf 'row %02d\r\n' $n; done; printf 'cursor> '; head -n 1; printf '\033[?1049l'; echo after; exec sleep 600";
    let operator = Pane::start(&on(&alice, &A, full), (80, 24));
    operator.expect("cursor>");
    let before = operator.screen();
    let id = the_session(&gateway);
    let watch = desk(&carol, true, &["watch", &id]);
    talk(&watch, "26x80", &["expect watches this session", "send q"]).good();
    operator.expect("carol watches this session");
    let during = operator.screen();
    assert_eq!(during[..23], before[..23], "{during:#?}");
    assert!(
        during[23].starts_with("ampgate: carol watches"),
        "{during:#?}"
    );
    operator.types(&["x", "Enter"]);
    operator.expect("after");
    operator.expect("carol watches this session");
    assert!(
        operator
            .screen()
            .iter()
            .any(|row| row.starts_with("before"))
    );
}

/// Whoever may end a session does so from where it is watched, and who may only watch does not.
#[test]
fn it_is_ended_from_there_and_the_operator_told() {
    let gateway = Gateway::start(with_auditor);
    let (alice, carol, dave) = (
        gateway.client("alice"),
        gateway.client("carol"),
        gateway.client("dave"),
    );
    let operator = Pane::start(&on(&dave, &A, "echo ready; exec sleep 600"), (80, 24));
    operator.expect("ready");
    let id = the_session(&gateway);
    let watch = desk(&carol, true, &["watch", &id]);
    let script = [
        "expect live |",
        "send kno reason\\r",
        "expect you may not kill it",
        "send q",
    ];
    talk(&watch, "24x160", &script).good();
    operator.expect("carol watches this session");
    assert_eq!(event(&gateway, "watch.refused", "carol")["action"], "kill");
    assert_eq!(gateway.sessions(&["--live"]).len(), 1);
    let watch = desk(&alice, true, &["watch", &id]);
    let script = [
        "expect live |",
        "send k",
        "expect because",
        "send \\r",
        "expect say why",
        "send kwrong box\\r",
        "expect the session has ended",
    ];
    talk(&watch, "24x160", &script).good();
    operator.expect("this session was ended by alice: wrong box");
    gateway.quiet();
    let killed = &events(&gateway, "session.killed")[0];
    assert_eq!(
        (&killed["by"], &killed["reason"], &killed["session"]),
        (&"alice".into(), &"wrong box".into(), &id.as_str().into())
    );
}

/// How a door answers, without the id at the end of a sentence.
fn answer(outcome: &Outcome) -> (Option<i32>, String) {
    let all = outcome.out() + &outcome.err();
    let said = all.split(" session 01").next().unwrap_or_default();
    (outcome.code, said.trim().to_owned())
}

/// Row 14: each door to what others do, by everybody.
#[test]
fn row_14_every_door_asks_policy() {
    let gateway = Gateway::start(with_auditor);
    let alice = gateway.client("alice");
    let operator = Pane::start(&on(&alice, &BARE, "echo ready; exec sleep 600"), (80, 24));
    operator.expect("ready");
    let id = the_session(&gateway);
    let unknown = "01M83T6P2ESH3FN762TGK9EQE9";
    let doors: [(&str, bool, &[&str]); 5] = [
        ("watch", true, &[]),
        ("replay", true, &[]),
        ("replay", false, &["--file"]),
        ("kill", false, &["because"]),
        ("sessions", false, &[]),
    ];
    // Nobody: a key that no user has.
    let nobody = Client::new(&gateway, "alice", &alice.new_key("stranger"));
    for (word, terminal, rest) in doors {
        let ssh = desk(&nobody, terminal, &[&[word, id.as_str()], rest].concat());
        assert_eq!(talk(&ssh, "24x80", &[]).code, Some(255), "{word}");
    }
    // A user who lands on this very amphora, and one of another project: neither learns that there is a session.
    for user in ["dave", "bob", "erin"] {
        let client = gateway.client(user);
        for (word, terminal, rest) in doors {
            let ask = |id: &str| {
                let words = if word == "sessions" {
                    vec![word]
                } else {
                    [&[word, id], rest].concat()
                };
                let ssh = desk(&client, terminal, &words);
                answer(&if terminal {
                    talk(&ssh, "24x80", &[])
                } else {
                    run(ssh, b"")
                })
            };
            let (theirs, none) = (ask(&id), ask(unknown));
            assert_eq!(theirs, none, "{user} {word}");
            match word {
                "sessions" => assert_eq!(theirs.1, "no live session that you may watch"),
                _ => {
                    assert_eq!(theirs.0, Some(253), "{user} {word}: {theirs:?}");
                    assert!(theirs.1.contains("there is no such session"), "{theirs:?}");
                }
            }
        }
        let refused = event(&gateway, "replay.refused", user);
        assert_eq!(refused["asked"], unknown);
        let of_watch = events(&gateway, "watch.refused");
        let mine = of_watch.iter().filter(|e| e["user"] == user);
        assert_eq!(
            mine.count(),
            4,
            "watch and kill, known and unknown: {of_watch:?}"
        );
    }
    // The auditor sees it and ends nothing.
    let carol = gateway.client("carol");
    run(desk(&carol, false, &["sessions"]), b"")
        .good()
        .says(&id);
    let listed = run(desk(&carol, false, &["sessions", "--json"]), b"")
        .good()
        .out();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed[0]["session"], &listed[0]["user"]),
        (&id.as_str().into(), &"alice".into())
    );
    talk(
        &desk(&carol, true, &["watch", &id]),
        "24x80",
        &["expect live |", "send q"],
    )
    .good();
    let file = run(desk(&carol, false, &["replay", &id, "--file"]), b"").good();
    assert!(file.out().contains(&id), "{file:?}");
    assert_eq!(
        event(&gateway, "replay.ended", "carol")["bytes"],
        file.stdout.len()
    );
    let (code, said) = answer(&run(desk(&carol, false, &["kill", &id, "because"]), b""));
    assert_eq!(code, Some(253), "{said}");
    // She lands nowhere by it.
    carol
        .exec(Via::Jump, Land::Plain, &BARE, "id", b"")
        .exits(255);
    assert_eq!(gateway.sessions(&["--live"]).len(), 1);
    // What a refused door lets out: nothing that was recorded.
    run(desk(&alice, false, &["kill", &id, "because"]), b"").good();
    operator.expect("this session was ended by alice: because");
    gateway.quiet();
    assert_eq!(events(&gateway, "session.killed").len(), 1);
    // The same when it is over, and after its amphora has left the inventory: what is remembered decides.
    let inventory = gateway.dir.join("inventory.toml");
    let text = fs::read_to_string(&inventory).unwrap();
    fs::write(
        &inventory,
        text.replace(BARE.id, "c0ffee11-4d2a-4e8b-b7f5-9a3c6d1e0f99"),
    )
    .unwrap();
    gateway.signal(Signal::HUP);
    until("it is reloaded", SOON, || {
        !events(&gateway, "config.reloaded").is_empty()
    });
    run(desk(&carol, false, &["replay", &id, "--file"]), b"").good();
    let bob = gateway.client("bob");
    run(desk(&bob, false, &["replay", &id, "--file"]), b"").exits(253);
}

/// Rights that end while somebody watches.
#[test]
fn a_watcher_whose_right_ends_sees_no_more() {
    let gateway = Gateway::start(with_auditor);
    let (alice, carol) = (gateway.client("alice"), gateway.client("carol"));
    let operator = Pane::start(&on(&alice, &A, "echo ready; exec sleep 600"), (80, 24));
    operator.expect("ready");
    let id = the_session(&gateway);
    let watcher = Pane::start(&desk(&carol, true, &["watch", &id]), (80, 25));
    watcher.expect("live |");
    fs::write(gateway.dir.join("policy.cedar"), POLICY).unwrap();
    gateway.signal(Signal::HUP);
    watcher.expect("watching ends: the policy no longer allows it");
    let ended = event(&gateway, "watch.ended", "carol");
    assert_eq!(ended["reason"], "no longer allowed");
    assert_eq!(gateway.sessions(&["--live"]).len(), 1);
}

/// A sealed session is watched like any other; its recording goes to its auditor as it is, and is played there.
#[test]
fn a_sealed_session_is_watched_and_its_recording_fetched() {
    let identity = project().join("crates/recording/fixtures/auditor-1.age");
    let text = fs::read_to_string(&identity).unwrap();
    let recipient = text.lines().find_map(|l| l.strip_prefix("# public key: "));
    let recipient = recipient.unwrap().to_owned();
    let gateway = Gateway::start(|setup| {
        with_auditor(setup);
        setup.set("recording", &format!("recipients = [{recipient:?}]"));
    });
    let (alice, carol) = (gateway.client("alice"), gateway.client("carol"));
    let operator = Pane::start(
        &on(&alice, &A, "echo sealed-words; exec sleep 600"),
        (80, 24),
    );
    operator.expect("sealed-words");
    let id = the_session(&gateway);
    let watch = desk(&carol, true, &["watch", &id]);
    talk(&watch, "24x80", &["expect sealed-words", "send q"]).good();
    drop(operator);
    gateway.quiet();
    let told = talk(&desk(&carol, true, &["replay", &id]), "24x160", &[]).exits(253);
    let command = format!("replay {id} --file | ampgate-replay play --identity KEY -");
    told.says(&command);
    let file = run(desk(&carol, false, &["replay", &id, "--file"]), b"").good();
    assert!(!file.out().contains("sealed-words"));
    let mut play = Command::new(program("ampgate-replay"));
    play.args(["play", "--no-controls", "--speed", "1000", "--identity"]);
    play.arg(&identity).arg("-");
    let played = run(play, &file.stdout);
    assert!(played.out().contains("sealed-words"), "{played:?}");
}
