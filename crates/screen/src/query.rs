//! In: what an auditor looks for.
//! Out: where it is in a line; and which short pieces of text a recording must hold if it is anywhere in it.
//! Never: a search whose time grows faster than the text (no backtracking); a piece that a match could do without.

use std::ops::Range;

use regex::{Regex, RegexBuilder};
use unicode_normalization::UnicodeNormalization;

use crate::watch::{Eye, Line};

/// Why a text cannot be looked for.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It has no word.
    #[error("nothing to look for; give a word, or several in quotes")]
    Empty,
    /// It was said to be a regular expression.
    #[error("this is no regular expression; without --regex it is looked for as it is: {0}")]
    NoExpression(#[from] regex::Error),
}

/// What is looked for.
#[derive(Clone)]
pub struct Query {
    regex: Regex,
    grams: Vec<u32>,
}

impl Query {
    /// Words in their order with any blanks between, or a regular expression.
    ///
    /// # Errors
    /// If there is nothing to look for, or the expression is none.
    pub fn new(text: &str, is_regex: bool, exact_case: bool) -> Result<Self, QueryError> {
        let text: String = text.nfc().collect();
        let words: Vec<_> = text.split_whitespace().collect();
        if words.is_empty() {
            return Err(QueryError::Empty);
        }
        let pattern = if is_regex {
            text.clone()
        } else {
            let words: Vec<_> = words.iter().map(|word| regex::escape(word)).collect();
            words.join(r"\s+")
        };
        let regex = RegexBuilder::new(&pattern)
            .case_insensitive(!exact_case)
            .build()?;
        let mut grams = Vec::new();
        if !is_regex {
            each_gram(&text, |gram| grams.push(gram));
            grams.sort_unstable();
            grams.dedup();
        }
        Ok(Self { regex, grams })
    }

    /// Pieces that each recording with a match holds; none if nothing is known.
    pub fn grams(&self) -> &[u32] {
        &self.grams
    }

    /// Where it is.
    pub fn find(&self, text: &str) -> Vec<Range<usize>> {
        let matches = self.regex.find_iter(text).map(|found| found.range());
        matches.filter(|range| !range.is_empty()).collect()
    }
}

impl Eye for Query {
    fn look(&mut self, line: &Line<'_>) -> Vec<Range<usize>> {
        if !self.regex.is_match(line.text) {
            return Vec::new();
        }
        let is_new = |found: &Range<usize>| {
            let touches = |new: &Range<usize>| new.start < found.end && found.start < new.end;
            line.fresh.iter().any(touches)
        };
        let mut found = self.find(line.text);
        found.retain(is_new);
        found
    }
}

/// Every piece of a text: three characters of one word, or two where one of them is not ASCII (Korean words are short).
/// Capital or small is the same here, so an index serves both ways of searching.
pub fn each_gram(text: &str, mut take: impl FnMut(u32)) {
    for word in text.split_whitespace() {
        let (mut first, mut second) = (None, None);
        for third in word.chars().map(fold) {
            if let (Some(first), Some(second)) = (first, second) {
                take(gram([first, second, third]));
            }
            if let Some(second) = second
                && !(char::is_ascii(&second) && third.is_ascii())
            {
                take(gram(['\0', second, third]));
            }
            (first, second) = (second, Some(third));
        }
    }
}

/// A number of 24 bits. Two pieces with one number cost a search that finds nothing, and no more.
fn gram(chars: [char; 3]) -> u32 {
    let mixed = chars.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, c| {
        (hash ^ u64::from(u32::from(*c))).wrapping_mul(0x0000_0100_0000_01b3)
    });
    u32::try_from((mixed ^ (mixed >> 29)) >> 7 & 0xff_ffff).unwrap_or_default()
}

/// Equal for all characters that a search without regard to case takes for the same.
fn fold(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    if c == '\u{fb05}' {
        // Two spellings of one ligature, whose capitals are two letters.
        return '\u{fb06}';
    }
    let upper = only(c.to_uppercase()).unwrap_or(c);
    only(upper.to_lowercase()).unwrap_or(upper)
}

fn only(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next();
    first.filter(|_| chars.next().is_none())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn grams(text: &str) -> HashSet<u32> {
        let mut grams = HashSet::new();
        each_gram(text, |gram| {
            grams.insert(gram);
        });
        grams
    }

    #[test]
    fn what_a_search_takes_for_the_same_is_one_piece() {
        let cased: Vec<char> = (0..0x11_0000)
            .filter_map(char::from_u32)
            // Others never reach a line.
            .filter(|c| unicode_normalization::is_nfc(&c.to_string()))
            .filter(|c| {
                c.is_alphabetic()
                    && (c.to_lowercase().next() != Some(*c) || c.to_uppercase().next() != Some(*c))
            })
            .collect();
        let all: String = cased.iter().collect();
        for c in &cased {
            let same = RegexBuilder::new(&regex::escape(&c.to_string()))
                .case_insensitive(true)
                .build()
                .unwrap();
            for other in same.find_iter(&all) {
                assert_eq!(
                    fold(*c),
                    fold(other.as_str().chars().next().unwrap()),
                    "{c} {}",
                    other.as_str()
                );
            }
        }
    }

    #[test]
    fn words_are_found_whatever_case_blanks_and_spelling() {
        let query = Query::new("Connection  Refused", false, false).unwrap();
        assert_eq!(query.find("x connection refused y").first(), Some(&(2..20)));
        assert_eq!(query.find("CONNECTION      refused").len(), 1);
        let query = Query::new("a.b(c", false, false).unwrap();
        assert_eq!(
            (query.find("a.b(c").len(), query.find("axb(c").len()),
            (1, 0)
        );
        // The needle as a mac would type it.
        let query = Query::new("\u{1112}\u{1161}\u{11ab}글", false, false).unwrap();
        assert_eq!(query.find("이 한글 문서").len(), 1);
        let query = Query::new("Root", false, true).unwrap();
        assert_eq!((query.find("root").len(), query.find("Root").len()), (0, 1));
        let query = Query::new("x{2,3}$", true, false).unwrap();
        assert_eq!(query.find("axxx").first(), Some(&(1..4)));
        assert!(Query::new(" ", false, false).is_err() && Query::new("(", true, false).is_err());
    }

    proptest! {
        /// An index never hides a match: whatever matches holds every piece of the query.
        #[test]
        fn matches_hold_all_pieces(needle in "[a-cA-Cé한글ſk ]{1,6}", before in ".{0,8}", after in ".{0,8}", upper in any::<bool>()) {
            prop_assume!(!needle.trim().is_empty());
            let query = Query::new(&needle, false, false).unwrap();
            let shown = if upper { needle.to_uppercase() } else { needle.replace(' ', "   ") };
            let text = format!("{before}{shown}{after}");
            if !query.find(&text).is_empty() {
                let held = grams(&text);
                prop_assert!(query.grams().iter().all(|gram| held.contains(gram)));
            }
        }
    }
}
