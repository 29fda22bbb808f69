//! In: keys that are not the operator's, host keys that are not the amphora's. Out: nobody gets in as somebody else.
//! Never: an amphora's identity by address.

use std::{fs, process::Command};

use ampgate_tests::{
    A, B, Entry, Gateway, Land, Via,
    amphorae::{self, inventory},
    bed::{new_key, tool},
    gateway, run,
};
use rustix::process::Signal;

use super::leaves;

/// Row 6: an identity only after a verified signature over this connection's session id, with the key that was offered.
#[test]
fn row_06_a_key_must_have_signed() {
    let gateway = gateway();
    let stranger = gateway.dir.join("stranger");
    new_key(&stranger);
    let victim = gateway.key("bob").display().to_string();
    let found = gateway.attacked(
        "keys",
        "alice",
        &[
            ("VICTIM", &victim),
            ("STRANGER", &stranger.display().to_string()),
        ],
    );
    for (case, outcome) in leaves(&found) {
        assert_eq!(
            outcome,
            if case == "own key/" { "in" } else { "out" },
            "{case}: {found:#}"
        );
    }
}

/// Row 6: user certificates of any kind are refused, also around a key that is known; so is SHA-1.
#[test]
fn row_06_odd_certificates_and_old_signatures() {
    let shared = gateway();
    let client = shared.client("alice");
    let ca = client.new_key("ca");
    let key = client.home().join("alice");
    fs::copy(shared.key("alice"), &key).unwrap();
    fs::copy(
        shared.key("alice").with_extension("pub"),
        key.with_extension("pub"),
    )
    .unwrap();
    let certificates: [&[&str]; 5] = [
        &["-n", "alice"],
        &["-n", "root,alice", "-O", "clear"],
        &["-h", "-n", "alice"],
        &["-n", "alice", "-V", "20200101:20200102"],
        &["-n", "alice", "-O", "critical:no-such-option=x"],
    ];
    for options in certificates {
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-q", "-s"])
            .arg(&ca)
            .args(["-I", "alice"])
            .args(options)
            .arg(key.with_extension("pub"));
        run(sign, b"").good();
        let mut ssh = client.command("ssh");
        ssh.arg("-F")
            .arg(client.config())
            .arg("-oPubkeyAcceptedAlgorithms=ssh-ed25519-cert-v01@openssh.com")
            .arg("-oCertificateFile=alice-cert.pub");
        ssh.arg("-i").arg(&key).args(["gateway", "true"]);
        run(ssh, b"").exits(255).complains("Permission denied");
    }
    // RSA with SHA-1: a user whose key is RSA is let in with rsa-sha2 only.
    let rsa = client.home().join("rsa");
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .args(["-q", "-t", "rsa", "-b", "3072", "-N", "", "-f"])
        .arg(&rsa);
    run(keygen, b"").good();
    let public = fs::read_to_string(rsa.with_extension("pub")).unwrap();
    let gateway = Gateway::start(|setup| {
        setup.users += &format!(
            "[[user]]\nname = \"rita\"\ngroups = [\"admins\"]\nkeys = [{:?}]\n",
            public.trim()
        )
    });
    for (algorithm, status) in [("rsa-sha2-512", 0), ("rsa-sha2-256", 0), ("ssh-rsa", 255)] {
        let rita = ampgate_tests::Client::new(&gateway, "rita", &rsa);
        let mut ssh = rita.ssh(
            Via::Syntax,
            Land::Plain,
            &A,
            &[&format!("-oPubkeyAcceptedAlgorithms={algorithm}")],
        );
        ssh.arg("true");
        run(ssh, b"").exits(status);
    }
}

/// Row 16: pinned by amphora id. A new amphora on an old address is no conflict; another key for a known id is refused.
#[test]
fn row_16_pins_belong_to_amphorae_not_to_addresses() {
    // Both ids first on their own address.
    let mut gateway = Gateway::start(|setup| setup.inventory = inventory(&[A, B]));
    let client = gateway.client("alice");
    client.exec(Via::Jump, Land::Plain, &A, "true", b"").good();
    client.exec(Via::Jump, Land::Plain, &B, "true", b"").good();
    assert_eq!(
        events(&gateway, "hostkey.pinned"),
        2,
        "a first contact is recorded as such"
    );

    // A failover: a third id on A's address, while A is gone. Its first contact is nobody's conflict.
    let reborn = Entry {
        id: "aaaaaaaa-1111-4222-8333-444455556666",
        role: None,
        ..A
    };
    reload(&mut gateway, &[reborn, B]);
    client
        .exec(Via::Jump, Land::Plain, &reborn, "true", b"")
        .good();
    assert_eq!(events(&gateway, "hostkey.refused"), 0);

    // A man in the middle: A's id, but whoever answers shows another host key.
    let middle = Entry { port: 2023, ..A };
    reload(&mut gateway, &[middle, B]);
    let before = gateway.log().matches("signed").count();
    let refused = client.exec(Via::Jump, Land::Plain, &middle, "echo never", b"");
    assert_eq!(refused.out(), "");
    assert_eq!(refused.code, Some(251), "{refused:?}");
    assert!(
        refused.err().matches("SHA256:").count() == 2,
        "both fingerprints are to be named: {refused:?}"
    );
    assert_eq!(events(&gateway, "hostkey.refused"), 1);
    assert_eq!(
        gateway.log().matches("signed").count(),
        before,
        "the octavia key was used towards the wrong host"
    );

    // A's address now belongs to B as well by mistake of nobody: B's id, A's key: refused too. And A itself still works.
    let swapped = Entry {
        address: A.address,
        ..B
    };
    reload(&mut gateway, &[swapped]);
    client
        .exec(Via::Syntax, Land::Plain, &swapped, "true", b"")
        .exits(251);
    reload(&mut gateway, &[A, B]);
    client
        .exec(Via::Jump, Land::Plain, &A, "hostname", b"")
        .good()
        .says(&A.target());
}

fn reload(gateway: &mut Gateway, entries: &[Entry]) {
    let before = events(gateway, "config.reloaded");
    fs::write(
        gateway.dir.join("inventory.toml"),
        amphorae::inventory(entries),
    )
    .unwrap();
    gateway.signal(Signal::HUP);
    ampgate_tests::outcome::until(
        "the inventory is reloaded",
        std::time::Duration::from_secs(10),
        || events(gateway, "config.reloaded") > before,
    );
}

fn events(gateway: &Gateway, name: &str) -> usize {
    gateway
        .journal()
        .iter()
        .filter(|e| e.to_string().contains(&format!("\"{name}\"")))
        .count()
}

/// Row 7, what of it exists: `ssh-audit` finds nothing to fail or warn about on the outer server.
#[test]
fn row_07_ssh_audit_has_no_fault_to_find() {
    let gateway = gateway();
    let mut audit = ampgate_tests::bed().command(tool("ssh-audit"));
    audit.args([
        "-jj",
        "--skip-rate-test",
        "-p",
        &gateway.port.to_string(),
        "127.0.0.1",
    ]);
    let report: serde_json::Value = serde_json::from_str(&run(audit, b"").out()).unwrap();
    let mut faults = Vec::new();
    for kind in ["kex", "key", "enc", "mac"] {
        for algorithm in report[kind].as_array().unwrap() {
            for level in ["fail", "warn"] {
                // Clients before OpenSSH 9.9 have no key exchange that withstands quantum computers.
                let old = |note: &&serde_json::Value| !note.to_string().contains("post-quantum");
                let notes: Vec<_> = algorithm["notes"][level]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(old)
                    .collect();
                if !notes.is_empty() {
                    faults.push(format!(
                        "{kind} {} {level}: {notes:?}",
                        algorithm["algorithm"]
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(
        report["kex"].to_string().contains("kex-strict-s"),
        "no strict key exchange (Terrapin)"
    );
    assert_eq!(report["compression"].to_string(), "[\"none\"]");
}

/// Row 10: nobody is believed who says where he comes from. A header in front of SSH is no SSH, from whomever.
#[test]
fn row_10_a_proxy_header_is_no_ssh() {
    let gateway = gateway();
    let found = gateway.attacked("proxied", "alice", &[]);
    assert_eq!(found["none"], "talks", "{found:#}");
    for header in ["v1", "v1 unknown", "v2", "v2 local"] {
        assert_eq!(found[header], "ended", "{found:#}");
    }
    let told = format!("{:?}{}", gateway.journal(), gateway.log());
    assert!(!told.contains("203.0.113.9"), "a claimed source was taken");
}
