//! In: a Barbican that gives, refuses, or gives something else. Out: the payload, or one sentence.
//! Never: the payload in a sentence, or a token shown to the host of the href.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[allow(dead_code, reason = "octavia.rs needs the rest")]
mod cloud;

use ampgate_inventory::payload;
use cloud::*;
use serde_json::json;

const HREF: &str = "https://elsewhere.example.org/v1/secrets/5f3c1a7e-8d24-4f0a-b1c9-2e6d7a8b9c0d";
const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nnobody may see this\n";

async fn asked(world: &World) -> Result<String, String> {
    let outcome = payload(world.settings(), HREF.parse().unwrap()).await;
    match outcome {
        Ok(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn the_payload_is_asked_for_by_its_own_type() {
    let world = World::new();
    world.instead(|request| {
        let path = request
            .path
            .strip_prefix("/v1/secrets/5f3c1a7e-8d24-4f0a-b1c9-2e6d7a8b9c0d")?;
        let accepts = |kind: &str| {
            request
                .head
                .to_ascii_lowercase()
                .contains(&format!("accept: {kind}\r\n"))
        };
        Some(match path {
            "" if accepts("application/json") => Reply::json(
                200,
                &json!({"status": "ACTIVE", "content_types": {"default": "text/plain"}}),
            ),
            "/payload" if accepts("text/plain") => Reply::text(200, KEY),
            _ => Reply::text(406, "not acceptable"),
        })
    });
    assert_eq!(asked(&world).await.as_deref(), Ok(KEY));
    assert_eq!(world.change(|truth| truth.issued), 1);
}

#[tokio::test]
async fn a_secret_that_cannot_be_had_says_why() {
    let world = World::new();
    let good = json!({"content_types": {"default": "text/plain"}});
    for (description, status, body, words) in [
        ((404, json!({})), 200, KEY.to_owned(), "HTTP 404"),
        (
            (403, json!({})),
            200,
            KEY.to_owned(),
            "refuses GET /v1/secrets/",
        ),
        (
            (200, json!({"content_types": null})),
            200,
            KEY.to_owned(),
            "no payload",
        ),
        (
            (200, json!({"content_types": {"default": "a\nb"}})),
            200,
            KEY.to_owned(),
            "no type",
        ),
        (
            (200, json!([])),
            200,
            KEY.to_owned(),
            "no secret's description",
        ),
        (
            (200, good.clone()),
            403,
            KEY.to_owned(),
            "do not allow that",
        ),
        (
            (200, good),
            200,
            "x".repeat(70 << 10),
            "longer than any key",
        ),
    ] {
        world.instead(move |request| match request.path.as_str() {
            path if path.ends_with("/payload") => Some(Reply::text(status, &body)),
            path if path.contains("/secrets/") => Some(Reply::json(description.0, &description.1)),
            _ => None,
        });
        let said = asked(&world).await.unwrap_err();
        assert!(said.contains(words), "{words}: {said}");
        assert!(
            !said.contains("nobody may see") && !said.contains(TOKEN),
            "{said}"
        );
    }
}
