//! In: any bytes as a message to the signer.
//! Out: a reply that is one whole message.
//! Never: a panic; a signature over bytes that are not a login or a head.
#![no_main]

use ampgate_signer::{KeyRing, LoginProof, Request, SealMessage, SealingKey, answer};
use libfuzzer_sys::fuzz_target;
use std::process::Command;
use std::sync::LazyLock;

static KEYS: LazyLock<(KeyRing, SealingKey)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&path)
        .status();
    assert!(made.expect("ssh-keygen").success());
    (
        KeyRing::read(&[&path]).expect("a ring"),
        SealingKey::read(&path).expect("a sealing key"),
    )
});

fuzz_target!(|message: &[u8]| {
    let (ring, sealing) = &*KEYS;
    let users = ["cloud-user".to_owned()];
    let reply = answer(ring, sealing, &users, 0, message);
    let (length, body) = reply.split_first_chunk::<4>().expect("a length");
    assert_eq!(
        usize::try_from(u32::from_be_bytes(*length)).expect("a length"),
        body.len()
    );
    match Request::parse(message) {
        Ok(Request::Sign { key, data, .. }) if body.first() == Some(&14) => {
            let proof = LoginProof::parse(data).expect("only a login is signed");
            assert!(proof.user == "cloud-user" && proof.key == key && ring.find(key).is_some());
        }
        Ok(Request::Seal { message }) if body.first() == Some(&29) && !message.is_empty() => {
            SealMessage::parse(message).expect("only a head is sealed");
        }
        Ok(Request::Identities | Request::Seal { message: b"" }) => {}
        _ => assert_eq!(body, [5], "anything else is a plain failure"),
    }
});
