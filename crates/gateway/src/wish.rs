//! In: what somebody typed behind `ssh gateway`, or at a watcher's prompt. Out: what they want of the gateway itself.
//! Never: a shell, a word it does not know, a path; a character that acts on a terminal.

use ampgate_screen::text::acts_or_hides;

/// Longest line; an id and a reason are far shorter.
const LONGEST: usize = 1024;
/// Characters of a whole session id, and the fewest that may stand for one.
const ID: usize = 26;
const FEWEST: usize = 8;
/// Characters of a reason.
const REASON: usize = 200;

/// What `ssh gateway WORDS` can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    Help,
    Targets,
    Sessions { json: bool },
    Watch(SessionWord),
    Kill(SessionWord, Reason),
    Replay { session: SessionWord, file: bool },
}

/// A session's id, or as much of its beginning as tells it from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionWord(String);

impl SessionWord {
    /// # Errors
    /// A sentence that says what an id is.
    pub fn parse(word: &str) -> Result<Self, String> {
        let upper = word.to_ascii_uppercase();
        let digit = |b: u8| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"ILOU".contains(&b));
        if (FEWEST..=ID).contains(&upper.len()) && upper.bytes().all(digit) {
            return Ok(Self(upper));
        }
        Err(format!(
            "that is no session: name it by its id of {ID} letters and digits, or by the first {FEWEST} or more (\"sessions\" lists them)"
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a session is ended: shown to its operator, kept in recording and journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// # Errors
    /// It is none, is too long, or would act on the terminal of whoever reads it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("say why: the operator and the recording are told".to_owned());
        }
        if text.chars().count() > REASON || text.contains(acts_or_hides) {
            return Err(format!(
                "a reason is one line of at most {REASON} visible characters"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn into_text(self) -> String {
        self.0
    }
}

/// Reads a command: words between blanks, as they are.
///
/// # Errors
/// A sentence that says what can be asked.
pub fn parse(command: &[u8]) -> Result<Wish, String> {
    let text = std::str::from_utf8(command)
        .ok()
        .filter(|text| text.len() <= LONGEST && !text.contains(acts_or_hides))
        .ok_or_else(|| format!("a command here is one line of at most {LONGEST} characters"))?;
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let command = words.next().unwrap_or_default();
    let rest: Vec<&str> = words.collect();
    match (command, rest.as_slice()) {
        ("help", []) => Ok(Wish::Help),
        ("targets", []) => Ok(Wish::Targets),
        ("sessions", []) => Ok(Wish::Sessions { json: false }),
        ("sessions", ["--json"]) => Ok(Wish::Sessions { json: true }),
        ("watch", [id]) => Ok(Wish::Watch(SessionWord::parse(id)?)),
        ("kill", [id, why @ ..]) => Ok(Wish::Kill(
            SessionWord::parse(id)?,
            Reason::parse(&why.join(" "))?,
        )),
        ("replay", [id]) => replay(id, false),
        ("replay", [id, "--file"] | ["--file", id]) => replay(id, true),
        ("watch", _) => Err("usage: ssh -t GATEWAY watch SESSION".to_owned()),
        ("kill", _) => Err("usage: ssh GATEWAY kill SESSION WHY".to_owned()),
        ("replay", _) => Err(
            "usage: ssh -t GATEWAY replay SESSION, or ssh GATEWAY replay SESSION --file".to_owned(),
        ),
        ("sessions", _) => Err("usage: ssh GATEWAY sessions [--json]".to_owned()),
        _ => Err(
            "nothing runs on the gateway itself but help, targets, sessions, watch, kill and replay"
                .to_owned(),
        ),
    }
}

fn replay(id: &str, file: bool) -> Result<Wish, String> {
    let session = SessionWord::parse(id)?;
    Ok(Wish::Replay { session, file })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const SESSION: &str = "01M83T6P2ESH3FN762TGK9EQE9";

    #[test]
    fn words_are_understood() {
        let id = || SessionWord(SESSION.to_owned());
        for (text, wish) in [
            ("help", Wish::Help),
            ("  sessions   --json ", Wish::Sessions { json: true }),
            ("watch 01M83T6P2ESH3FN762TGK9EQE9", Wish::Watch(id())),
            ("watch 01m83t6p2esh3fn762tgk9eqe9", Wish::Watch(id())),
            (
                "replay 01M83T6P --file",
                Wish::Replay {
                    session: SessionWord("01M83T6P".to_owned()),
                    file: true,
                },
            ),
            (
                "kill 01M83T6P2ESH3FN762TGK9EQE9 wrong  load; $(balancer)",
                Wish::Kill(id(), Reason("wrong load; $(balancer)".to_owned())),
            ),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap(), wish, "{text}");
        }
    }

    #[test]
    fn anything_else_is_said_what_to_type_instead() {
        for text in [
            "",
            "id",
            "watch",
            "watch ../../etc/passwd",
            "watch 01M83T6",
            "watch 01M83T6P2ESH3FN762TGK9EQE9 --quiet",
            "watch 01M83T6P2ESH3FN762TGK9EQE91",
            "kill 01M83T6P2ESH3FN762TGK9EQE9",
            "kill 01M83T6P2ESH3FN762TGK9EQE9 \u{1b}]0;x\u{7}",
            "kill 01M83T6P2ESH3FN762TGK9EQE9 \u{202e}",
            "replay 01M83T6P2ESH3FN762TGK9EQE9 /etc/passwd",
            "sessions --all",
            "Help",
        ] {
            let said = parse(text.as_bytes()).unwrap_err();
            assert!(!said.is_empty() && !said.contains(acts_or_hides), "{text}");
        }
        assert!(parse(b"watch \xff").is_err());
        assert!(parse(&vec![b'a'; 5000]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Wish::Kill(_, reason)) = parse(&bytes) {
                prop_assert!(!reason.into_text().contains(acts_or_hides));
            }
        }
    }
}
