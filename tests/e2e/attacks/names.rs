//! In: hostile names, and names that do not exist. Out: text that stays text, and one answer for all that may not be.
//! Never: a name as path or as shell text.

use ampgate_tests::{A, BARE, Gateway, Land, Via, bed, gateway::files_below};

use super::leaves;

/// Row 20: as target, as landing, as user of the direct syntax.
#[test]
fn row_20_names_are_neither_paths_nor_shell_text() {
    let mut gateway = Gateway::start(|_| {});
    let found = gateway.attacked("names", "alice", &[]);
    for (path, outcome) in leaves(&found) {
        // A prefix of an id is a name like any other: nothing hostile in it. Everything else is refused with a sentence.
        assert!(
            !outcome.contains("root") && outcome != "open" && !outcome.contains("cloud-user"),
            "{path} got through: {found:#}"
        );
    }
    assert!(gateway.alive());
    let odd: Vec<_> = files_below(&gateway.recordings())
        .into_iter()
        .filter(|p| {
            !p.display()
                .to_string()
                .trim_end_matches(".cast")
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/-_.".contains(c))
        })
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert!(
        !std::path::Path::new("/tmp/ampgate-pwned").exists(),
        "made on the gateway"
    );
    assert_ne!(
        bed().inside(&A, "ls /tmp/ampgate-pwned").code,
        Some(0),
        "made on the amphora"
    );
    // Logs and journal are read on terminals: escape codes must not arrive there raw, and no name fills them.
    assert!(
        !gateway.log().contains("\u{1b}]0;owned"),
        "raw escape codes in the log"
    );
    assert!(
        !gateway.log().contains('\u{202e}'),
        "a right-to-left override in the log"
    );
    for event in gateway.journal() {
        assert!(
            event.to_string().len() < 20_000,
            "an event of {} bytes",
            event.to_string().len()
        );
    }
    gateway
        .client("alice")
        .exec(Via::Jump, Land::Plain, &A, "true", b"")
        .good();
}

/// Row 20: what an operator types as command reaches the amphora as one argument, and the gateway's own as ids only.
#[test]
fn row_20_hostile_commands_stay_on_the_amphora() {
    let gateway = ampgate_tests::gateway();
    let client = gateway.client("alice");
    for land in [Land::Root, Land::Netns] {
        for command in [
            "'; touch /tmp/escaped; '",
            "\"; touch /tmp/escaped; \"",
            "$(true)\nexit 9",
            "--; exit 9",
            "' || exit 9; '",
        ] {
            let through = client.exec(
                Via::Jump,
                land,
                &A,
                &format!(
                    "printf '%s' \"$0\" >/dev/null; : {}; exit 5",
                    shell_quoted(command)
                ),
                b"",
            );
            assert_eq!(through.code, Some(5), "{command:?}: {through:?}");
        }
    }
    assert_ne!(bed().inside(&A, "ls /tmp/escaped").code, Some(0));
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Row 22: bob may not reach BARE; nobody can reach an amphora that does not exist. He must not learn which is which.
#[test]
fn row_22_unknown_and_forbidden_are_one_answer() {
    let gateway = ampgate_tests::gateway();
    let unknown = BARE.target().replace("c0ffee11", "c0ffee12");
    let environment = [
        ("UNKNOWN", unknown.as_str()),
        ("FORBIDDEN", &BARE.target()),
        ("COUNT", "60"),
    ];
    // Texts once; times thrice, for the machine may hiccup: an answer that differs by itself differs every time.
    let mut told_apart = Vec::new();
    for _ in 0..3 {
        let found = gateway.attacked("probe", "bob", &environment);
        let texts = |kind: &str| {
            without_ids(&found["answers"][kind].to_string())
                .replace(&unknown, "NAME")
                .replace(&BARE.target(), "NAME")
        };
        assert_eq!(texts("UNKNOWN"), texts("FORBIDDEN"), "{found:#}");
        let chance = found["told apart"].as_f64().unwrap();
        if (0.25..=0.75).contains(&chance) {
            return;
        }
        told_apart.push(found);
    }
    panic!("the time tells unknown from forbidden: {told_apart:#?}");
}

/// Session ids differ by nature: 26 letters and digits of a ULID.
fn without_ids(text: &str) -> String {
    let mut unique: Vec<String> = serde_json::from_str::<Vec<String>>(text)
        .unwrap()
        .into_iter()
        .map(|line| {
            line.split(' ')
                .map(|word| {
                    if word.trim_end().len() == 26 && word.starts_with("01") {
                        "ID"
                    } else {
                        word
                    }
                })
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    unique.sort();
    unique.dedup();
    unique.join("\n")
}
