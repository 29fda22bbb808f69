//! In: the files in fixtures/, made once and kept. Out: what they say, and what was done to the damaged ones.
//! Never: a change of the format that old files do not survive.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::{fs, path::PathBuf};

use ampgate_recording::{
    Event, EventKind, Exit, PublicKey, Reader, Stream, Unsealed, Verdict, verify,
};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

fn trusted() -> PublicKey {
    PublicKey::from_openssh(&fs::read_to_string(fixture("sealing.pub")).unwrap()).unwrap()
}

fn events(name: &str) -> Vec<EventKind> {
    Reader::open_path(fixture(name))
        .unwrap()
        .map(|event: Result<Event, _>| event.unwrap().kind)
        .collect()
}

fn output(stream: Stream, bytes: &[u8]) -> EventKind {
    EventKind::Output {
        stream,
        bytes: bytes.to_vec(),
    }
}

#[test]
fn good_ones_are_intact() {
    for name in [
        "minimal.cast",
        "full.cast",
        "odd.cast",
        "sealed.sealed",
        "quorum.sealed",
    ] {
        let verdict = verify(fixture(name), Some(&trusted())).unwrap();
        assert!(
            matches!(verdict, Verdict::Intact { trusted: true, .. }),
            "{name}: {verdict:?}"
        );
    }
}

#[test]
fn minimal_has_no_events() {
    assert_eq!(events("minimal.cast"), []);
    let reader = Reader::open_path(fixture("minimal.cast")).unwrap();
    assert_eq!(
        (reader.header().cols, reader.header().command.as_deref()),
        (0, None)
    );
}

#[test]
fn full_has_every_kind() {
    assert_eq!(
        events("full.cast"),
        [
            EventKind::Marker("landed as root on amphora-93b939b0".into()),
            output(Stream::Stdout, b"# id\r\nuid=0(root) gid=0(root)\r\n"),
            EventKind::Resize {
                cols: 120,
                rows: 40
            },
            output(
                Stream::Stdout,
                "caf\u{e9} \u{1f600} \u{1b}[31mred\u{1b}[0m\r\n".as_bytes()
            ),
            output(Stream::Stderr, b"a warning on standard error\r\n"),
            EventKind::Input(b"exit\r".to_vec()),
            output(Stream::Stdout, b"logout\r\n"),
            EventKind::Exit(Exit::Status(0)),
        ]
    );
}

#[test]
fn odd_keeps_every_byte() {
    let events = events("odd.cast");
    let of = |wanted: Stream| -> Vec<u8> {
        let bytes = |kind: &EventKind| match kind {
            EventKind::Output { stream, bytes } if *stream == wanted => bytes.clone(),
            _ => Vec::new(),
        };
        events.iter().flat_map(bytes).collect()
    };
    let noise = [
        [0xFF; 300].as_slice(),
        b"text between noise\r\n".repeat(20).as_slice(),
        [0xFE; 300].as_slice(),
    ]
    .concat();
    let stdout = [
        "\u{20ac} byte by byte \u{1f600} half ".as_bytes(),
        b"\xf0\x9fbroken, genuine \xef\xbf\xbd, bad \xff\xc0\x80\xed\xa0\x80\r\n",
        &noise,
        b"\0\x01\x7f\xc2\x9b2J\xc2\xa0\"\\\x1b]52;c;cm0gLXJmIC8=\x07",
    ]
    .concat();
    assert_eq!(of(Stream::Stdout), stdout);
    assert_eq!(
        of(Stream::Stderr),
        b"between \xe2\x82never completed \xe2\x82"
    );
    for kind in [
        EventKind::Input(b"\xff\x03".to_vec()),
        EventKind::Resize { cols: 0, rows: 0 },
        EventKind::Resize {
            cols: 65535,
            rows: 65535,
        },
        EventKind::Exit(Exit::Signal("KILL".into())),
        EventKind::Marker("a marker \u{9b}2J\u{202e} with \"odd\" text\n".into()),
    ] {
        assert!(events.contains(&kind), "{kind:?}");
    }
    let header = Reader::open_path(fixture("odd.cast"))
        .unwrap()
        .header()
        .clone();
    assert_eq!(
        header.command.as_deref(),
        Some(&b"printf '\\377\xff\0'"[..])
    );
    assert_eq!((header.cols, header.rows), (65535, 65535));
}

/// Every player plays the file as it is: the rules of asciinema 3.2.0's own reader, applied to each line.
#[test]
fn every_line_suits_a_player() {
    for name in ["minimal.cast", "full.cast", "odd.cast"] {
        let text = fs::read_to_string(fixture(name)).unwrap();
        let mut lines = text.lines();
        let header: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        let size = |name: &str| header["term"][name].as_u64().unwrap();
        assert!((1..=1000).contains(&size("cols")) && (1..=1000).contains(&size("rows")));
        for line in lines.filter(|line| !line.starts_with('#')) {
            let (time, code, data): (f64, &str, String) = serde_json::from_str(line).unwrap();
            assert!(time >= 0.0 && code.len() == 1);
            match code {
                "r" => assert!(
                    data.split('x')
                        .all(|n| (1..=1000).contains(&n.parse::<u16>().unwrap()))
                ),
                "x" => assert!(data.parse::<i32>().is_ok()),
                _ => {}
            }
        }
    }
}

/// The first words of a damaged file's name are the verdict.
#[test]
fn every_damage_is_named() {
    let mut seen = 0;
    for entry in fs::read_dir(fixture("damaged")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let verdict = verify(&path, Some(&trusted())).unwrap();
        let fits = match &verdict {
            Verdict::AlteredAt { after, before, .. } => {
                name.starts_with("altered_") && after < before
            }
            Verdict::TruncatedAt { offset, .. } => {
                name.starts_with("truncated_") && *offset == fs::metadata(&path).unwrap().len()
            }
            Verdict::Unsealed {
                reason: Unsealed::Crashed,
                ..
            } => name.starts_with("unsealed_") && name.ends_with("_crashed"),
            Verdict::Unsealed {
                reason: Unsealed::NeverSealed,
                ..
            } => name.starts_with("unsealed_") && name.ends_with("_never_sealed"),
            Verdict::Unsealed {
                reason: Unsealed::RecorderDied(why),
                ..
            } => name == "unsealed_recorder_died" && why.contains("No space"),
            Verdict::ForeignKey { .. } => name.starts_with("foreign_key"),
            Verdict::BadSignature { .. } => name == "bad_signature",
            Verdict::NotARecording { .. } => name.starts_with("no_recording_"),
            Verdict::Unsealed { .. } | Verdict::Intact { .. } | Verdict::Misfiled { .. } => false,
        };
        assert!(fits, "{name}: {verdict:?}");
        seen += 1;
    }
    assert_eq!(seen, 38);
}
