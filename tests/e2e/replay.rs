//! In: recordings of real programs on real amphorae, and recordings as an attacker would make them.
//! Out: what an auditor finds in them, plays and exports, and what that does to the auditor's terminal.
//! Never: a search that is satisfied by the bytes of a file: the texts looked for stand in none.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ampgate_tests::{
    A, Gateway, Land, Via,
    bed::{project, tool},
    gateway::{program, replay},
    outcome::{run, until},
    seen::Seen,
    terminal::talk,
};
use serde_json::{Value, json};

/// A recording of a terminal, made by hand: output at these seconds.
fn cast(dir: &Path, session: &str, output: &[(f64, &str)]) -> PathBuf {
    let minimal = project().join("crates/recording/fixtures/minimal.cast");
    let minimal = fs::read_to_string(minimal).unwrap();
    let mut header: Value = serde_json::from_str(minimal.lines().next().unwrap()).unwrap();
    header["term"] = json!({ "cols": 80, "rows": 24, "type": "xterm" });
    header["ampgate"]["session"] = json!(session);
    header["ampgate"]["pty"] = json!(true);
    header["ampgate"]["cols"] = json!(80);
    header["ampgate"]["rows"] = json!(24);
    let mut text = header.to_string() + "\n";
    for (interval, output) in output {
        text += &(json!([interval, "o", output]).to_string() + "\n");
    }
    let path = dir.join(session).with_extension("cast");
    fs::write(&path, text).unwrap();
    path
}

/// Finds as `search --json` tells them.
fn finds(args: &[&str]) -> Vec<Value> {
    let found = replay(&[&["search", "--json"], args].concat());
    assert!(matches!(found.code, Some(0 | 1)), "{found:?}");
    let out = found.out();
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

const FIRST: &str = "01KAS2J5Y80000000000000001";
const SECOND: &str = "01KAS2J5Y80000000000000002";

/// What an attacker prints to reach the terminal, the browser or the eye of whoever looks for "needle".
const HOSTILE: &[&str] = &[
    "root@a:~# needle\x1b[8m hidden\x1b[0m\x0e\x1b(0qqq",
    "needle\x1b]0;owned\x07",
    "needle\x1b]52;c;b3duZWQ=\x07",
    "needle\x1b[c\x1b[6n\x1b[5n\x05",
    "needle\x1bP1$r0m\x1b\\\x1b_apc\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\",
    "needle\u{9b}0;owned\u{9c}\u{9d}0;owned\u{9c}\u{90}owned\u{9c}",
    "needle\u{202e}detrever\u{2066}\u{200b}\u{feff}\u{e0041}",
    "needle<script>alert(1)</script><image href=\"http://x/\"/>&\"'",
    "needle\x1b[?1049h\x1b[?1000h\x1b[?2004h\x1b[21t\x1b]8;;http://x/\x07link\x1b]8;;\x07",
];

fn hostile(dir: &Path) -> PathBuf {
    let lines: Vec<String> = HOSTILE.iter().map(|text| format!("{text}\r\n")).collect();
    let output: Vec<(f64, &str)> = lines.iter().map(|text| (0.1, text.as_str())).collect();
    cast(dir, FIRST, &output)
}

/// No control character but newline, and none that hides or turns.
fn is_plain(what: &str, text: &str) {
    let bad = text.chars().find(|c| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    });
    assert_eq!(bad, None, "{what}: {text:?}");
}

/// Only what the player draws with: its own screen, cursor positions, erasures and colours.
pub fn is_drawing(shown: &str) {
    for own in [
        "\x1b[?1049h\x1b[?25l\x1b[?7l",
        "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l",
    ] {
        assert!(shown.contains(own), "{shown:?}");
    }
    let mut rest = shown
        .replace("\x1b[?1049h\x1b[?25l\x1b[?7l", "")
        .replace("\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l", "")
        .replace("\r\n", "");
    while let Some(at) = rest.find(char::is_control) {
        let from = rest.split_off(at);
        let sequence = from
            .strip_prefix("\x1b[")
            .unwrap_or_else(|| panic!("{from:?}"));
        let end = sequence
            .find(|c: char| !c.is_ascii_digit() && c != ';')
            .unwrap_or_else(|| panic!("{from:?}"));
        assert!("mHGKJ".contains(&sequence[end..=end]), "{from:?}");
        rest = sequence[end + 1..].to_owned();
    }
}

/// Fails unless standard input is XML of these elements and attributes alone, without a reference to anything.
const PICTURE: &str = r#"
import sys, xml.dom.minidom
text = sys.stdin.read()
assert "<!" not in text and "<?" not in text, "a declaration"
for element in xml.dom.minidom.parseString(text.encode()).getElementsByTagName("*"):
    assert element.tagName in "svg title rect g set text".split(), element.tagName
    for name, value in element.attributes.items():
        assert name in ("xmlns viewBox font-family font-size xml:space width height fill visibility attributeName to begin end "
            "x y textLength lengthAdjust font-weight font-style opacity text-decoration").split(), name
        assert name == "xmlns" or not any(c in value for c in ":(/"), value
"#;

/// Row 11: whatever is recorded, what reaches the auditor's terminal, pipe or browser is text and drawing.
#[test]
fn row_11_hostile_recordings_leave_only_drawing() {
    let dir = tempfile::tempdir().unwrap();
    let path = hostile(dir.path()).display().to_string();
    let store = dir.path().display().to_string();
    for args in [
        vec!["search", "needle", &store, "-C", "3"],
        vec!["search", "--json", "needle", &store],
        vec!["search", "--commands", "needle", &store],
        vec!["search", "--json", "--commands", "needle", &store],
        vec!["play", "--print-commands", &path],
        vec!["export", "--format", "text", &path],
        vec!["export", "--format", "svg", &path],
    ] {
        let said = replay(&args).good();
        assert!(said.out().contains("needle"), "{args:?}: {said:?}");
        is_plain(&format!("{args:?}"), &said.out());
        is_plain(&format!("{args:?}"), &said.err());
    }
    is_plain("list", &replay(&["list", &store]).good().out());
    assert_eq!(finds(&["needle", &store]).len(), HOSTILE.len());
    let svg = replay(&["export", "--format", "svg", &path]).good().out();
    // Elements and attributes of our own only, whatever the words say.
    let mut parse = Command::new("python3");
    parse.args(["-c", PICTURE]);
    run(parse, svg.as_bytes()).good();

    let mut play = Command::new(program("ampgate-replay"));
    play.args(["play", "--speed", "100", &path])
        .env("TERM", "xterm-256color");
    let script = [
        r"expect end 0:0",
        r"send /needle\r",
        r"expect 9 of 9",
        r"send n",
        r"expect 1 of 9",
        r"send ?",
        r"expect this help",
        r"send ?q",
    ];
    is_drawing(&talk(&play, "30x100", &script).good().out());
}

/// Texts that only cursor movement, redrawing and wrapping made, by real programs on an amphora, in Korean too.
#[test]
fn what_was_drawn_is_found() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &["-tt"]);
    // Letters last to first, each by a cursor position; a bar that draws over itself; decomposed Korean; a long line.
    ssh.arg(concat!(
        r"printf '\033[2J'; i=6; for c in t e r c e s; do printf '\033[5;%dH%s' $i $c; i=$((i-1)); done; ",
        r"printf '\033[7;3H호\033[7;1H번'; ",
        r"printf '\033[9;1Hload 10%%\rload 55%%\rload 99%%\033[2K'; ",
        r"printf '\033[11;1H\341\204\222\341\205\241\341\206\253\352\270\200\n'; ",
        r"printf '%070d' 0; printf 'straddles-the-border\n'"
    ));
    talk(&ssh, "24x80", &[]).good();
    let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &["-tt"]);
    ssh.arg(r"seq -f 'page%g' 300 >/tmp/pages; TERM=xterm less /tmp/pages");
    talk(
        &ssh,
        "24x80",
        &["expect page20", "send G", "expect page300", "send q"],
    )
    .good();
    gateway.quiet();
    until("all are sealed", Duration::from_secs(10), || {
        gateway.seen().iter().all(Seen::sealed)
    });
    let store = gateway.recordings().display().to_string();
    let raw: String = gateway
        .casts()
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let output: String = raw.lines().filter(|line| line.starts_with('[')).collect();
    for needle in ["secret", "번호", "한글"] {
        assert!(!output.contains(needle), "{needle} stands in the file");
    }
    for indexed in [false, true] {
        if indexed {
            replay(&["index", &store])
                .good()
                .says("2 recordings read, 0 known before");
            replay(&["index", &store])
                .good()
                .says("0 recordings read, 2 known before");
        }
        for (needle, count) in [
            ("secret", 1),
            ("번호", 1),
            ("load 55%", 1),
            ("load 99%", 1),
            ("한글", 1),
            ("STRADDLES-the-border", 1),
            ("page300", 1),
            ("page150", 0),
        ] {
            let found = finds(&["--user", "alice", needle, &store]);
            let found: Vec<_> = found.iter().filter(|find| find["at"] != 0.0).collect();
            assert_eq!(found.len(), count, "{needle} {indexed}: {found:?}");
            for find in found {
                assert_eq!(find["user"], "alice");
                assert!(
                    find["play"]
                        .as_str()
                        .unwrap()
                        .starts_with("ampgate-replay play --at ")
                );
            }
        }
    }
    assert!(finds(&["--user", "bob", "secret", &store]).is_empty());
    assert!(!finds(&["--commands", "less /tmp/pages", &store]).is_empty());
}

/// What real programs put on the screen: an editor, a table drawn anew each second, a bar that draws over itself.
#[test]
fn what_editors_tables_and_bars_showed_is_found() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    let terminal = |command: &str, lines: &[&str]| {
        let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &["-tt"]);
        ssh.arg(command);
        talk(&ssh, "24x100", lines).good();
    };
    // Of the line the editor draws what changed, a letter at a time, beside what stood there before.
    terminal(
        r"printf '가가 Zeile\n' >/tmp/notes; export TERM=xterm LANG=C.UTF-8; vi -u NONE -n --cmd 'set encoding=utf-8' /tmp/notes",
        &[
            "expect Zeile",
            "send R",
            "send 치",
            "expect 치",
            "send 명",
            "expect 명",
            r"send \x1b:q!\r",
        ],
    );
    terminal(
        "sleep 987654321 & export TERM=xterm; htop -d 5 -p $!; kill $!",
        &["expect 987654321", "send q"],
    );
    terminal(
        "head -c 3000000 /dev/zero >/tmp/zero; curl --limit-rate 2M -# -o /dev/null file:///tmp/zero; echo done-with-it",
        &["expect 100.0%", "expect done-with-it"],
    );
    gateway.quiet();
    let store = gateway.recordings().display().to_string();
    let events: Vec<String> = gateway
        .casts()
        .iter()
        .flat_map(|path| {
            fs::read_to_string(path)
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|line| line.starts_with('['))
        .collect();
    for needle in ["치명 Zeile", "sleep 987654321", "# 100.0%"] {
        let shown = finds(&["--user", "alice", needle, &store]);
        assert!(
            shown.iter().any(|find| find["at"] != 0.0),
            "{needle}: {shown:?}"
        );
    }
    assert!(
        !events.iter().any(|event| event.contains("치명 Zeile")),
        "the editor wrote its line in one piece: nothing was shown"
    );
}

/// An index only spares work: nothing is found otherwise, and what it does not know is read.
#[test]
fn an_index_changes_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().display().to_string();
    cast(dir.path(), FIRST, &[(1.0, "alpha 한글\r\n")]);
    replay(&["index", &store]).good();
    let second = cast(dir.path(), SECOND, &[(1.0, "beta\r\n")]);
    let count = |needle: &str| finds(&[needle, &store]).len();
    assert_eq!(
        [count("alpha"), count("한글"), count("beta"), count("gamma")],
        [1, 1, 1, 0]
    );
    replay(&["index", &store]).good();
    assert_eq!(
        [count("alpha"), count("한글"), count("beta"), count("gamma")],
        [1, 1, 1, 0]
    );
    // A recording that changed is read again, whatever the index says.
    let more = fs::read_to_string(&second).unwrap() + "[1.0, \"o\", \"gamma\\r\\n\"]\n";
    fs::write(&second, more).unwrap();
    assert_eq!(count("gamma"), 1);
    // What is no index is told of, and counts as none.
    fs::write(
        dir.path().join("search.index"),
        b"\xff\xff\xff\xff\xffrubbish",
    )
    .unwrap();
    let said = replay(&["search", "alpha", &store]).good();
    assert!(said.err().contains("searching without it"), "{said:?}");
    replay(&["search", "nowhere", &store]).exits(1);
    replay(&["search", "--regex", "(", &store]).exits(1);
}

/// The player goes to a time, to finds and back, in the window that it has, and gives the terminal back.
#[test]
fn the_player_finds_its_way() {
    let dir = tempfile::tempdir().unwrap();
    cast(
        dir.path(),
        FIRST,
        &[
            (1.0, "one\r\n"),
            (60.0, "two 한글\r\n"),
            (60.0, "\x1b[2J\x1b[Hthree\r\n"),
            (60.0, "two again\r\n"),
            (600.0, "end\r\n"),
        ],
    );
    let mut play = Command::new(program("ampgate-replay"));
    play.args(["play", "--at", "2:00", FIRST, "--store"])
        .arg(dir.path())
        .env("TERM", "xterm");
    let script = [
        "expect two",
        "send  ",
        "expect paused",
        "send /two\\r",
        "expect 1 of 2",
        "send n",
        "expect paused 3:01",
        "expect 2 of 2",
        "send n",
        "expect paused 1:01",
        "expect 1 of 2",
        "resize 10 40",
        "send N",
        "expect paused 3:01",
        "resize 24 120",
        "send /nothing\\r",
        "expect not found",
        "send /\\x1b",
        "send .",
        "expect end",
        "send 0",
        "expect play 0:0",
        "send q",
    ];
    let shown = talk(&play, "24x120", &script).good();
    is_drawing(&shown.out());
}

/// Exports are read by others: asciinema takes both versions.
#[test]
fn exports_are_taken_by_another_player() {
    let dir = tempfile::tempdir().unwrap();
    let path = cast(
        dir.path(),
        FIRST,
        &[(1.0, "one 한글\r\n"), (1.0, "\x1b[1mtwo\x1b[0m\r\n")],
    );
    for format in ["v2", "v3", "cast2", "cast3"] {
        let out = dir.path().join(format);
        replay(&[
            "export",
            "--format",
            format,
            "-o",
            &out.display().to_string(),
            &path.display().to_string(),
        ])
        .good();
        let text = dir.path().join(format!("{format}.txt"));
        let mut convert = Command::new(tool("asciinema"));
        convert.args(["convert", "-f", "txt"]).arg(&out).arg(&text);
        run(convert, b"").good();
        assert_eq!(
            fs::read_to_string(text).unwrap().trim_end(),
            "one 한글\ntwo"
        );
    }
}
