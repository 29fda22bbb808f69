//! In: asciicasts (v2 or v3) of real terminals. Out: for each, a row: bytes shown, and what they are on the disk: plain,
//! plain through gzip -9 (if it is there), sealed to two auditors; with frames and proofs at the times a gateway makes them.
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

/// As in the gateway's recorder and keeping.
const FRAME_AFTER: f64 = 0.75;
/// Plain recordings, sealed ones.
const PROVE_EVERY: [f64; 2] = [2.0, 10.0];

fn main() {
    println!(
        "{:<24} {:>10} {:>10} {:>10} {:>10} {:>16}",
        "bytes on disk of", "shown", "plain", "gzip -9", "sealed", "sealed per shown"
    );
    for path in std::env::args().skip(1) {
        let text = fs::read_to_string(&path).unwrap();
        let events = events(&text);
        let shown: usize = events.iter().map(|(_, data)| data.len()).sum();
        let dir = tempfile::tempdir().unwrap();
        let plain = Store::open(dir.path().join("plain"), 0).unwrap();
        let plain = record(&plain, &events, PROVE_EVERY[0]);
        let auditors: Vec<_> = (0..2)
            .map(|_| Identity::generate().to_public().to_string())
            .collect();
        let recipients = Arc::new(Recipients::new(&auditors, 1).unwrap());
        let store = Store::open(dir.path().join("sealed"), 0)
            .unwrap()
            .sealed_to(Some(recipients));
        let sealed = record(&store, &events, PROVE_EVERY[1]);
        let size = |path: &Path| fs::metadata(path).unwrap().len();
        let gzip = Command::new("gzip").arg("-9c").arg(&plain).output();
        println!(
            "{:<24} {:>10} {:>10} {:>10} {:>10} {:>16.3}",
            Path::new(&path).file_stem().unwrap().to_str().unwrap(),
            shown,
            size(&plain),
            gzip.map_or_else(|_| "-".to_owned(), |out| out.stdout.len().to_string()),
            size(&sealed),
            size(&sealed) as f64 / shown as f64
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

fn record(store: &Store, events: &[(f64, String)], prove_every: f64) -> std::path::PathBuf {
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = PublicKey::from_raw(key.public_key().as_ref().try_into().unwrap());
    let sign = |message: &[u8]| key.sign(message).as_ref().try_into().unwrap();
    let mut live = LiveRecording::open(store, &header(public)).unwrap();
    let (mut owed_since, mut proven) = (None, 0.0);
    for (at, data) in events {
        if owed_since.is_some_and(|since| at - since >= FRAME_AFTER) {
            live.flush().unwrap();
            owed_since = None;
        }
        if at - proven >= prove_every {
            let head = live.head().unwrap();
            live.prove(&head, &sign(&head.message())).unwrap();
            (owed_since, proven) = (None, *at);
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
