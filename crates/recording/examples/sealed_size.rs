//! In: asciicasts (v2 or v3) of real terminals. Out: for each a line of JSON: bytes shown, and what they are on the disk: plain,
//! plain through gzip and zstd, sealed; with frames and proofs at a gateway's times.
//! Never: a verdict. It prints numbers; `make bench` shows them.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{fs, path::Path, process::Command, sync::Arc};

use age::x25519::Identity;
use ampgate_recording::{Header, LiveRecording, PublicKey, Recipients, Store, Stream};
use ring::signature::{Ed25519KeyPair, KeyPair};

/// As in the gateway's recorder and keeping: a frame's age, and seconds between proofs; of sealed recordings the second
/// number is for those that grow by so many bytes.
const FRAME_AFTER: f64 = 0.75;
const PROVE_PLAIN: f64 = 2.0;
const PROVE_SEALED: (f64, f64, u64) = (60.0, 10.0, 64 << 10);

fn main() {
    for path in std::env::args().skip(1) {
        let events = events(&fs::read_to_string(&path).unwrap());
        let shown: usize = events.iter().map(|(_, data)| data.len()).sum();
        let dir = tempfile::tempdir().unwrap();
        let plain = Store::open(dir.path().join("plain"), 0).unwrap();
        let plain = record(&plain, false, &events);
        let auditors: Vec<_> = (0..2)
            .map(|_| Identity::generate().to_public().to_string())
            .collect();
        let recipients = Arc::new(Recipients::new(&auditors, 1).unwrap());
        let store = Store::open(dir.path().join("sealed"), 0)
            .unwrap()
            .sealed_to(Some(recipients));
        let sealed = record(&store, true, &events);
        let size = |path: &Path| fs::metadata(path).unwrap().len();
        let gzip = Command::new("gzip").arg("-c").arg(&plain).output().unwrap();
        // As the archive stores what is not sealed.
        let zstd = zstd::bulk::compress(&fs::read(&plain).unwrap(), 9).unwrap();
        println!(
            "{}",
            serde_json::json!({
                "seconds": events.last().map(|(at, _)| at),
                "shown": shown,
                "plain": size(&plain),
                "gzip": gzip.stdout.len(),
                "zstd": zstd.len(),
                "sealed": size(&sealed),
            })
        );
    }
}

/// Seconds since the begin, and what was shown.
fn events(text: &str) -> Vec<(f64, String)> {
    let mut lines = text.lines();
    let header: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let intervals = header["version"] == 3;
    let mut at = 0.0;
    let mut events = Vec::new();
    for line in lines.filter(|line| line.starts_with('[')) {
        let (time, code, data): (f64, String, String) = serde_json::from_str(line).unwrap();
        at = if intervals { at + time } else { time };
        if code == "o" {
            events.push((at, data));
        }
    }
    events
}

fn record(store: &Store, sealed: bool, events: &[(f64, String)]) -> std::path::PathBuf {
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = PublicKey::from_raw(key.public_key().as_ref().try_into().unwrap());
    let sign = |message: &[u8]| key.sign(message).as_ref().try_into().unwrap();
    let mut live = LiveRecording::open(store, &header(public)).unwrap();
    let (mut owed_since, mut proven, mut proven_size) = (None, 0.0, 0);
    for (at, data) in events {
        if owed_since.is_some_and(|since| at - since >= FRAME_AFTER) {
            live.flush().unwrap();
            owed_since = None;
        }
        let (late, soon, grown) = PROVE_SEALED;
        let due = match sealed {
            true => {
                at - proven >= late
                    || at - proven >= soon && live.file_size() - proven_size >= grown
            }
            false => at - proven >= PROVE_PLAIN,
        };
        if due {
            let head = live.head().unwrap();
            live.prove(&head, &sign(&head.message())).unwrap();
            (owed_since, proven, proven_size) = (None, *at, live.file_size());
        }
        live.output(Stream::Stdout, data.as_bytes());
        live.commit().unwrap();
        owed_since = owed_since.or(Some(*at));
    }
    let (closed, head) = live.close("the program ended").unwrap();
    closed.seal(&sign(&head.message())).unwrap()
}

fn header(sealing_key: PublicKey) -> Header {
    Header {
        session: "01KAS2J5Y8ZZZZZZZZZZZZZZZZ".into(),
        channel: None,
        user: "alice".into(),
        source: "192.0.2.7:50000".into(),
        target: "lb-web".into(),
        amphora: "93b939b0-0000-4000-8000-000000000000".into(),
        load_balancer: "6f1a5d5e-6a3e-4c58-9a39-6b6f6f2e1c77".into(),
        load_balancer_name: "web".into(),
        project: "5a5e6a3e4c589a396b6f6f2e1c776f1a".into(),
        landing: "plain".into(),
        action: "shell".into(),
        command: None,
        cols: 80,
        rows: 24,
        term: Some("xterm-256color".into()),
        pty: true,
        started: "2026-11-23T07:54:48Z".parse().unwrap(),
        gateway: "bench".into(),
        host_key: None,
        sealing_key,
    }
}
