//! In: many sessions at once. Out: each as if it were alone.
//! Never: fewer than asked for.

use ampgate_tests::{
    A, Client, Land, Outcome, Via,
    bed::{script, tool},
    gateway, run,
};

use super::{noise, same};

/// A scene of tests/bed/scenes.py, played with asyncssh.
pub(super) fn asyncssh(client: &Client, via: Via, scene: &str) -> Outcome {
    let mut python = client.command(tool("python3"));
    python.arg(script("scenes.py")).arg(scene).arg(match via {
        Via::Direct => "direct",
        Via::Jump => "jump",
        Via::Syntax => "syntax",
    });
    python
        .env("AMPHORA", A.target())
        .env("ADDRESS", A.address)
        .env("PORT", gateway().port.to_string());
    python
        .env("KEY", gateway().key("alice"))
        .env("OCTAVIA", ampgate_tests::bed().octavia_key());
    let seen = run(python, b"");
    assert_eq!(seen.code, Some(0), "{via:?}: {seen:?}");
    seen
}

/// 20 sessions on one connection, each with its own output and status.
#[test]
fn twenty_sessions_on_one_connection() {
    same(|client, via| {
        let (way, host) = client.way(via, Land::Plain, &A);
        let script = "m=$HOME/x$$; ssh \"$@\" -oControlPath=$m -fNM || exit 99\n\
             for n in $(seq 20); do (ssh -q \"$@\" -oControlPath=$m \"head -c ${n}00000 /dev/zero | sha256sum; sleep 0.2; echo $n >&2; exit $n\" >$HOME/o$n 2>&1 </dev/null; echo $? >>$HOME/o$n) & done; wait\n\
             for n in $(seq 20); do cat $HOME/o$n; done; ssh -q \"$@\" -oControlPath=$m -O exit; exit 0\n";
        let mut bash = client.command("bash");
        bash.args(["-c", script, "-"]).args(way).arg(host);
        let all = run(bash, b"").good();
        assert!(all.out().ends_with("20\n20\n"), "{all:?}");
        all
    });
}

/// The same by channels of one jump: every `-J` shares the outer connection.
#[test]
fn twenty_jumps_on_one_outer_connection() {
    let client = gateway().client("alice");
    let script = "set -- -F $HOME/config -oControlPath=$HOME/outer; ssh \"$@\" -fNM gateway || exit 99\n\
         for n in $(seq 20); do (ssh \"$@\" -S none -oProxyCommand=\"ssh -F $HOME/config -oControlPath=$HOME/outer -W %h:%p gateway\" cloud-user@$0 \"cat; exit $n\" <$HOME/in >$HOME/o$n; echo $? >$HOME/s$n) & done; wait\n\
         for n in $(seq 20); do cmp $HOME/in $HOME/o$n && cat $HOME/s$n; done; ssh -q \"$@\" -O exit gateway; exit 0\n";
    client.file("in", noise(3_000_000));
    let mut bash = client.command("bash");
    bash.args(["-c", script, &A.target()]);
    let expected: String = (1..=20).map(|n| format!("{n}\n")).collect();
    assert_eq!(run(bash, b"").good().out(), expected);
}

#[test]
fn one_hundred_connections_at_once() {
    same(|client, via| {
        let (way, host) = client.way(via, Land::Plain, &A);
        let script = "for n in $(seq 100); do (ssh \"$@\" \"echo $n; exit $((n % 7))\" >$HOME/p$n 2>&1 </dev/null; echo $? >>$HOME/p$n) & done; wait\n\
             for n in $(seq 100); do cat $HOME/p$n; done\n";
        let mut bash = client.command("bash");
        bash.args(["-c", script, "-"]).args(way).arg(host);
        let all = run(bash, b"").good();
        let expected: String = (1..=100).map(|n| format!("{n}\n{}\n", n % 7)).collect();
        assert_eq!(all.out(), expected);
        all
    });
}

#[test]
fn ten_at_once_with_data_both_ways() {
    same(|client, via| {
        client.file("in", noise(8_000_000));
        let (way, host) = client.way(via, Land::Plain, &A);
        let script = "for n in $(seq 10); do ssh \"$@\" cat <$HOME/in >$HOME/d$n & done; wait; for n in $(seq 10); do cmp $HOME/in $HOME/d$n && echo same; done\n";
        let mut bash = client.command("bash");
        bash.args(["-c", script, "-"]).args(way).arg(host);
        let all = run(bash, b"").good();
        assert_eq!(all.out().matches("same").count(), 10, "{all:?}");
        all
    });
}
