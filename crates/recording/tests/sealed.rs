//! In: sealed recordings, whole, damaged and forged. Out: the same bytes for who holds an identity; a named verdict for
//! who holds none. Never: a byte of plain text in the file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod bed;

use std::{fs, io::Read, path::Path};

use age::{secrecy::ExposeSecret, x25519};
use ampgate_recording::{
    Identities, LiveRecording, Reader, Recipients, Store, Stream, Unsealed, Unsealer, Verdict,
    verify, verify_against,
};
use bed::{SealingKey, header, memory, prove, seal};
use proptest::prelude::*;

struct Auditor {
    public: String,
    file: String,
}

impl Auditor {
    fn new() -> Self {
        let identity = x25519::Identity::generate();
        Self {
            public: identity.to_public().to_string(),
            file: identity.to_string().expose_secret().to_owned(),
        }
    }
}

fn identities(of: &[&Auditor]) -> Identities {
    let mut all = Identities::default();
    for auditor in of {
        all.add(&auditor.file).unwrap();
    }
    all
}

fn store(dir: &Path, auditors: &[&Auditor], needed: usize) -> Store {
    let keys: Vec<_> = auditors.iter().map(|auditor| &auditor.public).collect();
    Store::open(dir, 0)
        .unwrap()
        .sealed_to(Some(Recipients::new(&keys, needed).unwrap().into()))
}

fn begin(dir: &Path, auditor: &Auditor) -> LiveRecording {
    LiveRecording::open(&store(dir, &[auditor], 1), &header(true)).unwrap()
}

fn cast(file: &[u8], auditor: &Auditor) -> Vec<u8> {
    let mut cast = Vec::new();
    Unsealer::open(file, &identities(&[auditor]))
        .unwrap()
        .read_to_end(&mut cast)
        .unwrap();
    cast
}

/// Frames and lines of a sealed file.
fn records(file: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let length = if file[at] < 3 {
            15 + 17
                + usize::from(u16::from_be_bytes(
                    file[at + 13..at + 15].try_into().unwrap(),
                ))
        } else {
            file[at..].iter().position(|b| *b == b'\n').unwrap() + 1
        };
        records.push(file[at..at + length].to_vec());
        at += length;
    }
    records
}

fn is_frame(record: &[u8]) -> bool {
    record[0] < 3
}

/// Four frames and more, three proofs.
fn made(dir: &Path, auditor: &Auditor) -> Vec<u8> {
    let key = SealingKey::new(1);
    let mut live = begin(dir, auditor);
    for words in ["hello of the first frame", "and of the second", "the third"] {
        live.output(Stream::Stdout, words.as_bytes());
        live.flush().unwrap();
    }
    prove(&mut live, &key);
    live.output(Stream::Stdout, "the fourth".as_bytes());
    prove(&mut live, &key);
    live.exit(&ampgate_recording::Exit::Status(3));
    let path = seal(live.close("the operator's secret reason").unwrap().0, &key);
    assert_eq!(path.extension().unwrap(), "sealed");
    fs::read(path).unwrap()
}

fn judge(dir: &Path, file: &[u8]) -> Verdict {
    let path = dir.join(format!("{}.sealed", bed::SESSION));
    fs::write(&path, file).unwrap();
    verify(&path, Some(&SealingKey::new(1).public())).unwrap()
}

#[test]
fn what_was_recorded_comes_back_and_proves_itself() {
    let (dir, auditor) = (memory(), Auditor::new());
    let file = made(dir.path(), &auditor);
    let Verdict::Intact {
        proofs, trusted, ..
    } = judge(dir.path(), &file)
    else {
        panic!("{:?}", judge(dir.path(), &file));
    };
    assert_eq!((proofs, trusted), (3, true));
    let cast = cast(&file, &auditor);
    let [out, ..] = bed::streams(&cast);
    assert_eq!(
        out,
        b"hello of the first frameand of the secondthe thirdthe fourth"
    );
    let reader = Reader::open(&cast[..]).unwrap();
    assert_eq!(reader.header(), &header(true));
    assert!(
        String::from_utf8(cast)
            .unwrap()
            .contains("the operator's secret reason")
    );
    // Nothing of who, where and what stands in the file.
    for word in [
        "alice",
        "192.0.2.7",
        "93b939b0",
        "web",
        "shop",
        "hello",
        "secret",
        "xterm",
    ] {
        assert!(
            !file.windows(word.len()).any(|part| part == word.as_bytes()),
            "{word}"
        );
    }
}

#[test]
fn strangers_and_single_auditors_of_two_read_nothing() {
    let dir = memory();
    let [a, b, c, stranger] = std::array::from_fn(|_| Auditor::new());
    let store = store(dir.path(), &[&a, &b, &c], 2);
    let mut live = LiveRecording::open(&store, &header(true)).unwrap();
    live.output(Stream::Stdout, b"for two pairs of eyes");
    let path = seal(live.close("ended").unwrap().0, &SealingKey::new(1));
    let file = fs::read(path).unwrap();
    for (with, words) in [
        (identities(&[&a]), "1 of the 2 auditors"),
        (identities(&[&stranger]), "0 of the 2 auditors"),
        (Identities::default(), "0 of the 2 auditors"),
        // The same identity twice is one auditor.
        (identities(&[&a, &a]), "1 of the 2 auditors"),
    ] {
        let why = Unsealer::open(&file[..], &with).err().unwrap().to_string();
        assert!(why.contains(words), "{why}");
    }
    for two in [[&a, &b], [&c, &a]] {
        let mut cast = String::new();
        Unsealer::open(&file[..], &identities(&two))
            .unwrap()
            .read_to_string(&mut cast)
            .unwrap();
        assert!(cast.contains("for two pairs of eyes"));
    }
}

/// Each damage, with what storage staff without any key are told.
#[test]
fn damage_is_named_without_a_key() {
    let (dir, auditor) = (memory(), Auditor::new());
    let file = made(&dir.path().join("one"), &auditor);
    let other = made(&dir.path().join("two"), &auditor);
    let dir = dir.path();
    let all = records(&file);
    let foreign = records(&other);
    let frames: Vec<usize> = (0..all.len()).filter(|n| is_frame(&all[*n])).collect();
    // The header's frame, three, then one, then the ending.
    assert_eq!(frames, [1, 2, 3, 4, 7, 10]);
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut changed = all.clone();
        change(&mut changed);
        judge(dir, &changed.concat())
    };
    let altered = |verdict: Verdict, words: &str| match verdict {
        Verdict::AlteredAt { what, .. } => assert_eq!(what, words),
        other => panic!("{other:?} is not {words:?}"),
    };
    altered(with(&|all| all[3][40] ^= 1), "the hash differs");
    altered(with(&|all| all.swap(2, 3)), "frames have changed places");
    altered(
        with(&|all| all.insert(4, all[2].clone())),
        "a frame is there twice",
    );
    altered(with(&|all| drop(all.remove(3))), "a frame is missing");
    altered(
        with(&|all| all[3].clone_from(&foreign[3])),
        "a frame of another recording",
    );
    altered(
        with(&|all| all[3][13] ^= 0x80),
        "a frame that no recorder writes",
    );
    altered(
        with(&|all| all.insert(3, b"[0.1,\"o\",\"forged\"]\n".to_vec())),
        "neither a frame nor a proof",
    );
    altered(
        with(&|all| all.push(all[2].clone())),
        "bytes after the final proof",
    );
    // Another first line, whose data key an attacker knows, does not fit the proofs.
    assert!(matches!(
        with(&|all| all[0].clone_from(&foreign[0])),
        Verdict::AlteredAt { .. }
    ));
    assert!(matches!(
        judge(dir, &file[..file.len() - 700]),
        Verdict::TruncatedAt { .. }
            | Verdict::Unsealed {
                reason: Unsealed::Crashed | Unsealed::NeverSealed,
                ..
            }
    ));
    let within = all[..3].concat().len() - 5;
    assert!(matches!(
        judge(dir, &file[..within]),
        Verdict::TruncatedAt { proven: 0, .. }
    ));
    // Signed again with a key of the attacker's own.
    let path = dir.join(format!("{}.sealed", bed::SESSION));
    fs::write(&path, &file).unwrap();
    assert!(matches!(
        verify(&path, Some(&SealingKey::new(2).public())).unwrap(),
        Verdict::ForeignKey { .. }
    ));
}

/// Who holds an identity is told at the very frame, also where no proof covers it.
#[test]
fn a_changed_frame_does_not_open() {
    let (dir, auditor) = (memory(), Auditor::new());
    let file = made(&dir.path().join("one"), &auditor);
    let other = made(&dir.path().join("two"), &auditor);
    let (all, foreign) = (records(&file), records(&other));
    let read = |records: &[Vec<u8>]| {
        let mut cast = Vec::new();
        let file = records.concat();
        let mut unsealer = Unsealer::open(&file[..], &identities(&[&auditor])).unwrap();
        let why = unsealer.read_to_end(&mut cast).unwrap_err().to_string();
        (String::from_utf8(cast).unwrap(), why)
    };
    let change = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut changed = all.clone();
        change(&mut changed);
        read(&changed)
    };
    let (before, why) = change(&|all| all[3][40] ^= 1);
    assert!(
        before.contains("first frame") && !before.contains("second"),
        "{before}"
    );
    assert!(
        why.contains("frame 3") && why.contains("does not open"),
        "{why}"
    );
    for (changed, words) in [
        (
            change(&|all| all.swap(2, 3)),
            "another frame stands in its place",
        ),
        (
            change(&|all| all[3].clone_from(&foreign[3])),
            "another recording",
        ),
        // With the number and the recording of the frame it replaces, and its own sealed bytes.
        (
            change(&|all| {
                let forged = [&all[3][..13], &foreign[3][13..]].concat();
                all[3] = forged;
            }),
            "does not open",
        ),
        (
            change(&|all| all[3][12] ^= 1),
            "no recorder writes such a frame",
        ),
        (
            change(&|all| {
                all.truncate(4);
                all[3].truncate(30);
            }),
            "was cut",
        ),
    ] {
        assert!(changed.1.contains(words), "{:?} is not {words}", changed.1);
    }
}

#[test]
fn a_crash_keeps_what_was_flushed() {
    let (dir, auditor) = (memory(), Auditor::new());
    let mut live = begin(dir.path(), &auditor);
    live.output(Stream::Stdout, b"kept");
    live.commit().unwrap();
    assert!(live.owes_frame());
    live.flush().unwrap();
    assert!(!live.owes_frame());
    live.output(Stream::Stdout, b"owed");
    live.commit().unwrap();
    let path = live.path().to_owned();
    drop(live);
    let file = fs::read(&path).unwrap();
    assert!(matches!(
        verify(&path, None).unwrap(),
        Verdict::Unsealed {
            reason: Unsealed::Crashed,
            ..
        }
    ));
    let [out, ..] = bed::streams(&cast(&file, &auditor));
    assert_eq!(out, b"kept");
}

/// The journal remembers heads of sealed recordings as of plain ones.
#[test]
fn a_tail_cut_at_a_record_is_known_to_the_journal() {
    let (dir, auditor) = (memory(), Auditor::new());
    let mut live = begin(dir.path(), &auditor);
    live.output(Stream::Stdout, b"the end");
    let (closed, head) = live.close("ended").unwrap();
    let path = seal(closed, &SealingKey::new(1));
    assert!(matches!(
        verify_against(&path, None, &head).unwrap(),
        Verdict::Intact { .. }
    ));
    let all = records(&fs::read(&path).unwrap());
    fs::write(&path, all[..2].concat()).unwrap();
    assert!(matches!(
        verify_against(&path, None, &head).unwrap(),
        Verdict::TruncatedAt { .. }
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever was recorded, in whatever pieces, with frames closed wherever: the same bytes come back, and none of the
    /// frames is larger than the format allows.
    #[test]
    fn any_pieces_come_back(
        pieces in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..300), 1..400_usize, any::<bool>(), any::<bool>()), 0..12)
    ) {
        let (dir, auditor) = (memory(), Auditor::new());
        let key = SealingKey::new(1);
        let mut live = begin(dir.path(), &auditor);
        let mut expected = Vec::new();
        for (bytes, times, flush, proof) in &pieces {
            let bytes = bytes.repeat(*times);
            live.output(Stream::Stdout, &bytes);
            live.commit().unwrap();
            expected.extend(bytes);
            if *flush {
                live.flush().unwrap();
            }
            if *proof {
                prove(&mut live, &key);
            }
        }
        let path = seal(live.close("ended").unwrap().0, &key);
        let file = fs::read(&path).unwrap();
        let intact = matches!(verify(&path, Some(&key.public())).unwrap(), Verdict::Intact { .. });
        prop_assert!(intact);
        let [out, ..] = bed::streams(&cast(&file, &auditor));
        prop_assert!(out == expected);
        for frame in records(&file).iter().filter(|record| is_frame(record)) {
            prop_assert!(frame.len() <= 15 + (64 << 10) + 16);
        }
    }

    /// A file changed anywhere is not intact, and reading it never panics.
    #[test]
    fn any_changed_byte_shows(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let (dir, auditor) = (memory(), Auditor::new());
        let mut file = made(dir.path(), &auditor);
        let at = at.index(file.len());
        file[at] ^= 1 << bit;
        let intact = matches!(judge(dir.path(), &file), Verdict::Intact { .. });
        prop_assert!(!intact, "byte {at}");
        if let Ok(mut unsealer) = Unsealer::open(&file[..], &identities(&[&auditor])) {
            let _ = unsealer.read_to_end(&mut Vec::new());
        }
    }
}
