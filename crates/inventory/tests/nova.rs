//! In: a Nova that answers, refuses, is slow, or says something else. Out: the console's keys, or the name of why there are none.
//! Never: a second token beside Octavia's, a request for a server that nobody named, a wait beyond the patience.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[allow(dead_code, reason = "octavia.rs needs the rest")]
mod cloud;

use std::sync::Arc;
use std::time::Duration;

use ampgate_access::{Amphora, AmphoraId};
use ampgate_inventory::{Console, Doubt, Inventory, Live, Silence};
use cloud::*;
use serde_json::json;

const REAL: &str = include_str!("fixtures/console.txt");
const FIRST: &str = "a0000001-0000-4000-8000-000000000001";
const PATIENCE: Duration = Duration::from_secs(10);

async fn known(live: &Live, id: &str) -> Arc<Amphora> {
    let id = AmphoraId::parse(id).unwrap();
    live.by_id(&id).await.unwrap().unwrap()
}

fn start(world: &World) -> Live {
    let mut settings = world.settings();
    settings.compute_endpoint = Some(format!("{}/nova/v2.1", world.url));
    // The list is asked for once: what is counted here are questions to Nova.
    settings.fresh = Duration::from_secs(3600);
    Live::start(settings, &world.file())
}

/// Nova gives this to whoever asks for a console.
fn nova(world: &World, reply: impl Fn() -> Reply + Send + 'static) {
    world.instead(move |request| request.path.ends_with("/action").then(&reply));
}

#[tokio::test]
async fn the_console_of_its_server_is_asked_for_with_octavias_token() {
    let world = World::new();
    nova(&world, || Reply::json(200, &json!({"output": REAL})));
    let live = start(&world);
    fresh(&live).await;
    let amphora = known(&live, FIRST).await;
    let Console::Keys(keys) = live.console(&amphora, PATIENCE).await else {
        panic!()
    };
    assert_eq!(keys.len(), 3);
    world.change(|truth| {
        let asked = truth.requests.last().unwrap();
        assert_eq!(asked.method, "POST");
        assert_eq!(
            asked.path,
            "/nova/v2.1/servers/de000001-0000-4000-8000-000000000001/action"
        );
        assert_eq!(asked.body, r#"{"os-getConsoleOutput":{}}"#);
        assert_eq!(truth.issued, 1, "one token for both services");
    });
    // The same console for another amphora.
    let other = known(&live, "a0000002-0000-4000-8000-000000000002").await;
    assert_eq!(
        live.console(&other, PATIENCE).await,
        Console::Doubtful(Doubt::AnotherHost)
    );

    // The file's entry names no server: Octavia's does. Where nobody does, nobody is asked.
    let mut of_file = Amphora::clone(&amphora);
    of_file.compute_id = None;
    assert!(matches!(
        live.console(&of_file, PATIENCE).await,
        Console::Keys(_)
    ));
    let before = world.count();
    of_file.compute_id = Some("../../v3/users".to_owned());
    assert_eq!(
        live.console(&of_file, PATIENCE).await,
        Console::Silent(Silence::NoServer)
    );
    of_file.compute_id = None;
    of_file.id = AmphoraId::parse("ffffffff-0000-4000-8000-000000000001").unwrap();
    assert_eq!(
        live.console(&of_file, PATIENCE).await,
        Console::Silent(Silence::NoServer)
    );
    assert_eq!(world.count(), before);
    // A program that only looks asks nobody.
    let looking = Live::last_known(world.settings(), &world.file());
    assert_eq!(
        looking.console(&amphora, PATIENCE).await,
        Console::Silent(Silence::NotAsked)
    );
}

#[tokio::test]
async fn every_refusal_has_its_name() {
    let world = World::new();
    let live = start(&world);
    fresh(&live).await;
    let amphora = known(&live, FIRST).await;
    for (status, body, expected) in [
        (404, json!({}), Silence::Missing),
        (409, json!({}), Silence::NotReady),
        (501, json!({}), Silence::NotKept),
        (200, json!({"output": ""}), Silence::Empty),
        (200, json!({"output": null}), Silence::Empty),
        (
            200,
            json!({"output": "\n\n[    0.0] Linux\n"}),
            Silence::NoBlock,
        ),
    ] {
        let shown = body.clone();
        nova(&world, move || Reply::json(status, &shown));
        let said = live.console(&amphora, PATIENCE).await;
        assert_eq!(said, Console::Silent(expected), "{status} {body}");
    }
    for (status, body, words) in [
        (
            403,
            json!({"forbidden": {"code": 403}}),
            "refuses POST /nova/v2.1/servers/",
        ),
        (500, json!({"computeFault": "x"}), "HTTP 500"),
        (200, json!({"output": 7}), "no console in it"),
        (200, json!([]), "no console in it"),
        (
            200,
            json!({"output": "x".repeat(2 << 20)}),
            "a console of more than",
        ),
    ] {
        nova(&world, move || Reply::json(status, &body));
        let Console::Silent(Silence::Failed(said)) = live.console(&amphora, PATIENCE).await else {
            panic!("{words}")
        };
        assert!(said.contains(words), "{said}");
        assert!(!said.contains(SECRET) && !said.contains(TOKEN), "{said}");
    }
}

#[tokio::test]
async fn a_nova_that_hangs_is_given_up_and_stops_nobody_else() {
    let world = World::new();
    nova(&world, || {
        let mut late = Reply::json(200, &json!({"output": REAL}));
        late.after = Duration::from_secs(1);
        late
    });
    let live = start(&world);
    fresh(&live).await;
    let amphora = known(&live, FIRST).await;
    // The deadline is far before the answer, and the answer far before the test's own bounds.
    let said = live.console(&amphora, Duration::from_millis(50)).await;
    let Console::Silent(Silence::Failed(said)) = said else {
        panic!("{said:?}")
    };
    assert!(said.contains("did not give its console within"), "{said}");
    nova(&world, || Reply::json(200, &json!({"output": REAL})));
    assert!(matches!(
        live.console(&amphora, PATIENCE).await,
        Console::Keys(_)
    ));
}

#[tokio::test]
async fn a_persistent_401_is_a_permission_and_no_storm() {
    let world = World::new();
    nova(&world, || {
        Reply::json(401, &json!({"error": {"code": 401}}))
    });
    let live = start(&world);
    fresh(&live).await;
    let amphora = known(&live, FIRST).await;
    for _ in 0..5 {
        let Console::Silent(Silence::Failed(said)) = live.console(&amphora, PATIENCE).await else {
            panic!()
        };
        assert!(said.contains("do not allow that"), "{said}");
    }
    assert!(
        world.change(|truth| truth.issued) <= 2,
        "one new token at most"
    );
}
