//! docs/AUDIT-EVENTS.md and the program say the same: names, fields, types, and the example's chain.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use ampgate_audit::{Envelope, Event, JournalHead, LineHash};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const DOCUMENT: &str = include_str!("../../../docs/AUDIT-EVENTS.md");

/// (field, type) rows of each table, by the heading before it.
fn tables() -> BTreeMap<&'static str, Vec<(&'static str, &'static str)>> {
    let mut tables: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    let mut heading = "";
    for line in DOCUMENT.lines() {
        if line.starts_with('#') {
            heading = line.trim_start_matches('#').trim().trim_matches('`');
        } else if let Some(row) = line
            .strip_prefix("| `")
            .or_else(|| line.strip_prefix("| *"))
        {
            let mut cells = row.split(" | ");
            let field = cells.next().unwrap().trim_end_matches(['`', '*']);
            let kind = cells.next().unwrap().trim_matches(['|', ' ']);
            tables.entry(heading).or_default().push((field, kind));
        }
    }
    tables
}

fn sample(kind: &str) -> Value {
    match kind.trim_end_matches('?') {
        "text" => json!("x"),
        "number" => json!(7),
        "yes/no" => json!(true),
        "list" => json!(["x"]),
        other => panic!("unknown type {other:?}"),
    }
}

fn event_of(name: &str, rows: &[(&str, &str)], about: &[(&str, &str)]) -> Map<String, Value> {
    let mut event = Map::from_iter([("event".to_owned(), json!(name))]);
    for (field, kind) in rows {
        let put = |(field, kind): &(&str, &str)| ((*field).to_owned(), sample(kind));
        match *field {
            "about" => event.extend(about.iter().map(put)),
            _ => event.extend([put(&(field, kind))]),
        }
    }
    event
}

#[test]
fn every_event_and_field_is_documented_and_nothing_else() {
    let tables = tables();
    let about = &tables["Who goes where"];
    let documented: Vec<&str> = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("#### `")?.strip_suffix('`'))
        .collect();
    assert_eq!(documented, Event::NAMES, "the same names in the same order");
    let variants = include_str!("../src/event.rs")
        .matches("#[serde(rename = \"")
        .count();
    assert_eq!(
        variants,
        Event::NAMES.len(),
        "a variant is missing from NAMES"
    );
    for name in documented {
        let event = Value::Object(event_of(name, &tables[name], about));
        // A field that is documented but does not exist is lost on the way; one that exists but is not documented fails to
        // read, or comes back as null.
        let read: Event =
            serde_json::from_value(event.clone()).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(serde_json::to_value(&read).unwrap(), event, "{name}");
        for (field, _) in tables[name]
            .iter()
            .chain(about)
            .filter(|(_, kind)| kind.ends_with('?'))
        {
            let mut less = event.clone();
            if less.get(field).is_some() {
                less[*field] = Value::Null;
                let read: Event = serde_json::from_value(less.clone())
                    .unwrap_or_else(|fault| panic!("{name}.{field}: {fault}"));
                assert_eq!(
                    serde_json::to_value(&read).unwrap(),
                    less,
                    "{name}.{field} may be null"
                );
            }
        }
    }
}

#[test]
fn the_example_is_a_chain_of_events() {
    let example = DOCUMENT
        .split("```jsonl\n")
        .nth(1)
        .unwrap()
        .split("\n```")
        .next()
        .unwrap();
    let mut head = JournalHead::EMPTY;
    for line in example.lines() {
        let envelope = Envelope::parse(line.as_bytes()).unwrap();
        assert_eq!((envelope.seq, envelope.prev()), (head.seq + 1, head.hash));
        serde_json::from_str::<Event>(line).unwrap();
        head = JournalHead {
            seq: envelope.seq,
            hash: LineHash::of(line.as_bytes()),
        };
    }
    assert!(DOCUMENT.contains(&format!("The hash of that last line is `{}`.", head.hash)));
}
