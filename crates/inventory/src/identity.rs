//! In: what Keystone answers about a person: tokens, receipts, groups, projects.
//! Out: who it is, and of what they are a member.
//! Never: part of a list taken for the whole, or a person of another name or domain than was asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use ampgate_access::{GroupName, ProjectId, UserName};
use jiff::Timestamp;
use serde::Deserialize;

use crate::cloud::Domain;

/// A token without readable times is taken for one that lives this long.
const UNSAID: Duration = Duration::from_secs(300);
/// The longest id that Keystone gives: 64 hex digits, for users of LDAP.
const LONGEST_ID: usize = 64;

#[derive(Deserialize)]
struct TokenBody {
    token: TokenWords,
}

#[derive(Deserialize)]
struct TokenWords {
    user: Person,
    #[serde(default)]
    methods: BTreeSet<String>,
    issued_at: Option<String>,
    expires_at: Option<String>,
    #[serde(default)]
    roles: Vec<Entry>,
}

#[derive(Deserialize)]
struct ReceiptBody {
    receipt: ReceiptWords,
    required_auth_methods: Vec<BTreeSet<String>>,
}

#[derive(Deserialize)]
struct ReceiptWords {
    user: Person,
    #[serde(default)]
    methods: BTreeSet<String>,
}

/// A user as tokens and receipts name them.
#[derive(Deserialize)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
    domain: Entry,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Entry>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct ProjectList {
    projects: Vec<Entry>,
    #[serde(default)]
    truncated: bool,
}

/// A token that was issued to a person.
pub(crate) struct Issued {
    pub(crate) person: Person,
    pub(crate) methods: BTreeSet<String>,
    /// By Keystone's clock: ours need not agree with it.
    pub(crate) lifetime: Duration,
    /// In the token's project, if it has one.
    pub(crate) roles: BTreeSet<String>,
}

/// The password was right, and is not enough.
pub(crate) struct HalfWay {
    pub(crate) person: Person,
    /// Whether a one-time code is what is missing.
    pub(crate) wants_totp: bool,
    /// All that Keystone would take, for the journal.
    pub(crate) wanted: String,
}

fn sense<T>(body: Result<T, serde_json::Error>, what: &str) -> Result<T, String> {
    body.map_err(|error| format!("line {}: no {what} in it", error.line()))
}

pub(crate) fn issued(body: &[u8]) -> Result<Issued, String> {
    let token = sense(serde_json::from_slice::<TokenBody>(body), "token")?.token;
    let at = |text: Option<String>| text?.parse::<Timestamp>().ok();
    let lifetime = match (at(token.issued_at), at(token.expires_at)) {
        (Some(from), Some(to)) => Duration::try_from(to.duration_since(from)).unwrap_or(UNSAID),
        _ => UNSAID,
    };
    Ok(Issued {
        person: token.user,
        methods: token.methods,
        lifetime,
        roles: token.roles.into_iter().filter_map(|r| r.name).collect(),
    })
}

pub(crate) fn half_way(body: &[u8]) -> Result<HalfWay, String> {
    let body = sense(serde_json::from_slice::<ReceiptBody>(body), "receipt")?;
    let have = body.receipt.methods;
    let missing = |rule: &BTreeSet<String>| rule.difference(&have).cloned().collect::<Vec<_>>();
    let rules = body.required_auth_methods;
    let shown: Vec<String> = rules
        .iter()
        .map(|rule| Vec::from_iter(rule.iter().cloned()).join(" and "))
        .collect();
    Ok(HalfWay {
        person: body.receipt.user,
        wants_totp: rules.iter().any(|rule| missing(rule) == ["totp"]),
        wanted: shown.join(", or "),
    })
}

pub(crate) fn groups(body: &[u8]) -> Result<BTreeSet<GroupName>, String> {
    let list = sense(serde_json::from_slice::<Groups>(body), "list of groups")?;
    if list.truncated {
        return Err("Keystone cut the list of groups short (list_limit)".to_owned());
    }
    let names = list.groups.into_iter().filter_map(|group| group.name);
    // No rule can speak of a group whose name cannot be written.
    Ok(names
        .filter_map(|name| GroupName::of_keystone(&name).ok())
        .collect())
}

pub(crate) fn projects(body: &[u8]) -> Result<BTreeSet<ProjectId>, String> {
    let list = sense(
        serde_json::from_slice::<ProjectList>(body),
        "list of projects",
    )?;
    if list.truncated {
        return Err("Keystone cut the list of projects short (list_limit)".to_owned());
    }
    let ids = list.projects.iter();
    Ok(ids.filter_map(|p| ProjectId::parse(&p.id).ok()).collect())
}

impl Person {
    /// Whether it is exactly who was asked for: a database may find names whatever their case and blanks at the end.
    pub(crate) fn is(&self, name: &UserName, domain: &Domain) -> bool {
        let of_domain = match domain {
            Domain::Id(id) => *id == self.domain.id,
            Domain::Name(name) => Some(name) == self.domain.name.as_ref(),
        };
        let id = self.id.as_bytes();
        let usable = (1..=LONGEST_ID).contains(&id.len())
            && id.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
        usable && of_domain && self.name == name.as_str()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TOKEN: &str = r#"{"token":{"methods":["password"],"user":{"domain":{"id":"default","name":"Default"},"id":"ede8217f45364498b41587b49d94085e","name":"alice","password_expires_at":null},"audit_ids":["iFSW3JiTSnyW7HayadPi8g"],"expires_at":"2026-11-22T11:26:44.000000Z","issued_at":"2026-11-22T10:26:44.000000Z","roles":[{"id":"1","name":"member"}]}}"#;

    #[test]
    fn a_person_is_exactly_who_was_asked_for() {
        let issued = issued(TOKEN.as_bytes()).unwrap();
        assert_eq!(issued.lifetime, Duration::from_secs(3600));
        assert_eq!(issued.roles, BTreeSet::from(["member".to_owned()]));
        let is =
            |name: &str, domain: Domain| issued.person.is(&UserName::parse(name).unwrap(), &domain);
        assert!(is("alice", Domain::Id("default".to_owned())));
        assert!(is("alice", Domain::Name("Default".to_owned())));
        assert!(!is("Alice", Domain::Id("default".to_owned())));
        assert!(!is("alice", Domain::Id("Default".to_owned())));
        assert!(!is("alice", Domain::Name("default".to_owned())));
    }

    #[test]
    fn a_receipt_says_what_is_missing() {
        let body = |required: &str| {
            format!(
                r#"{{"receipt":{{"methods":["password"],"user":{{"id":"e","name":"dave","domain":{{"id":"default","name":"Default"}}}}}},"required_auth_methods":{required}}}"#
            )
        };
        let read = |required: &str| half_way(body(required).as_bytes());
        assert!(read(r#"[["password","totp"]]"#).unwrap().wants_totp);
        assert!(
            read(r#"[["saml2"],["totp","password"]]"#)
                .unwrap()
                .wants_totp
        );
        let other = read(r#"[["password","hardware"],["totp","x509"]]"#).unwrap();
        assert!(!other.wants_totp);
        assert_eq!(other.wanted, "hardware and password, or totp and x509");
        assert!(read("3").is_err() && half_way(b"{}").is_err());
    }

    #[test]
    fn a_list_that_was_cut_short_is_no_list() {
        let found =
            groups(br#"{"groups":[{"id":"1","name":"netops"},{"id":"2","name":"two words"}]}"#);
        let netops = GroupName::parse("keystone:netops").unwrap();
        assert_eq!(found, Ok(BTreeSet::from([netops])));
        assert!(groups(br#"{"groups":[],"truncated":true}"#).is_err());
        assert!(projects(br#"{"projects":[],"truncated":true}"#).is_err());
        assert!(groups(b"{}").is_err() && projects(b"[]").is_err());
    }
}
