//! In: the name of an attack in tests/bed/attack.py. Out: what came of it, as JSON.
//! Never: a well-behaved client; those are in `client`.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    amphorae::A,
    bed::{bed, script, tool},
    gateway::Gateway,
    outcome::run,
};

impl Gateway {
    /// The command that plays `attack` as `operator`.
    pub fn attacker(&self, attack: &str, operator: &str) -> Command {
        let mut python = bed().command(tool("python3"));
        python.arg(script("attack.py")).arg(attack);
        python
            .env("PORT", self.port.to_string())
            .env("KEY", self.key(operator))
            .env("OPERATOR", operator);
        python.env("AMPHORA", A.target()).env("ADDRESS", A.address);
        python
    }

    /// Plays `attack` as `operator` with more environment, to its end.
    pub fn attacked(&self, attack: &str, operator: &str, environment: &[(&str, &str)]) -> Value {
        let mut python = self.attacker(attack, operator);
        python.envs(environment.iter().copied());
        let found = run(python, b"").good();
        serde_json::from_str(&found.out()).unwrap_or_else(|e| panic!("{attack}: {e}: {found:?}"))
    }
}

/// A paramiko sshd that breaks the protocol, on a port of the controller's loopback.
#[derive(Debug)]
pub struct FakeAmphora(Child);

impl FakeAmphora {
    /// Starts it and waits until it listens.
    pub fn start(port: u16, mode: &str) -> FakeAmphora {
        let key = bed().directory("fake").join(format!("key-{port}"));
        if !key.exists() {
            crate::bed::new_key(&key);
        }
        let mut python = bed().command(tool("python3"));
        python
            .arg(script("fake_amphora.py"))
            .arg(port.to_string())
            .arg(key)
            .arg(mode);
        let mut child = python
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert_eq!(said, "ready\n");
        FakeAmphora(child)
    }
}

impl Drop for FakeAmphora {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
