//! In: what a deployer and a security admin do. Out: faults with places, answers with rules, changes without a gap.
//! Never: a change half made.

use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Command, time::Duration};

use ampgate_tests::{
    A, BARE, Gateway, Land, Via, bed, gateway,
    gateway::{POLICY, files_below, program},
    outcome::{run, until},
    terminal::talk,
};
use rustix::process::Signal;
use serde_json::Value;

fn events(gateway: &Gateway, name: &str) -> Vec<String> {
    gateway
        .journal()
        .iter()
        .map(Value::to_string)
        .filter(|e| e.contains(&format!("\"{name}\"")))
        .collect()
}

#[test]
fn init_makes_a_directory_and_never_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("new");
    let init = || {
        let mut command = Command::new(program("ampgate"));
        command.arg("init").arg(&target);
        run(command, b"")
    };
    let said = init().good().out();
    assert_eq!(
        said.lines()
            .filter(|l| l.trim_start().starts_with("ampgate "))
            .count(),
        3,
        "the next three commands: {said}"
    );
    assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o700);
    for file in files_below(&target) {
        let mode = fs::metadata(&file).unwrap().mode() & 0o777;
        assert!(
            mode == 0o600 || (mode == 0o644 && file.extension().is_some_and(|e| e == "pub")),
            "{} has mode {mode:o}",
            file.display()
        );
    }
    let before: Vec<_> = files_below(&target)
        .iter()
        .map(|f| fs::read(f).unwrap())
        .collect();
    assert_ne!(init().code, Some(0));
    let after: Vec<_> = files_below(&target)
        .iter()
        .map(|f| fs::read(f).unwrap())
        .collect();
    assert_eq!(before, after, "init overwrote something");
    // What it made is a valid configuration.
    let mut check = Command::new(program("ampgate"));
    check
        .arg("--config")
        .arg(target.join("ampgate.toml"))
        .arg("check");
    let said = run(check, b"");
    assert!(matches!(said.code, Some(0 | 64)), "{said:?}");
}

/// Every fault of every file at once, each with its place and a caret; nothing starts with them.
#[test]
fn check_shows_every_fault_with_its_place() {
    let (mut setup, ..) = Gateway::prepare(|_| {});
    setup.set("limits", "conections = 5");
    setup.set("recording", "reserve = \"many\"");
    setup.policy += "permit (principal, action == Action::\"shel\", resource);\n";
    setup.users += "[[user]]\nname = \"bad name\"\nkeys = []\ncolour = 3\n";
    setup.inventory += "\n[[load_balancer.amphora]]\nid = \"not-a-uuid\"\naddress = \"nowhere\"\nlogin_user = \"cloud-user\"\n";
    setup.write();
    for command in ["check", "serve"] {
        let mut ampgate = bed().command(program("ampgate"));
        ampgate
            .arg(command)
            .arg("--config")
            .arg(setup.dir.join("ampgate.toml"));
        let said = run(ampgate, b"").exits(64);
        for text in ["ampgate.toml:", "conections", "many", "^", "-->"] {
            assert!(
                said.err().contains(text),
                "{command}: no {text:?} in {said:?}"
            );
        }
    }
    // With the configuration mended, the faults of the three others are all listed.
    setup.set("limits", "connections = 5");
    setup.set("recording", "reserve = \"1MiB\"");
    setup.write();
    let toml = fs::read_to_string(setup.dir.join("ampgate.toml"))
        .unwrap()
        .replace("conections = 5\n", "");
    fs::write(setup.dir.join("ampgate.toml"), toml).unwrap();
    let mut ampgate = bed().command(program("ampgate"));
    ampgate
        .arg("check")
        .arg("--config")
        .arg(setup.dir.join("ampgate.toml"));
    let said = run(ampgate, b"").exits(64);
    for text in [
        "policy.cedar:",
        "users.toml:",
        "inventory.toml:",
        "shel",
        "bad name",
        "colour",
        "not-a-uuid",
        "nowhere",
    ] {
        assert!(said.err().contains(text), "no {text:?} in {}", said.err());
    }
}

#[test]
fn check_prints_what_it_reads_back() {
    let gateway = gateway();
    let printed = gateway.ampgate(&["check"]).good().out();
    let copy = gateway.dir.join("printed.toml");
    fs::write(&copy, &printed).unwrap();
    let mut again = bed().command(program("ampgate"));
    again.arg("check").arg("--config").arg(&copy);
    assert_eq!(run(again, b"").good().out(), printed);
}

#[test]
fn explain_who_can_and_what_can() {
    let gateway = gateway();
    let (a, bare) = (A.target(), BARE.target());
    for (user, target, landing, action, expected) in [
        ("alice", &a, "root", "shell", 0),
        ("bob", &a, "plain", "exec", 0),
        ("bob", &a, "root", "exec", 1),
        ("bob", &bare, "plain", "exec", 1),
        ("carol", &a, "plain", "shell", 1),
        ("dave", &a, "netns", "exec", 0),
        ("dave", &a, "plain", "sftp", 1),
    ] {
        let said = gateway
            .ampgate(&["explain", user, target, landing, action])
            .exits(expected);
        if expected == 0 {
            assert!(
                said.out().contains("policy.cedar:"),
                "which rule, and where: {said:?}"
            );
        }
    }
    let who = gateway.ampgate(&["who-can", &bare]).good().out();
    assert!(
        who.contains("alice") && !who.contains("bob") && !who.contains("carol"),
        "{who}"
    );
    let what = gateway.ampgate(&["what-can", "bob"]).good().out();
    assert!(
        what.contains("web") && !what.contains("payments") && !what.contains("root"),
        "{what}"
    );
}

/// SIGHUP: a faulty new version is reported and the old one stays; a good one is in force as a whole.
#[test]
fn reload_is_all_or_nothing() {
    let gateway = Gateway::start(|_| {});
    let carol = gateway.client("carol");
    carol
        .exec(Via::Jump, Land::Plain, &A, "true", b"")
        .exits(refused_status(&carol));
    // A good policy beside faulty users: neither is taken.
    fs::write(
        gateway.dir.join("policy.cedar"),
        format!("{POLICY}permit (principal == User::\"carol\", action, resource);\n"),
    )
    .unwrap();
    let users = fs::read_to_string(gateway.dir.join("users.toml")).unwrap();
    fs::write(
        gateway.dir.join("users.toml"),
        format!("{users}[[user]]\nnam = \"x\"\n"),
    )
    .unwrap();
    gateway.signal(Signal::HUP);
    until(
        "the refusal is in the journal",
        Duration::from_secs(10),
        || events(&gateway, "config.refused").len() == 1,
    );
    assert!(
        events(&gateway, "config.refused")[0].contains("users.toml"),
        "the fault has a place"
    );
    assert_ne!(
        carol.exec(Via::Jump, Land::Plain, &A, "true", b"").code,
        Some(0)
    );
    gateway
        .client("alice")
        .exec(Via::Jump, Land::Plain, &A, "true", b"")
        .good();
    // Mended: both are in force.
    fs::write(gateway.dir.join("users.toml"), users).unwrap();
    gateway.signal(Signal::HUP);
    until(
        "the reload is in the journal",
        Duration::from_secs(10),
        || events(&gateway, "config.reloaded").len() == 1,
    );
    carol.exec(Via::Jump, Land::Plain, &A, "true", b"").good();
}

fn refused_status(client: &ampgate_tests::Client) -> i32 {
    client
        .exec(Via::Jump, Land::Plain, &A, "true", b"")
        .code
        .unwrap()
}

/// Must show 4: a right taken away ends the sessions that it allowed, within seconds, and their recordings say so.
#[test]
fn a_right_taken_away_ends_its_sessions() {
    let gateway = Gateway::start(|_| {});
    let (alice, bob) = (gateway.client("alice"), gateway.client("bob"));
    let start = |client: &ampgate_tests::Client, pty: bool| {
        let mut ssh = client.ssh(
            Via::Jump,
            Land::Plain,
            &A,
            if pty { &["-tt"] } else { &["-T"] },
        );
        let file = fs::File::create(client.home().join(format!("said-{pty}"))).unwrap();
        ssh.arg("echo started; sleep 600")
            .stdin(std::process::Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap()
    };
    let mut bobs = [start(&bob, false), start(&bob, true)];
    let mut alices = start(&alice, false);
    until("three sessions run", Duration::from_secs(30), || {
        gateway
            .sessions(&["--live"])
            .iter()
            .filter(|s| s["outcome"] == "live")
            .count()
            == 3
    });
    let without_bob: String = POLICY
        .lines()
        .filter(|l| !l.contains("bob") && !l.contains("when"))
        .map(|l| format!("{l}\n"))
        .collect();
    fs::write(gateway.dir.join("policy.cedar"), without_bob).unwrap();
    gateway.signal(Signal::HUP);
    // 5 seconds is what the design promises.
    for child in &mut bobs {
        until("bob's session ended", Duration::from_secs(5), || {
            child.try_wait().unwrap().is_some()
        });
        assert_eq!(child.wait().unwrap().code(), Some(253));
    }
    for pty in [false, true] {
        let said = fs::read_to_string(bob.home().join(format!("said-{pty}"))).unwrap();
        assert!(
            said.contains("started") && said.contains("ampgate: this session ends"),
            "{said}"
        );
    }
    assert!(alices.try_wait().unwrap().is_none(), "alice may still");
    until("the recordings are closed", Duration::from_secs(10), || {
        gateway
            .seen()
            .iter()
            .filter(|s| s.fact("user") == "bob" && s.sealed())
            .count()
            == 2
    });
    for seen in gateway.seen().iter().filter(|s| s.fact("user") == "bob") {
        assert!(
            seen.markers.iter().any(|m| m.contains("this session ends")),
            "{:?}",
            seen.markers
        );
    }
    assert_eq!(events(&gateway, "session.revoked").len(), 2);
    assert_ne!(
        bob.exec(Via::Jump, Land::Plain, &A, "true", b"").code,
        Some(0)
    );
    alices.kill().unwrap();
    alices.wait().unwrap();
}

/// The same for a user who is disabled, and one whose time is over.
#[test]
fn a_user_disabled_is_out() {
    let gateway = Gateway::start(|_| {});
    let bob = gateway.client("bob");
    let mut ssh = bob.ssh(Via::Syntax, Land::Plain, &A, &[]);
    let mut child = ssh
        .arg("sleep 600")
        .stdin(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("it runs", Duration::from_secs(30), || {
        gateway
            .sessions(&["--live"])
            .iter()
            .any(|s| s["outcome"] == "live")
    });
    let users = fs::read_to_string(gateway.dir.join("users.toml"))
        .unwrap()
        .replace("name = \"bob\"", "name = \"bob\"\ndisabled = true");
    fs::write(gateway.dir.join("users.toml"), users).unwrap();
    gateway.signal(Signal::HUP);
    until("bob's session ended", Duration::from_secs(5), || {
        child.try_wait().unwrap().is_some()
    });
    bob.exec(Via::Syntax, Land::Plain, &A, "true", b"")
        .exits(255);
    bob.exec(Via::Jump, Land::Plain, &A, "true", b"").exits(255);
}

#[test]
fn sessions_show_kill_and_status() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    client
        .exec(Via::Jump, Land::Root, &A, "exit 3", b"")
        .exits(3);
    let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &[]);
    let err = fs::File::create(client.home().join("err")).unwrap();
    let mut child = ssh
        .arg("echo x; sleep 600")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(err)
        .spawn()
        .unwrap();
    until("it runs", Duration::from_secs(30), || {
        gateway
            .sessions(&["--live"])
            .iter()
            .any(|s| s["outcome"] == "live")
    });
    let all = gateway.sessions(&[]);
    assert_eq!(all.len(), 2);
    assert_eq!(
        (&all[1]["landing"], &all[1]["exit_status"], &all[1]["user"]),
        (&"root".into(), &3.into(), &"alice".into())
    );
    for (filter, count) in [
        (&["--user", "alice"][..], 2),
        (&["--user", "bob"], 0),
        (&["--lb", "web"], 2),
        (&["--lb", "payments"], 0),
        (&["--amphora", A.id], 2),
        (&["--since", "1h"], 2),
        (&["--until", "2020-01-01"], 0),
        (&["--limit", "1"], 1),
    ] {
        assert_eq!(gateway.sessions(filter).len(), count, "{filter:?}");
    }
    let id = all[0]["id"].as_str().unwrap();
    let shown = gateway.ampgate(&["session", "show", id]).good().out();
    assert!(shown.contains(id) && shown.contains("alice"), "{shown}");
    assert!(gateway.ampgate(&["sessions"]).good().out().contains(id));
    assert!(gateway.ampgate(&["status"]).good().out().contains('1'));
    gateway
        .ampgate(&["session", "kill", id, "--reason", "wrong load balancer"])
        .good();
    until("it is ended", Duration::from_secs(10), || {
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().code(), Some(253));
    assert!(
        fs::read_to_string(client.home().join("err"))
            .unwrap()
            .contains("wrong load balancer")
    );
    assert_eq!(
        gateway.ampgate(&["session", "kill", id]).code,
        Some(1),
        "twice is once too often"
    );
    gateway.quiet();
}

/// `ampgate sessions --text` is the auditor's search, in the configured store, with the same filters.
#[test]
fn sessions_are_found_by_what_they_showed() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    // The command does not hold the text that it shows.
    client
        .exec(Via::Jump, Land::Plain, &A, "printf 'rare%s\\n' word", b"")
        .good();
    gateway.quiet();
    let search =
        |more: &[&str]| gateway.ampgate(&[&["sessions", "--text", "RAREWORD"], more].concat());
    let found = search(&["--user", "alice", "--lb", "web", "--since", "1h", "--json"]).good();
    let find: Value = serde_json::from_str(found.out().trim()).unwrap();
    assert_eq!(
        (&find["user"], &find["found"]),
        (&"alice".into(), &"rareword".into())
    );
    let id = find["session"].as_str().unwrap();
    assert!(
        search(&["--session", id])
            .good()
            .out()
            .contains("ampgate-replay play")
    );
    for elsewhere in [
        ["--user", "bob"],
        ["--lb", "payments"],
        ["--amphora", "00000000"],
        ["--session", "01AAAAAA"],
        ["--until", "2020-01-01"],
    ] {
        search(&elsewhere).exits(1);
    }
    for (wrong, said) in [
        (&["--since", "yesterdayish"][..], "try 2h"),
        (&["--live"], "--live"),
        (&["--limit", "5"], "--limit"),
        (&["--colour", "red"], "--colour"),
    ] {
        let refused = search(wrong).exits(2);
        assert!(
            refused.err().contains(said) && refused.out().is_empty(),
            "{refused:?}"
        );
    }
    let alone = gateway.ampgate(&["sessions", "--session", id]).exits(2);
    assert!(alone.err().contains("--text"), "{alone:?}");
    search(&["--identity", "/nowhere"]).exits(1);

    // Not installed; and somebody who may read the configuration and not the store.
    let lonely = bed().directory("lonely");
    let ampgate = lonely.join("ampgate");
    fs::copy(program("ampgate"), &ampgate).unwrap();
    let config = lonely.join("ampgate.toml");
    let store = format!(
        "[recording]\ndirectory = {:?}\n",
        gateway.recordings().display().to_string()
    );
    fs::write(&config, store).unwrap();
    let run_as = |user: &str, program: &Path| {
        let mut command = Command::new("/usr/bin/setpriv");
        command
            .args([&format!("--reuid={user}"), "--clear-groups"])
            .arg(program)
            .args(["sessions", "--text", "rareword", "--config"])
            .arg(&config)
            .env("PATH", &lonely);
        run(command, b"").exits(1).err()
    };
    let missing = run_as("root", &ampgate);
    assert!(
        missing.contains("neither beside ampgate nor in PATH"),
        "{missing}"
    );
    let stranger = run_as("games", &program("ampgate"));
    assert!(stranger.contains("cannot be read by you"), "{stranger}");
}

/// SIGTERM: nobody new, those inside are told and get their time.
#[test]
fn drain_on_sigterm() {
    let mut gateway = Gateway::start(|setup| setup.set("limits", "drain = \"8s\""));
    let client = gateway.client("alice");
    let spawn = |name: &str, shell: &str| {
        let err = fs::File::create(client.home().join(name)).unwrap();
        client
            .ssh(Via::Jump, Land::Plain, &A, &[])
            .arg(shell)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(err)
            .spawn()
            .unwrap()
    };
    let mut short = spawn("short", "sleep 4; exit 7");
    let mut long = spawn("long", "sleep 600");
    until("both run", Duration::from_secs(30), || {
        gateway
            .sessions(&["--live"])
            .iter()
            .filter(|s| s["outcome"] == "live")
            .count()
            == 2
    });
    gateway.signal(Signal::TERM);
    until("draining is in the journal", Duration::from_secs(5), || {
        !events(&gateway, "gateway.draining").is_empty()
    });
    assert_ne!(
        client.exec(Via::Jump, Land::Plain, &A, "true", b"").code,
        Some(0),
        "a new session while draining"
    );
    assert_eq!(
        short.wait().unwrap().code(),
        Some(7),
        "what ends by itself ends as ever"
    );
    assert_ne!(long.wait().unwrap().code(), Some(0));
    assert!(gateway.ended().success());
    let seen = gateway.seen();
    assert!(
        seen.iter().all(|s| s.sealed()),
        "every recording is sealed before the end"
    );
    assert!(
        fs::read_to_string(client.home().join("long"))
            .unwrap()
            .contains("ampgate: "),
        "nobody told it"
    );
}

/// `ampgate reindex` gives the same answers from journal and recordings alone.
#[test]
fn reindex_gives_the_same_answers() {
    let mut gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    for (n, land) in Land::ASKED.into_iter().cycle().take(6).enumerate() {
        client.exec(Via::Jump, land, &A, &format!("exit {n}"), b"");
    }
    gateway
        .client("carol")
        .exec(Via::Jump, Land::Plain, &A, "true", b"");
    gateway.quiet();
    let before = gateway.sessions(&[]);
    gateway.signal(Signal::TERM);
    gateway.ended();
    fs::remove_dir_all(gateway.dir.join("state/index")).unwrap();
    gateway.ampgate(&["reindex"]).good();
    gateway.restart();
    assert_eq!(gateway.sessions(&[]), before);
    assert!(before.len() >= 6);
}

/// A gateway that was killed: what it left is found at the next start, called what it is, and everything goes on.
#[test]
fn restart_after_kill_9() {
    let mut gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    client.exec(Via::Jump, Land::Plain, &A, "true", b"").good();
    let mut child = client
        .ssh(Via::Jump, Land::Plain, &A, &[])
        .arg("sleep 600")
        .stdin(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("it runs", Duration::from_secs(30), || {
        gateway
            .sessions(&["--live"])
            .iter()
            .any(|s| s["outcome"] == "live")
    });
    gateway.kill();
    child.wait().unwrap();
    gateway.restart();
    assert!(
        gateway.sessions(&["--live"]).is_empty(),
        "a dead session lives on in the index"
    );
    assert_eq!(gateway.sessions(&[])[0]["outcome"], "lost");
    client.exec(Via::Jump, Land::Plain, &A, "true", b"").good();
}

/// As root with users named: the part that talks to strangers is not root, cannot read a key, and neither can be read.
#[test]
fn the_gateway_gives_up_root() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    client
        .exec(Via::Jump, Land::Root, &A, "id -un", b"")
        .good()
        .says("root");
    let uid = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status
            .lines()
            .find(|l| l.starts_with("Uid:"))
            .map(|l| {
                l.split_whitespace()
                    .skip(1)
                    .map(ToOwned::to_owned)
                    .collect::<Vec<_>>()
            })
            .unwrap_or_default()
    };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&format!("{}/ampgate.toml", gateway.dir.display())) {
            found.push((line, uid(&pid)));
        }
    }
    assert!(found.len() >= 2, "{found:?}");
    // The one that looks after the two has no socket and talks to nobody; it may be root to start the signer again.
    let of = |word: &str| {
        found
            .iter()
            .find(|(line, _)| line.contains(word))
            .unwrap_or_else(|| panic!("no {word} in {found:?}"))
            .1
            .clone()
    };
    let (relay, signer) = (of("--relay"), of(" signer"));
    assert!(
        relay.iter().chain(&signer).all(|uid| uid != "0"),
        "still root: {found:?}"
    );
    assert_ne!(relay[0], signer[0], "gateway and signer are one user");
    // The gateway's user can read neither the octavia key nor the sealing key.
    let mut read = Command::new("setpriv");
    read.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "cat"])
        .arg(gateway.dir.join("keys/sealing"));
    assert_ne!(run(read, b"").code, Some(0));
}

#[test]
fn ssh_to_the_gateway_alone_gives_no_shell() {
    let client = gateway().client("alice");
    for args in [&["-tt"][..], &["-T"]] {
        let mut ssh = client.command("ssh");
        ssh.arg("-F").arg(client.config()).args(args).arg("gateway");
        let said = talk(&ssh, "24x80", &[]);
        assert!(
            !said.out().contains("$ ") || said.out().contains("ssh "),
            "{said:?}"
        );
        let mut exec = client.command("ssh");
        exec.arg("-F")
            .arg(client.config())
            .args(["gateway", "id; cat /etc/passwd"]);
        assert!(!run(exec, b"").out().contains("root:"));
    }
}
