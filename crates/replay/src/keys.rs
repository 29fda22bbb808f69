//! In: the bytes that a terminal sends for keys.
//! Out: what the auditor wants.
//! Never: a fault on bytes that mean nothing: they are passed over.

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Quit,
    Pause,
    Faster,
    Slower,
    Back,
    Forward,
    Step,
    MarkerBefore,
    MarkerAfter,
    Begin,
    Help,
}

/// The lines of the help that `?` shows.
pub const HELP: &[&str] = &[
    "space    pause, go on",
    "+  -     faster, slower",
    "<- ->    5 seconds back, forward",
    ".        pause, and one step on",
    "[  ]     marker before, after (what the gateway said)",
    "0        from the begin",
    "?        this help",
    "q        quit",
];

/// Keys in the order of typing.
pub fn keys(typed: &[u8]) -> Vec<Key> {
    let mut found = Vec::new();
    let mut rest = typed;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let key = match first {
            0x1b => {
                let (key, after) = sequence(rest);
                rest = after;
                key
            }
            b'q' | b'Q' | 0x03 | 0x04 => Some(Key::Quit),
            b' ' | b'p' => Some(Key::Pause),
            b'+' | b'=' | b'>' => Some(Key::Faster),
            b'-' | b'_' | b'<' => Some(Key::Slower),
            b'.' => Some(Key::Step),
            b'[' => Some(Key::MarkerBefore),
            b']' => Some(Key::MarkerAfter),
            b'0' => Some(Key::Begin),
            b'?' | b'h' => Some(Key::Help),
            _ => None,
        };
        found.extend(key);
    }
    found
}

/// What follows an escape: CSI or SS3, parameters, a final byte.
fn sequence(typed: &[u8]) -> (Option<Key>, &[u8]) {
    let Some((b'[' | b'O', rest)) = typed.split_first() else {
        return (None, typed);
    };
    let end = rest.iter().position(|b| (0x40..=0x7e).contains(b));
    let Some((last, after)) = end
        .and_then(|end| rest.get(end..))
        .and_then(<[u8]>::split_first)
    else {
        return (None, &[]);
    };
    let key = match last {
        b'C' => Some(Key::Forward),
        b'D' => Some(Key::Back),
        b'H' => Some(Key::Begin),
        _ => None,
    };
    (key, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_of_all_kinds_and_nothing_else() {
        let typed = b" \x1b[C\x1b[1;5D\x1bOC+\x1b[200~x\x1b[";
        assert_eq!(
            keys(typed),
            [
                Key::Pause,
                Key::Forward,
                Key::Back,
                Key::Forward,
                Key::Faster
            ]
        );
        assert_eq!(keys(b"\x03"), [Key::Quit]);
    }
}
