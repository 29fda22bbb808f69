//! In: what `users` found out about a connection, and what Keystone says of a person.
//! Out: the identity proved for that connection, and who policy is asked about.
//! Never: a principal made anywhere but by authentication.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;

use crate::names::{GroupName, ProjectId, UserName};

/// The projects in which somebody has a role, and their roles there.
pub type Projects = BTreeMap<ProjectId, BTreeSet<String>>;

/// A person as Keystone knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeystoneUser {
    /// Keystone's id of the user: a name may be given to another person one day, an id is not.
    pub id: String,
    /// The name, unique in its domain.
    pub name: UserName,
    /// Their groups there, each named by [`GroupName::of_keystone`].
    pub groups: BTreeSet<GroupName>,
    /// Their projects.
    pub projects: Projects,
}

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// A signature of a key listed in `users.toml`.
    PublicKey,
    /// A password that Keystone took.
    Password,
    /// A password and a one-time code (TOTP) that Keystone took.
    PasswordTotp,
}

impl Method {
    /// The word in policy and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PublicKey => "publickey",
            Self::Password => "password",
            Self::PasswordTotp => "password+totp",
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
    /// Their projects in Keystone; none for whom Keystone was not asked about.
    pub projects: Projects,
    /// Where the connection comes from.
    pub source: IpAddr,
    /// How they proved who they are.
    pub method: Method,
}

/// The identity proved for one connection. Only [`Users::authenticate`](crate::Users::authenticate) and
/// [`Users::authenticate_keystone`](crate::Users::authenticate_keystone) make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub(crate) subject: Subject,
    pub(crate) proof: Proof,
    /// When the user or the key expires, whichever is first.
    pub(crate) ends: Option<Timestamp>,
}

/// What was proved. As long as it holds the principal is the same, whatever groups they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A key, by its fingerprint.
    Key(String),
    /// A user of Keystone, by their id.
    Keystone(String),
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

    /// How they proved who they are: `publickey`, `password` or `password+totp`.
    pub fn method(&self) -> &'static str {
        self.subject.method.as_str()
    }

    /// `SHA256:…` of the key with which they did.
    pub fn key_fingerprint(&self) -> Option<&str> {
        match &self.proof {
            Proof::Key(fingerprint) => Some(fingerprint),
            Proof::Keystone(_) => None,
        }
    }

    /// Keystone's id of the user whose password it was.
    pub fn keystone_id(&self) -> Option<&str> {
        match &self.proof {
            Proof::Keystone(id) => Some(id),
            Proof::Key(_) => None,
        }
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
