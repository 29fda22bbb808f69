//! In: `users.toml` with every condition and every mistake.
//! Out: who gets in and who does not.
//! Never: a refused key that another test relies on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ampgate_access::*;
use jiff::Timestamp;

use crate::world::*;

fn now() -> Timestamp {
    MONDAY.parse().unwrap()
}

fn one(key_line: &str, more: &str) -> Result<Users, Vec<Fault>> {
    Users::parse(
        "users.toml",
        &format!("[[user]]\nname = \"kim\"\nkeys = ['{key_line}']\n{more}\n"),
    )
}

fn enter(
    users: &Users,
    key: &str,
    algorithm: &str,
    source: &str,
    sk: Option<SkFlags>,
) -> Result<Principal, AuthRefusal> {
    users.authenticate(&blob(key), algorithm, source.parse().unwrap(), now(), sk)
}

fn faults(text: &str) -> String {
    sentences(Users::parse("users.toml", text).unwrap_err())
}

const TOUCHED: SkFlags = SkFlags {
    user_presence: true,
    user_verification: false,
};
const VERIFIED: SkFlags = SkFlags {
    user_presence: true,
    user_verification: true,
};
const UNTOUCHED: SkFlags = SkFlags {
    user_presence: false,
    user_verification: false,
};

#[test]
fn every_accepted_key_type_enters_with_its_own_algorithm_only() {
    for (name, algorithms, sk) in [
        ("ed", &["ssh-ed25519"][..], None),
        ("ec256", &["ecdsa-sha2-nistp256"], None),
        ("ec384", &["ecdsa-sha2-nistp384"], None),
        ("ec521", &["ecdsa-sha2-nistp521"], None),
        ("rsa2048", &["rsa-sha2-256", "rsa-sha2-512"], None),
        ("sked", &["sk-ssh-ed25519@openssh.com"], Some(TOUCHED)),
        (
            "skec",
            &["sk-ecdsa-sha2-nistp256@openssh.com"],
            Some(TOUCHED),
        ),
    ] {
        let users = one(&key(name), "").unwrap_or_else(|f| panic!("{}", sentences(f)));
        for algorithm in algorithms {
            let principal = enter(&users, name, algorithm, INSIDE, sk).unwrap();
            assert_eq!(
                (principal.name().as_str(), principal.method()),
                ("kim", "publickey")
            );
            assert!(principal.key_fingerprint().unwrap().starts_with("SHA256:"));
            assert_eq!(
                users.offered(&blob(name), algorithm, INSIDE.parse().unwrap(), now()),
                Ok(())
            );
        }
        // SHA-1, another key's algorithm, a certificate's, nonsense.
        for wrong in [
            "ssh-rsa",
            "ssh-dss",
            "ssh-ed25519-cert-v01@openssh.com",
            "rsa-sha2-512-cert-v01@openssh.com",
            "",
            "none",
        ] {
            assert_eq!(
                enter(&users, name, wrong, INSIDE, sk),
                Err(AuthRefusal::Algorithm),
                "{name} {wrong}"
            );
        }
    }
    assert_eq!(
        enter(
            &one(&key("ed"), "").unwrap(),
            "ed2",
            "ssh-ed25519",
            INSIDE,
            None
        ),
        Err(AuthRefusal::UnknownKey)
    );
}

#[test]
fn security_keys_need_their_flags() {
    let algorithm = "sk-ssh-ed25519@openssh.com";
    for (options, flags, expected) in [
        ("", None, Some(AuthRefusal::FlagsUnknown)),
        ("", Some(UNTOUCHED), Some(AuthRefusal::NotTouched)),
        ("", Some(TOUCHED), None),
        ("no-touch-required ", None, Some(AuthRefusal::FlagsUnknown)),
        ("no-touch-required ", Some(UNTOUCHED), None),
        (
            "verify-required ",
            Some(TOUCHED),
            Some(AuthRefusal::NotVerified),
        ),
        ("verify-required ", Some(VERIFIED), None),
        (
            "no-touch-required,verify-required ",
            Some(UNTOUCHED),
            Some(AuthRefusal::NotVerified),
        ),
    ] {
        let users = one(&format!("{options}{}", key("sked")), "").unwrap();
        assert_eq!(
            enter(&users, "sked", algorithm, INSIDE, flags).err(),
            expected,
            "{options} {flags:?}"
        );
    }
    // Flags of a key that has none mean nothing.
    assert!(
        enter(
            &one(&key("ed"), "").unwrap(),
            "ed",
            "ssh-ed25519",
            INSIDE,
            Some(UNTOUCHED)
        )
        .is_ok()
    );
}

#[test]
fn from_is_decided_on_addresses() {
    for (from, yes, no) in [
        (
            "10.20.0.0/16",
            &["10.20.0.1", "::ffff:10.20.0.1"][..],
            &["10.21.0.1", "::1"][..],
        ),
        (
            "10.20.*",
            &["10.20.0.1", "10.20.255.9"],
            &["10.2.0.1", "110.20.0.1"],
        ),
        ("10.20.0.?", &["10.20.0.1"], &["10.20.0.12"]),
        ("10.20.0.0/16,!10.20.9.9", &["10.20.9.8"], &["10.20.9.9"]),
        ("!10.20.9.*,*", &["10.20.8.1", "fd00::1"], &["10.20.9.1"]),
        (
            "fd20::/16,192.0.2.1",
            &["fd20::1", "192.0.2.1"],
            &["fd21::1", "192.0.2.2"],
        ),
        ("FD20::*", &["fd20::1"], &["fd21::1"]),
        ("::ffff:192.0.2.1", &["192.0.2.1"], &["192.0.2.2"]),
    ] {
        let users = one(&format!("from=\"{from}\" {}", key("ed")), "")
            .unwrap_or_else(|f| panic!("{}", sentences(f)));
        for source in yes {
            assert!(
                enter(&users, "ed", "ssh-ed25519", source, None).is_ok(),
                "{from} {source}"
            );
        }
        for source in no {
            assert_eq!(
                enter(&users, "ed", "ssh-ed25519", source, None),
                Err(AuthRefusal::Source),
                "{from} {source}"
            );
        }
    }
}

#[test]
fn times_end_users_and_keys() {
    for (line, more, until) in [
        (
            format!("expiry-time=\"20261124\" {}", key("ed")),
            "",
            "2026-11-24T00:00:00Z",
        ),
        (
            format!("expiry-time=\"202611240830Z\" {}", key("ed")),
            "",
            "2026-11-24T08:30:00Z",
        ),
        (
            format!("expiry-time=\"20261124083015Z\" {}", key("ed")),
            "",
            "2026-11-24T08:30:15Z",
        ),
        (key("ed"), "expires = 2026-11-24", "2026-11-24T00:00:00Z"),
        (
            key("ed"),
            "expires = 2026-11-24T10:00:00+02:00",
            "2026-11-24T08:00:00Z",
        ),
        (
            key("ed"),
            "expires = \"2026-11-24T08:00:00Z\"",
            "2026-11-24T08:00:00Z",
        ),
    ] {
        let users = one(&line, more).unwrap_or_else(|f| panic!("{}", sentences(f)));
        let principal = enter(&users, "ed", "ssh-ed25519", INSIDE, None).unwrap();
        let end: Timestamp = until.parse().unwrap();
        assert_eq!(principal.ends(), Some(end), "{line} {more}");
        assert!(
            users
                .recheck(&principal, end - jiff::Span::new().seconds(1))
                .is_ok()
        );
        assert!(users.recheck(&principal, end).is_err());
    }
}

#[test]
fn a_changed_file_ends_or_changes_a_principal() {
    let before = kim(&["operators", "on-call"]);
    let principal = authenticated(&before, INSIDE, now());
    let after = |text: &str| {
        Users::parse("users.toml", text)
            .unwrap()
            .recheck(&principal, now())
    };
    let ed = key("ed");
    assert_eq!(after(""), Err(AuthRefusal::UserRemoved));
    assert_eq!(
        after(&format!("[[user]]\nname=\"kim\"\nkeys=['{}']", key("ed2"))),
        Err(AuthRefusal::KeyRemoved)
    );
    assert_eq!(
        after(&format!(
            "[[user]]\nname=\"kim\"\nkeys=['{ed}']\ndisabled=true"
        )),
        Err(AuthRefusal::Disabled)
    );
    assert_eq!(
        after(&format!(
            "[[user]]\nname=\"kim\"\nkeys=['from=\"10.0.0.1\" {ed}']"
        )),
        Err(AuthRefusal::Source)
    );
    // The key went to somebody else: it is not kim's any more.
    assert_eq!(
        after(&format!(
            "[[user]]\nname=\"lee\"\nkeys=['{ed}']\n[[user]]\nname=\"kim\""
        )),
        Err(AuthRefusal::KeyRemoved)
    );
    let changed = after(&format!(
        "[[user]]\nname=\"kim\"\ngroups=[\"operators\"]\nkeys=['{ed}']"
    ))
    .unwrap();
    assert_eq!(changed.groups().len(), 1);
}

#[test]
fn refused_key_lines_say_why() {
    let ed = key("ed");
    for (line, expected) in [
        (key("dsa"), "DSA keys are broken"),
        (key("ed2-cert"), "certificates are not accepted yet"),
        (key("rsa1024"), "this one has 1024"),
        ("ssh-ed25519 AAAA".to_owned(), "no OpenSSH public key"),
        ("ssh-ed25519".to_owned(), "this is no key"),
        (
            format!("ssh-rsa {}", ed.split(' ').nth(1).unwrap()),
            "no OpenSSH public key",
        ),
        ("# a comment".to_owned(), "this is no key"),
        (
            format!("command=\"id\" {ed}"),
            "the option command is not honoured",
        ),
        (
            format!("restrict,pty {ed}"),
            "the option restrict is not honoured",
        ),
        (format!("no-pty {ed}"), "the option no-pty is not honoured"),
        (
            format!("cert-authority {ed}"),
            "the option cert-authority is not honoured",
        ),
        (
            format!("from=\"*.example.org\" {ed}"),
            "host names are not looked up",
        ),
        (
            format!("from=\"10.0.0.1/8\" {ed}"),
            "did you mean 10.0.0.0/8",
        ),
        (format!("from=\"!10.0.0.1\" {ed}"), "matches nothing"),
        (format!("from=\"\" {ed}"), "from= takes"),
        (format!("from=10.0.0.1 {ed}"), "double quotes"),
        (format!("from=\"10.0.0.1 {ed}"), "not closed"),
        (format!("from {ed}"), "needs a value"),
        (
            format!("from=\"10.0.0.1\",from=\"10.0.0.2\" {ed}"),
            "stands twice",
        ),
        (format!("expiry-time=\"20261301\" {ed}"), "expiry-time is"),
        (format!("expiry-time=\"tomorrow\" {ed}"), "expiry-time is"),
        (format!("verify-required {ed}"), "no security key"),
        (format!("no-touch-required {ed}"), "no security key"),
        (
            format!("verify-required=\"x\" {}", key("sked")),
            "not honoured",
        ),
    ] {
        let said = match one(&line, "") {
            Ok(_) => panic!("accepted: {line}"),
            Err(faults) => sentences(faults),
        };
        assert!(said.contains(expected), "{line}: {said}");
        assert!(said.starts_with("3:"), "{said}");
    }
}

#[test]
fn all_faults_at_once_with_their_places() {
    let ed = key("ed");
    let text = format!(
        "[[user]]\nname = \"kim\"\nkeys = ['{ed}']\ncolour = \"red\"\n\n[[user]]\nname = \"kim\"\n\n[[user]]\nname = \"root\"\n\n\
         [[user]]\nname = \"lee\"\ngroups = [\"a b\", 7]\nkeys = [\"{ed}\"]\ndisabled = \"no\"\nexpires = \"soon\"\n\n[[user]]\n\n[other]\n"
    );
    let said = faults(&text);
    let expected = [
        "4:1: unknown key `colour`",
        "7:8: user `kim` is on line 2 already",
        "10:8: `root` is the name of a landing",
        "14:11: a group name has",
        "14:18: `groups` must be a list of strings, this is a integer",
        "15:9: this key (SHA256:",
        "is on line 3 already, for `kim`",
        "16:12: `disabled` must be true or false",
        "17:11: `expires` is a day",
        "19:1: `name` is missing",
        "21:2: unknown key `other`",
    ];
    for part in expected {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    assert_eq!(said.lines().count(), expected.len() - 1, "{said}");
    assert!(faults("[[user]\nname = 3").contains("not TOML"));
}

#[test]
fn a_fault_shows_the_line_and_a_caret() {
    let fault = Users::parse("users.toml", "[[user]]\nname = \"a b\"\n")
        .unwrap_err()
        .remove(0);
    let shown = fault.to_string();
    assert!(
        shown.contains(" --> users.toml:2:8\n  |\n2 | name = \"a b\"\n  |        ^^^^^"),
        "{shown}"
    );
}

fn of_keystone(name: &str, groups: &[&str], projects: &[(&str, &[&str])]) -> KeystoneUser {
    let roles = |roles: &[&str]| roles.iter().map(|r| (*r).to_owned()).collect();
    KeystoneUser {
        id: format!("id-of-{name}"),
        name: UserName::parse(name).unwrap(),
        groups: groups
            .iter()
            .map(|g| GroupName::of_keystone(g).unwrap())
            .collect(),
        projects: projects
            .iter()
            .map(|(id, r)| (ProjectId::parse(id).unwrap(), roles(r)))
            .collect(),
    }
}

#[test]
fn a_user_of_keystone_is_nobody_of_the_file_unless_the_file_says_so() {
    let here = INSIDE.parse().unwrap();
    let enter = |users: &Users, who: &KeystoneUser| {
        users.authenticate_keystone(who, Method::Password, here, now())
    };
    let kim = of_keystone("kim", &["operators"], &[]);
    let strangers = Users::empty();
    let principal = enter(&strangers, &kim).unwrap();
    let groups: Vec<&str> = principal.groups().iter().map(GroupName::as_str).collect();
    assert_eq!(groups, ["keystone:operators"], "never a group of the file");
    assert_eq!(principal.method(), "password");
    assert_eq!(
        (principal.key_fingerprint(), principal.keystone_id()),
        (None, Some("id-of-kim"))
    );
    let own = one(&key("ed"), "groups = [\"admins\"]").unwrap();
    assert_eq!(enter(&own, &kim).unwrap_err(), AuthRefusal::NotKeystones);
    let both = one(&key("ed"), "groups = [\"admins\"]\nkeystone = true").unwrap();
    let principal = enter(&both, &kim).unwrap();
    let groups: Vec<&str> = principal.groups().iter().map(GroupName::as_str).collect();
    assert_eq!(groups, ["admins", "keystone:operators"]);
    for (more, why) in [
        ("disabled = true", AuthRefusal::Disabled),
        ("expires = 2026-11-01", AuthRefusal::UserExpired),
    ] {
        let users = one(&key("ed"), &format!("keystone = true\n{more}")).unwrap();
        assert_eq!(enter(&users, &kim).unwrap_err(), why);
    }
    for landing in ["root", "netns", "plain"] {
        let who = of_keystone(landing, &[], &[]);
        assert_eq!(
            enter(&strangers, &who).unwrap_err(),
            AuthRefusal::LandingName
        );
    }
    // The key of one and the password of the other are two proofs: neither stands for the other afterwards.
    assert!(both.recheck(&principal, now()).is_err());
    let by_key = authenticated(&both, INSIDE, now());
    assert_eq!(
        both.recheck_keystone(&by_key, &kim, now()).unwrap_err(),
        AuthRefusal::AnotherPerson
    );
    let mut heir = kim.clone();
    heir.id = "another".to_owned();
    assert_eq!(
        both.recheck_keystone(&principal, &heir, now()).unwrap_err(),
        AuthRefusal::AnotherPerson
    );
    assert_eq!(
        both.recheck_keystone(&principal, &kim, now()),
        Ok(principal)
    );
}

#[test]
fn projects_and_roles_of_keystone_decide() {
    let policy = Policy::parse(
        "policy.cedar",
        r#"permit (principal, action, resource) when { principal.projects.contains(resource.project) && context.landing == Landing::"plain" };
           permit (principal, action, resource) when { principal.roles.contains({ "project": resource.project, "role": "load-balancer_admin" }) };
           forbid (principal, action, resource) when { context.landing == Landing::"netns" && context.method != Method::"password+totp" };
           forbid (principal in Group::"keystone:suspended", action, resource);"#,
    )
    .unwrap_or_else(|f| panic!("{}", sentences(f)));
    let web = amphora("web", SHOP, &[], None);
    let may = |who: &KeystoneUser, method: Method, landing: Landing| {
        let users = Users::empty();
        let here = INSIDE.parse().unwrap();
        let principal = users
            .authenticate_keystone(who, method, here, now())
            .unwrap();
        let circumstances = at(MONDAY, None);
        policy
            .decide(
                session(),
                &principal,
                &web,
                landing,
                Action::Shell,
                &circumstances,
            )
            .is_ok()
    };
    let member = of_keystone("a", &[], &[(SHOP, &["member"])]);
    let admin = of_keystone("b", &[], &[(SHOP, &["load-balancer_admin"])]);
    let elsewhere = of_keystone("c", &[], &[(BANK, &["load-balancer_admin"])]);
    let suspended = of_keystone("d", &["suspended"], &[(SHOP, &["load-balancer_admin"])]);
    for (who, plain, root, netns_by_password, netns_by_code) in [
        (&member, true, false, false, false),
        (&admin, true, true, false, true),
        (&elsewhere, false, false, false, false),
        (&suspended, false, false, false, false),
    ] {
        assert_eq!(may(who, Method::Password, Landing::Plain), plain, "{who:?}");
        assert_eq!(may(who, Method::Password, Landing::Root), root, "{who:?}");
        assert_eq!(
            may(who, Method::Password, Landing::Netns),
            netns_by_password,
            "{who:?}"
        );
        assert_eq!(
            may(who, Method::PasswordTotp, Landing::Netns),
            netns_by_code,
            "{who:?}"
        );
    }
}

#[test]
fn a_keypair_counts_for_whom_keystone_lists_and_never_a_key_of_the_file() {
    let here = INSIDE.parse().unwrap();
    let frank = of_keystone("frank", &["netops"], &[]);
    let keys = ["ssh-rsa broken".to_owned(), key("ec256"), key("sked")];
    let try_in = |users: &Users, name: &str, algorithm: &str, sk: Option<SkFlags>| {
        let blob = blob(name);
        let signed = (blob.as_slice(), algorithm, sk);
        users.authenticate_keypair(&frank, &keys, signed, here, now())
    };
    let none = Users::empty();
    let principal = try_in(&none, "ec256", "ecdsa-sha2-nistp256", None).unwrap();
    assert_eq!(principal.method(), "publickey");
    assert_eq!(principal.keystone_id(), Some("id-of-frank"));
    let sk = "sk-ssh-ed25519@openssh.com";
    assert!(try_in(&none, "sked", sk, Some(TOUCHED)).is_ok());
    for (name, algorithm, flags, why) in [
        ("ed", "ssh-ed25519", None, AuthRefusal::UnknownKey),
        ("ec256", "ecdsa-sha2-nistp384", None, AuthRefusal::Algorithm),
        ("sked", sk, None, AuthRefusal::FlagsUnknown),
        ("sked", sk, Some(UNTOUCHED), AuthRefusal::NotTouched),
    ] {
        assert_eq!(try_in(&none, name, algorithm, flags).unwrap_err(), why);
    }
    // kim's key of the file, expired there: frank's keypair of the same key is no way around that.
    let kims = one(&key("ec256"), "expires = 2026-11-01").unwrap();
    let refused = try_in(&kims, "ec256", "ecdsa-sha2-nistp256", None);
    assert_eq!(refused.unwrap_err(), AuthRefusal::UnknownKey);
}
