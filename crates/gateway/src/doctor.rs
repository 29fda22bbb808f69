//! In: an admin of this host, perhaps the name of a target. Out: what was checked, what is wrong, and what to do about it.
//! Never: changes anything but a first pin; uses the octavia key without writing down for whom.

mod cloud;
mod host;
mod target;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::Admin;
use crate::gateway::Gateway;

pub use self::host::disk;

/// All checks together; the way to an amphora may take connect_timeout, and a cloud that hangs a request_timeout each time.
pub const PATIENCE: Duration = Duration::from_secs(480);

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    Fail,
    /// Not looked at: it needs what failed before, or is not configured.
    Skip,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Fail => "FAIL",
            Self::Skip => "skip",
        })
    }
}

/// One line of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Check {
    pub check: String,
    pub verdict: Verdict,
    /// What was seen; where it failed, what to look at too.
    pub said: String,
    /// Lines to copy, where what to do is more than a sentence.
    pub advice: Vec<String>,
    /// The amphora's uuid, for checks of a target.
    pub amphora: Option<String>,
}

impl Check {
    pub fn new(check: &str, verdict: Verdict, said: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            verdict,
            said: said.into(),
            advice: Vec::new(),
            amphora: None,
        }
    }

    pub fn ok(check: &str, said: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, said)
    }

    pub fn fail(check: &str, said: impl Into<String>) -> Self {
        Self::new(check, Verdict::Fail, said)
    }

    pub fn skip(check: &str, said: impl Into<String>) -> Self {
        Self::new(check, Verdict::Skip, said)
    }
}

/// Everything that the running gateway can check.
pub async fn examine(gateway: &Arc<Gateway>, admin: &Admin, target: Option<&str>) -> Vec<Check> {
    let config = gateway.config();
    let mut checks = vec![
        host::disk_of(&gateway.store, config.recording.low_space),
        host::signer(&config).await,
    ];
    let (cloud, target) = tokio::join!(cloud::examine(gateway, &config), async {
        match target {
            Some(target) => target::examine(gateway, admin, target).await,
            None => Vec::new(),
        }
    });
    checks.extend(cloud);
    checks.extend(target);
    checks
}
