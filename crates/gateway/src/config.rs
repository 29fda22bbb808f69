//! In: `ampgate.toml`. Out: `Config`, every setting with its default, or every fault of the file at once.
//! Never: reads another file, opens a socket, or takes a key it does not know.

mod anchor;
mod archive;
pub mod hostkeys;
mod keystone;
mod octavia;
mod reach;
mod recording;
mod units;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ampgate_access::table::{self, Faults, Table};
use ampgate_access::{Amphora, Fault, LoginUser};
use ampgate_inventory::Settings;

pub use anchor::Anchors;
pub use archive::Archive;
use hostkeys::Hostkeys;
pub use keystone::Keystone;
pub use reach::{Reach, Via};
pub use recording::{Input, Recording};
use units::{duration, list, number, path};
pub use units::{show_duration, show_room, show_size};

/// The whole configuration, meant form. Paths are absolute or relative to where the program runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    pub listen: Vec<SocketAddr>,
    /// What operators call this gateway; printed by `ampgate ssh-config`, in recordings and in the journal.
    pub name: String,
    pub policy: PathBuf,
    pub users: PathBuf,
    /// The static inventory.
    pub inventory: PathBuf,
    /// Octavia, where it is asked for amphorae.
    pub octavia: Option<Settings>,
    /// Where operators' passwords are checked, if they are.
    pub keystone: Option<Keystone>,
    pub host_keys: HostKeys,
    pub hostkeys: Hostkeys,
    pub process: Process,
    pub signer: Signer,
    pub recording: Recording,
    pub state: PathBuf,
    /// Where the journal's signed head is left, if anywhere.
    pub anchors: Option<Anchors>,
    pub control: Control,
    pub watch: Watch,
    pub limits: Limits,
    pub upstream: Upstream,
    /// How some amphorae are reached; the others directly, as the host routes.
    pub reach: Vec<Reach>,
    pub log: Log,
    /// The object store, if there is one.
    pub archive: Option<Archive>,
}

/// The gateway's own host keys, as OpenSSH private key files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostKeys {
    /// What the gateway itself shows.
    pub outer: PathBuf,
    /// What every target shows behind `-J`: one `known_hosts` line covers them all.
    pub inner: PathBuf,
}

/// Who the two processes run as when `serve` is started by root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    pub user: Option<String>,
    pub signer_user: Option<String>,
}

/// The process that holds the octavia key ring and the sealing key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signer {
    pub socket: PathBuf,
    /// Started by `serve`; false where a unit of its own runs it.
    pub start: bool,
    /// The octavia key ring, newest first.
    pub keys: Vec<PathBuf>,
    pub sealing_key: PathBuf,
    /// Another ssh-agent for the octavia keys (an HSM, say); seals still come from the signer.
    pub agent: Option<PathBuf>,
}

/// The local socket of the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Control {
    pub socket: PathBuf,
    /// Users, by name or number, who may list and end sessions; root and the gateway's own user always may.
    pub admins: Vec<String>,
}

/// Watching live sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watch {
    /// The operator is told who watches.
    pub tell: bool,
}

/// Bounds on what strangers may take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    pub connections: usize,
    pub unauthenticated: usize,
    pub connections_per_source: usize,
    pub unauthenticated_per_source: usize,
    pub channels_per_connection: usize,
    pub login_grace: Duration,
    pub drain: Duration,
}

/// The leg to the amphora.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upstream {
    pub connect_timeout: Duration,
    /// Users that amphora images may log in as; the signer signs for no other.
    pub login_users: Vec<LoginUser>,
    /// Environment variables passed on; `*` at the end matches any rest.
    pub environment: Vec<String>,
    /// A silent peer is asked after this long, and given up after three unanswered questions.
    pub keepalive: Duration,
    /// Keys tried on one connection; sshd's own MaxAuthTries is 6.
    pub max_keys: usize,
}

/// What the developer's log looks like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    pub json: bool,
    /// A `tracing` filter such as "info" or "info,ampgate=debug".
    pub level: String,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Config {
    /// Reads the text of `file`; relative paths count from `file`'s directory.
    ///
    /// # Errors
    /// All faults of the text, each with line, column and caret.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Vec<Fault>> {
        let base = file.parent().unwrap_or(Path::new(""));
        let shown = file.display().to_string();
        let faults = Faults::new(&shown, text);
        let document = table::parse(text, &faults);
        let top = Table::root(&document, &faults);

        let listen = list(&top, "listen", |t| {
            t.parse::<SocketAddr>().map_err(|_| {
                format!("\"{t}\" is no address and port, as in \"0.0.0.0:2222\" or \"[::]:2222\"")
            })
        });
        // `inventory = "file"` as well as [inventory] file = "file": Octavia's section cannot stand below a text.
        let (inventory, octavia) = match top.is_table("inventory") {
            false => (path(&top, "inventory", "inventory.toml", base), None),
            true => {
                let s = top.section("inventory");
                let file = path(&s, "file", "inventory.toml", base);
                let octavia = s.has("octavia").then(|| s.section("octavia"));
                let octavia = octavia.and_then(|section| octavia::read(section, base));
                s.end();
                (file, octavia)
            }
        };
        // Whether there is such a section, not whether it is good: each fault is told of once.
        let asks_octavia = top.is_table("inventory") && top.section("inventory").has("octavia");
        let mut config = Self {
            hostkeys: hostkeys::read(top.section("hostkeys"), asks_octavia),
            octavia,
            keystone: top
                .has("keystone")
                .then(|| top.section("keystone"))
                .and_then(|section| keystone::read(section, base)),
            reach: Vec::new(),
            archive: None,
            listen: listen.unwrap_or_else(|| vec![SocketAddr::from(([0, 0, 0, 0], 2222))]),
            name: top
                .parsed_if_there("name", host_name)
                .unwrap_or_else(|| "gateway".to_owned()),
            policy: path(&top, "policy", "policy.cedar", base),
            users: path(&top, "users", "users.toml", base),
            inventory,
            state: path(&top, "state", "state", base),
            anchors: top
                .has("anchor")
                .then(|| top.section("anchor"))
                .and_then(|section| anchor::read(section, base)),
            host_keys: {
                let s = top.section("host_keys");
                let value = HostKeys {
                    outer: path(&s, "outer", "keys/host_ed25519", base),
                    inner: path(&s, "inner", "keys/inner_ed25519", base),
                };
                for key in ["mode", "timeout"] {
                    if let Some(at) = s.string(key) {
                        let message = format!(
                            "`{key}` is about the amphorae's host keys: it belongs to [hostkeys], written as one word"
                        );
                        s.fault(at.span, message);
                    }
                }
                s.end();
                value
            },
            process: {
                let s = top.section("process");
                let value = Process {
                    user: s.parsed_if_there("user", unix_user),
                    signer_user: s.parsed_if_there("signer_user", unix_user),
                };
                s.end();
                value
            },
            signer: {
                let s = top.section("signer");
                let value = Signer {
                    socket: path(&s, "socket", "run/signer/signer.sock", base),
                    start: s.boolean("start").unwrap_or(true),
                    keys: list(&s, "keys", |t| Ok(base.join(t))).unwrap_or_default(),
                    sealing_key: path(&s, "sealing_key", "keys/sealing", base),
                    agent: s.string("agent").map(|at| base.join(at.value)),
                };
                s.end();
                value
            },
            recording: recording::read(top.section("recording"), base),
            control: {
                let s = top.section("control");
                let value = Control {
                    socket: path(&s, "socket", "run/control.sock", base),
                    admins: list(&s, "admins", unix_user).unwrap_or_default(),
                };
                s.end();
                value
            },
            watch: {
                let s = top.section("watch");
                let value = Watch {
                    tell: s.boolean("tell").unwrap_or(true),
                };
                s.end();
                value
            },
            limits: {
                let s = top.section("limits");
                let value = Limits {
                    connections: number(&s, "connections", 4096, 1..=1_000_000),
                    unauthenticated: number(&s, "unauthenticated", 1024, 1..=1_000_000),
                    connections_per_source: number(
                        &s,
                        "connections_per_source",
                        1024,
                        1..=1_000_000,
                    ),
                    unauthenticated_per_source: number(
                        &s,
                        "unauthenticated_per_source",
                        256,
                        1..=1_000_000,
                    ),
                    channels_per_connection: number(&s, "channels_per_connection", 128, 1..=10_000),
                    login_grace: duration(
                        &s,
                        "login_grace",
                        Duration::from_secs(30),
                        Duration::from_millis(100)..=Duration::from_secs(600),
                    ),
                    drain: duration(&s, "drain", Duration::from_secs(30), Duration::ZERO..=DAY),
                };
                s.end();
                value
            },
            upstream: {
                let s = top.section("upstream");
                let value = Upstream {
                    connect_timeout: duration(
                        &s,
                        "connect_timeout",
                        Duration::from_secs(10),
                        Duration::from_millis(100)..=Duration::from_secs(300),
                    ),
                    login_users: list(&s, "login_users", |t| {
                        LoginUser::parse(t).map_err(|e| e.to_string())
                    })
                    .unwrap_or_else(default_login_users),
                    environment: list(&s, "environment", variable_pattern)
                        .unwrap_or_else(|| vec!["LANG".to_owned(), "LC_*".to_owned()]),
                    keepalive: duration(
                        &s,
                        "keepalive",
                        Duration::from_secs(30),
                        Duration::from_secs(1)..=DAY,
                    ),
                    max_keys: number(&s, "max_keys", 5, 1..=20),
                };
                s.end();
                value
            },
            log: {
                let s = top.section("log");
                let json = s.parsed_if_there("format", |t| match t {
                    "json" => Ok(true),
                    "human" => Ok(false),
                    _ => Err(format!("\"{t}\" is neither \"human\" nor \"json\"")),
                });
                let level = s.parsed_if_there("level", |t| {
                    tracing_subscriber::EnvFilter::try_new(t)
                        .map(|_| t.to_owned())
                        .map_err(|_| format!("\"{t}\" is no log filter; try \"info\""))
                });
                let value = Log {
                    json: json.unwrap_or(false),
                    level: level.unwrap_or_else(|| "info".to_owned()),
                };
                s.end();
                value
            },
        };
        config.reach = reach::read(&top, &config.upstream.login_users);
        if top.has("archive") {
            config.archive = archive::read(top.section("archive"), base, &config.name);
        }
        top.end();
        config.listen.dedup();
        let config = faults.finish(config)?;
        // Only now: a list whose entries are all wrong has been told of.
        if config.listen.is_empty() {
            let help = Some("listen = [\"0.0.0.0:2222\"]".to_owned());
            let message = "`listen` is empty: nobody could connect";
            return Err(vec![Fault::at(&shown, text, 0..0, message, help)]);
        }
        let keypairs = config.keystone.as_ref().is_some_and(|k| k.keypairs);
        if keypairs && config.octavia.is_none() {
            let help = Some("its credential is what Nova is asked with".to_owned());
            let message = "[keystone] keypairs = true needs [inventory.octavia]";
            return Err(vec![Fault::at(&shown, text, 0..0, message, help)]);
        }
        let unsigned = config.octavia.as_ref().and_then(|octavia| {
            let mut users = octavia.logins.values().chain([&octavia.login_user]);
            users.find(|user| !config.upstream.login_users.contains(user))
        });
        if let Some(user) = unsigned {
            let help = Some(format!("add {user:?} to login_users in [upstream]"));
            let message =
                format!("[inventory.octavia] logs in as {user}, for whom the signer does not sign");
            return Err(vec![Fault::at(&shown, text, 0..0, message, help)]);
        }
        Ok(config)
    }

    /// The configuration as it is in force, in the same language: reading this text again gives the same value.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        let quoted = |values: &[String]| {
            let inner: Vec<String> = values.iter().map(|v| format!("{v:?}")).collect();
            format!("[{}]", inner.join(", "))
        };
        let texts = |values: &mut dyn Iterator<Item = String>| quoted(&values.collect::<Vec<_>>());
        let path = |p: &Path| format!("{:?}", p.display().to_string());
        let _ = writeln!(
            out,
            "listen = {}",
            texts(&mut self.listen.iter().map(ToString::to_string))
        );
        let _ = writeln!(
            out,
            "name = {:?}\npolicy = {}\nusers = {}\nstate = {}\n\n[inventory]\nfile = {}",
            self.name,
            path(&self.policy),
            path(&self.users),
            path(&self.state),
            path(&self.inventory)
        );
        if let Some(octavia) = &self.octavia {
            octavia::show(octavia, &mut out);
        }
        if let Some(keystone) = &self.keystone {
            keystone::show(keystone, &mut out);
        }
        let _ = writeln!(
            out,
            "\n[host_keys]\nouter = {}\ninner = {}",
            path(&self.host_keys.outer),
            path(&self.host_keys.inner)
        );
        hostkeys::show(&self.hostkeys, &mut out);
        let _ = writeln!(out, "\n[process]");
        for (key, user) in [
            ("user", &self.process.user),
            ("signer_user", &self.process.signer_user),
        ] {
            if let Some(user) = user {
                let _ = writeln!(out, "{key} = {user:?}");
            }
        }
        let s = &self.signer;
        let _ = writeln!(
            out,
            "\n[signer]\nsocket = {}\nstart = {}\nkeys = {}\nsealing_key = {}",
            path(&s.socket),
            s.start,
            texts(&mut s.keys.iter().map(|p| p.display().to_string())),
            path(&s.sealing_key)
        );
        if let Some(agent) = &s.agent {
            let _ = writeln!(out, "agent = {}", path(agent));
        }
        recording::show(&self.recording, &mut out);
        if let Some(anchors) = &self.anchors {
            anchor::show(anchors, &mut out);
        }
        let _ = writeln!(
            out,
            "\n[control]\nsocket = {}\nadmins = {}",
            path(&self.control.socket),
            quoted(&self.control.admins)
        );
        let _ = writeln!(out, "\n[watch]\ntell = {}", self.watch.tell);
        let l = &self.limits;
        let _ = writeln!(
            out,
            "\n[limits]\nconnections = {}\nunauthenticated = {}\nconnections_per_source = {}\nunauthenticated_per_source = {}\nchannels_per_connection = {}\nlogin_grace = {:?}\ndrain = {:?}",
            l.connections,
            l.unauthenticated,
            l.connections_per_source,
            l.unauthenticated_per_source,
            l.channels_per_connection,
            show_duration(l.login_grace),
            show_duration(l.drain)
        );
        let u = &self.upstream;
        let _ = writeln!(
            out,
            "\n[upstream]\nconnect_timeout = {:?}\nlogin_users = {}\nenvironment = {}\nkeepalive = {:?}\nmax_keys = {}",
            show_duration(u.connect_timeout),
            texts(&mut u.login_users.iter().map(ToString::to_string)),
            quoted(&u.environment),
            show_duration(u.keepalive),
            u.max_keys
        );
        let _ = writeln!(
            out,
            "\n[log]\nformat = {:?}\nlevel = {:?}",
            if self.log.json { "json" } else { "human" },
            self.log.level
        );
        reach::show(&self.reach, &mut out);
        if let Some(archive) = &self.archive {
            archive::show(archive, &mut out);
        }
        out
    }

    /// What [[reach]] says about an amphora: the first section that covers it.
    #[must_use]
    pub fn reach_of(&self, amphora: &Amphora) -> Option<&Reach> {
        self.reach.iter().find(|reach| reach.covers(amphora))
    }

    /// Whether the way to an amphora leads through another sshd.
    #[must_use]
    pub fn goes_through_a_hop(&self, amphora: &Amphora) -> bool {
        self.reach_of(amphora)
            .is_some_and(|reach| reach.via.is_some())
    }

    /// This configuration with what can change only at a start taken from the running one, and the names of what waits.
    #[must_use]
    pub fn after_reload(&self, running: &Self) -> (Self, Vec<&'static str>) {
        let mut next = self.clone();
        let mut waiting = Vec::new();
        let mut keep = |name: &'static str, differs: bool| {
            if differs {
                waiting.push(name);
            }
        };
        keep("listen", next.listen != running.listen);
        keep("name", next.name != running.name);
        keep("state", next.state != running.state);
        keep("host_keys", next.host_keys != running.host_keys);
        keep("process", next.process != running.process);
        keep(
            "recording.directory and recording.reserve",
            (&next.recording.directory, next.recording.reserve)
                != (&running.recording.directory, running.recording.reserve),
        );
        keep(
            "signer.socket and signer.start",
            (&next.signer.socket, next.signer.start)
                != (&running.signer.socket, running.signer.start),
        );
        keep(
            "control.socket",
            next.control.socket != running.control.socket,
        );
        keep("inventory.octavia", next.octavia != running.octavia);
        keep("log", next.log != running.log);
        next.listen.clone_from(&running.listen);
        next.name.clone_from(&running.name);
        next.state.clone_from(&running.state);
        next.host_keys = running.host_keys.clone();
        next.process = running.process.clone();
        next.recording
            .directory
            .clone_from(&running.recording.directory);
        next.recording.reserve = running.recording.reserve;
        next.signer.socket.clone_from(&running.signer.socket);
        next.signer.start = running.signer.start;
        next.control.socket.clone_from(&running.control.socket);
        next.octavia = running.octavia.clone();
        next.log = running.log.clone();
        (next, waiting)
    }

    /// Whether an environment variable may go on to the amphora.
    #[must_use]
    pub fn passes_environment(&self, name: &str) -> bool {
        self.upstream
            .environment
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == pattern,
            })
    }
}

fn default_login_users() -> Vec<LoginUser> {
    ["cloud-user", "ubuntu", "centos"]
        .iter()
        .filter_map(|name| LoginUser::parse(name).ok())
        .collect()
}

fn host_name(text: &str) -> Result<String, String> {
    let good = !text.is_empty()
        && text.len() <= 255
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b));
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no host name"))
    }
}

fn unix_user(text: &str) -> Result<String, String> {
    let good = !text.is_empty()
        && text.len() <= 32
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no user name or number"))
    }
}

fn variable_pattern(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('*').unwrap_or(text);
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is no variable name; \"LANG\" or \"LC_*\" would be"
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    const EXAMPLE: &str = include_str!("../../../config/ampgate.toml");

    #[test]
    fn the_example_says_exactly_the_defaults() {
        let example = Config::parse(Path::new("x/ampgate.toml"), EXAMPLE).unwrap();
        let empty = Config::parse(Path::new("x/ampgate.toml"), "").unwrap();
        assert_eq!(example, empty);
    }

    #[test]
    fn the_example_with_every_comment_opened_still_loads() {
        let opened: String = EXAMPLE
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line).to_owned() + "\n")
            .collect();
        let config = Config::parse(Path::new("x/ampgate.toml"), &opened).unwrap();
        assert_eq!(config.process.user.as_deref(), Some("ampgate"));
        assert_eq!(config.signer.keys.len(), 1);
        assert!(config.octavia.is_some() && config.keystone.is_some());
        assert_eq!(config.reach.len(), 3);
        assert!(config.archive.is_some());
    }

    #[test]
    fn what_check_prints_reads_back_as_the_same_configuration() {
        let opened: String = EXAMPLE
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line).to_owned() + "\n")
            .collect();
        let config = Config::parse(Path::new("/etc/ampgate/ampgate.toml"), &opened).unwrap();
        let again = Config::parse(Path::new("/elsewhere/other.toml"), &config.to_toml()).unwrap();
        assert_eq!(config, again);
        assert_eq!(config.to_toml(), again.to_toml());
    }

    #[test]
    fn every_fault_is_reported_at_once_with_its_line() {
        let text = "listen = [\"nowhere\"]\nlisen = 1\n[limits]\nconnections = \"many\"\nlogin_grace = \"30\"\n[recording]\ninput = \"sometimes\"\nreserve = 5\n";
        let faults = Config::parse(Path::new("ampgate.toml"), text).unwrap_err();
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let all = shown.join("\n");
        for wanted in [
            "ampgate.toml:1:",
            "ampgate.toml:2:",
            "ampgate.toml:4:",
            "ampgate.toml:5:",
            "ampgate.toml:7:",
            "ampgate.toml:8:",
            "did you mean listen?",
            "`connections` must be a whole number",
            "without-pty",
        ] {
            assert!(all.contains(wanted), "{wanted:?} is missing in:\n{all}");
        }
        assert_eq!(faults.len(), 6, "{all}");
    }

    /// Each fault of [[reach]] on its own line, all at once.
    #[test]
    fn ways_to_amphorae_are_understood_or_faulted() {
        let text = "[[reach]]\nsubnet = \"172.24.0.9/22\"\nbind = \"here\"\n[[reach]]\nzone = \"az1\"\n[[reach]]\ninterface = \"o/hm\"\n\
            [[reach]]\nzone = \"z\"\nvia = \"mallory@hop\"\n[[reach]]\nzone = \"z\"\nvia = \"ubuntu@hop:0\"\nhost_key = \"ssh-rsa AAAA\"\n\
            [[reach]]\nsubnet = \"fd00::/64\"\nbind = \"172.24.0.1\"\nhost_key = \"x\"\n";
        let faults = Config::parse(Path::new("ampgate.toml"), text).unwrap_err();
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let all = shown.join("\n");
        for wanted in [
            "ampgate.toml:2:",
            "did you mean 172.24.0.0/22",
            "ampgate.toml:3:",
            "does not say how they are reached",
            "does not say which amphorae",
            "ampgate.toml:7:",
            "`host_key` is missing",
            "does not sign for mallory",
            "is no hop: user@host",
            "ampgate.toml:14:",
            "one is IPv4, the other IPv6",
            "there is no `via`",
        ] {
            assert!(all.contains(wanted), "{wanted:?} is missing in:\n{all}");
        }
    }

    #[test]
    fn an_archive_is_understood_or_faulted() {
        let faults = |text: &str| {
            let faults = Config::parse(Path::new("ampgate.toml"), text).unwrap_err();
            let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
            shown.join("\n")
        };
        let s3 = "[archive]\nstore = \"s3\"\nendpoint = \"https://s3\"\nbucket = \"b\"\naccess_key = \"k\"\nsecret_file = \"s\"\n";
        let good = Config::parse(Path::new("ampgate.toml"), s3).unwrap();
        assert_eq!(good.archive.unwrap().settings.prefix, "gateway/");
        for (text, wanted) in [
            ("[archive]\n".to_owned(), "`store` is missing"),
            (
                "[archive]\nstore = \"tape\"\n".to_owned(),
                "\"s3\", \"swift\" or \"directory\"",
            ),
            (s3.replace("https", "ftp"), "ampgate.toml:3:"),
            (s3.replace("bucket = \"b\"\n", ""), "`bucket` is missing"),
            (format!("{s3}days_kept = 30\n"), "needs `days_hot`"),
            (
                format!("{s3}days_hot = 31\ndays_kept = 30\n"),
                "less than `days_hot`",
            ),
            (format!("{s3}prefix = \"/x\"\n"), "ampgate.toml:7:"),
            (format!("{s3}cloud = \"c\"\n"), "cloud"),
            (
                "[archive]\nstore = \"directory\"\ndirectory = \"/x\"\nobject_lock = true\n"
                    .to_owned(),
                "object_lock",
            ),
        ] {
            let all = faults(&text);
            assert!(all.contains(wanted), "{wanted:?} is missing in:\n{all}");
        }
    }

    #[test]
    fn a_reload_takes_what_it_can_and_names_what_waits() {
        let running = Config::parse(Path::new("ampgate.toml"), "").unwrap();
        let text = "listen = [\"127.0.0.1:1\"]\n[limits]\nconnections = 7\n[upstream]\nconnect_timeout = \"3s\"\n[signer]\nkeys = [\"new\"]\n";
        let (next, waiting) = Config::parse(Path::new("ampgate.toml"), text)
            .unwrap()
            .after_reload(&running);
        assert_eq!(waiting, ["listen"]);
        assert_eq!(next.listen, running.listen);
        assert_eq!(
            (
                next.limits.connections,
                next.upstream.connect_timeout,
                next.signer.keys.len()
            ),
            (7, Duration::from_secs(3), 1)
        );
    }

    #[test]
    fn variables_match_by_name_and_by_prefix() {
        let config = Config::parse(Path::new("ampgate.toml"), "").unwrap();
        assert!(config.passes_environment("LANG"));
        assert!(config.passes_environment("LC_ALL"));
        assert!(!config.passes_environment("LANGUAGE"));
        assert!(!config.passes_environment("LD_PRELOAD"));
    }
}
