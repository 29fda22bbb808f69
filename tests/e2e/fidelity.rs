//! In: a case. Out: the same case direct to the amphora and through the gateway: equal in every byte and status.
//! Never: an expected value of our own: OpenSSH and the amphora say what is right.

mod files;
mod pty;
mod shell;
mod streams;
mod together;

use ampgate_tests::{A, Client, Entry, Land, Outcome, Via, gateway};

/// Runs `case` each way as alice, and compares.
fn same(case: impl Fn(&Client, Via) -> Outcome) {
    same_through(&[Via::Jump, Via::Syntax], case);
}

fn same_through(ways: &[Via], case: impl Fn(&Client, Via) -> Outcome) {
    let client = gateway().client("alice");
    let direct = case(&client, Via::Direct);
    assert!(!direct.hung, "the case itself hangs: {direct:?}");
    for via in ways {
        let through = case(&client, *via);
        assert!(
            through == direct,
            "{via:?} differs\n  direct: {direct:?}\n through: {through:?}"
        );
    }
}

/// The most common case: one remote command, some standard input.
fn command(shell: &str, stdin: &[u8]) {
    same(|client, via| client.exec(via, Land::Plain, &A, shell, stdin));
}

/// Bytes that no compression and no UTF-8 decoder likes, always the same.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// What an amphora with other settings is asked the same way.
fn command_on(amphora: &Entry, options: &[&str], shell: &str, stdin: &[u8]) {
    same(|client, via| {
        let mut ssh = client.ssh(via, Land::Plain, amphora, options);
        ssh.arg(shell);
        ampgate_tests::run(ssh, stdin)
    });
}
