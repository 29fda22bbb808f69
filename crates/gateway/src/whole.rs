//! In: output on its way to a terminal. Out: whether a program has the whole screen just now, and how to say something there.
//! Never: waits; keeps a byte of the output.

use ampgate_screen::text;

/// Modes that change to the other screen (xterm's control sequences, "DEC Private Mode Set").
const OTHER_SCREEN: [u16; 3] = [47, 1047, 1049];

/// Where in a control sequence the output is.
#[derive(Clone, Copy, Default)]
enum At {
    #[default]
    Text,
    Escape,
    Sequence,
    /// `CSI ?` and numbers: the one that comes, and whether one before it was of the other screen.
    Mode {
        number: u16,
        is_other: bool,
    },
}

/// Follows the output of one terminal.
#[derive(Default)]
pub struct Whole {
    at: At,
    is_taken: bool,
}

impl Whole {
    /// Takes output in; whether a program has the whole screen behind it.
    pub fn output(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        loop {
            if matches!(self.at, At::Text) {
                let Some(escape) = rest.iter().position(|byte| *byte == 0x1b) else {
                    return self.is_taken;
                };
                rest = rest.get(escape..).unwrap_or_default();
            }
            let Some((byte, behind)) = rest.split_first() else {
                return self.is_taken;
            };
            self.at = self.next(*byte);
            rest = behind;
        }
    }

    fn next(&mut self, byte: u8) -> At {
        match (self.at, byte) {
            (_, 0x1b) => At::Escape,
            (At::Escape, b'[') => At::Sequence,
            (At::Escape, b'c') => {
                self.is_taken = false;
                At::Text
            }
            (At::Sequence, b'?') => At::Mode {
                number: 0,
                is_other: false,
            },
            (At::Mode { number, is_other }, b'0'..=b'9') => At::Mode {
                number: number
                    .saturating_mul(10)
                    .saturating_add(u16::from(byte - b'0')),
                is_other,
            },
            (At::Mode { number, is_other }, b';') => At::Mode {
                number: 0,
                is_other: is_other || OTHER_SCREEN.contains(&number),
            },
            (At::Mode { number, is_other }, b'h' | b'l') => {
                if is_other || OTHER_SCREEN.contains(&number) {
                    self.is_taken = byte == b'h';
                }
                At::Text
            }
            _ => At::Text,
        }
    }
}

/// Says it in the last row, and gives the cursor back. A program that draws that row anew removes it; no row moves.
pub fn said(sentence: &str, (columns, rows): (u32, u32)) -> Vec<u8> {
    // The last column stays free: some terminals move on when it is written.
    let room = usize::try_from(columns).unwrap_or(80).saturating_sub(1);
    let sentence = text::fitted(sentence, room);
    format!("\x1b7\x1b[{rows};1H\x1b[0;7m{sentence}\x1b[0m\x1b[K\x1b8").into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(output: &str) -> bool {
        Whole::default().output(output.as_bytes())
    }

    #[test]
    fn programs_take_the_screen_and_give_it_back() {
        for (output, taken) in [
            ("text", false),
            ("\x1b[?1049h", true),
            ("\x1b[?47h", true),
            ("\x1b[?1047htext\x1b[31m", true),
            ("\x1b[?25;1049h", true),
            ("\x1b[?1049;25h", true),
            ("\x1b[?1049h\x1b[?1049l", false),
            ("\x1b[?1049h\x1b[?25l", true),
            ("\x1b[?1049h\x1bc", false),
            ("\x1b[1049h", false),
            ("\x1b[?10490h", false),
            ("\x1b[?1049 h", false),
            ("\x1b[?10\x1b[?1049h", true),
            ("\x1b[?99999999999h", false),
        ] {
            assert_eq!(after(output), taken, "{output:?}");
        }
    }

    #[test]
    fn what_is_said_is_one_row_and_acts_on_nothing() {
        let said = said("carol \x1b]0;x\x07 watches", (20, 24));
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.starts_with("\x1b7\x1b[24;1H\x1b[0;7mcarol") && said.ends_with("\x1b[K\x1b8"));
        assert!(!said.contains("\x1b]") && said.contains('…'));
    }

    proptest! {
        /// However the output is cut into pieces.
        #[test]
        fn pieces_make_no_difference(output in "(\u{1b}\\[\\?(1049|25|47)(;1047)?[hlm]|\u{1b}[c\\[]|[a-z?;0-9]){0,12}", cut in 0usize..60) {
            let bytes = output.as_bytes();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut whole = Whole::default();
            whole.output(first);
            prop_assert_eq!(whole.output(second), after(&output));
        }
    }
}
