//! In: a landing, what the operator asked for on the channel, a nonce.
//! Out: the exact request for the amphora's sshd, and the probe that tells whether the landing came about.
//! Never: puts an operator's byte anywhere but inside one quoted argument.
//!
//! `docs/POLICY.md` describes what operators see. How it works: on the amphora the login user's shell (POSIX) parses
//!
//! ```text
//! exec sudo -n -H -- /bin/sh -c '<script>' ampgate '<stem>' '<the operator's command>'
//! ```
//!
//! `sudo -i` itself is of no use here: it joins its arguments with blanks and puts a backslash before each byte that is
//! not alphanumeric, which leaves `$` open to expansion and deletes newlines. `sudo` without `-i` hands its arguments
//! over as they are. The script then does what `sudo -i` would do (root's home, root's login shell as a login shell)
//! and replaces itself, so that no extra process stands between sudo and the command: exit status and signal are the
//! command's own.

use std::fmt;
use std::str::FromStr;

use crate::decide::Action;
use crate::names::{LoginUser, NameError, UserName};
use crate::probe::{LandingProbe, Nonce};
use crate::quote::quote;
use crate::transfer::Transfer;

/// The network namespace in which haproxy runs.
pub const NAMESPACE: &str = "amphora-haproxy";

/// Where an operator lands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Landing {
    /// The login user's shell.
    Plain,
    /// Root, as `sudo -i` gives it.
    Root,
    /// Root inside the namespace `amphora-haproxy`.
    Netns,
}

impl Landing {
    /// All of them, in the order in which a default is looked for.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Root, Self::Netns];

    /// The word in policy, files and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Root => "root",
            Self::Netns => "netns",
        }
    }

    /// Reads what an operator types before `@` or `+`: a landing's own word, or the login user of a usual image.
    ///
    /// # Errors
    /// A sentence naming the words.
    pub fn from_word(word: &str) -> Result<Self, NameError> {
        match word {
            "plain" | "cloud-user" | "ubuntu" | "centos" => Ok(Self::Plain),
            "root" => Ok(Self::Root),
            "netns" => Ok(Self::Netns),
            _ => Err(NameError::new(
                "the user before @ is your own name, cloud-user (plain), root or netns",
            )),
        }
    }
}

impl fmt::Display for Landing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Landing {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL
            .into_iter()
            .find(|landing| landing.as_str() == text)
            .ok_or_else(|| NameError::new("a landing is plain, root or netns"))
    }
}

/// The landing that an operator asked for by the user name of the inner connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested {
    /// None in particular: the default that policy gives.
    Default,
    /// This one.
    Landing(Landing),
}

/// Reads the user name of the inner connection. `login_user` is the target amphora's: typing it means plain.
///
/// # Errors
/// A sentence naming the words that would be understood.
pub fn landing_of_user(
    inner_user: &str,
    principal: &UserName,
    login_user: &LoginUser,
) -> Result<Requested, NameError> {
    if inner_user.is_empty() || inner_user == principal.as_str() {
        return Ok(Requested::Default);
    }
    if inner_user == login_user.as_str() && inner_user != "root" {
        return Ok(Requested::Landing(Landing::Plain));
    }
    Landing::from_word(inner_user).map(Requested::Landing)
}

/// What an operator asks for on a session channel.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Ask {
    /// A shell.
    Shell,
    /// A command, any bytes.
    Exec(Vec<u8>),
    /// The subsystem `sftp`.
    Sftp,
}

impl Ask {
    /// The action which policy has to permit for it.
    pub fn action(&self) -> Action {
        match self {
            Self::Shell => Action::Shell,
            Self::Exec(_) => Action::Exec,
            Self::Sftp => Action::Sftp,
        }
    }

    /// The tools of file transfer which the command may be, for policy to speak of.
    pub fn transfers(&self) -> Vec<Transfer> {
        match self {
            Self::Exec(command) => Transfer::in_command(command),
            Self::Shell | Self::Sftp => Vec::new(),
        }
    }
}

/// A command may hold a password: only its length is shown.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell => f.write_str("Shell"),
            Self::Exec(command) => write!(f, "Exec({} bytes)", command.len()),
            Self::Sftp => f.write_str("Sftp"),
        }
    }
}

/// What is sent to the amphora's sshd.
#[derive(Clone, PartialEq, Eq)]
pub enum UpstreamRequest {
    /// A `shell` request.
    Shell,
    /// An `exec` request with these bytes.
    Exec(Vec<u8>),
    /// A `subsystem` request.
    Subsystem(&'static str),
}

/// Beginning of each script: root's shell and home from the password file, by builtins alone, and a way to speak to
/// the gateway. `$1` is the stem of the markers, `$2` the command.
const PREAMBLE: &str = r#"t(){ printf %s "$1=$2;">&2;};s=;h=/root;while IFS=: read -r n p u g c d l||[ -n "$l" ];do [ "$n" = root ]&&s=$l&&h=$d&&break;done</etc/passwd;s=${s:-/bin/sh};cd "$h" 2>/dev/null||cd /;unset OLDPWD;"#;

/// The login shell must be one that can be run.
const SHELL_THERE: &str = r#"case $s in */nologin|*/false)s=;esac;[ -x "$s" ]||{ t "$1" no-shell;exit 1;};SHELL=$s;export SHELL;"#;

/// The namespace, and the tool that enters it.
const NAMESPACE_THERE: &str = r#"[ -e /run/netns/amphora-haproxy ]||[ -e /var/run/netns/amphora-haproxy ]||{ t "$1" no-namespace;exit 1;};command -v ip>/dev/null||{ t "$1" no-ip;exit 1;};"#;

/// The sftp server, wherever the distribution keeps it.
const SFTP_THERE: &str = r#"f=;for f in /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server /usr/libexec/sftp-server /usr/lib64/ssh/sftp-server;do [ -x "$f" ]&&break;f=;done;[ -n "$f" ]||{ t "$1" no-sftp;exit 1;};"#;

/// Says that the landing came about; the next thing is the operator's.
const READY: &str = r#"t "$1" ready;"#;

const INTO_NAMESPACE: &str = "ip netns exec amphora-haproxy ";

/// The request for the amphora's sshd and the probe to read its first answers with.
///
/// `pty`: whether a terminal was asked for, because then there is no stderr of its own. `nonce` must be new and random
/// for each channel, so that nothing the amphora prints by chance or by intent of a tenant looks like a marker.
pub fn upstream_request(
    landing: Landing,
    ask: &Ask,
    pty: bool,
    nonce: Nonce,
) -> (UpstreamRequest, LandingProbe) {
    if landing == Landing::Plain {
        let request = match ask {
            Ask::Shell => UpstreamRequest::Shell,
            Ask::Exec(command) => UpstreamRequest::Exec(command.clone()),
            Ask::Sftp => UpstreamRequest::Subsystem("sftp"),
        };
        return (request, LandingProbe::landed());
    }
    let wrapper = wrapper(landing, ask, nonce);
    (
        UpstreamRequest::Exec(wrapper),
        LandingProbe::new(nonce, pty),
    )
}

fn wrapper(landing: Landing, ask: &Ask, nonce: Nonce) -> Vec<u8> {
    let script = script(landing, ask);
    let mut line = b"exec sudo -n -H -- /bin/sh -c ".to_vec();
    quote(script.as_bytes(), &mut line);
    line.extend_from_slice(b" ampgate ");
    quote(nonce.stem().as_bytes(), &mut line);
    if let Ask::Exec(command) = ask {
        line.push(b' ');
        quote(command, &mut line);
    }
    line
}

fn script(landing: Landing, ask: &Ask) -> String {
    let (namespace_there, into) = match landing {
        Landing::Netns => (NAMESPACE_THERE, INTO_NAMESPACE),
        Landing::Plain | Landing::Root => ("", ""),
    };
    let (there, program) = match ask {
        Ask::Shell => (SHELL_THERE, r#""$s" -l"#),
        Ask::Exec(_) => (SHELL_THERE, r#""$s" -l -c "$2""#),
        Ask::Sftp => (SFTP_THERE, r#""$f""#),
    };
    format!("{PREAMBLE}{namespace_there}{there}{READY}exec {into}{program}")
}
