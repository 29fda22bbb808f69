//! In: real sshd amphorae, a real Keystone and Octavia, and what Nova's console says of host keys. Out: who is believed.
//! Never: the octavia key used towards a host that nobody vouches for where somebody should.

use std::time::Duration;

use ampgate_tests::{
    A, B, BARE, Client, Cloud, Entry, Gateway, Nova, Outcome, amphorae::inventory, nova::host_keys,
    outcome::until, run,
};
use serde_json::Value;

fn ssh(client: &Client, host: &str) -> Outcome {
    let mut ssh = client.command("ssh");
    ssh.arg("-F")
        .arg(client.config())
        .args(["-J", "gateway", host, "hostname"]);
    run(ssh, b"")
}

fn events(gateway: &Gateway, name: &str) -> Vec<Value> {
    let all = gateway.journal();
    all.into_iter().filter(|e| e["event"] == name).collect()
}

/// How often the octavia key was used.
fn signed(gateway: &Gateway) -> usize {
    gateway.log().matches("signed").count()
}

fn forget(gateway: &Gateway, amphora: &Entry) -> Outcome {
    gateway.ampgate(&[
        "hostkeys",
        "forget",
        &amphora.target(),
        "--reason",
        "a test",
    ])
}

fn listed(client: &Client) {
    // An unknown name is refused at the jump, before anything is dialled.
    until("the list", Duration::from_secs(180), || {
        !ssh(client, &A.target()).err().contains("open failed")
    });
}

/// The console names the key before anybody has been there; a forged one is refused, a silent one leaves it to the first
/// contact, and says so; with a pin nobody asks. Then a man in the middle, who has the address but not the key.
#[test]
fn the_console_vouches_before_the_first_connection() {
    let cloud = Cloud::up("hostkeys");
    let nova = Nova::of(&cloud, "hostkeys");
    nova.console(&A, "good");
    nova.console(&B, "forged-second");
    let gateway = Gateway::start(|setup| cloud.inventory_of(setup, "full"));
    let alice = gateway.client("alice");
    until("the list", Duration::from_secs(180), || {
        ssh(&alice, &A.target()).code == Some(0)
    });
    ssh(&alice, "lb-cmp-was-lb.master").good().says(&A.target());
    let pinned = events(&gateway, "hostkey.pinned");
    assert_eq!(pinned.len(), 1);
    assert_eq!(
        (&pinned[0]["how"], &pinned[0]["console"]),
        (&"console".into(), &Value::Null)
    );
    assert_eq!(nova.asked(), 1, "with a pin Nova is not asked");

    // Somebody printed a second block.
    let before = signed(&gateway);
    ssh(&alice, &B.target())
        .exits(251)
        .complains("is in doubt: two blocks");
    let disputed = events(&gateway, "hostkey.disputed");
    assert_eq!(disputed[0]["dispute"], "console-blocks-differ");
    assert_eq!(
        (signed(&gateway), events(&gateway, "hostkey.pinned").len()),
        (before, 1)
    );

    gateway
        .ampgate(&["hostkeys", "show", &B.target()])
        .exits(1)
        .says("two blocks");

    // No console: the first contact, and why.
    nova.console(&B, "none");
    ssh(&alice, &B.target()).good().says(&B.target());
    let pinned = events(&gateway, "hostkey.pinned");
    assert_eq!(pinned[1]["how"], "first-contact");
    assert!(
        pinned[1]["console"].as_str().unwrap().contains("empty"),
        "{pinned:?}"
    );

    the_command(&gateway, &nova, &alice);

    // Another sshd on A's address.
    forget(&gateway, &A).good();
    let (before, fingerprints) = (signed(&gateway), events(&gateway, "hostkey.pinned").len());
    cloud.run(
        "amphora",
        &[A.id, &format!("lb_network_ip={}", BARE.address)],
    );
    until("the address has moved", Duration::from_secs(180), || {
        gateway
            .ampgate(&["hostkeys", "show", A.id])
            .out()
            .contains(BARE.address)
    });
    let refused = ssh(&alice, &A.target())
        .exits(251)
        .complains("its console in Nova says SHA256:");
    assert_eq!(refused.out(), "");
    assert_eq!(
        refused.err().matches("SHA256:").count(),
        3,
        "two that it has, one that was shown: {refused:?}"
    );
    let refused = events(&gateway, "hostkey.refused");
    assert_eq!(refused[0]["source"], "console");
    assert_eq!(
        signed(&gateway),
        before,
        "the octavia key was used towards the wrong host"
    );
    assert_eq!(events(&gateway, "hostkey.pinned").len(), fingerprints);
}

/// `ampgate hostkeys`: two pins are there, A's by the console, B's by a first contact.
fn the_command(gateway: &Gateway, nova: &Nova, alice: &Client) {
    let list = gateway.ampgate(&["hostkeys", "list"]).good().out();
    let how = |entry: &Entry| {
        let line = list
            .lines()
            .find(|l| l.starts_with(&entry.target()))
            .unwrap();
        line.split_whitespace().nth(3).unwrap().to_owned()
    };
    assert_eq!(
        (how(&A), how(&B)),
        ("console".to_owned(), "first-contact".to_owned()),
        "{list}"
    );
    assert!(list.contains("cmp-was-lb"), "{list}");
    let rows = gateway
        .ampgate(&["hostkeys", "list", "--json"])
        .good()
        .out();
    let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
    assert_eq!(rows.len(), 2);
    assert!(
        host_keys(&A).contains(rows[0]["host_key"].as_str().unwrap()),
        "{rows:?}"
    );
    let show = |target: &str| gateway.ampgate(&["hostkeys", "show", target]);
    show("lb-cmp-was-lb.backup")
        .good()
        .says("its console is empty");
    show(&A.id[..8]).good().says("yes");
    show("lb-nothing").exits(1).complains("hostkeys list");

    // Without a reason nothing is forgotten.
    gateway
        .ampgate(&["hostkeys", "forget", B.id])
        .exits(2)
        .complains("--reason");
    gateway
        .ampgate(&["hostkeys", "forget", B.id, "--reason", " "])
        .exits(1)
        .complains("for a reason");
    assert!(events(gateway, "hostkey.forgotten").is_empty());
    forget(gateway, &B).good().says("is forgotten");
    forget(gateway, &B).exits(1).complains("has no pin");
    let forgotten = events(gateway, "hostkey.forgotten");
    assert_eq!(forgotten.len(), 1);
    assert_eq!(
        (&forgotten[0]["uid"], &forgotten[0]["by"]),
        (&0.into(), &"root".into())
    );
    assert_eq!(
        (&forgotten[0]["reason"], &forgotten[0]["how"]),
        (&"a test".into(), &"first-contact".into())
    );

    // The console speaks by now.
    nova.console(&B, "good");
    ssh(alice, &B.target()).good();
    let pinned = events(gateway, "hostkey.pinned");
    assert_eq!(pinned.last().unwrap()["how"], "console");

    // Somebody who is no admin.
    let mut stranger = ampgate_tests::bed().command("setpriv");
    stranger
        .args(["--reuid=65533", "--regid=65533", "--clear-groups"])
        .arg(ampgate_tests::gateway::program("ampgate"))
        .args(["hostkeys", "forget", A.id, "--reason", "mine", "--config"])
        .arg(gateway.dir.join("ampgate.toml"));
    assert_ne!(run(stranger, b"").code, Some(0));
    assert_eq!(events(gateway, "hostkey.forgotten").len(), 1);
}

/// In mode `console` nothing else is believed: every other console is refused with its own sentence, and so is a Nova that
/// is slow, forbids it or is away. No octavia key is used for any.
#[test]
fn every_console_has_its_sentence() {
    let cloud = Cloud::up("consoles");
    let nova = Nova::of(&cloud, "consoles");
    let gateway = Gateway::start(|setup| {
        cloud.inventory_of(setup, "full");
        setup.set("hostkeys", "mode = \"console\"");
        setup.set("hostkeys", "timeout = \"2s\"");
    });
    let alice = gateway.client("alice");
    nova.console(&A, "none");
    listed(&alice);
    for (kind, sentence) in [
        ("none", "its console is empty"),
        ("noise", "no block of host keys"),
        ("overrun", "no block of host keys"),
        ("prints-only", "no block of host keys"),
        ("cut-begin", "is cut"),
        ("cut-end", "is cut"),
        ("cut-line", "is damaged"),
        ("new-keys", "two blocks of host keys on its console differ"),
        (
            "forged-second",
            "two blocks of host keys on its console differ",
        ),
        (
            "forged-before",
            "two blocks of host keys on its console differ",
        ),
        ("forged-inside", "two keys of one type"),
        ("other-host", "those of another machine"),
        ("missing", "no such server"),
        ("conflict", "not ready"),
        ("unsupported", "keeps no console"),
        ("forbidden", "refuses POST /v2.1/servers/"),
    ] {
        nova.console(&A, kind);
        let refused = ssh(&alice, &A.target());
        assert_eq!(refused.code, Some(251), "{kind}: {refused:?}");
        assert!(refused.err().contains(sentence), "{kind}: {refused:?}");
    }
    for (fault, sentence) in [
        (
            "POST .*/action=>late:8",
            "did not give its console within 2 s",
        ),
        ("POST .*/action=>hangup", "cannot be reached"),
        (
            "POST .*/action=>garbage",
            "something else than was asked for",
        ),
        (
            "POST .*/action=>redirect:http://127.0.0.1:9",
            "redirects elsewhere",
        ),
    ] {
        nova.fault(Some(fault));
        let refused = ssh(&alice, &A.target()).exits(251);
        assert!(refused.err().contains(sentence), "{fault}: {refused:?}");
    }
    nova.fault(None);
    assert_eq!(
        (signed(&gateway), events(&gateway, "hostkey.pinned").len()),
        (0, 0)
    );
    for kind in [
        "good",
        "same-twice",
        "two-boots",
        "noise-after",
        "interleaved",
        "crlf",
    ] {
        nova.console(&A, kind);
        ssh(&alice, &A.target()).good().says(&A.target());
        forget(&gateway, &A).good();
    }
    let pinned = events(&gateway, "hostkey.pinned");
    assert!(
        pinned.iter().all(|event| event["how"] == "console"),
        "{pinned:?}"
    );
}

/// A key in the inventory file: the only one that counts, in any mode; without one, mode `static` refuses.
#[test]
fn a_key_in_the_inventory_file_counts() {
    let key = |entry: &Entry| {
        let keys = host_keys(entry);
        keys.lines()
            .find(|l| l.contains("ecdsa"))
            .unwrap()
            .to_owned()
    };
    let (of_a, of_b) = (key(&A), key(&B));
    let with = |entry: &Entry, key: &str| {
        let id = format!("id = {:?}\n", entry.id);
        (id.clone(), format!("{id}host_key = {key:?}\n"))
    };
    let (a, b) = (with(&A, &of_a), with(&B, &of_a));
    let gateway = Gateway::start(|setup| {
        let text = inventory(&[A, B, BARE]);
        setup.inventory = text.replace(&a.0, &a.1).replace(&b.0, &b.1);
        setup.set("hostkeys", "mode = \"static\"");
    });
    let alice = gateway.client("alice");
    // Not the first that it would show, but the one that is written.
    ssh(&alice, &A.target()).good();
    let pinned = events(&gateway, "hostkey.pinned");
    assert_eq!(
        (&pinned[0]["how"], &pinned[0]["algorithm"]),
        (&"static".into(), &"ecdsa-sha2-nistp256".into())
    );
    ssh(&alice, &B.target())
        .exits(251)
        .complains("the inventory file says");
    ssh(&alice, &BARE.target())
        .exits(251)
        .complains("host_key =");
    // The file contradicts the pin.
    let file = gateway.dir.join("inventory.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(&of_a, &of_b)).unwrap();
    let before = events(&gateway, "config.reloaded").len();
    gateway.signal(rustix::process::Signal::HUP);
    until("reloaded", Duration::from_secs(10), || {
        events(&gateway, "config.reloaded").len() > before
    });
    ssh(&alice, &A.target())
        .exits(251)
        .complains("hostkeys forget");
    gateway
        .ampgate(&["hostkeys", "show", &A.target()])
        .exits(1)
        .says("NO");
    assert_eq!(
        events(&gateway, "hostkey.disputed")[0]["dispute"],
        "static-and-pin"
    );
    ssh(&alice, &B.target()).good();
}
