//! In: a real Swift by both of its APIs, another S3, a shipper that is killed, a gateway that is lost. Out: everything, from the bucket.
//! Never: a file that left the gateway before the store had it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use ampgate_tests::{
    A, Api, Cloud, Gateway, Land, ObjectStore, Outcome, Via,
    bed::bed,
    gateway::{files_below, program, replay},
    outcome::{HANG, run, until},
    tls::TlsProxy,
};

use super::sealed::{identity, seal_to};

/// A gateway whose archive is this store.
fn archived(store: &ObjectStore, more: &[&str]) -> Gateway {
    Gateway::start(|setup| {
        let like = setup.dir.join("recordings");
        for line in store.section(&setup.dir, &like, false) {
            setup.set("archive", &line);
        }
        for line in more {
            setup.set("archive", line);
        }
        setup.set("archive", "interval = \"1s\"");
    })
}

/// `ampgate archive run`, killed with this value.
struct Shipper(Child);

impl Shipper {
    fn of(gateway: &Gateway) -> Shipper {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(gateway.dir.join("archive.log"))
            .unwrap();
        let mut command = bed().command(program("ampgate"));
        command
            .args(["archive", "run", "--config"])
            .arg(gateway.dir.join("ampgate.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Shipper(command.spawn().unwrap())
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        // `ip netns exec` and the change of user both replace the program: this is the shipper itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn events(gateway: &Gateway, name: &str) -> usize {
    let journal = gateway.journal();
    journal.iter().filter(|e| e["event"] == name).count()
}

fn casts(dir: &Path) -> Vec<PathBuf> {
    let mut all = files_below(dir);
    all.retain(|path| {
        path.extension()
            .is_some_and(|e| e == "cast" || e == "sealed")
    });
    all
}

/// Another machine: a directory with nothing but [archive], a credential that may only read, and the auditor's key.
fn fetch(store: &ObjectStore, name: &str) -> (PathBuf, Outcome) {
    let machine = bed().directory("escrow").join(name);
    fs::create_dir_all(&machine).unwrap();
    let mut lines = vec!["[archive]".to_owned()];
    lines.extend(store.section(&machine, &machine, true));
    let config = machine.join("escrow.toml");
    fs::write(&config, lines.join("\n")).unwrap();
    let place = machine.join("fetched");
    let mut command = bed().command(program("ampgate"));
    command
        .arg("--config")
        .arg(config)
        .args(["archive", "fetch"])
        .arg(&place);
    (place, run(command, b""))
}

/// The escrow drill: sessions are recorded and shipped by a shipper that is killed again and again, the local copies go, the
/// gateway is lost with its disk, and all of it is read on another machine.
fn escrow(store: &ObjectStore, name: &str) {
    let mut gateway = archived(store, &["days_hot = 0"]);
    let client = gateway.client("alice");
    for n in 0..4 {
        let shell = format!("echo session {n}; seq 1 20000");
        client.exec(Via::Jump, Land::Plain, &A, &shell, b"").good();
    }
    let mut open = client.ssh(Via::Jump, Land::Plain, &A, &["-T"]);
    let mut open = open
        .arg("echo still there; sleep 1000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("five recordings", HANG, || {
        casts(&gateway.recordings()).len() == 5
    });
    for n in 0..12_u64 {
        let shipper = Shipper::of(&gateway);
        thread::sleep(Duration::from_millis(40 + n * 37));
        drop(shipper);
        // Whatever has gone by now, the store has it: that is looked at when the gateway is lost.
    }
    let shipper = Shipper::of(&gateway);
    until("the closed ones left", HANG, || {
        casts(&gateway.recordings()).len() == 1
    });
    until("it is all in the journal", HANG, || {
        events(&gateway, "archive.removed") >= 4
    });
    assert!(events(&gateway, "archive.shipped") >= 4);
    // What was removed on purpose is not called missing.
    let here = |path: &str| gateway.dir.join(path).display().to_string();
    replay(&[
        "verify",
        "--key",
        &here("keys/sealing.pub"),
        "--journal",
        &here("state/journal"),
        "--store",
        &here("recordings"),
    ])
    .says("5 recordings: 4 archived, 1 open");
    assert_eq!(
        events(&gateway, "archive.failed"),
        0,
        "{:?}",
        fs::read_to_string(gateway.dir.join("archive.log"))
    );
    // It is written at the end of a pass, and what was removed is told in the middle of one.
    until("one recording and today's journal grow", HANG, || {
        gateway
            .ampgate(&["archive", "status", "--json"])
            .good()
            .out()
            .contains("\"growing\": 2")
    });
    until("nothing waits", HANG, || {
        gateway
            .ampgate(&["archive", "status", "--json"])
            .good()
            .out()
            .contains("\"waiting_bytes\": 0")
    });

    // Lost: both processes and the disk. The auditor has the public key, as always.
    let key = bed().directory("escrow").join(format!("{name}.pub"));
    fs::copy(gateway.dir.join("keys/sealing.pub"), &key).unwrap();
    gateway.kill();
    drop(shipper);
    open.kill().ok();
    open.wait().ok();
    fs::remove_dir_all(&gateway.dir).unwrap();

    let (place, said) = fetch(store, name);
    said.good().says("4 fetched").says("2 still growing");
    let key = key.display().to_string();
    let found = casts(&place.join("recordings"));
    assert_eq!(found.len(), 5);
    let mut seen = String::new();
    let mut intact = 0;
    for cast in &found {
        let cast = cast.display().to_string();
        intact += usize::from(replay(&["verify", "--key", &key, &cast]).code == Some(0));
        seen += &replay(&["cat", &cast]).out();
    }
    assert_eq!(intact, 4, "all but the one that was cut off");
    for text in [
        "session 0",
        "session 1",
        "session 2",
        "session 3",
        "still there",
        "20000",
    ] {
        assert!(seen.contains(text), "{text:?} is lost");
    }
    let journal = place.join("journal").display().to_string();
    replay(&["verify", "--key", &key, "--journal", &journal])
        .good()
        .says("intact");
    // Once more: what is there is checked and kept.
    fetch(store, name).1.good().says("4 there already");
}

#[test]
fn escrow_from_swift_by_its_own_api() {
    escrow(&ObjectStore::up(Api::Swift, "swift"), "swift");
}

#[test]
fn escrow_from_swift_by_s3() {
    escrow(&ObjectStore::up(Api::SwiftS3, "swift-s3"), "swift-s3");
}

/// As an OpenStack has it: an application credential, a catalogue, and Swift asks Keystone about each token.
#[test]
fn escrow_from_swift_by_keystone() {
    let cloud = Cloud::up("archive");
    escrow(&ObjectStore::of(&cloud, "swift-keystone"), "swift-keystone");
    assert!(cloud.access_log("keystone").contains("/v3/auth/tokens"));
}

#[test]
fn escrow_from_another_s3() {
    escrow(&ObjectStore::up(Api::Moto, "moto"), "moto");
}

/// A bucket that keeps each object for a day, whoever wants it gone: shipped, read back, and removed here; nothing is asked
/// to go there, also where its days are over, and that is no fault.
#[test]
fn a_bucket_with_object_lock_keeps_all() {
    let mut store = ObjectStore::up(Api::Moto, "locked");
    store.bucket = "locked";
    let gateway = archived(
        &store,
        &["object_lock = true", "days_hot = 0", "days_kept = 1"],
    );
    let client = gateway.client("alice");
    for n in 0..2 {
        let shell = format!("echo locked {n}; seq 1 3000");
        client.exec(Via::Jump, Land::Plain, &A, &shell, b"").good();
    }
    let shipper = Shipper::of(&gateway);
    until("both left", HANG, || {
        events(&gateway, "archive.removed") >= 2 && casts(&gateway.recordings()).is_empty()
    });
    gateway.quiet();
    drop(shipper);
    assert_eq!(events(&gateway, "archive.failed"), 0);
    let held = store.ask(
        "all = s3.list_object_versions(Bucket='locked')\n\
         print(len(all.get('DeleteMarkers', [])))\n\
         refused = 0\n\
         for one in all['Versions']:\n    \
             try: s3.delete_object(Bucket='locked', Key=one['Key'], VersionId=one['VersionId'])\n    \
             except s3.exceptions.ClientError: refused += 1\n\
         print(len(all['Versions']) - refused)",
    );
    assert_eq!(
        held, "0\n0\n",
        "delete markers; versions that could be deleted"
    );
    let (place, said) = fetch(&store, "locked");
    said.good().says("2 fetched");
    assert_eq!(casts(&place.join("recordings")).len(), 2);
}

/// By TLS with an authority of one's own; not with one that has signed nothing, and that is said.
#[test]
fn the_store_is_who_it_says_it_is() {
    let mut store = ObjectStore::up(Api::Moto, "tls");
    let proxy = TlsProxy::start("archive", "good", store.url());
    let client = |gateway: &Gateway| {
        let client = gateway.client("alice");
        client
            .exec(Via::Jump, Land::Plain, &A, "echo by tls", b"")
            .good();
        gateway.quiet();
    };
    let once = |gateway: &Gateway| gateway.ampgate(&["archive", "run", "--once"]);
    store.front = Some((proxy.url.clone(), proxy.other_ca()));
    let gateway = archived(&store, &["days_hot = 0"]);
    client(&gateway);
    let said = once(&gateway);
    assert!(
        said.code != Some(0) && said.err().contains("certificate"),
        "{said:?}"
    );
    assert_eq!(proxy.requests(), "", "nothing was asked of a stranger");
    assert_eq!(casts(&gateway.recordings()).len(), 1);
    drop(gateway);
    store.front = Some((proxy.url.clone(), proxy.ca()));
    let gateway = archived(&store, &["days_hot = 0"]);
    client(&gateway);
    until("it left", HANG, || {
        once(&gateway);
        casts(&gateway.recordings()).is_empty()
    });
    fetch(&store, "tls").1.good().says("1 fetched");
}

/// What a transfer moved and policy wants kept goes with its session: held with it, released with it, shipped, and read from
/// the bucket by the auditor's key.
#[test]
fn kept_contents_go_with_their_session() {
    let share = bed().directory("share-of-contents");
    let lines = [
        "store = \"directory\"".to_owned(),
        format!("directory = {:?}", share.display().to_string()),
    ];
    let gateway = Gateway::start(|setup| {
        ampgate_tests::gateway::give(&share, &setup.dir.join("recordings"));
        lines.iter().for_each(|line| setup.set("archive", line));
        setup.set("archive", "days_hot = 0");
        setup.set("archive", "prefix = \"gw/\"");
        seal_to(setup, &[1], 1);
        setup.policy += r#"
@id("kept") @keep("contents")
permit (principal, action in [Action::"read", Action::"write"], resource) when { context.path like "/tmp/archived/*" };
"#;
    });
    bed()
        .inside(&A, "rm -rf /tmp/archived; mkdir -m 777 /tmp/archived")
        .good();
    let client = gateway.client("alice");
    let moved = b"frontend of a tenant\n".repeat(2000);
    let file = client.file("haproxy.cfg", &moved).display().to_string();
    let (way, host) = client.way(Via::Jump, Land::Plain, &A);
    let mut scp = client.command("scp");
    scp.arg("-q")
        .args(way)
        .args([file, format!("{host}:/tmp/archived/haproxy.cfg")]);
    run(scp, b"").good();
    gateway.quiet();
    let id = gateway.sessions(&[])[0]["id"].as_str().unwrap().to_owned();
    let order = |word: &str| gateway.ampgate(&["archive", word, &id, "--reason", "ticket 812"]);
    let once = || gateway.ampgate(&["archive", "run", "--once"]);
    order("hold").good().says("contents of its files: 1");
    // Shipped in one pass, removed in another, if at all.
    for _ in 0..3 {
        once().good();
    }
    assert_eq!(casts(&gateway.recordings()).len(), 2, "held, both of them");
    order("release").good().says("contents of its files: 1");
    until("both left", HANG, || {
        once();
        casts(&gateway.recordings()).is_empty()
    });
    let machine = bed().directory("escrow").join("contents");
    fs::create_dir_all(&machine).unwrap();
    let config = machine.join("escrow.toml");
    fs::write(
        &config,
        format!("[archive]\nprefix = \"gw/\"\n{}\n", lines.join("\n")),
    )
    .unwrap();
    let place = machine.join("fetched");
    let mut fetch = bed().command(program("ampgate"));
    fetch
        .arg("--config")
        .arg(config)
        .args(["archive", "fetch"])
        .arg(&place);
    run(fetch, b"").good().says("2 fetched");
    let key = identity(1);
    let contents: Vec<_> = casts(&place.join("recordings"))
        .iter()
        .map(|cast| {
            let cast = cast.display().to_string();
            replay(&["export", "--format", "raw", "--identity", &key, &cast])
                .good()
                .stdout
        })
        .collect();
    assert!(contents.contains(&moved));
}

/// Bytes that rot in a real Swift, below its own checks, are found before a local copy would go; and by who fetches.
#[test]
fn what_rots_on_swifts_disk_is_found() {
    let store = ObjectStore::up(Api::Swift, "rot");
    let gateway = archived(&store, &[]);
    let client = gateway.client("alice");
    client
        .exec(
            Via::Jump,
            Land::Plain,
            &A,
            "echo before the rot; seq 1 5000",
            b"",
        )
        .good();
    gateway.quiet();
    until("it is shipped", HANG, || {
        gateway.ampgate(&["archive", "run", "--once"]);
        events(&gateway, "archive.shipped") == 1
    });
    let data: Vec<_> = files_below(&store.dir)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "data"))
        .collect();
    assert!(!data.is_empty());
    for file in &data {
        let mut bytes = fs::read(file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        // In place: its xattrs stay.
        std::os::unix::fs::FileExt::write_all_at(
            &fs::OpenOptions::new().write(true).open(file).unwrap(),
            &bytes,
            0,
        )
        .unwrap();
    }
    let config = gateway.dir.join("ampgate.toml");
    let text = fs::read_to_string(&config)
        .unwrap()
        .replace("[archive]", "[archive]\ndays_hot = 0");
    fs::write(&config, text).unwrap();
    gateway.ampgate(&["archive", "run", "--once"]).exits(1);
    assert_eq!(
        casts(&gateway.recordings()).len(),
        1,
        "the only good copy is removed"
    );
    assert!(events(&gateway, "archive.failed") >= 1);
    fetch(&store, "rot").1.exits(1);
}

/// Two admins are two, a hold holds, and each word of it is in the journal.
#[test]
fn holds_and_deletions_by_two() {
    let share = bed().directory("share");
    let gateway = Gateway::start(|setup| {
        ampgate_tests::gateway::give(&share, &setup.dir.join("recordings"));
        for line in [
            "store = \"directory\"".to_owned(),
            format!("directory = {:?}", share.display().to_string()),
            "two_person = true".to_owned(),
        ] {
            setup.set("archive", &line);
        }
        setup.set("control", "admins = [\"games\"]");
    });
    let client = gateway.client("alice");
    client.exec(Via::Jump, Land::Plain, &A, "true", b"").good();
    gateway.quiet();
    let id = gateway.sessions(&[])[0]["id"].as_str().unwrap().to_owned();
    let once = || gateway.ampgate(&["archive", "run", "--once"]);
    let order = |word: &str| gateway.ampgate(&["archive", word, &id, "--reason", "ticket 812"]);
    let by_games = |word: &str| {
        let mut command = bed().command("setpriv");
        command
            .args(["--reuid=games", "--clear-groups"])
            .arg(program("ampgate"))
            .args(["archive", word, &id, "--reason", "checked", "--config"])
            .arg(gateway.dir.join("ampgate.toml"));
        run(command, b"")
    };
    once();
    order("hold").good();
    order("delete").exits(1).complains("is held");
    order("release").good();
    order("delete").good().says("another admin");
    order("approve").exits(1).complains("another admin");
    once();
    assert_eq!(casts(&gateway.recordings()).len(), 1);
    // Whoever may not talk to the gateway may not agree either; the configuration is made readable for the one who may.
    use std::os::unix::fs::PermissionsExt;
    for (path, mode) in [
        (gateway.dir.clone(), 0o755),
        (gateway.dir.join("ampgate.toml"), 0o644),
        (gateway.dir.join("run"), 0o755),
    ] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    by_games("approve").good().says("will be deleted");
    once();
    assert!(casts(&gateway.recordings()).is_empty());
    assert!(
        files_below(&share)
            .iter()
            .all(|path| !path.display().to_string().contains(&id))
    );
    for event in [
        "archive.held",
        "archive.released",
        "deletion.asked",
        "deletion.approved",
        "archive.deleted",
    ] {
        assert_eq!(events(&gateway, event), 1, "{event}");
    }
}
