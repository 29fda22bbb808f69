//! In: principals, sessions of others, rules.
//! Out: rights to watch, replay and end; that none of them comes with landing, and none where something is not known.
//! Never: a right for a session that does not exist.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::Arc;

use ampgate_access::*;

use crate::world::*;

const LANDS: &str = r#"permit (principal in Group::"operators",
    action in [Action::"connect", Action::"shell", Action::"exec", Action::"sftp", Action::"forward"], resource);"#;
const WATCHES: &str = r#"@id("watch") permit (principal in Group::"operators", action == Action::"watch", resource)
    when { context.landing == Landing::"plain" };"#;
const TAGGED: &str = r#"forbid (principal, action, resource) when { resource.load_balancer.tags.contains("secret") };"#;

fn ask(policy: &str, of: &Overseen, action: Action) -> Result<Oversight, Refusal> {
    let policy =
        Policy::parse("policy.cedar", policy).unwrap_or_else(|f| panic!("{}", sentences(f)));
    let users = kim(&["operators"]);
    let when = at(MONDAY, None);
    let principal = authenticated(&users, INSIDE, when.now);
    policy.oversee(session(), &principal, of, action, &when)
}

fn web(landing: Landing) -> Overseen {
    Overseen::known(amphora("web", SHOP, &["production"], None), landing)
}

fn remembered() -> Overseen {
    let known = amphora("web", SHOP, &["production"], None);
    Overseen::remembered(
        &known.id.to_string(),
        &known.load_balancer.id.to_string(),
        "web",
        known.load_balancer.project.as_str(),
        Landing::Plain,
    )
    .unwrap()
}

#[test]
fn none_of_it_comes_with_landing() {
    for action in Action::OF_OTHERS {
        let refusal = ask(LANDS, &web(Landing::Plain), action).unwrap_err();
        assert_eq!(refusal.why(), Why::NotPermitted, "{action}");
    }
}

#[test]
fn each_comes_alone_and_without_connect() {
    let right = ask(WATCHES, &web(Landing::Plain), Action::Watch).unwrap();
    assert_eq!(right.action(), Action::Watch);
    assert_eq!(right.session(), session());
    assert_eq!(right.rules()[0].id, "watch");
    assert!(ask(WATCHES, &web(Landing::Root), Action::Watch).is_err());
    for other in [Action::Replay, Action::Kill] {
        assert!(
            ask(WATCHES, &web(Landing::Plain), other).is_err(),
            "{other}"
        );
    }
}

/// A rule that names no action permits all of them; but nothing that lands is asked for here.
#[test]
fn landing_is_no_oversight() {
    let all = "permit (principal, action, resource);";
    for action in Action::OF_OTHERS {
        assert!(ask(all, &web(Landing::Netns), action).is_ok());
    }
    for action in Action::ALL.into_iter().chain(Action::OF_FILES) {
        let refusal = ask(all, &web(Landing::Plain), action).unwrap_err();
        assert_eq!(refusal.why(), Why::Mismatch, "{action}");
    }
}

/// The tags of an amphora that has gone are not known: a rule that asks for them refuses, whether it would have or not.
#[test]
fn what_is_not_remembered_refuses() {
    assert!(ask(WATCHES, &remembered(), Action::Watch).is_ok());
    let with_tags = format!("{WATCHES}\n{TAGGED}");
    assert!(ask(&with_tags, &web(Landing::Plain), Action::Watch).is_ok());
    let refusal = ask(&with_tags, &remembered(), Action::Watch).unwrap_err();
    assert_eq!(refusal.why(), Why::PolicyError);
    let project = amphora("web", SHOP, &[], None)
        .load_balancer
        .project
        .clone();
    let of_project = |project: &str| {
        let rule = format!(
            "permit (principal, action == Action::\"replay\", resource in Project::\"{project}\");"
        );
        ask(&rule, &remembered(), Action::Replay)
    };
    assert!(of_project(project.as_str()).is_ok());
    assert!(of_project("another").is_err());
    for (amphora, balancer, project) in [("", "", ""), ("x", "y", "z")] {
        assert!(Overseen::remembered(amphora, balancer, "web", project, Landing::Plain).is_err());
    }
}

#[test]
fn a_right_ends_with_the_rule_that_gave_it() {
    let right = ask(WATCHES, &web(Landing::Plain), Action::Watch).unwrap();
    let users = kim(&["operators"]);
    let when = at(MONDAY, None);
    let principal = authenticated(&users, INSIDE, when.now);
    let still = |text: &str| {
        let policy = Policy::parse("policy.cedar", text).unwrap();
        policy.still_oversees(&right, &principal, None, when.now)
    };
    assert!(still(WATCHES).is_ok());
    assert!(still(LANDS).is_err());
    // The amphora's id serves another project now: the right is to what was of the first one.
    let here = right.amphora();
    let rule = format!(
        "permit (principal, action == Action::\"watch\", resource in Project::\"{}\");",
        here.load_balancer.project
    );
    let policy = Policy::parse("policy.cedar", &rule).unwrap();
    let mut moved = Amphora::clone(here);
    let mut balancer = LoadBalancer::clone(&moved.load_balancer);
    balancer.project = ProjectId::parse("another").unwrap();
    moved.load_balancer = Arc::new(balancer);
    for now_known in [None, Some(Arc::clone(here)), Some(Arc::new(moved))] {
        let still = policy.still_oversees(&right, &principal, now_known.as_ref(), when.now);
        assert!(still.is_ok());
    }
}

#[test]
fn a_session_that_does_not_exist_is_refused_as_one_that_does() {
    let policy = Policy::parse("policy.cedar", "permit (principal, action, resource);").unwrap();
    let users = kim(&["operators"]);
    let when = at(MONDAY, None);
    let principal = authenticated(&users, INSIDE, when.now);
    let refusal = policy.oversee_decoy(&principal, Action::Watch, &when);
    assert_eq!(refusal.why(), Why::Unknown);
}
