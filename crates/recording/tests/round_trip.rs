//! In: any bytes in any pieces. Out: the same bytes, read back from the file, also from one that was cut.
//! Never: a byte lost, changed, or on the other stream.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod bed;

use std::fs;

use ampgate_recording::{
    Event, EventKind, Exit, Format, LiveRecording, Reader, Stream, export, raw,
};
use bed::{SealingKey, begin, header, seal, streams};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Output(bool, Vec<u8>),
    Input(Vec<u8>),
    Resize(u32, u32),
    Marker(String),
    Commit,
    Head,
}

/// Bytes with much that is hard: half characters, bad bytes, controls, genuine U+FFFD.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(vec![0xC3]),
        Just(vec![0xA9]),
        Just(vec![0xE2]),
        Just(vec![0x82]),
        Just(vec![0xAC]),
        Just(vec![0xF0]),
        Just(vec![0x9F]),
        Just(vec![0x98]),
        Just(vec![0x80]),
        Just(vec![0xFF]),
        Just(vec![0xED, 0xA0]),
        Just("\u{fffd}".as_bytes().to_vec()),
        Just("\u{9b}31m".as_bytes().to_vec()),
        Just(b"\x1b[2J\0\x7f".to_vec()),
        Just(b"\r\n\"\\".to_vec()),
        Just(b"a longer run of ordinary text, as most output is ".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..300),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (any::<bool>(), bytes()).prop_map(|(stderr, bytes)| Step::Output(stderr, bytes)),
        1 => bytes().prop_map(Step::Input),
        1 => (any::<u32>(), any::<u32>()).prop_map(|(cols, rows)| Step::Resize(cols, rows)),
        1 => any::<String>().prop_map(Step::Marker),
        3 => Just(Step::Commit),
        1 => Just(Step::Head),
    ];
    proptest::collection::vec(step, 0..30)
}

fn stream(stderr: bool) -> Stream {
    if stderr {
        Stream::Stderr
    } else {
        Stream::Stdout
    }
}

fn take(live: &mut LiveRecording, written: &mut [Vec<u8>; 3], step: &Step) {
    match step {
        Step::Output(stderr, bytes) => {
            live.output(stream(*stderr), bytes);
            written[usize::from(*stderr)].extend(bytes);
        }
        Step::Input(bytes) => {
            live.input(bytes);
            written[2].extend(bytes);
        }
        Step::Resize(cols, rows) => live.resize(*cols, *rows),
        Step::Marker(text) => live.marker(text),
        Step::Commit => live.commit().unwrap(),
        Step::Head => bed::prove(live, &SealingKey::new(1)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any split of any bytes on both streams round-trips, and what a commit returned for is in the file at once.
    #[test]
    fn every_byte_comes_back(steps in steps(), pty in any::<bool>()) {
        let dir = bed::memory();
        let mut live = begin(dir.path(), &header(pty));
        let path = live.path().to_owned();
        let mut written: [Vec<u8>; 3] = Default::default();
        for step in &steps {
            take(&mut live, &mut written, step);
            if matches!(step, Step::Commit | Step::Head) {
                // As after kill -9: nothing but what is in the file.
                prop_assert_eq!(&streams(&fs::read(&path).unwrap()), &written);
                prop_assert_eq!(live.bytes_recorded(Stream::Stdout), written[0].len() as u64);
                prop_assert_eq!(live.bytes_recorded(Stream::Stderr), written[1].len() as u64);
            }
        }
        live.exit(&Exit::Signal("TERM".into()));
        seal(live.close("the test is over").unwrap().0, &SealingKey::new(1));
        let file = fs::read(&path).unwrap();
        prop_assert_eq!(&streams(&file), &written);
        let text = String::from_utf8(file).unwrap();
        prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "a control character in the file itself");
    }

    /// Resizes and markers come back exactly, whatever the client said.
    #[test]
    fn every_event_comes_back(steps in steps()) {
        let dir = bed::memory();
        let mut live = begin(dir.path(), &header(true));
        let path = live.path().to_owned();
        let mut expected = Vec::new();
        for step in &steps {
            take(&mut live, &mut Default::default(), step);
            match step {
                Step::Resize(cols, rows) => expected.push(EventKind::Resize { cols: *cols, rows: *rows }),
                Step::Marker(text) => expected.push(EventKind::Marker(text.clone())),
                _ => {}
            }
        }
        live.exit(&Exit::Status(u32::MAX));
        expected.push(EventKind::Exit(Exit::Status(u32::MAX)));
        live.commit().unwrap();
        let read = Reader::open_path(path).unwrap().map(|event| event.unwrap().kind);
        let read: Vec<_> = read.filter(|kind| !matches!(kind, EventKind::Output { .. } | EventKind::Input(_))).collect();
        prop_assert_eq!(read, expected);
    }

    /// A file cut anywhere reads without a panic, as a beginning of what was written.
    #[test]
    fn a_cut_file_reads_as_a_beginning(bytes in bytes(), at in any::<prop::sample::Index>(), pty in any::<bool>()) {
        let dir = bed::memory();
        let mut live = begin(dir.path(), &header(pty));
        let header_size = live.file_size() as usize;
        for chunk in bytes.chunks(7) {
            live.output(Stream::Stdout, chunk);
        }
        live.commit().unwrap();
        let file = fs::read(live.path()).unwrap();
        let cut = header_size + at.index(file.len() - header_size + 1);
        let read: Vec<u8> = raw(Reader::open(&file[..cut]).unwrap()).filter_map(Result::ok).flat_map(|(_, _, b)| b).collect();
        prop_assert!(bytes.starts_with(&read));
    }
}

/// Both exports parse as plain asciicasts and show the same text.
#[test]
fn exports_are_plain_casts() {
    let dir = bed::memory();
    let mut live = begin(dir.path(), &header(false));
    live.output(Stream::Stdout, b"caf\xc3");
    live.output(Stream::Stderr, b"warning\n");
    live.output(Stream::Stdout, b"\xa9\xff\n");
    live.resize(0, 70000);
    live.exit(&Exit::Signal("KILL".into()));
    live.commit().unwrap();
    for (format, expected) in [
        (
            Format::V2,
            vec![
                ("o", "caf"),
                ("o", "warning\n"),
                ("o", "\u{e9}"),
                ("o", "\u{fffd}\n"),
                ("r", "1x1000"),
            ],
        ),
        (
            Format::V3,
            vec![
                ("o", "caf"),
                ("o", "warning\n"),
                ("o", "\u{e9}"),
                ("o", "\u{fffd}\n"),
                ("r", "1x1000"),
                ("x", "137"),
            ],
        ),
    ] {
        let mut out = Vec::new();
        export(Reader::open_path(live.path()).unwrap(), &mut out, format).unwrap();
        let out = String::from_utf8(out).unwrap();
        let mut lines = out.lines();
        let header: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!(header["version"], if format == Format::V2 { 2 } else { 3 });
        assert!(header.get("ampgate").is_none());
        let events: Vec<(f64, String, String)> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let texts: Vec<_> = events
            .iter()
            .map(|(_, code, data)| (code.as_str(), data.as_str()))
            .collect();
        assert_eq!(texts, expected);
    }
}

/// Bytes that are no text are cheaper as base 64 where no terminal shows them, and 64 KiB events stay 64 KiB.
#[test]
fn bulk_is_stored_in_its_cheaper_form() {
    let mut state = 1u64;
    let random: Vec<u8> = std::iter::repeat_with(|| {
        // xorshift64: no pattern that matters here.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(300_000)
    .collect();
    let log = b"a line of a log, and another one\n".repeat(10_000);
    let zeros = vec![0; 300_000];
    for (pty, bytes, most) in [
        (false, &random, 1.36),
        (false, &log, 1.05),
        (false, &zeros, 1.36),
        (true, &random, 1.6),
        (true, &log, 1.05),
    ] {
        let dir = bed::memory();
        let mut live = begin(dir.path(), &header(pty));
        live.output(Stream::Stdout, bytes);
        live.commit().unwrap();
        let file = fs::read(live.path()).unwrap();
        assert!(
            (file.len() as f64) < most * bytes.len() as f64 + 2000.0,
            "{} for {}",
            file.len(),
            bytes.len()
        );
        let events: Vec<Event> = Reader::open(&file[..])
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(events.iter().all(
            |e| matches!(&e.kind, EventKind::Output { bytes, .. } if bytes.len() <= 64 << 10)
        ));
        assert_eq!(&streams(&file)[0], bytes);
    }
}

/// What a terminal showed is readable for every player, even between noise.
#[test]
fn text_cannot_hide_behind_noise_on_a_terminal() {
    let dir = bed::memory();
    let mut live = begin(dir.path(), &header(true));
    let noise: Vec<u8> = vec![0xFF; 20_000];
    live.output(
        Stream::Stdout,
        &[
            &noise[..],
            &b"rm -rf /var/lib/octavia\r\n".repeat(30),
            &noise,
        ]
        .concat(),
    );
    live.commit().unwrap();
    let file = fs::read_to_string(live.path()).unwrap();
    let shown: String = file
        .lines()
        .filter(|line| line.contains(",\"o\","))
        .collect();
    assert!(shown.matches("rm -rf /var/lib/octavia").count() >= 28);
}

/// What looks like an open character where a large output is cut into events, and is none.
#[test]
fn characters_at_the_edge_of_an_event() {
    for before in 65_525..65_545 {
        for odd in [
            &b"\xe2\xc3"[..],
            b"\xe2\x82\xac",
            b"\xf0\x9f\xe2\x82",
            b"\xf0\x9f\x98\x80",
            b"\xc3",
        ] {
            for pty in [false, true] {
                let dir = bed::memory();
                let mut live = begin(dir.path(), &header(pty));
                let bytes = [
                    b"a".repeat(before).as_slice(),
                    odd,
                    b"b".repeat(3).as_slice(),
                ]
                .concat();
                live.output(Stream::Stdout, &bytes);
                live.output(Stream::Stdout, odd);
                live.commit().unwrap();
                assert_eq!(
                    streams(&fs::read(live.path()).unwrap())[0],
                    [&bytes[..], odd].concat()
                );
            }
        }
    }
}
