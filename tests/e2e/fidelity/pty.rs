//! In: conversations on a terminal. Out: the same screen, byte for byte.
//! Never: typed before the prompt is there, or the echo would decide the order.

use ampgate_tests::{A, Client, Land, Outcome, Via, terminal::talk};

use super::same;

fn on_pty(client: &Client, via: Via, size: &str, command: &str, lines: &[&str]) -> Outcome {
    let mut ssh = client.ssh(via, Land::Plain, &A, &["-tt"]);
    if !command.is_empty() {
        ssh.arg(command);
    }
    talk(&ssh, size, lines)
}

#[test]
fn a_terminal_with_size_and_name() {
    same(|c, v| {
        on_pty(
            c,
            v,
            "41x123",
            "stty size; echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo all",
            &[],
        )
    });
}

#[test]
fn settings_of_the_terminal() {
    same(|c, v| on_pty(c, v, "24x80", "stty -a", &[]));
}

#[test]
fn exit_status_on_a_terminal() {
    same(|c, v| on_pty(c, v, "24x80", "exit 33", &[]).exits(33));
}

#[test]
fn stderr_goes_to_the_terminal() {
    same(|c, v| on_pty(c, v, "24x80", "echo out; echo err >&2", &[]));
}

#[test]
fn an_interactive_shell() {
    let talk = [
        "expect $ ",
        r"send echo $((6*7))\r",
        r"expect 42\r\n",
        "expect $ ",
        r"send cd /etc; pwd\r",
        r"expect /etc\r\n",
        "expect $ ",
        r"send exit 7\r",
    ];
    same(|c, v| on_pty(c, v, "24x80", "", &talk).exits(7).says("42"));
}

#[test]
fn interrupt() {
    same(|c, v| {
        on_pty(
            c,
            v,
            "24x80",
            "trap 'echo caught; exit 5' INT; echo ready; while :; do read x; done",
            &["expect ready", r"send \x03"],
        )
        .exits(5)
    });
}

#[test]
fn end_of_input() {
    same(|c, v| {
        on_pty(
            c,
            v,
            "24x80",
            "echo ready; cat; echo over",
            &[
                "expect ready",
                r"send abc\r",
                r"expect abc\r\nabc",
                r"send \x04",
            ],
        )
    });
}

#[test]
fn stop_and_quit_characters() {
    same(|c, v| {
        on_pty(
            c,
            v,
            "24x80",
            "trap 'echo quit; exit 3' QUIT; stty susp undef; echo ready; while :; do read x; done",
            &["expect ready", r"send \x1c"],
        )
        .exits(3)
    });
}

#[test]
fn resize() {
    // bash loses a signal that comes while it handles the same one, so the handler is as short as can be.
    let script = "trap n=1 WINCH; echo ready; while :; do read -t 0.1 x && exit 4; [ $n ] && n= && stty size; done";
    let talk = [
        "expect ready",
        "resize 50 132",
        "expect 50 132",
        "resize 10 40",
        "expect 10 40",
        r"send \r",
    ];
    same(|c, v| on_pty(c, v, "24x80", script, &talk).exits(4));
}

#[test]
fn eight_bit_bytes_on_a_raw_terminal() {
    let script = "stty raw -echo; echo ready; head -c 256 | od -An -v -tx1; printf '\\000\\200\\377\\303(\\342\\202'";
    let bytes: String = (0..=255u32).map(|b| format!("\\x{b:02x}")).collect();
    // The client's escape character acts only after a line end; none here begins a line with it.
    same(|c, v| {
        on_pty(
            c,
            v,
            "24x80",
            script,
            &["expect ready", &format!("send {bytes}")],
        )
    });
}

#[test]
fn a_flood_on_a_terminal() {
    same(|c, v| on_pty(c, v, "24x80", "seq 300000", &[]));
}

#[test]
fn a_full_screen_program() {
    let script = "export TERM=xterm; printf '\\033[?1049h\\033[2J\\033[5;10Hhello\\033[1;31mred\\033[0m\\033]0;title\\007\\033[?1049l'";
    same(|c, v| on_pty(c, v, "24x80", script, &[]));
}

#[test]
fn a_paste_of_four_thousand_bytes() {
    let paste = format!("send {}", "x".repeat(4000));
    same(|c, v| {
        on_pty(
            c,
            v,
            "24x80",
            "stty raw -echo; echo ready; head -c 4000 | wc -c",
            &["expect ready", &paste],
        )
    });
}

#[test]
fn the_client_hangs_up() {
    // What is compared is that the remote side ends too: it leaves a mark when its terminal goes.
    same(|client, via| {
        let mark = format!("/tmp/hangup-{via:?}");
        let script =
            format!("trap 'echo hup >{mark}; exit' HUP; echo ready; while :; do sleep 0.1; done");
        on_pty(client, via, "24x80", &script, &["expect ready", "close"]);
        client.exec(Via::Direct, Land::Plain, &A, &format!("for i in $(seq 600); do cat {mark} 2>/dev/null && exit; sleep 0.1; done; exit 1"), b"").good()
    });
}
