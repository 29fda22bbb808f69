//! Consoles: cloud-init's real output, and what a guest, a tenant or a ring of 100 KiB can make of it. Each with its name.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use ampgate_access::{AmphoraId, HostKey};
use ampgate_inventory::{Console, Doubt, Silence, read_console};
use proptest::prelude::*;

/// Captured from cloud-init 22.4.2 in a machine that was called as an amphora is.
const REAL: &str = include_str!("fixtures/console.txt");
const BEGIN: &str = "-----BEGIN SSH HOST KEY KEYS-----\n";
const END: &str = "-----END SSH HOST KEY KEYS-----\n";
const BOOT: &str = "[    0.000000] Linux version 6.1.0-amphora (root@build) #1 SMP\n[    3.911020] cloud-init[412]: Cloud-init v. 22.4.2 running 'init'\n";
const LOGIN: &str = "\nUbuntu 22.04.5 LTS amphora ttyS0\n\namphora login: \n";
const HOST: &str = "root@amphora-a0000001-0000-4000-8000-000000000001";
const FORGED: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBadBadBadBadBadBadBadBadBadBadBadBadBadBadA";

fn read(text: &str) -> Console {
    let id = AmphoraId::parse("a0000001-0000-4000-8000-000000000001").unwrap();
    read_console(text, &id)
}

fn noise() -> String {
    let line = "[  812.334511] haproxy[771]: 10.0.0.7:51022 [22/Nov/2026] web web/srv1 0/0/1/2/3 200 512 - - ---- 1/1/0/0/0 0/0\n";
    line.repeat((100 << 10) / line.len())
}

fn forged() -> String {
    format!("{BEGIN}{FORGED} {HOST}\n{END}")
}

fn kinds(console: Console) -> Vec<String> {
    match console {
        Console::Keys(keys) => keys.iter().map(|key| key.kind().to_owned()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cloud_init_prints_is_found_wherever_it_stands() {
    let all = ["ecdsa-sha2-nistp256", "ssh-ed25519", "ssh-rsa"];
    let kernel = "[    5.000001] random: crng init done\nssh-ed25519 A";
    for (name, text) in [
        ("alone", REAL.to_owned()),
        ("within a boot", [BOOT, REAL, LOGIN].concat()),
        (
            "a boot without keys after it",
            [BOOT, REAL, LOGIN, BOOT, LOGIN].concat(),
        ),
        (
            "two boots, the same keys",
            [BOOT, REAL, LOGIN, BOOT, REAL].concat(),
        ),
        (
            "cut, and whole again at the next boot",
            [REAL.split_at(1500).1, LOGIN, REAL].concat(),
        ),
        (
            "the kernel between its lines",
            REAL.replace("ssh-ed25519 A", kernel),
        ),
        ("CR LF", REAL.replace('\n', "\r\n")),
        ("noise after it", [REAL, &noise()].concat()),
        (
            "a line of 100 KiB before it",
            ["x".repeat(100 << 10).as_str(), "\n", REAL].concat(),
        ),
        (
            "a host that is called otherwise",
            REAL.replace(HOST, "root@abcdefgh"),
        ),
        (
            "a domain behind the host",
            REAL.replace(HOST, &format!("{HOST}.novalocal")),
        ),
        (
            "DSA of an old image",
            REAL.replace("ssh-rsa ", "ssh-dss AAAA root@x\nssh-rsa "),
        ),
    ] {
        assert_eq!(kinds(read(&text)), all, "{name}");
    }
    let Console::Keys(keys) = read(REAL) else {
        panic!()
    };
    let prints: Vec<&str> = keys.iter().map(HostKey::fingerprint).collect();
    assert!(
        prints.iter().all(|print| REAL.contains(print)),
        "{prints:?}"
    );
}

#[test]
fn keys_that_contradict_each_other_are_no_keys() {
    let inside = REAL.replace(END, &format!("{FORGED} {HOST}\n{END}"));
    let other = REAL.replace("amphora-a0000001", "amphora-a0000002");
    let half = forged().replace(END, "");
    let fewer = format!("{BEGIN}{}", REAL.split_once(BEGIN).unwrap().1).replace("ecdsa", "ssh-dss");
    for (name, text, doubt) in [
        (
            "two boots, other keys",
            [BOOT, &forged(), LOGIN, BOOT, REAL].concat(),
            Doubt::Differ,
        ),
        (
            "forged after it",
            [BOOT, REAL, LOGIN, &forged()].concat(),
            Doubt::Differ,
        ),
        (
            "forged before it",
            [&forged(), BOOT, REAL].concat(),
            Doubt::Differ,
        ),
        (
            "half a forged one",
            [BOOT, REAL, LOGIN, &half].concat(),
            Doubt::Differ,
        ),
        (
            "the end of another",
            [FORGED, "\n", END, BOOT, REAL].concat(),
            Doubt::Differ,
        ),
        (
            "one key less",
            [REAL, LOGIN, &fewer].concat(),
            Doubt::Differ,
        ),
        ("forged within it", inside, Doubt::TwoOfOneType),
        (
            "another amphora's",
            [BOOT, &other].concat(),
            Doubt::AnotherHost,
        ),
        (
            "no uuid",
            REAL.replace(HOST, "root@amphora-x"),
            Doubt::AnotherHost,
        ),
    ] {
        assert_eq!(read(&text), Console::Doubtful(doubt), "{name}");
    }
}

#[test]
fn a_console_without_a_whole_block_says_why() {
    let overrun = [BOOT, REAL, &noise()].concat();
    let overrun = overrun.split_at(overrun.len() - (90 << 10)).1;
    let logged = REAL.replace(BEGIN, &format!("haproxy[7]: {BEGIN}"));
    let logged = logged
        .split_once("haproxy")
        .unwrap()
        .1
        .replace(END, "haproxy: end\n");
    for (name, text, silence) in [
        ("nothing", String::new(), Silence::Empty),
        ("blanks", " \r\n\n".to_owned(), Silence::Empty),
        ("100 KiB of noise", noise(), Silence::NoBlock),
        ("the keys pushed out", overrun.to_owned(), Silence::NoBlock),
        (
            "fingerprints alone",
            REAL.split_once(BEGIN).unwrap().0.to_owned(),
            Silence::NoBlock,
        ),
        ("a log that repeats it", logged, Silence::NoBlock),
        (
            "no begin",
            REAL.split_once(BEGIN).unwrap().1.to_owned(),
            Silence::Cut,
        ),
        ("no end", REAL.replace(END, ""), Silence::Cut),
        (
            "half a line",
            REAL.split_at(1200).0.to_owned(),
            Silence::Cut,
        ),
        (
            "a key cut short",
            REAL.replace("ed25519 AAAA", "ed25519 AA"),
            Silence::Damaged,
        ),
        (
            "the kernel within a line",
            REAL.replace("IHj5xXi", "IHj5[    5.0] crng\nxXi"),
            Silence::Damaged,
        ),
        (
            "an escape code",
            REAL.replace("ssh-ed25519", "\u{1b}[31mssh-ed25519"),
            Silence::Damaged,
        ),
        ("an empty block", [BEGIN, END].concat(), Silence::Damaged),
    ] {
        assert_eq!(read(&text), Console::Silent(silence), "{name}");
    }
}

proptest! {
    /// Whatever stands around a block that is no marker, and wherever the kernel writes between its lines.
    #[test]
    fn noise_changes_nothing(before in "[ -~\n]{0,300}", between in "[a-z \\[\\]0-9.:]{0,80}", after in "[ -~\n]{0,300}", at in 0usize..4) {
        let block = format!("{BEGIN}{}", REAL.split_once(BEGIN).unwrap().1);
        let mut lines: Vec<&str> = block.lines().collect();
        lines.insert(at + 1, &between);
        let text = format!("{before}\n{}\n{after}", lines.join("\n"));
        prop_assert_eq!(read(&text), read(REAL));
    }

    /// Of the lines of a console, in any order and as often as one likes: no key that was not printed, and no two of a type.
    #[test]
    fn keys_are_those_that_stand_in_a_block(picks in proptest::collection::vec(0usize..8, 0..24)) {
        let forged = format!("{FORGED} {HOST}\n");
        let mut lines: Vec<&str> = REAL.split_inclusive('\n').skip(7).collect();
        lines.extend([forged.as_str(), "\n", BOOT]);
        let text: String = picks.iter().filter_map(|pick| lines.get(*pick)).copied().collect();
        if let Console::Keys(keys) = read(&text) {
            prop_assert!(text.contains(BEGIN) && text.contains(END));
            for (n, key) in keys.iter().enumerate() {
                prop_assert!(text.contains(key.as_openssh()));
                prop_assert!(keys.iter().take(n).all(|other| other.kind() != key.kind() || other == key));
            }
            prop_assert!(!both_in_blocks(&text));
        }
    }
}

/// Whether both ed25519 keys stand between markers.
fn both_in_blocks(text: &str) -> bool {
    let inside: String = text
        .split(BEGIN)
        .skip(1)
        .filter_map(|rest| rest.split(END).next())
        .collect();
    inside.contains("BadBad") && inside.contains("IHj5")
}
