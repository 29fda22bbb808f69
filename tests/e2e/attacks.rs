//! In: the ways in which systems of this class have failed (docs/KNOWN-ATTACKS.md). Out: that this one does not.
//! Never: an attack that could not succeed anywhere; each fails against a gateway without its defence.

mod doors;
mod endurance;
mod identity;
mod names;
mod recorder;

pub(crate) use recorder::small_disk;
use serde_json::Value;

/// Every leaf of a JSON object as `path -> text`.
pub(crate) fn leaves(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| {
                leaves(value)
                    .into_iter()
                    .map(move |(path, leaf)| (format!("{key}/{path}"), leaf))
            })
            .collect(),
        Value::String(text) => vec![(String::new(), text.clone())],
        other => vec![(String::new(), other.to_string())],
    }
}
