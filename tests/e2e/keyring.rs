//! In: an octavia key ring in which one key fits, also one from Barbican. Out: which is tried when, and which the journal names.
//! Never: more keys on one connection than `max_keys`.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
    time::Duration,
};

use ampgate_tests::{
    A, B, Gateway, Land, Nova, Via, bed,
    gateway::{give, program},
    outcome::until,
    run,
};
use rustix::process::Signal;
use serde_json::json;

/// The newest key first, unless another one opened this amphora before; never more than `max_keys`.
#[test]
fn the_key_that_opened_last_is_tried_before_the_newest() {
    let gateway = Gateway::start(|setup| {
        setup.key_ring(2);
        setup.set("upstream", "max_keys = 2");
    });
    let alice = gateway.client("alice");
    let open = |amphora| alice.exec(Via::Jump, Land::Plain, amphora, "true", b"");
    open(&A).exits(250).complains("none of the 2 octavia keys");
    max_keys(&gateway, 3);
    open(&A).good();
    max_keys(&gateway, 1);
    open(&A).good();
    open(&B).exits(250).complains("none of the 1 octavia keys");
    let mut keygen = Command::new("ssh-keygen");
    keygen.arg("-lf").arg(bed().octavia_key());
    let print = run(keygen, b"").good().out();
    let named = |name: &str| {
        let all = gateway.journal().into_iter().filter(|e| e["event"] == name);
        all.map(|e| e["octavia_key"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for name in ["upstream.opened", "signer.signed"] {
        let keys = named(name);
        assert_eq!(keys.len(), 2, "{name}");
        assert!(
            keys.iter().all(|key| print.contains(key)),
            "{name}: {keys:?}"
        );
    }
}

/// From Barbican to the signer by a process of its own: what is no key that the signer would take is never put there.
#[test]
fn a_key_from_barbican_opens_an_amphora() {
    let barbican = Nova::up("barbican");
    let fetch = |dir: &Path, payload: &[u8]| {
        let clouds = dir.join("clouds.yaml");
        let auth = json!({"auth_url": format!("{}/v3", barbican.url), "application_credential_id": "x",
            "application_credential_secret": "the-secret-of-fetch-key"});
        let cloud = json!({"auth_type": "v3applicationcredential", "auth": auth});
        fs::write(
            &clouds,
            json!({"clouds": {"octavia-key": cloud}}).to_string(),
        )
        .unwrap();
        fs::set_permissions(&clouds, fs::Permissions::from_mode(0o600)).unwrap();
        let mut fetch = bed().command(program("ampgate"));
        fetch
            .arg("fetch-key")
            .arg(barbican.secret(payload))
            .args(["--cloud", "octavia-key", "--clouds-file"])
            .arg(&clouds)
            .arg("--to")
            .arg(dir.join("fetched"));
        run(fetch, b"")
    };
    let key = fs::read(bed().octavia_key()).unwrap();
    let gateway = Gateway::start(|setup| {
        let fetched = setup.dir.join("fetched");
        fetch(&setup.dir, &key).good().says("SHA256:");
        assert_eq!(fs::metadata(&fetched).unwrap().mode() & 0o777, 0o600);
        // What is no key, or none without a passphrase, leaves the good one where it is.
        for bad in [&b"no key at all"[..], b"", &key[..100]] {
            let said = fetch(&setup.dir, bad).exits(1);
            assert!(!said.err().contains("the-secret-of-fetch-key"), "{said:?}");
            assert_eq!(fs::read(&fetched).unwrap(), key);
        }
        assert!(!setup.dir.join("fetched.new").exists());
        fs::remove_file(setup.dir.join("octavia")).unwrap();
        give(&fetched, &setup.dir.join("keys/sealing"));
        setup.set(
            "signer",
            &format!("keys = [{:?}]", fetched.display().to_string()),
        );
    });
    let alice = gateway.client("alice");
    alice.exec(Via::Jump, Land::Plain, &A, "true", b"").good();
}

fn max_keys(gateway: &Gateway, number: usize) {
    let file = gateway.dir.join("ampgate.toml");
    let text = fs::read_to_string(&file).unwrap();
    let others = text.lines().filter(|line| !line.starts_with("max_keys"));
    let text: Vec<String> = others.map(str::to_owned).collect();
    let new = format!("[upstream]\nmax_keys = {number}");
    fs::write(&file, text.join("\n").replace("[upstream]", &new)).unwrap();
    let reloads = || {
        let all = gateway.journal();
        all.iter()
            .filter(|e| e["event"] == "config.reloaded")
            .count()
    };
    let before = reloads();
    gateway.signal(Signal::HUP);
    until("reloaded", Duration::from_secs(10), || reloads() > before);
}
