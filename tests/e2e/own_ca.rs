//! In: a cloud that speaks TLS with certificates of its own authority. Out: it is trusted by `ca_file`, and by nothing else.
//! Never: a request to whom the certificate does not prove.

use std::{path::Path, time::Duration};

use ampgate_tests::{A, Client, Cloud, Gateway, Outcome, TlsProxy, outcome::until, run};

/// Everything by way of `keystone`: the inventory's token and the operators' passwords.
fn through(cloud: &Cloud, keystone: &TlsProxy, ca_file: &Path) -> Gateway {
    Gateway::start(|setup| {
        cloud.inventory_of(setup, "read-only");
        cloud.passwords_of(setup);
        for section in ["inventory.octavia", "keystone"] {
            setup.set(section, &format!("auth_url = \"{}/v3\"", keystone.url));
            setup.set(section, &format!("ca_file = {ca_file:?}"));
        }
        setup.policy = "permit (principal, action, resource) when { principal.projects.contains(resource.project) };\n".to_owned();
        setup.users = String::new();
    })
}

fn status(gateway: &Gateway, words: &[&str]) {
    until(
        &format!("{words:?} in the status"),
        Duration::from_secs(180),
        || {
            let status = gateway.ampgate(&["status"]).good().out();
            words.iter().all(|word| status.contains(word))
        },
    );
}

fn alice(cloud: &Cloud, gateway: &Gateway) -> Outcome {
    let client = Client::by_password(gateway, "alice", &cloud.password("alice"), "");
    let mut ssh = client.command("ssh");
    ssh.arg("-oLogLevel=INFO").arg("-F").arg(client.config());
    ssh.args(["alice:plain+lb-cmp-was-lb@gateway", "hostname"]);
    run(ssh, b"")
}

/// Keystone's and Octavia's certificates are of an authority that only `ca_file` names.
#[test]
fn a_cloud_with_an_authority_of_its_own_is_trusted_by_ca_file() {
    let cloud = Cloud::up("own-ca");
    let keystone = TlsProxy::start("own-ca", "good", &cloud.address("auth_url"));
    let octavia = keystone.another("good", &cloud.address("octavia"));
    cloud.run("endpoint", &["load-balancer", &octavia.url]);
    let gateway = through(&cloud, &keystone, &keystone.ca());
    status(&gateway, &["amphorae, fresh ("]);
    alice(&cloud, &gateway).good().says(A.id);
    assert!(keystone.requests().contains("POST /v3/auth/tokens"));
    let listed = octavia.requests();
    assert!(listed.contains("GET /v2/octavia/amphorae"), "{listed}");
}

/// A stranger's authority, another host's certificate, one of last year: nothing is sent, and who looks is told which.
#[test]
fn a_certificate_that_proves_nothing_gets_no_request() {
    let cloud = Cloud::up("distrust");
    let upstream = cloud.address("auth_url");
    for (kind, sentence) in [
        ("good", "its authority is not among those of ca_file"),
        ("other-name", "it is another name's"),
        ("expired", "it has expired"),
    ] {
        let keystone = TlsProxy::start(kind, kind, &upstream);
        let ca_file = match kind {
            "good" => keystone.other_ca(),
            _ => keystone.ca(),
        };
        let gateway = through(&cloud, &keystone, &ca_file);
        let host = keystone.url.trim_start_matches("https://");
        let whole = format!(
            "Keystone at {host} shows a certificate that is not trusted, so nothing was sent: {sentence}"
        );
        status(&gateway, &[&whole]);
        let told = alice(&cloud, &gateway).exits(255);
        assert!(
            told.err().contains("Keystone cannot be asked now"),
            "{kind}: {told:?}"
        );
        assert!(
            gateway.log().contains("no password can be checked"),
            "{kind}"
        );
        assert_eq!(keystone.requests(), "", "{kind}: something was sent");
    }
}
