//! In: characters that a recorded program printed.
//! Out: what may be drawn: one character, or one with its combining marks, under a single code point for the grid.
//! Never: a character that acts, hides or turns the direction of text.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_width::UnicodeWidthChar;

use crate::text::acts_or_hides;

/// The virtual terminal keeps one character per cell and gives combining marks a cell of their own, which no real
/// terminal does. So a character with marks travels through it as one of these, which nobody else may use.
const FIRST: u32 = 0x10_0000;
const LAST: u32 = 0x10_fffd;
/// More marks than any language has on one letter, and fewer than would cover the line above.
const MOST_MARKS: usize = 6;

/// What is to be done with a printed character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is drawn.
    Plain(char),
    /// It goes onto the one before.
    Mark,
    /// It is not drawn.
    Hidden,
}

/// Sorts a printed character.
pub fn class(c: char) -> Class {
    if acts_or_hides(c) {
        return Class::Hidden;
    }
    if c as u32 >= FIRST {
        return Class::Plain(char::REPLACEMENT_CHARACTER);
    }
    match c.width() {
        Some(0) => Class::Mark,
        Some(_) => Class::Plain(c),
        None => Class::Hidden,
    }
}

/// A character that waits for its marks.
#[derive(Clone, Debug, Default)]
pub struct Cluster(String);

impl Cluster {
    /// A character that is drawn, without marks.
    pub fn new(c: char) -> Self {
        Self(c.to_string())
    }

    /// Takes a mark, unless there are too many.
    pub fn mark(&mut self, c: char) {
        if self.0.chars().count() <= MOST_MARKS {
            self.0.push(c);
        }
    }
}

/// Characters with marks, by the code points that stand for them.
#[derive(Clone, Debug)]
pub struct Clusters {
    texts: Vec<String>,
    most: usize,
    known: HashMap<String, char>,
}

impl Default for Clusters {
    fn default() -> Self {
        Self::at_most((LAST - FIRST) as usize + 1)
    }
}

impl Clusters {
    /// A table with room for so many.
    #[must_use]
    pub fn at_most(most: usize) -> Self {
        Self {
            texts: Vec::new(),
            most,
            known: HashMap::new(),
        }
    }

    /// How many there are; a table only grows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.texts.len()
    }

    /// What the virtual terminal is told to print. Marks on wide characters, and those that find no room in the
    /// table, are left out.
    ///
    /// What Unicode has one character for becomes that one: a Korean syllable that was sent as its letters (as file
    /// names of some systems are) is wide and has marks, and would lose them.
    pub fn cell(&mut self, cluster: Cluster) -> char {
        let mut text = cluster.0;
        if text.chars().nth(1).is_some() {
            text = text.nfc().collect();
        }
        let mut chars = text.chars();
        let base = chars.next().unwrap_or(' ');
        if chars.next().is_none() || base.width() != Some(1) {
            return base;
        }
        if let Some(known) = self.known.get(&text) {
            return *known;
        }
        let next = Some(self.texts.len())
            .filter(|n| *n < self.most)
            .and_then(|n| u32::try_from(n).ok())
            .and_then(|n| n.checked_add(FIRST))
            .filter(|n| *n <= LAST);
        let Some(stand_in) = next.and_then(char::from_u32) else {
            return base;
        };
        self.texts.push(text.clone());
        self.known.insert(text, stand_in);
        stand_in
    }

    /// Appends what a cell shows. The last gate: whatever came this far, nothing that acts goes out.
    pub fn show(&self, cell: char, out: &mut String) {
        let text = (cell as u32)
            .checked_sub(FIRST)
            .and_then(|n| self.texts.get(n as usize));
        match text {
            Some(text) => out.extend(text.chars().map(harmless)),
            None => out.push(harmless(cell)),
        }
    }
}

fn harmless(c: char) -> char {
    if acts_or_hides(c) || c as u32 >= FIRST {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}
