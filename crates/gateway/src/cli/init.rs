//! In: the name of a directory that does not exist yet, or is empty. Out: all that a gateway needs, and what to do next.
//! Never: overwrites anything, or leaves a private key readable by others.
#![allow(clippy::print_stdout, reason = "a command line talks on stdout")]

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use nix::unistd::User;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::{LineEnding, PrivateKey};
use zeroize::Zeroizing;

use super::Outcome;

const CONFIG: &str = include_str!("../../../../config/ampgate.toml");
const POLICY: &str = include_str!("../../../../config/policy.cedar");
const USERS: &str = include_str!("../../../../config/users.toml");
const INVENTORY: &str = include_str!("../../../../config/inventory.toml");

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ampgate init /etc/ampgate\n  ampgate init /etc/ampgate --name gw.example.net --octavia-key /etc/octavia/.ssh/octavia_ssh_key\n  ampgate init ./try --listen 127.0.0.1:2222\n\nAs root, name the users that the two processes run as (they must exist):\n  useradd --system --shell /usr/sbin/nologin ampgate\n  useradd --system --shell /usr/sbin/nologin ampgate-signer\n  ampgate init /etc/ampgate --user ampgate --signer-user ampgate-signer"
)]
pub struct Init {
    directory: PathBuf,
    /// What operators call this gateway.
    #[arg(long, default_value = "gateway")]
    name: String,
    /// Address and port to listen on.
    #[arg(long, default_value = "0.0.0.0:2222")]
    listen: std::net::SocketAddr,
    /// The octavia private key, newest first; may be given several times. It stays where it is.
    #[arg(long, value_name = "FILE")]
    octavia_key: Vec<PathBuf>,
    /// The user that the gateway runs as, when root starts it.
    #[arg(long)]
    user: Option<String>,
    /// The user that the signer runs as, when root starts it.
    #[arg(long)]
    signer_user: Option<String>,
}

impl Init {
    pub fn run(self) -> Outcome {
        let gateway = owner(self.user.as_deref())?;
        let signer = owner(self.signer_user.as_deref())?;
        let dir = &self.directory;
        if dir.exists()
            && std::fs::read_dir(dir)
                .with_context(|| format!("{} is no directory", dir.display()))?
                .next()
                .is_some()
        {
            return Err(anyhow::anyhow!(
                "{} is not empty, and nothing is ever overwritten; name another directory",
                dir.display()
            )
            .into());
        }
        // The signer reads the configuration and its key below; so the directory itself may be passed through.
        // What decides stays whoever's makes it (root's): the gateway's own user reads it and cannot change it.
        directory(dir, if signer.is_some() { 0o711 } else { 0o700 }, None)?;
        directory(
            &dir.join("keys"),
            if signer.is_some() { 0o711 } else { 0o700 },
            None,
        )?;
        for below in ["state", "recordings", "run"] {
            directory(
                &dir.join(below),
                if below == "run" && gateway.is_some() {
                    0o711
                } else {
                    0o700
                },
                gateway.as_ref(),
            )?;
        }
        // The signer's own directory, which the gateway's group may enter to reach the socket.
        let socket_dir = dir.join("run/signer");
        directory(&socket_dir, 0o750, signer.as_ref())?;
        if let Some(gateway) = &gateway {
            std::os::unix::fs::chown(&socket_dir, None, Some(gateway.gid.as_raw()))?;
        }
        key_pair(
            &dir.join("keys/host_ed25519"),
            &format!("{} (ampgate)", self.name),
            gateway.as_ref(),
        )?;
        key_pair(
            &dir.join("keys/inner_ed25519"),
            &format!("targets behind {}", self.name),
            gateway.as_ref(),
        )?;
        key_pair(
            &dir.join("keys/sealing"),
            &format!("recordings of {}", self.name),
            signer.as_ref(),
        )?;
        // No secrets in it: the signer and `ampgate sessions` of an admin read it too.
        file(
            &dir.join("ampgate.toml"),
            self.configuration()?.as_bytes(),
            if gateway.is_some() { 0o644 } else { 0o600 },
            None,
        )?;
        for (name, text) in [
            ("policy.cedar", POLICY),
            ("users.toml", USERS),
            ("inventory.toml", INVENTORY),
        ] {
            let path = dir.join(name);
            file(
                &path,
                text.as_bytes(),
                if gateway.is_some() { 0o640 } else { 0o600 },
                None,
            )?;
            if let Some(gateway) = &gateway {
                std::os::unix::fs::chown(&path, None, Some(gateway.gid.as_raw()))?;
            }
        }
        self.next_steps();
        Ok(())
    }

    /// The commented example with what was given on the command line in its places.
    fn configuration(&self) -> anyhow::Result<String> {
        let mut text = CONFIG.to_owned();
        let mut put = |old: &str, new: String| -> anyhow::Result<()> {
            if !text.contains(old) {
                bail!("the built-in example has no line {old}");
            }
            text = text.replacen(old, &new, 1);
            Ok(())
        };
        put(
            "listen = [\"0.0.0.0:2222\"]",
            format!("listen = [\"{}\"]", self.listen),
        )?;
        put("name = \"gateway\"", format!("name = {:?}", self.name))?;
        if let Some(user) = &self.user {
            put("#: user = \"ampgate\"", format!("user = {user:?}"))?;
        }
        if let Some(user) = &self.signer_user {
            put(
                "#: signer_user = \"ampgate-signer\"",
                format!("signer_user = {user:?}"),
            )?;
        }
        if !self.octavia_key.is_empty() {
            let keys: Vec<String> = self
                .octavia_key
                .iter()
                .map(|key| {
                    Ok(format!(
                        "{:?}",
                        std::path::absolute(key)?.display().to_string()
                    ))
                })
                .collect::<std::io::Result<_>>()?;
            put(
                "#: keys = [\"/etc/octavia/.ssh/octavia_ssh_key\"]",
                format!("keys = [{}]", keys.join(", ")),
            )?;
        }
        Ok(text)
    }

    fn next_steps(&self) {
        let config = self.directory.join("ampgate.toml");
        let config = config.display();
        println!(
            "Made {}. Put your operators into users.toml and your amphorae into inventory.toml; then:\n",
            self.directory.display()
        );
        println!("  ampgate --config {config} check");
        println!("  ampgate --config {config} serve");
        println!(
            "  ampgate --config {config} ssh-config --known-hosts     # the lines your operators need"
        );
        if self.octavia_key.is_empty() {
            println!(
                "\nThe octavia key ring is empty: name the private key in [signer] keys first."
            );
        }
    }
}

/// Who is to own a file; None leaves it to whoever runs this.
fn owner(user: Option<&str>) -> anyhow::Result<Option<User>> {
    let Some(name) = user else { return Ok(None) };
    match User::from_name(name)? {
        Some(user) => Ok(Some(user)),
        None => bail!(
            "there is no user {name}; make one with: useradd --system --shell /usr/sbin/nologin {name}"
        ),
    }
}

fn give(path: &Path, owner: Option<&User>) -> anyhow::Result<()> {
    if let Some(owner) = owner {
        std::os::unix::fs::chown(path, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))
            .with_context(|| {
                format!(
                    "{} cannot be given to {}; only root can do that",
                    path.display(),
                    owner.name
                )
            })?;
    }
    Ok(())
}

fn directory(path: &Path, mode: u32, owner: Option<&User>) -> anyhow::Result<()> {
    if !path.is_dir() {
        DirBuilder::new()
            .mode(mode)
            .create(path)
            .with_context(|| format!("{} cannot be made", path.display()))?;
    }
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    give(path, owner)
}

fn file(path: &Path, bytes: &[u8], mode: u32, owner: Option<&User>) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    give(path, owner)
}

/// A new Ed25519 key, private half 0600, public half beside it.
fn key_pair(path: &Path, comment: &str, owner: Option<&User>) -> anyhow::Result<()> {
    let seed = Zeroizing::new(crate::gateway::random::<32>());
    let key = PrivateKey::new(Ed25519Keypair::from_seed(&seed).into(), comment)?;
    file(
        path,
        key.to_openssh(LineEnding::LF)?.as_bytes(),
        0o600,
        owner,
    )?;
    let public = key.public_key().to_openssh()? + "\n";
    file(&path.with_extension("pub"), public.as_bytes(), 0o644, owner)
}
