//! In: recordings that attack whoever plays them. Out: nothing but drawing reaches the terminal.
//! Never: a terminal that is not given back, however the playing ends.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod bed;

use bed::{OnPty, cast, only_drawing, outputs, payloads};
use rustix::process::Signal;
use serde_json::json;

fn has(shown: &[u8], text: &str) -> bool {
    shown.windows(text.len()).any(|w| w == text.as_bytes())
}

/// Each attack by itself, and all together, on a real pseudo-terminal.
#[test]
fn only_drawing_reaches_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let all = payloads();
    // All in one recording, cleared in between, so that every one is on a picture.
    let mut events = outputs(&all);
    events.push(json!([0.1, "o", "\u{18}\x1bc\x1b[2J\x1b[H\x1b[0mthe end"]));
    let path = cast(dir.path(), |_| {}, &events);
    for (cols, rows) in [(80, 24), (200, 60), (20, 5), (1, 1)] {
        let pty = OnPty::start(
            &[
                "play",
                "--no-controls",
                "--speed",
                "20",
                path.to_str().unwrap(),
            ],
            cols,
            rows,
        );
        let (code, shown) = pty.finish();
        assert_eq!(code, 0);
        only_drawing(&shown);
        assert!(
            cols < 80 || has(&shown, "the end"),
            "the last picture stays"
        );
        for owned in ["title", "owned", "b3duZWQ", "private"] {
            assert!(!has(&shown, owned), "{owned}");
        }
    }
}

/// Not all together, for one may have swallowed the next: sequences without an end.
#[test]
fn each_attack_alone() {
    let dir = tempfile::tempdir().unwrap();
    for (n, payload) in payloads().iter().enumerate() {
        // Through a pipe, which is quicker and drawn the same way.
        let path = cast(dir.path(), |_| {}, &outputs(&["before ", payload, "after"]));
        let done = bed::replay(&["play", "--speed", "1000", path.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(done.status.success(), "{n}");
        only_drawing(&done.stdout);
    }
}

/// Sizes in floods, absurd sizes, a recording of 1 × 1.
#[test]
fn resize_floods_are_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let mut events = Vec::new();
    for n in 0..3000u32 {
        events.push(json!([
            0.0001,
            "r",
            format!("{}x{}", 1 + n * 7919 % 1000, 1 + n * 104_729 % 1000)
        ]));
    }
    events.push(json!([0, "z", "4294967295x0"]));
    events.push(json!([0, "r", "1000x1"]));
    events.push(json!([0, "r", "40x10"]));
    events.push(json!([0.1, "o", "\x1b[2J\x1b[Hsurvived"]));
    let path = cast(dir.path(), |h| h["ampgate"]["cols"] = json!(1), &events);
    let (code, shown) = OnPty::start(
        &[
            "play",
            "--no-controls",
            "--speed",
            "10",
            path.to_str().unwrap(),
        ],
        80,
        24,
    )
    .finish();
    assert_eq!(code, 0);
    only_drawing(&shown);
    assert!(has(&shown, "survived"));
}

/// Metadata is drawn in the status line; the command is not, for it holds whatever was typed.
#[test]
fn hostile_metadata_is_only_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = cast(
        dir.path(),
        |h| {
            for name in ["user", "target", "landing", "load_balancer_name"] {
                h["ampgate"][name] = json!("\x1b]0;evil\x07\u{9b}2J\u{202e}x");
            }
            h["command"] = json!("secretcommand");
        },
        &[
            json!([0.1, "m", "\x1b]52;c;eA==\x07said\nit"]),
            json!([0.1, "o", "hello"]),
        ],
    );
    let (code, shown) = OnPty::start(
        &[
            "play",
            "--no-controls",
            "--speed",
            "10",
            path.to_str().unwrap(),
        ],
        200,
        24,
    )
    .finish();
    assert_eq!(code, 0);
    only_drawing(&shown);
    assert!(
        has(&shown, "\\u{1b}]0;evil")
            && has(&shown, "said\\nit")
            && has(&shown, "hello")
            && !has(&shown, "secretcommand")
    );
}

/// Without a pty a newline is all there is; it is drawn at the begin of the next line.
#[test]
fn bare_newlines_begin_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = cast(
        dir.path(),
        |h| h["ampgate"]["pty"] = json!(false),
        &outputs(&["first\nsecond\n"]),
    );
    let (_, shown) =
        OnPty::start(&["play", "--no-controls", path.to_str().unwrap()], 80, 24).finish();
    assert!(
        has(&shown, "\x1b[2;1H\x1b[0msecond"),
        "{}",
        String::from_utf8_lossy(&shown).escape_debug()
    );
}

/// Letters with marks take one cell, wide ones two, and the next place is said, not counted on.
#[test]
fn wide_and_combined_characters_have_their_places() {
    let dir = tempfile::tempdir().unwrap();
    let path = cast(dir.path(), |_| {}, &outputs(&["e\u{301}x한y"]));
    let (_, shown) =
        OnPty::start(&["play", "--no-controls", path.to_str().unwrap()], 80, 24).finish();
    assert!(
        has(&shown, "\u{e9}\x1b[2Gx한\x1b[5Gy"),
        "{}",
        String::from_utf8_lossy(&shown).escape_debug()
    );
}

#[test]
fn keys_do_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let path = cast(
        dir.path(),
        |_| {},
        &[
            json!([0, "o", "alpha "]),
            json!([12, "o", "beta "]),
            json!([500, "m", "you are asked to leave"]),
            json!([500, "o", "gamma "]),
            json!([1, "x", "0"]),
        ],
    );
    let mut pty = OnPty::start(
        &["play", "--idle-limit", "1000000", path.to_str().unwrap()],
        100,
        24,
    );
    pty.expect("alpha");
    pty.press(" ");
    pty.expect("paused 0:0");
    pty.press("?");
    pty.expect("5 seconds back");
    pty.press("?");
    pty.expect("alpha");
    pty.press(".");
    pty.expect("alpha beta");
    pty.expect("paused 0:12");
    pty.press("\x1b[D");
    pty.expect("paused 0:0");
    pty.press("\x1b[C");
    pty.expect("alpha beta");
    pty.press("]");
    pty.expect("gateway: you are asked to leave");
    pty.press("+");
    pty.expect("2x");
    pty.press("-");
    pty.press(".");
    pty.expect("gamma");
    pty.press("0");
    pty.expect("play 0:00");
    pty.press("]]]");
    pty.expect("asked to leave");
    pty.press("..");
    pty.press(".");
    pty.expect("end 16:53");
    // The end waits for the auditor.
    pty.resize(60, 10);
    pty.expect("gamma");
    pty.press("q");
    let (code, shown) = pty.finish();
    assert_eq!(code, 0);
    only_drawing(&shown);
    assert!(shown.ends_with(b"\x1b[?25h\x1b[?1049l"));
}

/// A key that was pressed before the program was ready counts as well.
#[test]
fn an_early_key_counts() {
    let dir = tempfile::tempdir().unwrap();
    let path = cast(
        dir.path(),
        |_| {},
        &[json!([0, "o", "hello"]), json!([100, "o", "later"])],
    );
    let mut pty = OnPty::start(
        &["play", "--idle-limit", "100", path.to_str().unwrap()],
        80,
        24,
    );
    pty.press("q");
    assert_eq!(pty.finish().0, 0);
}

#[test]
fn signals_give_the_terminal_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = cast(
        dir.path(),
        |_| {},
        &[json!([0, "o", "hello"]), json!([1000, "o", "later"])],
    );
    for (signal, code) in [
        (Signal::TERM, 143),
        (Signal::HUP, 129),
        (Signal::INT, 130),
        (Signal::QUIT, 131),
    ] {
        for controls in [true, false] {
            let mut args = vec!["play", "--idle-limit", "1000", path.to_str().unwrap()];
            args.extend((!controls).then_some("--no-controls"));
            let mut pty = OnPty::start(&args, 80, 24);
            pty.expect("hello");
            pty.signal(signal);
            let (got, shown) = pty.finish();
            assert_eq!(got, code);
            let last: &[u8] = if controls {
                b"\x1b[?25h\x1b[?1049l"
            } else {
                b"\x1b[?25h\x1b[999;1H\r\n"
            };
            assert!(shown.ends_with(last));
        }
    }
}

#[test]
fn start_and_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = cast(
        dir.path(),
        |_| {},
        &[
            json!([0, "o", "one "]),
            json!([60, "o", "two "]),
            json!(["no event"]),
            json!([60, "o", "three"]),
        ],
    );
    let mut pty = OnPty::start(
        &[
            "play",
            "--start",
            "1:30",
            "--idle-limit",
            "1000",
            path.to_str().unwrap(),
        ],
        120,
        24,
    );
    pty.expect("one two");
    pty.expect("NOT INTACT: unsealed");
    pty.press("q");
    assert_eq!(pty.finish().0, 0);
    let (code, _, err) = bed::run(&["play", "--speed", "1000", path.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(
        err.contains("unsealed") && err.contains("1 lines of it are no events"),
        "{err}"
    );
}
