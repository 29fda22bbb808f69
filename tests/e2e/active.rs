//! In: `lb-….active`. Out: the amphora that has the VIP in its namespace now, asked of those that the operator may reach.
//! Never: a VIP that other tests look at: these have addresses of their own.

use ampgate_tests::{
    A, B, BARE, Client, Entry, Gateway, Outcome, amphorae,
    amphorae::{NOSUDO, inventory},
    bed,
    gateway::POLICY,
    run,
};
use serde_json::Value;

/// A VIP that moves.
const VIP: &str = "10.10.10.77";

fn ssh(client: &Client, args: &[&str]) -> Outcome {
    let mut ssh = client.command("ssh");
    ssh.arg("-F").arg(client.config()).args(args);
    run(ssh, b"")
}

/// Takes an address away from both amphorae, and gives it to these.
fn vip(address: &str, to: &[Entry]) {
    for amphora in [A, B] {
        let change = if to.iter().any(|e| e.id == amphora.id) {
            "replace"
        } else {
            "del"
        };
        let command = format!("ip -n amphora-haproxy addr {change} {address}/24 dev eth1");
        let done = bed().inside(&amphora, &command);
        assert!(change == "del" || done.code == Some(0), "{done:?}");
    }
}

fn probed(gateway: &Gateway) -> Vec<Value> {
    let journal = gateway.journal().into_iter();
    journal.filter(|e| e["event"] == "amphora.probed").collect()
}

#[test]
fn the_active_amphora_is_the_one_that_has_the_vip() {
    let with = |vip| [Entry { vip, ..A }, Entry { vip, ..B }];
    // bob may reach one of the two only, erin none.
    let only_b = format!(
        "permit (principal == User::\"bob\", action, resource == Amphora::\"{}\");\npermit (principal in Group::\"admins\", action, resource);",
        B.id
    );
    let gateway = Gateway::start(|setup| {
        setup.inventory = inventory(&with(Some(VIP)));
        setup.policy = only_b;
    });
    let alice = gateway.client("alice");
    let jump = |host: &str| ssh(&alice, &["-J", "gateway", host, "hostname"]);
    let direct = |client: &Client| ssh(client, &["plain+lb-web.active@gateway", "hostname"]);

    // An address that begins alike is another one.
    bed().inside(
        &B,
        "ip -n amphora-haproxy addr replace 10.10.10.7/24 dev eth1; ip -n amphora-haproxy addr replace 110.10.10.77/24 dev eth1",
    )
    .good();
    for holder in [A, B, A] {
        vip(VIP, &[holder]);
        jump("lb-web.active").good().says(&holder.target());
        direct(&alice).good().says(&holder.target());
    }
    jump("root@lb-web.active").good().says(&A.target());
    let events = probed(&gateway);
    assert_eq!(events.len(), 14, "two for each: {events:#?}");
    let has = |id: &str, outcome: &str| {
        let of = |e: &&Value| e["amphora"] == id && e["outcome"] == outcome;
        events.iter().filter(of).count()
    };
    assert_eq!((has(A.id, "has-vip"), has(A.id, "no-vip")), (5, 2));
    assert_eq!((has(B.id, "has-vip"), has(B.id, "no-vip")), (2, 5));
    assert!(
        events
            .iter()
            .all(|e| e["by"] == "alice" && e["why"] == "active")
    );

    // Nobody has it; both have it.
    vip(VIP, &[]);
    let none = direct(&alice).exits(252);
    let none = none.complains("none of its amphorae says that it has the VIP 10.10.10.77");
    none.complains("amphora-93b939b0… does not have it")
        .complains("amphora-b4c12d77… does not have it");
    vip(VIP, &[A, B]);
    let both = direct(&alice).exits(252).complains("more than one");
    both.complains("amphora-b4c12d77… has it");

    // Who may reach one of them asks that one, and learns nothing of the other.
    let bob = gateway.client("bob");
    vip(VIP, &[A]);
    let before = probed(&gateway).len();
    let told = direct(&bob)
        .exits(252)
        .complains("amphora-b4c12d77… does not have it");
    assert!(!told.err().contains("93b939b0"), "{told:?}");
    vip(VIP, &[B]);
    direct(&bob).good().says(&B.target());
    let of_bob = probed(&gateway).split_off(before);
    assert_eq!(of_bob.len(), 2);
    assert!(
        of_bob
            .iter()
            .all(|e| e["amphora"] == B.id && e["by"] == "bob")
    );

    // For whoever may reach none, nobody is asked, and the answer is that for a name that does not exist.
    let erin = gateway.client("erin");
    let before = probed(&gateway).len();
    let forbidden = direct(&erin).exits(253).err();
    let unknown = ssh(&erin, &["plain+lb-nothing.active@gateway", "hostname"])
        .exits(253)
        .err();
    let words = |text: &str| text.split("session").next().map(str::to_owned);
    assert_eq!(words(&forbidden), words(&unknown));
    assert_eq!(probed(&gateway).len(), before, "nobody was asked");
    vip(VIP, &[]);
}

/// One answers and has it: that one. None can answer: each says why, and no key is used for what needs none.
#[test]
fn amphorae_that_cannot_be_asked_say_why() {
    let vip = Some("10.10.10.50");
    let dead = amphorae::DEAD;
    let gateway = Gateway::start(|setup| {
        let answering = [Entry { vip, ..A }, Entry { vip, ..dead }];
        let silent = [
            Entry { vip, ..BARE },
            Entry {
                lb: BARE.lb,
                project: BARE.project,
                vip,
                ..NOSUDO
            },
        ];
        setup.inventory = inventory(&[answering, silent].concat());
        setup.policy = POLICY.to_owned();
    });
    let alice = gateway.client("alice");
    ssh(&alice, &["-J", "gateway", "lb-web.active", "hostname"])
        .good()
        .says(&A.target());
    let silent = ssh(&alice, &["plain+lb-payments.active@gateway", "true"]).exits(252);
    silent
        .complains("amphora-c0ffee11… could not be asked: the amphora has no network namespace")
        .complains("amphora-e0e0e0e0… could not be asked: sudo on the amphora refused");
    let outcomes: Vec<_> = probed(&gateway)
        .iter()
        .map(|e| e["outcome"].as_str().unwrap().to_owned())
        .collect();
    for outcome in ["has-vip", "no-route", "no_namespace", "sudo_refused"] {
        assert!(
            outcomes.iter().any(|o| o == outcome),
            "{outcome}: {outcomes:?}"
        );
    }
}

/// A load balancer whose VIP nobody knows.
#[test]
fn without_a_vip_nothing_is_asked() {
    let gateway = Gateway::start(|setup| {
        let vip = None;
        setup.inventory = inventory(&[Entry { vip, ..A }, Entry { vip, ..B }]);
    });
    ssh(&gateway.client("alice"), &["lb-web.active@gateway", "true"])
        .exits(252)
        .complains("does not know this load balancer's VIP");
    assert!(probed(&gateway).is_empty());
}
