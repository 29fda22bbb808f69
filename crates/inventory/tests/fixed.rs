//! In: inventory files, right and wrong; names of targets.
//! Out: the amphora each name means, or all that it could mean, or nothing.
//! Never: a tenant's choice of a name that redirects an operator.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use ampgate_access::TargetName;
use ampgate_inventory::{Fixed, Resolution};

const WEB: &str = "5f3c1a7e-8d24-4f0a-b1c9-2e6d7a8b9c0d";

fn config() -> String {
    let path = format!("{}/../../config/inventory.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn parse(text: &str) -> Fixed {
    Fixed::parse("inventory.toml", text).unwrap_or_else(|f| panic!("{}", sentences(f)))
}

fn sentences(faults: Vec<ampgate_access::Fault>) -> String {
    let lines: Vec<String> = faults
        .iter()
        .map(|f| format!("{}:{}: {}", f.line, f.column, f.message))
        .collect();
    lines.join("\n")
}

/// One load balancer per item: name, then the last digits and roles of its amphorae.
fn world(balancers: &[(&str, &[(u32, &str)])]) -> Fixed {
    let mut text = String::new();
    for (n, (name, amphorae)) in balancers.iter().enumerate() {
        text += &format!(
            "[[load_balancer]]\nid = \"5f3c1a7e-8d24-4f0a-b1c9-00000000000{n}\"\nname = {name:?}\nproject = \"p\"\n"
        );
        for (id, role) in *amphorae {
            let role = if role.is_empty() {
                String::new()
            } else {
                format!("role = {role:?}\n")
            };
            text += &format!(
                "[[load_balancer.amphora]]\nid = \"93b939b0-1c4e-4b8e-9d0c-0000000{id:05}\"\naddress = \"172.24.{}.{}\"\nlogin_user = \"ubuntu\"\nnames = [\"vm{id}\"]\n{role}",
                id / 256,
                id % 256
            );
        }
    }
    parse(&text)
}

/// The last five digits of what a name means.
fn meant(fixed: &Fixed, name: &str) -> String {
    let last = |a: &std::sync::Arc<ampgate_access::Amphora>| {
        a.id.to_string()
            .split_off(31)
            .trim_start_matches('0')
            .to_owned()
    };
    match fixed.known().resolve(&TargetName::parse(name).expect(name)) {
        Resolution::None => "none".to_owned(),
        Resolution::One(a) => last(&a),
        Resolution::AskWhichIsActive(all) => {
            format!("ask {}", all.iter().map(last).collect::<Vec<_>>().join(" "))
        }
        Resolution::Many(all) => format!(
            "many {}",
            all.iter().map(last).collect::<Vec<_>>().join(" ")
        ),
    }
}

#[test]
fn the_shipped_file_and_its_examples_load() {
    let text = config();
    assert_eq!(parse(&text).known().all().len(), 0);
    let examples: Vec<&str> = text
        .lines()
        .map(|l| l.strip_prefix("#: ").unwrap_or(l))
        .collect();
    let fixed = parse(&examples.join("\n"));
    assert_eq!(fixed.known().all().len(), 2);
    let master = &fixed.known().all()[0];
    assert_eq!(master.names, ["web-a"]);
    assert_eq!(master.address.unwrap().to_string(), "172.24.0.23:22");
    assert_eq!(
        fixed
            .known()
            .resolve(&TargetName::parse("compute-C0FFEE00-5b1e-4c2d-8f3a-6d7e8f9a0b1c").unwrap()),
        Resolution::One(master.clone())
    );
    assert_eq!(
        (
            master.load_balancer.name.as_str(),
            master.load_balancer.id.to_string().as_str()
        ),
        ("web", WEB)
    );
    assert_eq!(
        fixed.known().resolve(&TargetName::parse("lb-web").unwrap()),
        Resolution::One(master.clone())
    );
}

#[test]
fn members_of_a_load_balancer() {
    let fixed = world(&[
        ("pair", &[(7, "backup"), (5, "master")]),
        ("alone", &[(9, "standalone")]),
        ("plain", &[(11, ""), (10, "")]),
        ("single", &[(12, "")]),
    ]);
    for (name, expected) in [
        ("lb-pair", "5"),
        ("lb-pair.master", "5"),
        ("lb-pair.backup", "7"),
        ("lb-pair.1", "5"),
        ("lb-pair.2", "7"),
        ("lb-pair.3", "none"),
        ("lb-alone", "9"),
        ("lb-alone.master", "none"),
        ("lb-alone.1", "9"),
        ("lb-plain", "many 10 11"),
        ("lb-plain.2", "11"),
        ("lb-plain.master", "none"),
        ("lb-single", "12"),
        ("lb-pair.active", "ask 5 7"),
        ("lb-single.active", "12"),
        ("lb-absent.active", "none"),
        ("lb-absent", "none"),
        ("lb-5f3c1a7e-8d24-4f0a-b1c9-000000000000", "5"),
        ("lb-5f3c1a7e-8d24-4f0a-b1c9-000000000000.backup", "7"),
        ("vm9", "9"),
        ("VM9", "9"),
        ("vm90", "none"),
    ] {
        assert_eq!(meant(&fixed, name), expected, "{name}");
    }
}

#[test]
fn prefixes_are_unique_or_many() {
    let fixed = world(&[("a", &[(1, ""), (2, "")])]);
    assert_eq!(meant(&fixed, "amphora-93b939b0"), "many 1 2");
    assert_eq!(
        meant(&fixed, "amphora-93b939b0-1c4e-4b8e-9d0c-00000000000"),
        "many 1 2"
    );
    assert_eq!(
        meant(&fixed, "amphora-93b939b0-1c4e-4b8e-9d0c-000000000002"),
        "2"
    );
    assert_eq!(
        meant(&fixed, "amphora-93b939b01c4e4b8e9d0c000000000002"),
        "2"
    );
    assert_eq!(meant(&fixed, "amphora-93b939b1"), "none");
}

#[test]
fn a_tenant_cannot_catch_what_was_meant_for_another() {
    // OpenSSH lower-cases: lb-web may have been typed for either.
    let fixed = world(&[
        ("Web", &[(1, "master")]),
        ("web", &[(2, "master")]),
        ("WEB.master", &[(3, "standalone")]),
    ]);
    assert_eq!(meant(&fixed, "lb-web"), "many 1 2");
    assert_eq!(meant(&fixed, "lb-Web"), "1");
    assert_eq!(meant(&fixed, "lb-WEB"), "many 1 2");
    // Called like another's member: the member is what is meant.
    assert_eq!(meant(&fixed, "lb-Web.master"), "1");
    assert_eq!(meant(&fixed, "lb-web.master.1"), "3");
    // Only one of two namesakes has a backup: still not clear which was meant.
    let fixed = world(&[
        ("x", &[(1, "master"), (2, "backup")]),
        ("x", &[(3, "standalone")]),
    ]);
    assert_eq!(meant(&fixed, "lb-x"), "many 1 3");
    assert_eq!(meant(&fixed, "lb-x.backup"), "many 2");
    // Called like an id: an id is an id.
    let fixed = world(&[
        ("a", &[(1, "")]),
        ("5f3c1a7e-8d24-4f0a-b1c9-000000000000", &[(2, "")]),
    ]);
    assert_eq!(
        meant(&fixed, "lb-5f3c1a7e-8d24-4f0a-b1c9-000000000000"),
        "1"
    );
}

#[test]
fn all_faults_at_once() {
    let text = r#"[[load_balancer]]
id = "5f3c1a7e-8d24-4f0a-b1c9-2e6d7a8b9c0d"
name = "web"
project = "a b"
colour = "red"

[[load_balancer.amphora]]
id = "93b939b0-1c4e-4b8e-9d0c-0e1f6c1d2a3b"
address = "172.24.0.23:22"
login_user = "Root"
names = ["amphora-x", "web"]
role = "primary"
port = 70000

[[load_balancer.amphora]]
id = "93B939B0-1C4E-4B8E-9D0C-0E1F6C1D2A3B"
address = "0.0.0.0"
login_user = "ubuntu"
names = ["Web"]

[[load_balancer]]
id = "5f3c1a7e-8d24-4f0a-b1c9-2e6d7a8b9c0d"
name = 7

[[load_balancer]]
id = "5f3c1a7e-8d24-4f0a-b1c9-2e6d7a8b9c0e"
name = ""
project = "p"
[[load_balancer.amphora]]
id = "93b939b0-1c4e-4b8e-9d0c-0e1f6c1d2a3c"
address = "::ffff:172.24.0.9"
login_user = "ubuntu"
[[load_balancer.amphora]]
id = "93b939b0-1c4e-4b8e-9d0c-0e1f6c1d2a3d"
address = "172.24.0.9"
login_user = "ubuntu"
"#;
    let said = sentences(Fixed::parse("inventory.toml", text).unwrap_err());
    for part in [
        "4:11: a project id has",
        "5:1: unknown key `colour`",
        "9:11: `address` is an IP address",
        "10:14: a login user has",
        "11:10: a name has 1 to 255",
        "12:8: a role is master, backup or standalone",
        "13:8: `port` must be a number from 1 to 65535",
        "16:6: the amphora 93b939b0-1c4e-4b8e-9d0c-0e1f6c1d2a3b is on line 8 already",
        "17:11: no amphora can have this address",
        "19:10: the name web is on line 11 already",
        "21:1: a load balancer without an amphora",
        "21:1: `project` is missing",
        "22:6: the load balancer 5f3c1a7e-8d24-4f0a-b1c9-2e6d7a8b9c0d is on line 2 already",
        "23:8: `name` must be a string in quotes",
        "35:11: the address 172.24.0.9:22 is on line 31 already",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    assert_eq!(said.lines().count(), 15, "{said}");
}
