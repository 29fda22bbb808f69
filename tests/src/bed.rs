//! In: the script tests/bed/amphora. Out: three running amphorae, once per test program.
//! Never: left behind: when this process ends, however it ends, the script takes the bed down.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use crate::{
    amphorae::{A, B, BARE, Entry},
    outcome::{Outcome, run},
};

/// The running bed.
#[derive(Debug)]
pub struct Bed {
    name: String,
    dir: PathBuf,
    files: tempfile::TempDir,
    // Its standard input is the leash: it ends with us, and the script takes everything down.
    _holder: Child,
}

/// The bed of this process, brought up on first use.
pub fn bed() -> &'static Bed {
    static BED: OnceLock<Bed> = OnceLock::new();
    BED.get_or_init(Bed::up)
}

/// Directory of the project.
pub fn project() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A file of the bed: `script("terminal.py")`.
pub fn script(name: &str) -> PathBuf {
    project().join("tests/bed").join(name)
}

/// A program that `make setup` installed, by its name or by its path below the tools.
pub fn tool(name: &str) -> PathBuf {
    let base = std::env::var_os("AMPGATE_TOOLS")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            PathBuf::from(std::env::var_os("HOME").expect("HOME")).join(".cache/ampgate-tools")
        });
    ["venv/bin", "bin", ""]
        .iter()
        .map(|d| base.join(d).join(name))
        .find(|p| p.exists())
        .unwrap_or_else(|| {
            panic!(
                "{name} is not installed under {}: run `make setup`",
                base.display()
            )
        })
}

impl Bed {
    fn up() -> Bed {
        // One bed per checkout (or the one that is asked for), so that a run after a crash finds and removes what the crash left.
        let name = std::env::var("AMPHORA_BED")
            .unwrap_or_else(|_| format!("amt{:04x}", checksum(&project().canonicalize().unwrap())));
        let dir = PathBuf::from(format!("/tmp/amphora-bed-{name}"));
        let files = tempfile::Builder::new()
            .prefix("ampgate-bed-")
            .tempdir()
            .unwrap();
        new_key(&files.path().join("octavia"));
        let mut holder = Command::new("setsid")
            .arg(script("amphora"))
            .arg("hold")
            .arg(files.path().join("octavia.pub"))
            .args([line(&A, "full"), line(&B, "full"), line(&BARE, "bare")])
            .env("AMPHORA_BED", &name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert_eq!(
            said, "ready\n",
            "the bed did not come up: see above; it needs root and `make setup`"
        );
        Bed {
            name,
            dir,
            files,
            _holder: holder,
        }
    }

    /// Private key that opens the amphorae; the public one is beside it with `.pub`.
    pub fn octavia_key(&self) -> PathBuf {
        self.files.path().join("octavia")
    }

    /// A new directory that the bed removes at its end.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Name of the controller's network namespace.
    pub fn namespace(&self) -> String {
        format!("{}-ctl", self.name)
    }

    /// `program` in the controller's network namespace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace()])
            .arg(program);
        command
    }

    /// A script inside an amphora, as its root.
    pub fn inside(&self, amphora: &Entry, shell: &str) -> Outcome {
        let mut command = Command::new(script("amphora"));
        command
            .args(["enter", amphora.id, "bash", "-c", shell])
            .env("AMPHORA_BED", &self.name);
        run(command, b"")
    }

    /// A plain sshd on the controller, on 127.0.0.1, that the octavia key opens for the user `hop`. Gives its host key.
    pub fn jump_host(&self, port: u16) -> String {
        let mut up = Command::new(script("amphora"));
        up.args(["jump", &port.to_string()])
            .arg(self.files.path().join("octavia.pub"))
            .env("AMPHORA_BED", &self.name);
        run(up, b"").good();
        let mut scan = self.command("ssh-keyscan");
        scan.args(["-t", "ed25519", "-p", &port.to_string(), "127.0.0.1"]);
        let line = run(scan, b"").good().out();
        let key = line
            .lines()
            .find_map(|line| line.split_once(" ssh-ed25519 "));
        format!("ssh-ed25519 {}", key.expect("a host key").1.trim())
    }

    /// What the sshd on port 22 of an amphora has logged since the bed is up.
    pub fn sshd_log(&self, amphora: &Entry) -> String {
        fs::read_to_string(self.dir.join(amphora.id).join("log")).unwrap_or_default()
    }
}

fn line(e: &Entry, kind: &str) -> String {
    format!("{},{},{},10.10.10.50,{kind}", e.id, e.address, e.lb.0)
}

/// A fresh Ed25519 key pair in OpenSSH's form.
pub fn new_key(path: &Path) {
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path);
    run(command, b"").good();
}

fn checksum(path: &Path) -> u16 {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0x5eed, |sum, b| {
            (sum ^ u16::from(*b)).wrapping_mul(0x101).rotate_left(3)
        })
}
