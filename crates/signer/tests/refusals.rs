//! What the signer must not sign, byte by byte, and the key files that it must not read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use ampgate_signer::{
    KeyRing, LoginProof, NotALogin, OctaviaKey, Request, SealMessage, SealingKey, SignerConfig,
    SignerError, answer, run,
};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

struct Keys {
    dir: tempfile::TempDir,
    ring: KeyRing,
    sealing: SealingKey,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = ["one", "two", "rsa", "sealing"]
        .iter()
        .map(|name| dir.path().join(name))
        .collect();
    for path in &paths {
        keygen(
            path,
            if path.ends_with("rsa") {
                "rsa"
            } else {
                "ed25519"
            },
            "",
        );
    }
    let (ring, sealing) = (
        KeyRing::read(&paths[..3]).unwrap(),
        SealingKey::read(&paths[3]).unwrap(),
    );
    Keys { dir, ring, sealing }
});

fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase, "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
}

fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes(), text].concat()
}

/// The fields of RFC 4252 §7, each replaceable.
#[derive(Clone)]
struct Login {
    session: Vec<u8>,
    message: u8,
    user: Vec<u8>,
    service: Vec<u8>,
    method: Vec<u8>,
    signed: u8,
    algorithm: Vec<u8>,
    key: Vec<u8>,
    after: Vec<u8>,
}

impl Login {
    fn good() -> Login {
        Login {
            session: vec![9; 32],
            message: 50,
            user: b"cloud-user".to_vec(),
            service: b"ssh-connection".to_vec(),
            method: b"publickey".to_vec(),
            signed: 1,
            algorithm: b"ssh-ed25519".to_vec(),
            key: KEYS.ring.iter().next().unwrap().blob().to_vec(),
            after: vec![],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let head = [
            string(&self.session),
            vec![self.message],
            string(&self.user),
            string(&self.service),
            string(&self.method),
        ];
        [
            head.concat(),
            vec![self.signed],
            string(&self.algorithm),
            string(&self.key),
            self.after.clone(),
        ]
        .concat()
    }
}

fn ask(message: &[u8]) -> Vec<u8> {
    let users = ["cloud-user".to_owned(), "ubuntu".to_owned()];
    let reply = answer(&KEYS.ring, &KEYS.sealing, &users, 0, message);
    assert_eq!(reply[..4], ((reply.len() - 4) as u32).to_be_bytes());
    reply[4..].to_vec()
}

fn sign(key: &[u8], data: &[u8], flags: u32) -> Vec<u8> {
    ask(&[
        vec![13],
        string(key),
        string(data),
        flags.to_be_bytes().to_vec(),
    ]
    .concat())
}

fn is_signed(key: &[u8], data: &[u8], flags: u32) -> bool {
    match sign(key, data, flags).as_slice() {
        [5] => false,
        [14, ..] => true,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_one_form_of_a_login_is_signed() {
    let good = Login::good();
    assert!(is_signed(&good.key, &good.bytes(), 0));
    let two = KEYS.ring.iter().nth(1).unwrap().blob().to_vec();
    let bad: Vec<(&str, Login)> = vec![
        (
            "another key in the data",
            Login {
                key: two.clone(),
                ..good.clone()
            },
        ),
        (
            "root is no login user",
            Login {
                user: b"root".to_vec(),
                ..good.clone()
            },
        ),
        (
            "a login user is compared whole",
            Login {
                user: b"cloud-user\0".to_vec(),
                ..good.clone()
            },
        ),
        (
            "no UTF-8",
            Login {
                user: b"cloud-user\xff".to_vec(),
                ..good.clone()
            },
        ),
        (
            "empty user",
            Login {
                user: vec![],
                ..good.clone()
            },
        ),
        (
            "another service",
            Login {
                service: b"ssh-userauth".to_vec(),
                ..good.clone()
            },
        ),
        (
            "host-bound",
            Login {
                method: b"publickey-hostbound-v00@openssh.com".to_vec(),
                ..good.clone()
            },
        ),
        (
            "hostbased",
            Login {
                method: b"hostbased".to_vec(),
                ..good.clone()
            },
        ),
        (
            "a probe",
            Login {
                signed: 0,
                ..good.clone()
            },
        ),
        (
            "a boolean that is none",
            Login {
                signed: 2,
                ..good.clone()
            },
        ),
        (
            "another message",
            Login {
                message: 51,
                ..good.clone()
            },
        ),
        (
            "another algorithm",
            Login {
                algorithm: b"ssh-rsa".to_vec(),
                ..good.clone()
            },
        ),
        (
            "a certificate's",
            Login {
                algorithm: b"ssh-ed25519-cert-v01@openssh.com".to_vec(),
                ..good.clone()
            },
        ),
        (
            "bytes after it",
            Login {
                after: vec![0],
                ..good.clone()
            },
        ),
        (
            "a host key after it",
            Login {
                after: string(&two),
                ..good.clone()
            },
        ),
        (
            "no session id",
            Login {
                session: vec![],
                ..good.clone()
            },
        ),
        (
            "a short session id",
            Login {
                session: vec![9; 31],
                ..good.clone()
            },
        ),
        (
            "a long session id",
            Login {
                session: vec![9; 65],
                ..good.clone()
            },
        ),
    ];
    for (what, login) in bad {
        assert!(!is_signed(&good.key, &login.bytes(), 0), "{what}");
    }
    assert!(
        !is_signed(&two, &good.bytes(), 0),
        "asked of another key than the data names"
    );
    assert!(!is_signed(b"no key", &good.bytes(), 0));
    let bytes = good.bytes();
    (0..bytes.len())
        .for_each(|cut| assert!(!is_signed(&good.key, &bytes[..cut], 0), "cut at {cut}"));
    assert_eq!(LoginProof::parse(b""), Err(NotALogin::Form));
    let sshsig = [
        b"SSHSIG".to_vec(),
        string(b"file"),
        string(b""),
        string(b"sha512"),
        string(&[0; 64]),
    ]
    .concat();
    assert!(!is_signed(&good.key, &sshsig, 0));
}

#[test]
fn rsa_signs_sha2_only_and_the_hash_that_is_asked_for() {
    let key = KEYS.ring.iter().nth(2).unwrap().blob().to_vec();
    let login = |algorithm: &str| {
        Login {
            algorithm: algorithm.into(),
            key: key.clone(),
            ..Login::good()
        }
        .bytes()
    };
    for (algorithm, flags, signed) in [
        ("rsa-sha2-256", 2, true),
        ("rsa-sha2-512", 4, true),
        ("rsa-sha2-512", 2, false),
        ("rsa-sha2-256", 0, false),
        ("rsa-sha2-256", 6, false),
        ("ssh-rsa", 0, false),
        ("ssh-rsa", 2, false),
        ("ssh-ed25519", 0, false),
    ] {
        assert_eq!(
            is_signed(&key, &login(algorithm), flags),
            signed,
            "{algorithm} {flags}"
        );
    }
}

#[test]
fn the_sealing_key_seals_heads_and_nothing_else_ever() {
    let seal =
        |message: &[u8]| ask(&[vec![27], string(b"seal@ampgate"), string(message)].concat())[0];
    let journal = [b"ampgate journal head v1\0".as_slice(), &[7; 40]].concat();
    let recording = [
        b"ampgate recording head v1\0".as_slice(),
        b"01JD9Q4T4Z0000000000000000",
        &[7; 40],
    ]
    .concat();
    for good in [&journal, &recording] {
        assert_eq!(seal(good), 29);
        (1..good.len()).for_each(|cut| assert_eq!(seal(&good[..cut]), 5, "cut at {cut}"));
        assert_eq!(seal(&[good.as_slice(), b"x"].concat()), 5);
        // Nor does an octavia key sign a head, nor the sealing key a login.
        assert!(!is_signed(KEYS.ring.iter().next().unwrap().blob(), good, 0));
    }
    assert_eq!(
        seal(
            &[
                b"ampgate recording head v1\0".as_slice(),
                b"01jd9q4t4z0000000000000000",
                &[7; 40]
            ]
            .concat()
        ),
        5
    );
    assert_eq!(
        seal(
            &[
                b"ampgate recording head v2\0".as_slice(),
                b"01JD9Q4T4Z0000000000000000",
                &[7; 40]
            ]
            .concat()
        ),
        5
    );
    assert_eq!(seal(&Login::good().bytes()), 5);
    let own = KEYS.sealing.blob();
    assert!(!is_signed(
        own,
        &Login {
            key: own.to_vec(),
            ..Login::good()
        }
        .bytes(),
        0
    ));
    let listed = ask(&[11]);
    assert!(!listed.windows(own.len()).any(|window| window == own));
    assert_eq!(listed[1..5], 3u32.to_be_bytes());
}

#[test]
fn everything_else_of_the_agent_protocol_fails() {
    // Adding, removing, locking, smartcards, protocol 1, unknown.
    for kind in (0..=255u8).filter(|kind| ![11, 13, 27].contains(kind)) {
        assert_eq!(ask(&[&[kind], [0; 64].as_slice()].concat()), [5], "{kind}");
        assert_eq!(ask(&[kind]), [5], "{kind}");
    }
    for name in ["query", "session-bind@openssh.com", "seal@ampgate2", ""] {
        assert_eq!(
            ask(&[vec![27], string(name.as_bytes()), string(b"x")].concat()),
            [5],
            "{name}"
        );
    }
    assert_eq!(ask(&[11, 0]), [5]);
    assert_eq!(ask(&[]), [5]);
}

fn refused(path: &Path) -> String {
    OctaviaKey::read(path).err().unwrap().to_string()
}

#[test]
fn key_files_that_are_not_safe_or_not_usable_are_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    keygen(&path, "ed25519", "");
    for (mode, fine) in [
        (0o600, true),
        (0o400, true),
        (0o640, false),
        (0o604, false),
        (0o660, false),
        (0o700, false),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(OctaviaKey::read(&path).is_ok(), fine, "{mode:o}");
    }
    assert!(refused(&path).contains("chmod 0600"));
    let locked = dir.path().join("locked");
    keygen(&locked, "ed25519", "a passphrase");
    assert!(refused(&locked).contains("encrypted with a passphrase, which is not supported yet"));
    let pem = dir.path().join("pem");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f"])
        .arg(&pem)
        .status()
        .unwrap();
    assert!(made.success());
    assert!(refused(&pem).contains("ssh-keygen -p"), "{}", refused(&pem));
    let small = dir.path().join("small");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "1024", "-N", "", "-f"])
        .arg(&small)
        .status()
        .unwrap();
    assert!(made.success());
    assert!(
        refused(&small).contains("2048 to 4096 bits"),
        "{}",
        refused(&small)
    );
    assert!(
        SealingKey::read(&KEYS.dir.path().join("rsa"))
            .err()
            .unwrap()
            .to_string()
            .contains("must be ed25519")
    );
    let one = KEYS.dir.path().join("one");
    assert!(
        KeyRing::read(&[&one, &one])
            .err()
            .unwrap()
            .to_string()
            .contains("in the ring already")
    );
    assert!(refused(&dir.path().join("none")).contains("cannot open"));
    assert!(refused(dir.path()).contains("no regular file"));
}

fn config(dir: &Path) -> SignerConfig {
    SignerConfig {
        socket: dir.join("run/sock"),
        socket_group: None,
        keys: vec![KEYS.dir.path().join("one")],
        sealing_key: KEYS.dir.path().join("sealing"),
        login_users: vec!["cloud-user".into()],
        allowed_uids: vec![0],
        exit_with_parent: false,
    }
}

#[test]
fn a_signer_that_would_not_be_safe_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let good = config(dir.path());
    let same = SignerConfig {
        sealing_key: KEYS.dir.path().join("one"),
        ..good.clone()
    };
    assert!(
        run(&same)
            .unwrap_err()
            .to_string()
            .contains("both an octavia key and the sealing key")
    );
    let nobody = SignerConfig {
        allowed_uids: vec![],
        ..good.clone()
    };
    assert!(matches!(run(&nobody), Err(SignerError::Config(_))));
    let run_dir = dir.path().join("run");
    fs::create_dir(&run_dir).unwrap();
    for mode in [0o777, 0o770, 0o755, 0o1777] {
        fs::set_permissions(&run_dir, fs::Permissions::from_mode(mode)).unwrap();
        assert!(
            matches!(run(&good), Err(SignerError::Directory { .. })),
            "{mode:o}"
        );
    }
    fs::set_permissions(&run_dir, fs::Permissions::from_mode(0o750)).unwrap();
    let taken = std::os::unix::net::UnixListener::bind(run_dir.join("sock")).unwrap();
    assert!(matches!(run(&good), Err(SignerError::InUse(_))));
    drop(taken);
    fs::remove_file(run_dir.join("sock")).unwrap();
    fs::write(run_dir.join("sock"), "a file").unwrap();
    assert!(run(&good).unwrap_err().to_string().contains("no socket"));
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(message: Vec<u8>, kind in prop::sample::select(vec![11u8, 13, 27])) {
        let _ = ask(&message);
        let _ = ask(&[vec![kind], message.clone()].concat());
        let _ = Request::parse(&message);
        let _ = LoginProof::parse(&message);
        let _ = SealMessage::parse(&message);
    }

    /// One changed bit of a good request: either still exactly a login with that key, or refused.
    #[test]
    fn a_flipped_bit_signs_nothing_unexpected(place: prop::sample::Index, bit in 0u8..8) {
        let good = Login::good();
        let mut data = good.bytes();
        let at = place.index(data.len());
        data[at] ^= 1 << bit;
        if is_signed(&good.key, &data, 0) {
            // Only the session id may differ: it is a hash, any bits are.
            prop_assert!((4..36).contains(&at), "byte {}", at);
        }
    }
}
