//! In: what a test wants different. Out: a running gateway in a directory of its own, made by `ampgate init`.
//! Never: shared with another test unless it is the one of `gateway()`.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    amphorae,
    bed::{bed, new_key},
    client::Client,
    outcome::{Outcome, run, until},
};

/// Policy of the tests: alice may all, bob only what is plain on `web`, carol nothing, dave runs commands only,
/// erin only sftp, frank is known to nobody.
pub const POLICY: &str = r#"
permit (principal in Group::"admins", action, resource);
permit (principal == User::"bob", action, resource in LoadBalancer::"5e1a1ba0-7c2e-4a64-9c3d-0f3b6b1c7a01")
  when { context.landing == Landing::"plain" };
permit (principal == User::"dave", action in [Action::"connect", Action::"exec"], resource);
permit (principal == User::"erin", action in [Action::"connect", Action::"sftp"], resource);
"#;

/// Operators of the tests, with their groups.
pub const OPERATORS: [(&str, &[&str]); 5] = [
    ("alice", &["admins"]),
    ("bob", &["operators"]),
    ("carol", &["operators"]),
    ("dave", &[]),
    ("erin", &[]),
];

/// Users of every machine, for the gateway and for the signer: the gateway does not run as root.
const USER: &str = "nobody";
const SIGNER_USER: &str = "daemon";

/// What a test may change before the gateway starts.
#[derive(Debug)]
pub struct Setup {
    /// Directory made by `ampgate init`.
    pub dir: PathBuf,
    /// `policy.cedar`
    pub policy: String,
    /// `inventory.toml`
    pub inventory: String,
    /// `users.toml`
    pub users: String,
    recordings: PathBuf,
    settings: BTreeMap<String, Vec<String>>,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// A line of a section of ampgate.toml; the section "" is the top.
    pub fn set(&mut self, section: &str, line: &str) {
        let lines = self.settings.entry(section.to_owned()).or_default();
        let key = |l: &str| l.split('=').next().unwrap_or_default().trim().to_owned();
        lines.retain(|l| key(l) != key(line));
        lines.push(line.to_owned());
    }
    /// The octavia key behind so many newer ones, which no amphora knows.
    pub fn key_ring(&mut self, strangers: usize) {
        let mut keys = Vec::new();
        for n in 0..strangers {
            let path = self.dir.join(format!("stranger-{n}"));
            new_key(&path);
            give(&path, &self.dir.join("octavia"));
            keys.push(path.display().to_string());
        }
        keys.push(self.dir.join("octavia").display().to_string());
        self.set("signer", &format!("keys = {keys:?}"));
    }
    /// Recordings in another place than the gateway's own directory.
    pub fn recordings(&mut self, dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        give(dir, &self.dir.join("recordings"));
        self.set(
            "recording",
            &format!("directory = {:?}", dir.display().to_string()),
        );
        self.recordings = dir.to_owned();
    }
    /// A variable of the gateway's environment.
    pub fn env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }
    fn toml(&self) -> String {
        let mut text = String::new();
        for (section, lines) in &self.settings {
            if !section.is_empty() {
                text += &format!("[{section}]\n");
            }
            text += &(lines.join("\n") + "\n");
        }
        text
    }
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// Its directory.
    pub dir: PathBuf,
    /// Port on 127.0.0.1 in the controller's namespace.
    pub port: u16,
    child: Child,
    keys: BTreeMap<String, PathBuf>,
    recordings: PathBuf,
}

/// The gateway that tests share which change nothing.
pub fn gateway() -> &'static Gateway {
    static SHARED: OnceLock<Gateway> = OnceLock::new();
    SHARED.get_or_init(|| Gateway::start(|_| {}))
}

/// A program under test, from where this test was built, or from $AMPGATE_BIN. It lies in the bed, because the
/// directory of the project may be one that only its owner may enter, and the gateway runs as somebody else.
pub fn program(name: &str) -> PathBuf {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    let place = PLACE.get_or_init(|| {
        let here = std::env::current_exe().unwrap();
        let built = std::env::var_os("AMPGATE_BIN").map_or_else(
            || here.parent().unwrap().parent().unwrap().to_owned(),
            PathBuf::from,
        );
        let place = bed().directory("bin");
        for name in ["ampgate", "ampgate-replay"] {
            let (from, to) = (built.join(name), place.join(name));
            assert!(
                from.exists(),
                "{} is not built: run `make build`",
                from.display()
            );
            fs::copy(&from, &to).unwrap();
        }
        place
    });
    place.join(name)
}

/// `ampgate-replay ARGS…`
pub fn replay(args: &[&str]) -> Outcome {
    let mut command = Command::new(program("ampgate-replay"));
    command.args(args);
    run(command, b"")
}

impl Gateway {
    /// Makes a directory, lets `change` edit what is in it, starts the gateway and waits until it listens.
    pub fn start(change: impl FnOnce(&mut Setup)) -> Gateway {
        let (setup, keys, port) = Gateway::prepare(change);
        let dir = setup.dir.clone();
        let child = Gateway::spawn(&dir, &setup.environment);
        let mut gateway = Gateway {
            dir,
            port,
            child,
            keys,
            recordings: setup.recordings,
        };
        gateway.wait();
        gateway
    }

    /// Everything but the start: the directory, the operators' keys, the port.
    pub fn prepare(change: impl FnOnce(&mut Setup)) -> (Setup, BTreeMap<String, PathBuf>, u16) {
        static NEXT: AtomicU16 = AtomicU16::new(2222);
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = bed().directory("gateways").join(port.to_string());
        let mut init = Command::new(program("ampgate"));
        init.arg("init")
            .arg(&dir)
            .args(["--user", USER, "--signer-user", SIGNER_USER]);
        run(init, b"").good();
        let octavia = dir.join("octavia");
        fs::copy(bed().octavia_key(), &octavia).unwrap();
        give(&octavia, &dir.join("keys/sealing"));
        let keys: BTreeMap<_, _> = OPERATORS
            .iter()
            .map(|(name, _)| {
                let path = dir.join(format!("operator-{name}"));
                new_key(&path);
                ((*name).to_owned(), path)
            })
            .collect();
        let mut setup = Setup {
            policy: POLICY.to_owned(),
            inventory: amphorae::inventory(&amphorae::ALL),
            users: users(&keys),
            recordings: dir.join("recordings"),
            settings: BTreeMap::new(),
            environment: Vec::new(),
            dir,
        };
        setup.set("", &format!("listen = [\"127.0.0.1:{port}\"]"));
        setup.set(
            "signer",
            &format!("keys = [{:?}]", octavia.display().to_string()),
        );
        setup.set("process", &format!("user = {USER:?}"));
        setup.set("process", &format!("signer_user = {SIGNER_USER:?}"));
        setup.set("recording", "reserve = \"1MiB\"");
        setup.set(
            "upstream",
            "login_users = [\"cloud-user\", \"nosudo\", \"noshell\"]",
        );
        change(&mut setup);
        setup.write();
        (setup, keys, port)
    }

    fn spawn(dir: &Path, environment: &[(String, String)]) -> Child {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join("log"))
            .unwrap();
        bed()
            .command(program("ampgate"))
            .arg("serve")
            .arg("--config")
            .arg(dir.join("ampgate.toml"))
            .envs(environment.iter().map(|(n, v)| (n, v)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn wait(&mut self) {
        let port = self.port;
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the gateway ended at once ({status}):\n{}", self.log());
            }
            let mut probe = bed().command("bash");
            probe.args(["-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{port}")]);
            if run(probe, b"").code == Some(0) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("the gateway does not listen:\n{}", self.log());
    }

    /// The same directory and port again, after an end.
    pub fn restart(&mut self) {
        self.child = Gateway::spawn(&self.dir, &[]);
        self.wait();
    }

    /// A client for one of the operators.
    pub fn client(&self, operator: &str) -> Client {
        Client::new(self, operator, &self.keys[operator])
    }

    /// Private key of an operator.
    pub fn key(&self, operator: &str) -> &Path {
        &self.keys[operator]
    }

    /// The lines that a client must know: the gateway, and all amphorae behind it.
    pub fn known_hosts(&self) -> String {
        let key = |name: &str| {
            let mut command = Command::new("ssh-keygen");
            command
                .args(["-y", "-f"])
                .arg(self.dir.join("keys").join(name));
            run(command, b"").good().out()
        };
        format!(
            "gateway {}amphora-*,lb-* {}",
            key("host_ed25519"),
            key("inner_ed25519")
        )
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Process id of the program that was started: it looks after the two others.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Process id of its part that talks to strangers: a child of the one that was started.
    pub fn relay(&self) -> Pid {
        let children = format!("/proc/{0}/task/{0}/children", self.pid().as_raw_nonzero());
        let relay = |pid: &&str| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains("--relay"))
        };
        let children = fs::read_to_string(children).unwrap();
        let pid = children
            .split_whitespace()
            .find(relay)
            .unwrap_or_else(|| panic!("no relay among {children:?}"));
        Pid::from_raw(pid.parse().unwrap()).unwrap()
    }

    /// kill -9 of the part that talks to strangers; the rest ends with it.
    pub fn kill(&mut self) {
        kill_process(self.relay(), Signal::KILL).unwrap();
        self.ended();
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> std::process::ExitStatus {
        until("the gateway ended", Duration::from_secs(60), || {
            self.child.try_wait().unwrap().is_some()
        });
        self.child.wait().unwrap()
    }

    /// `ampgate ARGS… --config …`
    pub fn ampgate(&self, args: &[&str]) -> Outcome {
        let mut command = bed().command(program("ampgate"));
        command
            .args(args)
            .arg("--config")
            .arg(self.dir.join("ampgate.toml"));
        run(command, b"")
    }

    /// The same, to be run on a terminal.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = bed().command(program("ampgate"));
        command
            .args(args)
            .arg("--config")
            .arg(self.dir.join("ampgate.toml"))
            .env("TERM", "xterm-256color")
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Sessions that the gateway reports, newest first.
    pub fn sessions(&self, args: &[&str]) -> Vec<Value> {
        let answer = self
            .ampgate(&[&["sessions", "--json"], args].concat())
            .good();
        serde_json::from_str(&answer.out()).unwrap()
    }

    /// Waits until no session lives, as after everybody left.
    #[track_caller]
    pub fn quiet(&self) {
        let mut left = Vec::new();
        for _ in 0..600 {
            left = self.sessions(&["--live"]);
            if left.is_empty() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("sessions live on: {left:#?}\n{}", self.log());
    }

    /// Where recordings are.
    pub fn recordings(&self) -> PathBuf {
        self.recordings.clone()
    }

    /// All events of the journal, oldest first.
    pub fn journal(&self) -> Vec<Value> {
        let mut files = files_below(&self.dir.join("state/journal"));
        files.sort();
        files
            .iter()
            .flat_map(|f| {
                BufReader::new(fs::File::open(f).unwrap())
                    .lines()
                    .map_while(Result::ok)
                    .collect::<Vec<_>>()
            })
            .filter_map(|line| serde_json::from_str(&line).ok())
            .collect()
    }
}

impl Setup {
    /// Writes the four files.
    pub fn write(&self) {
        for (name, text) in [
            ("ampgate.toml", &self.toml()),
            ("policy.cedar", &self.policy),
            ("inventory.toml", &self.inventory),
            ("users.toml", &self.users),
        ] {
            fs::write(self.dir.join(name), text).unwrap();
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if !thread::panicking() {
            fs::remove_dir_all(&self.dir).ok();
        }
    }
}

/// `users.toml` of the tests.
pub fn users(keys: &BTreeMap<String, PathBuf>) -> String {
    let one = |(name, groups): &(&str, &[&str])| {
        let key = fs::read_to_string(keys[*name].with_extension("pub")).unwrap();
        format!(
            "[[user]]\nname = {name:?}\ngroups = {groups:?}\nkeys = [{:?}]\n\n",
            key.trim()
        )
    };
    OPERATORS.iter().map(one).collect()
}

/// Gives `path` to the owner of `like`.
pub fn give(path: &Path, like: &Path) {
    use std::os::unix::fs::{MetadataExt, chown};
    let owner = fs::metadata(like).unwrap();
    chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

/// Every file below a directory.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            all.extend(files_below(&entry.path()));
        } else {
            all.push(entry.path());
        }
    }
    all
}
