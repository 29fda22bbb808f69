//! In: good and damaged recordings, journals and stores. Out: each kind of damage by its own exit status.
//! Never: status 0 for anything that is not wholly intact.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod bed;

use std::{
    fs,
    path::{Path, PathBuf},
};

use ampgate_audit::{Event, Journal, LineHash};
use ampgate_recording::{Header, LiveRecording, PublicKey, Reader, Store, Stream};
use bed::{fixtures, run};
use jiff::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair};

const BEGIN: i64 = 1_763_000_000_000;

fn status(args: &[&str]) -> i32 {
    run(&[&["verify"], args].concat()).0
}

/// The document's table, for every file of the format's own fixtures.
#[test]
fn each_fixture_has_its_status() {
    let key = fixtures().join("sealing.pub");
    let verify = |path: &Path| {
        run(&[
            "verify",
            "--key",
            key.to_str().unwrap(),
            path.to_str().unwrap(),
        ])
    };
    for good in ["minimal", "full", "odd"] {
        let (code, out, _) = verify(&fixtures().join(good).with_extension("cast"));
        assert!(
            code == 0 && out.contains(": intact ("),
            "{good}: {code} {out}"
        );
    }
    let kinds = [
        ("altered", 21, "altered at"),
        ("truncated", 17, "truncated at"),
        ("unsealed", 12, "unsealed: "),
        ("bad_signature", 19, "bad signature"),
        ("foreign_key", 18, "foreign key"),
        ("no_recording", 13, "not a recording"),
    ];
    for entry in fs::read_dir(fixtures().join("damaged")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (_, code, word) = kinds
            .iter()
            .find(|(kind, ..)| name.starts_with(kind))
            .unwrap();
        let (got, out, _) = verify(&path);
        assert_eq!(got, *code, "{name}: {out}");
        assert!(out.contains(word), "{name}: {out}");
    }
    assert_eq!(status(&["/nonexistent"]), 14);
    assert_eq!(status(&[]), 2);
}

/// Of many the worst; intact ones are counted, the others named.
#[test]
fn a_directory_names_what_is_not_intact() {
    let dir = fixtures();
    let (code, out, _) = run(&["verify", dir.to_str().unwrap()]);
    assert_eq!(code, 21);
    assert!(
        !out.contains("full.cast") && out.contains("altered_bit_in_output.cast: altered at"),
        "{out}"
    );
    assert!(
        out.lines()
            .last()
            .unwrap()
            .contains("recordings: 5 intact, "),
        "{out}"
    );
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(status(&[empty.path().to_str().unwrap()]), 13);
}

/// Which key counts, and what is said without one.
#[test]
fn the_key_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let day = dir.path().join("recordings/2025/11/23");
    fs::create_dir_all(&day).unwrap();
    let path = day.join("full.cast");
    fs::copy(fixtures().join("full.cast"), &path).unwrap();
    let path = path.to_str().unwrap();
    let (code, out, _) = run(&["verify", path]);
    assert_eq!(code, 11);
    assert!(
        out.contains("checked only against the key that the file names itself"),
        "{out}"
    );
    let (code, out, err) = run(&["verify", "--any-key", path]);
    assert!(
        code == 0 && out.contains("by its own key") && err.contains("no sealing key"),
        "{out}{err}"
    );
    fs::create_dir(dir.path().join("keys")).unwrap();
    let key = dir.path().join("keys/sealing.pub");
    fs::copy(fixtures().join("sealing.pub"), &key).unwrap();
    for place in [path, dir.path().join("recordings").to_str().unwrap()] {
        let (code, _, err) = run(&["verify", place]);
        assert!(code == 0 && err.contains("keys/sealing.pub"), "{err}");
    }
    // Another key; then both, as after a change of keys; then by the environment.
    let other = dir.path().join("other.pub");
    fs::write(&other, Ed25519(9).public().to_openssh()).unwrap();
    let (key, other) = (key.to_str().unwrap(), other.to_str().unwrap());
    assert_eq!(status(&["--key", other, path]), 18);
    assert_eq!(status(&["--key", other, "--key", key, path]), 0);
    let done = bed::replay(&["verify", path])
        .env("AMPGATE_SEALING_KEY", other)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(18));
    for (bad, says) in [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "private"),
        ("", "no key"),
        ("ssh-rsa AAAA", "another kind"),
    ] {
        fs::write(other, bad).unwrap();
        let (code, _, err) = run(&["verify", "--key", other, path]);
        assert!(code == 1 && err.contains(says), "{err}");
    }
}

struct Ed25519(u8);

impl Ed25519 {
    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[self.0; 32]).unwrap()
    }

    fn public(&self) -> PublicKey {
        PublicKey::from_raw(self.pair().public_key().as_ref().try_into().unwrap())
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair().sign(message).as_ref().try_into().unwrap()
    }
}

/// A gateway's directory with journal and store, as after some sessions.
struct Gateway {
    dir: tempfile::TempDir,
    key: Ed25519,
    journal: Journal,
    header: Header,
}

impl Gateway {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = Ed25519(3);
        fs::create_dir(dir.path().join("keys")).unwrap();
        fs::write(
            dir.path().join("keys/sealing.pub"),
            key.public().to_openssh(),
        )
        .unwrap();
        let journal = Journal::open(&dir.path().join("journal")).unwrap();
        let header = Reader::open_path(fixtures().join("full.cast"))
            .unwrap()
            .header()
            .clone();
        let header = Header {
            sealing_key: key.public(),
            ..header
        };
        let gateway = Self {
            dir,
            key,
            journal,
            header,
        };
        gateway.append(
            0,
            None,
            &Event::GatewayStopped {
                reason: "test".into(),
                sessions_cut: 0,
            },
        );
        gateway
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("recordings")
    }

    fn append(&self, n: i64, session: Option<&str>, event: &Event) {
        self.journal
            .append_at(
                Timestamp::from_millisecond(BEGIN + n * 1000).unwrap(),
                session,
                event,
            )
            .unwrap();
    }

    /// A session, recorded and told of; `closed` or left as a dead gateway leaves it.
    fn session(&self, n: i64, closed: bool) -> PathBuf {
        let id = ulid(BEGIN + n * 1000);
        let header = Header {
            session: id.clone(),
            ..self.header.clone()
        };
        let mut live =
            LiveRecording::open(&Store::open(self.store(), 0).unwrap(), &header).unwrap();
        let path = self.path(&id);
        let recording = path
            .strip_prefix(self.store())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        self.append(
            n,
            Some(&id),
            &Event::RecordingOpened {
                about: Box::default(),
                recording: recording.as_str().into(),
            },
        );
        live.output(Stream::Stdout, format!("session {n}\r\n").as_bytes());
        live.commit().unwrap();
        if !closed {
            return path;
        }
        let (ended, head) = live.close("the program ended").unwrap();
        let signature = self.key.sign(&head.message());
        ended.seal(&signature).unwrap();
        let event = Event::RecordingClosed {
            recording: recording.into(),
            head: LineHash(*head.hash()).to_string().into(),
            offset: head.offset(),
            recorded: 11,
            relayed: 11,
            sealed: true,
            sealing_key: None,
        };
        self.append(n, Some(&id), &event);
        path
    }

    fn path(&self, id: &str) -> PathBuf {
        Store::open(self.store(), 0).unwrap().path_of(id).unwrap()
    }

    fn verify(&self, more: &[&str]) -> (i32, String) {
        let (journal, store) = (
            self.journal.dir().to_str().unwrap().to_owned(),
            self.store().to_str().unwrap().to_owned(),
        );
        let (code, out, err) =
            run(&[&["verify", "--journal", &journal, "--store", &store], more].concat());
        (code, out + &err)
    }
}

fn ulid(millis: i64) -> String {
    let digits = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut id: Vec<u8> = (0..10)
        .rev()
        .map(|n| digits[(millis >> (5 * n)) as usize & 31])
        .collect();
    id.extend(b"0000000000000000");
    String::from_utf8(id).unwrap()
}

/// Row 15: delete one, swap two, replay an old one, cut the tail, put one in.
#[test]
fn the_journal_knows_the_store() {
    let gateway = Gateway::new();
    let (first, second, third) = (
        gateway.session(1, true),
        gateway.session(2, true),
        gateway.session(3, true),
    );
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let (code, out) = gateway.verify(&[]);
    assert!(
        code == 0 && out.contains("3 recordings: 3 intact") && out.contains("head 7:"),
        "{out}"
    );
    // In the other ways of saying it.
    let (journal, store) = (gateway.journal.dir().to_str().unwrap(), gateway.store());
    let store = store.to_str().unwrap();
    assert_eq!(status(&["--journal", journal, store]), 0);
    assert_eq!(status(&[journal, "--store", store]), 0);
    assert_eq!(status(&[journal]), 0);

    let aside = gateway.dir.path().join("aside");
    fs::rename(&second, &aside).unwrap();
    let (code, out) = gateway.verify(&[]);
    assert!(
        code == 16 && out.contains(&name(&second)) && out.contains("missing: "),
        "{out}"
    );

    fs::copy(&first, &second).unwrap();
    let (code, out) = gateway.verify(&[]);
    assert!(
        code == 20 && out.contains("misfiled"),
        "an old one in its place: {out}"
    );
    fs::rename(&aside, &second).unwrap();

    let whole = fs::read_to_string(&third).unwrap();
    let cut = whole.rfind("# end").unwrap();
    fs::write(&third, &whole[..cut]).unwrap();
    let (code, out) = gateway.verify(&[]);
    assert!(
        code == 17 && out.contains("truncated at"),
        "a cut at a line's end: {out}"
    );
    assert_eq!(
        status(&[third.to_str().unwrap()]),
        12,
        "which the file alone cannot tell from a crash"
    );
    fs::write(&third, &whole).unwrap();

    let planted = gateway.path(&ulid(BEGIN + 2500));
    fs::copy(&third, &planted).unwrap();
    let (code, out) = gateway.verify(&[]);
    assert!(code == 15 && out.contains("never heard"), "{out}");
    fs::remove_file(&planted).unwrap();
    assert_eq!(gateway.verify(&[]).0, 0);
}

#[test]
fn sessions_without_an_end_are_named() {
    let gateway = Gateway::new();
    gateway.session(1, true);
    let dead = gateway.session(2, false);
    let (code, out) = gateway.verify(&[]);
    assert!(code == 12 && out.contains("unsealed"), "{out}");
    fs::remove_file(dead).unwrap();
    let (code, out) = gateway.verify(&[]);
    assert!(code == 16 && out.contains("it was opened"), "{out}");
}

#[test]
fn the_journal_itself() {
    let gateway = Gateway::new();
    gateway.session(1, true);
    gateway.session(2, true);
    let head = gateway.journal.head().to_string();
    assert_eq!(gateway.verify(&["--anchor", &head]).0, 0);
    let segment = fs::read_dir(gateway.journal.dir())
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "jsonl"))
        .unwrap();
    let whole = fs::read_to_string(&segment).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    // The end is cut off: only the anchor shows it; the recording is then one too many.
    fs::write(&segment, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    let (code, out) = gateway.verify(&["--anchor", &head]);
    assert!(code == 22 && out.contains("truncated"), "{out}");
    fs::write(&segment, whole.replacen("\"test\"", "\"tset\"", 1)).unwrap();
    let (code, out) = gateway.verify(&[]);
    assert!(code == 22 && out.contains("altered"), "{out}");
    // A path that leads out of the store is not followed.
    fs::write(
        &segment,
        whole.replace("\"recording\":\"2025/", "\"recording\":\"../../2025/"),
    )
    .unwrap();
    let (code, out) = gateway.verify(&[]);
    assert!(code == 22 && out.contains("no path in a store"), "{out}");
    assert_eq!(gateway.verify(&["--anchor", "x"]).0, 2);
}

/// What a start set aside is looked at, for as long as the journal tells of it.
#[test]
fn what_a_start_set_aside_is_looked_at() {
    for (seconds, altered) in [(1, false), (60, true)] {
        let gateway = Gateway::new();
        gateway.session(1, true);
        gateway.session(2, true);
        gateway.session(2 + seconds, true);
        let Gateway { dir, journal, .. } = gateway;
        let dir = dir.path().join("journal");
        drop(journal);
        let named = |prefix: &str| {
            let mut all = fs::read_dir(&dir)
                .unwrap()
                .map(|entry| entry.unwrap().path());
            all.find(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with(prefix)
            })
            .unwrap()
        };
        let verify = || {
            let (code, out, err) = run(&["verify", "--journal", dir.to_str().unwrap()]);
            (code, out + &err)
        };
        // A zero in the first line of session 2.
        let segment = named("journal-2");
        let mut bytes = fs::read(&segment).unwrap();
        let lines: Vec<_> = bytes.split_inclusive(|b| *b == b'\n').collect();
        let at = lines[..lines.len() - 4].concat().len();
        bytes[at + 5] = 0;
        fs::write(&segment, &bytes).unwrap();
        let (code, out) = verify();
        assert_eq!(
            (code, out.contains("zeros")),
            if altered { (22, true) } else { (12, false) },
            "{out}"
        );
        // The gateway starts, and tells.
        drop(Journal::open(&dir).unwrap());
        let (code, out) = verify();
        assert_eq!(code, if altered { 22 } else { 0 }, "{out}");
        assert!(out.contains("set aside"), "{out}");
        let kept = named("torn-journal-");
        let torn = fs::read(&kept).unwrap();
        fs::write(&kept, &torn[1..]).unwrap();
        let (code, out) = verify();
        assert!(code == 21 && out.contains("altered"), "{out}");
        fs::remove_file(&kept).unwrap();
        let (code, out) = verify();
        assert!(code == 16 && out.contains("missing"), "{out}");
    }
}

/// A crash of last month must not hide the forgery of last night: what was looked at is known, as long as it stays as it was.
#[test]
fn what_was_looked_at_is_known_until_it_changes() {
    let gateway = Gateway::new();
    gateway.session(1, true);
    let crashed = gateway.session(2, false);
    let cut = gateway.session(3, true);
    let whole = fs::read(&cut).unwrap();
    fs::write(&cut, &whole[..whole.len() - 20]).unwrap();
    let (code, lines) = gateway.verify(&["--print-known"]);
    assert_eq!(code, 17);
    let lines: String = lines
        .lines()
        .filter(|line| line.contains(" # "))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let known = gateway.dir.path().join("known");
    fs::write(
        &known,
        format!("# looked at on Monday: the power went\n{lines}"),
    )
    .unwrap();
    let known = known.to_str().unwrap();
    let (code, out) = gateway.verify(&["--known", known]);
    assert!(code == 0 && out.contains("2 known"), "{out}");
    assert!(
        out.contains("known: truncated") && out.contains("known: unsealed"),
        "{out}"
    );
    // One byte more, or less, and it is what it is. A hash by itself, or under another name, accepts nothing.
    let unsealed = fs::read(&crashed).unwrap();
    fs::write(&crashed, [&unsealed[..], b"x"].concat()).unwrap();
    assert_eq!(
        gateway.verify(&["--known", known]).0,
        17,
        "cut in a line now"
    );
    fs::write(&crashed, &unsealed).unwrap();
    assert_eq!(gateway.verify(&["--known", known]).0, 0);
    fs::write(known, lines.replace("cast #", "cas #")).unwrap();
    assert_eq!(gateway.verify(&["--known", known]).0, 17);
    for wrong in ["0123 x.cast", "x.cast", &format!("{} a b", "0".repeat(64))] {
        fs::write(known, wrong).unwrap();
        let (code, out) = gateway.verify(&["--known", known]);
        assert!(code == 1 && out.contains("known:1"), "{out}");
    }
}
