//! In: a directory on the disk to measure (default: the system's temporary directory), a part of a measurement's name.
//! Out: CPU seconds per GiB of what the recorder is made for, beside the same writes without any recording.
//! Never: a verdict. It prints numbers; `make bench` compares.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{fs, hint::black_box, io::Write, path::Path, time::Instant};

use ampgate_recording::{Header, LiveRecording, PublicKey, Store, Stream};
use ring::rand::{SecureRandom, SystemRandom};
use rustix::time::{ClockId, clock_gettime};

const GIB: f64 = (1u64 << 30) as f64;

fn main() {
    let dir = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, Into::into)
        .join("ampgate-record-speed");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "CPU seconds per GiB", "recorded", "of it", "bytes to", "same", "plain"
    );
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "", "hashing", "disk", "writes", "writes"
    );
    let mut random = vec![0; 32 << 10];
    SystemRandom::new().fill(&mut random).unwrap();
    let log = b"Nov 23 07:54:48 amphora-93b939b0 haproxy[1482]: 172.24.0.23:51234 [23/Nov/2026:07:54:48.123] fe be/srv1 0/0/1/2/3 200 1432 - - ---- 1/1/0/0/0 0/0 \"GET /index.html HTTP/1.1\"\r\n";
    let log: Vec<u8> = log.iter().copied().cycle().take(32 << 10).collect();
    let yes: Vec<u8> = b"y\r\n".iter().copied().cycle().take(4 << 10).collect();
    let only = std::env::args().nth(2).unwrap_or_default();
    for (name, chunk, pty) in [
        ("random bytes, 32 KiB", &random[..], false),
        ("log text, 32 KiB", &log, false),
        ("log text on a pty, 4 KiB", &log[..4096], true),
        ("\"yes\" on a pty, 4 KiB", &yes, true),
        ("random bytes on a pty, 4 KiB", &random[..4096], true),
    ] {
        if name.contains(&only) {
            bulk(&dir, name, chunk, pty);
        }
    }
    if "echo".contains(&only) {
        echoes(&dir);
    }
    fs::remove_dir_all(&dir).unwrap();
}

fn bulk(dir: &Path, name: &str, chunk: &[u8], pty: bool) {
    let chunks = (512 << 20) / chunk.len();
    let bytes = (chunks * chunk.len()) as f64;
    let mut size = 0;
    let recorded = best(|| {
        let mut live = begin(dir, pty);
        let cpu = cpu(|| {
            for _ in 0..chunks {
                live.output(Stream::Stdout, black_box(chunk));
                live.commit().unwrap();
            }
            live.head().unwrap();
        });
        size = live.file_size();
        fs::remove_file(live.path()).unwrap();
        cpu
    });
    let per_chunk = usize::try_from(size).unwrap() / chunks;
    let block = vec![b'x'; 128 << 10];
    let hashing = best(|| {
        let mut hasher = blake3::Hasher::new();
        cpu(|| {
            for _ in 0..size / (128 << 10) {
                hasher.update(black_box(&block));
            }
        })
    });
    let same = best(|| writes(dir, &vec![b'x'; per_chunk], chunks));
    let plain = best(|| writes(dir, chunk, chunks));
    let [recorded, hashing, same, plain] =
        [recorded, hashing, same, plain].map(|cpu| cpu * GIB / bytes);
    println!(
        "{name:<34} {recorded:>9.2} {hashing:>9.2} {:>9.2} {same:>9.2} {plain:>9.2}",
        size as f64 / bytes
    );
}

fn writes(dir: &Path, chunk: &[u8], chunks: usize) -> f64 {
    let path = dir.join("plain");
    let mut file = fs::File::create(&path).unwrap();
    let cpu = cpu(|| (0..chunks).for_each(|_| file.write_all(black_box(chunk)).unwrap()));
    fs::remove_file(path).unwrap();
    cpu
}

fn echoes(dir: &Path) {
    const KEYS: u32 = 200_000;
    let mut live = begin(dir, true);
    let (mut slowest, begin) = (0, Instant::now());
    let used = cpu(|| {
        for _ in 0..KEYS {
            let begin = Instant::now();
            live.output(Stream::Stdout, black_box(b"x"));
            live.commit().unwrap();
            slowest = slowest.max(begin.elapsed().as_micros());
        }
    });
    let (keys, wall) = (f64::from(KEYS), begin.elapsed().as_secs_f64());
    println!(
        "echo of one key, committed: {:.2} µs CPU, {:.2} µs wall, slowest {slowest} µs, {:.0} bytes each",
        used * 1e6 / keys,
        wall * 1e6 / keys,
        live.file_size() as f64 / keys
    );
}

fn begin(dir: &Path, pty: bool) -> LiveRecording {
    let dir = dir.join("store");
    let _ = fs::remove_dir_all(&dir);
    let header = Header {
        session: "01KAS2J5Y8ZZZZZZZZZZZZZZZZ".into(),
        channel: None,
        user: "alice".into(),
        source: "192.0.2.7:50000".into(),
        target: "lb-web".into(),
        amphora: "93b939b0-0000-4000-8000-000000000000".into(),
        load_balancer: String::new(),
        load_balancer_name: "web".into(),
        project: String::new(),
        landing: "plain".into(),
        action: "shell".into(),
        command: None,
        cols: 80,
        rows: 24,
        term: None,
        pty,
        started: "2026-11-23T07:54:48Z".parse().unwrap(),
        gateway: "bench".into(),
        host_key: None,
        sealing_key: PublicKey::from_raw([7; 32]),
    };
    LiveRecording::open(&Store::open(&dir, 0).unwrap(), &header).unwrap()
}

/// The best of five: what else the machine does only ever adds.
fn best(mut run: impl FnMut() -> f64) -> f64 {
    (0..5).map(|_| run()).fold(f64::MAX, f64::min)
}

/// CPU seconds of this thread, kernel included.
fn cpu(work: impl FnOnce()) -> f64 {
    let now = || {
        let t = clock_gettime(ClockId::ThreadCPUTime);
        t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
    };
    let begin = now();
    work();
    now() - begin
}
