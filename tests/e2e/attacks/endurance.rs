//! In: floods, silence, readers who never read, an amphora that is an enemy. Out: nobody else notices.
//! Never: a speed; only that others get through while it lasts.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::Stdio,
    time::Duration,
};

use ampgate_tests::{
    A, Entry, Gateway, Land, Via,
    amphorae::inventory,
    attack::FakeAmphora,
    bed::{bed, script, tool},
    outcome::{run, run_for, until},
};

/// Row 8: 0x0 to 65535x65535, as fast as a client can. The sibling on the same connection is answered all the time.
#[test]
fn row_08_a_flood_of_resizes() {
    let mut gateway = Gateway::start(|_| {});
    for way in ["jump", "syntax"] {
        let mut python = bed().command(tool("python3"));
        python
            .arg(script("scenes.py"))
            .arg("resizes")
            .arg(way)
            .env("COUNT", "50000");
        python
            .env("AMPHORA", A.target())
            .env("PORT", gateway.port.to_string())
            .env("KEY", gateway.key("alice"));
        run(python, b"").good().says("alive 0");
    }
    assert!(gateway.alive());
    assert!(
        memory(&gateway) < 200 << 20,
        "{} bytes of memory after the flood",
        memory(&gateway)
    );
    let mut flooded = gateway.seen();
    flooded.retain(|seen| seen.command().is_some_and(|c| c.contains("sleep 600")));
    assert_eq!(flooded.len(), 2, "one for each way in");
    assert!(flooded.iter().all(|seen| !seen.sizes.is_empty()));
}

/// Row 8: a panic, made by taking away the threads that opening a recording needs, ends its own session and no other.
#[test]
fn row_08_a_panic_in_one_session_harms_no_other() {
    let mut gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    let mut held = client.ssh(Via::Jump, Land::Plain, &A, &[]);
    let mut held = held
        .arg("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(held.stdout.take().unwrap());
    let mut echo = |text: &str| {
        let mut line = String::new();
        held.stdin
            .as_mut()
            .unwrap()
            .write_all(format!("{text}\n").as_bytes())
            .unwrap();
        said.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), text);
    };
    echo("before");
    let threads = |pid: rustix::process::Pid| {
        fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()))
            .unwrap()
            .count()
    };
    // Threads that wait for more work would do it: they leave after ten idle seconds.
    let relay = gateway.relay();
    let mut least = usize::MAX;
    let mut same = 0;
    until("idle threads are gone", Duration::from_secs(60), || {
        let now = threads(relay);
        same = if now < least { 0 } else { same + 1 };
        least = least.min(now);
        std::thread::sleep(Duration::from_millis(500));
        same > 24
    });
    // As its own user: for others it takes a capability that not every root has.
    let limit = |threads: &str| {
        let status =
            fs::read_to_string(format!("/proc/{}/status", relay.as_raw_nonzero())).unwrap();
        let id = |name: &str| {
            let line = status.lines().find(|l| l.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        let mut prlimit = std::process::Command::new("setpriv");
        prlimit
            .args([
                "--reuid",
                &id("Uid:"),
                "--regid",
                &id("Gid:"),
                "--clear-groups",
            ])
            .args(["prlimit", "--pid", &relay.as_raw_nonzero().to_string()])
            .arg(format!("--nproc={threads}:"));
        run(prlimit, b"").good();
    };
    limit("1");
    for via in [Via::Jump, Via::Syntax] {
        let mut ssh = client.ssh(via, Land::Plain, &A, &[]);
        ssh.arg("echo never");
        run_for(ssh, b"", Duration::from_secs(60))
            .exits(254)
            .complains("a fault of the gateway itself");
    }
    limit("4096");
    assert!(gateway.log().contains("panicked at"), "{}", gateway.log());
    assert!(gateway.alive());
    assert_eq!(gateway.relay(), relay, "the same process");
    echo("after");
    client
        .exec(Via::Jump, Land::Plain, &A, "echo served", b"")
        .good()
        .says("served");
    held.kill().unwrap();
    held.wait().unwrap();
    gateway.quiet();
}

/// Resident memory in bytes.
fn memory(gateway: &Gateway) -> u64 {
    let status =
        fs::read_to_string(format!("/proc/{}/status", gateway.relay().as_raw_nonzero())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        << 10
}

/// Row 9: strangers who stop at banner or key exchange hold nobody up, and are gone after the login grace.
#[test]
fn row_09_slow_strangers() {
    let gateway = Gateway::start(|setup| setup.set("limits", "login_grace = \"20s\""));
    let before = sockets(&gateway);
    let mut attacker = gateway
        .attacker("slow", "alice")
        .env("COUNT", "200")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(attacker.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    // They all hold their connections now.
    let client = gateway.client("alice");
    for via in [Via::Jump, Via::Syntax] {
        client
            .exec(via, Land::Plain, &A, "echo served", b"")
            .good()
            .says("served");
    }
    until("the strangers are gone", Duration::from_secs(60), || {
        sockets(&gateway) <= before + 10
    });
    attacker.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\"living\": 0"), "{rest}");
    attacker.wait().unwrap();
}

/// Open files of the part that talks to strangers.
fn sockets(gateway: &Gateway) -> usize {
    let dir = format!("/proc/{}/fd", gateway.relay().as_raw_nonzero());
    fs::read_dir(dir).unwrap().count()
}

/// Row 9: more strangers than may be unproved: those are turned away, memory stays, and afterwards all is well.
#[test]
fn row_09_more_strangers_than_places() {
    let gateway = Gateway::start(|setup| {
        setup.set("limits", "login_grace = \"3s\"");
        setup.set("limits", "unauthenticated = 50");
    });
    let mut attacker = gateway
        .attacker("slow", "alice")
        .env("COUNT", "400")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(attacker.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    assert!(memory(&gateway) < 200 << 20);
    let client = gateway.client("alice");
    until("operators get in again", Duration::from_secs(60), || {
        client.exec(Via::Jump, Land::Plain, &A, "true", b"").code == Some(0)
    });
    attacker.kill().unwrap();
    attacker.wait().unwrap();
}

fn enemy(port: u16, id: &'static str) -> Entry {
    Entry {
        id,
        address: "127.0.0.1",
        port,
        role: None,
        ..A
    }
}

/// Row 9: an amphora which sends without regard to windows, one which lies about channels, one which never ends its
/// banner, one which hangs: each costs its own session only, and not the gateway's memory.
#[test]
fn row_09_an_amphora_as_an_enemy() {
    let floods = enemy(4101, "eeee0001-1111-4222-8333-444455556666");
    let lies = enemy(4102, "eeee0002-1111-4222-8333-444455556666");
    let screams = enemy(4103, "eeee0003-1111-4222-8333-444455556666");
    let hangs = enemy(4104, "eeee0004-1111-4222-8333-444455556666");
    let _fakes = [
        (floods, "floods"),
        (lies, "lies"),
        (screams, "screams"),
        (hangs, "hangs"),
    ]
    .map(|(e, mode)| FakeAmphora::start(e.port, mode));
    let mut gateway =
        Gateway::start(|setup| setup.inventory = inventory(&[A, floods, lies, screams, hangs]));
    let client = gateway.client("alice");
    // A reader who does not read, so that only the windows protect the gateway.
    let mut ssh = client.ssh(Via::Jump, Land::Plain, &floods, &[]);
    let mut stuck = ssh
        .arg("flood")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut hanging = client.ssh(Via::Jump, Land::Plain, &hangs, &[]);
    let mut hanging = hanging
        .arg("x")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..5 {
        client
            .exec(Via::Jump, Land::Plain, &A, "echo fine", b"")
            .good()
            .says("fine");
        assert!(
            memory(&gateway) < 200 << 20,
            "{} MiB",
            memory(&gateway) >> 20
        );
    }
    let refused = run_for(
        {
            let mut s = client.ssh(Via::Jump, Land::Plain, &screams, &[]);
            s.arg("x");
            s
        },
        b"",
        Duration::from_secs(60),
    );
    assert!(!refused.hung && refused.code != Some(0), "{refused:?}");
    let lied = run_for(
        {
            let mut s = client.ssh(Via::Jump, Land::Plain, &lies, &[]);
            s.arg("x");
            s
        },
        b"",
        Duration::from_secs(60),
    );
    assert!(!lied.hung && !lied.out().contains("not yours"), "{lied:?}");
    for child in [&mut stuck, &mut hanging] {
        child.kill().ok();
        child.wait().ok();
    }
    gateway.quiet();
    assert!(gateway.alive());
    client
        .exec(Via::Syntax, Land::Plain, &A, "true", b"")
        .good();
}

/// Row 9: a reader who never reads must not stall a sibling on the same outer connection, nor the same inner one.
#[test]
fn row_09_a_reader_who_never_reads_stalls_no_sibling() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    let config = client.config().display().to_string();
    let outer = format!("-oControlPath={}/outer", client.home().display());
    let mut master = client.command("ssh");
    master
        .args(["-F", &config, &outer, "-fNM", "gateway"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    assert!(master.status().unwrap().success());
    let through = format!("-oProxyCommand=ssh -F {config} {outer} -W %h:%p gateway");
    let inner = format!("-oControlPath={}/inner", client.home().display());
    let host = format!("cloud-user@{}", A.target());
    let session = |mux: &str, command: &str| {
        let mut ssh = client.command("ssh");
        ssh.args(["-F", &config, &through, mux, &host, command]);
        ssh
    };
    let mut inner_master = client.command("ssh");
    inner_master
        .args(["-F", &config, &through, &inner, "-fNM", &host])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    assert!(inner_master.status().unwrap().success());
    // Stuck three ways: output nobody reads on an inner connection of its own, the same stopped outright, and one on the shared inner connection.
    let none = "-oControlPath=none";
    let mut stuck: Vec<_> = [none, none, inner.as_str()]
        .iter()
        .map(|mux| {
            session(mux, "yes; echo")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    // An upload that the amphora never reads, too.
    stuck.push({
        let mut ssh = session(none, "sleep 600");
        ssh.stdin(fs::File::open("/dev/zero").unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    });
    std::thread::sleep(Duration::from_secs(2));
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&stuck[1]),
        rustix::process::Signal::STOP,
    )
    .unwrap();
    // The sibling moves 16 MiB each way, and opens anew, while they are stuck.
    let data = vec![b'x'; 16 << 20];
    for mux in [none, inner.as_str()] {
        for _ in 0..2 {
            let moved = run_for(session(mux, "cat"), &data, Duration::from_secs(120));
            assert!(!moved.hung, "the sibling is stalled ({mux})");
            assert!(moved.good().stdout == data);
        }
    }
    assert!(
        memory(&gateway) < 300 << 20,
        "{} MiB",
        memory(&gateway) >> 20
    );
    for child in &mut stuck {
        child.kill().ok();
        child.wait().ok();
    }
    let mut end = client.command("ssh");
    end.args(["-F", &config, &outer, "-O", "exit", "gateway"]);
    run(end, b"").good();
    gateway.quiet();
}
