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
    bed::{bed, script},
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
        let dir = bed().directory("clouds").join(name);
        let mut holder = Command::new("setsid")
            .arg(script("openstack"))
            .arg("hold")
            .arg(&dir)
            .env("NETNS", bed().namespace())
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

    /// Somebody's password.
    pub fn password(&self, user: &str) -> String {
        let password = self.facts["users"][user]["password"].as_str();
        password.unwrap().to_owned()
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
