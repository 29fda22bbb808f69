//! In: every mode, with what pin, file and console say. Out: the keys that count, or the refusal.
//! Never: a network.
#![allow(clippy::unwrap_used)]

use ampgate_inventory::Doubt;

use super::*;
use HostKeyMode::{Console as OnlyConsole, ConsoleOrFirstContact, FirstContact, Static};

const ED: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHj5xXi/+kejVJnpaxaISsAX61QtOqetTEoB98EbV9cd";
const OTHER: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEqK0b1Yyy4cWpxC0W9p0Hl8YkTdhqc1t3FQHZ1Z5n3q";
const P256: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBIzK55SmoTPIp+ohr2NFgRHvKVlleZypzpV5wI8QwZB4bp79OnF7E4aHgz4g5YpQf7+Xqppglbnt+J1gybEQjBQ=";

fn key(text: &str) -> HostKey {
    HostKey::parse(text).unwrap()
}

fn named(keys: &[&str]) -> Option<Console> {
    Some(Console::Keys(keys.iter().map(|text| key(text)).collect()))
}

/// `console 2`, `first-contact`, `unknown`, or the word of the dispute.
fn short(outcome: Result<Expected, Refused>) -> String {
    match outcome {
        Ok(Expected::OneOf { source, keys }) => format!("{} {}", source.word(), keys.len()),
        Ok(Expected::FirstContact(None)) => "first-contact".to_owned(),
        Ok(Expected::FirstContact(Some(_))) => "first-contact, and why".to_owned(),
        Err(Refused::Unknown(_)) => "unknown".to_owned(),
        Err(Refused::Disputed(word, _)) => word.to_owned(),
    }
}

#[test]
fn without_a_pin_each_mode_believes_what_it_says() {
    let silent = || Some(Console::Silent(Silence::Empty));
    let doubtful = || Some(Console::Doubtful(Doubt::Differ));
    let (ed, other) = (key(ED), key(OTHER));
    for (mode, fixed, console, wanted) in [
        (OnlyConsole, None, named(&[P256, ED]), "console 2"),
        (OnlyConsole, None, silent(), "unknown"),
        (OnlyConsole, None, doubtful(), "console-blocks-differ"),
        (OnlyConsole, Some(&ed), named(&[P256, ED]), "static 1"),
        (OnlyConsole, Some(&ed), silent(), "static 1"),
        (
            OnlyConsole,
            Some(&other),
            named(&[P256, ED]),
            "static-and-console",
        ),
        (OnlyConsole, Some(&ed), doubtful(), "console-blocks-differ"),
        (ConsoleOrFirstContact, None, named(&[ED]), "console 1"),
        (
            ConsoleOrFirstContact,
            None,
            silent(),
            "first-contact, and why",
        ),
        (
            ConsoleOrFirstContact,
            None,
            doubtful(),
            "console-blocks-differ",
        ),
        (ConsoleOrFirstContact, Some(&ed), silent(), "static 1"),
        (
            ConsoleOrFirstContact,
            Some(&ed),
            named(&[OTHER]),
            "static-and-console",
        ),
        (FirstContact, None, None, "first-contact"),
        (FirstContact, Some(&ed), None, "static 1"),
        (Static, Some(&ed), None, "static 1"),
        (Static, None, None, "unknown"),
    ] {
        let shown = format!("{mode:?} {fixed:?} {console:?}");
        assert_eq!(short(weigh(mode, fixed, console)), wanted, "{shown}");
    }
}

#[test]
fn a_pin_counts_unless_the_file_contradicts_it() {
    let pin = |text: &str| Pin {
        amphora: String::new(),
        host_key: text.to_owned(),
        fingerprint: key(ED).fingerprint().to_owned(),
        how: "first-contact".to_owned(),
        time: Timestamp::UNIX_EPOCH,
    };
    let (ed, other) = (key(ED), key(OTHER));
    for mode in [OnlyConsole, ConsoleOrFirstContact, FirstContact, Static] {
        let with = |fixed| short(with_pin(mode, &pin(ED), fixed));
        assert_eq!(with(Some(&ed)), "pin 1", "{mode:?}");
        assert_eq!(with(Some(&other)), "static-and-pin", "{mode:?}");
        let alone = match mode {
            Static => "unknown",
            _ => "pin 1",
        };
        assert_eq!(with(None), alone, "{mode:?}");
    }
    // A pin that cannot be read is not the same as none.
    assert_eq!(
        short(with_pin(FirstContact, &pin("ssh-x AAAA"), None)),
        "unknown"
    );
}

#[test]
fn only_an_expected_key_is_accepted_and_only_its_algorithms_are_asked_for() {
    let open = |text: &str| PublicKey::from_openssh(text).unwrap();
    let expected = weigh(OnlyConsole, None, named(&[P256, ED])).unwrap();
    assert!(expected.accepts(&open(ED)) && expected.accepts(&open(P256)));
    assert!(!expected.accepts(&open(OTHER)));
    let config = crate::config::Config::parse(std::path::Path::new("x"), "").unwrap();
    let asked = |keys: &[PublicKey]| {
        let config = crate::ssh::upstream(&config, keys);
        let names = config.preferred.key.iter().map(|a| a.as_str().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        asked(expected.keys()),
        ["ssh-ed25519", "ecdsa-sha2-nistp256"]
    );
    assert_eq!(asked(Expected::FirstContact(None).keys()).len(), 6);
}
