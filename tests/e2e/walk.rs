//! In: what operators do today on an amphora. Out: the same through the gateway, in each landing, both ways in.
//! Never: a key for the amphora, an address, a prompt on the client's side; one known_hosts line covers all amphorae.

use ampgate_tests::{A, B, Client, Land, Via, gateway, run, terminal::talk};

const WALK: &str = "hostname; ip -br a show dev eth0; ps -ef | grep '[h]aproxy -f'; sudo -n -i id -un; sudo -n ip netns show; \
     sudo -n ip netns exec amphora-haproxy ip -br a show dev eth1; sudo -n ls /var/lib/octavia; sudo -n cat /var/lib/octavia/*/haproxy.cfg";

#[test]
fn plain_landing() {
    let client = gateway().client("alice");
    for via in [Via::Jump, Via::Syntax] {
        let seen = client
            .exec(via, Land::Plain, &A, &format!("id -un; {WALK}"), b"")
            .good();
        let seen = seen
            .says("cloud-user\n")
            .says(&A.target())
            .says(A.address)
            .says("haproxy -f /var/lib/octavia")
            .says("\nroot\n");
        seen.says("amphora-haproxy")
            .says("10.10.10.50/24")
            .says(A.lb.0)
            .says("bind 10.10.10.50:80");
    }
}

#[test]
fn root_landing() {
    let client = gateway().client("alice");
    for via in [Via::Jump, Via::Syntax] {
        let seen = client.exec(via, Land::Root, &A, "id -un; pwd; hostname; ip netns show; ip -br a show dev eth0; ls /var/lib/octavia; ip netns exec amphora-haproxy ip -br a", b"");
        let seen = seen
            .good()
            .says("root\n/root\n")
            .says(&A.target())
            .says("amphora-haproxy")
            .says(A.address);
        seen.says(A.lb.0).says("10.10.10.50/24");
    }
}

#[test]
fn netns_landing() {
    let client = gateway().client("alice");
    for via in [Via::Jump, Via::Syntax] {
        let seen = client
            .exec(
                via,
                Land::Netns,
                &A,
                "id -un; ip netns identify; ip -br a; ls /var/lib/octavia; ss -ltn",
                b"",
            )
            .good();
        let seen = seen
            .says("root\n")
            .says("amphora-haproxy")
            .says("eth1")
            .says("10.10.10.50/24")
            .says(A.lb.0)
            .says("10.10.10.50:80");
        assert!(
            !seen.out().contains(A.address),
            "eth0 must not be seen from the namespace: {seen:?}"
        );
    }
}

/// The walk as it is typed: a terminal, a shell, `sudo -i`, and out again.
#[test]
fn typed_by_hand() {
    let client = gateway().client("alice");
    for via in [Via::Jump, Via::Syntax] {
        let ssh = client.ssh(via, Land::Plain, &A, &["-tt"]);
        let lines = [
            "expect $ ",
            r"send hostname; ip -br a show dev eth0\r",
            "expect 172.24.0.23",
            "expect $ ",
            r"send sudo -i\r",
            "expect # ",
            r"send ip netns show\r",
            "expect amphora-haproxy",
            "expect # ",
            r"send ip netns exec amphora-haproxy ip a show dev eth1\r",
            "expect 10.10.10.50",
            "expect # ",
            r"send exit\r",
            "expect $ ",
            r"send exit 4\r",
        ];
        talk(&ssh, "40x120", &lines).exits(4);
    }
}

#[test]
fn shells_of_root_and_of_the_namespace() {
    let client = gateway().client("alice");
    for via in [Via::Jump, Via::Syntax] {
        for (land, shows) in [(Land::Root, "expect eth0"), (Land::Netns, "expect eth1")] {
            let ssh = client.ssh(via, land, &A, &["-tt"]);
            let lines = [
                "expect # ",
                r"send id -un; shopt login_shell; ip -br a\r",
                "expect root",
                "expect on",
                shows,
                "expect # ",
                r"send exit 6\r",
            ];
            talk(&ssh, "40x120", &lines).exits(6);
        }
    }
}

/// The default landing is the policy's: alice may all, the least of it is plain; no landing was asked for.
#[test]
fn default_landing() {
    let client = gateway().client("alice");
    for via in [Via::Jump, Via::Syntax] {
        client
            .exec(via, Land::Default, &A, "id -un", b"")
            .good()
            .says("cloud-user\n");
    }
}

#[test]
fn load_balancers_and_prefixes_are_names_too() {
    let client = gateway().client("alice");
    for (name, host) in [
        ("lb-web", A.target()),
        ("lb-web.master", A.target()),
        ("lb-web.backup", B.target()),
        (&format!("lb-{}", A.lb.0), A.target()),
        (&A.target()[..16], A.target()),
    ] {
        for args in [
            ["-J", "gateway", &format!("cloud-user@{name}")].to_vec(),
            [&format!("plain+{name}@gateway")[..]].to_vec(),
        ] {
            let mut ssh = client.command("ssh");
            ssh.arg("-F")
                .arg(client.config())
                .args(args)
                .arg("hostname");
            assert_eq!(run(ssh, b"").good().out().trim(), host, "{name}");
        }
    }
}

/// What `ampgate ssh-config` prints is enough: the operator adds nothing but a key.
#[test]
fn the_printed_configuration_is_enough() {
    let gateway = gateway();
    let config = gateway
        .ampgate(&["ssh-config", "--host", "127.0.0.1", "--user", "alice"])
        .good()
        .out();
    let known = gateway
        .ampgate(&["ssh-config", "--host", "127.0.0.1", "--known-hosts"])
        .good()
        .out();
    assert_eq!(
        known.lines().filter(|l| l.contains("amphora-*")).count(),
        1,
        "one line covers all amphorae: {known}"
    );
    let client = Client::direct_only();
    client.file("known_hosts", known);
    let bed = format!(
        "Host *\n  BatchMode yes\n  StrictHostKeyChecking yes\n  IdentitiesOnly yes\n  UserKnownHostsFile {0}/known_hosts\n  GlobalKnownHostsFile /dev/null\nHost gateway\n  IdentityFile {1}\n",
        client.home().display(),
        gateway.key("alice").display()
    );
    client.file("config", config + &bed);
    for args in [
        vec!["-J", "gateway", "amphora-93b939b0"],
        vec!["lb-web.backup"],
    ] {
        let mut ssh = client.command("ssh");
        ssh.arg("-F")
            .arg(client.config())
            .args(args)
            .arg("hostname");
        run(ssh, b"").good().says("amphora-");
    }
}

/// A missing namespace, refused sudo and a missing shell are told apart, and each has its own sentence.
#[test]
fn landings_that_cannot_come_about() {
    use ampgate_tests::{
        BARE,
        amphorae::{CLOSED, DEAD, NOSHELL, NOSUDO},
    };
    let client = gateway().client("alice");
    let mut sentences = Vec::new();
    for (amphora, land) in [
        (BARE, Land::Netns),
        (NOSUDO, Land::Root),
        (NOSHELL, Land::Plain),
        (CLOSED, Land::Plain),
        (DEAD, Land::Plain),
    ] {
        let said = client.exec(Via::Jump, land, &amphora, "echo never", b"");
        assert_ne!(said.code, Some(0), "{said:?}");
        assert_eq!(said.out(), "", "{said:?}");
        let line = said
            .err()
            .lines()
            .find(|l| l.contains("ampgate:"))
            .unwrap_or_else(|| panic!("no sentence: {said:?}"))
            .to_owned();
        assert!(
            !sentences.contains(&line),
            "the same sentence twice: {line}"
        );
        assert!(line.contains("session"), "no session id: {line}");
        sentences.push(line);
    }
    // Only what it names is missing: the others still work there.
    client
        .exec(Via::Jump, Land::Root, &BARE, "id -un", b"")
        .good()
        .says("root");
    client
        .exec(Via::Jump, Land::Plain, &NOSUDO, "id -un", b"")
        .good()
        .says("nosudo");
}
