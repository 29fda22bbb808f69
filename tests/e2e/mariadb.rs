//! In: a Keystone and an octavia-api whose databases are MariaDB's, after both services' own migrations.
//! Out: names mean what they mean with any database. Never: whoever or whatever MariaDB takes for the same.

use std::time::Duration;

use ampgate_tests::{A, B, BARE, Client, Cloud, Gateway, Outcome, outcome::until, run};

/// carol has a key and may all; whoever is Keystone's may what their projects have.
const POLICY: &str = r#"
permit (principal == User::"carol", action, resource);
permit (principal, action, resource) when { principal.projects.contains(resource.project) };
"#;

/// Without a jump, where capitals survive and refusals are shown.
fn direct(client: &Client, user: &str) -> Outcome {
    let mut ssh = client.command("ssh");
    ssh.arg("-F")
        .arg(client.config())
        .args([&format!("{user}@gateway"), "hostname"]);
    run(ssh, b"")
}

fn start(cloud: &Cloud) -> Gateway {
    Gateway::start(|setup| {
        cloud.inventory_of(setup, "read-only");
        cloud.passwords_of(setup);
        setup.policy = POLICY.to_owned();
        let carol = setup
            .users
            .split("[[user]]")
            .find(|u| u.contains("\"carol\""));
        setup.users = format!("[[user]]{}", carol.unwrap());
    })
}

/// MariaDB finds names whatever their capitals and the blanks at their end: the answers are compared exactly.
#[test]
fn names_that_mariadb_takes_for_the_same_are_not() {
    let cloud = Cloud::up_on_mariadb("mariadb");
    assert_eq!(cloud.facts["database"], "mariadb");
    let gateway = start(&cloud);
    until("the inventory is known", Duration::from_secs(180), || {
        let status = gateway.ampgate(&["status"]).good().out();
        status.contains("amphorae, fresh (")
    });
    let by = |user: &str, password: &str| Client::by_password(&gateway, user, password, "");
    let member = |user: &str, target: &str| {
        let client = by(user, &cloud.password(user));
        direct(&client, &format!("{user}:plain+{target}"))
    };
    // Members reach what is theirs; another's is like what is not there.
    member("alice", "lb-cmp-was-lb").good().says(A.id);
    member("alice", "lb-cmp-was-lb.backup").good().says(B.id);
    member("bob", "lb-edge").good().says(BARE.id);
    let refused = |user: &str, target: &str| {
        let said = member(user, target).exits(253).err().replace(target, "LB");
        let words: Vec<_> = said.split_whitespace().map(str::to_owned).collect();
        let said = words.join(" ");
        said.split("session").next().unwrap().to_owned()
    };
    let nothing = refused("alice", "lb-nothing-at-all");
    assert_eq!(refused("alice", "lb-edge"), nothing);
    assert_eq!(refused("bob", "lb-cmp-was-lb"), nothing);

    // Keystone lets `Alice` in with the password of alice; she is not that person.
    let other = "Alice:plain+lb-cmp-was-lb";
    direct(&by("Alice", &cloud.password("alice")), other).exits(255);
    let events = gateway.journal();
    let last = events.iter().rfind(|e| e["event"] == "principal.refused");
    let last = last.unwrap();
    assert_eq!(last["user"], other, "{last}");
    assert_eq!(
        last["reason"], "Keystone answers about a user of another name or domain",
        "{last}"
    );

    // One of that name, with other capitals: it is meant.
    let carol = gateway.client("carol");
    let carols = |target: &str| direct(&carol, &format!("plain+{target}"));
    carols("lb-CMP-WAS-LB").good().says(A.id);
    // Two that differ in capitals only: exactly as written, or neither; and who may reach one of them has that one.
    let edge = BARE.lb.0;
    cloud.run("lb", &[edge, "name=CMP-WAS-LB"]);
    until("the new name is known", Duration::from_secs(180), || {
        carols("lb-CMP-WAS-LB").out().contains(BARE.id)
    });
    let told = carols("lb-cmp-was-lb").exits(253);
    for lb in [A.lb.0, edge] {
        assert!(told.err().contains(lb), "lb-{lb} is not named: {told:?}");
    }
    member("alice", "lb-cmp-was-lb").good().says(A.id);
    member("bob", "lb-cmp-was-lb").good().says(BARE.id);
    // A blank at the end is part of a name: this one is reached by its id only.
    cloud.run("lb", &[edge, "name=cmp-was-lb "]);
    until("the other one is known", Duration::from_secs(180), || {
        carols("lb-cmp-was-lb").out().contains(A.id)
    });
    assert_eq!(refused("bob", "lb-cmp-was-lb"), nothing);
    carols(&format!("lb-{edge}")).good().says(BARE.id);
}
