//! In: policies about files, paths. Out: who may read, write, list and delete what.
//! Never: a permit where a forbid fits the path, with a slash at its end or without.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use ampgate_access::*;
use jiff::Timestamp;

use crate::world::*;

const SFTP: &str =
    r#"permit (principal, action in [Action::"connect", Action::"sftp"], resource);"#;
const PARTS: &str = r#"
permit (principal, action == Action::"connect", resource);
permit (principal, action in [Action::"read", Action::"list"], resource) when { context.path like "/var/log/*" };
"#;
const CERTS: &str = r#"
@id("certs") forbid (principal, action in [Action::"read", Action::"write", Action::"list", Action::"delete"], resource)
when { context.path like "/var/lib/octavia/certs/*" };
"#;

struct World {
    policy: Policy,
    grant: Result<Grant, Refusal>,
    now: Timestamp,
    principal: Principal,
    amphora: Arc<Amphora>,
}

fn world(text: &str) -> World {
    let when = at(MONDAY, None);
    let principal = authenticated(&kim(&[]), INSIDE, when.now);
    let amphora = amphora("web", SHOP, &[], None);
    let policy = Policy::parse("policy.cedar", text)
        .map_err(sentences)
        .unwrap();
    let grant = policy.decide(
        session(),
        &principal,
        &amphora,
        Landing::Plain,
        Action::Sftp,
        &when,
    );
    World {
        policy,
        grant,
        now: when.now,
        principal,
        amphora,
    }
}

impl World {
    fn may(&self, action: Action, path: &str) -> bool {
        let grant = self.grant.as_ref().unwrap();
        self.policy
            .decide_file(grant, action, path, self.now)
            .is_ok()
    }
}

#[test]
fn a_permit_of_sftp_is_one_of_all_four_however_it_is_written() {
    for text in [
        SFTP,
        r#"permit (principal, action, resource);"#,
        r#"permit (principal, action == Action::"connect", resource);
permit (principal, action == Action::"sftp", resource);"#,
    ] {
        let world = world(text);
        for action in Action::OF_FILES {
            assert!(world.may(action, "/any/where"), "{action} {text}");
        }
    }
}

#[test]
fn a_permit_of_parts_opens_the_channel_and_gives_the_parts() {
    let world = world(PARTS);
    assert!(world.may(Action::Read, "/var/log/syslog"));
    assert!(world.may(Action::List, "/var/log"));
    assert!(!world.may(Action::Read, "/var/logs"));
    assert!(!world.may(Action::Write, "/var/log/syslog"));
    assert!(!world.may(Action::Delete, "/var/log/syslog"));
    // The door is for whoever has any of it, and for nobody else.
    for text in [
        r#"permit (principal, action == Action::"connect", resource);"#,
        r#"permit (principal, action in [Action::"read"], resource) when { context.path like "/*" };"#,
        &format!("{PARTS}\nforbid (principal, action == Action::\"sftp\", resource);"),
        r#"permit (principal, action == Action::"connect", resource);
permit (principal == User::"lee", action == Action::"read", resource) when { context.path like "/*" };"#,
    ] {
        assert!(self::world(text).grant.is_err(), "{text}");
    }
}

#[test]
fn what_is_forbidden_below_a_directory_is_forbidden_of_itself() {
    let world = world(&format!("{SFTP}{CERTS}"));
    for path in [
        "/var/lib/octavia/certs",
        "/var/lib/octavia/certs/",
        "/var/lib/octavia/certs/web.pem",
        "/var/lib/octavia/certs/a/b",
    ] {
        for action in Action::OF_FILES {
            assert!(!world.may(action, path), "{action} {path}");
        }
    }
    for path in [
        "/var/lib/octavia",
        "/var/lib/octavia/certs2",
        "/",
        "/var/lib/octavia/cert",
    ] {
        assert!(world.may(Action::Read, path), "{path}");
    }
    let grant = world.grant.as_ref().unwrap();
    let refusal = world
        .policy
        .decide_file(grant, Action::Read, "/var/lib/octavia/certs", world.now)
        .unwrap_err();
    assert_eq!(
        (refusal.why(), refusal.rules()[0].id.as_str()),
        (Why::Forbidden, "certs")
    );
    // What lies above cannot be moved away, what lies beside can.
    let below = |path| world.policy.decide_below(grant, path, world.now).is_err();
    for path in [
        "/",
        "/var",
        "/var/lib/octavia",
        "/var/lib/octavia/",
        "/var/lib/octavia/certs",
    ] {
        assert!(below(path), "{path}");
    }
    for path in [
        "/var/li",
        "/var/lib/octavia/cert",
        "/tmp",
        "/var/lib/octavia/certs2",
    ] {
        assert!(!below(path), "{path}");
    }
}

#[test]
fn a_rule_about_files_that_cannot_be_evaluated_refuses() {
    let broken = r#"forbid (principal, action == Action::"read", resource) when { context.hour * 9223372036854775807 > 1 };"#;
    let world = world(&format!("{SFTP}\n{broken}"));
    assert!(!world.may(Action::Read, "/x"));
    assert!(world.may(Action::Write, "/x"));
}

#[test]
fn a_rule_about_paths_belongs_to_files_only() {
    let fault = |text: &str| Policy::parse("policy.cedar", text).is_err();
    assert!(fault(
        r#"permit (principal, action, resource) when { context.path like "/x/*" };"#
    ));
    assert!(fault(
        r#"forbid (principal, action == Action::"sftp", resource) when { context.path like "/x/*" };"#
    ));
}

#[test]
fn the_shipped_policy_keeps_tenants_keys() {
    let world = world(&format!("{SFTP}{}", config("policy.cedar")));
    for action in Action::OF_FILES {
        assert!(!world.may(action, "/var/lib/octavia/certs"));
        assert!(!world.may(action, "/var/lib/octavia/certs/5e1a1ba0/web.pem"));
        assert!(world.may(action, "/var/lib/octavia/haproxy.cfg"));
    }
}

#[test]
fn an_answer_about_a_file_names_its_rule() {
    let world = world(&format!("{SFTP}{CERTS}"));
    let when = at(MONDAY, None);
    let explain = |action, path| {
        let subject = world.principal.subject();
        world
            .policy
            .explain_file(subject, &world.amphora, Landing::Plain, action, path, &when)
            .to_string()
    };
    assert!(explain(Action::Read, "/var/lib/octavia/certs").starts_with("no\n  forbid \"certs\""));
    assert!(explain(Action::Read, "/etc/hosts").starts_with("yes\n  permit"));
    let parts = self::world(PARTS);
    let said = parts.policy.explain_file(
        parts.principal.subject(),
        &parts.amphora,
        Landing::Plain,
        Action::Write,
        "/x",
        &when,
    );
    assert!(said.to_string().contains("no rule permits write"), "{said}");
}

#[test]
fn content_is_kept_where_a_permit_that_decides_says_so() {
    let kept = r#"
@keep("contents") permit (principal, action in [Action::"read", Action::"list"], resource) when { context.path like "/etc/web/*" };
"#;
    let world = world(&format!("{SFTP}{kept}{CERTS}"));
    let grant = world.grant.as_ref().unwrap();
    let keeps = |action, path| {
        let allowed = world.policy.decide_file(grant, action, path, world.now);
        allowed.unwrap().keeps
    };
    assert!(keeps(Action::Read, "/etc/web/x"));
    assert!(!keeps(Action::Read, "/etc/other"));
    assert!(!keeps(Action::Write, "/etc/web/x"), "it permits no write");
    assert!(!keeps(Action::List, "/etc/web/x"), "nothing passes");
    let below = |action, path| world.policy.keeps_below(grant, action, path, world.now);
    assert!(below(Action::Read, "/etc") && below(Action::Read, "/etc/web/x"));
    assert!(!below(Action::Read, "/var") && !below(Action::Write, "/etc"));
    // Of a forbidden file nothing passes.
    assert!(!below(Action::Read, "/var/lib/octavia/certs/web.pem"));
    assert!(world.policy.keeping().is_some());
}

#[test]
fn keep_says_contents_and_stands_on_a_permit() {
    for (text, fault) in [
        (
            r#"@keep("names") permit (principal, action, resource);"#,
            "names",
        ),
        (
            r#"@keep("contents") forbid (principal, action, resource);"#,
            "belongs to a permit",
        ),
    ] {
        let faults = sentences(Policy::parse("policy.cedar", text).unwrap_err());
        assert!(faults.contains(fault), "{faults}");
    }
}
