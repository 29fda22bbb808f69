//! In: nothing; the inventory fills it in.
//! Out: one amphora and its load balancer, with all that policy speaks of.
//! Never: where it was learnt from, or anything that only one inventory knows.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use crate::host_key::HostKey;
use crate::names::{AmphoraId, LoadBalancerId, LoginUser, NameError, ProjectId};
use crate::status::Status;

/// One amphora as the inventory knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amphora {
    /// Its id, under which its host key is pinned.
    pub id: AmphoraId,
    /// Names of its static entry, if it has any.
    pub names: Vec<String>,
    /// Where its sshd listens on the management network; none while it is being built, or after it is gone.
    pub address: Option<UpstreamAddr>,
    /// The user to log in as.
    pub login_user: LoginUser,
    /// Whose amphora it is: what policy speaks about.
    pub load_balancer: Arc<LoadBalancer>,
    /// Its configured role, not the live state of VRRP.
    pub role: Option<Role>,
    /// What Octavia says it is doing; none in a static file.
    pub status: Option<Status>,
    /// The zone in which its server runs (Octavia's `cached_zone`).
    pub zone: Option<String>,
    /// Its server in Nova.
    pub compute_id: Option<String>,
    /// The host key that its static entry names, if any.
    pub host_key: Option<HostKey>,
}

/// The load balancer which an amphora serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadBalancer {
    /// Its id.
    pub id: LoadBalancerId,
    /// Its name, as its owner chose it: not unique, any characters.
    pub name: String,
    /// The project it belongs to.
    pub project: ProjectId,
    /// That project's name, where it is known.
    pub project_name: Option<String>,
    /// Tags, as its owner chose them.
    pub tags: BTreeSet<String>,
    /// The provider driver, such as `amphora`.
    pub provider: String,
    /// The id of its Octavia flavor.
    pub flavor: Option<String>,
    /// Its Octavia availability zone, as it was asked for; [`Amphora::zone`] is where an amphora really runs.
    pub availability_zone: Option<String>,
    /// The address its users call: one of its amphorae has it at a time.
    pub vip: Option<IpAddr>,
}

/// An address on the management network, not to be confused with an operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamAddr(pub SocketAddr);

impl fmt::Display for UpstreamAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The role Octavia gave an amphora when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Meant to have the VIP.
    Master,
    /// Meant to take it over.
    Backup,
    /// The only one.
    Standalone,
}

impl Role {
    /// The word in files and in policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Backup => "backup",
            Self::Standalone => "standalone",
        }
    }
}

impl FromStr for Role {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.to_ascii_lowercase().as_str() {
            "master" => Ok(Self::Master),
            "backup" => Ok(Self::Backup),
            "standalone" => Ok(Self::Standalone),
            _ => Err(NameError::new("a role is master, backup or standalone")),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
