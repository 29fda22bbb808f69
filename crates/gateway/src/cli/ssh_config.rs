//! In: the configuration and the host keys' public halves. Out: what an operator puts into ~/.ssh, and nothing else.
//! Never: a private key.
#![allow(clippy::print_stdout, reason = "a command line talks on stdout")]

use std::path::Path;

use anyhow::Context as _;
use clap::Args;

use super::{Outcome, load_config};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ampgate ssh-config --host gw.example.net >> ~/.ssh/config\n  ampgate ssh-config --known-hosts --host gw.example.net >> ~/.ssh/known_hosts"
)]
pub struct SshConfig {
    /// The address operators reach this gateway at (default: its configured name).
    #[arg(long)]
    host: Option<String>,
    /// The operator's name, if the local one is another.
    #[arg(long)]
    user: Option<String>,
    /// Print the known_hosts lines instead of the ssh_config block.
    #[arg(long)]
    known_hosts: bool,
}

impl SshConfig {
    pub fn run(self, path: &Path) -> Outcome {
        let config = load_config(path)?;
        let host = self.host.unwrap_or_else(|| config.name.clone());
        let port = config.listen.first().map_or(22, std::net::SocketAddr::port);
        if self.known_hosts {
            let address = if port == 22 {
                host
            } else {
                format!("[{host}]:{port}")
            };
            println!(
                "{address},{} {}",
                config.name,
                public_half(&config.host_keys.outer)?
            );
            println!("amphora-*,lb-* {}", public_half(&config.host_keys.inner)?);
            return Ok(());
        }
        println!(
            "Host {}\n    HostName {host}\n    Port {port}\n    HostKeyAlias {}",
            config.name, config.name
        );
        if let Some(user) = &self.user {
            println!("    User {user}");
        }
        println!("\nHost amphora-* lb-*\n    ProxyJump {}", config.name);
        // Without it ssh would send the local account's name behind the jump, and that may be a landing's: root.
        if let Some(user) = &self.user {
            println!("    User {user}");
        }
        println!("\n# Known hosts: ampgate ssh-config --known-hosts");
        Ok(())
    }
}

fn public_half(private: &Path) -> anyhow::Result<String> {
    let path = private.with_extension("pub");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(kind), Some(key)) => Ok(format!("{kind} {key}")),
        _ => anyhow::bail!("{} is no public key", path.display()),
    }
}
