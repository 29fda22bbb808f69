//! In: rows of Octavia's lists as JSON, one by one; a row may be anything.
//! Out: what we need of each, as text; what Octavia said and nothing made of it. The same goes into the file on disk.
//! Never: one odd row or field that takes the rest with it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The longest text that is taken from a row, in bytes. Octavia's own longest is 255 characters.
const LONGEST: usize = 1024;
/// The most tags of one load balancer.
const MOST_TAGS: usize = 256;

/// One amphora.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct AmphoraRow {
    #[serde(deserialize_with = "text")]
    pub(crate) id: Option<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) loadbalancer_id: Option<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) compute_id: Option<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) lb_network_ip: Option<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) cached_zone: Option<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) image_id: Option<String>,
}

/// One load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BalancerRow {
    #[serde(deserialize_with = "text")]
    pub(crate) id: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) name: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) project_id: Option<String>,
    #[serde(deserialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) flavor_id: Option<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) availability_zone: Option<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) vip_address: Option<String>,
}

/// The fields above, for `fields=`: Octavia then sends no others.
pub(crate) const AMPHORA_FIELDS: [&str; 8] = [
    "id",
    "loadbalancer_id",
    "compute_id",
    "lb_network_ip",
    "role",
    "status",
    "cached_zone",
    "image_id",
];
/// As for amphorae.
pub(crate) const BALANCER_FIELDS: [&str; 8] = [
    "id",
    "name",
    "project_id",
    "tags",
    "provider",
    "flavor_id",
    "availability_zone",
    "vip_address",
];

/// Everything that was learnt at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Rows {
    pub(crate) amphorae: Vec<AmphoraRow>,
    pub(crate) balancers: Vec<BalancerRow>,
    /// Names of projects by id, where they may be read.
    pub(crate) projects: BTreeMap<String, String>,
    /// Rows that were no objects.
    pub(crate) unreadable: usize,
}

/// A list of rows, as one page has them.
#[derive(Debug)]
pub(crate) struct Page<R> {
    pub(crate) rows: Vec<R>,
    pub(crate) unreadable: usize,
    /// Whether Octavia says that there is more. Its link is never followed: it drops our filters and fields.
    pub(crate) more: bool,
}

#[derive(Deserialize)]
struct Link {
    rel: String,
}

/// Reads the list under `key` of a body.
///
/// # Errors
/// No JSON, or no such list.
pub(crate) fn page<R: for<'a> Deserialize<'a>>(body: &[u8], key: &str) -> Result<Page<R>, String> {
    let fields = object(body)?;
    let raw = fields
        .get(key)
        .ok_or_else(|| format!("there is no list `{key}` in it"))?;
    let raws: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| format!("`{key}` is no list"))?;
    let total = raws.len();
    let rows = raws.into_iter();
    // `null` reads as a row without fields; it is none.
    let rows: Vec<R> = rows
        .filter(|raw| raw.get().starts_with('{'))
        .filter_map(|raw| serde_json::from_str(raw.get()).ok())
        .collect();
    let links = fields.get(format!("{key}_links").as_str());
    let links = links.and_then(|raw| serde_json::from_str::<Vec<Link>>(raw.get()).ok());
    Ok(Page {
        unreadable: total - rows.len(),
        rows,
        more: links.is_some_and(|links| links.iter().any(|link| link.rel == "next")),
    })
}

/// Reads the one row under `key` of a body.
///
/// # Errors
/// No JSON, or no such object.
pub(crate) fn one<R: for<'a> Deserialize<'a>>(body: &[u8], key: &str) -> Result<R, String> {
    let fields = object(body)?;
    let raw = fields.get(key).filter(|raw| raw.get().starts_with('{'));
    let raw = raw.ok_or_else(|| format!("there is no `{key}` in it"))?;
    serde_json::from_str(raw.get()).map_err(|_| format!("`{key}` cannot be read"))
}

fn object(body: &[u8]) -> Result<BTreeMap<String, &RawValue>, String> {
    serde_json::from_slice(body).map_err(|error| {
        format!(
            "line {}, column {}: no JSON object",
            error.line(),
            error.column()
        )
    })
}

/// A text; anything else, or a text that is too long, is none.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    from.deserialize_any(Lenient)
}

/// A list of texts; what is no text in it is left out, and what is no list is an empty one.
fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    from.deserialize_any(LenientList)
}

struct Lenient;

impl<'de> Visitor<'de> for Lenient {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok((text.len() <= LONGEST).then(|| text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

struct LenientList;

/// What [`Lenient`] reads, as an element of a list.
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text(from).map(Self)
    }
}

impl<'de> Visitor<'de> for LenientList {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(Text(text)) = list.next_element()? {
            if texts.len() < MOST_TAGS {
                texts.extend(text);
            }
        }
        Ok(texts)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Vec::new())
    }
}
