//! In: text that an operator, an amphora or whoever made the file may have chosen.
//! Out: text that a terminal only shows.
//! Never: a control character, or one that hides itself or turns the direction of text, unless it is spelt out.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

use unicode_width::UnicodeWidthChar;

/// Whether a terminal might act on this character, or show nothing where there is something.
pub fn acts_or_hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        || (c as u32) & 0xfffe == 0xfffe
}

/// The text with everything that acts or hides spelt out: `\n`, `\u{1b}`. Backslashes stay as they are: this is for
/// reading, not for parsing; [`json`] is for parsing.
pub fn safe(text: &str) -> Cow<'_, str> {
    if !text.contains(acts_or_hides) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if acts_or_hides(c) => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// [`safe`] text of at most `columns` columns, with an ellipsis if it was longer.
pub fn fitted(text: &str, columns: usize) -> String {
    let text = safe(text);
    if width(&text) <= columns {
        return text.into_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// `1:02:03`, or `2:03` below an hour.
pub fn clock(time: Duration) -> String {
    let all = time.as_secs();
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_or_hides_passes() {
        let nasty = "a\u{1b}]0;x\u{7}\u{9b}31m\u{7f}\u{202e}gpj\u{200b}\u{2028}\u{e0041}\u{feff}\n\u{fe0f}\u{ffff}z";
        let shown = safe(nasty);
        assert!(!shown.contains(acts_or_hides), "{shown}");
        assert!(shown.starts_with("a\\u{1b}]0;x\\u{7}\\u{9b}31m") && shown.ends_with('z'));
        assert_eq!(safe("käse 한글 C:\\x"), "käse 한글 C:\\x");
    }

    #[test]
    fn text_is_cut_at_columns_not_bytes() {
        assert_eq!(fitted("한글한글", 5), "한글…");
        assert_eq!(fitted("한글", 4), "한글");
        assert_eq!(fitted("abc\x1b", 4), "abc…");
        assert_eq!(fitted("abc", 0), "");
    }
}
