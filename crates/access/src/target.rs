//! In: the host that an operator typed after `-J gateway`, or the SSH user name of the direct syntax.
//! Out: what it names: an amphora, a load balancer, a server, a static entry.
//! Never: looks anything up; a name is read here, and found by the inventory.

use std::fmt;

use uuid::Uuid;

use crate::landing::Landing;
use crate::names::{AmphoraId, LoadBalancerId, NameError, UserName};

/// The longest target name that is read; longer ones are refused before anything else is done with them.
pub const LONGEST_TARGET: usize = 255;

/// What an operator asked for.
///
/// OpenSSH lower-cases the host before it reaches us, so ids are read in either case, and names keep the case in which
/// they arrive: the inventory decides (see `Inventory::resolve`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TargetName {
    /// `amphora-<uuid>`
    AmphoraId(AmphoraId),
    /// `amphora-<8 or more hex digits>`: the beginning of an id as it is written, lower case, with its dashes.
    AmphoraPrefix(String),
    /// `lb-<uuid>`, `lb-<uuid>.master`
    LoadBalancer(LoadBalancerId, Option<Member>),
    /// `lb-<name>`, `lb-<name>.2`
    LoadBalancerName(String, Option<Member>),
    /// `compute-<uuid>`: the amphora's server in Nova.
    Compute(Uuid),
    /// The name of an entry in the static inventory.
    Static(String),
}

/// Which amphora of a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Member {
    /// The one whose configured role is MASTER.
    Master,
    /// The one whose configured role is BACKUP.
    Backup,
    /// The one that has the VIP now. No inventory knows it: the amphorae have to be asked.
    Active,
    /// Counted from 1, in the order of the amphorae's ids.
    Index(u32),
}

impl TargetName {
    /// Reads a target name.
    ///
    /// The last `.master`, `.backup`, `.active` or `.<n>` of a load balancer's name is always the member. Names belong to tenants:
    /// were a load balancer called `web.master` to win over the master of `web`, its owner could catch the operator.
    ///
    /// # Errors
    /// A sentence saying which forms there are. It does not repeat the text.
    pub fn parse(host: &str) -> Result<Self, NameError> {
        if host.is_empty() || host.len() > LONGEST_TARGET {
            return Err(NameError::new(
                "a target has 1 to 255 characters: amphora-<uuid>, lb-<uuid>, lb-<name>",
            ));
        }
        if let Some(id) = strip_prefix_ignoring_case(host, "amphora-") {
            return amphora(id);
        }
        if let Some(name) = strip_prefix_ignoring_case(host, "lb-") {
            return load_balancer(name);
        }
        if let Some(id) = compute(host) {
            return Ok(Self::Compute(id));
        }
        if is_static_name(host) {
            return Ok(Self::Static(host.to_owned()));
        }
        Err(NameError::new(
            "a target is amphora-<uuid>, lb-<uuid>, lb-<name>, compute-<uuid> or a name made of A-Z a-z 0-9 . _ -",
        ))
    }
}

/// As it is typed; reads back to the same value.
impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let member = |member: &Option<Member>| member.map(|m| format!(".{m}")).unwrap_or_default();
        match self {
            Self::AmphoraId(id) => write!(f, "amphora-{id}"),
            Self::AmphoraPrefix(prefix) => write!(f, "amphora-{prefix}"),
            Self::LoadBalancer(id, m) => write!(f, "lb-{id}{}", member(m)),
            Self::LoadBalancerName(name, m) => write!(f, "lb-{name}{}", member(m)),
            Self::Compute(id) => write!(f, "compute-{}", id.hyphenated()),
            Self::Static(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master => f.write_str("master"),
            Self::Backup => f.write_str("backup"),
            Self::Active => f.write_str("active"),
            Self::Index(n) => write!(f, "{n}"),
        }
    }
}

/// May this be the name of a static entry? The prefixes `amphora-` and `lb-` belong to ids and load balancers, and
/// `compute-<uuid>` to servers in Nova.
pub fn is_static_name(text: &str) -> bool {
    (1..=LONGEST_TARGET).contains(&text.len())
        && !text.starts_with(['-', '.'])
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && strip_prefix_ignoring_case(text, "amphora-").is_none()
        && strip_prefix_ignoring_case(text, "lb-").is_none()
        && compute(text).is_none()
}

/// The server of `compute-<uuid>`, 36 characters in either case; anything else with this prefix is an ordinary name.
fn compute(text: &str) -> Option<Uuid> {
    let id = strip_prefix_ignoring_case(text, "compute-")?;
    (id.len() == 36).then(|| Uuid::try_parse(id).ok())?
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Where the dashes of a written UUID stand.
const DASHES: [usize; 4] = [8, 13, 18, 23];

fn amphora(id: &str) -> Result<TargetName, NameError> {
    let wrong = || {
        NameError::new("after amphora- comes the amphora's id, or its first 8 or more hex digits")
    };
    let mut written = String::with_capacity(36);
    let with_dashes = id.contains('-');
    for c in id.chars() {
        if !with_dashes && DASHES.contains(&written.len()) {
            written.push('-');
        }
        let dash_here = DASHES.contains(&written.len());
        match c {
            '-' if dash_here => written.push('-'),
            c if c.is_ascii_hexdigit() && !dash_here => written.push(c.to_ascii_lowercase()),
            _ => return Err(wrong()),
        }
        if written.len() > 36 {
            return Err(wrong());
        }
    }
    match written.len() {
        36 => AmphoraId::parse(&written).map(TargetName::AmphoraId),
        8..=35 => Ok(TargetName::AmphoraPrefix(written)),
        _ => Err(wrong()),
    }
}

fn load_balancer(text: &str) -> Result<TargetName, NameError> {
    let (name, member) = split_member(text)?;
    if let Ok(id) = LoadBalancerId::parse(name) {
        return Ok(TargetName::LoadBalancer(id, member));
    }
    if name.is_empty() || !name.chars().all(in_load_balancer_name) {
        return Err(NameError::new(
            "after lb- comes a load balancer's id or name; use the id where the name has blanks, quotes or : / + @ in it",
        ));
    }
    Ok(TargetName::LoadBalancerName(name.to_owned(), member))
}

fn split_member(text: &str) -> Result<(&str, Option<Member>), NameError> {
    let Some((name, last)) = text.rsplit_once('.') else {
        return Ok((text, None));
    };
    let member = match last.to_ascii_lowercase().as_str() {
        "master" => Member::Master,
        "backup" => Member::Backup,
        "active" => Member::Active,
        digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            let n = digits.parse().unwrap_or(0);
            // One spelling for one member: no zero, no leading zeros, nothing that does not fit.
            if n == 0 || digits.starts_with('0') {
                return Err(NameError::new(
                    "the amphorae of a load balancer are counted .1, .2, …",
                ));
            }
            Member::Index(n)
        }
        _ => return Ok((text, None)),
    };
    Ok((name, Some(member)))
}

/// Names belong to tenants and may hold anything. What could be shell text, a separator of the direct syntax or
/// invisible is not accepted; such load balancers are reached by id.
fn in_load_balancer_name(c: char) -> bool {
    let acts = "'\"`$\\;&<>|(){}[]*?!#~%^:/@+=,".contains(c);
    let invisible = c.is_control()
        || c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}');
    !acts && !invisible
}

/// The SSH user name of `ssh NAME@gateway`, without `-J`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectName {
    /// `operator:` where a password decides who it is; with a key or certificate it is not needed.
    pub operator: Option<UserName>,
    /// `landing+`, else the default that policy gives.
    pub landing: Option<Landing>,
    /// Where to.
    pub target: TargetName,
}

/// Who asks to be let in under this SSH user name, where it is not the key that says so: what stands before the colon, or
/// the whole of it. None where nobody can have that name.
pub fn operator_of(login: &str) -> Option<UserName> {
    match parse_direct(login) {
        Ok(direct) if direct.operator.is_some() => direct.operator,
        _ => UserName::parse(login).ok(),
    }
}

/// Reads `[landing+]target` or `operator:[landing+]target`.
///
/// # Errors
/// A sentence saying which forms there are.
pub fn parse_direct(user: &str) -> Result<DirectName, NameError> {
    let (operator, rest) = match user.split_once(':') {
        Some((operator, rest)) => (Some(UserName::parse(operator)?), rest),
        None => (None, user),
    };
    let (landing, target) = match rest.split_once('+') {
        Some((word, target)) => (Some(Landing::from_word(word)?), target),
        None => (None, rest),
    };
    Ok(DirectName {
        operator,
        landing,
        target: TargetName::parse(target)?,
    })
}
