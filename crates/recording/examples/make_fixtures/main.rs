//! In: a directory, usually crates/recording/fixtures; `plain` or `sealed`.
//! Out: the good recordings (minimal, full, odd; sealed, quorum) and, from one of them, one damaged file per fault.
//! Never: a key that seals anything else: its seed is 32 times the byte 1, for everybody to know.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{fs, path::Path};

use ampgate_recording::{Exit, Head, Header, LiveRecording, PublicKey, Signature, Store, Stream};
use ring::signature::{Ed25519KeyPair, KeyPair};

mod sealed;

fn main() {
    let [dir, form] = std::array::from_fn(|n| std::env::args().nth(n + 1).unwrap());
    let dir = Path::new(&dir);
    let work = tempfile::tempdir().unwrap();
    if form == "sealed" {
        return sealed::make(dir, work.path());
    }
    for (name, make) in [
        ("minimal", minimal as fn(&Path) -> Vec<u8>),
        ("full", full),
        ("odd", odd),
    ] {
        fs::write(
            dir.join(name).with_extension("cast"),
            make(&work.path().join(name)),
        )
        .unwrap();
    }
    fs::write(
        dir.join("sealing.pub"),
        key(1).1.to_openssh() + " fixtures\n",
    )
    .unwrap();
    let damaged = dir.join("damaged");
    fs::create_dir_all(&damaged).unwrap();
    for (name, file) in damage(
        &work.path().join("damage"),
        &fs::read(dir.join("full.cast")).unwrap(),
    ) {
        fs::write(damaged.join(name).with_extension("cast"), file).unwrap();
        println!("{name}");
    }
}

fn minimal(dir: &Path) -> Vec<u8> {
    let header = Header {
        command: None,
        term: None,
        host_key: None,
        channel: None,
        pty: false,
        cols: 0,
        rows: 0,
        ..header("01KAS2J5Y80000000000000001")
    };
    end(begin(dir, &header), 1, "the operator disconnected")
}

fn full(dir: &Path) -> Vec<u8> {
    let mut live = begin(dir, &header("01KAS2J5Y80000000000000002"));
    live.marker("landed as root on amphora-93b939b0");
    live.output(Stream::Stdout, b"# id\r\nuid=0(root) gid=0(root)\r\n");
    live.commit().unwrap();
    prove(&mut live, 1);
    live.resize(120, 40);
    live.output(
        Stream::Stdout,
        "caf\u{e9} \u{1f600} \u{1b}[31mred\u{1b}[0m\r\n".as_bytes(),
    );
    live.output(Stream::Stderr, b"a warning on standard error\r\n");
    live.input(b"exit\r");
    live.commit().unwrap();
    prove(&mut live, 1);
    live.output(Stream::Stdout, b"logout\r\n");
    live.exit(&Exit::Status(0));
    live.commit().unwrap();
    end(live, 1, "the program ended with status 0")
}

fn odd(dir: &Path) -> Vec<u8> {
    let header = Header {
        command: Some(b"printf '\\377\xff\0'".to_vec()),
        term: Some("xterm\u{1b}]0;title\u{7}\u{9b}2J\u{202e}".into()),
        cols: 65535,
        rows: 65535,
        ..header("01KAS2J5Y80000000000000003")
    };
    let mut live = begin(dir, &header);
    for byte in "\u{20ac} byte by byte \u{1f600} ".as_bytes() {
        live.output(Stream::Stdout, &[*byte]);
    }
    live.output(Stream::Stdout, b"half \xf0\x9f");
    live.output(Stream::Stderr, b"between \xe2\x82");
    live.output(
        Stream::Stdout,
        b"broken, genuine \xef\xbf\xbd, bad \xff\xc0\x80\xed\xa0\x80\r\n",
    );
    live.output(
        Stream::Stdout,
        &[
            [0xFF; 300].as_slice(),
            b"text between noise\r\n".repeat(20).as_slice(),
            [0xFE; 300].as_slice(),
        ]
        .concat(),
    );
    live.output(
        Stream::Stdout,
        b"\0\x01\x7f\xc2\x9b2J\xc2\xa0\"\\\x1b]52;c;cm0gLXJmIC8=\x07",
    );
    live.input(b"\xff\x03");
    live.resize(0, 0);
    live.resize(65535, 65535);
    live.marker("a marker \u{9b}2J\u{202e} with \"odd\" text\n");
    live.output(Stream::Stderr, b"never completed \xe2\x82");
    live.exit(&Exit::Signal("KILL".into()));
    live.commit().unwrap();
    end(live, 1, "killed by signal KILL")
}

/// One file per fault. Each must be named for what it is by the verifier (see tests/fixtures.rs).
fn damage(work: &Path, full: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let text = std::str::from_utf8(full).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let at = |what: &str, skip: usize| {
        lines
            .iter()
            .enumerate()
            .filter(|(_, l)| l.starts_with(what))
            .nth(skip)
            .unwrap()
            .0
    };
    let flip = |within: usize, by: &str| {
        let begin: usize = lines[..within].iter().map(|l| l.len()).sum();
        let mut file = full.to_vec();
        file[begin + lines[within].find(by).unwrap() + by.len()] ^= 1;
        file
    };
    let without = |line: usize| {
        let mut kept = lines.clone();
        kept.remove(line);
        kept.concat().into_bytes()
    };
    let swapped = {
        let mut lines = lines.clone();
        let first = at("[", 0);
        lines.swap(first, first + 1);
        lines.concat().into_bytes()
    };
    let foreign = {
        let header = Header {
            sealing_key: key(2).1,
            ..header("01KAS2J5Y80000000000000002")
        };
        end(begin(work, &header), 2, "sealed by somebody else")
    };
    let early_final = {
        let proof = at("# proof", 0);
        lines[..=proof]
            .concat()
            .replace("\"}\n", "\",\"final\":true}\n")
            .into_bytes()
    };
    let died = {
        let head = at("# proof", 1);
        (lines[..=head].concat() + "# died \"No space left on device (os error 28)\"\n")
            .into_bytes()
    };
    let last = lines.len() - 1;
    vec![
        ("altered_bit_in_header", flip(0, "\"user\":\"")),
        ("altered_bit_in_output", flip(at("[", 1), "uid=")),
        ("altered_bit_in_last_output", flip(at("[", 8), "log")),
        (
            "altered_bit_in_proof_hash",
            flip(at("# proof", 0), "\"blake3\":\""),
        ),
        (
            "altered_space_in_proof",
            lines
                .concat()
                .replacen("{\"n\":1,", "{\"n\": 1,", 1)
                .into_bytes(),
        ),
        ("altered_event_removed", without(at("[", 1))),
        ("altered_events_swapped", swapped),
        ("altered_mark_removed", without(at("# head", 0))),
        ("altered_proof_removed", without(at("# proof", 0))),
        (
            "altered_bytes_after_seal",
            [full, b"[0.000001,\"o\",\"more\"]\n"].concat(),
        ),
        ("altered_two_recordings_joined", [full, full].concat()),
        ("altered_proof_passed_off_as_final", early_final),
        ("bad_signature", flip(at("# proof", 0), "\"sig\":\"")),
        ("foreign_key", foreign),
        (
            "truncated_in_line",
            full[..full.len() - lines[last].len() / 2].to_vec(),
        ),
        ("truncated_in_header", lines[0].as_bytes()[..100].to_vec()),
        ("truncated_final_newline", full[..full.len() - 1].to_vec()),
        (
            "unsealed_crashed",
            lines[..at("[", 4)].concat().into_bytes(),
        ),
        ("unsealed_never_sealed", lines[..last].concat().into_bytes()),
        ("unsealed_recorder_died", died),
        ("no_recording_empty", Vec::new()),
        (
            "no_recording_plain_cast",
            b"{\"version\":3,\"term\":{\"cols\":80,\"rows\":24}}\n[0.1,\"o\",\"x\"]\n".to_vec(),
        ),
        ("no_recording_noise", vec![0xA5; 4096]),
    ]
}

fn header(session: &str) -> Header {
    Header {
        session: session.into(),
        channel: Some(0),
        user: "alice".into(),
        source: "192.0.2.7:50122".into(),
        target: "lb-web.master".into(),
        amphora: "93b939b0-5a3c-4a0e-8d0b-3f1c7d0f6a11".into(),
        load_balancer: "6f1a5d5e-6a3e-4c58-9a39-6b6f6f2e1c77".into(),
        load_balancer_name: "web".into(),
        project: "shop".into(),
        landing: "root".into(),
        action: "shell".into(),
        command: None,
        cols: 80,
        rows: 24,
        term: Some("xterm-256color".into()),
        pty: true,
        started: "2025-11-23T07:54:48.123456Z".parse().unwrap(),
        gateway: "gw1".into(),
        host_key: Some("SHA256:9/MePv9FyL4YAQQggEj8Q9ef+LqPykVc5farXXvgb84".into()),
        sealing_key: key(1).1,
    }
}

fn begin(dir: &Path, header: &Header) -> LiveRecording {
    LiveRecording::open(&Store::open(dir, 0).unwrap(), header).unwrap()
}

fn prove(live: &mut LiveRecording, seed: u8) {
    let head = live.head().unwrap();
    live.prove(&head, &sign(seed, &head)).unwrap();
}

fn end(live: LiveRecording, seed: u8, reason: &str) -> Vec<u8> {
    let (closed, head) = live.close(reason).unwrap();
    fs::read(closed.seal(&sign(seed, &head)).unwrap()).unwrap()
}

fn key(seed: u8) -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let public = PublicKey::from_raw(pair.public_key().as_ref().try_into().unwrap());
    (pair, public)
}

fn sign(seed: u8, head: &Head) -> Signature {
    key(seed)
        .0
        .sign(&head.message())
        .as_ref()
        .try_into()
        .unwrap()
}
