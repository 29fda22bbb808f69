//! In: credentials that may too little, tokens that end, an Octavia that is slow, lies, floods or points elsewhere.
//! Out: one sentence for each, and sessions for whom the gateway knows already.
//! Never: a credential that follows a redirect, a wait without an end.

use std::time::Duration;

use ampgate_tests::{A, BARE, Cloud, FakeOpenstack, Gateway, Outcome, Setup, outcome::until, run};

fn ssh(gateway: &Gateway, host: &str) -> Outcome {
    let alice = gateway.client("alice");
    let mut ssh = alice.command("ssh");
    ssh.arg("-F")
        .arg(alice.config())
        .args(["-J", "gateway", host, "hostname"]);
    run(ssh, b"")
}

#[track_caller]
fn stands(gateway: &Gateway, words: &[&str]) {
    let mut said = String::new();
    for _ in 0..1200 {
        said = gateway.ampgate(&["status"]).good().out();
        if words.iter().all(|word| said.contains(word)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{words:?} is not in {said}\n{}", gateway.log());
}

/// Four credentials, four sentences, and no storm of requests: a refusal by access rules looks like an expired token.
#[test]
fn each_credential_that_may_too_little_is_told_apart() {
    let cloud = Cloud::up("credentials");
    for (credential, words) in [
        (
            "expired",
            "Keystone refuses the gateway's credential (HTTP 401)",
        ),
        (
            "revoked",
            "Keystone refuses the gateway's credential (HTTP 404)",
        ),
        (
            "wrong-rules",
            "refuses GET /v2/octavia/amphorae to the gateway's credential (HTTP 401, also with a new token): its role or its access rules",
        ),
        (
            "member",
            "refuses GET /v2/octavia/amphorae to the gateway's credential (HTTP 403)",
        ),
    ] {
        let gateway = Gateway::start(|setup| cloud.inventory_of(setup, credential));
        stands(&gateway, &["gone", words]);
    }
    let log = cloud.access_log("keystone");
    let logins = log
        .lines()
        .filter(|l| l.contains("POST /v3/auth/tokens"))
        .count();
    assert!(
        (4..40).contains(&logins),
        "{logins} logins for four gateways:\n{log}"
    );
}

/// Pages of two, tokens of half a minute: everything is found, and goes on being found. Then the credential is revoked: who is
/// known stays known.
#[test]
fn pages_are_followed_and_tokens_renewed() {
    let cloud = Cloud::up("pages");
    cloud.run("ttl", &["30"]);
    let gateway = Gateway::start(|setup| {
        cloud.inventory_of(setup, "full");
        setup.set("inventory.octavia", "page = 2");
    });
    // On a slow machine the list is made seldom, and is not called fresh.
    stands(&gateway, &["8 amphorae, "]);
    ssh(&gateway, "lb-edge").good().says(BARE.id);
    let tokens = || {
        let log = cloud.access_log("keystone");
        log.lines()
            .filter(|l| l.contains("POST /v3/auth/tokens"))
            .count()
    };
    let before = tokens();
    until("tokens are renewed", Duration::from_secs(180), || {
        tokens() > before
    });
    until("it goes on", Duration::from_secs(180), || {
        let said = gateway.ampgate(&["status"]).good().out();
        said.contains("8 amphorae, ") && !said.contains("down (")
    });
    let pages = cloud.access_log("octavia");
    assert!(
        pages
            .lines()
            .any(|l| l.contains("/v2/octavia/amphorae?") && l.contains("marker=")),
        "{pages}"
    );
    cloud.run("revoke", &["full", "--credential"]);
    stands(
        &gateway,
        &[
            "amphorae, down (",
            "Keystone refuses the gateway's credential",
        ],
    );
    ssh(&gateway, "lb-cmp-was-lb").good().says(A.id);
}

/// An Octavia in front of the real one that does what a broken one may.
#[test]
fn an_octavia_that_misbehaves_is_bounded_and_explained() {
    let cloud = Cloud::up("misbehaves");
    let real = cloud.facts["octavia"].as_str().unwrap().to_owned();
    let elsewhere = FakeOpenstack::start("elsewhere", None, None);
    let through = |setup: &mut Setup, fake: &FakeOpenstack| {
        cloud.inventory_of(setup, "full");
        setup.set("inventory.octavia", &format!("endpoint = {:?}", fake.url));
        setup.set("inventory.octavia", "request_timeout = \"2s\"");
        setup.set("inventory.octavia", "max_body = \"1MiB\"");
    };
    for (name, fault, words) in [
        ("slow", "late:30".to_owned(), "did not answer within 2 s"),
        ("silent", "silent".to_owned(), "did not answer within 2 s"),
        ("dripping", "drip:1".to_owned(), "did not answer within 2 s"),
        (
            "garbage",
            "garbage".to_owned(),
            "with something else than was asked for",
        ),
        (
            "a proxy's page",
            "html".to_owned(),
            "with something else than was asked for",
        ),
        (
            "half",
            "half".to_owned(),
            "with something else than was asked for",
        ),
        (
            "without an end",
            "endless".to_owned(),
            "answered with more than 1048576 bytes",
        ),
        (
            "10 MB in one string",
            "big:10485760".to_owned(),
            "answered with more than 1048576 bytes",
        ),
        (
            "pages without an end",
            "loop".to_owned(),
            "a page without any id to go on from",
        ),
        ("busy", "busy:1".to_owned(), "with HTTP 429"),
        (
            "redirect",
            format!("redirect:{}", elsewhere.url),
            "redirects elsewhere (HTTP 307)",
        ),
        (
            "found",
            format!("redirect-302:{}", elsewhere.url),
            "redirects elsewhere (HTTP 302)",
        ),
    ] {
        let fault = format!("GET /v2/octavia/amphorae=>{fault}");
        let fake = FakeOpenstack::start("broken", Some(&fault), Some(&real));
        let gateway = Gateway::start(|setup| through(setup, &fake));
        stands(&gateway, &["gone", words]);
        assert!(!fake.requests().is_empty(), "{name}: nothing was asked");
    }
    assert_eq!(
        elsewhere.requests().len(),
        0,
        "something followed a redirect"
    );
    // Who is known is reached while it misbehaves, and all is well when it does not any more.
    let fake = FakeOpenstack::start("for a while", None, Some(&real));
    let gateway = Gateway::start(|setup| through(setup, &fake));
    stands(&gateway, &["amphorae, fresh ("]);
    fake.faults("GET /=>late:30");
    stands(&gateway, &["amphorae, down (", "did not answer within 2 s"]);
    ssh(&gateway, "lb-cmp-was-lb").good().says(A.id);
    fake.faults("");
    stands(&gateway, &["amphorae, fresh ("]);
}
