//! In: recordings with hostile text and metadata. Out: list, cat and export print nothing that acts on a terminal.
//! Never: something left out of `cat` because it was cleared or drawn over.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod bed;

use std::fs;

use bed::{cast, fixtures, forbidden, outputs, payloads, run};
use serde_json::{Value, json};

#[track_caller]
fn safe(text: &str) {
    for line in text.lines() {
        let bad = line.find(|c| forbidden(c) && c != '\t');
        assert_eq!(
            bad.map(|at| line[at..].chars().take(20).collect::<String>()),
            None
        );
    }
}

#[test]
fn hostile_metadata_in_a_list() {
    let dir = tempfile::tempdir().unwrap();
    let nasty = "\x1b]0;evil\x07\u{9b}31m\u{202e}txt\n\r\u{200b}name";
    let path = cast(
        dir.path(),
        |h| {
            for name in [
                "user",
                "source",
                "target",
                "amphora",
                "load_balancer",
                "load_balancer_name",
                "project",
                "landing",
                "action",
                "gateway",
                "host_key",
            ] {
                h["ampgate"][name] = json!(nasty);
            }
            h["command"] = json!(nasty);
            h["term"]["type"] = json!(nasty);
        },
        &[],
    );
    fs::rename(&path, dir.path().join("x\x1b]0;evil\x07\u{202e}.cast")).unwrap();
    let (code, out, err) = run(&["list", dir.path().to_str().unwrap()]);
    assert_eq!((code, out.lines().count()), (0, 2), "{out}{err}");
    safe(&out);
    assert!(out.contains("\\u{1b}]0;evil"));
    let (_, out, _) = run(&["list", "--json", dir.path().to_str().unwrap()]);
    assert_eq!(out.lines().count(), 1);
    safe(&out);
    let back: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(back["user"], nasty, "a program gets it as it is");
    // Every other command names the file, too.
    for command in ["verify", "cat", "play", "export"] {
        let (_, out, err) = run(&[
            command,
            dir.path()
                .join("x\x1b]0;evil\x07\u{202e}.cast")
                .to_str()
                .unwrap(),
        ]);
        safe(&err);
        if command == "verify" {
            safe(&out);
        }
    }
    let missing = dir.path().join("\x1b]0;evil\x07");
    let (code, _, err) = run(&["cat", missing.to_str().unwrap()]);
    assert_eq!(code, 1);
    safe(&err);
}

#[test]
fn list_finds_sorts_and_chooses() {
    let (code, out, err) = run(&["list", "--json", fixtures().to_str().unwrap()]);
    // Some of the damaged files have no header, which is said.
    assert_eq!(code, 1);
    assert!(err.contains("no_recording_noise.cast"));
    let rows: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(rows.len() > 15);
    assert!(rows.is_sorted_by(|a, b| a["started"].as_str() >= b["started"].as_str()));
    let count = |args: &[&str]| {
        let full = fixtures().join("full.cast");
        run(&[&["list", "--json", full.to_str().unwrap()], args].concat())
            .1
            .lines()
            .count()
    };
    let full: Value = rows
        .iter()
        .find(|row| row["file"].as_str().unwrap().ends_with("/full.cast"))
        .unwrap()
        .clone();
    let text = |name: &str| full[name].as_str().unwrap().to_owned();
    assert_eq!(count(&[]), 1);
    for (option, name) in [
        ("--user", "user"),
        ("--lb", "load_balancer"),
        ("--lb", "load_balancer_name"),
        ("--amphora", "amphora"),
        ("--since", "started"),
    ] {
        assert_eq!(count(&[option, &text(name)]), 1, "{option}");
    }
    assert_eq!(
        count(&["--amphora", &format!("amphora-{}", &text("amphora")[..8])]),
        1
    );
    for none in [
        ["--user", "mallory"],
        ["--lb", "other"],
        ["--amphora", "00000000"],
        ["--since", "2100-01-01"],
        ["--until", "2001-01-01"],
    ] {
        assert_eq!(count(&none), 0, "{none:?}");
    }
}

/// What a picture hides, `cat` tells: cleared, drawn over, on the other screen.
#[test]
fn cat_leaves_nothing_out_and_nothing_acts() {
    let dir = tempfile::tempdir().unwrap();
    let mut texts = payloads();
    texts.extend(
        [
            "\u{18}\r\n",
            "rm -rf evidence\r\n\x1b[2J\x1b[H",
            "overwritten\rinnocent!!!\r\n",
            "\x1b[?1049hon the other screen\x1b[?1049l",
            "\x1b[31mred\x1b[0m text\r\n",
            "typo\x08\x08\r\n",
        ]
        .map(str::to_owned),
    );
    let path = cast(dir.path(), |_| {}, &outputs(&texts));
    let path = path.to_str().unwrap();
    for args in [
        &["cat", path][..],
        &["cat", "--timestamps", path],
        &["cat", "--visible", path],
        &["export", "--format", "text", path],
    ] {
        let (code, out, err) = run(args);
        assert_eq!(code, 0, "{err}");
        safe(&out);
        assert!(err.contains("unsealed"), "{err}");
    }
    let (_, out, _) = run(&["cat", path]);
    for text in [
        "rm -rf evidence",
        "overwritten",
        "innocent!!!",
        "on the other screen",
        "red text",
        "typo\\u{8}\\u{8}",
    ] {
        assert!(out.contains(text), "{text}");
    }
    assert!(!out.contains("owned"), "the text of a title is no text");
    let (_, out, _) = run(&["cat", "--visible", path]);
    assert!(out.contains("\\u{1b}]0;title\\u{7}"));
}

/// Streams, times, what the gateway said; bytes are exact on request.
#[test]
fn cat_tells_streams_apart() {
    let dir = tempfile::tempdir().unwrap();
    let events = [
        json!([0, "o", "out 1\n"]),
        json!([0, "s", "2"]),
        json!([1, "o", "err 1\n"]),
        json!([0, "s", "1"]),
        json!([1, "o", "out 2\n"]),
        json!([0, "m", "said\x1b"]),
        json!([0.5, "b", "//4="]),
        json!([0, "g", "TERM"]),
        json!([0, "x", "143"]),
    ];
    let path = cast(dir.path(), |h| h["ampgate"]["pty"] = json!(false), &events);
    let path = path.to_str().unwrap();
    assert_eq!(
        run(&["cat", path]).1,
        "out 1\nerr 1\nout 2\n\u{fffd}\u{fffd}\n"
    );
    assert_eq!(run(&["cat", "--stderr", path]).1, "err 1\n");
    assert_eq!(
        run(&["cat", "--timestamps", path]).1,
        "00:00:00.000 out out 1\n00:00:01.000 err err 1\n00:00:02.000 out out 2\n00:00:02.000 --  gateway: said\\u{1b}\n00:00:02.500 out \u{fffd}\u{fffd}\n00:00:02.500 --  killed by signal TERM\n"
    );
    for args in [
        &["cat", "--raw", path][..],
        &["export", "--format", "raw", path],
    ] {
        assert_eq!(
            bed::replay(args).output().unwrap().stdout,
            b"out 1\nerr 1\nout 2\n\xff\xfe"
        );
    }
}

/// Raw bytes do not reach a terminal by accident.
#[test]
fn raw_refuses_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let path = cast(dir.path(), |_| {}, &outputs(&["\x1b]0;evil\x07"]));
    let path = path.to_str().unwrap();
    for args in [
        &["cat", "--raw", path][..],
        &["export", "--format", "raw", path],
    ] {
        let (code, shown) = bed::OnPty::start(args, 80, 24).finish();
        assert_eq!((code, shown.len()), (1, 0));
        let (code, shown) = bed::OnPty::start(&[args, &["--force"]].concat(), 80, 24).finish();
        assert_eq!((code, shown.as_slice()), (0, &b"\x1b]0;evil\x07"[..]));
    }
}

#[test]
fn exports_and_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let full = fixtures().join("full.cast");
    let full = full.to_str().unwrap();
    for (format, version) in [("v2", 2), ("v3", 3)] {
        let (code, out, err) = run(&["export", "--format", format, full]);
        assert_eq!((code, err.as_str()), (0, ""));
        let header: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
        assert_eq!(header["version"], version);
    }
    let to = dir.path().join("out");
    let args = ["export", full, "-o", to.to_str().unwrap()];
    assert_eq!(run(&args).0, 0);
    let (code, _, err) = run(&args);
    assert!(code == 1 && err.contains("--force"), "{err}");
    assert_eq!(run(&[&args[..], &["--force"]].concat()).0, 0);
}

/// What is there is shown, whatever was done to the file.
#[test]
fn damaged_recordings_are_shown_and_named() {
    for entry in fs::read_dir(fixtures().join("damaged")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let path = path.to_str().unwrap();
        let auditor = fixtures().join("auditor-1.age");
        for args in [
            &["cat", path][..],
            &["export", "--format", "text", path],
            &["play", "--speed", "1000", path],
            &["export", "--format", "v2", path],
        ] {
            let args = &[&["--identity", auditor.to_str().unwrap()], args].concat();
            let (code, out, err) = run(args);
            let headless = [
                "truncated_in_header",
                "truncated_sealed_first_line",
                "altered_sealed_first_line",
            ];
            let none = name.starts_with("no_recording") || headless.contains(&name.as_str());
            assert_eq!(code, i32::from(none), "{args:?} {err}");
            assert!(!err.is_empty(), "{args:?}");
            // One of them has a header and a proof only; of the other the first frame behind the header is another one.
            let silent =
                none || ["foreign_key", "altered_sealed_frames_swapped"].contains(&name.as_str());
            assert!(silent || !out.is_empty(), "{args:?}");
        }
    }
}

#[test]
fn help_has_examples() {
    for command in ["list", "play", "verify", "export", "cat"] {
        let (code, out, _) = run(&[command, "--help"]);
        assert!(code == 0 && out.contains("Examples:"), "{command}");
    }
}
