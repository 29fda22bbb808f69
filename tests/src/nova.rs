//! In: the script tests/bed/fake_openstack.py. Out: a Nova that shows consoles of real amphorae, as cloud-init would print them.
//! With a Keystone and a Barbican of its own. Never: left behind: it ends with this value.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    amphorae::Entry,
    bed::{bed, script},
    cloud::Cloud,
    outcome::run,
};

/// A running Nova. Every console is missing until it is told otherwise.
#[derive(Debug)]
pub struct Nova {
    dir: PathBuf,
    /// Where it is, without a path.
    pub url: String,
    child: Child,
}

impl Nova {
    /// Starts it for the test `name`, as the Nova of this cloud.
    pub fn of(cloud: &Cloud, name: &str) -> Nova {
        let nova = Nova::up(name);
        cloud.run("endpoint", &["compute", &format!("{}/v2.1", nova.url)]);
        nova
    }

    /// Starts it for the test `name`.
    pub fn up(name: &str) -> Nova {
        let dir = bed().directory("novas").join(name);
        let mut child = bed()
            .command("python3")
            .arg(script("fake_openstack.py"))
            .arg("--dir")
            .arg(&dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        let url = format!("http://127.0.0.1:{}", port.trim());
        Nova { dir, url, child }
    }

    /// Its Barbican has this secret. The href.
    pub fn secret(&self, payload: &[u8]) -> String {
        let id = "5f3c1a7e-8d24-4f0a-b1c9-2e6d7a8b9c0d";
        fs::create_dir_all(self.dir.join("secrets")).unwrap();
        fs::write(self.dir.join("secrets").join(id), payload).unwrap();
        format!("{}/v1/secrets/{id}", self.url)
    }

    /// The console of an amphora is of this kind (tests/bed/cloud/consoles.py), with the keys that its sshd has.
    pub fn console(&self, amphora: &Entry, kind: &str) {
        let server = Nova::server(amphora);
        let keys = self.dir.join(format!("{}.pub", amphora.id));
        fs::write(&keys, host_keys(amphora)).unwrap();
        let kind = match kind {
            "missing" | "conflict" | "unsupported" | "forbidden" => kind.to_owned(),
            kind => format!("{kind}:{}", keys.display()),
        };
        self.change("consoles", &server, &kind);
        self.change("hosts", &server, &amphora.target());
    }

    /// Requests that match get this fault; none: no more faults.
    pub fn fault(&self, rule: Option<&str>) {
        fs::write(self.dir.join("faults"), rule.unwrap_or_default()).unwrap();
    }

    /// Consoles that were asked for so far.
    pub fn asked(&self) -> usize {
        let text = fs::read_to_string(self.dir.join("requests.jsonl")).unwrap();
        let lines = text.lines().map(|l| serde_json::from_str(l).unwrap());
        lines
            .filter(|l: &Value| l["path"].as_str().unwrap().ends_with("/action"))
            .count()
    }

    /// As tests/bed/cloud/inventory.py numbers servers.
    fn server(amphora: &Entry) -> String {
        let mut python = Command::new("python3");
        let program = "import sys, uuid; print(uuid.uuid5(uuid.NAMESPACE_OID, sys.argv[1]))";
        python.args(["-c", program, amphora.id]);
        run(python, b"").good().out().trim().to_owned()
    }

    fn change(&self, file: &str, key: &str, value: &str) {
        let path = self.dir.join(file);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let others = text
            .lines()
            .filter(|line| !line.starts_with(&format!("{key}=")));
        let mut lines: Vec<String> = others.map(str::to_owned).collect();
        lines.push(format!("{key}={value}\n"));
        // In one step: it reads them at each request.
        let new = path.with_extension("new");
        fs::write(&new, lines.join("\n")).unwrap();
        fs::rename(new, path).unwrap();
    }
}

impl Drop for Nova {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The host keys that an amphora's sshd shows, a line each, without the address in front.
pub fn host_keys(amphora: &Entry) -> String {
    let mut scan = bed().command("ssh-keyscan");
    scan.args(["-t", "ed25519,ecdsa", "-p", &amphora.port.to_string()])
        .arg(amphora.address);
    let keys = run(scan, b"").good().out();
    let lines = keys.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(_, key)| format!("{key}\n")).collect()
}
