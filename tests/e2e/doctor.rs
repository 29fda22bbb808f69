//! In: faults made on purpose: in the files, the cloud, and on the way to an amphora. Out: `ampgate doctor` names each.
//! Never: two faults with one answer.

use std::{collections::BTreeSet, fs, time::Duration};

use ampgate_tests::{
    A, B, BARE, Cloud, Entry, Gateway, Land, Via,
    amphorae::{CLOSED, DEAD, NOSHELL, NOSUDO, inventory},
    bed,
    outcome::until,
};
use rustix::process::Signal;
use serde_json::Value;

/// The checks, and whether the exit status is that of no FAIL.
fn checks(gateway: &Gateway, args: &[&str]) -> (Vec<Value>, bool) {
    let said = gateway.ampgate(&[&["doctor", "--json"], args].concat());
    let checks: Vec<Value> =
        serde_json::from_str(&said.out()).unwrap_or_else(|e| panic!("{e}: {said:?}"));
    let good = checks.iter().all(|check| check["verdict"] != "fail");
    assert_eq!(said.code, Some(if good { 0 } else { 1 }), "{said:?}");
    (checks, good)
}

/// What the check of this name says, with its verdict in front.
fn said(checks: &[Value], name: &str) -> String {
    let found: Vec<_> = checks.iter().filter(|c| c["check"] == name).collect();
    let check = found
        .first()
        .unwrap_or_else(|| panic!("no {name} in {checks:#?}"));
    let text = |key: &str| check[key].as_str().unwrap().to_owned();
    format!("{} {}", text("verdict"), text("said"))
}

/// No route, no sshd, a silent security group, a wrong host key, no key that fits, no sudo, no namespace: seven checks fail,
/// each in its own words, with all before it good and all behind it left out. An operator reads the same words.
#[test]
fn seven_faults_are_told_apart() {
    // Nothing comes back from this address, as behind a security group: whoever has it may not answer.
    let silent = Entry {
        address: "172.24.0.98",
        id: "abababab-1111-4222-8333-444455556666",
        role: None,
        ..A
    };
    bed()
        .inside(
            &A,
            "ip addr replace 172.24.0.98/16 dev eth0; ip rule add from 172.24.0.98 blackhole priority 98",
        )
        .good();
    let nowhere = Entry {
        address: "192.0.2.23",
        id: "acacacac-1111-4222-8333-444455556666",
        role: None,
        ..A
    };
    let write = |b: Entry| inventory(&[A, b, BARE, NOSUDO, NOSHELL, CLOSED, DEAD, silent, nowhere]);
    let gateway = Gateway::start(|setup| {
        setup.inventory = write(B);
        setup.set("upstream", "connect_timeout = \"5s\"");
    });
    let (good, all) = checks(&gateway, &[&A.target()]);
    assert!(all, "{good:#?}");
    assert!(said(&good, "namespace").contains("has the VIP 10.10.10.50"));
    let (_, all) = checks(&gateway, &[&B.target()]);
    assert!(all);
    // B's pin is known; now somebody else answers at its place.
    fs::write(
        gateway.dir.join("inventory.toml"),
        write(Entry { port: 2023, ..B }),
    )
    .unwrap();
    gateway.signal(Signal::HUP);
    until("the file is read", Duration::from_secs(60), || {
        gateway
            .journal()
            .iter()
            .any(|e| e["event"] == "config.reloaded")
    });

    let alice = gateway.client("alice");
    let mut sentences = BTreeSet::new();
    for (entry, fails, words) in [
        (nowhere, "route", "no route"),
        (CLOSED, "connect", "connection refused"),
        (silent, "connect", "no answer in time"),
        (B, "host key", "showed the host key"),
        (NOSHELL, "octavia key", "accepts none of the 1 octavia keys"),
        (NOSUDO, "sudo", "sudo on the amphora refused"),
        (BARE, "namespace", "no network namespace amphora-haproxy"),
    ] {
        let (found, _) = checks(&gateway, &[&entry.target()]);
        let way: Vec<_> = found.iter().filter(|c| !c["amphora"].is_null()).collect();
        assert_eq!(way.len(), 10, "{way:#?}");
        let at = way.iter().position(|c| c["check"] == fails).unwrap();
        for (n, check) in way.iter().enumerate() {
            let verdict = match n.cmp(&at) {
                std::cmp::Ordering::Less => "ok",
                std::cmp::Ordering::Equal => "fail",
                std::cmp::Ordering::Greater => "skip",
            };
            assert_eq!(check["verdict"], verdict, "{way:#?}");
        }
        let sentence = way[at]["said"].as_str().unwrap().to_owned();
        assert!(sentence.contains(words), "{sentence}");
        let told = alice.exec(Via::Syntax, Land::Netns, &entry, "true", b"");
        assert!(told.err().contains(&sentence), "{sentence}\n{told:?}");
        assert!(sentences.insert(sentence));
    }
    // Nobody answers for the address, though there is a route: said too.
    let (dead, _) = checks(&gateway, &[&DEAD.target()]);
    let route = dead.iter().find(|c| c["check"] == "route").unwrap();
    assert_eq!(route["verdict"], "fail");
    assert!(
        route["advice"][0]
            .as_str()
            .unwrap()
            .contains("from 172.24.0.1"),
        "{route:#}"
    );

    // Each look is an event, with who had it made; none is a session.
    let probed = gateway.journal().into_iter();
    let probed: Vec<_> = probed.filter(|e| e["event"] == "amphora.probed").collect();
    assert_eq!(probed.len(), 10);
    assert!(
        probed
            .iter()
            .all(|e| e["why"] == "doctor" && e["by"] == "root (uid 0)")
    );
    let outcomes: BTreeSet<_> = probed.iter().map(|e| e["outcome"].to_string()).collect();
    assert_eq!(outcomes.len(), 8, "{outcomes:?}");
    assert!(
        !outcomes.iter().any(|o| o.contains("unreachable")),
        "{outcomes:?}"
    );
    bed().inside(&A, "ip rule del from 172.24.0.98 blackhole priority 98; ip addr del 172.24.0.98/16 dev eth0").good();
}

/// A name that means several is looked at in full; one that means nothing says so; the table is for people.
#[test]
fn names_are_those_that_operators_type() {
    let gateway = Gateway::start(|setup| setup.inventory = inventory(&[A, B]));
    let (both, _) = checks(&gateway, &["lb-web.active"]);
    let amphorae: BTreeSet<_> = both.iter().filter_map(|c| c["amphora"].as_str()).collect();
    assert_eq!(amphorae, BTreeSet::from([A.id, B.id]));
    let (none, _) = checks(&gateway, &["lb-nothing"]);
    assert!(said(&none, "target").starts_with("fail the inventory knows no lb-nothing"));
    let table = gateway.ampgate(&["doctor", "lb-web"]).good().out();
    for words in [
        "OK    configuration",
        "OK    signer",
        "skip  keystone",
        &A.target(),
        "OK    namespace",
    ] {
        assert!(table.contains(words), "{words:?} is missing in\n{table}");
    }
    assert!(!table.contains("FAIL"), "{table}");
}

/// Without a gateway it says so, and looks at what it can; a faulty file is shown with its place.
#[test]
fn without_a_gateway_it_looks_at_files_and_disk() {
    let mut gateway = Gateway::start(|setup| setup.inventory = inventory(&[A]));
    gateway.signal(Signal::TERM);
    gateway.ended();
    let (found, _) = checks(&gateway, &[&A.target()]);
    assert!(said(&found, "gateway").contains("is `ampgate serve` running?"));
    assert!(said(&found, "disk").starts_with("ok "));
    assert!(said(&found, "signer").starts_with("skip "));
    assert!(said(&found, "target").starts_with("skip "));
    fs::write(
        gateway.dir.join("policy.cedar"),
        "permit (principal, action",
    )
    .unwrap();
    let (found, _) = checks(&gateway, &[]);
    assert!(said(&found, "configuration").starts_with("fail 1 fault"));
    let table = gateway.ampgate(&["doctor"]).exits(1).out();
    assert!(table.contains("policy.cedar:1:"), "{table}");
}

/// A credential that may read, one without the right, one that Keystone does not know, a cloud that is down.
#[test]
fn the_cloud_is_looked_at() {
    let cloud = Cloud::up("doctor");
    let of = |credential: &str| Gateway::start(|setup| cloud.inventory_of(setup, credential));
    for credential in ["reader", "read-only"] {
        let gateway = of(credential);
        // A list first: the inventory is one of the checks.
        until("the list", Duration::from_secs(120), || {
            let (found, _) = checks(&gateway, &[]);
            said(&found, "inventory").starts_with("ok ")
        });
        let (found, all) = checks(&gateway, &["lb-cmp-was-lb"]);
        assert!(all, "{found:#?}");
        assert!(said(&found, "clock").starts_with("ok "), "{found:#?}");
        assert!(said(&found, "keystone").starts_with("ok "));
        assert!(said(&found, "octavia").starts_with("ok "));
        assert!(said(&found, "namespace").contains("has the VIP 10.10.10.50"));
    }
    for (credential, status) in [("member", "403"), ("wrong-rules", "401")] {
        let (found, _) = checks(&of(credential), &[]);
        assert!(said(&found, "keystone").starts_with("ok "));
        let octavia = said(&found, "octavia");
        assert!(
            octavia.starts_with("fail ") && octavia.contains(status),
            "{octavia}"
        );
        let check = found.iter().find(|c| c["check"] == "octavia").unwrap();
        let advice = check["advice"].to_string();
        for rule in [
            "amphora:get_all",
            "amphora:get_one",
            "loadbalancer:get_all-global",
            "GET /v2/octavia/amphorae/*",
        ] {
            assert!(advice.contains(rule), "{rule}: {advice}");
        }
    }
    let gateway = of("expired");
    let (found, _) = checks(&gateway, &[]);
    assert!(said(&found, "keystone").starts_with("fail Keystone refuses the gateway's credential"));
    assert!(said(&found, "octavia").starts_with("skip "));
    cloud.run("stop", &["all"]);
    let (found, _) = checks(&gateway, &[]);
    assert!(
        said(&found, "keystone").contains("cannot be reached"),
        "{found:#?}"
    );
}
