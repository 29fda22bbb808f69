//! In: what goes both ways on a terminal. Out: of the keys, the lines that the terminal itself showed.
//! Never: a key that was not shown, or a part of a line of which one was not: that may be a password.
//!
//! Whether a terminal echoes is known to the amphora alone. Here only the two streams are seen, so a key counts as shown
//! when it is the next thing that is drawn after it was pressed. Whatever leaves a doubt (something else is drawn first,
//! as while a program prints, and in programs that take keys as orders) makes the line one that was not shown.

use std::collections::VecDeque;

use zeroize::Zeroizing;

/// A line is kept back no longer than this: what was shown of it is let go, what was not is forgotten.
const LONGEST: usize = 4 << 10;
/// Lines typed ahead; more of them are forgotten.
const AHEAD: usize = 64;
/// A parameter string that is longer is no sequence that matters here.
const PARAMETERS: usize = 8;

/// What is to be recorded of the keys.
#[derive(PartialEq, Eq)]
pub enum Keys {
    /// A line with all its keys, the one that ended it included.
    Shown(Zeroizing<Vec<u8>>),
    /// There were keys which the terminal did not show.
    Hidden,
}

/// The keys of one terminal that are not decided yet.
#[derive(Default)]
pub struct Typed {
    lines: VecDeque<Line>,
    keys: Scanner,
    screen: Scanner,
}

#[derive(Default)]
struct Line {
    all: Zeroizing<Vec<u8>>,
    /// Those that draw something and have not been drawn yet, from `drawn` on.
    draw: Zeroizing<Vec<u8>>,
    drawn: usize,
    ended: bool,
    hidden: bool,
}

impl Typed {
    /// Keys on their way to the amphora.
    pub fn input(&mut self, keys: &[u8]) {
        for &key in keys {
            // Enter is Enter inside a sequence too, and so is ^C.
            if key < 0x20 && key != 0x1b {
                self.keys = Scanner::Ground;
            }
            let seen = self.keys.next(key);
            // Alt and a key that begins a string where a terminal writes it: what follows may be typed, so it has to be drawn.
            if matches!(self.keys, Scanner::Text) {
                self.keys = Scanner::Ground;
            }
            if self.lines.back().is_none_or(|line| line.ended) {
                self.lines.push_back(Line::default());
            }
            let Some(line) = self.lines.back_mut() else {
                return;
            };
            line.take(key, &seen);
            // No key of a terminal sends so many parameters: they were typed.
            if self.keys.is_too_long() {
                line.hide();
            }
            let full = line.all.len() >= LONGEST;
            if full && line.is_shown() {
                line.ended = true;
            } else if full || self.lines.len() > AHEAD {
                self.hide();
                self.forget();
            }
        }
    }

    /// Output on its way to the operator.
    pub fn output(&mut self, bytes: &[u8]) {
        if self.lines.iter().all(Line::is_shown) {
            // Nothing is waited for. A sequence that is cut here only makes the next key one that was not shown.
            self.screen = Scanner::default();
            return;
        }
        for &byte in bytes {
            match self.screen.next(byte) {
                Seen::Drawn => {
                    let waiting = self.lines.iter_mut().find(|line| line.waits());
                    if waiting.is_some_and(|line| !line.draws(byte)) {
                        self.hide();
                    }
                }
                Seen::NewPrompt => self.begin_anew(),
                Seen::Control | Seen::Within => {}
            }
        }
    }

    /// What is decided by now.
    pub fn decided(&mut self) -> Vec<Keys> {
        let mut decided = Vec::new();
        while let Some(line) = self.lines.pop_front_if(|line| line.ended && !line.waits()) {
            decided.push(line.keys());
        }
        decided
    }

    /// The session is over: what was shown counts, what was not never will be.
    pub fn finish(&mut self) -> Vec<Keys> {
        self.hide();
        self.lines.drain(..).map(Line::keys).collect()
    }

    /// Everything that still waits was not shown.
    fn hide(&mut self) {
        for line in &mut self.lines {
            if line.waits() {
                line.hide();
            }
        }
    }

    /// Lines without end are no reason to hold many: of those that were not shown in a row, one tells.
    fn forget(&mut self) {
        let ended: Vec<_> = self
            .lines
            .iter()
            .map(|line| line.hidden && line.ended)
            .collect();
        let mut before = ended.into_iter().scan(false, |before, now| {
            let twice = *before && now;
            *before = now;
            Some(twice)
        });
        self.lines.retain(|_| !before.next().unwrap_or(false));
    }

    /// A line editor stands ready, or a full-screen program has left: keys from here on are another line.
    fn begin_anew(&mut self) {
        self.hide();
        if let Some(line) = self.lines.back_mut() {
            line.ended |= line.hidden;
        }
    }
}

impl Line {
    fn take(&mut self, key: u8, seen: &Seen) {
        if !self.hidden {
            // Grown by hand: what a vector leaves behind when it grows is not overwritten.
            grow(&mut self.all);
            self.all.push(key);
            if matches!(seen, Seen::Drawn) {
                grow(&mut self.draw);
                self.draw.push(key);
            }
        }
        // Enter, and what ends a line for a terminal: ^C, ^D, ^Z, ^\.
        self.ended = matches!(seen, Seen::Control)
            && matches!(key, b'\r' | b'\n' | 0x03 | 0x04 | 0x1a | 0x1c);
    }

    fn waits(&self) -> bool {
        self.drawn < self.draw.len()
    }

    fn is_shown(&self) -> bool {
        !self.hidden && !self.waits()
    }

    /// Whether the next key that waits is what was just drawn.
    fn draws(&mut self, byte: u8) -> bool {
        let fits = self.draw.get(self.drawn) == Some(&byte);
        self.drawn += usize::from(fits);
        fits
    }

    fn hide(&mut self) {
        let ended = self.ended;
        *self = Self {
            ended,
            hidden: true,
            ..Self::default()
        };
    }

    fn keys(self) -> Keys {
        match self.hidden {
            true => Keys::Hidden,
            false => Keys::Shown(self.all),
        }
    }
}

fn grow(bytes: &mut Zeroizing<Vec<u8>>) {
    if bytes.len() == bytes.capacity() {
        let mut wider = Zeroizing::new(Vec::with_capacity(2 * bytes.len().max(32)));
        wider.extend_from_slice(bytes);
        *bytes = wider;
    }
}

/// What a byte of a terminal's stream is, either way.
enum Seen {
    /// Draws something, or is part of a character that does.
    Drawn,
    Control,
    /// Belongs to an escape sequence.
    Within,
    /// Ends a sequence by which a line editor says that it is ready (bracketed paste on), or a full-screen program that
    /// it leaves (the alternate screen off).
    NewPrompt,
}

/// Where in an escape sequence a stream is.
#[derive(Default)]
enum Scanner {
    #[default]
    Ground,
    Escape,
    /// After `ESC [`: the parameters so far.
    Control([u8; PARAMETERS], usize),
    /// After `ESC ]`, `ESC P`, `ESC _`, `ESC ^`, `ESC X`: text for the terminal itself.
    Text,
    /// After `ESC O` or a character that asks for one more.
    OneMore,
}

impl Scanner {
    fn is_too_long(&self) -> bool {
        matches!(self, Self::Control(_, length) if *length > PARAMETERS)
    }

    fn next(&mut self, byte: u8) -> Seen {
        let (next, seen) = match (&mut *self, byte) {
            // Of all states: an escape begins anew, and these two end what was begun.
            (_, 0x1b) => (Self::Escape, Seen::Within),
            (Self::Ground, 0x20..=0x7e | 0x80..) => (Self::Ground, Seen::Drawn),
            (Self::Ground, _) => (Self::Ground, Seen::Control),
            (_, 0x18 | 0x1a) => (Self::Ground, Seen::Within),
            (Self::Escape, b'[') => (Self::Control([0; PARAMETERS], 0), Seen::Within),
            (Self::Escape, b']' | b'P' | b'_' | b'^' | b'X') => (Self::Text, Seen::Within),
            (Self::Escape, b'O' | 0x20..=0x2f) => (Self::OneMore, Seen::Within),
            (Self::Text, 0x07) => (Self::Ground, Seen::Within),
            (Self::Text, _) => return Seen::Within,
            (Self::Control(parameters, length), 0x40..=0x7e) => {
                let prompt = matches!(
                    (parameters.get(..*length), byte),
                    (Some(b"?2004"), b'h') | (Some(b"?1049" | b"?47" | b"?1047"), b'l')
                );
                let seen = if prompt {
                    Seen::NewPrompt
                } else {
                    Seen::Within
                };
                (Self::Ground, seen)
            }
            (Self::Control(parameters, length), _) => {
                if let Some(place) = parameters.get_mut(*length) {
                    *place = byte;
                }
                // One past the end says that it was longer.
                *length = (*length + 1).min(PARAMETERS + 1);
                return Seen::Within;
            }
            (Self::Escape | Self::OneMore, _) => (Self::Ground, Seen::Within),
        };
        *self = next;
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is recorded of a conversation: `>` keys, `<` output. Hidden is shown as `<hidden>`.
    fn kept(conversation: &[(char, &str)]) -> Vec<String> {
        let mut typed = Typed::default();
        let mut all = Vec::new();
        for (way, text) in conversation {
            match way {
                '>' => typed.input(text.as_bytes()),
                _ => typed.output(text.as_bytes()),
            }
            all.extend(typed.decided());
        }
        all.extend(typed.finish());
        all.into_iter()
            .map(|keys| match keys {
                Keys::Shown(line) => String::from_utf8_lossy(&line).into_owned(),
                Keys::Hidden => "<hidden>".to_owned(),
            })
            .collect()
    }

    #[test]
    fn what_the_terminal_echoes_is_kept_key_by_key_or_in_one_piece() {
        let slow = [('>', "l"), ('<', "l"), ('>', "s"), ('<', "s"), ('>', "\r")];
        assert_eq!(kept(&slow), ["ls\r"]);
        assert_eq!(
            kept(&[('>', "ls -l\r"), ('<', "ls -l\r\ntotal 0\r\n$ ")]),
            ["ls -l\r"]
        );
        assert_eq!(kept(&[('>', "서울\r"), ('<', "서울\r\n")]), ["서울\r"]);
    }

    #[test]
    fn a_password_is_not_kept_however_it_is_answered() {
        let answers = [
            "\r\n",
            "\r\nSorry, try again.\r\n",
            "\r\nhm\r\n",
            "*******\r\n",
            "",
            "hunter\r\n",
            "\x1b[31mh\x1b[0mi",
        ];
        for answer in answers {
            let said = kept(&[
                ('<', "Password: "),
                ('>', "hunter2"),
                ('>', "\r"),
                ('<', answer),
            ]);
            assert_eq!(said, ["<hidden>"], "{answer:?}");
        }
        // Its first key is what is drawn next, and then its second is not.
        let said = kept(&[
            ('>', "h"),
            ('<', "h"),
            ('>', "unter2"),
            ('<', "x"),
            ('>', "\r"),
        ]);
        assert_eq!(said, ["<hidden>"]);
    }

    #[test]
    fn keys_after_one_that_was_not_shown_stay_hidden_up_to_the_lines_end() {
        let said = kept(&[
            ('>', "se"),
            ('<', "log line\r\n"),
            ('>', "c"),
            ('<', "c"),
            ('>', "ret\r"),
            ('<', "\r\n$ "),
            ('>', "id"),
            ('<', "id"),
            ('>', "\r"),
        ]);
        assert_eq!(said, ["<hidden>", "id\r"]);
    }

    #[test]
    fn after_a_full_screen_program_the_next_command_is_kept() {
        let said = kept(&[
            ('>', "q"),
            ('<', "\x1b[?1049l\x1b[?2004hubuntu@amphora:~$ "),
            ('>', "id"),
            ('<', "id"),
            ('>', "\r"),
        ]);
        assert_eq!(said, ["<hidden>", "id\r"]);
        let said = kept(&[
            ('>', "q"),
            ('<', "\x1b[Kbye\x1b[?1049l\x1b[?2004h$ "),
            ('>', "id"),
            ('<', "id"),
            ('>', "\r"),
        ]);
        assert_eq!(said, ["<hidden>", "id\r"]);
    }

    /// Alt and one of `_ ] P ^ X [` is a key of line editors, and no begin of anything.
    #[test]
    fn a_password_after_an_alt_key_is_not_kept() {
        for key in ["_", "]", "P", "^", "X", "[", "O", " "] {
            let said = kept(&[
                ('>', "sudo x "),
                ('<', "sudo x "),
                ('>', &format!("\x1b{key}")),
                ('<', "nginx"),
                ('>', "\r"),
                ('<', "\r\nPassword: "),
                ('>', "hunter2\r"),
                ('<', "\r\n$ "),
            ]);
            assert_eq!(said, [&format!("sudo x \x1b{key}\r"), "<hidden>"], "{key}");
            let said = kept(&[
                ('>', &format!("\x1b{key}hunter2-12345678\r")),
                ('<', "\r\n$ "),
            ]);
            assert_eq!(said, ["<hidden>"], "{key}");
        }
    }

    #[test]
    fn of_many_lines_at_once_the_shown_ones_are_kept() {
        let mut typed = Typed::default();
        typed.input("id\r".repeat(3).as_bytes());
        typed.output(b"id\r\nid\r\nid\r\n");
        typed.input("secret\r".repeat(10 * AHEAD).as_bytes());
        let kept: Vec<_> = typed.decided().into_iter().chain(typed.finish()).collect();
        let shown = kept.iter().filter(|keys| **keys != Keys::Hidden).count();
        assert_eq!(shown, 3);
        assert!(kept.len() < 2 * AHEAD, "{}", kept.len());
    }

    #[test]
    fn arrows_and_tabs_draw_nothing_themselves() {
        let said = kept(&[
            ('>', "\x1b[A"),
            ('<', "cat /etc/hosts"),
            ('>', "\x1bOD"),
            ('<', "\x08"),
            ('>', "\t\r"),
        ]);
        assert_eq!(said, ["\x1b[A\x1bOD\t\r"]);
    }

    #[test]
    fn neither_a_long_line_nor_many_are_held() {
        let mut typed = Typed::default();
        typed.input(&vec![b'x'; 10 * LONGEST]);
        typed.input(&"a\r".repeat(10 * AHEAD).into_bytes());
        assert!(typed.lines.len() <= AHEAD + 1, "{}", typed.lines.len());
        let held: usize = typed.lines.iter().map(|line| line.all.capacity()).sum();
        assert!(held <= 2 * LONGEST, "{held}");
        assert!(typed.finish().iter().all(|keys| *keys == Keys::Hidden));
    }

    proptest::proptest! {
        /// Whatever is drawn around it: a line of which one key is not drawn in its turn is not kept, nor a part of it.
        #[test]
        fn no_part_of_a_line_that_was_not_drawn_is_kept(
            secret in "[a-z0-9]{4,12}",
            pieces in proptest::collection::vec("[A-Z \r\n]{0,6}", 13),
        ) {
            let mut typed = Typed::default();
            let mut kept = Vec::new();
            for (key, piece) in secret.bytes().zip(&pieces) {
                typed.input(&[key]);
                typed.output(piece.as_bytes());
                kept.extend(typed.decided());
            }
            typed.input(b"\r");
            kept.extend(typed.decided());
            kept.extend(typed.finish());
            proptest::prop_assert!(kept.iter().all(|keys| *keys == Keys::Hidden));
        }

        /// A terminal that echoes, cut anywhere: everything is kept, in order.
        #[test]
        fn all_that_is_echoed_is_kept(
            lines in proptest::collection::vec("[ -~]{0,20}", 1..6),
            cuts in proptest::collection::vec(1..7_usize, 1..40),
        ) {
            let whole = lines.iter().map(|line| format!("{line}\r")).collect::<String>().into_bytes();
            let mut typed = Typed::default();
            let mut kept = Vec::new();
            let mut rest = whole.as_slice();
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                typed.input(now);
                typed.output(&String::from_utf8_lossy(now).replace('\r', "\r\n").into_bytes());
                kept.extend(typed.decided());
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            kept.extend(typed.finish());
            let hidden = kept.contains(&Keys::Hidden);
            let shown: Vec<u8> = kept
                .iter()
                .filter_map(|keys| match keys {
                    Keys::Shown(line) => Some(line.to_vec()),
                    Keys::Hidden => None,
                })
                .flatten()
                .collect();
            proptest::prop_assert!(!hidden);
            proptest::prop_assert_eq!(shown, whole);
        }
    }
}
