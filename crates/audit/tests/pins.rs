//! Pins: a first contact, then that key, until a person takes it back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

use ampgate_audit::{AuditError, KeyMemory, PinVerdict, Pins};
use jiff::Timestamp;
use std::fs;
use std::process::Command;

const AMPHORA: &str = "93b939b0-0000-4000-8000-000000000001";
const OTHER: &str = "93b939b0-0000-4000-8000-000000000002";
const ONE: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEqK0b1Yyy4cWpxC0W9p0Hl8YkTdhqc1t3FQHZ1Z5n3q a comment";
const TWO: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEqK0b1Yyy4cWpxC0W9p0Hl8YkTdhqc1t3FQHZ1Z5n3r";

#[test]
fn the_first_key_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pins.jsonl");
    let pins = Pins::open(&path).unwrap();
    assert_eq!(pins.check(AMPHORA, ONE).unwrap(), PinVerdict::FirstContact);
    let pin = pins
        .pin(AMPHORA, ONE, "first-contact", Timestamp::now())
        .unwrap();
    assert_eq!(pin.algorithm(), "ssh-ed25519");
    assert_eq!(pins.check(AMPHORA, ONE).unwrap(), PinVerdict::Match);
    assert_eq!(
        pins.check(
            &AMPHORA.to_uppercase(),
            ONE.strip_suffix(" a comment").unwrap()
        )
        .unwrap(),
        PinVerdict::Match
    );
    let PinVerdict::Changed { pinned, offered } = pins.check(AMPHORA, TWO).unwrap() else {
        unreachable!()
    };
    assert_eq!(pinned, pin.fingerprint);
    assert_ne!(pinned, offered);
    assert!(matches!(
        pins.pin(AMPHORA, TWO, "first-contact", Timestamp::now()),
        Err(AuditError::PinHeld { .. })
    ));
    assert_eq!(
        pins.pin(AMPHORA, ONE, "first-contact", Timestamp::now())
            .unwrap(),
        pin,
        "two sessions at once"
    );
    // Another amphora at the same address is another id: no conflict, whatever key it has.
    assert_eq!(pins.check(OTHER, TWO).unwrap(), PinVerdict::FirstContact);
    pins.pin(OTHER, ONE, "first-contact", Timestamp::now())
        .unwrap();
    drop(pins);
    let pins = Pins::open(&path).unwrap();
    assert_eq!((pins.count(), pins.get(AMPHORA).unwrap()), (2, pin));
    assert!(matches!(
        pins.check(AMPHORA, TWO).unwrap(),
        PinVerdict::Changed { .. }
    ));
}

#[test]
fn the_fingerprint_is_the_one_of_ssh_keygen() {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = dir.path().join(kind);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", "", "-f"])
            .arg(&key)
            .status()
            .unwrap();
        assert!(made.success());
        let shown = Command::new("ssh-keygen")
            .arg("-lf")
            .arg(&key)
            .output()
            .unwrap()
            .stdout;
        let line = fs::read_to_string(key.with_extension("pub")).unwrap();
        let pins = Pins::open(&dir.path().join(format!("{kind}.jsonl"))).unwrap();
        let pin = pins
            .pin(AMPHORA, &line, "first-contact", Timestamp::now())
            .unwrap();
        assert!(
            String::from_utf8(shown)
                .unwrap()
                .contains(&format!(" {} ", pin.fingerprint))
        );
    }
}

#[test]
fn a_torn_pin_was_never_relied_on_but_a_changed_one_stops_everything() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pins.jsonl");
    Pins::open(&path)
        .unwrap()
        .pin(AMPHORA, ONE, "first-contact", Timestamp::now())
        .unwrap();
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{good}{{\"amphora\":\"93b9")).unwrap();
    let pins = Pins::open(&path).unwrap();
    assert_eq!(pins.count(), 1);
    pins.pin(OTHER, TWO, "first-contact", Timestamp::now())
        .unwrap();
    drop(pins);
    assert_eq!(Pins::open(&path).unwrap().count(), 2);
    let swapped = good.replace("Z5n3q", "Z5n3r");
    for bad in [
        "nonsense\n".to_owned(),
        format!("{good}{good}"),
        swapped,
        good.replace("\"how\"", "\"who\""),
    ] {
        fs::write(&path, bad).unwrap();
        let why = Pins::open(&path).err().unwrap().to_string();
        assert!(
            why.contains("pins.jsonl:") && why.contains("never guessed"),
            "{why}"
        );
    }
}

#[test]
fn a_pin_is_taken_back_by_a_person_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pins.jsonl");
    let pins = Pins::open(&path).unwrap();
    let now = Timestamp::now();
    let forget = |pins: &Pins| {
        pins.forget(&AMPHORA.to_uppercase(), "root", "rebuilt, \"INC-7\"\n", now)
            .unwrap()
    };
    assert_eq!(forget(&pins), None);
    let pin = pins.pin(AMPHORA, ONE, "first-contact", now).unwrap();
    pins.pin(OTHER, ONE, "console", now).unwrap();
    assert_eq!(forget(&pins), Some(pin));
    assert_eq!(forget(&pins), None, "once");
    assert_eq!(pins.check(AMPHORA, TWO).unwrap(), PinVerdict::FirstContact);
    drop(pins);
    let pins = Pins::open(&path).unwrap();
    assert_eq!(pins.count(), 1, "it stays forgotten");
    pins.pin(AMPHORA, TWO, "console", now).unwrap();
    drop(pins);
    let pins = Pins::open(&path).unwrap();
    assert_eq!(pins.check(AMPHORA, TWO).unwrap(), PinVerdict::Match);
    let ids: Vec<String> = pins.all().into_iter().map(|pin| pin.amphora).collect();
    assert_eq!(ids, [AMPHORA, OTHER]);
    drop(pins);
    // Every line is still there, and a line that takes back what is not there is a damage.
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 4);
    let taken = text.lines().find(|line| line.contains("INC-7")).unwrap();
    fs::write(&path, format!("{text}{taken}\n")).unwrap();
    let why = Pins::open(&path).err().unwrap().to_string();
    assert!(why.contains("pins.jsonl:5:"), "{why}");
}

#[test]
fn what_is_no_key_is_no_pin() {
    let dir = tempfile::tempdir().unwrap();
    let pins = Pins::open(&dir.path().join("pins.jsonl")).unwrap();
    let lying = ONE.replace("ssh-ed25519 ", "ssh-rsa ");
    for bad in ["", "ssh-ed25519", "ssh-ed25519 ???", lying.as_str()] {
        assert!(pins.check(AMPHORA, bad).is_err(), "{bad}");
        assert!(
            pins.pin(AMPHORA, bad, "x", Timestamp::now()).is_err(),
            "{bad}"
        );
    }
    assert_eq!(pins.count(), 0);
}

#[test]
fn the_key_memory_learns_forgets_nonsense_and_stays_small() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.jsonl");
    let memory = KeyMemory::open(&path).unwrap();
    assert_eq!(memory.recall(AMPHORA), None);
    for _ in 0..100 {
        memory.learn(AMPHORA, "SHA256:a");
        memory.learn(AMPHORA, "SHA256:b");
    }
    drop(memory);
    fs::write(
        &path,
        [fs::read(&path).unwrap(), b"\xff\xff\n{".to_vec()].concat(),
    )
    .unwrap();
    let memory = KeyMemory::open(&path).unwrap();
    assert_eq!(memory.recall(AMPHORA).as_deref(), Some("SHA256:b"));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
}
