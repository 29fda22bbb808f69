//! In: the sections [[reach]]. Out: for some amphorae, where connections to them begin, or the SSH hop that they go through.
//! Never: a hop whose host key is not written down: the gateway asks nobody about it.

use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;

use ampgate_access::table::{At, Table};
use ampgate_access::{Amphora, HostKey, LoginUser};
use ipnet::IpNet;

/// How some amphorae are reached; of several sections the first that covers an amphora counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach {
    /// The amphorae with an address in here, if it is given.
    pub subnet: Option<IpNet>,
    /// The amphorae in this availability zone, if it is given.
    pub zone: Option<String>,
    /// The local address.
    pub bind: Option<IpAddr>,
    /// The local interface.
    pub interface: Option<String>,
    pub via: Option<Via>,
}

/// An ordinary sshd that connections to amphorae are jumped through.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Via {
    pub user: LoginUser,
    /// A name or an address.
    pub host: String,
    pub port: u16,
    /// As in `known_hosts`, without the names: `ssh-ed25519 AAAA…`
    pub host_key: HostKey,
}

/// As it is written: `user@host:port`.
impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "{}@[{}]:{}", self.user, self.host, self.port),
            false => write!(f, "{}@{}:{}", self.user, self.host, self.port),
        }
    }
}

impl Reach {
    /// Whether this section is about the amphora.
    pub fn covers(&self, amphora: &Amphora) -> bool {
        let address = amphora.address.map(|address| address.0.ip());
        let in_subnet = match (&self.subnet, address) {
            (Some(subnet), Some(address)) => subnet.contains(&address),
            (subnet, _) => subnet.is_none(),
        };
        let in_zone = self.zone.is_none() || self.zone == amphora.zone;
        in_subnet && in_zone
    }
}

/// Reads all sections. The signer signs for `login_users` only, at a hop too.
pub fn read(top: &Table<'_, '_>, login_users: &[LoginUser]) -> Vec<Reach> {
    let sections = top.tables("reach").into_iter();
    sections
        .filter_map(|section| one(section, login_users))
        .collect()
}

fn one(s: Table<'_, '_>, login_users: &[LoginUser]) -> Option<Reach> {
    let reach = Reach {
        subnet: s.parsed_if_there("subnet", subnet),
        zone: s.string("zone").map(|at| at.value.to_owned()),
        bind: s.parsed_if_there("bind", |text| {
            let ip = text.parse::<IpAddr>().map(|ip| ip.to_canonical());
            ip.map_err(|_| {
                format!("{text:?} is no IP address of this host, such as \"172.24.0.2\"")
            })
        }),
        interface: s.parsed_if_there("interface", interface),
        via: via(&s, login_users),
    };
    if !s.has("subnet") && !s.has("zone") {
        let message = "[[reach]] does not say which amphorae it is about: `subnet`, `zone` or both";
        s.fault(s.span(), message);
    }
    if !["bind", "interface", "via"]
        .into_iter()
        .any(|key| s.has(key))
    {
        let message = "[[reach]] does not say how they are reached: `bind`, `interface` or `via`";
        s.fault(s.span(), message);
    }
    if let (Some(subnet), Some(bind), None) = (&reach.subnet, reach.bind, &reach.via)
        && subnet.addr().is_ipv4() != bind.is_ipv4()
        && let Some(at) = s.string("bind")
    {
        let message = format!(
            "from {bind} no address in {subnet} can be reached: one is IPv4, the other IPv6"
        );
        s.fault(at.span, message);
    }
    s.end();
    Some(reach)
}

fn subnet(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>();
    let net = net.map_err(|_| {
        format!("{text:?} is no subnet, such as \"172.24.0.0/22\" or \"fd00:18::/64\"")
    })?;
    match net.trunc() == net {
        true => Ok(net),
        false => Err(format!(
            "{net} has bits beyond its prefix; did you mean {}",
            net.trunc()
        )),
    }
}

/// As the kernel has it: at most 15 bytes, no slash, no blank.
fn interface(text: &str) -> Result<String, String> {
    let good =
        (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    match good {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no name of a network interface, such as \"o-hm0\""
        )),
    }
}

fn via(s: &Table<'_, '_>, login_users: &[LoginUser]) -> Option<Via> {
    let Some(text) = s.string("via") else {
        if let Some(key) = s.string("host_key") {
            s.fault(key.span, "`host_key` is the hop's, and there is no `via`");
        }
        return None;
    };
    let host_key = s.parsed("host_key", HostKey::parse);
    let (user, host, port) = match hop(&text) {
        Ok(hop) => hop,
        Err(why) => {
            s.fault(text.span, why);
            return None;
        }
    };
    if !login_users.contains(&user) {
        let message = format!(
            "the signer does not sign for {user}: add {:?} to login_users in [upstream]",
            user.as_str()
        );
        s.fault(text.span, message);
    }
    Some(Via {
        user,
        host,
        port,
        host_key: host_key?,
    })
}

fn hop(text: &At<&str>) -> Result<(LoginUser, String, u16), String> {
    let wrong = || {
        format!(
            "{:?} is no hop: user@host or user@host:port, an IPv6 address in brackets",
            text.value
        )
    };
    let (user, place) = text.value.split_once('@').ok_or_else(wrong)?;
    let user = LoginUser::parse(user).map_err(|error| error.to_string())?;
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
            (host, port)
        }
        None => {
            let at = place.find(':').unwrap_or(place.len());
            place.split_at(at)
        }
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(wrong)?,
        None if port.is_empty() => 22,
        None => return Err(wrong()),
    };
    let named = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    let good = (1..=255).contains(&host.len()) && host.bytes().all(named) && !host.starts_with('-');
    match good {
        true => Ok((user, host.to_owned(), port)),
        false => Err(wrong()),
    }
}

/// The sections as they are in force.
pub fn show(all: &[Reach], out: &mut String) {
    for reach in all {
        let _ = writeln!(out, "\n[[reach]]");
        let mut text = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                let _ = writeln!(out, "{key} = {value:?}");
            }
        };
        text("subnet", reach.subnet.map(|subnet| subnet.to_string()));
        text("zone", reach.zone.clone());
        text("bind", reach.bind.map(|bind| bind.to_string()));
        text("interface", reach.interface.clone());
        text("via", reach.via.as_ref().map(ToString::to_string));
        text(
            "host_key",
            reach
                .via
                .as_ref()
                .map(|via| via.host_key.as_openssh().to_owned()),
        );
    }
}
