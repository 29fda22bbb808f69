//! In: sealed recordings, and everything that can be done to them. Out: each deed named.
//! Never: "intact" for a file that differs in one bit from the sealed one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod bed;

use std::fs;

use ampgate_recording::{
    Head, LiveRecording, Stream, Unsealed, Verdict, verify, verify_against, verify_stream,
};
use bed::{SealingKey, begin, header, prove, seal, sealed};

fn judge(file: &[u8]) -> Verdict {
    verify_stream(file, Some(&SealingKey::new(1).public()), None).unwrap()
}

#[test]
fn sealed_is_intact() {
    let dir = tempfile::tempdir().unwrap();
    let path = sealed(dir.path());
    let key = SealingKey::new(1).public();
    match verify(&path, Some(&key)).unwrap() {
        Verdict::Intact {
            proofs: 3,
            trusted: true,
            ending,
            size,
            ..
        } => {
            assert_eq!(
                (ending.reason.as_str(), ending.stdout),
                ("the program ended", 28)
            );
            assert_eq!(size, fs::metadata(&path).unwrap().len());
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        verify(&path, None).unwrap(),
        Verdict::Intact { trusted: false, .. }
    ));
}

/// Every bit of every byte: header, events, proofs, spaces, newlines. With the trusted key and without any.
#[test]
fn no_flipped_bit_stays_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = fs::read(sealed(dir.path())).unwrap();
    let key = SealingKey::new(1).public();
    for at in 0..file.len() {
        for bit in 0..8 {
            file[at] ^= 1 << bit;
            // Verifying costs most of this test, so without a trusted key one bit of each byte has to do.
            for trusted in [Some(&key), None]
                .into_iter()
                .take(if at % 8 == bit { 2 } else { 1 })
            {
                let verdict = verify_stream(&file[..], trusted, None).unwrap();
                assert!(
                    !matches!(verdict, Verdict::Intact { .. }),
                    "bit {bit} of byte {at}: {verdict:?}"
                );
            }
            file[at] ^= 1 << bit;
        }
    }
    assert!(matches!(judge(&file), Verdict::Intact { .. }));
}

/// Every cut. In the middle of a line it is a truncation by itself; at a line's end only the journal can tell.
#[test]
fn no_cut_stays_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = sealed(dir.path());
    let file = fs::read(&path).unwrap();
    let key = SealingKey::new(1).public();
    let end = file.len()
        - file
            .split_inclusive(|b| *b == b'\n')
            .next_back()
            .unwrap()
            .len();
    let head = Head::new(
        bed::SESSION.into(),
        end as u64,
        *blake3::hash(&file[..end]).as_bytes(),
    );
    for size in 0..file.len() {
        let (by_itself, against) = (
            judge(&file[..size]),
            verify_stream(&file[..size], Some(&key), Some(&head)).unwrap(),
        );
        match (size, file[..size].last()) {
            (0, _) => assert!(matches!(by_itself, Verdict::NotARecording { .. })),
            (_, Some(b'\n')) if size == end => assert!(matches!(
                by_itself,
                Verdict::Unsealed {
                    reason: Unsealed::NeverSealed,
                    ..
                }
            )),
            (_, Some(b'\n')) => {
                assert!(
                    matches!(
                        by_itself,
                        Verdict::Unsealed {
                            reason: Unsealed::Crashed,
                            ..
                        }
                    ),
                    "{size} {by_itself:?}"
                );
                assert!(
                    matches!(against, Verdict::TruncatedAt { .. }),
                    "{size} {against:?}"
                );
            }
            _ if size < 12 => assert!(matches!(by_itself, Verdict::NotARecording { .. })),
            _ => assert!(
                matches!(by_itself, Verdict::TruncatedAt { offset, .. } if offset == size as u64),
                "{size} {by_itself:?}"
            ),
        }
    }
    assert!(matches!(
        verify_against(&path, Some(&key), &head).unwrap(),
        Verdict::Intact { .. }
    ));
}

/// An alteration lies between the last good proof and the first bad one.
#[test]
fn an_alteration_is_located() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::read(sealed(dir.path())).unwrap();
    let text = String::from_utf8(file.clone()).unwrap();
    let mark = |n: usize| text.find(&format!("# head {n}\n")).unwrap() + 9;
    let altered = text.replace("caf", "cab");
    match judge(altered.as_bytes()) {
        Verdict::AlteredAt { after, before, .. } => {
            assert_eq!((after, before), (mark(1) as u64, mark(2) as u64))
        }
        other => panic!("{other:?}"),
    }
}

/// Cut after a proof in the middle, that proof passed off as the final one, in each way one may try.
#[test]
fn a_proof_in_the_middle_is_not_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(sealed(dir.path())).unwrap();
    let proof = text
        .lines()
        .find(|line| line.starts_with("# proof"))
        .unwrap();
    let cut = &text[..text.find(proof).unwrap() + proof.len()];
    let last = cut.strip_suffix('}').unwrap().to_owned() + ",\"final\":true}\n";
    assert!(matches!(judge(last.as_bytes()), Verdict::AlteredAt { .. }));
    let ending = text.lines().find(|line| line.starts_with("# end")).unwrap();
    for forged in [
        last.replace("# head 1\n", &format!("{ending}\n")),
        last.replace("# head 1\n", &format!("{ending}\n# head 1\n")),
        last.replace("# head 1\n", &format!("# head 1\n{ending}\n")),
    ] {
        assert!(
            !matches!(judge(forged.as_bytes()), Verdict::Intact { .. }),
            "{forged}"
        );
    }
}

#[test]
fn bytes_after_the_seal_are_an_alteration() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::read(sealed(dir.path())).unwrap();
    for tail in [
        &b"\n"[..],
        b"x",
        b"# a comment\n",
        b"[0.1,\"o\",\"more\"]\n",
    ] {
        let verdict = judge(&[&file[..], tail].concat());
        assert!(
            matches!(verdict, Verdict::AlteredAt { after, .. } if after == file.len() as u64),
            "{verdict:?}"
        );
    }
    assert!(matches!(
        judge(&[&file[..], &file[..]].concat()),
        Verdict::AlteredAt { .. }
    ));
}

/// The seal covers what is before the ending; nothing may be slipped in between the two.
#[test]
fn bytes_between_ending_and_seal_are_an_alteration() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(sealed(dir.path())).unwrap();
    let seal = text.rfind("# proof").unwrap();
    for between in [
        "[0.1,\"o\",\"more\"]\n",
        "# a comment\n",
        "\n",
        "# head 4\n",
    ] {
        let forged = [&text[..seal], between, &text[seal..]].concat();
        let verdict = judge(forged.as_bytes());
        assert!(
            matches!(verdict, Verdict::AlteredAt { .. }),
            "{between:?}: {verdict:?}"
        );
    }
}

/// The final proof is covered by nothing but its own form, so it may have only one.
#[test]
fn a_proof_has_one_spelling() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(sealed(dir.path())).unwrap();
    let (before, seal) = text.split_at(text.rfind("# proof").unwrap());
    for (from, to) in [
        ("{\"n\":", "{ \"n\":"),
        ("}\n", "} \n"),
        ("}\n", "}\r\n"),
        ("\"sig\"", "\"s\\u0069g\""),
        ("\"n\":3,", "\"n\":3.0,"),
        (",\"final\":true", ""),
        (",\"final\":true", ",\"final\":true,\"more\":1"),
        ("# proof ", "# proof  "),
    ] {
        let other = seal.replacen(from, to, 1);
        assert_ne!(other, seal);
        let verdict = judge([before, &other].concat().as_bytes());
        assert!(
            !matches!(verdict, Verdict::Intact { .. }),
            "{other}: {verdict:?}"
        );
    }
}

#[test]
fn a_foreign_key_and_a_forged_signature_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::read(sealed(dir.path())).unwrap();
    let other = SealingKey::new(2).public();
    let verdict = verify_stream(&file[..], Some(&other), None).unwrap();
    assert!(
        matches!(verdict, Verdict::ForeignKey { ref expected, .. } if *expected == other.fingerprint()),
        "{verdict:?}"
    );

    let text = String::from_utf8(file).unwrap();
    let signatures: Vec<_> = text
        .match_indices("\"sig\":\"")
        .map(|(at, _)| &text[at + 7..at + 7 + 88])
        .collect();
    let swapped = text.replacen(signatures[0], signatures[1], 1);
    assert!(matches!(
        judge(swapped.as_bytes()),
        Verdict::BadSignature { proven: 0, .. }
    ));
}

/// The whole chain recomputed by somebody who has no key: only the signature can tell.
#[test]
fn a_recomputed_hash_does_not_help() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(sealed(dir.path())).unwrap();
    let altered = text.replacen("uid=0(root)", "uid=1(user)", 1);
    let end = altered.find("# head 1\n").unwrap() + 9;
    let hash = blake3::hash(&altered.as_bytes()[..end])
        .to_hex()
        .to_string();
    let at = altered.find("\"blake3\":\"").unwrap() + 10;
    let altered = [&altered[..at], &hash, &altered[at + 64..]].concat();
    assert!(matches!(
        judge(altered.as_bytes()),
        Verdict::BadSignature { proven: 0, .. }
    ));
}

#[test]
fn recordings_cannot_be_swapped() {
    let dir = tempfile::tempdir().unwrap();
    let path = sealed(dir.path());
    let elsewhere = path.with_file_name("01KAS2J5Y8AAAAAAAAAAAAAAAA.cast");
    fs::copy(&path, &elsewhere).unwrap();
    let verdict = verify(&elsewhere, None).unwrap();
    assert!(
        matches!(verdict, Verdict::Misfiled { ref session, .. } if session == bed::SESSION),
        "{verdict:?}"
    );
    let head = Head::new("01KAS2J5Y8AAAAAAAAAAAAAAAA".into(), 1, [0; 32]);
    assert!(matches!(
        verify_against(&path, None, &head).unwrap(),
        Verdict::Misfiled { .. }
    ));
}

/// An older, still genuine state of the file put in place of the sealed one.
#[test]
fn an_old_state_does_not_fit_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let key = SealingKey::new(1);
    let mut live = begin(dir.path(), &header(true));
    prove(&mut live, &key);
    let old = fs::read(live.path()).unwrap();
    live.output(Stream::Stdout, b"what somebody wants to hide");
    live.commit().unwrap();
    let (closed, head) = live.close("done").unwrap();
    seal(closed, &key);
    assert!(matches!(
        judge(&old),
        Verdict::Unsealed {
            reason: Unsealed::Crashed,
            unproven: 1..,
            ..
        }
    ));
    assert!(matches!(
        verify_stream(&old[..], Some(&key.public()), Some(&head)).unwrap(),
        Verdict::TruncatedAt { .. }
    ));
}

#[test]
fn unsealed_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let mut live = begin(dir.path(), &header(true));
    prove(&mut live, &SealingKey::new(1));
    let path = live.path().to_owned();
    let reason = || match verify(&path, None).unwrap() {
        Verdict::Unsealed {
            reason,
            proven: 1..,
            ..
        } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(), Unsealed::StillOpen);
    drop::<LiveRecording>(live);
    assert_eq!(reason(), Unsealed::Crashed);
    fs::remove_file(&path).unwrap();

    let mut live = begin(dir.path(), &header(true));
    prove(&mut live, &SealingKey::new(1));
    drop(live.close("the signer is away").unwrap());
    assert_eq!(reason(), Unsealed::NeverSealed);
}

/// A proof that is none is refused when it is made, not found years later.
#[test]
fn only_the_sealing_key_proves() {
    let dir = tempfile::tempdir().unwrap();
    let mut live = begin(dir.path(), &header(true));
    let head = live.head().unwrap();
    assert!(live.prove(&head, &[0; 64]).is_err());
    assert!(live.prove(&head, &SealingKey::new(2).sign(&head)).is_err());
    let foreign = Head::new(head.session().into(), head.offset(), *head.hash());
    assert!(
        live.prove(&foreign, &SealingKey::new(1).sign(&foreign))
            .is_err()
    );
    live.prove(&head, &SealingKey::new(1).sign(&head)).unwrap();
    let (closed, head) = live.close("done").unwrap();
    assert!(closed.seal(&SealingKey::new(2).sign(&head)).is_err());
}
