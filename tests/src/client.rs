//! In: a gateway and an operator. Out: plain OpenSSH in a home of its own, three ways to an amphora.
//! Never: a key for the amphora, an address or a question on the client's side, except on the direct way.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    amphorae::Entry,
    bed::{bed, new_key},
    gateway::Gateway,
    outcome::{Outcome, run},
};

/// How the client reaches the amphora.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Plain ssh with the octavia key, as operators do today: what the other two are compared with.
    Direct,
    /// `ssh -J gateway LANDING@amphora-…`
    Jump,
    /// `ssh LANDING+amphora-…@gateway`
    Syntax,
}

/// The landing asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Land {
    /// None asked for: policy's default.
    Default,
    /// `cloud-user@`
    Plain,
    /// `root@`
    Root,
    /// `netns@`
    Netns,
}

impl Land {
    /// The three that can be asked for.
    pub const ASKED: [Land; 3] = [Land::Plain, Land::Root, Land::Netns];
    fn user(self, operator: &str) -> &str {
        match self {
            Land::Default => operator,
            Land::Plain => "cloud-user",
            Land::Root => "root",
            Land::Netns => "netns",
        }
    }
}

/// An operator's home: an ssh_config, the known_hosts line, the operator's key.
#[derive(Debug)]
pub struct Client {
    home: tempfile::TempDir,
    operator: String,
    /// The program that types for the operator, if they have no key.
    asked: Option<PathBuf>,
}

impl Client {
    /// `operator` of `gateway`, whose private key is `key`.
    pub fn new(gateway: &Gateway, operator: &str, key: &Path) -> Client {
        let client = Client::direct_only();
        let home = client.home.path();
        fs::write(home.join("known_hosts"), gateway.known_hosts()).unwrap();
        let config = format!(
            "Host gateway\n  HostName 127.0.0.1\n  Port {port}\n  HostKeyAlias gateway\n  User {operator}\n  IdentityFile {key}\n\
             Host amphora-* lb-*\n  User {operator}\n{rest}",
            port = gateway.port,
            key = key.display(),
            rest = fs::read_to_string(home.join("config")).unwrap(),
        );
        fs::write(home.join("config"), config).unwrap();
        Client {
            operator: operator.to_owned(),
            ..client
        }
    }

    /// `operator` of `gateway`, who has no key, and types `password` and `code` when asked for them, once each.
    pub fn by_password(gateway: &Gateway, operator: &str, password: &str, code: &str) -> Client {
        let none = Path::new("none");
        let mut client = Client::new(gateway, operator, none);
        client.file("password", password);
        client.file("code", code);
        let home = client.home().to_owned();
        let types = client.file(
            "types",
            format!(
                "#!/bin/sh\necho \"$1\" >> {home}/prompts\ncase \"$1\" in *Verification*) cat {home}/code;; *) cat {home}/password;; esac\n",
                home = home.display()
            ),
        );
        fs::set_permissions(&types, fs::Permissions::from_mode(0o700)).unwrap();
        let config = fs::read_to_string(client.config()).unwrap();
        let typed =
            "Host *\n  BatchMode no\n  PubkeyAuthentication no\n  NumberOfPasswordPrompts 1\n";
        fs::write(client.config(), format!("{typed}{config}")).unwrap();
        client.asked = Some(types);
        client
    }

    /// What was asked of the operator, a line each.
    pub fn prompts(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.home().join("prompts")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }

    /// One that knows no gateway.
    pub fn direct_only() -> Client {
        let home = tempfile::Builder::new()
            .prefix("ampgate-home-")
            .tempdir()
            .unwrap();
        let config = format!(
            "Host 172.24.*\n  User cloud-user\n  IdentityFile {octavia}\n  StrictHostKeyChecking no\n  UserKnownHostsFile {home}/known_direct\n\
             Host *\n  BatchMode yes\n  StrictHostKeyChecking yes\n  IdentitiesOnly yes\n  IdentityFile none\n  UserKnownHostsFile {home}/known_hosts\n  \
             GlobalKnownHostsFile /dev/null\n  LogLevel ERROR\n  SendEnv LANG LC_*\n  UpdateHostKeys no\n  ControlPath {home}/mux-%C\n",
            octavia = bed().octavia_key().display(),
            home = home.path().display(),
        );
        fs::write(home.path().join("config"), config).unwrap();
        fs::write(home.path().join("known_hosts"), "").unwrap();
        Client {
            home,
            operator: "cloud-user".to_owned(),
            asked: None,
        }
    }

    /// Home directory: for files of a case.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A file in the home, made with this content.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The ssh_config.
    pub fn config(&self) -> PathBuf {
        self.home.path().join("config")
    }

    /// Options and host for any program of the OpenSSH family: `[-F config] [-J gateway]`, `user@host`.
    pub fn way(&self, via: Via, land: Land, amphora: &Entry) -> (Vec<String>, String) {
        let mut options = vec!["-F".to_owned(), self.config().display().to_string()];
        let host = match via {
            Via::Direct => {
                if amphora.port != 22 {
                    options.push(format!("-oPort={}", amphora.port));
                }
                format!("cloud-user@{}", amphora.address)
            }
            Via::Jump => {
                options.extend(["-J".to_owned(), "gateway".to_owned()]);
                format!("{}@{}", land.user(&self.operator), amphora.target())
            }
            Via::Syntax => match land {
                Land::Default => format!("{}@gateway", amphora.target()),
                land => format!("{}+{}@gateway", land.user(""), amphora.target()),
            },
        };
        (options, host)
    }

    /// A program in the controller's namespace, with this home and a bare environment.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = bed().command(program);
        command
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", self.home.path())
            .env("USER", "operator")
            .env("TERM", "xterm-256color")
            .current_dir(self.home.path());
        if let Some(types) = &self.asked {
            command
                .env("SSH_ASKPASS", types)
                .env("SSH_ASKPASS_REQUIRE", "force");
        }
        command
    }

    /// `ssh OPTIONS… HOST`: the caller adds the remote command.
    pub fn ssh(&self, via: Via, land: Land, amphora: &Entry, options: &[&str]) -> Command {
        let (way, host) = self.way(via, land, amphora);
        let mut command = self.command("ssh");
        command.args(way).args(options).arg("--").arg(host);
        command
    }

    /// Runs `shell` on the amphora, without a terminal.
    pub fn exec(
        &self,
        via: Via,
        land: Land,
        amphora: &Entry,
        shell: &str,
        stdin: &[u8],
    ) -> Outcome {
        let mut command = self.ssh(via, land, amphora, &[]);
        command.arg(shell);
        run(command, stdin)
    }

    /// A key of its own for an operator, in this home.
    pub fn new_key(&self, name: &str) -> PathBuf {
        let path = self.home.path().join(name);
        new_key(&path);
        path
    }
}
