//! In: a cloud that answers, lies, is slow, refuses, changes, and goes away.
//! Out: the inventory that the gateway has meanwhile, and what it says about it.
//! Never: a request that is not bounded, a secret that is seen, an amphora that is another's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod cloud;

use std::time::{Duration, Instant};

use ampgate_access::{AmphoraId, Status, TargetName};
use ampgate_inventory::{Fixed, Inventory, Joined, Live, Resolution, State};
use cloud::*;
use serde_json::json;

fn name(text: &str) -> TargetName {
    TargetName::parse(text).unwrap()
}

/// The numbers of the amphorae that a name means.
async fn meant(inventory: &dyn Inventory, text: &str) -> String {
    say(inventory.resolve(&name(text)).await)
}

fn say(found: Result<Resolution, ampgate_inventory::InventoryError>) -> String {
    let number = |a: &ampgate_access::Amphora| {
        let id = a.id.to_string();
        id[4..8].trim_start_matches('0').to_owned()
    };
    let list = |all: &[std::sync::Arc<ampgate_access::Amphora>]| {
        all.iter().map(|a| number(a)).collect::<Vec<_>>().join(" ")
    };
    match found {
        Ok(Resolution::None) => "none".to_owned(),
        Ok(Resolution::One(a)) => number(&a),
        Ok(Resolution::Many(all)) => format!("many {}", list(&all)),
        Ok(Resolution::AskWhichIsActive(all)) => format!("ask {}", list(&all)),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn pages_are_joined_and_every_name_means_what_it_should() {
    let world = World::new();
    let live = world.start();
    fresh(&live).await;
    for (typed, expected) in [
        ("lb-cmp-was-lb", "1"),
        ("lb-cmp-was-lb.backup", "2"),
        ("lb-cmp-was-lb.active", "ask 1 2"),
        ("lb-pay-lb", "3"),
        ("lb-pay-lb.2", "5"),
        ("amphora-a0000001", "1"),
        ("amphora-a0000002-0000-4000-8000-000000000002", "2"),
        ("compute-de000003-0000-4000-8000-000000000003", "3"),
        // Serves nobody: nobody may reach it.
        ("amphora-a0000006-0000-4000-8000-000000000006", "none"),
        ("vm1", "none"),
    ] {
        assert_eq!(meant(&live, typed).await, expected, "{typed}");
    }
    assert_eq!(meant(&live, &format!("lb-{WEB}.master")).await, "1");
    let Ok(Resolution::One(found)) = live.resolve(&name("lb-pay-lb.2")).await else {
        panic!()
    };
    assert_eq!(found.status, Some(Status::Error));
    assert_eq!(found.zone.as_deref(), Some("nova"));
    assert_eq!(found.load_balancer.name, "Pay-lb");
    assert_eq!(found.load_balancer.project_name.as_deref(), Some("bank"));
    let (pages, agents) = world.change(|truth| {
        let pages: Vec<_> = truth
            .requests
            .iter()
            .filter(|r| r.path == "/v2/octavia/amphorae")
            .take(3)
            .cloned()
            .collect();
        let agent = |r: &Request| r.head.to_lowercase().contains("user-agent: ampgate/");
        (pages, truth.requests.iter().all(agent))
    });
    assert!(agents);
    assert_eq!(pages[0].all("marker"), [""; 0]);
    assert_eq!(
        pages[1].all("marker"),
        ["a0000002-0000-4000-8000-000000000002"]
    );
    // Fields are repeated on every page, ours, not the link's.
    for page in &pages {
        assert_eq!(page.all("limit"), ["2"]);
        assert_eq!(page.all("fields").len(), 8);
    }
}

#[tokio::test]
async fn odd_rows_take_nothing_with_them() {
    let world = World::new();
    world.change(|truth| {
        truth.amphorae.extend([
            json!(7),
            json!(null),
            json!({"id": 5, "loadbalancer_id": WEB}),
            json!({"id": "not-a-uuid\u{1b}[2J", "loadbalancer_id": WEB}),
            amphora(1, PAY, "MASTER", "ALLOCATED"),
            json!({"id": "a0000007-0000-4000-8000-000000000007", "loadbalancer_id": WEB, "role": ["x"], "status": "MELTED",
                "lb_network_ip": null, "cached_zone": {"a": 1}, "new": {"deep": [[[]]]}}),
            json!({"id": "a0000008-0000-4000-8000-000000000008", "loadbalancer_id": WEB, "lb_network_ip": "0.0.0.0"}),
            json!({"id": "a0000009-0000-4000-8000-000000000009", "loadbalancer_id": "c0ffee09-0000-4000-8000-0000000000a1"}),
        ]);
        truth.balancers.push(json!({"id": WEB, "name": "another", "project_id": "p9"}));
        truth.balancers.push(json!({"id": "x", "name": [1], "project_id": {}}));
        truth.balancers.push(json!({"id": "c0ffee0a-0000-4000-8000-0000000000a1", "name": "n", "project_id": "../x"}));
    });
    let mut settings = world.settings();
    settings.page = 1000;
    let live = Live::start(settings, &world.file());
    fresh(&live).await;
    assert_eq!(meant(&live, "lb-cmp-was-lb").await, "1");
    let all = live.all().await.unwrap();
    assert_eq!(all.len(), 5);
    let seventh = all
        .iter()
        .find(|a| a.id.to_string().starts_with("a0000007"));
    let seventh = seventh.unwrap();
    assert_eq!(
        (seventh.status, seventh.role, seventh.address, &seventh.zone),
        (Some(Status::Other), None, None, &None)
    );
    assert!(!seventh.standing().attempt);
    let condition = live.condition().await;
    let said = condition.faults.join("\n");
    assert_eq!(condition.fault_count, 10, "{said}");
    for part in [
        "a row that is no object",
        "the id (missing)",
        "not-a-uuid\\u{1b}[2J",
        "the amphora a0000001-0000-4000-8000-000000000001 is listed twice",
        "address 0.0.0.0",
        "get_all-global",
        &format!("{WEB} is listed twice"),
        "the project ../x",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_and_a_refusal_is_no_reason_for_more() {
    let world = World::new();
    let live = world.start();
    fresh(&live).await;
    assert_eq!(world.change(|truth| truth.issued), 1);
    // Revoked: one new token, and nobody notices.
    world.change(|truth| truth.tokens.clear());
    let before = world.count();
    until_count(&world, before + 20).await;
    assert_eq!(world.change(|truth| truth.issued), 2);
    assert_eq!(live.condition().await.state, State::Fresh);
    // Access rules: the same 401, whatever the token.
    let world = World::new();
    world.instead(|r| {
        (r.path.starts_with("/v2/")).then(|| Reply::json(401, &json!({"error": {"code": 401}})))
    });
    let live = world.start();
    let said = down(&live).await;
    assert!(
        said.contains("GET /v2/octavia/amphorae") && said.contains("also with a new token"),
        "{said}"
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (issued, asked) = world.change(|truth| (truth.issued, truth.requests.len()));
    assert_eq!(issued, 2, "the first token and one in its place");
    assert!(asked <= 10, "{asked} requests");
}

async fn until_count(world: &World, count: usize) {
    for _ in 0..1000 {
        if world.count() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("only {} requests", world.count());
}

#[tokio::test]
async fn tokens_are_renewed_before_they_expire() {
    let world = World::new();
    world.change(|truth| truth.lifetime = 1);
    let live = world.start();
    fresh(&live).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let (issued, refused) = world.change(|truth| (truth.issued, truth.tokens.len()));
    assert!((2..=4).contains(&issued), "{issued}");
    assert_eq!(refused, issued);
    assert_eq!(live.condition().await.state, State::Fresh);
}

#[tokio::test]
async fn each_fault_has_its_sentence_and_what_was_known_serves() {
    let elsewhere = World::new();
    let there = elsewhere.url.clone();
    type Case = (&'static str, Instead);
    let amphorae = |r: &Request| r.path == "/v2/octavia/amphorae";
    let cases: Vec<Case> = vec![
        (
            "HTTP 403): its role or its access rules",
            Box::new(move |r| {
                amphorae(r).then(|| Reply::text(403, "{\"faultstring\":\"Policy does not allow\"}"))
            }),
        ),
        (
            "redirects elsewhere (HTTP 307)",
            Box::new(move |r| {
                amphorae(r).then(|| {
                    let mut reply = Reply::text(307, "");
                    reply
                        .headers
                        .push(format!("Location: {there}/v2/octavia/amphorae"));
                    reply
                })
            }),
        ),
        (
            "line 1, column",
            Box::new(move |r| amphorae(r).then(|| Reply::text(200, "<html>\u{1b}]0;x\u{7}"))),
        ),
        (
            "there is no list `amphorae`",
            Box::new(move |r| amphorae(r).then(|| Reply::text(200, "{}"))),
        ),
        (
            "more than 16777216 bytes",
            Box::new(move |r| amphorae(r).then(|| Reply::text(200, &" ".repeat((16 << 20) + 1)))),
        ),
        (
            "more than 16777216 bytes",
            Box::new(move |r| {
                amphorae(r).then(|| {
                    let mut reply = Reply::text(
                        200,
                        &format!("{:x}\r\n{}\r\n0\r\n\r\n", 17 << 20, " ".repeat(17 << 20)),
                    );
                    reply.headers.push("Transfer-Encoding: chunked".to_owned());
                    reply
                })
            }),
        ),
        (
            "did not answer within 2 s",
            Box::new(move |r| {
                amphorae(r).then(|| {
                    let mut reply = Reply::text(200, "{}");
                    reply.after = Duration::from_secs(4);
                    reply
                })
            }),
        ),
        (
            "HTTP 500: bad\\u{1b}thing",
            Box::new(move |r| amphorae(r).then(|| Reply::text(500, "bad\u{1b}thing"))),
        ),
        (
            "go round in a circle",
            Box::new(move |r| {
                amphorae(r).then(|| Reply::json(200, &json!({
            "amphorae": [{"id": "a0000001-0000-4000-8000-000000000001"}], "amphorae_links": [{"rel": "next", "href": "x"}]})))
            }),
        ),
        (
            "without any id to go on from",
            Box::new(move |r| {
                amphorae(r).then(|| {
                    Reply::json(
                        200,
                        &json!({
            "amphorae": [{}], "amphorae_links": [{"rel": "next"}]}),
                    )
                })
            }),
        ),
    ];
    for (expected, instead) in cases {
        let world = World::new();
        let live = world.start();
        fresh(&live).await;
        world.change(|truth| truth.instead = Some(instead));
        let said = down(&live).await;
        assert!(said.contains(expected), "{expected} is not in {said}");
        assert!(!said.contains('\u{1b}') && said.len() < 400, "{said:?}");
        assert_eq!(meant(&live, "lb-cmp-was-lb").await, "1", "{expected}");
        // Unknown while Octavia is down: no waiting.
        let began = Instant::now();
        assert_eq!(meant(&live, "lb-unheard-of").await, "none");
        assert!(began.elapsed() < Duration::from_millis(500));
        world.change(|truth| truth.instead = None);
        live.hurry();
        fresh(&live).await;
    }
    assert_eq!(elsewhere.count(), 0, "nothing went where the redirect led");
}

#[tokio::test]
async fn an_octavia_without_pages_gives_everything_on_each() {
    let world = World::new();
    let all = world.change(|truth| truth.amphorae.clone());
    world.instead(move |r| {
        (r.path == "/v2/octavia/amphorae").then(|| Reply::json(200, &json!({"amphorae": all})))
    });
    let live = world.start();
    fresh(&live).await;
    assert_eq!(live.all().await.unwrap().len(), 4);
}

#[tokio::test]
async fn the_file_serves_a_start_without_a_cloud_up_to_its_bound() {
    let world = World::new();
    fresh(&world.start()).await;
    world.change(|truth| truth.dead = true);
    let live = world.start();
    assert_eq!(meant(&live, "lb-cmp-was-lb").await, "1");
    let said = down(&live).await;
    assert!(said.contains("the last known inventory serves"), "{said}");
    assert!(live.age().unwrap() < Duration::from_secs(60));
    let found = live.resolve(&name("lb-pay-lb")).await.unwrap();
    let Resolution::One(found) = found else {
        panic!()
    };
    assert_eq!(found.load_balancer.project_name.as_deref(), Some("bank"));
    drop(live);
    let mut settings = world.settings();
    settings.max_age = Duration::ZERO;
    let live = Live::start(settings, &world.file());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let said = meant(&live, "lb-cmp-was-lb").await;
    assert!(said.contains("more than max_age"), "{said}");
    assert_eq!(live.condition().await.state, State::Gone);
    // Damaged: said, not used, and written anew.
    std::fs::write(world.file(), "ampgate-inventory-1 1 00\n{}").unwrap();
    let live = world.start();
    let condition = live.condition().await;
    assert!(condition.faults.join(" ").contains("is damaged"));
    assert_eq!(condition.state, State::Gone);
    world.change(|truth| truth.dead = false);
    live.hurry();
    fresh(&live).await;
    assert!(
        Live::last_known(world.settings(), &world.file())
            .all()
            .await
            .unwrap()
            .len()
            == 4
    );
}

#[tokio::test]
async fn known_names_cost_nothing_and_unknown_ones_are_asked_once() {
    let world = World::new();
    let mut settings = world.settings();
    settings.fresh = Duration::from_secs(3600);
    let live = Live::start(settings, &world.file());
    fresh(&live).await;
    let before = world.count();
    for _ in 0..1000 {
        assert_eq!(meant(&live, "lb-cmp-was-lb").await, "1");
    }
    assert_eq!(world.count(), before);
    // A hundred at once, and again: one question, of three requests.
    for _ in 0..2 {
        let unheard = name("lb-unheard-of");
        let asks = (0..100).map(|_| live.resolve(&unheard));
        for answer in futures(asks).await {
            assert_eq!(answer.unwrap(), Resolution::None);
        }
    }
    assert_eq!(world.count() - before, 3);
    // Guessing: bounded by the rate.
    let before = world.count();
    for n in 0..500 {
        meant(&live, &format!("lb-guess-{n}")).await;
    }
    assert!(
        world.count() - before <= 40 * 3,
        "{}",
        world.count() - before
    );
}

/// All at once, on this task.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut out: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        let mut waiting = false;
        for (future, out) in all.iter_mut().zip(&mut out) {
            if out.is_none() {
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => *out = Some(value),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        match waiting {
            true => std::task::Poll::Pending,
            false => std::task::Poll::Ready(()),
        }
    })
    .await;
    out.into_iter().flatten().collect()
}

#[tokio::test]
async fn unknown_and_forbidden_make_the_same_requests() {
    let world = World::new();
    let mut settings = world.settings();
    settings.fresh = Duration::from_secs(3600);
    let live = Live::start(settings, &world.file());
    fresh(&live).await;
    for (unknown, forbidden) in [
        ("lb-unheard-of", "lb-pay-lb"),
        (
            "amphora-b0000009-0000-4000-8000-000000000009",
            "amphora-a0000003-0000-4000-8000-000000000003",
        ),
        (
            "lb-c0ffee99-0000-4000-8000-0000000000b1",
            "lb-c0ffee02-0000-4000-8000-0000000000b1",
        ),
        (
            "compute-de000009-0000-4000-8000-000000000009",
            "compute-de000003-0000-4000-8000-000000000003",
        ),
        ("amphora-b0000009", "amphora-a0000003"),
        ("vm9", "vm8"),
    ] {
        let mut counts = Vec::new();
        let before = world.count();
        live.resolve(&name(unknown)).await.unwrap();
        counts.push(world.count() - before);
        let before = world.count();
        live.resolve_anew(&name(forbidden)).await.unwrap();
        counts.push(world.count() - before);
        assert_eq!(counts[0], counts[1], "{unknown} {forbidden}");
        // And both are remembered.
        let before = world.count();
        live.resolve(&name(unknown)).await.unwrap();
        live.resolve_anew(&name(forbidden)).await.unwrap();
        assert_eq!(world.count(), before);
    }
}

#[tokio::test]
async fn a_new_load_balancer_is_found_and_a_failover_followed_before_the_next_list() {
    let world = World::new();
    let mut settings = world.settings();
    settings.fresh = Duration::from_secs(3600);
    let live = Live::start(settings, &world.file());
    fresh(&live).await;
    let new = "c0ffee03-0000-4000-8000-0000000000c1";
    world.change(|truth| {
        truth.balancers.push(balancer(new, "Brand-New", "p1"));
        truth.balancers.push(balancer(
            "c0ffee04-0000-4000-8000-0000000000c1",
            "brand-new  ",
            "p1",
        ));
        truth
            .amphorae
            .push(amphora(40, new, "STANDALONE", "BOOTING"));
        truth.amphorae[0]["status"] = json!("PENDING_DELETE");
        truth.amphorae.push(amphora(41, WEB, "MASTER", "ALLOCATED"));
    });
    assert_eq!(meant(&live, "lb-brand-new").await, "40");
    assert_eq!(meant(&live, "lb-cmp-was-lb").await, "1");
    assert_eq!(say(live.resolve_anew(&name("lb-cmp-was-lb")).await), "41");
    let Ok(Resolution::One(found)) = live.resolve(&name("lb-cmp-was-lb")).await else {
        panic!()
    };
    // A rule that names a project holds for what was looked up, too.
    assert_eq!(found.load_balancer.project_name.as_deref(), Some("shop"));
    // From now on without asking, and the old row does not come back.
    assert_eq!(meant(&live, "lb-cmp-was-lb").await, "41");
    let first = AmphoraId::parse("a0000001-0000-4000-8000-000000000001").unwrap();
    let old = live.by_id(&first).await.unwrap().unwrap();
    assert_eq!(old.status, Some(Status::PendingDelete));
    // Then the row is gone.
    world.change(|truth| truth.amphorae.remove(0));
    live.resolve_anew(&name(&format!("lb-{WEB}")))
        .await
        .unwrap();
    assert_eq!(live.by_id(&first).await.unwrap(), None);
    assert_eq!(live.all().await.unwrap().len(), 5);
    live.hurry();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(live.all().await.unwrap().len(), 5);
    assert_eq!(meant(&live, "lb-cmp-was-lb").await, "41");
}

#[tokio::test]
async fn the_file_wins_for_its_own_names_and_disagreement_is_told() {
    let world = World::new();
    let text = format!(
        r#"[[load_balancer]]
id = "{WEB}"
name = "pay-lb"
project = "mine"
[[load_balancer.amphora]]
id = "a0000001-0000-4000-8000-000000000001"
address = "172.24.9.9"
login_user = "ubuntu"
names = ["rescue"]
[[load_balancer.amphora]]
id = "a0000077-0000-4000-8000-000000000077"
address = "172.24.0.4"
login_user = "ubuntu"
"#
    );
    let fixed = Fixed::parse("inventory.toml", &text).ok().unwrap();
    let live = std::sync::Arc::new(world.start());
    fresh(&live).await;
    let joined = Joined::new(fixed.into(), live.clone());
    for (typed, expected) in [
        ("rescue", "1"),
        ("lb-pay-lb", "many 1 77"),
        ("lb-cmp-was-lb", "1"),
        ("amphora-a0000001", "1"),
        ("amphora-a0000002", "2"),
    ] {
        assert_eq!(meant(&joined, typed).await, expected, "{typed}");
    }
    let Ok(Resolution::One(found)) = joined.resolve(&name("lb-cmp-was-lb")).await else {
        panic!()
    };
    assert_eq!(found.address.unwrap().to_string(), "172.24.9.9:22");
    let first = AmphoraId::parse("a0000001-0000-4000-8000-000000000001").unwrap();
    let found = joined.by_id(&first).await.unwrap().unwrap();
    assert_eq!(found.load_balancer.project.as_str(), "mine");
    let all = joined.all().await.unwrap();
    assert_eq!(all.len(), 5);
    let condition = joined.condition().await;
    assert_eq!(condition.amphorae, 5);
    let said = condition.faults.join("\n");
    for part in [
        "amphora-a0000001-0000-4000-8000-000000000001 has another address",
        "has another load balancer or project",
        "amphora-a0000077-0000-4000-8000-000000000077 of the file and amphora-a0000003-0000-4000-8000-000000000003 of Octavia have one address",
        "have one name: it means the file's",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

/// What a real Octavia answered (its fields, its nulls, its order).
#[test]
fn what_a_real_octavia_said_is_understood() {
    let settings = ampgate_inventory::Settings::new(
        ampgate_inventory::Source::Environment,
        ampgate_access::LoginUser::parse("ubuntu").unwrap(),
    );
    let (found, unusable) = ampgate_inventory::of_bodies(
        include_bytes!("fixtures/amphorae.json"),
        include_bytes!("fixtures/loadbalancers.json"),
        &settings,
    )
    .unwrap();
    assert_eq!((found.len(), unusable.count), (4, 0), "{unusable:?}");
    assert_eq!(found[0].role, Some(ampgate_access::Role::Master));
    assert!(found[0].load_balancer.tags.contains("env:prod"));
}

/// Everything that any library says, at every level, and every file and sentence.
#[tokio::test]
async fn no_secret_is_seen_anywhere() {
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let world = World::new();
    let mut said = Vec::new();
    let live = world.start();
    fresh(&live).await;
    meant(&live, "lb-unheard-of").await;
    // What echoes a secret back is cut, but let it try with a token.
    world.change(|truth| truth.tokens.clear());
    world.instead(|r| {
        (r.path.starts_with("/v2"))
            .then(|| Reply::json(400, &json!({"x": "y".repeat(200), "echo": r.head})))
    });
    said.push(down(&live).await);
    std::fs::write(world.dir.path().join("secret"), format!("{SECRET}-wrong")).unwrap();
    let live = world.start();
    said.push(down(&live).await);
    assert!(
        said[1].contains("refuses the gateway's credential"),
        "{}",
        said[1]
    );
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(
        log.contains("hyper") || log.contains("reqwest"),
        "trace is on"
    );
    let file = std::fs::read_to_string(world.file()).unwrap();
    for (what, text) in [("log", log), ("file", file), ("sentences", said.join("\n"))] {
        for secret in [SECRET, TOKEN] {
            assert!(!text.contains(secret), "{secret} is in the {what}");
        }
    }
}

/// What is listed only in part is not taken for the whole: a credential that lost sight of another project's load balancers
/// ends no session there. What is really gone is gone.
#[tokio::test]
async fn a_list_that_lost_sight_of_a_project_is_no_list() {
    let world = World::new();
    let live = world.start();
    fresh(&live).await;
    world.change(|truth| {
        truth.instead = Some(Box::new(|request| {
            (request.path == "/v2/lbaas/loadbalancers" && request.all("name").is_empty()).then(
                || {
                    let own = json!({"loadbalancers": [balancer(WEB, "cmp-was-lb", "p1")]});
                    Reply::json(200, &own)
                },
            )
        }));
    });
    let said = down(&live).await;
    assert!(said.contains("get_all-global"), "{said}");
    assert_eq!(meant(&live, "amphora-a0000003").await, "3");
    world.change(|truth| {
        truth.instead = None;
        truth.amphorae.retain(|a| a["loadbalancer_id"] != PAY);
        truth.balancers.retain(|b| b["id"] != PAY);
    });
    fresh(&live).await;
    assert_eq!(meant(&live, "amphora-a0000003").await, "none");
}
