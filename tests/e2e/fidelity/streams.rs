//! In: bytes in both directions. Out: the same bytes, and the same ends of file.
//! Never: less than all of them.

use ampgate_tests::{A, Land, amphorae::REKEY, run};

use super::{command, command_on, noise, same};

const MIB: usize = 1 << 20;

#[test]
fn empty() {
    command(":", b"");
}

#[test]
fn stdout_and_stderr_apart() {
    command("echo out; echo err >&2; printf out2; printf err2 >&2", b"");
}

#[test]
fn stderr_alone_with_status() {
    command("echo bad >&2; exit 9", b"");
}

#[test]
fn every_byte() {
    let all: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    command("cat", &all);
    command("cat >&2", &all);
}

#[test]
fn zeros() {
    command("head -c 300000 /dev/zero", b"");
}

#[test]
fn one_line_without_an_end() {
    command("printf no-newline", b"");
    command("head -c 5000000 /dev/zero | tr '\\0' x", b"");
}

#[test]
fn utf8_cut_at_every_byte() {
    command(
        "printf '\\303'; sleep 0.05; printf '\\274 \\342'; sleep 0.05; printf '\\202\\254 \\360\\237'; sleep 0.05; printf '\\246\\200\\n'",
        b"",
    );
}

#[test]
fn many_small_writes() {
    command(
        "for i in $(seq 2000); do echo $i; done; for i in $(seq 500); do echo $i >&2; done",
        b"",
    );
}

#[test]
fn one_byte_writes() {
    command(
        "python3 -c 'import os\nfor i in range(5000): os.write(1 + i % 2, bytes([i % 256]))'",
        b"",
    );
}

#[test]
fn input_is_read_to_its_end() {
    command("cat; echo done", b"some input");
}

#[test]
fn half_close_input_then_answer() {
    command("wc -c; sleep 0.3; echo still here; exit 3", &noise(100_000));
}

#[test]
fn output_closed_before_the_end() {
    command("echo a; exec >&-; sleep 0.3; echo b >&2; exit 4", b"");
}

#[test]
fn input_that_nobody_reads() {
    command("exec <&-; echo not reading; sleep 0.2; exit 6", &noise(MIB));
}

#[test]
fn program_ends_before_it_read_everything() {
    command("head -c 10 | od -An -tx1; exit 5", &noise(8 * MIB));
}

#[test]
fn client_goes_before_the_program_ends() {
    same(|client, via| {
        let (way, host) = client.way(via, Land::Plain, &A);
        let mut bash = client.command("bash");
        bash.args([
            "-c",
            "ssh \"$@\" yes | head -c 100000 | sha256sum; echo ${PIPESTATUS[0]}",
            "-",
        ])
        .args(way)
        .arg(host);
        run(bash, b"")
    });
}

#[test]
fn a_background_process_keeps_the_output_open() {
    command("(sleep 0.5; echo late) & echo early; exit 2", b"");
}

#[test]
fn without_input() {
    same(|client, via| {
        let mut ssh = client.ssh(via, Land::Plain, &A, &["-n"]);
        ssh.arg("cat; echo end of file at once");
        run(ssh, b"never read")
    });
}

#[test]
fn down_100_mib() {
    command(
        "python3 -c 'import random, sys\nrandom.seed(7)\nfor _ in range(100): sys.stdout.buffer.write(random.randbytes(1 << 20))'",
        b"",
    );
}

#[test]
fn up_100_mib() {
    command("sha256sum", &noise(100 * MIB));
}

#[test]
fn both_ways_100_mib() {
    command("cat", &noise(100 * MIB));
}

#[test]
fn down_64_mib_of_text_on_stderr() {
    command("seq 9000000 >&2", b"");
}

#[test]
fn client_asks_for_new_keys_every_16_mib() {
    let rekey = ["-oRekeyLimit=16M"];
    command_on(&A, &rekey, "sha256sum", &noise(64 * MIB));
    command_on(&A, &rekey, "head -c 67108864 /dev/zero", b"");
    command_on(&A, &rekey, "cat", &noise(64 * MIB));
}

#[test]
fn amphora_asks_for_new_keys_every_16_mib() {
    command_on(&REKEY, &[], "sha256sum", &noise(64 * MIB));
    command_on(&REKEY, &[], "head -c 67108864 /dev/zero", b"");
    command_on(&REKEY, &["-oRekeyLimit=16M"], "cat", &noise(64 * MIB));
}
