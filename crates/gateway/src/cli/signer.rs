//! In: the configuration. Out: the signer, running until it is told to end.
//! Never: listens anywhere but on its private socket, or reads policy, users and inventory.

use std::path::Path;

use ampgate_signer::SignerConfig;

use super::{Outcome, load_config};
use crate::config::Process;
use crate::control::uid_of;

pub fn run(path: &Path) -> Outcome {
    let config = load_config(path)?;
    super::serve::start_log(&config.log)?;
    let own = rustix::process::geteuid().as_raw();
    let mut allowed = vec![own];
    allowed.extend(config.process.user.as_deref().and_then(uid_of));
    ampgate_signer::run(&SignerConfig {
        socket: config.signer.socket.clone(),
        socket_group: group_of(&config.process),
        keys: config.signer.keys.clone(),
        sealing_key: config.signer.sealing_key.clone(),
        login_users: config
            .upstream
            .login_users
            .iter()
            .map(ToString::to_string)
            .collect(),
        allowed_uids: allowed,
        exit_with_parent: config.signer.start,
    })?;
    Ok(())
}

/// The gateway's own group, which may connect to the socket.
fn group_of(process: &Process) -> Option<u32> {
    let user = process.user.as_deref()?;
    nix::unistd::User::from_name(user)
        .ok()
        .flatten()
        .map(|user| user.gid.as_raw())
}
