//! In: what went wrong on the way to an amphora. Out: which fault it is, its word, its sentence, and how far the way was good.
//! Never: a second opinion: operators, journal and doctor have theirs from here.

use std::fmt;
use std::io::{Error, ErrorKind};

use ampgate_access::LandingFailure;

use crate::sentence::Trouble;

/// Why nobody answers. These look alike to a person, and each is mended elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreached {
    /// No route, or nobody on the network answers for the address.
    NoRoute,
    /// The address of [[reach]] is not this host's, or its interface is not there.
    NoSource(String),
    Refused,
    TimedOut,
    /// Something answers that is no sshd.
    NoSsh(String),
    /// The SSH hop of [[reach]].
    Hop(String),
    Other(String),
}

impl Unreached {
    /// The fault behind the system's answer to a connect.
    pub fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::NoRoute,
            ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Other(error.to_string()),
        }
    }

    /// The word in the journal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRoute => "no-route",
            Self::NoSource(_) => "no-source-address",
            Self::Refused => "refused",
            Self::TimedOut => "timeout",
            Self::NoSsh(_) => "no-ssh",
            Self::Hop(_) => "hop",
            Self::Other(_) => "unreachable",
        }
    }
}

/// What is wrong, then what to look at.
impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute => f.write_str(
                "no route from this controller to the management network, or nobody there has the address; is the interface (o-hm0) up, with an address, and the amphora's server running?",
            ),
            Self::NoSource(why) => write!(
                f,
                "the connection cannot begin where [[reach]] says: {why}; is the interface up, with that address?"
            ),
            Self::Refused => f.write_str(
                "connection refused; no sshd is running there, or the image was built without one",
            ),
            Self::TimedOut => f.write_str(
                "no answer in time; a security group that does not allow port 22, or a dead VM, looks like this",
            ),
            Self::NoSsh(why) => write!(
                f,
                "something answers, but it does not complete the SSH handshake ({why}); is that port sshd?"
            ),
            Self::Hop(why) => write!(f, "the SSH hop of [[reach]] does not lead there: {why}"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

/// The way to a landing, in its order. A fault at one step says that those before it are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The inventory has an address that makes sense to call.
    Address,
    Route,
    Connect,
    Ssh,
    HostKey,
    Signer,
    Key,
    Sudo,
    Namespace,
}

impl Step {
    pub const ALL: [Self; 9] = [
        Self::Address,
        Self::Route,
        Self::Connect,
        Self::Ssh,
        Self::HostKey,
        Self::Signer,
        Self::Key,
        Self::Sudo,
        Self::Namespace,
    ];

    /// The name of the check.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Route => "route",
            Self::Connect => "connect",
            Self::Ssh => "sshd",
            Self::HostKey => "host key",
            Self::Signer => "signer",
            Self::Key => "octavia key",
            Self::Sudo => "sudo",
            Self::Namespace => "namespace",
        }
    }
}

/// The step at which the way ended.
pub fn step(trouble: &Trouble) -> Step {
    match trouble {
        Trouble::NotThere { .. } => Step::Address,
        Trouble::Unreachable { fault, .. } => match fault {
            Unreached::NoRoute | Unreached::NoSource(_) => Step::Route,
            Unreached::NoSsh(_) => Step::Ssh,
            _ => Step::Connect,
        },
        Trouble::HostKeyChanged { .. }
        | Trouble::HostKeyMismatch { .. }
        | Trouble::HostKeyDisputed { .. }
        | Trouble::HostKeyUnknown { .. }
        | Trouble::Recorder { .. } => Step::HostKey,
        Trouble::Signer(_) => Step::Signer,
        Trouble::NoKeyFits { .. } | Trouble::Broken(_) => Step::Key,
        Trouble::Landed(LandingFailure::NoNamespace | LandingFailure::NoIp) => Step::Namespace,
        _ => Step::Sudo,
    }
}

/// The fault's word in `upstream.refused` and `amphora.probed`.
pub fn fault(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Unreachable { fault, .. } => fault.code(),
        Trouble::HostKeyChanged { .. } => "host-key",
        Trouble::NoKeyFits { .. } => "no-key-accepted",
        Trouble::Signer(_) => "signer",
        Trouble::Landed(failure) => failure.as_str(),
        other => other.code(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ampgate_access::AmphoraId;

    /// The seven faults that look alike: each its own step or word, and its own sentence.
    #[test]
    fn seven_faults_have_seven_words_and_sentences() {
        let amphora = AmphoraId::parse("93b939b0-8a2c-4f61-9d2c-1f0a5a3a9a10").unwrap();
        let address = "172.24.0.23:22".parse().unwrap();
        let unreachable = |kind: ErrorKind| Trouble::Unreachable {
            amphora,
            address,
            fault: Unreached::of(&Error::from(kind)),
            standing: None,
        };
        let faults = [
            (unreachable(ErrorKind::NetworkUnreachable), Step::Route),
            (unreachable(ErrorKind::ConnectionRefused), Step::Connect),
            (unreachable(ErrorKind::TimedOut), Step::Connect),
            (
                Trouble::HostKeyChanged {
                    amphora,
                    address,
                    pinned: "SHA256:a".into(),
                    offered: "SHA256:b".into(),
                },
                Step::HostKey,
            ),
            (Trouble::NoKeyFits { amphora, tried: 1 }, Step::Key),
            (Trouble::Landed(LandingFailure::SudoRefused), Step::Sudo),
            (
                Trouble::Landed(LandingFailure::NoNamespace),
                Step::Namespace,
            ),
        ];
        let words: std::collections::BTreeSet<_> = faults.iter().map(|(t, _)| fault(t)).collect();
        let told: std::collections::BTreeSet<_> =
            faults.iter().map(|(t, _)| t.to_string()).collect();
        assert_eq!((words.len(), told.len()), (7, 7));
        for (trouble, expected) in &faults {
            assert_eq!(step(trouble), *expected, "{trouble}");
        }
    }
}
