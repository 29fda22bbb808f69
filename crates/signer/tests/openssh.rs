//! The signer as a process of its own, against OpenSSH's own programs: ssh-add, ssh, sshd, ssh-keygen.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use ampgate_signer::{SealClient, SealError, SignerConfig, run};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const KINDS: [(&str, &str); 6] = [
    ("ed25519", "256"),
    ("ecdsa", "256"),
    ("ecdsa", "384"),
    ("ecdsa", "521"),
    ("rsa", "2048"),
    ("rsa", "4096"),
];
const DIR: &str = "AMPGATE_TEST_SIGNER_DIR";
const UIDS: &str = "AMPGATE_TEST_SIGNER_UIDS";

/// Not a test but the signer's process: this program runs itself with that name.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else {
        return;
    };
    let uids = std::env::var(UIDS).unwrap();
    let failed = run(&SignerConfig {
        socket: dir.join("run/signer.sock"),
        socket_group: None,
        keys: KINDS
            .iter()
            .map(|(kind, bits)| dir.join(format!("{kind}{bits}")))
            .collect(),
        sealing_key: dir.join("sealing"),
        login_users: vec!["root".into(), "cloud-user".into()],
        allowed_uids: uids.split(',').map(|uid| uid.parse().unwrap()).collect(),
        exit_with_parent: false,
    });
    failed.unwrap();
}

struct Signer {
    dir: tempfile::TempDir,
    process: Child,
}

impl Signer {
    fn start(uids: &str) -> Signer {
        let dir = tempfile::tempdir().unwrap();
        for (kind, bits) in KINDS {
            keygen(&dir.path().join(format!("{kind}{bits}")), kind, bits);
        }
        keygen(&dir.path().join("sealing"), "ed25519", "256");
        let process = spawn(dir.path(), uids);
        Signer { dir, process }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("run/signer.sock")
    }

    fn stop(&mut self) {
        let id = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(
            self.process.wait().unwrap().success(),
            "SIGTERM is a good end"
        );
        assert!(!self.socket().exists());
    }

    fn with_agent(&self, program: &str, args: &[&str]) -> Output {
        Command::new(program)
            .args(args)
            .env("SSH_AUTH_SOCK", self.socket())
            .env("SSH_ASKPASS_REQUIRE", "never")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(dir: &Path, uids: &str) -> Child {
    let process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIR, dir)
        .env(UIDS, uids)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // As long as it takes: a test that waits for ever is a failed test all the same.
    while !dir.join("run/signer.sock").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    process
}

fn keygen(path: &Path, kind: &str, bits: &str) {
    let args = [
        "-q",
        "-t",
        kind,
        "-b",
        bits,
        "-N",
        "",
        "-C",
        "somebody@somewhere",
        "-f",
    ];
    assert!(
        Command::new("ssh-keygen")
            .args(args)
            .arg(path)
            .status()
            .unwrap()
            .success()
    );
}

fn fingerprint(key: &Path) -> String {
    let shown = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(key)
        .output()
        .unwrap()
        .stdout;
    String::from_utf8(shown)
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .to_owned()
}

fn me() -> String {
    rustix::process::getuid().as_raw().to_string()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn ssh_add_lists_the_ring_without_the_sealing_key_and_can_change_nothing() {
    let signer = Signer::start(&me());
    let listed = signer.with_agent("ssh-add", &["-l", "-E", "sha256"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.lines().count(), KINDS.len(), "{listed}");
    for (kind, bits) in KINDS {
        let key = signer.dir.path().join(format!("{kind}{bits}"));
        assert!(
            listed.contains(&format!(" {} {kind}{bits} ", fingerprint(&key))),
            "{listed}"
        );
    }
    let sealing = signer.dir.path().join("sealing");
    assert!(!listed.contains(&fingerprint(&sealing)));
    assert!(
        !listed.contains("somebody"),
        "comments inside key files may name people"
    );
    for change in [
        vec!["-D"],
        vec!["-d", signer.dir.path().join("ed25519256").to_str().unwrap()],
        vec![sealing.to_str().unwrap()],
    ] {
        assert!(
            !signer.with_agent("ssh-add", &change).status.success(),
            "{change:?}"
        );
    }
    let again = String::from_utf8(signer.with_agent("ssh-add", &["-l"]).stdout).unwrap();
    assert_eq!(again.lines().count(), KINDS.len());
}

#[test]
fn signing_a_file_is_refused_with_every_key() {
    let signer = Signer::start(&me());
    let file = signer.dir.path().join("file");
    fs::write(&file, "I owe you").unwrap();
    for key in ["ed25519256", "ecdsa256", "rsa2048", "sealing"] {
        let public = signer.dir.path().join(format!("{key}.pub"));
        let private = signer.dir.path().join(key);
        // Without the private key beside it, ssh-keygen must ask the agent.
        let hidden = signer.dir.path().join("hidden");
        fs::rename(&private, &hidden).unwrap();
        let args = [
            "-Y",
            "sign",
            "-n",
            "file",
            "-f",
            public.to_str().unwrap(),
            file.to_str().unwrap(),
        ];
        let signed = signer.with_agent("ssh-keygen", &args);
        fs::rename(&hidden, &private).unwrap();
        let said = String::from_utf8_lossy(&signed.stderr).into_owned();
        // The sealing key is not even listed, so nobody can ask for it.
        let why = if key == "sealing" {
            "No private key found"
        } else {
            "agent refused operation"
        };
        assert!(
            !signed.status.success() && said.contains(why),
            "{key}: {said}"
        );
        assert!(!file.with_extension("sig").exists());
    }
}

#[test]
fn another_user_is_not_served() {
    let signer = Signer::start("54321");
    let listed = signer.with_agent("ssh-add", &["-l"]);
    assert!(!listed.status.success());
    assert!(listed.stdout.is_empty());
}

/// A real login by OpenSSH with every kind of key, and the logins that must not be signed.
#[test]
fn openssh_logs_in_with_every_kind_of_key() {
    if !rustix::process::getuid().is_root() || !Path::new("/usr/sbin/sshd").exists() {
        return;
    }
    let signer = Signer::start(&me());
    let dir = signer.dir.path();
    let sshd = Sshd::start(dir);
    for (kind, bits) in KINDS {
        let said = sshd.login(
            &signer,
            "root",
            &format!("{kind}{bits}"),
            "PubkeyAuthentication=unbound",
        );
        assert_eq!(
            String::from_utf8_lossy(&said.stdout),
            "in\n",
            "{kind}{bits}: {}",
            String::from_utf8_lossy(&said.stderr)
        );
    }
    let wrong = [
        ("nobody", "ed25519256", "PubkeyAuthentication=unbound"),
        // Host-bound requests name a host key that the signer does not look at: another method, not signed.
        ("root", "ed25519256", "PubkeyAuthentication=host-bound"),
        ("root", "sealing", "PubkeyAuthentication=unbound"),
    ];
    for (user, key, option) in wrong {
        let said = sshd.login(&signer, user, key, option);
        let stderr = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(
            said.stdout.is_empty() && stderr.contains("Permission denied"),
            "{user} {key} {option}: {stderr}"
        );
    }
}

struct Sshd {
    process: Child,
    port: u16,
}

impl Sshd {
    fn start(dir: &Path) -> Sshd {
        fs::create_dir_all("/run/sshd").unwrap();
        keygen(&dir.join("host"), "ed25519", "256");
        let public = |name: &str| fs::read_to_string(dir.join(format!("{name}.pub"))).unwrap();
        let keys: String = KINDS
            .iter()
            .map(|(kind, bits)| public(&format!("{kind}{bits}")))
            .collect();
        fs::write(dir.join("authorized"), keys + &public("sealing")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nPidFile none\nUsePAM no\n\
             StrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n",
            dir.display()
        );
        fs::write(dir.join("sshd_config"), config).unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        let process = command
            .args(["-D", "-e", "-f"])
            .arg(dir.join("sshd_config"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Sshd { process, port }
    }

    fn login(&self, signer: &Signer, user: &str, key: &str, option: &str) -> Output {
        let (dir, port) = (signer.dir.path(), self.port.to_string());
        // Only the public half may be where ssh looks.
        let public = dir.join("public");
        fs::create_dir_all(&public).unwrap();
        fs::copy(
            dir.join(format!("{key}.pub")),
            public.join(format!("{key}.pub")),
        )
        .unwrap();
        let identity = format!("IdentityFile={}/{key}.pub", public.display());
        let socket = format!("IdentityAgent={}", signer.socket().display());
        let mut args = vec!["-F", "none", "-n", "-p", &port, "-l", user];
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            option,
            &identity,
            &socket,
        ] {
            args.extend(["-o", option]);
        }
        args.extend(["127.0.0.1", "echo in"]);
        Command::new("ssh").args(args).output().unwrap()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn journal_head() -> Vec<u8> {
    [b"ampgate journal head v1\0".as_slice(), &[7; 40]].concat()
}

#[test]
fn heads_are_sealed_also_after_a_restart_but_not_by_another_key() {
    let mut signer = Signer::start(&me());
    runtime().block_on(async {
        let client = SealClient::connect(&signer.socket()).await.unwrap();
        let recording = [
            b"ampgate recording head v1\0".as_slice(),
            b"01JD9Q4T4Z0000000000000000",
            &[0; 8],
            &[1; 32],
        ]
        .concat();
        for message in [journal_head(), recording] {
            // The client verifies; here it is verified once more, by itself.
            let seal = client.seal(&message).await.unwrap();
            let key = ring::signature::UnparsedPublicKey::new(
                &ring::signature::ED25519,
                client.sealing_public_key(),
            );
            assert!(key.verify(&message, &seal).is_ok());
        }
        for message in [
            b"anything".to_vec(),
            [journal_head(), vec![0]].concat(),
            vec![0; 300_000],
        ] {
            assert!(client.seal(&message).await.is_err());
        }
        assert!(matches!(
            client.seal(b"anything").await,
            Err(SealError::Refused)
        ));
        assert!(
            client.seal(&journal_head()).await.is_ok(),
            "a refusal costs nothing later"
        );
        signer.stop();
        assert!(matches!(
            client.seal(&journal_head()).await,
            Err(SealError::Io { .. })
        ));
        signer.process = spawn(signer.dir.path(), &me());
        assert!(client.seal(&journal_head()).await.is_ok());
        signer.stop();
        fs::remove_file(signer.dir.path().join("sealing")).unwrap();
        keygen(&signer.dir.path().join("sealing"), "ed25519", "256");
        signer.process = spawn(signer.dir.path(), &me());
        assert!(matches!(
            client.seal(&journal_head()).await,
            Err(SealError::OtherKey)
        ));
    });
}

#[test]
fn a_signer_that_never_answers_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let _silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
    runtime().block_on(async {
        assert!(matches!(
            SealClient::connect(&path).await,
            Err(SealError::Deadline)
        ));
    });
}

/// 300 stuck connections do not keep another one from being served.
#[test]
fn stuck_connections_stop_nobody() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    let signer = Signer::start(&me());
    let mut first = UnixStream::connect(signer.socket()).unwrap();
    first
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let listed = |stream: &mut UnixStream| {
        let mut length = [0; 4];
        stream
            .write_all(&[0, 0, 0, 1, 11])
            .and_then(|()| stream.read_exact(&mut length))
            .unwrap();
        let mut reply = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut reply).unwrap();
        reply[0] == 12
    };
    assert!(listed(&mut first));
    let stuck: Vec<UnixStream> = (0..300)
        .map(|n| {
            let mut stream = UnixStream::connect(signer.socket()).unwrap();
            // Promises a quarter of a megabyte and sends none; over the limit of connections it is closed: no error here.
            let _ = stream.write_all(if n % 2 == 0 { &[0, 4, 0, 0] } else { &[0] });
            stream
        })
        .collect();
    assert!(listed(&mut first));
    // A message over the limit ends the connection, at once: no answer, and the end of the stream.
    first.write_all(&[0xff; 4]).unwrap();
    assert_eq!(first.read(&mut [0; 1]).unwrap(), 0);
    drop(stuck);
}

#[test]
fn the_socket_and_its_directory_have_safe_modes() {
    let signer = Signer::start(&me());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&signer.socket()), 0o660);
    assert_eq!(mode(signer.socket().parent().unwrap()), 0o700);
    let status = fs::read_to_string(format!("/proc/{}/limits", signer.process.id())).unwrap();
    assert!(
        status
            .lines()
            .any(|line| line.starts_with("Max core file size") && line.contains(" 0 ")),
        "{status}"
    );
}
