//! In: principals, amphorae, rules.
//! Out: grants and refusals as promised; nothing that could not be evaluated allows anything.
//! Never: a timing assertion.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

use std::sync::Arc;

use ampgate_access::*;
use proptest::prelude::*;

use crate::world::*;

const ALL: &str = "@id(\"all\") permit (principal, action, resource);";

fn policy(text: &str) -> Policy {
    Policy::parse("policy.cedar", text).unwrap_or_else(|f| panic!("{}", sentences(f)))
}

struct Asked {
    users: Users,
    principal: Principal,
    amphora: Arc<Amphora>,
    when: Circumstances,
}

fn asked() -> Asked {
    let users = kim(&["operators"]);
    let when = at(MONDAY, None);
    Asked {
        principal: authenticated(&users, INSIDE, when.now),
        users,
        amphora: amphora("web", SHOP, &["production"], Some(Role::Master)),
        when,
    }
}

impl Asked {
    fn decide(&self, policy: &Policy, landing: Landing, action: Action) -> Result<Grant, Refusal> {
        policy.decide(
            session(),
            &self.principal,
            &self.amphora,
            landing,
            action,
            &self.when,
        )
    }
}

#[test]
fn a_grant_says_what_it_is_about() {
    let asked = asked();
    let grant = asked
        .decide(&policy(ALL), Landing::Netns, Action::Exec)
        .unwrap();
    assert_eq!(
        (grant.landing(), grant.action(), grant.session()),
        (Landing::Netns, Action::Exec, session())
    );
    assert_eq!(grant.principal(), &asked.principal);
    assert_eq!(grant.amphora(), &asked.amphora);
    assert_eq!(
        grant
            .rules()
            .iter()
            .map(|r| r.id.as_str())
            .collect::<Vec<_>>(),
        ["all"]
    );
}

#[test]
fn connect_is_needed_for_everything_else() {
    let asked = asked();
    let without = policy("permit (principal, action == Action::\"shell\", resource);");
    let refusal = asked
        .decide(&without, Landing::Plain, Action::Shell)
        .unwrap_err();
    assert_eq!(
        (refusal.why(), refusal.operator_text()),
        (Why::NotPermitted, NO_SUCH_AMPHORA)
    );
    assert!(!without.may_connect(&asked.principal, &asked.amphora, &asked.when));
    let closed = policy(&format!(
        "{ALL}\n@id(\"door\") forbid (principal, action == Action::\"connect\", resource);"
    ));
    for action in Action::ALL {
        let refusal = asked.decide(&closed, Landing::Plain, action).unwrap_err();
        assert_eq!(
            (refusal.why(), refusal.rules()[0].id.as_str()),
            (Why::Forbidden, "door")
        );
    }
}

/// Below the reserve a grant is not enough: a rule must say so, and a forbid wins over the one that permits everything.
#[test]
fn a_glass_is_broken_by_a_rule_only() {
    let asked = asked();
    let now = asked.when.now;
    let grant = |policy: &Policy| asked.decide(policy, Landing::Plain, Action::Shell).unwrap();
    let all = policy(ALL);
    assert_eq!(all.break_glass(&grant(&all), now).unwrap().len(), 1);
    let parts =
        policy("permit (principal, action in [Action::\"connect\", Action::\"shell\"], resource);");
    let refusal = parts.break_glass(&grant(&parts), now).unwrap_err();
    assert_eq!(refusal.why(), Why::NotPermitted);
    let never = policy(&format!(
        "{ALL}\n@id(\"never\") forbid (principal, action == Action::\"break-glass\", resource);"
    ));
    let refusal = never.break_glass(&grant(&never), now).unwrap_err();
    assert_eq!(refusal.rules()[0].id, "never");
    assert_eq!("break-glass".parse(), Ok(Action::BreakGlass));
}

#[test]
fn a_rule_that_cannot_be_evaluated_refuses() {
    let asked = asked();
    // Cedar leaves such a forbid out, and would allow.
    for effect in ["forbid", "permit"] {
        let broken = policy(&format!(
            "{ALL}\n@id(\"overflow\")\n{effect} (principal, action == Action::\"shell\", resource) when {{ context.hour * 9223372036854775807 > 1 }};"
        ));
        let refusal = asked
            .decide(&broken, Landing::Plain, Action::Shell)
            .unwrap_err();
        assert_eq!(refusal.why(), Why::PolicyError);
        assert!(
            refusal.errors()[0].contains("\"overflow\" (policy.cedar:2) could not be evaluated"),
            "{:?}",
            refusal.errors()
        );
        assert!(asked.decide(&broken, Landing::Plain, Action::Exec).is_ok());
        let said = broken.explain(
            asked.principal.subject(),
            &asked.amphora,
            Landing::Plain,
            Action::Shell,
            &asked.when,
        );
        assert!(
            !said.allowed && said.to_string().contains("that is a refusal"),
            "{said}"
        );
    }
}

#[test]
fn unknown_and_forbidden_are_one_answer() {
    let asked = asked();
    let nothing = policy("forbid (principal, action, resource);");
    let unknown = nothing.decide_decoy(&asked.principal, &asked.when);
    let forbidden = nothing.refusal_of_target(&asked.principal, &asked.amphora, &asked.when);
    let decided = asked
        .decide(&nothing, Landing::Root, Action::Shell)
        .unwrap_err();
    assert_eq!(unknown.operator_text(), forbidden.operator_text());
    assert_eq!(unknown.operator_text(), decided.operator_text());
    assert_eq!(
        (unknown.why(), forbidden.why()),
        (Why::Unknown, Why::Forbidden)
    );
    // Whatever the rules permit, nothing is granted for what is not there.
    assert_eq!(
        policy(ALL)
            .decide_decoy(&asked.principal, &asked.when)
            .why(),
        Why::Unknown
    );
}

#[test]
fn who_may_connect_hears_more() {
    let asked = asked();
    let plain = policy(
        "permit (principal, action, resource) when { context.landing == Landing::\"plain\" };",
    );
    let refusal = asked
        .decide(&plain, Landing::Root, Action::Shell)
        .unwrap_err();
    assert_eq!(
        refusal.operator_text(),
        "the policy does not allow you shell as root on this amphora (shell is allowed as plain)"
    );
}

#[test]
fn default_landings() {
    let asked = asked();
    let of =
        |text: &str| policy(text).default_landing(&asked.principal, &asked.amphora, &asked.when);
    assert_eq!(of(ALL), Some(Landing::Plain));
    assert_eq!(
        of("permit (principal, action, resource) when { context.landing != Landing::\"plain\" };"),
        Some(Landing::Root)
    );
    assert_eq!(
        of("@default_landing(\"netns\") permit (principal, action, resource);"),
        Some(Landing::Netns)
    );
    let wish_forbidden = "@default_landing(\"netns\") permit (principal, action, resource);\nforbid (principal, action, resource) when { context.landing == Landing::\"netns\" };";
    assert_eq!(of(wish_forbidden), Some(Landing::Plain));
    let others_wish = &format!(
        "{ALL} @default_landing(\"root\") permit (principal in Group::\"others\", action, resource);"
    );
    assert_eq!(of(others_wish), Some(Landing::Plain));
    assert_eq!(
        of("permit (principal, action == Action::\"connect\", resource);"),
        None
    );
    assert_eq!(
        of("permit (principal, action in [Action::\"connect\", Action::\"sftp\"], resource);"),
        Some(Landing::Plain)
    );
}

#[test]
fn what_changed_ends_grants() {
    let asked = asked();
    let all = policy(ALL);
    let grant = asked.decide(&all, Landing::Root, Action::Shell).unwrap();
    let now = asked.when.now;
    let recheck = |policy: &Policy, principal: &Principal, amphora: &Arc<Amphora>| {
        policy
            .recheck(&grant, principal, amphora, now)
            .map_err(|r| r.why())
    };
    assert_eq!(recheck(&all, &asked.principal, &asked.amphora), Ok(()));
    let plain = policy(
        "permit (principal, action, resource) when { context.landing == Landing::\"plain\" };",
    );
    assert_eq!(
        recheck(&plain, &asked.principal, &asked.amphora),
        Err(Why::NotPermitted)
    );
    // The person left the group, in users.toml.
    let operators = policy("permit (principal in Group::\"operators\", action, resource);");
    let moved = kim(&["others"]).recheck(&asked.principal, now).unwrap();
    assert_eq!(
        recheck(&operators, &asked.principal, &asked.amphora),
        Ok(())
    );
    assert_eq!(
        recheck(&operators, &moved, &asked.amphora),
        Err(Why::NotPermitted)
    );
    // The load balancer got a tag, in the inventory.
    let untagged = policy(
        "permit (principal, action, resource) unless { resource.load_balancer.tags.contains(\"restricted\") };",
    );
    let tagged = amphora("web", SHOP, &["restricted"], Some(Role::Master));
    assert_eq!(recheck(&untagged, &asked.principal, &asked.amphora), Ok(()));
    assert_eq!(
        recheck(&untagged, &asked.principal, &tagged),
        Err(Why::NotPermitted)
    );
    // Another amphora, another connection.
    let vault = amphora("vault", BANK, &[], None);
    assert_eq!(recheck(&all, &asked.principal, &vault), Err(Why::Mismatch));
    let elsewhere = authenticated(&asked.users, "10.20.9.9", now);
    assert_eq!(
        recheck(&all, &elsewhere, &asked.amphora),
        Err(Why::Mismatch)
    );
    // Hours go by.
    let morning = policy("permit (principal, action, resource) when { context.hour < 12 };");
    assert_eq!(recheck(&morning, &asked.principal, &asked.amphora), Ok(()));
    let noon = morning.recheck(
        &grant,
        &asked.principal,
        &asked.amphora,
        "2026-11-23T12:00:00Z".parse().unwrap(),
    );
    assert_eq!(
        noon.unwrap_err().ended_text(),
        "the policy no longer allows this session"
    );
}

#[test]
fn time_that_is_over_grants_nothing() {
    let text = format!(
        "[[user]]\nname = \"kim\"\nexpires = 2026-11-24\nkeys = ['{}']\n",
        key("ed")
    );
    let users = Users::parse("users.toml", &text).unwrap();
    let when = at(MONDAY, None);
    let principal = authenticated(&users, INSIDE, when.now);
    let amphora = amphora("web", SHOP, &[], None);
    let all = policy(ALL);
    let grant = all
        .decide(
            session(),
            &principal,
            &amphora,
            Landing::Plain,
            Action::Shell,
            &when,
        )
        .unwrap();
    let end = grant.ends().unwrap();
    assert_eq!(
        all.recheck(&grant, &principal, &amphora, end)
            .unwrap_err()
            .why(),
        Why::Expired
    );
    let late = Circumstances {
        now: end,
        reason: None,
        transfers: Vec::new(),
    };
    assert!(!all.may_connect(&principal, &amphora, &late));
    let refusal = all
        .decide(
            session(),
            &principal,
            &amphora,
            Landing::Plain,
            Action::Shell,
            &late,
        )
        .unwrap_err();
    assert_eq!(refusal.why(), Why::Expired);
}

#[test]
fn who_can_and_what_can() {
    let text = "permit (principal in Group::\"operators\", action in [Action::\"connect\", Action::\"shell\"], resource) when { context.landing == Landing::\"plain\" };
        permit (principal == User::\"lee\", action, resource in Project::\"0b4d2f6a8c1e4a3b9d7f5e3c1a2b4d6f\");";
    let users = "[[user]]\nname = \"kim\"\ngroups = [\"operators\"]\n[[user]]\nname = \"lee\"\n[[user]]\nname = \"gone\"\ngroups = [\"operators\"]\ndisabled = true\n";
    let users = Users::parse("users.toml", users).unwrap();
    let (policy, when) = (policy(text), at(MONDAY, None));
    let amphorae = [
        amphora("web", SHOP, &[], None),
        amphora("vault", BANK, &[], None),
    ];
    let source = INSIDE.parse().unwrap();
    let who: Vec<String> = policy
        .who_can(&users, &amphorae[1], source, &when)
        .iter()
        .map(|r| format!("{} {:?}", r.user, r.landings))
        .collect();
    assert_eq!(
        who,
        [
            "kim [(Plain, [Shell])]",
            "lee [(Plain, [Shell, Exec, Sftp, Forward, BreakGlass, Watch, Replay, Kill]), (Root, [Shell, Exec, Sftp, Forward, BreakGlass, Watch, Replay, Kill]), (Netns, [Shell, Exec, Sftp, Forward, BreakGlass, Watch, Replay, Kill])]"
        ]
    );
    let lee = users.get(&UserName::parse("lee").unwrap()).unwrap();
    let what: Vec<&str> = policy
        .what_can(&lee.subject(source), &amphorae, &when)
        .iter()
        .map(|r| r.amphora.load_balancer.name.as_str())
        .map(|n| if n == "vault" { "vault" } else { "web" })
        .collect();
    assert_eq!(what, ["vault"]);
}

const NO_RSYNC: &str = "@id(\"all\") permit (principal, action, resource);
    @id(\"no rsync\") forbid (principal, action == Action::\"exec\", resource) when { context has transfer && context.transfer == \"rsync\" };";

/// What a command looks like counts for `exec`, for each tool that it may be, and for nothing else.
#[test]
fn a_rule_speaks_of_the_tool_of_a_command() {
    let mut asked = asked();
    let (no_rsync, all) = (policy(NO_RSYNC), policy(ALL));
    let some = policy(
        "permit (principal, action in [Action::\"connect\", Action::\"exec\"], resource) unless { context has transfer && context.transfer != \"scp\" };",
    );
    let nowhere = policy(&format!(
        "{ALL} @id(\"no\") forbid (principal, action, resource) when {{ context has transfer }};"
    ));
    for (command, by_forbid, by_permit, by_any) in [
        ("id", true, true, true),
        ("scp -t /tmp", true, true, false),
        ("rsync --server -r . /tmp", false, false, false),
        ("scp -t /tmp; rsync --server -r . /tmp", false, false, false),
    ] {
        asked.when.transfers = Ask::Exec(command.as_bytes().to_vec()).transfers();
        for (policy, expected) in [
            (&no_rsync, by_forbid),
            (&some, by_permit),
            (&nowhere, by_any),
        ] {
            let answer = asked.decide(policy, Landing::Plain, Action::Exec);
            assert_eq!(answer.is_ok(), expected, "{command}: {answer:?}");
            // Another question has no such word, even to a rule about everything.
            for action in [Action::Connect, Action::Shell, Action::Sftp] {
                let answer = asked.decide(policy, Landing::Plain, action);
                let offered = action == Action::Connect || !std::ptr::eq(policy, &some);
                assert_eq!(answer.is_ok(), offered, "{command} {action}: {answer:?}");
            }
        }
    }
    let refusal = asked
        .decide(&no_rsync, Landing::Plain, Action::Exec)
        .unwrap_err();
    assert_eq!(
        (refusal.why(), refusal.rules()[0].id.as_str()),
        (Why::Forbidden, "no rsync")
    );
    assert!(
        refusal
            .operator_text()
            .starts_with("the policy does not allow you exec of scp and rsync as plain"),
        "{}",
        refusal.operator_text()
    );
    // A grant keeps what its command looked like: a new rule ends the session.
    let grant = asked.decide(&all, Landing::Plain, Action::Exec).unwrap();
    let now = asked.when.now;
    assert!(
        all.recheck(&grant, &asked.principal, &asked.amphora, now)
            .is_ok()
    );
    let ended = no_rsync.recheck(&grant, &asked.principal, &asked.amphora, now);
    assert_eq!(ended.unwrap_err().why(), Why::Forbidden);
    assert_eq!(Ask::Shell.transfers(), []);
    assert_eq!(Ask::Sftp.transfers(), []);
}

/// A rule against a tool in one landing does not lead the command to another.
#[test]
fn a_tool_does_not_choose_the_landing() {
    let mut asked = asked();
    let policy = policy(
        "permit (principal, action in [Action::\"connect\", Action::\"exec\"], resource);
         forbid (principal, action == Action::\"exec\", resource) when { context has transfer && context.landing == Landing::\"plain\" };",
    );
    asked.when.transfers = vec![Transfer::Rsync];
    assert_eq!(
        policy.default_landing(&asked.principal, &asked.amphora, &asked.when),
        Some(Landing::Plain)
    );
    let refusal = asked
        .decide(&policy, Landing::Plain, Action::Exec)
        .unwrap_err();
    assert!(
        refusal
            .operator_text()
            .ends_with("(exec of rsync is allowed as root and netns)"),
        "{}",
        refusal.operator_text()
    );
}

#[test]
fn a_tool_must_be_asked_for_with_has() {
    let faults = Policy::parse(
        "policy.cedar",
        "forbid (principal, action == Action::\"exec\", resource) when { context.transfer == \"rsync\" };",
    )
    .map(drop)
    .unwrap_err();
    assert!(sentences(faults).contains("transfer"));
}

/// Conditions to make rules of.
const CONDITIONS: [&str; 10] = [
    "true == true",
    "context.hour < 12",
    "context.hour * 9223372036854775807 > 1",
    "context.landing == Landing::\"root\"",
    "principal in Group::\"operators\"",
    "resource.load_balancer.tags.contains(\"production\")",
    "context has reason && context.reason like \"INC-*\"",
    "context.source.isInRange(ip(\"10.0.0.0/8\"))",
    "resource has role && resource.role == Role::\"backup\"",
    "action == Action::\"connect\"",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Adding a forbid never allows what was refused; adding any rule never makes an allow out of a broken one.
    #[test]
    fn an_added_forbid_never_allows(
        permits in prop::collection::vec(0usize..10, 0..4),
        forbids in prop::collection::vec(0usize..10, 1..4),
    ) {
        let asked = asked();
        let rule = |effect: &str, n: &usize| format!("{effect} (principal, action, resource) when {{ {} }};\n", CONDITIONS[*n]);
        let mut text = "permit (principal, action, resource) when { context.hour > 8 };\n".to_owned();
        text.extend(permits.iter().map(|n| rule("permit", n)));
        let mut before = policy(&text);
        for n in &forbids {
            text.push_str(&rule("forbid", n));
            let after = policy(&text);
            for landing in Landing::ALL {
                for action in Action::ALL {
                    let (was, is) = (asked.decide(&before, landing, action).is_ok(), asked.decide(&after, landing, action).is_ok());
                    prop_assert!(was || !is, "{landing} {action}\n{text}");
                }
                prop_assert!(before.may_connect(&asked.principal, &asked.amphora, &asked.when) || !after.may_connect(&asked.principal, &asked.amphora, &asked.when));
            }
            before = after;
        }
    }
}

/// Not an assertion: prints what a decision costs. `cargo test --release -p ampgate-access cost -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, not a test"]
fn cost_of_a_decision() {
    let asked = asked();
    let policy = policy(&config("examples/office-hours.cedar"));
    let start = std::time::Instant::now();
    for _ in 0..2000 {
        std::hint::black_box(asked.decide(&policy, Landing::Plain, Action::Shell).is_ok());
    }
    eprintln!("decide: {:?}", start.elapsed() / 2000);
    let start = std::time::Instant::now();
    for _ in 0..2000 {
        std::hint::black_box(policy.may_connect(&asked.principal, &asked.amphora, &asked.when));
    }
    eprintln!("may_connect: {:?}", start.elapsed() / 2000);
    let start = std::time::Instant::now();
    for _ in 0..2000 {
        std::hint::black_box(policy.default_landing(&asked.principal, &asked.amphora, &asked.when));
    }
    eprintln!("default_landing: {:?}", start.elapsed() / 2000);
}
