//! In: policies with mistakes in them.
//! Out: each mistake found when the file is loaded, with its place.
//! Never: a mistake that becomes a rule nobody meant.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use ampgate_access::*;

use crate::world::*;

fn faults(text: &str) -> Vec<Fault> {
    match Policy::parse("policy.cedar", text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(faults) => faults,
    }
}

#[test]
fn what_only_octavia_knows_can_be_asked_for() {
    let text = r#"@id("a") permit (principal, action, resource) when {
        resource has status && resource.status != Status::"error" && resource has zone && resource.zone == "az1"
        && resource.load_balancer has flavor && resource.load_balancer.flavor == "f"
        && resource.load_balancer has availability_zone && resource.load_balancer.availability_zone == "az" };"#;
    let policy = Policy::parse("policy.cedar", text).unwrap();
    let users = kim(&[]);
    let circumstances = at(MONDAY, None);
    let kim = authenticated(&users, INSIDE, circumstances.now);
    let bare = amphora("web", SHOP, &[], None);
    assert!(!policy.may_connect(&kim, &bare, &circumstances));
    let mut known = (*bare).clone();
    let mut balancer = (*known.load_balancer).clone();
    balancer.flavor = Some("f".to_owned());
    balancer.availability_zone = Some("az".to_owned());
    known.load_balancer = balancer.into();
    known.zone = Some("az1".to_owned());
    for status in Status::ALL {
        known.status = Some(status);
        let may = policy.may_connect(&kim, &known.clone().into(), &circumstances);
        assert_eq!(may, status != Status::Error, "{status}");
    }
    let typo = text.replace("\"error\"", "\"eror\"");
    assert!(faults(&typo)[0].message.contains("eror"));
    // Optional: it has to be asked whether it is there.
    let rash = "permit (principal, action, resource) when { resource.zone == \"az1\" };";
    assert!(!faults(rash).is_empty());
}

#[test]
fn mistakes_are_found_at_load() {
    let mut wrong = Vec::new();
    for (text, place, expected) in [
        ("", (1, 1), "a policy without a rule"),
        (
            "// permit (principal, action, resource);\n",
            (1, 1),
            "a policy without a rule",
        ),
        (
            "permit (principal, action, resource)",
            (1, 37),
            "unexpected end of input",
        ),
        (
            "permit (principal, action, resource);\n\npermit (principle, action, resource);",
            (3, 9),
            "principle",
        ),
        (
            "permit (principal, action == Action::\"shel\", resource);",
            (1, 30),
            "unrecognized action",
        ),
        (
            "permit (principal in Grup::\"x\", action, resource);",
            (1, 22),
            "unrecognized entity type",
        ),
        (
            "permit (principal, action, resource) when { context.landing == Landing::\"rot\" };",
            (1, 64),
            "rot",
        ),
        (
            "permit (principal, action, resource) when { context.landing == \"root\" };",
            (1, 45),
            "compat",
        ),
        (
            "permit (principal, action, resource) when { context.lnding == Landing::\"root\" };",
            (1, 45),
            "lnding",
        ),
        (
            "permit (principal, action, resource) when { context.reason == \"x\" };",
            (1, 45),
            "reason",
        ),
        (
            "permit (principal, action, resource) when { resource.role == Role::\"master\" };",
            (1, 45),
            "role",
        ),
        (
            "permit (principal, action, resource) when { resource.load_balancer.tag.contains(\"x\") };",
            (1, 45),
            "tag",
        ),
        (
            "permit (principal, action, resource) when { context.source.isInRange(ip(\"10.0.0.0/33\")) };",
            (1, 70),
            "as IP address",
        ),
        (
            "permit (principal, action, resource) when { context.hour > \"7\" };",
            (1, 60),
            "unexpected type",
        ),
        (
            "permit (principal, action, resource) when { context.method == Method::\"pasword\" };",
            (1, 63),
            "pasword",
        ),
        (
            "permit (principal, action, resource in Group::\"x\");",
            (1, 1),
            "",
        ),
        (
            "permit (principal, action, resource) when { false };",
            (1, 1),
            "",
        ),
        (
            "permit (principal == ?principal, action, resource);",
            (1, 1),
            "slot",
        ),
        (
            "\n@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);",
            (3, 1),
            "is on line 2 already",
        ),
        (
            "@id(\"\") permit (principal, action, resource);",
            (1, 1),
            "@id is empty",
        ),
        (
            "@defaultlanding(\"root\") permit (principal, action, resource);",
            (1, 1),
            "unknown annotation @defaultlanding",
        ),
        (
            "@default_landing(\"rot\") permit (principal, action, resource);",
            (1, 1),
            "a landing is",
        ),
        (
            "@default_landing(\"root\") forbid (principal, action, resource);",
            (1, 1),
            "belongs to a permit",
        ),
        (
            "permit (principal, action, resource in LoadBalancer::\"web\");",
            (1, 40),
            "UUID",
        ),
        (
            "permit (principal, action, resource == Amphora::\"93B939B0-1C4E-4B8E-9D0C-0E1F6C1D2A3B\");",
            (1, 40),
            "lower case",
        ),
        (
            "permit (principal in Group::\"a b\", action, resource);",
            (1, 22),
            "a group name",
        ),
        (
            "permit (principal, action, resource) when { resource.load_balancer.name == \"p\u{430}ypal\" };",
            (1, 76),
            "mixed scripts",
        ),
    ] {
        let found = faults(text);
        let said: Vec<String> = found.iter().map(ToString::to_string).collect();
        let said = said.join("\n");
        // Cedar's own numbers mean nothing to people.
        let numbered = said.contains("policy0");
        let there = |f: &&Fault| f.message.contains(expected) && (f.line, f.column) == place;
        if numbered || !found.iter().any(|f| there(&f)) {
            wrong.push(format!("{text}\nwanted {place:?} {expected:?}\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn rules_have_names_and_lines() {
    let text = "// a ; in a comment, and \"a quote\n@id(\"one;\\\"two\\\"\")\npermit (principal, action, resource)\nwhen { context.hour > 1 }; forbid (principal, action, resource);\n\n// x\nforbid\n(principal, action, resource);\n";
    let policy = Policy::parse("p.cedar", text).unwrap_or_else(|f| panic!("{}", sentences(f)));
    let rules: Vec<String> = policy.rules().iter().map(ToString::to_string).collect();
    assert_eq!(
        rules,
        [
            "permit \"one;\\\"two\\\"\" (p.cedar:2)",
            "forbid \"p.cedar:4\" (p.cedar:4)",
            "forbid \"p.cedar:7\" (p.cedar:7)"
        ]
    );
}

#[test]
fn many_faults_at_once() {
    let text = "permit (principal in Grup::\"x\", action, resource);\npermit (principal, action == Action::\"shel\", resource);\n@x(\"y\")\npermit (principal, action, resource);";
    let mut lines: Vec<usize> = faults(text).iter().map(|f| f.line).collect();
    lines.dedup();
    assert_eq!(lines, [1, 2, 3]);
}
