//! In: clouds.yaml files and environments, right, wrong and hostile.
//! Out: where the cloud is and as whom one comes, or all faults.
//! Never: a secret in a fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;

use ampgate_inventory::{Cloud, CredentialName, Domain, Interface, Login, Named, Source};
use proptest::prelude::*;

fn faults(outcome: Result<Cloud, Vec<String>>) -> String {
    match outcome {
        Ok(_) => panic!("no faults"),
        Err(faults) => faults.join("\n"),
    }
}

const FILE: &str = include_str!("fixtures/clouds.yaml");

#[test]
fn clouds_are_read() {
    let cloud = Cloud::of_clouds_yaml(FILE, "reader").ok().unwrap();
    assert_eq!(
        cloud.auth_url.to_string(),
        "https://keystone.example.org:5000"
    );
    assert_eq!(cloud.region.as_deref(), Some("RegionOne"));
    assert_eq!(cloud.interface, Some(Interface::Internal));
    assert_eq!(
        cloud.load_balancer.unwrap().to_string(),
        "https://octavia.example.org:9876"
    );
    let Login::ApplicationCredential {
        name: CredentialName::Id(id),
        secret,
    } = cloud.login
    else {
        panic!()
    };
    assert_eq!(id, "9a5dc5cac269405894552b33310fb09d");
    assert_eq!(secret.reveal(), "s3cret: \"quoted\" # not a comment");
    let cloud = Cloud::of_clouds_yaml(FILE, "person").ok().unwrap();
    let Login::Password {
        user: Named::InDomain(user, Domain::Name(domain)),
        project: Named::InDomain(project, Domain::Id(of)),
        ..
    } = cloud.login
    else {
        panic!()
    };
    assert_eq!(
        (&*user, &*domain, &*project, &*of),
        ("ampgate", "Default", "gateway", "default")
    );
    let cloud = Cloud::of_clouds_yaml(FILE, "named").ok().unwrap();
    assert!(matches!(
        cloud.login,
        Login::ApplicationCredential {
            name: CredentialName::OfUser(_, Named::Id(_)),
            ..
        }
    ));
}

#[test]
fn all_faults_at_once_and_no_secret_in_any() {
    let said = faults(Cloud::of_clouds_yaml(FILE, "lax"));
    for part in [
        "must not hold a user or a password",
        "certificates are always checked",
        "an interface is public",
        "auth_type must be",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
    for bad in [
        "clouds: {a: {auth: {password: [hunter2]}}}",
        "clouds: {a: {auth: hunter2}}",
        "clouds:\n  a:\n    auth:\n      password: \"hunter2\n",
        "hunter2",
        "clouds: {b: {}}",
        "",
        "a: &a [*a]",
    ] {
        let said = faults(Cloud::of_clouds_yaml(bad, "a"));
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_bomb_is_no_bomb() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for n in 1..12 {
        let list = vec![format!("*a{}", n - 1); 9].join(",");
        bomb += &format!("a{n}: &a{n} [{list}]\n");
    }
    bomb += "clouds: *a11\n";
    let began = std::time::Instant::now();
    faults(Cloud::of_clouds_yaml(&bomb, "a"));
    faults(Cloud::of_clouds_yaml(&"[".repeat(100_000), "a"));
    faults(Cloud::of_clouds_yaml(&"clouds: {a: ".repeat(10_000), "a"));
    assert!(began.elapsed().as_secs() < 5);
}

#[test]
fn the_environment_is_read() {
    let of = |pairs: &[(&str, &str)]| {
        let map: HashMap<String, String> = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Cloud::of_environment(&move |name| map.get(name).cloned())
    };
    let cloud = of(&[
        ("OS_AUTH_URL", "http://127.0.0.1:5000/v3"),
        ("OS_USERNAME", "u"),
        ("OS_PASSWORD", "hunter2"),
        ("OS_PROJECT_NAME", "p"),
        ("OS_USER_DOMAIN_NAME", "Default"),
        ("OS_PROJECT_DOMAIN_NAME", "Default"),
        ("OS_ENDPOINT_TYPE", "internalURL"),
        ("OS_CACERT", "/etc/ca.pem"),
    ]);
    let cloud = cloud.ok().unwrap();
    assert_eq!(cloud.interface, Some(Interface::Internal));
    assert!(matches!(cloud.login, Login::Password { .. }));
    let said = faults(of(&[("OS_USERNAME", "u"), ("OS_PASSWORD", "hunter2")]));
    for part in ["OS_AUTH_URL", "user_domain_name", "the project is missing"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!said.contains("hunter2"));
}

#[test]
fn files_with_secrets_are_private_and_secure_yaml_counts() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let write = |name: &str, text: &str, mode| {
        std::fs::write(path(name), text).unwrap();
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let source = Source::Cloud {
        name: "a".to_owned(),
        file: path("clouds.yaml"),
    };
    assert!(faults(Cloud::load(&source)).contains("cannot be read"));
    let text = "clouds: {a: {cacert: ca.pem, auth: {auth_url: 'https://k', application_credential_id: i}}}";
    write("clouds.yaml", text, 0o644);
    assert!(faults(Cloud::load(&source)).contains("chmod o-rw"));
    write("clouds.yaml", text, 0o640);
    assert!(faults(Cloud::load(&source)).contains("application_credential_secret"));
    write(
        "secure.yaml",
        "clouds: {a: {auth: {application_credential_secret: s}}}",
        0o600,
    );
    let cloud = Cloud::load(&source).ok().unwrap();
    assert_eq!(cloud.ca_file, Some(path("ca.pem")));
}

proptest! {
    #[test]
    fn any_text_is_a_cloud_or_a_fault(text in "(clouds|a|auth|:|\\{|\\}|\\[|\\]|&x|\\*x|<<|!|\\||>|-|\"|'|\n| |\\PC){0,60}") {
        let _ = Cloud::of_clouds_yaml(&text, "a");
    }

    #[test]
    fn any_rows_are_amphorae_or_counted(ids in proptest::collection::vec(("[0-9a-f-]{0,40}|a0000001-0000-4000-8000-000000000001", "\\PC{0,20}|172.24.0.9|::1", "\\PC{0,9}"), 0..20)) {
        let rows: Vec<_> = ids.iter().map(|(id, address, role)| serde_json::json!({"id": id, "lb_network_ip": address, "role": role,
            "loadbalancer_id": "c0ffee01-0000-4000-8000-0000000000a1"})).collect();
        let count = rows.len();
        let amphorae = serde_json::json!({"amphorae": rows}).to_string();
        let balancers = r#"{"loadbalancers":[{"id":"c0ffee01-0000-4000-8000-0000000000a1","name":"n","project_id":"p"}]}"#;
        let user = ampgate_access::LoginUser::parse("ubuntu").unwrap();
        let settings = ampgate_inventory::Settings::new(Source::Environment, user);
        let (found, unusable) = ampgate_inventory::of_bodies(amphorae.as_bytes(), balancers.as_bytes(), &settings).unwrap();
        prop_assert_eq!(found.len() + unusable.count, count);
    }
}
