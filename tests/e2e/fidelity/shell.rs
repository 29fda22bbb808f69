//! In: commands and shells without a terminal. Out: equal status, signal, quoting and environment.
//! Never: anything that differs from run to run.

use ampgate_tests::{A, Land, Via, run};

use super::{command, same, same_through};

#[test]
fn succeeds() {
    command("true", b"");
}

#[test]
fn fails() {
    command("false", b"");
}

#[test]
fn not_found_is_127() {
    command("no-such-command-at-all", b"");
}

#[test]
fn not_executable_is_126() {
    command("/etc/hostname", b"");
}

/// All of them on one connection: 256 handshakes would tell nothing more.
#[test]
fn every_exit_status() {
    same(|client, via| {
        let (way, host) = client.way(via, Land::Plain, &A);
        let script = client.file(
            "statuses",
            "mux=\"$HOME/m$$\"; ssh \"$@\" -oControlPath=$mux -fNM || exit 99\n\
             for n in $(seq 0 255); do ssh -q \"$@\" -oControlPath=$mux \"exit $n\" </dev/null; echo $n=$?; done\n\
             ssh -q \"$@\" -oControlPath=$mux -O exit; exit 0\n",
        );
        let mut bash = client.command("bash");
        bash.arg(script).args(way).arg(host);
        let all = run(bash, b"").good();
        assert!(
            (0..=255).all(|n| all.out().contains(&format!("{n}={n}\n"))),
            "{all:?}"
        );
        all
    });
}

#[test]
fn exit_statuses_each_on_its_own_connection() {
    for n in [1, 2, 100, 128, 129, 254, 255] {
        command(&format!("exit {n}"), b"");
    }
}

#[test]
fn killed_by_signals() {
    for signal in ["TERM", "KILL", "HUP", "SEGV", "PIPE"] {
        command(&format!("echo before; kill -{signal} $$; echo after"), b"");
    }
}

#[test]
fn child_killed_by_signal_is_128_plus() {
    command("sh -c 'kill -9 $$'", b"");
}

#[test]
fn quotes_of_every_kind() {
    command(
        r#"printf '[%s]\n' 'a b' "c  d" e\ f "it's" '"' '\' "\\" $'t\tn\nx' '$HOME' "\$HOME" '`id`' "\`id\`""#,
        b"",
    );
}

#[test]
fn quoting_horrors_as_root_and_in_the_namespace() {
    // What root's shell makes of a command must be what the operator's own would.
    let horrors = [
        r#"printf '[%s]\n' 'a b' "c  d" e\ f "it's" '"' '\' "\\" '$HOME' '`id`' '!' '*' '?' '~' '#no'"#,
        "printf '%s|' 'new\nline' 'tab\there' ' trailing '; echo",
        "echo \"a'b\"'c\"d'; (exit 3)",
        "printf '%s\\n' a; false || printf '%s\\n' b; exit 7",
        "x='; rm -rf /nowhere; echo '; printf '%s\\n' \"$x\" \"${x#;}\" \"$((6*7))\" $(printf '%s' 'sub  shell')",
        "cat <<'EOF'\n$not `expanded` \\ here\nEOF\n",
        "printf '%s\\n' '\u{fc}ml\u{e4}ut \u{65e5}\u{672c} \u{1f980}'",
        "-x",
        "",
    ];
    let client = ampgate_tests::gateway().client("alice");
    for horror in horrors {
        let direct = client.exec(Via::Direct, Land::Plain, &A, horror, b"exit 5\n");
        for (via, land) in [
            (Via::Jump, Land::Root),
            (Via::Jump, Land::Netns),
            (Via::Syntax, Land::Root),
            (Via::Syntax, Land::Netns),
        ] {
            let through = client.exec(via, land, &A, horror, b"exit 5\n");
            assert_eq!(
                (through.code, through.out()),
                (direct.code, direct.out()),
                "{horror:?} by {via:?} {land:?}: {through:?}"
            );
        }
    }
}

#[test]
fn globs_and_words() {
    command(
        "cd /etc; printf '%s\\n' host* \"host*\" {a,b}c ~ ${#PWD}; set -- 1 2 3; echo $#",
        b"",
    );
}

#[test]
fn newlines_in_the_command() {
    command(
        "echo one\necho two\n\nfor i in 1 2\ndo\n echo $i\ndone\n",
        b"",
    );
}

#[test]
fn unicode_in_the_command() {
    command(
        "printf '%s\\n' '\u{fc}ml\u{e4}ut \u{202e}rtl\u{202c} \u{65e5}\u{672c} \u{1f980}'",
        b"",
    );
}

#[test]
fn bytes_that_are_no_utf8_in_the_command() {
    use std::os::unix::ffi::OsStrExt;
    same(|client, via| {
        let mut ssh = client.ssh(via, Land::Plain, &A, &[]);
        ssh.arg(std::ffi::OsStr::from_bytes(
            b"printf '%s' '\xff\xfe\x80\xc3(' | od -An -tx1",
        ));
        run(ssh, b"")
    });
}

#[test]
fn leading_and_trailing_blanks_in_the_command() {
    command("   printf '[%s]' 'x '   ", b"");
}

#[test]
fn a_command_of_100_000_bytes() {
    command(&format!("printf %s '{}' | wc -c", "x".repeat(100_000)), b"");
}

#[test]
fn many_arguments_are_joined_as_ssh_does() {
    same(|client, via| {
        let mut ssh = client.ssh(via, Land::Plain, &A, &[]);
        ssh.args(["printf", "<%s>", "a  b", "'c  d'", "\"e\"", "$HOME", "*"]);
        run(ssh, b"")
    });
}

#[test]
fn environment_that_sshd_accepts() {
    same(|client, via| {
        let mut ssh = client.ssh(via, Land::Plain, &A, &[]);
        ssh.env("LANG", "de_DE.UTF-8")
            .env("LC_TIME", "C")
            .env("LC_ODD", "a b'c\"$d");
        ssh.arg("env | grep -E '^(LANG|LC_)' | sort");
        run(ssh, b"").good()
    });
}

#[test]
fn environment_that_sshd_refuses() {
    same(|client, via| {
        let mut ssh = client.ssh(
            via,
            Land::Plain,
            &A,
            &["-oSendEnv=SECRET", "-oSetEnv=LD_PRELOAD=/tmp/x"],
        );
        ssh.env("SECRET", "x")
            .arg("env | grep -E '^(SECRET|LD_PRELOAD)'; echo none=$?");
        run(ssh, b"")
    });
}

#[test]
fn environment_of_a_plain_login() {
    command("env | grep -vE '^(SSH_|_=|SHLVL)' | sort", b"");
}

#[test]
fn shell_without_a_terminal_reads_a_script() {
    same(|client, via| {
        run(
            client.ssh(via, Land::Plain, &A, &["-T"]),
            b"echo $-; cd /etc; pwd; exit 42\necho never\n",
        )
    });
}

#[test]
fn shell_without_a_terminal_and_without_input() {
    same(|client, via| run(client.ssh(via, Land::Plain, &A, &["-T"]), b""));
}

#[test]
fn two_thousand_lines_into_a_shell() {
    let script: String = (0..2000).map(|n| format!("echo line {n}\n")).collect();
    same(|client, via| run(client.ssh(via, Land::Plain, &A, &["-T"]), script.as_bytes()));
}

#[test]
fn an_unknown_subsystem_is_refused() {
    same(|client, via| {
        let mut ssh = client.ssh(via, Land::Plain, &A, &["-s"]);
        ssh.arg("no-such-subsystem");
        let mut all = run(ssh, b"");
        // Our refusal has a sentence and a status of its own; that nothing of it goes through is what must be equal.
        assert!(matches!(all.code, Some(253 | 255)), "{all:?}");
        (all.stderr, all.code) = (Vec::new(), None);
        all
    });
}

#[test]
fn without_a_session() {
    // -N: a connection, no session, ended by the client.
    same_through(&[Via::Jump, Via::Syntax], |client, via| {
        let (way, host) = client.way(via, Land::Plain, &A);
        let mut bash = client.command("bash");
        bash.args(["-c", "m=$HOME/n$$; ssh \"$@\" -oControlPath=$m -fNM && ssh -q \"$@\" -oControlPath=$m -O exit; echo $?", "-"]);
        bash.args(way).arg(host);
        run(bash, b"").says("0\n")
    });
}

/// OpenSSH's client shows a signal as 255 only; asyncssh tells which, and can send them.
#[test]
fn signals_by_name_as_asyncssh_sees_them() {
    same(|client, via| super::together::asyncssh(client, via, "signals"));
}
