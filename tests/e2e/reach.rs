//! In: [[reach]]. Out: connections that begin where it says, or go through the hop that it names; IPv6.
//! Never: a hop that shows another host key.

use ampgate_tests::{
    A, B, BARE, Client, Entry, Gateway, Land, Outcome, Via, amphorae::inventory, bed, run,
};
use serde_json::Value;

fn on_controller(command: &str) -> Outcome {
    let mut bash = bed().command("bash");
    bash.args(["-c", command]);
    run(bash, b"")
}

fn direct(client: &Client, target: &Entry, command: &str) -> Outcome {
    client.exec(Via::Syntax, Land::Plain, target, command, b"")
}

#[test]
fn connections_begin_at_the_address_or_interface() {
    on_controller("ip addr replace 172.24.0.77/16 dev br-mgmt").good();
    let gateway = Gateway::start(|setup| {
        let sections = "subnet = \"172.24.0.23/32\"\nbind = \"172.24.0.77\"\n\
             [[reach]]\nsubnet = \"172.24.0.24/32\"\ninterface = \"br-mgmt\"\n\
             [[reach]]\nsubnet = \"172.24.0.25/32\"\ninterface = \"nosuch0\"\n\
             [[reach]]\nsubnet = \"172.24.0.0/16\"\nbind = \"192.0.2.1\"\n";
        setup.set("[reach]", sections);
    });
    let alice = gateway.client("alice");
    let from = "echo from ${SSH_CONNECTION%% *}";
    direct(&alice, &A, from).good().says("from 172.24.0.77\n");
    direct(&alice, &B, from).good().says("from 172.24.0.1\n");
    direct(&alice, &BARE, from)
        .exits(252)
        .complains("[[reach]]")
        .complains("interface nosuch0");
    // Only the first section that covers an amphora counts; the last one covers what is left.
    direct(&alice, &ampgate_tests::amphorae::DEAD, from)
        .exits(252)
        .complains("address 192.0.2.1");
}

#[test]
fn connections_go_through_a_hop_whose_host_key_is_known() {
    let host_key = bed().jump_host(2922);
    let start = |host_key: &str| {
        Gateway::start(|setup| {
            let section = format!(
                "subnet = \"172.24.0.0/16\"\nvia = \"hop@127.0.0.1:2922\"\nhost_key = {host_key:?}"
            );
            setup.set("[reach]", &section);
            setup.set(
                "upstream",
                "login_users = [\"cloud-user\", \"nosudo\", \"noshell\", \"hop\"]",
            );
        })
    };
    let signed = |gateway: &Gateway, user: &str| {
        let signed = |e: &&Value| e["event"] == "signer.signed" && e["login_user"] == user;
        gateway.journal().iter().filter(signed).count()
    };
    let gateway = start(&host_key);
    let alice = gateway.client("alice");
    for via in [Via::Jump, Via::Syntax] {
        for land in [Land::Plain, Land::Netns] {
            alice
                .exec(via, land, &A, "hostname; cat >/dev/null", &[7; 300_000])
                .good()
                .says(&A.target());
        }
    }
    assert_eq!(
        (signed(&gateway, "hop"), signed(&gateway, "cloud-user")),
        (4, 4)
    );
    // Each of them in a session: no connection to a hop without a grant and a recording.
    let events = gateway.journal();
    let loose = |e: &&Value| e["event"] == "signer.signed" && e["session"].is_null();
    assert_eq!(events.iter().filter(loose).count(), 0);
    // What is behind the hop is told apart too.
    direct(&alice, &ampgate_tests::amphorae::CLOSED, "true")
        .exits(252)
        .complains("the SSH hop of [[reach]] does not lead there");
    drop(gateway);

    let gateway =
        start("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILmLOegbqs2V+Sh5kt0SFPlIVqUflhZFMIrXwJG1Hg2X");
    direct(&gateway.client("alice"), &A, "true")
        .exits(252)
        .complains("shows another host key");
    assert_eq!(signed(&gateway, "hop"), 0, "no key is used for a stranger");
}

#[test]
fn amphorae_on_ipv6() {
    let address = "fd00:172:24::23";
    on_controller("ip addr replace fd00:172:24::1/64 dev br-mgmt nodad").good();
    bed()
        .inside(&A, &format!("ip addr replace {address}/64 dev eth0 nodad"))
        .good();
    let gateway = Gateway::start(|setup| {
        setup.inventory = inventory(&[Entry { address, ..A }]);
        let section = "subnet = \"fd00:172:24::/64\"\nbind = \"fd00:172:24::1\"";
        setup.set("[reach]", section);
    });
    let alice = gateway.client("alice");
    for land in [Land::Plain, Land::Root, Land::Netns] {
        alice
            .exec(Via::Jump, land, &A, "hostname", b"")
            .good()
            .says(&A.target());
    }
    direct(&alice, &A, "echo $SSH_CONNECTION")
        .good()
        .says("fd00:172:24::1 ")
        .says("fd00:172:24::23 22");
    let opened = gateway.journal().into_iter();
    let opened: Vec<_> = opened.filter(|e| e["event"] == "upstream.opened").collect();
    assert!(
        opened
            .iter()
            .all(|e| e["address"] == "[fd00:172:24::23]:22"),
        "{opened:#?}"
    );
}
