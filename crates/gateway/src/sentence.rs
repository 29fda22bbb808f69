//! In: what went wrong, or why a session ends. Out: one sentence for the operator, a word for the journal, an exit status.
//! Never: tells an operator what only the auditor may know (whether a target exists, which rule refused).

use std::net::SocketAddr;

use ampgate_access::{Action, AmphoraId, LandingFailure, SessionId};

use crate::diagnosis::Unreached;

/// Why there is no session, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Policy says no, or there is no such target: the same words for both.
    #[error("{0}")]
    Denied(String),
    /// The user name behind `-J` is no landing.
    #[error("{0}")]
    Landing(String),
    /// Asked for something this gateway never gives.
    #[error("{0}")]
    NotOffered(String),
    #[error(
        "the gateway is shutting down and takes no new sessions; try again in a minute, or another gateway"
    )]
    Draining,
    #[error("this session ends: {0}")]
    Revoked(String),
    #[error("this session was ended by {by}: {why}")]
    Killed { by: String, why: String },
    #[error(
        "the recording cannot be written, and nothing goes on unrecorded: {told}; tell whoever runs this gateway"
    )]
    Recorder { told: &'static str, detail: String },
    #[error("the recording has reached its limit of {0}; start a new session to go on")]
    TooLarge(String),
    #[error("{} does not answer on {address}: {fault}{}", short(.amphora), standing.map(|said| format!("; {said}")).unwrap_or_default())]
    Unreachable {
        amphora: AmphoraId,
        address: SocketAddr,
        fault: Unreached,
        /// What Octavia says it is doing: half of the reasons are there.
        standing: Option<&'static str>,
    },
    /// `.active`, and the amphorae do not say which of them it is.
    #[error("{0}")]
    NoActive(String),
    /// Nothing to call: no address, or a status in which its address may be another's.
    #[error("{} cannot be called: {why}", short(.amphora))]
    NotThere {
        amphora: AmphoraId,
        why: &'static str,
    },
    #[error("{} on {address} showed the host key {offered}, but its pin is {pinned}: somebody may be in between, or the amphora was rebuilt under the same id; an admin must look before anyone connects", short(.amphora))]
    HostKeyChanged {
        amphora: AmphoraId,
        address: SocketAddr,
        pinned: String,
        offered: String,
    },
    #[error("{} on {address} showed the host key {offered}, but {by} says {known}: somebody may be in between, or the address is another server's; an admin must look before anyone connects", short(.amphora))]
    HostKeyMismatch {
        amphora: AmphoraId,
        address: SocketAddr,
        /// Who says so.
        by: &'static str,
        known: String,
        offered: String,
    },
    /// Two sources contradict each other, or one contradicts itself.
    #[error("the host key of {} is in doubt: {why}; an admin must look before anyone connects", short(.amphora))]
    HostKeyDisputed { amphora: AmphoraId, why: String },
    /// Nobody vouches for any, and a first contact is not allowed.
    #[error("the host key of {} is not known: {why}", short(.amphora))]
    HostKeyUnknown { amphora: AmphoraId, why: String },
    #[error("{} accepts none of the {tried} octavia keys of this gateway; it may have been born with an older key: add that one to [signer] keys", short(.amphora))]
    NoKeyFits { amphora: AmphoraId, tried: usize },
    #[error(
        "the signer that holds the octavia key does not answer: {0}; tell whoever runs this gateway"
    )]
    Signer(String),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Landed(LandingFailure),
    #[error("the connection to the amphora broke: {0}")]
    Broken(String),
    /// Bytes on an sftp channel that are no sftp.
    #[error(
        "the file transfer ends, because it is not understood: {0}; try another client, or scp -O"
    )]
    Transfer(String),
    /// Of a file transfer in which nothing can be refused by itself.
    #[error(
        "the policy does not allow you to {action} {path}: the transfer ends there; leave that file out, or ask the gateway's administrators"
    )]
    Path { action: Action, path: String },
    #[error(
        "a fault of the gateway itself ended this session, and no other; tell whoever runs it to look for \"panicked\" in its log"
    )]
    Fault,
}

impl Trouble {
    /// The exit status an operator's script sees. Below 255, which is ssh's own, and above what programs use.
    pub fn status(&self) -> u32 {
        match self {
            Self::Recorder { .. } | Self::TooLarge(_) | Self::Fault => 254,
            Self::Denied(_)
            | Self::Path { .. }
            | Self::Landing(_)
            | Self::NotOffered(_)
            | Self::Draining
            | Self::Revoked(_)
            | Self::Killed { .. } => 253,
            Self::Unreachable { .. }
            | Self::NotThere { .. }
            | Self::NoActive(_)
            | Self::Broken(_) => 252,
            Self::HostKeyChanged { .. }
            | Self::HostKeyMismatch { .. }
            | Self::HostKeyDisputed { .. }
            | Self::HostKeyUnknown { .. } => 251,
            Self::NoKeyFits { .. } | Self::Signer(_) => 250,
            Self::Landed(_) | Self::Refused(_) | Self::Transfer(_) => 249,
        }
    }

    /// The word in journal and listings.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Landing(_) => "no-such-landing",
            Self::NotOffered(_) => "not-offered",
            Self::Draining => "draining",
            Self::Revoked(_) => "revoked",
            Self::Killed { .. } => "killed",
            Self::Recorder { .. } => "recorder-failed",
            Self::TooLarge(_) => "recording-too-large",
            Self::Unreachable { .. } => "unreachable",
            Self::NotThere { .. } => "not-there",
            Self::NoActive(_) => "no-active",
            Self::HostKeyChanged { .. } => "host-key-changed",
            Self::HostKeyMismatch { .. } => "host-key-mismatch",
            Self::HostKeyDisputed { .. } => "host-key-disputed",
            Self::HostKeyUnknown { .. } => "host-key-unknown",
            Self::NoKeyFits { .. } => "no-key-fits",
            Self::Signer(_) => "signer-failed",
            Self::Refused(_) => "amphora-refused",
            Self::Landed(_) => "landing-failed",
            Self::Broken(_) => "connection-broken",
            Self::Transfer(_) => "transfer-not-understood",
            Self::Path { .. } => "path-denied",
            Self::Fault => "gateway-fault",
        }
    }

    /// What is written to the operator's terminal.
    pub fn told(&self, session: &SessionId) -> String {
        let said = self.to_string();
        let stop = if said.ends_with(['?', '!', '.']) {
            ""
        } else {
            "."
        };
        format!("ampgate: {said}{stop} session {session}")
    }

    /// What the journal and the developer learn beside the sentence.
    pub fn detail(&self) -> String {
        match self {
            Self::Recorder { detail, .. } => detail.clone(),
            other => other.to_string(),
        }
    }
}

/// The amphora's id as operators type it, short enough to read.
pub fn short(amphora: &AmphoraId) -> String {
    let id = amphora.to_string();
    format!("amphora-{}…", id.get(..8).unwrap_or(&id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_trouble_is_told_in_one_line_with_the_session() {
        let session = SessionId::from_parts(1_700_000_000_000, 7);
        let amphora = AmphoraId::parse("93b939b0-8a2c-4f61-9d2c-1f0a5a3a9a10").unwrap();
        let address = "172.24.0.23:22".parse().unwrap();
        let all = [
            Trouble::Denied("no such target, or you may not reach it".into()),
            Trouble::Recorder {
                told: "its disk is full",
                detail: "/var: ENOSPC".into(),
            },
            Trouble::Unreachable {
                amphora,
                address,
                fault: Unreached::NoRoute,
                standing: Some("this amphora is booting"),
            },
            Trouble::HostKeyChanged {
                amphora,
                address,
                pinned: "SHA256:a".into(),
                offered: "SHA256:b".into(),
            },
            Trouble::HostKeyMismatch {
                amphora,
                address,
                by: "its console in Nova",
                known: "SHA256:a, SHA256:c".into(),
                offered: "SHA256:b".into(),
            },
            Trouble::HostKeyUnknown {
                amphora,
                why: "its console is empty".into(),
            },
            Trouble::NoKeyFits { amphora, tried: 2 },
        ];
        for trouble in all {
            let told = trouble.told(&session);
            assert!(
                told.starts_with("ampgate: ") && told.ends_with(&session.to_string()),
                "{told}"
            );
            assert!(!told.contains('\n') && !told.contains("/var"), "{told}");
            assert!((249..=254).contains(&trouble.status()));
        }
    }
}
