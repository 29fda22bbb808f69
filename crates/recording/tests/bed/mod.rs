//! In: nothing. Out: a sealing key, headers and sealed recordings for tests. Never: a key that is used elsewhere.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::path::{Path, PathBuf};

use ampgate_recording::{
    ClosedRecording, EventKind, Head, Header, LiveRecording, PublicKey, Reader, Signature, Store,
    Stream,
};
use ring::signature::{Ed25519KeyPair, KeyPair};

pub const SESSION: &str = "01KAS2J5Y8QWERTY0123456789";

pub struct SealingKey(Ed25519KeyPair);

impl SealingKey {
    pub fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    pub fn public(&self) -> PublicKey {
        PublicKey::from_raw(self.0.public_key().as_ref().try_into().unwrap())
    }

    pub fn sign(&self, head: &Head) -> Signature {
        self.0.sign(&head.message()).as_ref().try_into().unwrap()
    }
}

pub fn header(pty: bool) -> Header {
    Header {
        session: SESSION.into(),
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
        pty,
        started: "2026-11-23T07:54:48.123456Z".parse().unwrap(),
        gateway: "gw1".into(),
        host_key: Some("SHA256:9/MePv9FyL4YAQQggEj8Q9ef+LqPykVc5farXXvgb84".into()),
        sealing_key: SealingKey::new(1).public(),
    }
}

/// A directory in memory where there is one: for tests of many recordings, each of which is synced twice.
pub fn memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

pub fn begin(dir: &Path, header: &Header) -> LiveRecording {
    LiveRecording::open(&Store::open(dir, 0).unwrap(), header).unwrap()
}

pub fn prove(live: &mut LiveRecording, key: &SealingKey) {
    let head = live.head().unwrap();
    live.prove(&head, &key.sign(&head)).unwrap();
}

pub fn seal(closed: ClosedRecording, key: &SealingKey) -> PathBuf {
    let signature = key.sign(closed.head());
    closed.seal(&signature).unwrap()
}

/// A small recording with everything in it, sealed.
pub fn sealed(dir: &Path) -> PathBuf {
    let key = SealingKey::new(1);
    let mut live = begin(dir, &header(true));
    live.output(Stream::Stdout, b"# id\r\nuid=0(root)\r\n");
    live.commit().unwrap();
    prove(&mut live, &key);
    live.resize(100, 30);
    live.output(Stream::Stdout, b"caf\xc3");
    live.commit().unwrap();
    prove(&mut live, &key);
    live.output(Stream::Stdout, b"\xa9 \xff\r\n");
    live.commit().unwrap();
    live.exit(&ampgate_recording::Exit::Status(0));
    seal(live.close("the program ended").unwrap().0, &key)
}

/// What a file holds of each stream, and of input.
pub fn streams(file: &[u8]) -> [Vec<u8>; 3] {
    let mut all: [Vec<u8>; 3] = Default::default();
    for event in Reader::open(file).unwrap() {
        match event {
            Ok(event) => match event.kind {
                EventKind::Output {
                    stream: Stream::Stdout,
                    bytes,
                } => all[0].extend(bytes),
                EventKind::Output {
                    stream: Stream::Stderr,
                    bytes,
                } => all[1].extend(bytes),
                EventKind::Input(bytes) => all[2].extend(bytes),
                _ => {}
            },
            Err(e) => panic!("{e}"),
        }
    }
    all
}
