//! In: any text, also what an operator or an amphora made up.
//! Out: text of at most 1024 bytes, and its JSON form, in which nothing can act on an auditor's terminal.
//! Never: changes text that fits; what is cut ends in "…".

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::io::{self, Write};

/// Text in an event: at most [`Text::MAX`] bytes, cut at a character with "…" at its end when it was longer.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug, Deserialize)]
pub struct Text(String);

impl Text {
    /// The longest text kept, in bytes of UTF-8, its mark of being cut included.
    pub const MAX: usize = 1024;

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(cut(text).unwrap_or_else(|| text.to_owned()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text(cut(&text).unwrap_or(text))
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Text {
        Text::from(text.as_str())
    }
}

/// Bytes that need be no UTF-8 (an `exec` command): shown with U+FFFD; the recording's header has them exactly.
impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Text {
        let head = bytes.get(..Text::MAX * 2).unwrap_or(bytes);
        Text::from(String::from_utf8_lossy(head).into_owned())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn cut(text: &str) -> Option<String> {
    const MARK: &str = "…";
    if text.len() <= Text::MAX {
        return None;
    }
    let mut end = Text::MAX - MARK.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Some(format!("{}{MARK}", text.get(..end).unwrap_or_default()))
}

/// JSON whose strings show no control character of any kind: a journal may be read with `cat` or `less`.
///
/// JSON itself asks only for U+0000–U+001F to be escaped. DEL, C1 (8-bit CSI!), bidirectional overrides, zero-width and
/// tag characters go as `\uXXXX` too; any JSON parser gives the same text back.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(512);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Plain))?;
    Ok(out)
}

struct Plain;

impl serde_json::ser::Formatter for Plain {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let mut clean = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| acts_or_hides(*c)) {
            out.write_all(text.as_bytes().get(clean..at).unwrap_or_default())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            clean = at + c.len_utf8();
        }
        out.write_all(text.as_bytes().get(clean..).unwrap_or_default())
    }
}

fn acts_or_hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn long_text_is_cut_at_a_character_and_says_so() {
        let text = Text::from("ß".repeat(5000));
        assert!(text.as_str().len() <= Text::MAX);
        assert!(text.as_str().ends_with("ß…"));
        assert_eq!(Text::from("short").as_str(), "short");
    }

    #[test]
    fn nothing_in_the_json_acts_on_a_terminal_and_it_reads_back() {
        let nasty = "a\u{1b}]0;x\u{7}\u{9b}31m\u{7f}\u{202e}gpj\u{200b}\u{2028}\u{e0041}\u{feff}\n\"\\ 한글";
        let json = to_json(&Text::from(nasty)).unwrap();
        let shown = String::from_utf8(json.clone()).unwrap();
        assert!(shown.chars().all(|c| !acts_or_hides(c)), "{shown}");
        assert!(shown.contains("한글"), "ordinary text stays readable");
        assert_eq!(
            serde_json::from_slice::<Text>(&json).unwrap().as_str(),
            nasty
        );
    }
}
