//! In: channels and requests of RFC 4254 and OpenSSH, in every state, by operators of every right. Out: only what is granted.
//! Never: only the polite order of messages.

use ampgate_tests::{A, Gateway, Land, Via, gateway};

use super::leaves;

/// Row 3: every channel kind and request that is never granted is refused on both connections, and nothing listens.
#[test]
fn row_03_every_door_but_one_is_shut() {
    let gateway = gateway();
    let found = gateway.attacked("doors", "alice", &[]);
    let all = leaves(&found);
    assert!(all.len() > 50, "{found:#}");
    let open: Vec<_> = all
        .iter()
        .filter(|(_, outcome)| !matches!(outcome.as_str(), "refused" | "ended"))
        .collect();
    assert!(open.is_empty(), "{open:#?}");
}

/// Row 3: each request × each permission. One decision for all: what is not allowed is refused however it is asked for.
#[test]
fn row_03_every_request_by_every_right() {
    let gateway = gateway();
    let asks = [
        "shell",
        "exec",
        "sftp",
        "pty shell",
        "pty exec",
        // A terminal on the amphora would change what the gateway has judged: nobody gets that.
        "pty sftp",
    ];
    let table: [(&str, [bool; 6]); 5] = [
        ("alice", [true, true, true, true, true, false]),
        ("bob", [true, true, true, true, true, false]),
        ("carol", [false; 6]),
        ("dave", [false, true, false, false, true, false]),
        ("erin", [false, false, true, false, false, false]),
    ];
    for (operator, expected) in table {
        let found = gateway.attacked("requests", operator, &[]);
        for (ask, allowed) in asks.iter().zip(expected) {
            let outcome = found[*ask].to_string();
            let got_in = found[*ask][0] == "granted" && found[*ask][1] == 0;
            assert_eq!(got_in, allowed, "{operator} {ask}: {outcome}");
            if !allowed {
                assert!(!outcome.contains("through"), "{operator} {ask}: {outcome}");
            }
        }
    }
    // bob may plain only: the same asks as root or in the namespace are refused.
    for user in ["root", "netns"] {
        let found = gateway.attacked("requests", "bob", &[("INNER_USER", user)]);
        for ask in asks {
            assert_ne!(
                (&found[ask][0], &found[ask][1]),
                (&"granted".into(), &0.into()),
                "bob {user} {ask}: {found:#}"
            );
        }
    }
}

/// Row 3: OpenSSH's own ways through the doors: forwards, agent, X11, tunnel. Nothing may come of any.
#[test]
fn row_03_openssh_forwards_nothing() {
    let client = gateway().client("alice");
    for options in [
        &["-L", "127.0.0.1:18080:127.0.0.1:22"][..],
        &["-R", "127.0.0.1:18081:127.0.0.1:22"],
        &["-D", "127.0.0.1:18082"],
        &["-A"],
        &["-oForwardX11=yes"],
        &["-w", "5:5"],
        &["-R", "/tmp/forwarded:/tmp/x"],
    ] {
        for via in [Via::Jump, Via::Syntax] {
            let mut ssh = client.ssh(via, Land::Plain, &A, options);
            ssh.arg("echo agent=$SSH_AUTH_SOCK display=$DISPLAY; ss -ltn 2>/dev/null | grep 1808; ls /tmp/forwarded 2>/dev/null; exit 0");
            let outcome = ampgate_tests::run(ssh, b"");
            for sign in ["agent=/", "display=localhost", ":1808", "/tmp/forwarded"] {
                assert!(
                    !outcome.out().contains(sign),
                    "{options:?} by {via:?}: {outcome:?}"
                );
            }
        }
    }
}

/// Row 4: messages 80 to 127 before authentication end the connection, in every state; none is answered.
#[test]
fn row_04_no_connection_message_before_authentication() {
    let mut gateway = Gateway::start(|setup| setup.set("limits", "login_grace = \"60s\""));
    let found = gateway.attacked("states", "alice", &[]);
    for (path, outcome) in leaves(&found) {
        if path != "rekey/" {
            assert_eq!(outcome, "ended", "{path}: {found:#}");
        }
    }
    assert!(gateway.alive());
    assert_eq!(
        gateway.seen().len(),
        0,
        "something got as far as a recording"
    );
    gateway
        .client("alice")
        .exec(Via::Jump, Land::Plain, &A, "true", b"")
        .good();
}
