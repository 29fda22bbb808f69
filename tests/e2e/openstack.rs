//! In: a real Keystone and octavia-api, whose database names the real amphorae of the bed. Out: they are reached by name.
//! Never: an inventory file.

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
    time::Duration,
};

use ampgate_tests::{A, B, BARE, Client, Cloud, Gateway, Outcome, bed, outcome::until, run};

fn ssh(client: &Client, host: &str, command: &str) -> Outcome {
    let mut ssh = client.command("ssh");
    ssh.arg("-F")
        .arg(client.config())
        .args(["-J", "gateway", host, command]);
    run(ssh, b"")
}

/// Without a jump: OpenSSH shows what a session says, but not why a jump was refused.
fn direct(client: &Client, target: &str) -> Outcome {
    let mut ssh = client.command("ssh");
    ssh.arg("-F")
        .arg(client.config())
        .args([&format!("plain+{target}@gateway"), "true"]);
    run(ssh, b"")
}

/// By name, member, id and prefix; what one may not reach is answered like what does not exist; of two load balancers with
/// one name neither is guessed.
#[test]
fn load_balancers_are_found_by_name() {
    let cloud = Cloud::up("names");
    let gateway = Gateway::start(|setup| cloud.inventory_of(setup, "read-only"));
    let alice = gateway.client("alice");
    let master = A.target();
    let lb = format!("lb-{}", A.lb.0);
    for (host, lands_on) in [
        ("lb-cmp-was-lb", master.as_str()),
        ("lb-cmp-was-lb.master", &master),
        ("root@lb-cmp-was-lb.backup", &B.target()),
        ("netns@lb-cmp-was-lb", &master),
        (&lb, &master),
        (&master, &master),
        ("amphora-b4c12d77", &B.target()),
        ("lb-edge", &BARE.target()),
    ] {
        until(
            &format!("{host} is known"),
            Duration::from_secs(180),
            || ssh(&alice, host, "true").code == Some(0),
        );
        ssh(&alice, host, "hostname").good().says(lands_on);
    }
    // Octavia knows the VIP. In this bed both amphorae have it, as after a VRRP split.
    direct(&alice, "lb-cmp-was-lb.active")
        .exits(252)
        .complains("more than one of its amphorae says that it has the VIP 10.10.10.50");
    assert_ne!(ssh(&alice, "lb-web", "true").code, Some(0));
    let two = direct(&alice, "lb-web");
    for lb in ["7a03", "7a04"] {
        assert!(
            two.err()
                .contains(&format!("lb-5e1a1ba0-7c2e-4a64-9c3d-0f3b6b1c{lb}")),
            "both are named, to choose from: {two:?}"
        );
    }
    // bob may reach cmp-was-lb, and learns nothing of what else there is.
    let bob = gateway.client("bob");
    ssh(&bob, "lb-cmp-was-lb", "hostname").good().says(&master);
    let shape = |host: &str| {
        assert_ne!(ssh(&bob, host, "true").code, Some(0), "{host}");
        let said = direct(&bob, host).exits(253);
        let words: Vec<String> = said.err().split_whitespace().map(str::to_owned).collect();
        let shown = words.join(" ").replace(host, "TARGET");
        shown.split("session").next().unwrap().to_owned()
    };
    assert_eq!(shape("lb-edge"), shape("lb-nothing-at-all"));
    assert_eq!(shape("lb-web"), shape("lb-nothing-at-all"));
}

/// With Octavia and Keystone down the last known list serves, sessions go on, a restart changes nothing; when they are back,
/// so is the gateway.
#[test]
fn a_cloud_that_is_down_locks_nobody_out() {
    let cloud = Cloud::up("down");
    let mut gateway = Gateway::start(|setup| cloud.inventory_of(setup, "reader"));
    let alice = gateway.client("alice");
    let reached = |host: &str, lands_on: &str| {
        until(host, Duration::from_secs(180), || {
            let said = ssh(&alice, host, "hostname");
            said.code == Some(0) && said.out().contains(lands_on)
        });
    };
    reached("lb-cmp-was-lb", A.id);
    cloud.run("stop", &["all"]);
    let status = || gateway.ampgate(&["status"]).good().out();
    until("the gateway knows", Duration::from_secs(180), || {
        status().contains("amphorae, down (")
    });
    ssh(&alice, "lb-cmp-was-lb", "hostname").good().says(A.id);
    let mut greeted = alice.command("ssh");
    greeted.arg("-F").arg(alice.config()).arg("gateway");
    run(greeted, b"")
        .good()
        .says("OpenStack has not been heard since");
    until("it is in the journal", Duration::from_secs(60), || {
        let events = gateway.journal();
        let stands = events.iter().rfind(|e| e["event"] == "inventory.changed");
        stands.is_some_and(|e| e["state"] == "down" && e["fault"].as_str().is_some())
    });
    let events = gateway.journal();
    let granted = events.iter().rfind(|e| e["event"] == "grant.given");
    assert!(granted.unwrap()["inventory_age_seconds"].is_u64());
    ssh(&alice, "lb-edge", "hostname").good().says(BARE.id);
    gateway.restart();
    ssh(&alice, "lb-cmp-was-lb", "hostname").good().says(A.id);
    cloud.run("start", &["all"]);
    // Two waits of up to a minute each, the list's and the token's, may follow one another.
    until("it is heard again", Duration::from_secs(300), || {
        let status = gateway.ampgate(&["status"]).good().out();
        status.contains("amphorae, fresh (")
    });
    let new = "0a3b1c2d-1111-4222-8333-444455556666";
    cloud.run(
        "failover",
        &[
            "cmp-was-lb",
            "--old",
            A.id,
            "--new",
            new,
            "--address",
            BARE.address,
        ],
    );
    // The name follows: another amphora, with a host key of its own, and no question.
    reached("lb-cmp-was-lb.master", BARE.id);
    let pinned: Vec<_> = gateway
        .journal()
        .into_iter()
        .filter(|event| event.to_string().contains(new))
        .collect();
    assert!(!pinned.is_empty(), "the new amphora is in the journal");
}

/// An amphora that is replaced while somebody is on it: the session ends, and says why.
#[test]
fn a_failover_ends_the_session_on_the_old_amphora() {
    let cloud = Cloud::up("failover");
    let gateway = Gateway::start(|setup| cloud.inventory_of(setup, "full"));
    let alice = gateway.client("alice");
    until("the list", Duration::from_secs(180), || {
        ssh(&alice, "lb-cmp-was-lb.backup", "true").code == Some(0)
    });
    let mut open = alice.command("ssh");
    open.arg("-F")
        .arg(alice.config())
        .args([
            "-J",
            "gateway",
            "lb-cmp-was-lb.backup",
            "echo in; sleep 600",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut open = open.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(open.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "in\n");
    cloud.run(
        "failover",
        &["cmp-was-lb", "--old", B.id, "--address", BARE.address],
    );
    let mut told = String::new();
    open.stderr
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert!(
        told.contains(&format!("{} was replaced by amphora-", B.target())),
        "{told}"
    );
    assert_eq!(open.wait().unwrap().code(), Some(253), "{told}");
}

/// The amphora that is known does not answer, since a failover has replaced it: the name is asked for once more, and leads to
/// the new one. The list itself would be asked for in an hour.
#[test]
fn a_name_whose_amphora_does_not_answer_is_asked_for_again() {
    let cloud = Cloud::up("follow");
    // Nobody has this address.
    cloud.run("amphora", &[A.id, "lb_network_ip=172.24.0.99"]);
    let gateway = Gateway::start(|setup| {
        cloud.inventory_of(setup, "full");
        setup.set("inventory.octavia", "fresh = \"1h\"");
    });
    let alice = gateway.client("alice");
    until("the list", Duration::from_secs(180), || {
        ssh(&alice, "lb-cmp-was-lb.backup", "true").code == Some(0)
    });
    direct(&alice, "lb-cmp-was-lb.master")
        .exits(252)
        .complains("172.24.0.99");
    let new = "0a3b1c2d-2222-4222-8333-444455556666";
    let change = [
        "cmp-was-lb",
        "--old",
        A.id,
        "--new",
        new,
        "--address",
        BARE.address,
    ];
    cloud.run("failover", &change);
    // What was asked for a moment ago is not asked for again at once.
    until("the name is followed", Duration::from_secs(60), || {
        ssh(&alice, "lb-cmp-was-lb.master", "hostname")
            .out()
            .contains(BARE.id)
    });
    let events = gateway.journal();
    let refused = |e: &serde_json::Value| {
        e["event"] == "upstream.refused" && e["amphora"] == A.id && e["fault"] == "no-route"
    };
    assert!(events.iter().any(refused), "the attempt is in the journal");
    let opened: Vec<_> = events
        .iter()
        .filter(|e| e["event"] == "session.opened" && e["amphora"] == new)
        .collect();
    assert_eq!(
        opened.len(),
        1,
        "one session, on the new amphora: {opened:#?}"
    );
    assert_eq!(opened[0]["target"], "lb-cmp-was-lb.master");
}

/// Octavia gives an amphora its address long before its sshd runs: a gateway waits for one that boots.
#[test]
fn an_amphora_that_boots_is_waited_for() {
    let cloud = Cloud::up("boot");
    let address = "172.24.0.96";
    let booting = [A.id, "status=BOOTING", "lb_network_ip=172.24.0.96"];
    cloud.run("amphora", &booting);
    let gateway = Gateway::start(|setup| {
        cloud.inventory_of(setup, "full");
        setup.set("upstream", "connect_timeout = \"120s\"");
    });
    let alice = gateway.client("alice");
    until("the list", Duration::from_secs(180), || {
        ssh(&alice, "lb-cmp-was-lb.backup", "true").code == Some(0)
    });
    std::thread::scope(|threads| {
        let session = threads.spawn(|| direct(&alice, &A.target()));
        until("it is let in", Duration::from_secs(60), || {
            let given = |e: &serde_json::Value| e["event"] == "grant.given" && e["amphora"] == A.id;
            gateway.journal().iter().any(given)
        });
        assert!(!session.is_finished(), "nobody has the address yet");
        let up = format!("ip addr add {address}/16 dev eth0");
        bed().inside(&A, &up).good();
        session.join().unwrap().good();
    });
    bed()
        .inside(&A, &format!("ip addr del {address}/16 dev eth0"))
        .good();
}
