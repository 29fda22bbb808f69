//! In: the href of a secret in Barbican. Out: the octavia key that it holds, in a file that the signer reads.
//! Never: part of the gateway or the signer: the one may have no key, the other no network. It writes the file and ends.
#![allow(clippy::print_stdout, reason = "a command line talks on stdout")]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ampgate_access::LoginUser;
use ampgate_inventory::{Interface, SecretRef, Settings, Source, payload};
use ampgate_signer::OctaviaKey;
use anyhow::Context as _;
use clap::Args;

use super::Outcome;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ampgate fetch-key https://barbican.example.org:9311/v1/secrets/5f3c1a7e-… --to /run/ampgate-octavia-key/octavia --cloud octavia-key\n  OS_CLOUD=octavia-key ampgate fetch-key 5f3c1a7e-… --to octavia\n\nThe credential must not be the one in [inventory.octavia]: the gateway can read that one, and must not be able to read the key.\ndeploy/ampgate-octavia-key.service runs this before the signer starts."
)]
pub struct FetchKey {
    /// The secret, as `openstack secret list` shows it: an OpenSSH private key without a passphrase.
    href: SecretRef,
    /// The file to write; it is replaced in one step, and readable by its owner only.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// A cloud of clouds.yaml. Without it, the OS_* variables say who asks.
    #[arg(long, value_name = "NAME")]
    cloud: Option<String>,
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/openstack/clouds.yaml",
        requires = "cloud"
    )]
    clouds_file: PathBuf,
    /// Which endpoint of Keystone's catalog; what clouds.yaml says where it is left out.
    #[arg(long)]
    interface: Option<Interface>,
    #[arg(long)]
    region: Option<String>,
    /// The authorities to trust instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl FetchKey {
    pub fn run(self) -> Outcome {
        super::serve::harden()?;
        let source = match self.cloud {
            Some(name) => Source::Cloud {
                name,
                file: self.clouds_file,
            },
            None => Source::Environment,
        };
        let nobody = LoginUser::parse("nobody").map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut settings = Settings::new(source, nobody);
        settings.interface = self.interface;
        settings.region = self.region;
        settings.ca_file = self.ca_file;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let key = runtime.block_on(payload(settings, self.href))?;
        let fingerprint = put(&self.to, &key)?;
        println!("{fingerprint} {}", self.to.display());
        Ok(())
    }
}

/// Written beside the file first, and read as the signer will: what it would refuse never takes a good key's place.
fn put(to: &Path, key: &[u8]) -> anyhow::Result<String> {
    let new = to.with_extension("new");
    let written = write(&new, key)
        .with_context(|| format!("{} cannot be written", new.display()))
        .and_then(|()| Ok(OctaviaKey::read(&new)?.fingerprint().to_owned()))
        .and_then(|fingerprint| {
            std::fs::rename(&new, to)
                .with_context(|| format!("{} cannot be replaced", to.display()))?;
            Ok(fingerprint)
        });
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

fn write(path: &Path, key: &[u8]) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(key)?;
    file.sync_all()
}
