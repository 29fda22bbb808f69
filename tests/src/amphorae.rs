//! In: nothing. Out: the amphorae of the bed and the inventory that names them.
//! Never: an address that means something outside the bed.

use std::fmt::Write;

/// One entry of the inventory: what the gateway believes.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Amphora id.
    pub id: &'static str,
    /// Static name beside `amphora-<id>`, if any.
    pub name: Option<&'static str>,
    /// Address on the management network.
    pub address: &'static str,
    /// Port of its sshd.
    pub port: u16,
    /// Login user of its image.
    pub login: &'static str,
    /// Load balancer id and name.
    pub lb: (&'static str, &'static str),
    /// Project id and name.
    pub project: (&'static str, &'static str),
    /// Role in its load balancer, if the inventory knows it.
    pub role: Option<&'static str>,
    /// VIP of the load balancer, if the inventory knows it.
    pub vip: Option<&'static str>,
    /// Tags of the load balancer.
    pub tags: &'static [&'static str],
}

const WEB: (&str, &str) = ("5e1a1ba0-7c2e-4a64-9c3d-0f3b6b1c7a01", "web");
const PAY: (&str, &str) = ("5e1a1ba0-7c2e-4a64-9c3d-0f3b6b1c7a02", "payments");
const SHOP: (&str, &str) = ("7d0c2f1e9b8a4c6d8e5f3a2b1c0d9e8f", "shop");
const BANK: (&str, &str) = ("1c0d9e8f7d0c2f1e9b8a4c6d8e5f3a2b", "bank");

/// Serves `web`, has the VIP.
pub const A: Entry = Entry {
    id: "93b939b0-2f6c-4b5e-8d0a-6e1f4c7b9a23",
    name: None,
    address: "172.24.0.23",
    port: 22,
    login: "cloud-user",
    lb: WEB,
    project: SHOP,
    role: Some("MASTER"),
    vip: Some("10.10.10.50"),
    tags: &["prod"],
};
/// The other one of `web`.
pub const B: Entry = Entry {
    id: "b4c12d77-0a9e-4f3b-9c61-2d8e5a7f1b24",
    address: "172.24.0.24",
    role: Some("BACKUP"),
    ..A
};
/// Another project's, without the namespace `amphora-haproxy`.
pub const BARE: Entry = Entry {
    id: "c0ffee11-4d2a-4e8b-b7f5-9a3c6d1e0f25",
    address: "172.24.0.25",
    lb: PAY,
    project: BANK,
    role: Some("STANDALONE"),
    ..A
};
/// A again, through an sshd that asks for new keys every 16 MiB.
pub const REKEY: Entry = Entry {
    id: "d1ea5e00-1111-4222-8333-444455556666",
    port: 2022,
    role: None,
    ..A
};
/// A again, with a login user that may not use sudo.
pub const NOSUDO: Entry = Entry {
    id: "e0e0e0e0-1111-4222-8333-444455556666",
    port: 2024,
    login: "nosudo",
    role: None,
    ..A
};
/// A again, with a login user whose shell is missing: its sshd refuses the user.
pub const NOSHELL: Entry = Entry {
    id: "e1e1e1e1-1111-4222-8333-444455556666",
    port: 2025,
    login: "noshell",
    role: None,
    ..A
};
/// A port where nothing listens.
pub const CLOSED: Entry = Entry {
    id: "f0f0f0f0-1111-4222-8333-444455556666",
    port: 9,
    role: None,
    ..A
};
/// An address that nobody has.
pub const DEAD: Entry = Entry {
    id: "f1f1f1f1-1111-4222-8333-444455556666",
    address: "172.24.0.99",
    role: None,
    ..A
};

/// Whole inventory of the tests.
pub const ALL: [Entry; 8] = [A, B, BARE, REKEY, NOSUDO, NOSHELL, CLOSED, DEAD];

impl Entry {
    /// The name that an operator types.
    pub fn target(&self) -> String {
        format!("amphora-{}", self.id)
    }
}

/// `inventory.toml` with these entries, each load balancer once.
pub fn inventory(entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut seen = Vec::new();
    for first in entries {
        if seen.contains(&first.lb.0) {
            continue;
        }
        seen.push(first.lb.0);
        let tags: Vec<_> = first.tags.iter().map(|t| format!("{t:?}")).collect();
        let (id, name) = first.lb;
        let (project, project_name) = first.project;
        writeln!(text, "[[load_balancer]]\nid = {id:?}\nname = {name:?}\nproject = {project:?}\nproject_name = {project_name:?}\ntags = [{}]", tags.join(", ")).unwrap();
        if let Some(vip) = first.vip {
            writeln!(text, "vip = {vip:?}").unwrap();
        }
        for e in entries.iter().filter(|e| e.lb.0 == id) {
            let names = e
                .name
                .map(|n| format!("names = [{n:?}]\n"))
                .unwrap_or_default();
            let role = e
                .role
                .map(|r| format!("role = {r:?}\n"))
                .unwrap_or_default();
            writeln!(text, "\n[[load_balancer.amphora]]\nid = {:?}\n{names}address = {:?}\nport = {}\nlogin_user = {:?}\n{role}", e.id, e.address, e.port, e.login).unwrap();
        }
    }
    text
}
