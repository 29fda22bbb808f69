//! In: one table of the configuration. Out: paths, durations and sizes from it, each with its default.
//! Never: a default in the place of a value that is wrong; that is a fault.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ampgate_access::table::Table;

/// A number within bounds.
pub fn number(
    table: &Table<'_, '_>,
    key: &'static str,
    default: usize,
    bounds: RangeInclusive<u64>,
) -> usize {
    let value = table.integer(key, *bounds.start(), *bounds.end());
    value
        .and_then(|number| usize::try_from(number).ok())
        .unwrap_or(default)
}

/// A duration such as "30s", "5m", "1h" or "250ms", within bounds.
pub fn duration(
    table: &Table<'_, '_>,
    key: &'static str,
    default: Duration,
    bounds: RangeInclusive<Duration>,
) -> Duration {
    let parse = |text: &str| {
        let value = parse_duration(text)?;
        if bounds.contains(&value) {
            Ok(value)
        } else {
            Err(format!(
                "`{key}` must be from {} to {}",
                show_duration(*bounds.start()),
                show_duration(*bounds.end())
            ))
        }
    };
    table.parsed_if_there(key, parse).unwrap_or(default)
}

/// A size such as "512MiB".
pub fn size(table: &Table<'_, '_>, key: &'static str, default: u64) -> u64 {
    table.parsed_if_there(key, parse_size).unwrap_or(default)
}

/// The same within bounds.
pub fn size_within(
    table: &Table<'_, '_>,
    key: &'static str,
    default: u64,
    bounds: RangeInclusive<u64>,
) -> u64 {
    let parse = |text: &str| {
        let value = parse_size(text)?;
        if bounds.contains(&value) {
            return Ok(value);
        }
        Err(match *bounds.end() {
            u64::MAX => format!("`{key}` must be at least {}", show_size(*bounds.start())),
            most => format!("`{key}` must be at most {}", show_size(most)),
        })
    };
    table.parsed_if_there(key, parse).unwrap_or(default)
}

/// A path; a relative one counts from `base`.
pub fn path(table: &Table<'_, '_>, key: &'static str, default: &str, base: &Path) -> PathBuf {
    base.join(table.string(key).map_or(default, |at| at.value))
}

/// A list of texts, each through `parse`; every wrong one is a fault of its own.
pub fn list<T>(
    table: &Table<'_, '_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    let there = table.has(key);
    let mut values = Vec::new();
    for text in table.strings(key) {
        match parse(text.value) {
            Ok(value) => values.push(value),
            Err(message) => table.fault(text.span, message),
        }
    }
    there.then_some(values)
}

fn split_unit(text: &str) -> Result<(u64, &str), String> {
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number = number
        .parse()
        .map_err(|_| format!("\"{text}\" does not begin with a number"))?;
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
        _ => {
            return Err(format!(
                "\"{text}\" needs a unit: ms, s, m, h or d, as in \"30s\""
            ));
        }
    };
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("\"{text}\" is too long"))
}

/// The same spelling that `parse_duration` reads.
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, size) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ] {
        if millis > 0 && millis.is_multiple_of(size) {
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
        _ => {
            return Err(format!(
                "\"{text}\" needs a unit: B, KiB, MiB, GiB or TiB, as in \"512MiB\""
            ));
        }
    };
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| format!("\"{text}\" is too large"))
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

/// For people: "812.5MiB".
pub fn show_room(bytes: u64) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >> shift > 0 {
            let tenths = (u128::from(bytes) * 10) >> shift;
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
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
        for (bytes, shown) in [
            (0, "0B"),
            (1023, "1023B"),
            (852_000_000, "812.5MiB"),
            (3 << 30, "3.0GiB"),
        ] {
            assert_eq!(show_room(bytes), shown);
        }
        assert!(parse_duration("30").is_err_and(|e| e.contains("unit")));
        assert!(parse_duration("999999999999999999d").is_err());
        assert!(parse_size("5MB").is_err_and(|e| e.contains("MiB")));
    }
}
