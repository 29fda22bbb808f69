//! In: one TOML table with spans. Out: typed values, and a fault for everything that is wrong with it.
//! Never: stops at the first fault, or lets an unknown key pass.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use ampgate_access::Fault;
use toml::de::{DeTable, DeValue};

/// What every section of one file shares: its name, its text and the faults found so far.
pub struct Source<'t> {
    file: &'t str,
    text: &'t str,
    faults: RefCell<Vec<Fault>>,
}

impl<'t> Source<'t> {
    pub fn new(file: &'t str, text: &'t str) -> Rc<Self> {
        Rc::new(Self { file, text, faults: RefCell::new(Vec::new()) })
    }

    pub fn fault(&self, span: std::ops::Range<usize>, message: impl Into<String>, help: Option<String>) {
        let fault = Fault::at(self.file, self.text, span, message.into(), help);
        self.faults.borrow_mut().push(fault);
    }

    pub fn take_faults(&self) -> Vec<Fault> {
        std::mem::take(&mut self.faults.borrow_mut())
    }

    /// The top table of the file; a syntax error is a fault and gives an empty table.
    pub fn parse(self: &Rc<Self>) -> Section<'t> {
        let (table, faults) = DeTable::parse_recoverable(self.text);
        for error in faults {
            self.fault(error.span().unwrap_or(0..0), error.message(), None);
        }
        Section { source: Rc::clone(self), path: String::new(), table: table.into_inner(), seen: Vec::new() }
    }
}

/// One table being read: each key is taken once, what is left at `end` is unknown.
pub struct Section<'t> {
    source: Rc<Source<'t>>,
    path: String,
    table: DeTable<'t>,
    seen: Vec<&'static str>,
}

type Found<'t> = Option<(DeValue<'t>, std::ops::Range<usize>)>;

impl<'t> Section<'t> {
    fn take(&mut self, key: &'static str) -> Found<'t> {
        self.seen.push(key);
        let value = self.table.remove(key)?;
        let span = value.span();
        Some((value.into_inner(), span))
    }

    fn wrong(&self, key: &str, span: std::ops::Range<usize>, wanted: &str) {
        let name = self.name(key);
        self.source.fault(span, format!("{name} must be {wanted}"), None);
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A nested table; a missing one is read as empty, so that every default is applied in one place.
    pub fn section(&mut self, key: &'static str) -> Section<'t> {
        let path = self.name(key);
        let table = match self.take(key) {
            None => DeTable::default(),
            Some((DeValue::Table(table), _)) => table,
            Some((_, span)) => {
                self.wrong(key, span, "a table, written as [name] and its keys below");
                DeTable::default()
            }
        };
        Section { source: Rc::clone(&self.source), path, table, seen: Vec::new() }
    }

    /// Text, through `parse`, whose error becomes the fault.
    pub fn parsed<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        match self.take(key)? {
            (DeValue::String(text), span) => match parse(&text) {
                Ok(value) => Some(value),
                Err(message) => {
                    let name = self.name(key);
                    self.source.fault(span, format!("{name}: {message}"), None);
                    None
                }
            },
            (_, span) => {
                self.wrong(key, span, "text in quotes");
                None
            }
        }
    }

    pub fn text(&mut self, key: &'static str, default: &str) -> String {
        self.parsed(key, |text| Ok(text.to_owned())).unwrap_or_else(|| default.to_owned())
    }

    pub fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        match self.take(key) {
            None => default,
            Some((DeValue::Boolean(value), _)) => value,
            Some((_, span)) => {
                self.wrong(key, span, "true or false");
                default
            }
        }
    }

    pub fn number(&mut self, key: &'static str, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        match self.take(key) {
            None => default,
            Some((DeValue::Integer(value), span)) => {
                match u64::from_str_radix(value.as_str(), value.radix()) {
                    Ok(number) if range.contains(&number) => number,
                    _ => {
                        let wanted = format!("a number from {} to {}", range.start(), range.end());
                        self.wrong(key, span, &wanted);
                        default
                    }
                }
            }
            Some((_, span)) => {
                self.wrong(key, span, "a number");
                default
            }
        }
    }

    /// A duration such as "30s", "5m", "1h" or "250ms", within bounds.
    pub fn duration(&mut self, key: &'static str, default: Duration, range: std::ops::RangeInclusive<Duration>) -> Duration {
        self.parsed(key, |text| {
            let value = parse_duration(text)?;
            if range.contains(&value) {
                Ok(value)
            } else {
                Err(format!("must be from {} to {}", show_duration(*range.start()), show_duration(*range.end())))
            }
        })
        .unwrap_or(default)
    }

    /// A size such as "512MiB".
    pub fn size(&mut self, key: &'static str, default: u64) -> u64 {
        self.parsed(key, parse_size).unwrap_or(default)
    }

    /// A path; a relative one counts from the file's own directory.
    pub fn path(&mut self, key: &'static str, default: &str, base: &Path) -> PathBuf {
        base.join(self.text(key, default))
    }

    pub fn optional_path(&mut self, key: &'static str, base: &Path) -> Option<PathBuf> {
        self.parsed(key, |text| Ok(base.join(text)))
    }

    /// A list of texts, each through `parse`; every wrong one is its own fault.
    pub fn list<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        match self.take(key)? {
            (DeValue::Array(items), _) => {
                let mut values = Vec::new();
                for item in items {
                    let span = item.span();
                    match item.get_ref() {
                        DeValue::String(text) => match parse(text) {
                            Ok(value) => values.push(value),
                            Err(message) => {
                                let name = self.name(key);
                                self.source.fault(span, format!("{name}: {message}"), None);
                            }
                        },
                        _ => self.wrong(key, span, "a list of texts in quotes"),
                    }
                }
                Some(values)
            }
            (_, span) => {
                self.wrong(key, span, "a list, as in [\"one\", \"two\"]");
                None
            }
        }
    }

    /// Everything that nobody asked for is a fault, with the nearest known key as help.
    pub fn end(self) {
        for (key, _) in self.table {
            let near = nearest(key.get_ref(), &self.seen);
            let name = if self.path.is_empty() { key.get_ref().to_string() } else { format!("{}.{}", self.path, key.get_ref()) };
            let known = self.seen.join(", ");
            let help = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("known here: {known}"),
            };
            self.source.fault(key.span(), format!("unknown setting {name}"), Some(help));
        }
    }
}

/// The known key that differs in at most two letters, if there is one.
fn nearest<'k>(typed: &str, known: &[&'k str]) -> Option<&'k str> {
    known.iter().map(|key| (distance(typed, key), *key)).filter(|(d, _)| *d <= 2).min().map(|(_, key)| key)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut previous = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            left = (previous + usize::from(from != *to)).min(above + 1).min(left + 1);
            previous = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

fn split_unit(text: &str) -> Result<(u64, &str), String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number = number.parse().map_err(|_| format!("\"{text}\" does not begin with a number"))?;
    Ok((number, unit.trim()))
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text)?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("\"{text}\" needs a unit: ms, s, m, h or d, as in \"30s\"")),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| format!("\"{text}\" is too long"))
}

/// The same spelling that `parse_duration` reads.
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis > 0 && millis % size == 0 {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
}

fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(format!("\"{text}\" needs a unit: B, KiB, MiB, GiB or TiB, as in \"512MiB\"")),
    };
    number.checked_mul(1 << shift).ok_or_else(|| format!("\"{text}\" is too large"))
}

/// The same spelling that `parse_size` reads.
pub fn show_size(bytes: u64) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_back_as_shown() {
        for text in ["250ms", "30s", "5m", "1h", "7d", "90s"] {
            assert_eq!(parse_duration(text).map(show_duration).as_deref(), Ok(text));
        }
        for text in ["1B", "3KiB", "512MiB", "16GiB", "1TiB"] {
            assert_eq!(parse_size(text).map(show_size).as_deref(), Ok(text));
        }
        assert!(parse_duration("30").is_err_and(|e| e.contains("unit")));
        assert!(parse_duration("999999999999999999d").is_err());
        assert!(parse_size("5MB").is_err_and(|e| e.contains("MiB")));
    }

    #[test]
    fn a_typo_is_answered_with_the_key_meant() {
        assert_eq!(nearest("lisen", &["listen", "users"]), Some("listen"));
        assert_eq!(nearest("colour", &["listen", "users"]), None);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
