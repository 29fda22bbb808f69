//! In: the token that Keystone issued, as JSON. Out: how long it lives, and where the services are.
//! Never: fails for an entry that it does not need.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cloud::Interface;
use crate::endpoint::Endpoint;

/// What is read of a token.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    token: Token<'a>,
}

#[derive(Deserialize)]
struct Token<'a> {
    expires_at: Option<String>,
    issued_at: Option<String>,
    #[serde(borrow, default)]
    catalog: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow, default)]
    endpoints: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Place {
    interface: String,
    region: Option<String>,
    region_id: Option<String>,
    url: String,
}

/// Where the services are.
#[derive(Default)]
pub(crate) struct Catalog(Vec<(String, Place)>);

/// A token without readable times is taken for one that lives this long.
const UNSAID: Duration = Duration::from_secs(300);

/// Lifetime and catalog of an issued token; `Err` says why it is none.
pub(crate) fn read(body: &[u8]) -> Result<(Duration, Catalog), String> {
    let token = serde_json::from_slice::<Body<'_>>(body)
        .map_err(|error| format!("line {}: no token in it", error.line()))?
        .token;
    let entries = token.catalog.iter();
    let entries = entries.filter_map(|raw| serde_json::from_str::<Entry<'_>>(raw.get()).ok());
    let mut places = Vec::new();
    for entry in entries {
        for raw in entry.endpoints {
            if let Ok(place) = serde_json::from_str(raw.get()) {
                places.push((entry.kind.clone(), place));
            }
        }
    }
    let at = |text: Option<String>| text?.parse::<Timestamp>().ok();
    // Both by Keystone's clock: ours need not agree with it.
    let lifetime = match (at(token.issued_at), at(token.expires_at)) {
        (Some(from), Some(to)) => Duration::try_from(to.duration_since(from)).unwrap_or(UNSAID),
        _ => UNSAID,
    };
    Ok((lifetime, Catalog(places)))
}

impl Catalog {
    /// The first endpoint of this kind, interface and region that is a usable URL.
    pub(crate) fn find(
        &self,
        kind: &str,
        interface: Interface,
        region: Option<&str>,
    ) -> Option<Endpoint> {
        let fits = |place: &Place| {
            let wanted = interface.as_str();
            let named = place.interface.strip_suffix("URL");
            let here = [&place.region, &place.region_id];
            named.unwrap_or(&place.interface) == wanted
                && region.is_none_or(|r| here.iter().any(|id| id.as_deref() == Some(r)))
        };
        self.0
            .iter()
            .filter(|(of, place)| of == kind && fits(place))
            // Nova's may end in /v2.1/<project>.
            .filter_map(|(_, place)| Endpoint::parse(place.url.split("/v2.1").next()?).ok())
            .next()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_real_token_is_read() {
        let (lifetime, catalog) = read(include_bytes!("../tests/fixtures/token.json")).unwrap();
        assert_eq!(lifetime, Duration::from_secs(3600));
        assert!(
            catalog
                .find("load-balancer", Interface::Internal, Some("RegionOne"))
                .is_some()
        );
    }

    #[test]
    fn interface_and_region_choose_and_oddities_are_passed_over() {
        let text = r#"{"token":{"issued_at":"2026-11-22T10:26:45.000000Z","expires_at":"2026-11-22T11:26:45.000000Z","x":[[]],"catalog":[
          7,{"type":"load-balancer"},{"type":"load-balancer","endpoints":[null,{"interface":"public","url":"gopher://x","region":"A"},
          {"interface":"public","url":"http://pub-a","region":"A"},{"interface":"internal","url":"http://int-b/load-balancer/v2","region":null,"region_id":"B"}]},
          {"type":"compute","endpoints":[{"interface":"publicURL","url":"http://nova/v2.1/0123","region":"A"}]}]}}"#;
        let (lifetime, catalog) = read(text.as_bytes()).unwrap();
        assert_eq!(lifetime, Duration::from_secs(3600));
        let found = |kind, interface, region| {
            let found = catalog.find(kind, interface, region);
            found.map(|endpoint| endpoint.to_string())
        };
        let lb = "load-balancer";
        assert_eq!(
            found(lb, Interface::Public, None).as_deref(),
            Some("http://pub-a")
        );
        assert_eq!(
            found(lb, Interface::Internal, Some("B")).as_deref(),
            Some("http://int-b/load-balancer")
        );
        assert_eq!(found(lb, Interface::Public, Some("B")), None);
        assert_eq!(found(lb, Interface::Admin, None), None);
        assert_eq!(
            found("compute", Interface::Public, Some("A")).as_deref(),
            Some("http://nova")
        );
        for none in ["", "[]", "{}", "{\"token\":3}", "\u{0}"] {
            assert!(read(none.as_bytes()).is_err());
        }
        assert_eq!(read(b"{\"token\":{}}").unwrap().0, UNSAID);
    }
}
