//! In: the href of a secret, and as whom to ask for it.
//! Out: its payload.
//! Never: asked by the gateway: what may read an octavia key is a process of its own, which ends when it has it.

use std::str::FromStr;

use reqwest::header::HeaderValue;
use serde::Deserialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::CloudError;
use crate::keystone::{Keystone, Service};
use crate::settings::Settings;

/// No private key is longer, in bytes.
const LONGEST: usize = 64 << 10;

/// Which secret, by the href that `openstack secret list` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretRef(Uuid);

impl FromStr for SecretRef {
    type Err = String;

    /// The id at its end counts. Where Barbican is, the catalog says: a token goes nowhere else.
    fn from_str(href: &str) -> Result<Self, String> {
        let path = href.trim_end_matches('/').trim_end_matches("/payload");
        let (before, id) = path.rsplit_once('/').unwrap_or(("secrets", path));
        match Uuid::try_parse(id) {
            Ok(id) if before.ends_with("secrets") => Ok(Self(id)),
            _ => Err(
                "a secret's href is https://…/v1/secrets/<uuid>, as `openstack secret list` shows it"
                    .to_owned(),
            ),
        }
    }
}

#[derive(Deserialize)]
struct Metadata {
    content_types: Option<ContentTypes>,
}

#[derive(Deserialize)]
struct ContentTypes {
    default: String,
}

/// What the secret holds. Only the payload is wiped by us: the process that asks for it ends soon.
///
/// # Errors
/// No answer, no right to it, no payload, or one that is too long for a key.
pub async fn payload(
    settings: Settings,
    secret: SecretRef,
) -> Result<Zeroizing<Vec<u8>>, CloudError> {
    let keystone = Keystone::new(settings);
    let id = secret.0.hyphenated().to_string();
    let path = ["v1", "secrets", id.as_str()];
    let answer = keystone.get(Service::Barbican, &path, &[]).await?;
    let what = answer.what.clone();
    let garbage = |why: &str| CloudError::Garbage {
        service: "Barbican",
        what: what.clone(),
        why: why.to_owned(),
    };
    let metadata: Metadata = serde_json::from_slice(&answer.success()?)
        .map_err(|_| garbage("this is no secret's description"))?;
    // Barbican gives a payload to those only who ask for its own type.
    let kind = metadata
        .content_types
        .ok_or_else(|| garbage("the secret has no payload"))?
        .default;
    let kind = HeaderValue::from_str(&kind).map_err(|_| garbage("its type is no type"))?;
    let path = ["v1", "secrets", id.as_str(), "payload"];
    let answer = keystone.get_as(Service::Barbican, &path, kind).await?;
    let body = answer.success()?;
    match body.len() {
        0..=LONGEST => Ok(Zeroizing::new(body.to_vec())),
        _ => Err(garbage("the payload is longer than any key")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_href_is_read_by_the_id_at_its_end() {
        let id = "5f3c1a7e-8d24-4f0a-b1c9-2e6d7a8b9c0d";
        for good in [
            id.to_owned(),
            format!("https://barbican.example.org:9311/v1/secrets/{id}"),
            format!("http://b/key-manager/v1/secrets/{id}/payload"),
            format!("http://b/v1/secrets/{id}/"),
        ] {
            assert_eq!(good.parse(), Ok(SecretRef(id.parse().unwrap())), "{good}");
        }
        for bad in [
            "",
            "https://b/v1/secrets/",
            "https://b/v1/secrets/x",
            &format!("https://b/v1/orders/{id}"),
        ] {
            assert!(bad.parse::<SecretRef>().is_err(), "{bad}");
        }
    }
}
