//! In: host names and user names as operators type them, and as attackers do.
//! Out: what they name, or a refusal.
//! Never: a panic, or a name that reads back as another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ampgate_access::*;
use proptest::prelude::*;

const ID: &str = "93b939b0-1c4e-4b8e-9d0c-0e1f6c1d2a3b";

#[test]
fn names_and_their_meaning() {
    for (typed, meant) in [
        (
            format!("amphora-{ID}"),
            format!("AmphoraId(AmphoraId({ID}))"),
        ),
        (
            format!("AMPHORA-{}", ID.to_uppercase()),
            format!("AmphoraId(AmphoraId({ID}))"),
        ),
        (
            format!("amphora-{}", ID.replace('-', "")),
            format!("AmphoraId(AmphoraId({ID}))"),
        ),
        (
            "amphora-93b939b0".into(),
            "AmphoraPrefix(\"93b939b0\")".into(),
        ),
        (
            "amphora-93B939B01c".into(),
            "AmphoraPrefix(\"93b939b0-1c\")".into(),
        ),
        (
            "amphora-93b939b0-1c4e".into(),
            "AmphoraPrefix(\"93b939b0-1c4e\")".into(),
        ),
        (
            format!("lb-{ID}"),
            format!("LoadBalancer(LoadBalancerId({ID}), None)"),
        ),
        (
            format!("lb-{ID}.Master"),
            format!("LoadBalancer(LoadBalancerId({ID}), Some(Master))"),
        ),
        ("lb-web".into(), "LoadBalancerName(\"web\", None)".into()),
        (
            "lb-web.backup".into(),
            "LoadBalancerName(\"web\", Some(Backup))".into(),
        ),
        (
            "lb-web.2".into(),
            "LoadBalancerName(\"web\", Some(Index(2)))".into(),
        ),
        (
            "lb-web.example.org".into(),
            "LoadBalancerName(\"web.example.org\", None)".into(),
        ),
        (
            "lb-web.1.master".into(),
            "LoadBalancerName(\"web.1\", Some(Master))".into(),
        ),
        (
            "lb-größe".into(),
            "LoadBalancerName(\"größe\", None)".into(),
        ),
        (
            "lb-web.ACTIVE".into(),
            "LoadBalancerName(\"web\", Some(Active))".into(),
        ),
        (
            format!("Compute-{}", ID.to_uppercase()),
            format!("Compute({ID})"),
        ),
        // No id behind it: a name like any other, as before there was this form.
        ("compute-1".into(), "Static(\"compute-1\")".into()),
        ("web-a".into(), "Static(\"web-a\")".into()),
        ("10.0.0.1".into(), "Static(\"10.0.0.1\")".into()),
    ] {
        assert_eq!(
            format!("{:?}", TargetName::parse(&typed).unwrap()),
            meant,
            "{typed}"
        );
    }
}

#[test]
fn refused_names() {
    let long = "a".repeat(256);
    let huge = "x".repeat(65536);
    for bad in [
        "",
        "amphora-",
        "amphora-93b939b",
        "amphora-93b939b0-1c4e-4b8e-9d0c-0e1f6c1d2a3b0",
        "amphora-93b939b01-c4e",
        "amphora-93b939bg",
        "amphora-../../x",
        "amphora-$(id)",
        "amphora-test",
        "lb-",
        "lb-.master",
        "lb-web.0",
        "lb-web.01",
        "lb-web.99999999999",
        "lb-a b",
        "lb-a\nb",
        "lb-a;b",
        "lb-$(id)",
        "lb-a'b",
        "lb-../x",
        "lb-a:b",
        "lb-a+b",
        "lb-a@b",
        "lb-\u{202e}bew",
        "lb-a\u{200b}",
        "lb-a\u{7}",
        "../x",
        "$(id)",
        "a;b",
        "a b",
        "-oProxyCommand=x",
        ".",
        "..",
        "a/b",
        "a\nb",
        "a\u{0}b",
        "ä",
        "localhost:22",
        "[::1]",
        &long,
        &huge,
    ] {
        let refusal = TargetName::parse(bad).expect_err(bad).to_string();
        assert!(
            refusal.len() < 200 && (bad.len() < 12 || !refusal.contains(bad)),
            "{refusal}"
        );
    }
}

#[test]
fn direct_syntax() {
    let plain = parse_direct("lb-web").unwrap();
    assert_eq!((plain.operator, plain.landing), (None, None));
    let all = parse_direct("kim:root+lb-web.master").unwrap();
    assert_eq!(all.operator.unwrap().as_str(), "kim");
    assert_eq!(all.landing, Some(Landing::Root));
    assert_eq!(all.target.to_string(), "lb-web.master");
    assert_eq!(
        parse_direct("cloud-user+web-a").unwrap().landing,
        Some(Landing::Plain)
    );
    for bad in [
        "",
        ":",
        "+",
        "kim:",
        ":lb-web",
        "kim:root+",
        "toor+lb-web",
        "root+root+lb-web",
        "kim:lee:lb-web",
        "kim:root+lb-web:22",
        "a b:lb-web",
    ] {
        assert!(parse_direct(bad).is_err(), "{bad}");
    }
}

#[test]
fn inner_users_are_landings() {
    let (kim, image) = (
        UserName::parse("kim").unwrap(),
        LoginUser::parse("debian").unwrap(),
    );
    let of = |user: &str| landing_of_user(user, &kim, &image).ok();
    assert_eq!(of(""), Some(Requested::Default));
    assert_eq!(of("kim"), Some(Requested::Default));
    for plain in ["plain", "cloud-user", "ubuntu", "centos", "debian"] {
        assert_eq!(
            of(plain),
            Some(Requested::Landing(Landing::Plain)),
            "{plain}"
        );
    }
    assert_eq!(of("root"), Some(Requested::Landing(Landing::Root)));
    assert_eq!(of("netns"), Some(Requested::Landing(Landing::Netns)));
    for bad in ["lee", "Root", "root ", "root\n", "netns;id", "$(id)"] {
        assert_eq!(of(bad), None, "{bad}");
    }
    // Were the image's user root, root@ would still be the landing that policy calls root.
    let root = LoginUser::parse("root").unwrap();
    assert_eq!(
        landing_of_user("root", &kim, &root).unwrap(),
        Requested::Landing(Landing::Root)
    );
}

proptest! {
    #[test]
    fn whatever_is_read_reads_back(host in "(amphora-|lb-|)[0-9a-zA-Z.+:\\-_ä]{0,45}") {
        if let Ok(name) = TargetName::parse(&host) {
            prop_assert_eq!(TargetName::parse(&name.to_string()), Ok(name));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(text in "\\PC{0,300}|(?s).{0,40}") {
        let _ = (TargetName::parse(&text), parse_direct(&text), SessionId::parse(&text), AmphoraId::parse(&text));
    }
}
