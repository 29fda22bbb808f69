//! In: the journal's head, signed. Out: the same, each minute, in places that the gateway's root cannot rewrite.
//! Never: holds anything up: a place that does not answer is told of once, and gets the next anchor.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ampgate_audit::Anchor;
use ampgate_inventory::Post;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::config::Anchors;
use crate::gateway::Gateway;

/// A place must have taken its anchor within this.
const PATIENCE: Duration = Duration::from_secs(20);
/// Without anything configured, whether there is something now is looked at this often.
const IDLE: Duration = Duration::from_secs(5);
/// Facility log audit (13), severity notice (5): RFC 5424 section 6.2.1.
const PRIORITY: u8 = 13 * 8 + 5;

/// Leaves an anchor wherever one is wanted. Runs for ever.
pub async fn keep(gateway: Arc<Gateway>) {
    let mut told = BTreeSet::new();
    let mut running = Running::new();
    let mut last = None;
    loop {
        let config = gateway.config();
        let Some(anchors) = &config.anchors else {
            tokio::time::sleep(IDLE).await;
            continue;
        };
        if let Some(anchor) = gateway.anchor()
            && last.as_ref() != Some(&anchor)
        {
            // What not every place took is left again, also if nothing happens any more: it may be the end.
            if leave(anchors, &anchor, &mut told, &mut running).await {
                last = Some(anchor);
            }
        }
        tokio::time::sleep(anchors.every).await;
    }
}

/// Appends and sends in progress, one for each place: one that hangs costs a thread, and no more.
type Running = BTreeMap<&'static str, JoinHandle<std::io::Result<()>>>;

/// True if every place took it.
async fn leave(
    anchors: &Anchors,
    anchor: &Anchor,
    told: &mut BTreeSet<&'static str>,
    running: &mut Running,
) -> bool {
    let line = anchor.line();
    let mut outcomes = Vec::new();
    if let Some(path) = anchors.file.clone() {
        let line = line.clone();
        let outcome = blocking("file", running, move || append(&path, &line)).await;
        outcomes.push(("file", outcome));
    }
    if let Some(path) = anchors.syslog.clone() {
        let line = line.clone();
        let outcome = blocking("syslog", running, move || syslog(&path, &line)).await;
        outcomes.push(("syslog", outcome));
    }
    if let Some(url) = &anchors.https {
        let post = Post::new(url, anchors.ca_file.as_deref());
        let outcome = match post {
            Ok(post) => post
                .leave(line.into_bytes())
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        outcomes.push(("https", outcome));
    }
    let all = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
    for (place, outcome) in outcomes {
        match outcome {
            Ok(()) if told.remove(place) => tracing::info!(place, "anchors are taken again"),
            Ok(()) => {}
            // Once for each time that it begins to fail.
            Err(error) if told.insert(place) => {
                tracing::warn!(place, error, "an anchor of the journal was not taken");
            }
            Err(_) => {}
        }
    }
    all
}

async fn blocking(
    place: &'static str,
    running: &mut Running,
    work: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<(), String> {
    if running.get(place).is_some_and(|work| !work.is_finished()) {
        return Err("it still has not taken the one before".to_owned());
    }
    let mut work = tokio::task::spawn_blocking(work);
    match tokio::time::timeout(PATIENCE, &mut work).await {
        Ok(Ok(outcome)) => outcome.map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(late) => {
            running.insert(place, work);
            Err(late.to_string())
        }
    }
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        // A pipe that somebody put there is a fault at once.
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_data()
}

/// As syslog(3) does it on Linux: one datagram, with tag and process id.
fn syslog(path: &PathBuf, line: &str) -> std::io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let pid = std::process::id();
    let time = Timestamp::now().strftime("%b %e %H:%M:%S");
    let message = format!("<{PRIORITY}>{time} ampgate-anchor[{pid}]: {line}");
    socket.send_to(message.as_bytes(), path).map(drop)
}
