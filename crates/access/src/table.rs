//! In: a TOML text.
//! Out: its tables, read field by field; every fault with its place, all of them at once.
//! Never: ignores a key that nobody asked for, or stops at the first fault.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::Fault;

/// The faults of one file, gathered while it is read.
#[derive(Debug)]
pub struct Faults<'t> {
    file: &'t str,
    text: &'t str,
    found: RefCell<Vec<Fault>>,
}

impl<'t> Faults<'t> {
    /// No faults yet in `text`, which people know as `file`.
    pub fn new(file: &'t str, text: &'t str) -> Self {
        Self {
            file,
            text,
            found: RefCell::new(Vec::new()),
        }
    }

    /// Notes a fault at a byte range of the text.
    pub fn add(&self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.found
            .borrow_mut()
            .push(Fault::at(self.file, self.text, span, message, help));
    }

    /// The line, counted from 1, on which a byte range starts.
    pub fn line(&self, span: &Range<usize>) -> usize {
        Fault::at(self.file, self.text, span.clone(), "", None).line
    }

    /// The name of the file.
    pub fn file(&self) -> &'t str {
        self.file
    }

    /// `value` if nothing was wrong, else all faults in the order of the file.
    ///
    /// # Errors
    /// Every fault that was noted.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<Fault>> {
        let mut found = self.found.into_inner();
        if found.is_empty() {
            return Ok(value);
        }
        found.sort_by_key(|fault| (fault.line, fault.column));
        Err(found)
    }
}

/// One table of a TOML document. Fields are taken by name; [`Table::end`] faults the ones nobody took.
#[derive(Debug)]
pub struct Table<'d, 't> {
    /// None for a table that is not in the document: each of its fields is missing.
    entries: Option<&'d DeTable<'t>>,
    span: Range<usize>,
    faults: &'d Faults<'t>,
    asked: RefCell<BTreeSet<&'static str>>,
}

/// A value with its place in the text.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its byte range in the text.
    pub span: Range<usize>,
}

/// Parses `text`; what TOML itself refuses is noted in `faults`, and what could be read all the same is returned.
pub fn parse<'t>(text: &'t str, faults: &Faults<'t>) -> Spanned<DeTable<'t>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        faults.add(span, format!("not TOML: {}", error.message()), None);
    }
    document
}

impl<'d, 't> Table<'d, 't> {
    /// The root table of a parsed document.
    pub fn root(document: &'d Spanned<DeTable<'t>>, faults: &'d Faults<'t>) -> Self {
        Self::new(Some(document.get_ref()), document.span(), faults)
    }

    fn new(entries: Option<&'d DeTable<'t>>, span: Range<usize>, faults: &'d Faults<'t>) -> Self {
        Self {
            entries,
            span,
            faults,
            asked: RefCell::new(BTreeSet::new()),
        }
    }

    /// Where the table stands.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    fn take(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'t>>> {
        self.asked.borrow_mut().insert(key);
        self.entries?.get(key)
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'t>>, wanted: &str) {
        let message = format!(
            "`{key}` must be {wanted}, this is a {}",
            value.get_ref().type_str()
        );
        self.faults.add(value.span(), message, None);
    }

    /// A string, if the key is there.
    pub fn string(&self, key: &'static str) -> Option<At<&'d str>> {
        let value = self.take(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(At {
                value: text,
                span: value.span(),
            }),
            None => {
                self.wrong_type(key, value, "a string in quotes");
                None
            }
        }
    }

    /// A string that must be there.
    pub fn required(&self, key: &'static str) -> Option<At<&'d str>> {
        if self.take(key).is_none() {
            let message = format!("`{key}` is missing");
            self.faults.add(
                self.span(),
                message,
                Some(format!("add {key} = \"…\" to this table")),
            );
            return None;
        }
        self.string(key)
    }

    /// A string that must be there and mean something.
    pub fn parsed<T, E: ToString>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.required(key)
            .and_then(|text| self.meaning(&text, parse))
    }

    /// A string that may be left out, but must mean something where it is given.
    pub fn parsed_if_there<T, E: ToString>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.string(key).and_then(|text| self.meaning(&text, parse))
    }

    fn meaning<T, E: ToString>(
        &self,
        text: &At<&'d str>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        parse(text.value)
            .map_err(|error| self.faults.add(text.span.clone(), error.to_string(), None))
            .ok()
    }

    /// A list of strings; no list is an empty one.
    pub fn strings(&self, key: &'static str) -> Vec<At<&'d str>> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of strings");
            return Vec::new();
        };
        let mut strings = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_str() {
                Some(text) => strings.push(At {
                    value: text,
                    span: item.span(),
                }),
                None => self.wrong_type(key, item, "a list of strings"),
            }
        }
        strings
    }

    /// `true` or `false`, if the key is there.
    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        let read = value.get_ref().as_bool();
        if read.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        read
    }

    /// A whole number between `low` and `high`, if the key is there.
    pub fn integer(&self, key: &'static str, low: u64, high: u64) -> Option<u64> {
        let value = self.take(key)?;
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        let read = u64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|n| (low..=high).contains(n));
        if read.is_none() {
            self.faults.add(
                value.span(),
                format!("`{key}` must be a number from {low} to {high}"),
                None,
            );
        }
        read
    }

    /// A date and time, or a string; as text either way.
    pub fn moment(&self, key: &'static str) -> Option<At<String>> {
        let value = self.take(key)?;
        let text = match value.get_ref() {
            DeValue::Datetime(moment) => moment.to_string(),
            DeValue::String(text) => text.to_string(),
            _ => {
                self.wrong_type(key, value, "a date and time");
                return None;
            }
        };
        Some(At {
            value: text,
            span: value.span(),
        })
    }

    /// The table written as `[key]`; one that is not there is empty, so that defaults are applied in one place.
    pub fn section(&self, key: &'static str) -> Table<'d, 't> {
        let value = self.take(key);
        let entries = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, entries) {
            self.wrong_type(key, value, &format!("a table, headed [{key}]"));
        }
        let span = value.map_or_else(|| self.span(), Spanned::span);
        Table::new(entries, span, self.faults)
    }

    /// Whether the key is there and its value is a table.
    pub fn is_table(&self, key: &'static str) -> bool {
        self.take(key)
            .is_some_and(|value| value.get_ref().as_table().is_some())
    }

    /// Whether the key is there, whatever its value.
    pub fn has(&self, key: &'static str) -> bool {
        self.take(key).is_some()
    }

    /// Notes a fault of a value that was read.
    pub fn fault(&self, span: Range<usize>, message: impl Into<String>) {
        self.faults.add(span, message, None);
    }

    /// The tables written as `[[key]]`.
    pub fn tables(&self, key: &'static str) -> Vec<Table<'d, 't>> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(
                key,
                value,
                &format!("a list of tables, each headed [[{key}]]"),
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(entries) => {
                    tables.push(Table::new(Some(entries), item.span(), self.faults));
                }
                None => self.wrong_type(
                    key,
                    item,
                    &format!("a list of tables, each headed [[{key}]]"),
                ),
            }
        }
        tables
    }

    /// All fields are read: every key that nobody asked for is a fault.
    pub fn end(self) {
        let asked = self.asked.into_inner();
        for key in self.entries.into_iter().flat_map(DeTable::keys) {
            let name: &str = key.get_ref();
            if asked.contains(name) {
                continue;
            }
            let known: Vec<&str> = asked.iter().copied().collect();
            let message = format!("unknown key `{}`", name.escape_debug());
            let help = match nearest(name, &known) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.faults.add(key.span(), message, Some(help));
        }
    }
}

/// The known key that differs in at most two letters, if there is one.
fn nearest<'k>(typed: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|key| (distance(typed, key), *key))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, key)| key)
}

/// Letters to insert, drop or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let (mut corner, mut left) = (i, i + 1);
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            left = (corner + usize::from(from != *to))
                .min(above + 1)
                .min(left + 1);
            corner = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_answered_with_the_key_meant() {
        assert_eq!(nearest("lisen", &["listen", "users"]), Some("listen"));
        assert_eq!(nearest("colour", &["listen", "users"]), None);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
