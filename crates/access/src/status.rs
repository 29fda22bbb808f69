//! In: Octavia's word for what an amphora is doing.
//! Out: whether to try to reach it, how likely that is to succeed, and the sentence for the operator.
//! Never: a promise: ALLOCATED does not prove that it lives.

use std::fmt;
use std::str::FromStr;

use crate::amphora::Amphora;
use crate::names::NameError;

/// What Octavia says an amphora is doing (`octavia.common.constants`, `AMPHORA_*` statuses).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It serves its load balancer, as far as Octavia knows.
    Allocated,
    /// Its server was started; there may be no address yet.
    Booting,
    /// Built, and not yet given to a load balancer.
    Ready,
    /// Its server is being asked for.
    PendingCreate,
    /// Its server is being removed.
    PendingDelete,
    /// Its server is gone. Octavia never lists such an amphora, so it is met in old knowledge only.
    Deleted,
    /// Something failed. The server may be gone or run all the same.
    Error,
    /// A failover took its work away; the server may still run.
    FailoverStopped,
    /// A word of a newer Octavia.
    Other,
}

impl Status {
    /// Every status, in the order of Octavia's own list.
    pub const ALL: [Self; 9] = [
        Self::Allocated,
        Self::Booting,
        Self::Ready,
        Self::PendingCreate,
        Self::PendingDelete,
        Self::Deleted,
        Self::Error,
        Self::FailoverStopped,
        Self::Other,
    ];

    /// The word in policy: Octavia's, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allocated => "allocated",
            Self::Booting => "booting",
            Self::Ready => "ready",
            Self::PendingCreate => "pending_create",
            Self::PendingDelete => "pending_delete",
            Self::Deleted => "deleted",
            Self::Error => "error",
            Self::FailoverStopped => "failover_stopped",
            Self::Other => "other",
        }
    }

    /// Octavia's word in either case; one that is not known is [`Status::Other`], since Octavia may learn new ones.
    pub fn of_octavia(word: &str) -> Self {
        word.parse().unwrap_or(Self::Other)
    }

    /// How likely a connection is: of several amphorae that fit a name, only those with the highest hope are meant.
    fn hope(self) -> u8 {
        match self {
            Self::Allocated | Self::Other => 3,
            Self::Booting | Self::Ready | Self::FailoverStopped => 2,
            Self::Error | Self::PendingDelete => 1,
            Self::PendingCreate | Self::Deleted => 0,
        }
    }
}

impl FromStr for Status {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let same = |status: &Self| status.as_str().eq_ignore_ascii_case(text);
        let found = Self::ALL.into_iter().find(same);
        found.ok_or_else(|| {
            NameError::new(
                "a status is allocated, booting, ready, pending_create, pending_delete, deleted, error, failover_stopped or other",
            )
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What to do about an amphora before its sshd is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether a connection is tried at all.
    pub attempt: bool,
    /// What the operator should know: before the attempt, or instead of one. None where there is nothing to say.
    pub sentence: Option<&'static str>,
}

impl Amphora {
    /// Whether to call this amphora's sshd, and what to tell the operator.
    ///
    /// Where there is an address an attempt is made, but for a deleted amphora: its address may be another's by now.
    pub fn standing(&self) -> Standing {
        let (attempt, sentence) = match (self.status, self.address.is_some()) {
            (Some(Status::Deleted), _) => (
                false,
                "Octavia has deleted this amphora; its load balancer has others: try lb-<id>",
            ),
            (Some(Status::PendingCreate), false) => (
                false,
                "Octavia is still asking for this amphora's server; it has no address yet: try again in a minute",
            ),
            (Some(Status::Booting), false) => (
                false,
                "this amphora is booting and has no address yet: try again in a minute",
            ),
            (Some(Status::Error), false) => (
                false,
                "this amphora is in ERROR and has no address; its server may never have been made: ask for a failover of its load balancer",
            ),
            (Some(Status::PendingDelete), false) => (
                false,
                "Octavia is deleting this amphora, and its address is gone already; its load balancer has others: try lb-<id>",
            ),
            (_, false) => (
                false,
                "this amphora has no address on the management network",
            ),
            (Some(Status::Booting | Status::PendingCreate), true) => (
                true,
                "this amphora is booting; its sshd may take a minute to answer",
            ),
            (Some(Status::Error), true) => (
                true,
                "this amphora is in ERROR; its server may be gone, or run all the same",
            ),
            (Some(Status::FailoverStopped), true) => (
                true,
                "a failover stopped this amphora; another serves its load balancer, and this server may be gone",
            ),
            (Some(Status::PendingDelete), true) => (
                true,
                "Octavia is deleting this amphora; the session ends when its server does",
            ),
            (Some(Status::Other), true) => (
                true,
                "Octavia gives this amphora a status that this gateway does not know",
            ),
            (None | Some(Status::Allocated | Status::Ready), true) => {
                return Standing {
                    attempt: true,
                    sentence: None,
                };
            }
        };
        Standing {
            attempt,
            sentence: Some(sentence),
        }
    }

    /// How likely a connection is, 0 (none) to 3: a failover leaves the old and the new amphora side by side for a
    /// while, and a load balancer's name means the one that is there to stay.
    pub fn hope(&self) -> u8 {
        match self.address {
            Some(_) => self.status.map_or(3, Status::hope),
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::request::decoy;

    #[test]
    fn each_status_has_its_sentence_and_attempts_where_there_is_an_address() {
        let mut amphora = (*decoy().unwrap()).clone();
        let mut sentences = Vec::new();
        for with_address in [true, false] {
            if !with_address {
                amphora.address = None;
            }
            for status in Status::ALL {
                amphora.status = Some(status);
                let standing = amphora.standing();
                let attempt = with_address && status != Status::Deleted;
                assert_eq!(standing.attempt, attempt, "{status}");
                let quiet = matches!(status, Status::Allocated | Status::Ready) && with_address;
                assert_eq!(standing.sentence.is_none(), quiet, "{status}");
                sentences.extend(standing.sentence);
                // Hope and attempt agree: what is not tried is never preferred.
                assert!(standing.attempt || amphora.hope() == 0, "{status}");
            }
        }
        assert!(sentences.len() > 12);
        for status in Status::ALL {
            let word = status.as_str().to_uppercase();
            assert_eq!(Status::of_octavia(&word), status);
        }
        assert_eq!(Status::of_octavia("MELTED"), Status::Other);
    }
}
