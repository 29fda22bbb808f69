//! In: the script tests/bed/openstack. Out: a real Keystone and a real octavia-api beside the amphorae they know.
//! Never: left behind: they end with this process.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    bed::{bed, script, tool},
    gateway::{Setup, give},
    outcome::{Outcome, run},
};

/// A running cloud, and all that is known of it.
#[derive(Debug)]
pub struct Cloud {
    dir: PathBuf,
    /// `endpoints.json`: addresses and credentials.
    pub facts: Value,
    // Its standard input is the leash.
    _holder: Child,
}

impl Cloud {
    /// Brings up a cloud of its own for the test `name`, in the controller's network namespace.
    pub fn up(name: &str) -> Cloud {
        Cloud::up_on("sqlite", name)
    }

    /// The same with MariaDB behind both services, after their own migrations.
    pub fn up_on_mariadb(name: &str) -> Cloud {
        Cloud::up_on("mariadb", name)
    }

    fn up_on(database: &str, name: &str) -> Cloud {
        let dir = bed().directory("clouds").join(name);
        let mut holder = Command::new("setsid")
            .arg(script("openstack"))
            .arg("hold")
            .arg(&dir)
            .env("NETNS", bed().namespace())
            .env("DB", database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(holder.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .find(|line| line == "ready");
        assert!(
            said.is_some(),
            "the cloud did not come up: see above and {}",
            dir.display()
        );
        let facts = fs::read(dir.join("endpoints.json")).unwrap();
        Cloud {
            dir,
            facts: serde_json::from_slice(&facts).unwrap(),
            _holder: holder,
        }
    }

    /// A command of the script: `cloud.run("stop", &["octavia"])`.
    pub fn run(&self, command: &str, arguments: &[&str]) -> Outcome {
        let mut openstack = Command::new(script("openstack"));
        openstack.arg(command).arg(&self.dir).args(arguments);
        run(openstack, b"").good()
    }

    /// Operators of this cloud log in to the gateway with their passwords.
    pub fn passwords_of(&self, setup: &mut Setup) {
        for line in [
            format!("auth_url = {}", self.facts["auth_url"]),
            format!("domain = {}", self.facts["domain"]["name"]),
            "recheck = \"1s\"".to_owned(),
        ] {
            setup.set("keystone", &line);
        }
    }

    /// Where a service is, without its path: `auth_url` or `octavia`.
    pub fn address(&self, of: &str) -> String {
        let url = self.facts[of].as_str().unwrap();
        url.trim_end_matches("/v3").to_owned()
    }

    /// Somebody's password.
    pub fn password(&self, user: &str) -> String {
        let password = self.facts["users"][user]["password"].as_str();
        password.unwrap().to_owned()
    }

    /// What a service, `keystone` or `octavia`, was asked, a line each.
    pub fn access_log(&self, service: &str) -> String {
        let file = self.dir.join(format!("log/{service}-access.log"));
        fs::read_to_string(file).unwrap_or_default()
    }

    /// Three who are refused for three reasons: `{kind: [user, password]}`, as attack.py has it.
    pub fn refused_people(&self) -> String {
        serde_json::json!({
            "unknown": ["nobody-of-this-name", "a password"],
            "disabled": ["dave", self.password("dave")],
            "wrong": ["alice", "a password"],
        })
        .to_string()
    }

    /// A one-time code of now.
    pub fn code(&self, user: &str) -> String {
        self.run("otp", &[user]).out().trim().to_owned()
    }

    /// The gateway asks this cloud, with one of its application credentials, and no file names an amphora.
    pub fn inventory_of(&self, setup: &mut Setup, credential: &str) {
        let credential = &self.facts["application_credentials"][credential];
        let secret = setup.dir.join("octavia.secret");
        fs::write(&secret, credential["secret"].as_str().unwrap()).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        give(&secret, &setup.dir.join("recordings"));
        setup.inventory = String::new();
        for line in [
            format!("auth_url = {}", self.facts["auth_url"]),
            format!("credential = {}", credential["id"]),
            format!("secret_file = {:?}", secret.display().to_string()),
            "login_user = \"cloud-user\"".to_owned(),
            "fresh = \"1s\"".to_owned(),
            "ask_again = \"1s\"".to_owned(),
        ] {
            setup.set("inventory.octavia", &line);
        }
    }
}

/// An Octavia that misbehaves, before a real one or alone (tests/bed/fake_openstack.py).
#[derive(Debug)]
pub struct FakeOpenstack {
    dir: PathBuf,
    /// Where it answers.
    pub url: String,
    child: Child,
}

impl FakeOpenstack {
    /// Starts it in the controller's network namespace: with this fault for what matches, and the truth of `upstream` for
    /// the rest.
    pub fn start(name: &str, fault: Option<&str>, upstream: Option<&str>) -> FakeOpenstack {
        let dir = bed().directory("fakes").join(name);
        fs::remove_dir_all(&dir).ok();
        let mut python = bed().command(tool("python3"));
        python
            .arg(script("fake_openstack.py"))
            .arg("--dir")
            .arg(&dir);
        for (option, value) in [("--fault", fault), ("--upstream", upstream)] {
            if let Some(value) = value {
                python.arg(option).arg(value);
            }
        }
        let mut child = python
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        FakeOpenstack {
            dir,
            url: format!("http://127.0.0.1:{}", port.trim()),
            child,
        }
    }

    /// Other faults from now on, a line each.
    pub fn faults(&self, lines: &str) {
        fs::write(self.dir.join("faults"), lines).unwrap();
    }

    /// Each request that it got, as JSON.
    pub fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.join("requests.jsonl")).unwrap();
        text.lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }
}

impl Drop for FakeOpenstack {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
