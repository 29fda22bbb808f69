//! In: the policies in `config/`.
//! Out: each one loads and answers a table as its comments promise.
//! Never: an example without a table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use crate::world::*;
use ampgate_access::*;

/// Columns: groups (or user=NAME), amphora, landing, action, moment, source, reason, then the answer with the rules.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const NONE: &str = "no: ";

fn check(file: &str, rows: &[Row]) {
    let text = config(file);
    let policy = Policy::parse(file, &text).unwrap_or_else(|f| panic!("{}", sentences(f)));
    let amphorae = [
        amphora("web", SHOP, &["production"], Some(Role::Master)),
        amphora("vault", BANK, &["restricted"], Some(Role::Backup)),
    ];
    let mut decided = std::collections::BTreeSet::new();
    for row in rows {
        let (who, which, landing, action, moment, source, reason, expected) = *row;
        let (name, groups) = match who.strip_prefix("user=") {
            Some(name) => (name, ""),
            None => ("kim", who),
        };
        let subject = Subject {
            name: UserName::parse(name).unwrap(),
            groups: groups
                .split_whitespace()
                .map(|g| GroupName::parse(g).unwrap())
                .collect(),
            source: source.parse().unwrap(),
            projects: Projects::new(),
            method: Method::PublicKey,
        };
        let amphora = amphorae
            .iter()
            .find(|a| a.load_balancer.name == which)
            .unwrap();
        let circumstances = at(moment, (!reason.is_empty()).then_some(reason));
        let landing = landing.parse().unwrap();
        // "read /a/path" is about one file.
        let said = match action.split_once(' ') {
            Some((word, path)) => {
                let mut all = Action::OF_FILES.into_iter();
                let action = all.find(|action| action.as_str() == word).unwrap();
                policy.explain_file(&subject, amphora, landing, action, path, &circumstances)
            }
            None => {
                let action = action.parse().unwrap();
                policy.explain(&subject, amphora, landing, action, &circumstances)
            }
        };
        let ids: Vec<&str> = said.rules.iter().map(|r| r.id.as_str()).collect();
        decided.extend(ids.iter().map(|id| (*id).to_owned()));
        let answer = format!(
            "{}: {}",
            if said.allowed { "yes" } else { "no" },
            ids.join(" + ")
        );
        assert_eq!(answer, expected, "{file}: {row:?}\n{said}");
        assert_eq!(said.errors, Vec::<String>::new());
        for rule in &said.rules {
            let line = text.lines().nth(rule.line - 1).unwrap();
            assert!(
                line.starts_with("@id("),
                "line {} of {file} is where the rule begins",
                rule.line
            );
        }
    }
    let all: std::collections::BTreeSet<String> =
        policy.rules().into_iter().map(|r| r.id).collect();
    assert_eq!(
        decided, all,
        "{file}: each rule decides some row of its table"
    );
}

#[test]
fn each_example_has_a_table() {
    let dir = format!("{}/../../config/examples", env!("CARGO_MANIFEST_DIR"));
    let mut found: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".cedar"))
        .collect();
    found.sort();
    let tested = [
        "auditors-nothing.cedar",
        "break-glass.cedar",
        "office-hours.cedar",
        "oncall-root.cedar",
        "project-operators.cedar",
        "protected-tags.cedar",
    ];
    assert_eq!(found, tested);
}

#[test]
fn default_policy() {
    let op = "yes: operators look around";
    check(
        "policy.cedar",
        &[
            (
                "auditors",
                "web",
                "root",
                "watch",
                MONDAY,
                INSIDE,
                "",
                "yes: auditors see what others do",
            ),
            (
                "auditors",
                "vault",
                "plain",
                "replay",
                MONDAY,
                INSIDE,
                "",
                "yes: auditors see what others do",
            ),
            ("auditors", "web", "plain", "kill", MONDAY, INSIDE, "", NONE),
            (
                "auditors", "web", "plain", "connect", MONDAY, INSIDE, "", NONE,
            ),
            (
                "operators",
                "web",
                "plain",
                "watch",
                MONDAY,
                INSIDE,
                "",
                NONE,
            ),
            (
                "admins",
                "web",
                "root",
                "kill",
                MONDAY,
                INSIDE,
                "",
                "yes: admins land anywhere",
            ),
            (
                "admins",
                "web",
                "plain",
                "break-glass",
                MONDAY,
                INSIDE,
                "",
                "no: glass is broken for a reason",
            ),
            (
                "admins",
                "web",
                "plain",
                "break-glass",
                MONDAY,
                INSIDE,
                "INC-1",
                "yes: admins land anywhere",
            ),
            (
                "operators",
                "web",
                "plain",
                "break-glass",
                MONDAY,
                INSIDE,
                "INC-1",
                "no: ",
            ),
            (
                "admins",
                "web",
                "root",
                "read /var/lib/octavia/certs",
                MONDAY,
                INSIDE,
                "",
                "no: tenants' keys stay where they are",
            ),
            (
                "operators",
                "web",
                "plain",
                "write /tmp/x",
                MONDAY,
                INSIDE,
                "",
                "yes: operators look around",
            ),
            ("operators", "web", "plain", "shell", MONDAY, INSIDE, "", op),
            ("operators", "web", "plain", "exec", MONDAY, INSIDE, "", op),
            (
                "operators",
                "vault",
                "plain",
                "sftp",
                MONDAY,
                INSIDE,
                "",
                op,
            ),
            (
                "operators",
                "web",
                "plain",
                "forward",
                MONDAY,
                INSIDE,
                "",
                NONE,
            ),
            (
                "operators",
                "web",
                "root",
                "shell",
                MONDAY,
                INSIDE,
                "",
                NONE,
            ),
            (
                "operators",
                "web",
                "netns",
                "exec",
                MONDAY,
                INSIDE,
                "",
                NONE,
            ),
            (
                "admins",
                "vault",
                "root",
                "shell",
                MONDAY,
                INSIDE,
                "",
                "yes: admins land anywhere",
            ),
            (
                "admins operators",
                "web",
                "plain",
                "shell",
                MONDAY,
                INSIDE,
                "",
                "yes: operators look around + admins land anywhere",
            ),
            ("", "web", "plain", "connect", MONDAY, INSIDE, "", NONE),
            (
                "auditors", "web", "plain", "shell", MONDAY, INSIDE, "", NONE,
            ),
        ],
    );
}

#[test]
fn project_operators() {
    check(
        "examples/project-operators.cedar",
        &[
            (
                "shop-operators",
                "web",
                "plain",
                "shell",
                MONDAY,
                INSIDE,
                "",
                "yes: shop: operators of the shop",
            ),
            (
                "shop-operators",
                "web",
                "netns",
                "sftp",
                MONDAY,
                INSIDE,
                "",
                "yes: shop: operators of the shop",
            ),
            (
                "shop-operators",
                "web",
                "root",
                "shell",
                MONDAY,
                INSIDE,
                "",
                NONE,
            ),
            (
                "shop-operators",
                "vault",
                "plain",
                "connect",
                MONDAY,
                INSIDE,
                "",
                NONE,
            ),
            (
                "bank-operators",
                "vault",
                "plain",
                "exec",
                MONDAY,
                INSIDE,
                "",
                "yes: bank: operators of the bank",
            ),
            (
                "bank-operators",
                "vault",
                "plain",
                "sftp",
                MONDAY,
                INSIDE,
                "",
                NONE,
            ),
            (
                "bank-operators",
                "web",
                "plain",
                "shell",
                MONDAY,
                INSIDE,
                "",
                NONE,
            ),
        ],
    );
}

#[test]
fn oncall_root() {
    let op = "yes: operators look around";
    let root = "yes: on call: root with a reason";
    check(
        "examples/oncall-root.cedar",
        &[
            ("operators", "web", "plain", "shell", MONDAY, INSIDE, "", op),
            (
                "operators",
                "web",
                "root",
                "shell",
                MONDAY,
                INSIDE,
                "INC-1",
                NONE,
            ),
            (
                "on-call", "web", "root", "shell", MONDAY, INSIDE, "INC-1", root,
            ),
            (
                "on-call", "web", "netns", "exec", MONDAY, INSIDE, "INC-1", root,
            ),
            ("on-call", "web", "root", "shell", MONDAY, INSIDE, "", NONE),
            (
                "on-call",
                "web",
                "root",
                "sftp",
                MONDAY,
                INSIDE,
                "INC-1",
                "no: nobody fetches files as root",
            ),
            (
                "on-call operators",
                "web",
                "plain",
                "sftp",
                MONDAY,
                INSIDE,
                "",
                op,
            ),
            (
                "on-call operators",
                "web",
                "root",
                "forward",
                MONDAY,
                INSIDE,
                "INC-1",
                NONE,
            ),
        ],
    );
}

#[test]
fn office_hours() {
    let op = "yes: operators look around";
    let night = "no: closed at night and on weekends";
    check(
        "examples/office-hours.cedar",
        &[
            ("operators", "web", "plain", "shell", MONDAY, INSIDE, "", op),
            (
                "operators",
                "web",
                "plain",
                "shell",
                "2026-11-23T06:59:59Z",
                INSIDE,
                "",
                night,
            ),
            (
                "operators",
                "web",
                "plain",
                "shell",
                "2026-11-23T07:00:00Z",
                INSIDE,
                "",
                op,
            ),
            (
                "operators",
                "web",
                "plain",
                "shell",
                "2026-11-23T15:59:59Z",
                INSIDE,
                "",
                op,
            ),
            (
                "operators",
                "web",
                "plain",
                "shell",
                "2026-11-23T16:00:00Z",
                INSIDE,
                "",
                night,
            ),
            (
                "operators",
                "web",
                "plain",
                "shell",
                "2026-11-27T10:00:00Z",
                INSIDE,
                "",
                op,
            ),
            (
                "operators",
                "web",
                "plain",
                "shell",
                "2026-11-28T10:00:00Z",
                INSIDE,
                "",
                night,
            ),
            (
                "operators",
                "web",
                "plain",
                "shell",
                "2026-11-29T10:00:00Z",
                INSIDE,
                "",
                night,
            ),
            (
                "on-call",
                "web",
                "root",
                "shell",
                "2026-11-29T03:00:00Z",
                INSIDE,
                "",
                "yes: on call at any hour",
            ),
            (
                "operators",
                "web",
                "plain",
                "shell",
                MONDAY,
                "10.21.0.1",
                "",
                "no: only from inside",
            ),
            (
                "on-call",
                "web",
                "root",
                "shell",
                MONDAY,
                "198.51.100.1",
                "",
                "no: only from inside",
            ),
            (
                "operators",
                "web",
                "plain",
                "shell",
                MONDAY,
                "fd20::1",
                "",
                op,
            ),
            (
                "operators contractors",
                "web",
                "plain",
                "shell",
                MONDAY,
                INSIDE,
                "",
                op,
            ),
            (
                "operators contractors",
                "web",
                "plain",
                "shell",
                "2027-01-04T10:00:00Z",
                INSIDE,
                "",
                "no: the contract ends with 2026",
            ),
        ],
    );
}

#[test]
fn break_glass() {
    check(
        "examples/break-glass.cedar",
        &[
            (
                "operators",
                "web",
                "plain",
                "shell",
                MONDAY,
                INSIDE,
                "",
                "yes: operators look around",
            ),
            (
                "user=erin",
                "vault",
                "root",
                "shell",
                MONDAY,
                "192.0.2.7",
                "INC-7",
                "yes: BREAK GLASS",
            ),
            (
                "user=frank",
                "vault",
                "netns",
                "sftp",
                MONDAY,
                "192.0.2.7",
                "INC-7",
                "yes: BREAK GLASS",
            ),
            (
                "user=erin",
                "vault",
                "root",
                "shell",
                MONDAY,
                "192.0.2.16",
                "INC-7",
                NONE,
            ),
            (
                "user=erin",
                "vault",
                "root",
                "shell",
                MONDAY,
                "192.0.2.7",
                "because",
                NONE,
            ),
            (
                "user=erin",
                "vault",
                "root",
                "shell",
                MONDAY,
                "192.0.2.7",
                "",
                NONE,
            ),
            (
                "user=grace",
                "vault",
                "root",
                "shell",
                MONDAY,
                "192.0.2.7",
                "INC-7",
                NONE,
            ),
            (
                "operators",
                "web",
                "root",
                "shell",
                MONDAY,
                "192.0.2.7",
                "INC-7",
                NONE,
            ),
        ],
    );
}

#[test]
fn auditors_nothing() {
    check(
        "examples/auditors-nothing.cedar",
        &[
            (
                "operators",
                "web",
                "plain",
                "shell",
                MONDAY,
                INSIDE,
                "",
                "yes: operators look around",
            ),
            (
                "auditors",
                "web",
                "plain",
                "connect",
                MONDAY,
                INSIDE,
                "",
                "no: auditors: no amphora",
            ),
            (
                "auditors",
                "web",
                "plain",
                "watch",
                MONDAY,
                INSIDE,
                "",
                "yes: auditors see what others do",
            ),
            (
                "operators auditors",
                "web",
                "plain",
                "shell",
                MONDAY,
                INSIDE,
                "",
                "no: auditors: no amphora",
            ),
        ],
    );
}

#[test]
fn protected_tags() {
    let op = "yes: operators: every landing";
    check(
        "examples/protected-tags.cedar",
        &[
            ("operators", "web", "root", "shell", MONDAY, INSIDE, "", op),
            ("operators", "web", "plain", "sftp", MONDAY, INSIDE, "", op),
            (
                "operators",
                "web",
                "root",
                "sftp",
                MONDAY,
                INSIDE,
                "",
                "no: no changes on the one that serves",
            ),
            (
                "operators",
                "vault",
                "plain",
                "connect",
                MONDAY,
                INSIDE,
                "",
                "no: restricted is restricted",
            ),
            (
                "operators restricted-operators",
                "vault",
                "root",
                "shell",
                MONDAY,
                INSIDE,
                "",
                op,
            ),
            (
                "operators restricted-operators",
                "vault",
                "root",
                "sftp",
                MONDAY,
                INSIDE,
                "",
                op,
            ),
            (
                "restricted-operators",
                "vault",
                "root",
                "shell",
                MONDAY,
                INSIDE,
                "",
                NONE,
            ),
        ],
    );
}

#[test]
fn users_file() {
    let text = config("users.toml");
    assert_eq!(Users::parse("users.toml", &text).unwrap().iter().count(), 0);
    let users = Users::parse("users.toml", &with_examples(&text))
        .unwrap_or_else(|f| panic!("{}", sentences(f)));
    let names: Vec<&str> = users.iter().map(|u| u.name().as_str()).collect();
    assert_eq!(names, ["contractor", "kim"]);
    assert_eq!(
        users
            .iter()
            .map(|u| u.fingerprints().count())
            .sum::<usize>(),
        3
    );
}
