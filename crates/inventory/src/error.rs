//! In: an inventory that cannot answer, a cloud that does not.
//! Out: one sentence for each way in which it cannot.
//! Never: "there is no such amphora", that is an answer; and never a secret, or a body beyond a short escaped excerpt.

use std::time::Duration;

/// Why an inventory cannot answer. The static file always can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// The service behind it does not answer, and nothing is remembered, or nothing that is young enough.
    #[error("the inventory does not answer: {0}")]
    Unavailable(String),
}

/// Why a service of the cloud gave no answer that could be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    /// The configuration or the files it names.
    #[error("{0}")]
    Settings(String),
    /// No connection, no name, no TLS, or one that broke.
    #[error("{service} at {host} cannot be reached: {why}")]
    Unreachable {
        /// Which service, such as "Octavia".
        service: &'static str,
        /// Its host and port.
        host: String,
        /// What the library says, without any URL.
        why: String,
    },
    /// TLS with somebody whose certificate proves nothing.
    #[error(
        "{service} at {host} shows a certificate that is not trusted, so nothing was sent: {why}"
    )]
    Untrusted {
        /// Which service.
        service: &'static str,
        /// Its host and port.
        host: String,
        /// What is wrong with it, and what to try.
        why: String,
    },
    /// Slower than the deadline.
    #[error("{service} at {host} did not answer within {} s", .after.as_secs_f32())]
    Late {
        /// Which service.
        service: &'static str,
        /// Its host and port.
        host: String,
        /// The deadline.
        after: Duration,
    },
    /// More bytes than anything that is asked for can have.
    #[error("{service} at {host} answered with more than {limit} bytes")]
    TooLarge {
        /// Which service.
        service: &'static str,
        /// Its host and port.
        host: String,
        /// The bound, in bytes.
        limit: usize,
    },
    /// It points elsewhere. Nothing was sent there.
    #[error(
        "{service} at {host} redirects elsewhere (HTTP {status}); redirects are not followed, since they could carry the credential away: set the endpoint itself"
    )]
    Redirected {
        /// Which service.
        service: &'static str,
        /// Its host and port.
        host: String,
        /// The HTTP status.
        status: u16,
    },
    /// Wrong or disabled credential, as Keystone says of all of them in the same words.
    #[error(
        "Keystone refuses the gateway's credential (HTTP {0}): the secret is wrong, the credential has expired or was deleted, or its user is disabled"
    )]
    Credential(u16),
    /// A fresh token is refused too, or the role does not suffice.
    #[error(
        "{service} refuses {what} to the gateway's credential (HTTP {status}{}): its role or its access rules do not allow that",
        if *status == 401 { ", also with a new token" } else { "" }
    )]
    Permission {
        /// Which service.
        service: &'static str,
        /// What was asked for, such as "GET /v2/octavia/amphorae".
        what: String,
        /// 401 by access rules, 403 by policy.
        status: u16,
    },
    /// Any other status that is no success.
    #[error("{service} answers {what} with HTTP {status}: {excerpt}")]
    Status {
        /// Which service.
        service: &'static str,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of what it said, escaped.
        excerpt: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// A success whose content cannot be read.
    #[error("{service} answers {what} with something else than was asked for: {why}")]
    Garbage {
        /// Which service.
        service: &'static str,
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The catalog has no such service for the gateway.
    #[error(
        "Keystone's catalog has no {wanted}; set the endpoint, region or interface in the configuration"
    )]
    NoEndpoint {
        /// Service type, interface and region.
        wanted: String,
    },
}

impl CloudError {
    /// Whether a person has to change something before it can get better: asking again soon would be noise.
    pub fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::Settings(_)
                | Self::Credential(_)
                | Self::Permission { .. }
                | Self::Redirected { .. }
                | Self::Untrusted { .. }
                | Self::NoEndpoint { .. }
        )
    }

    /// How long the service wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// At most 120 characters of what a stranger said, on one line, with nothing in it that acts.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let shown: String = text
        .chars()
        .take(120)
        .flat_map(char::escape_debug)
        .collect();
    match text.chars().nth(120) {
        Some(_) => format!("{shown}…"),
        None if shown.is_empty() => "(nothing)".to_owned(),
        None => shown,
    }
}
