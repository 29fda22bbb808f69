//! In: the bytes that a terminal sends for keys.
//! Out: what the auditor wants, one after the other; and a line of text as it is typed.
//! Never: a fault on bytes that mean nothing: they are passed over.

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Enough.
    Quit,
    /// Wait, or go on.
    Pause,
    /// Twice as fast.
    Faster,
    /// Half as fast.
    Slower,
    /// A little back.
    Back,
    /// A little forward.
    Forward,
    /// One event on, and wait.
    Step,
    /// To the marker before.
    MarkerBefore,
    /// To the marker after.
    MarkerAfter,
    /// From the begin.
    Begin,
    /// The keys.
    Help,
    /// A text is typed to look for.
    Find,
    /// To the find after.
    FindAfter,
    /// To the find before.
    FindBefore,
}

/// The lines of the help that `?` shows.
pub const HELP: &[&str] = &[
    "space    pause, go on",
    "+  -     faster, slower",
    "<- ->    5 seconds back, forward",
    ".        pause, and one step on",
    "/        find a text (Enter finds, Esc leaves)",
    "n  N     find after, before",
    "[  ]     marker before, after (what the gateway said)",
    "0        from the begin",
    "?        this help",
    "q        quit",
];

/// The first key, if there is one that means something, and the bytes behind it.
pub fn key(typed: &[u8]) -> (Option<Key>, &[u8]) {
    let Some((first, rest)) = typed.split_first() else {
        return (None, &[]);
    };
    let key = match first {
        0x1b => return sequence(rest),
        b'q' | b'Q' | 0x03 | 0x04 => Key::Quit,
        b' ' | b'p' => Key::Pause,
        b'+' | b'=' | b'>' => Key::Faster,
        b'-' | b'_' | b'<' => Key::Slower,
        b'.' => Key::Step,
        b'[' => Key::MarkerBefore,
        b']' => Key::MarkerAfter,
        b'0' => Key::Begin,
        b'?' | b'h' => Key::Help,
        b'/' => Key::Find,
        b'n' => Key::FindAfter,
        b'N' => Key::FindBefore,
        _ => return (None, rest),
    };
    (Some(key), rest)
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

/// A line of text that is being typed.
#[derive(Default)]
pub struct Typed(Vec<u8>);

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// It goes on.
    More,
    /// Enter ended it.
    Done(String),
    /// Escape, or the like, gave it up.
    Left,
}

impl Typed {
    /// Longer than what anybody looks for.
    const MOST: usize = 1000;

    /// Takes a byte.
    pub fn take(&mut self, byte: u8) -> Line {
        match byte {
            b'\r' | b'\n' => return Line::Done(self.text()),
            0x1b | 0x03 | 0x04 => return Line::Left,
            0x7f | 0x08 => {
                // A character's bytes after its first, and then that.
                while self.0.last().is_some_and(|b| (0x80..0xc0).contains(b)) {
                    self.0.pop();
                }
                self.0.pop();
            }
            0..0x20 => {}
            byte if self.0.len() < Self::MOST => self.0.push(byte),
            _ => {}
        }
        Line::More
    }

    /// The text so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(mut typed: &[u8]) -> Vec<Key> {
        let mut found = Vec::new();
        while !typed.is_empty() {
            let (next, rest) = key(typed);
            found.extend(next);
            typed = rest;
        }
        found
    }

    #[test]
    fn arrows_of_all_kinds_and_nothing_else() {
        let typed = b" \x1b[C\x1b[1;5D\x1bOC+\x1b[200~xn\x1b[";
        assert_eq!(
            keys(typed),
            [
                Key::Pause,
                Key::Forward,
                Key::Back,
                Key::Forward,
                Key::Faster,
                Key::FindAfter
            ]
        );
        assert_eq!(keys(b"\x03"), [Key::Quit]);
    }

    #[test]
    fn a_line_is_typed_mended_and_left() {
        let mut typed = Typed::default();
        for byte in "a한\x7f글\u{7}b".bytes() {
            assert_eq!(typed.take(byte), Line::More);
        }
        assert_eq!(typed.take(b'\r'), Line::Done("a글b".to_owned()));
        assert_eq!(typed.take(0x1b), Line::Left);
    }
}
