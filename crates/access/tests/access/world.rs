//! In: nothing.
//! Out: a small world for policy tables: people with keys, load balancers with amphorae.
//! Never: anything that a test should decide itself.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ampgate_access::*;
use jiff::Timestamp;

pub const SHOP: &str = "8a1f0c2d4e6b4f0f9a7c5d3e1b2a4c6e";
pub const BANK: &str = "0b4d2f6a8c1e4a3b9d7f5e3c1a2b4d6f";
pub const INSIDE: &str = "10.20.1.2";

/// A public key of `tests/keys`.
pub fn key(name: &str) -> String {
    let path = format!("{}/tests/keys/{name}.pub", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

/// Its SSH wire form.
pub fn blob(name: &str) -> Vec<u8> {
    ssh_key::PublicKey::from_openssh(&key(name))
        .unwrap()
        .to_bytes()
        .unwrap()
}

/// One user, `kim`, in these groups, with the key `ed`.
pub fn kim(groups: &[&str]) -> Users {
    let groups: Vec<String> = groups.iter().map(|g| format!("{g:?}")).collect();
    let text = format!(
        "[[user]]\nname = \"kim\"\ngroups = [{}]\nkeys = ['{}']\n",
        groups.join(", "),
        key("ed")
    );
    Users::parse("users.toml", &text).unwrap()
}

pub fn authenticated(users: &Users, source: &str, now: Timestamp) -> Principal {
    let source: IpAddr = source.parse().unwrap();
    users
        .authenticate(&blob("ed"), "ssh-ed25519", source, now, None)
        .unwrap()
}

pub fn amphora(name: &str, project: &str, tags: &[&str], role: Option<Role>) -> Arc<Amphora> {
    let digit = name.len() % 10;
    Arc::new(Amphora {
        id: AmphoraId::parse(&format!("93b939b{digit}-1c4e-4b8e-9d0c-0e1f6c1d2a3b")).unwrap(),
        names: vec![format!("{name}-a")],
        address: Some(UpstreamAddr(SocketAddr::from(([172, 24, 0, 23], 22)))),
        login_user: LoginUser::parse("cloud-user").unwrap(),
        load_balancer: Arc::new(LoadBalancer {
            id: LoadBalancerId::parse(&format!("5f3c1a7{digit}-8d24-4f0a-b1c9-2e6d7a8b9c0d"))
                .unwrap(),
            name: name.to_owned(),
            project: ProjectId::parse(project).unwrap(),
            project_name: None,
            tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            provider: "amphora".to_owned(),
            flavor: None,
            availability_zone: None,
            vip: None,
        }),
        role,
        status: None,
        zone: None,
        compute_id: None,
        host_key: None,
    })
}

/// A Monday, 10:00 UTC.
pub const MONDAY: &str = "2026-11-23T10:00:00Z";

pub fn at(moment: &str, reason: Option<&str>) -> Circumstances {
    Circumstances {
        now: moment.parse().unwrap(),
        reason: reason.map(str::to_owned),
        transfers: Vec::new(),
    }
}

pub fn session() -> SessionId {
    SessionId::from_parts(1, 1)
}

pub fn config(path: &str) -> String {
    let path = format!("{}/../../config/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The text with its `#: ` examples in force.
pub fn with_examples(text: &str) -> String {
    text.lines()
        .map(|l| l.strip_prefix("#: ").unwrap_or(l))
        .collect::<Vec<_>>()
        .join("\n")
}

#[track_caller]
pub fn sentences(faults: Vec<Fault>) -> String {
    faults
        .iter()
        .map(|f| format!("{}:{}: {}", f.line, f.column, f.message))
        .collect::<Vec<_>>()
        .join("\n")
}
