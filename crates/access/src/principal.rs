//! In: what `users` found out about a connection.
//! Out: the identity proved for that connection, and who policy is asked about.
//! Never: a principal made anywhere but by authentication.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;

use crate::names::{GroupName, UserName};

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// A signature of a key listed in `users.toml`.
    PublicKey,
}

impl Method {
    /// The word in policy and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PublicKey => "publickey",
        }
    }
}

/// Whom policy is asked about: a person, from somewhere. Proves nothing; `explain` asks about people who are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The person.
    pub name: UserName,
    /// The groups they are in.
    pub groups: BTreeSet<GroupName>,
    /// Where the connection comes from.
    pub source: IpAddr,
    /// How they proved who they are.
    pub method: Method,
}

/// The identity proved for one connection. Only [`Users::authenticate`](crate::Users::authenticate) makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub(crate) subject: Subject,
    pub(crate) fingerprint: String,
    /// When the user or the key expires, whichever is first.
    pub(crate) ends: Option<Timestamp>,
}

impl Principal {
    /// The person.
    pub fn name(&self) -> &UserName {
        &self.subject.name
    }

    /// The groups they are in.
    pub fn groups(&self) -> &BTreeSet<GroupName> {
        &self.subject.groups
    }

    /// Where the connection comes from.
    pub fn source(&self) -> IpAddr {
        self.subject.source
    }

    /// How they proved who they are: `publickey`.
    pub fn method(&self) -> &'static str {
        self.subject.method.as_str()
    }

    /// `SHA256:…` of the key with which they did.
    pub fn key_fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// When the user or the key expires, whichever is first.
    pub fn ends(&self) -> Option<Timestamp> {
        self.ends
    }

    /// Whom policy is asked about.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }
}
