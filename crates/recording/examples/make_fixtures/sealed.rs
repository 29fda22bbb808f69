//! In: a directory. Out: `sealed` and `quorum`, the identities that open them, and one damaged file per fault.
//! Never: an identity that opens anything else: they are in the project, for everybody to know.

use std::{fs, path::Path, sync::Arc};

use age::{secrecy::ExposeSecret, x25519};
use ampgate_recording::{Exit, LiveRecording, Recipients, Store, Stream};

use crate::{end, header, prove};

const SESSION: &str = "01KAS2J5Y80000000000000004";

pub fn make(dir: &Path, work: &Path) {
    let auditors: Vec<_> = ["auditor-1.age", "auditor-2.age"]
        .into_iter()
        .map(|name| {
            let identity = x25519::Identity::generate();
            let public = identity.to_public().to_string();
            let secret = identity.to_string();
            let text = format!(
                "# for the fixtures only\n# public key: {public}\n{}\n",
                secret.expose_secret()
            );
            fs::write(dir.join(name), text).unwrap();
            public
        })
        .collect();
    let one = begin(&work.join("one"), SESSION, &auditors[..1], 1);
    let one = filled(one, 1);
    fs::write(dir.join("sealed.sealed"), &one).unwrap();
    let quorum = begin(
        &work.join("two"),
        "01KAS2J5Y80000000000000005",
        &auditors,
        1,
    );
    fs::write(dir.join("quorum.sealed"), filled(quorum, 1)).unwrap();
    let other = filled(begin(&work.join("other"), SESSION, &auditors[..1], 1), 1);
    let resigned = filled(begin(&work.join("resigned"), SESSION, &auditors[..1], 2), 2);
    for (name, file) in damage(&one, &other, resigned) {
        let path = dir.join("damaged").join(name).with_extension("sealed");
        fs::write(path, file).unwrap();
    }
}

/// The seed is that of the key in the first line.
fn begin(dir: &Path, session: &str, auditors: &[String], seed: u8) -> LiveRecording {
    let store = Store::open(dir, 0).unwrap().sealed_to(Some(Arc::new(
        Recipients::new(auditors, auditors.len()).unwrap(),
    )));
    let mut header = header(session);
    header.sealing_key = crate::key(seed).1;
    LiveRecording::open(&store, &header).unwrap()
}

/// Frames 2 to 4 and a proof, a long frame that was compressed and a proof, the ending.
fn filled(mut live: LiveRecording, seed: u8) -> Vec<u8> {
    for words in [
        "# id\r\n",
        "uid=0(root) gid=0(root)\r\n",
        "caf\u{e9} \u{d55c}\u{ae00}\r\n",
    ] {
        live.output(Stream::Stdout, words.as_bytes());
        live.flush().unwrap();
    }
    prove(&mut live, seed);
    for n in 0..200 {
        live.output(
            Stream::Stdout,
            format!("line {n} of a log that repeats itself\r\n").as_bytes(),
        );
    }
    prove(&mut live, seed);
    live.exit(&Exit::Status(0));
    end(live, seed, "the program ended with status 0")
}

/// One file per fault, seen without any identity.
fn damage(file: &[u8], other: &[u8], resigned: Vec<u8>) -> Vec<(&'static str, Vec<u8>)> {
    let (all, foreign) = (records(file), records(other));
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut all = all.clone();
        change(&mut all);
        all.concat()
    };
    let until = |records: usize| all[..records].concat();
    let last = all.len() - 1;
    vec![
        ("altered_sealed_bit", with(&|all| all[3][40] ^= 4)),
        ("altered_sealed_frames_swapped", with(&|all| all.swap(2, 3))),
        (
            "altered_sealed_frame_replayed",
            with(&|all| all.insert(4, all[2].clone())),
        ),
        (
            "altered_sealed_frame_removed",
            with(&|all| drop(all.remove(3))),
        ),
        (
            "altered_sealed_frame_of_another",
            with(&|all| all[3].clone_from(&foreign[3])),
        ),
        (
            "altered_sealed_frame_impossible",
            with(&|all| all[3][13] ^= 0x80),
        ),
        (
            "altered_sealed_first_line",
            with(&|all| all[0].clone_from(&foreign[0])),
        ),
        (
            "altered_sealed_line_added",
            with(&|all| all.insert(3, b"[0.1,\"o\",\"forged\"]\n".to_vec())),
        ),
        (
            "altered_sealed_frame_after_the_end",
            with(&|all| all.push(all[2].clone())),
        ),
        ("truncated_sealed_in_frame", {
            let mut cut = until(4);
            cut.truncate(cut.len() - 3);
            cut
        }),
        ("truncated_sealed_in_head", {
            let mut cut = until(3);
            cut.extend(&all[3][..11]);
            cut
        }),
        ("truncated_sealed_first_line", all[0][..80].to_vec()),
        ("unsealed_sealed_crashed", until(8)),
        ("unsealed_sealed_never_sealed", until(last)),
        ("foreign_key_sealed", resigned),
    ]
}

fn records(file: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut rest = file;
    while let Some(first) = rest.first() {
        let length = if *first < 3 {
            15 + 17 + usize::from(u16::from_be_bytes(rest[13..15].try_into().unwrap()))
        } else {
            rest.iter().position(|b| *b == b'\n').unwrap() + 1
        };
        records.push(rest[..length].to_vec());
        rest = &rest[length..];
    }
    records
}
