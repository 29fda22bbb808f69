//! In: the section [keystone]. Out: how operators log in with the cloud's passwords, every setting with its default.
//! Never: a secret; operators type theirs.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use ampgate_access::table::Table;
use ampgate_inventory::{Bounds, Domain, Endpoint, OperatorSettings};

use super::units::{duration, show_duration};

const SECOND: Duration = Duration::from_secs(1);
/// Tokens, groups and projects are small.
const LONGEST_ANSWER: usize = 4 << 20;

/// Operators of the cloud.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keystone {
    pub operators: OperatorSettings,
    /// Whoever is logged in is asked about again this often.
    pub recheck: Duration,
    /// Whether their keypairs in Nova count as keys; asked for with the credential of [inventory.octavia].
    pub keypairs: bool,
    /// Sessions of whom Keystone has not confirmed for this long end.
    pub unconfirmed: Duration,
}

/// Reads the section.
pub fn read(s: Table<'_, '_>, base: &Path) -> Option<Keystone> {
    let auth_url = s.parsed("auth_url", |text| {
        Endpoint::parse(text).map(|_| text.to_owned())
    });
    let totp = s.parsed_if_there("totp", |text| match text {
        "required" => Ok(true),
        "by-rule" => Ok(false),
        _ => Err(format!("{text:?} is neither \"by-rule\" nor \"required\"")),
    });
    let domain = domain(&s);
    let connect = duration(&s, "connect_timeout", SECOND * 5, SECOND / 10..=SECOND * 60);
    let request = duration(
        &s,
        "request_timeout",
        SECOND * 15,
        SECOND / 10..=SECOND * 60,
    );
    let operators = auth_url.map(|auth_url| OperatorSettings {
        auth_url,
        domain,
        ca_file: s.string("ca_file").map(|at| base.join(at.value)),
        proxy: s.parsed_if_there("proxy", |text| {
            Endpoint::parse(text).map(|_| text.to_owned())
        }),
        bounds: Bounds {
            connect,
            request,
            body: LONGEST_ANSWER,
            idle: 0,
        },
        require_totp: totp.unwrap_or(false),
        roles: s.boolean("roles").unwrap_or(true),
    });
    let recheck = duration(&s, "recheck", SECOND * 60, SECOND..=SECOND * 3600);
    let unconfirmed = duration(
        &s,
        "unconfirmed",
        SECOND * 8 * 3600,
        SECOND..=SECOND * 604_800,
    );
    let keypairs = s.boolean("keypairs").unwrap_or(false);
    s.end();
    Some(Keystone {
        operators: operators?,
        recheck,
        keypairs,
        unconfirmed,
    })
}

/// By name or by id; `Default` where neither is said.
fn domain(s: &Table<'_, '_>) -> Domain {
    let (name, id) = (s.string("domain"), s.string("domain_id"));
    match (name, id) {
        (Some(name), Some(_)) => {
            s.fault(name.span, "`domain` and `domain_id` exclude each other");
            Domain::Name(name.value.to_owned())
        }
        (Some(name), None) => Domain::Name(name.value.to_owned()),
        (None, Some(id)) => Domain::Id(id.value.to_owned()),
        (None, None) => Domain::Name("Default".to_owned()),
    }
}

/// The section as it is in force.
pub fn show(keystone: &Keystone, out: &mut String) {
    let _ = writeln!(out, "\n[keystone]");
    let mut text = |key: &str, value: &str| {
        let _ = writeln!(out, "{key} = {value:?}");
    };
    let operators = &keystone.operators;
    text("auth_url", &operators.auth_url);
    match &operators.domain {
        Domain::Name(name) => text("domain", name),
        Domain::Id(id) => text("domain_id", id),
    }
    if let Some(file) = &operators.ca_file {
        text("ca_file", &file.display().to_string());
    }
    if let Some(proxy) = &operators.proxy {
        text("proxy", proxy);
    }
    let totp = match operators.require_totp {
        true => "required",
        false => "by-rule",
    };
    text("totp", totp);
    text("recheck", &show_duration(keystone.recheck));
    text("unconfirmed", &show_duration(keystone.unconfirmed));
    text("connect_timeout", &show_duration(operators.bounds.connect));
    text("request_timeout", &show_duration(operators.bounds.request));
    let _ = writeln!(
        out,
        "roles = {}\nkeypairs = {}",
        operators.roles, keystone.keypairs
    );
}
