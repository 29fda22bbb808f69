//! In: a real Keystone, and people who have its passwords and one-time codes. Out: they reach what their projects have.
//! Never: a difference between unknown, disabled and wrong; a secret in anything that the gateway writes.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    time::Duration,
};

use ampgate_tests::{A, BARE, Client, Cloud, FakeOpenstack, Gateway, Outcome, outcome::until, run};

/// Members reach their project's, a group of Keystone one more, whoever has the role and a code may all there.
const POLICY: &str = r#"
permit (principal, action, resource) when { principal.projects.contains(resource.project) && context.landing == Landing::"plain" };
permit (principal, action, resource) when {
  principal.roles.contains({ "project": resource.project, "role": "load-balancer_member" }) && context.method == Method::"password+totp" };
permit (principal in Group::"admins", action, resource);
permit (principal in Group::"keystone:netops", action, resource) when { context.landing == Landing::"netns" };
"#;

fn start(cloud: &Cloud, change: impl FnOnce(&mut ampgate_tests::Setup)) -> Gateway {
    Gateway::start(|setup| {
        cloud.inventory_of(setup, "read-only");
        cloud.passwords_of(setup);
        setup.policy = POLICY.to_owned();
        // Of those with keys only alice is the person whom Keystone knows by that name; bob is another one.
        setup.users = setup
            .users
            .replace("name = \"alice\"\n", "name = \"alice\"\nkeystone = true\n");
        let own = setup.users.clone();
        let of = |name: &str| {
            own.split("[[user]]")
                .find(|u| u.contains(name))
                .unwrap()
                .to_owned()
        };
        setup.users = ["\"alice\"", "\"bob\""]
            .map(|name| format!("[[user]]{}", of(name)))
            .concat();
        change(setup);
    })
}

fn ssh(client: &Client, host: &str, command: &str) -> Outcome {
    let mut ssh = client.command("ssh");
    ssh.arg("-F")
        .arg(client.config())
        .args(["-J", "gateway", host, command]);
    run(ssh, b"")
}

fn greeted(client: &Client) -> Outcome {
    let mut ssh = client.command("ssh");
    // As people have it: what a server has to say about a login is shown.
    ssh.arg("-oLogLevel=INFO");
    ssh.arg("-F").arg(client.config()).arg("gateway");
    run(ssh, b"")
}

/// A gateway that knows the amphorae of its cloud.
fn known(gateway: &Gateway) {
    until("the inventory is known", Duration::from_secs(180), || {
        let status = gateway.ampgate(&["status"]).good().out();
        status.contains("inventory    8 amphorae, ")
    });
}

#[test]
fn passwords_of_the_cloud_lead_to_its_projects() {
    let cloud = Cloud::up("passwords");
    let gateway = start(&cloud, |setup| {
        let heidi = "[[user]]\nname = \"heidi\"\nkeystone = true\ndisabled = true\n";
        setup.users += heidi;
    });
    known(&gateway);
    let by = |user: &str, password: &str| Client::by_password(&gateway, user, password, "");
    let person = |user: &str| by(user, &cloud.password(user));
    // carol is of the gateway's project; grace of none; frank of both by his group.
    let frank = person("frank");
    ssh(&frank, "cloud-user@lb-cmp-was-lb", "hostname")
        .good()
        .says(A.id);
    ssh(&frank, "netns@lb-cmp-was-lb", "hostname")
        .good()
        .says(A.id);
    assert_eq!(frank.prompts().len(), 2, "{:?}", frank.prompts());
    assert!(frank.prompts()[0].contains("Password: "));
    let nothing = |client: &Client| {
        assert_ne!(ssh(client, "lb-cmp-was-lb", "true").code, Some(0));
        greeted(client).good().says("(none:");
    };
    nothing(&person("grace"));
    nothing(&person("carol"));
    // alice is of shop, has a key as well, and by either way she is in the file's groups.
    let alice = person("alice");
    ssh(&alice, "root@lb-edge", "hostname").good().says(BARE.id);
    ssh(&gateway.client("alice"), "root@lb-edge", "hostname")
        .good()
        .says(BARE.id);
    // Nobody gets in as a user of the file who is not said to be Keystone's, or who is disabled there.
    let refused = [
        (
            "bob",
            cloud.password("bob"),
            "users.toml has a user of this name",
        ),
        ("heidi", cloud.password("heidi"), "the user is disabled"),
        (
            "dave",
            cloud.password("dave"),
            "Keystone refuses the name and the password",
        ),
        (
            "alice",
            "wrong".to_owned(),
            "Keystone refuses the name and the password",
        ),
        (
            "nobody-of-this-name",
            "wrong".to_owned(),
            "Keystone refuses the name and the password",
        ),
        ("Alice", cloud.password("alice"), "Keystone"),
        (
            "root",
            cloud.password("carol"),
            "Keystone refuses the name and the password",
        ),
        (
            "a+name",
            "wrong".to_owned(),
            "nobody in Keystone can have this name",
        ),
    ];
    let mut shown = Vec::new();
    for (user, password, reason) in &refused {
        let outcome = greeted(&by(user, password)).exits(255);
        shown.push(outcome.err().replace(user, "USER"));
        let refusals = gateway.journal();
        let last = refusals
            .iter()
            .rfind(|e| e["event"] == "principal.refused")
            .unwrap();
        assert!(
            last["reason"].as_str().unwrap().contains(reason),
            "{user}: {last}"
        );
        assert_eq!(
            (last["user"].as_str(), last["method"].as_str()),
            (Some(*user), Some("password"))
        );
    }
    shown.dedup();
    assert_eq!(shown.len(), 1, "one answer to all of them: {shown:?}");
    let events = gateway.journal();
    let let_in = events
        .iter()
        .find(|e| e["event"] == "principal.authenticated" && e["user"] == "frank")
        .unwrap();
    assert_eq!(let_in["method"], "password");
    assert_eq!(let_in["keystone_user"], cloud.facts["users"]["frank"]["id"]);
}

/// Keystone's rules ask erin for a code. A code counts once, whoever has seen it; with `totp = "required"` a password alone
/// is nothing, also where Keystone takes it.
#[test]
fn one_time_codes_are_asked_for_and_count_once() {
    let cloud = Cloud::up("codes");
    let gateway = start(&cloud, |setup| setup.set("keystone", "totp = \"required\""));
    known(&gateway);
    let code = cloud.code("erin");
    let erin = |code: &str| Client::by_password(&gateway, "erin", &cloud.password("erin"), code);
    let first = erin(&code);
    ssh(&first, "root@lb-cmp-was-lb", "hostname")
        .good()
        .says(A.id);
    let prompts = first.prompts();
    assert_eq!(prompts.len(), 2, "{prompts:?}");
    assert!(prompts[0].contains("Password: ") && prompts[1].contains("Verification code: "));
    let reason = || {
        let events = gateway.journal();
        let refused = events.iter().rfind(|e| e["event"] == "principal.refused");
        refused.unwrap()["reason"].as_str().unwrap().to_owned()
    };
    greeted(&erin(&code)).exits(255);
    assert_eq!(reason(), "the one-time code was used before");
    greeted(&erin("000000")).exits(255);
    assert_eq!(reason(), "Keystone refuses the one-time code (HTTP 401)");
    let wrong = Client::by_password(&gateway, "erin", "wrong", &code);
    greeted(&wrong).exits(255);
    assert_eq!(
        wrong.prompts().len(),
        1,
        "a code is asked for after the right password only"
    );
    greeted(&Client::by_password(
        &gateway,
        "frank",
        &cloud.password("frank"),
        "",
    ))
    .exits(255);
    assert!(
        reason().contains("is totp in [auth] methods of keystone.conf"),
        "{}",
        reason()
    );
    let events = gateway.journal();
    let let_in = events
        .iter()
        .find(|e| e["event"] == "principal.authenticated")
        .unwrap();
    assert_eq!(let_in["method"], "password+totp");
}

/// Row 5: a password counts for whom it was given, and for nobody who asks to be let in between.
#[test]
fn row_05_a_factor_counts_for_nobody_else() {
    let cloud = Cloud::up("factors");
    let gateway = start(&cloud, |_| ());
    let (password, code) = (cloud.password("erin"), cloud.code("erin"));
    let mut environment = vec![
        ("OPERATOR", "erin"),
        ("PASSWORD", &password),
        ("CODE", &code),
    ];
    environment.push(("OTHER", "carol"));
    let found = gateway.attacked("factors", "alice", &environment);
    for (name, outcome) in found.as_object().unwrap() {
        let expected = if name == "nothing between" {
            "in"
        } else {
            "out"
        };
        assert_eq!(outcome, expected, "{name}: {found:#}");
    }
    assert_eq!(found.as_object().unwrap().len(), 5, "{found:#}");
    let events = gateway.journal();
    let others = events
        .iter()
        .filter(|e| e["event"] == "principal.authenticated" && e["user"] != "erin");
    assert_eq!(others.count(), 0, "{events:#?}");
}

/// Must show 8, the words of it; `make bench` prints the times.
#[test]
fn unknown_disabled_and_wrong_are_one_answer() {
    let cloud = Cloud::up("one-answer");
    let gateway = start(&cloud, |_| ());
    let people = cloud.refused_people();
    let found = gateway.attacked(
        "logins",
        "alice",
        &[("PEOPLE", &people), ("COUNT", "2"), ("AT_ONCE", "1")],
    );
    let answers: Vec<_> = found["answers"].as_object().unwrap().values().collect();
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|a| *a == answers[0]), "{found:#}");
    assert_eq!(answers[0].as_array().unwrap().len(), 1, "{found:#}");
}

/// A program that says "begun" and then nothing, as somebody.
fn stays(
    client: &Client,
    host: &str,
) -> (std::process::Child, BufReader<std::process::ChildStdout>) {
    let mut command = client.command("ssh");
    command
        .arg("-F")
        .arg(client.config())
        .args(["-J", "gateway", host, "echo begun; sleep 600"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    (child, out)
}

/// Who is disabled in Keystone, or loses the group that let them in, is out while they are connected. With Keystone down
/// sessions go on, nobody gets in by a password and is told why, and keys work.
#[test]
fn what_keystone_says_counts_while_sessions_live() {
    let cloud = Cloud::up("recheck");
    let gateway = start(&cloud, |_| ());
    known(&gateway);
    let person = |user: &str| Client::by_password(&gateway, user, &cloud.password(user), "");
    let (frank, heidi) = (person("frank"), person("heidi"));
    let (frank_runs, _out) = stays(&frank, "cloud-user@lb-edge");
    let (mut heidi_runs, _out) = stays(&heidi, "cloud-user@lb-edge");
    cloud.run("user", &["frank", "enabled=false"]);
    let ended = frank_runs.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    // Keystone takes the roles of a disabled person away first; whoever asks in between hears that.
    let words = [
        "Keystone has ended your login",
        "the policy no longer allows",
    ];
    assert!(words.iter().any(|words| said.contains(words)), "{said}");
    cloud.run("stop", &["keystone"]);
    let told = greeted(&person("heidi")).exits(255);
    assert!(
        told.err().contains("Keystone cannot be asked now"),
        "{told:?}"
    );
    ssh(&gateway.client("alice"), "lb-edge", "hostname")
        .good()
        .says(BARE.id);
    assert!(
        heidi_runs.try_wait().unwrap().is_none(),
        "a session ended because Keystone was down"
    );
    cloud.run("start", &["keystone"]);
    ssh(&person("heidi"), "cloud-user@lb-edge", "hostname")
        .good()
        .says(BARE.id);
    // A change of what is required counts for those who are in.
    let config = gateway.dir.join("ampgate.toml");
    let text = fs::read_to_string(&config).unwrap();
    let stricter = text.replace("[keystone]\n", "[keystone]\ntotp = \"required\"\n");
    assert_ne!(text, stricter);
    fs::write(&config, stricter).unwrap();
    gateway.signal(rustix::process::Signal::HUP);
    let ended = heidi_runs.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("a one-time code is required now"), "{said}");
}

/// Whether it is there as a word: the six digits of a code may be part of any number. Tokens are known by their beginning.
fn stands_in(content: &[u8], secret: &[u8]) -> bool {
    let word = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
    let mut windows = content.windows(secret.len()).enumerate();
    windows.any(|(at, window)| {
        let around = at.checked_sub(1).and_then(|before| content.get(before));
        let whole = secret == b"gAAAAA" || !word(content.get(at + secret.len()));
        window == secret && !word(around) && whole
    })
}

/// All files below a directory, whole.
fn everything(dir: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap().map_while(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            everything(&path, into);
        } else if let Ok(content) = fs::read(&path) {
            into.push((path.display().to_string(), content));
        }
    }
}

/// Must show 7: at the most talkative log level, nothing that the gateway writes has a password, a code, a token, a receipt
/// or the secret of its own credential in it.
#[test]
fn no_secret_is_written_at_any_log_level() {
    let cloud = Cloud::up("secrets");
    let gateway = start(&cloud, |setup| setup.set("log", "level = \"trace\""));
    known(&gateway);
    let code = cloud.code("erin");
    let erin = Client::by_password(&gateway, "erin", &cloud.password("erin"), &code);
    ssh(&erin, "root@lb-cmp-was-lb", "hostname")
        .good()
        .says(A.id);
    let wrong = Client::by_password(&gateway, "alice", "a-wrong-password-typed", "");
    greeted(&wrong).exits(255);
    ssh(
        &Client::by_password(&gateway, "frank", &cloud.password("frank"), ""),
        "netns@lb-cmp-was-lb",
        "true",
    )
    .good();
    cloud.run("stop", &["all"]);
    greeted(&Client::by_password(
        &gateway,
        "heidi",
        &cloud.password("heidi"),
        "",
    ))
    .exits(255);
    let mut secrets = vec![
        "a-wrong-password-typed".to_owned(),
        "gAAAAA".to_owned(),
        code.clone(),
    ];
    secrets.extend(["erin", "frank", "heidi"].map(|user| cloud.password(user)));
    let own = &cloud.facts["application_credentials"]["read-only"]["secret"];
    secrets.push(own.as_str().unwrap().to_owned());
    let mut files = Vec::new();
    for place in ["state", "recordings", "run"] {
        everything(&gateway.dir.join(place), &mut files);
    }
    files.push(("the log".to_owned(), gateway.log().into_bytes()));
    assert!(files.iter().any(|(name, _)| name.ends_with(".cast")));
    assert!(
        files.iter().any(|(_, content)| stands_in(content, b"erin")),
        "nothing can be found in these files"
    );
    for (name, content) in &files {
        for secret in &secrets {
            for written in [secret.clone(), secret.escape_debug().to_string()] {
                assert!(
                    !stands_in(content, written.as_bytes()),
                    "{secret:?} is in {name}"
                );
            }
        }
    }
    let limits =
        fs::read_to_string(format!("/proc/{}/limits", gateway.relay().as_raw_nonzero())).unwrap();
    let core = limits
        .lines()
        .find(|l| l.starts_with("Max core file size"))
        .unwrap();
    assert!(core.split_whitespace().nth(4) == Some("0"), "{core}");
}

/// Keys of keypairs in Nova let in whom Keystone lists, asked for by the gateway's own credential; and who is disabled there is
/// out. Keystone is real; Nova's list of keypairs is not.
#[test]
fn keypairs_in_nova_are_keys_of_operators() {
    let cloud = Cloud::up("keypairs");
    let keys = cloud_keys();
    let public = fs::read_to_string(keys.path().join("own.pub")).unwrap();
    let body = serde_json::json!({"keypairs": [
        {"keypair": {"name": "broken", "public_key": "ssh-rsa AAAA"}},
        {"keypair": {"name": "laptop", "public_key": public.trim()}},
    ]});
    let frank = cloud.facts["users"]["frank"]["id"].as_str().unwrap();
    let fault = format!("GET /v2.1/os-keypairs.user_id={frank}=>json:{body}");
    let nova = FakeOpenstack::start("keypairs", Some(&fault), None);
    let gateway = start(&cloud, |setup| {
        cloud.inventory_of(setup, "full");
        setup.set(
            "inventory.octavia",
            &format!("compute_endpoint = {:?}", nova.url),
        );
        setup.set("keystone", "keypairs = true");
    });
    known(&gateway);
    let by_key = |user: &str, key: &str| Client::new(&gateway, user, &keys.path().join(key));
    ssh(&by_key("frank", "own"), "netns@lb-cmp-was-lb", "hostname")
        .good()
        .says(A.id);
    let event = |name: &str| {
        let events = gateway.journal();
        events.iter().rfind(|e| e["event"] == name).unwrap().clone()
    };
    let let_in = event("principal.authenticated");
    assert_eq!(
        (&let_in["method"], &let_in["keystone_user"]),
        (&"publickey".into(), &frank.into())
    );
    for (user, key) in [
        ("frank", "another"),
        ("heidi", "own"),
        ("dave", "own"),
        ("no-such-user", "own"),
    ] {
        greeted(&by_key(user, key)).exits(255);
        assert_eq!(
            event("principal.refused")["reason"],
            "no user has this key",
            "{user}"
        );
    }
    // bob has a key in the file and is not said to be Keystone's: his keypair would be another person's.
    greeted(&by_key("bob", "own")).exits(255);
    let (open, _out) = stays(&by_key("frank", "own"), "cloud-user@lb-edge");
    cloud.run("user", &["frank", "enabled=false"]);
    let ended = open.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("Keystone has ended your login"), "{said}");
    let asked = nova.requests();
    let mut keypairs = asked
        .iter()
        .filter(|r| r["path"].as_str().unwrap().contains("os-keypairs"));
    assert!(keypairs.all(|r| r["headers"]["openstack-api-version"] == "compute 2.10"));
}

/// Two keys that no file of the gateway knows.
fn cloud_keys() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["own", "another"] {
        ampgate_tests::bed::new_key(&dir.path().join(name));
    }
    dir
}
