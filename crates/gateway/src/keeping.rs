//! In: the live sessions. Out: their recordings durable within a second and signed every few, their grants re-decided.
//! Never: lets a session outlive its right by more than the period below, or its recording's disk or signer for long.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ampgate_access::{Grant, SessionId};
use jiff::Timestamp;

use crate::gateway::Gateway;
use crate::rules::Rules;
use crate::sentence::Trouble;

/// Disks are asked this often; "at most a second behind" leaves the rest for the disk.
const SYNC_EVERY: Duration = Duration::from_millis(250);
/// Recordings on which something happened get a signed proof this often.
const PROVE_EVERY: Duration = Duration::from_secs(2);
/// The journal's head is signed this often, if there is anything new.
const SEAL_JOURNAL_EVERY: Duration = Duration::from_secs(10);
/// Grants are re-decided this often; a changed right ends sessions within 5 s.
const REVIEW_EVERY: Duration = Duration::from_secs(2);

/// Starts the thread that may wait for disks. It ends when `stop` is set.
pub fn sync(gateway: Arc<Gateway>, stop: Arc<AtomicBool>) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("sync".to_owned()).spawn(move || {
        while !stop.load(Ordering::Acquire) {
            for live in gateway.sessions.all() {
                if let Err(trouble) = live.recorder.sync() {
                    live.end(trouble);
                }
            }
            gateway.sync_journal();
            std::thread::sleep(SYNC_EVERY);
        }
        gateway.sync_journal();
    })
}

/// Has the head of every recording on which something happened signed. Runs for ever.
pub async fn prove(gateway: Arc<Gateway>) {
    let mut failing: HashMap<SessionId, Instant> = HashMap::new();
    loop {
        tokio::time::sleep(PROVE_EVERY).await;
        let mut still = HashMap::new();
        for live in gateway.sessions.all() {
            let head = match live.recorder.unproven_head() {
                None => continue,
                Some(Ok(head)) => head,
                Some(Err(trouble)) => {
                    live.end(trouble);
                    continue;
                }
            };
            let proven = match gateway.seal(&head.message()).await {
                Ok(signature) => live.recorder.prove(&head, &signature),
                Err(error) => {
                    live.recorder.still_unproven();
                    let since = failing.get(&live.session).copied().unwrap_or_else(Instant::now);
                    still.insert(live.session, since);
                    tracing::warn!(session = %live.session, error, "the signer seals nothing");
                    if since.elapsed() < gateway.config.recording.deadline {
                        continue;
                    }
                    Err(Trouble::Recorder(format!("the signer seals nothing: {error}")))
                }
            };
            if let Err(trouble) = proven {
                live.end(trouble);
            }
        }
        failing = still;
    }
}

/// Has the journal's head signed while it grows, so that not even the gateway's own user can rewrite it unseen.
pub async fn seal_journal(gateway: Arc<Gateway>) {
    loop {
        tokio::time::sleep(SEAL_JOURNAL_EVERY).await;
        if let Err(error) = gateway.seal_journal().await {
            tracing::warn!(error, "the journal's head goes unsigned");
        }
    }
}

/// Re-decides every live session, and ends those that would no longer begin. Runs for ever; time alone can end a right.
pub async fn review(gateway: Arc<Gateway>) {
    loop {
        tokio::time::sleep(REVIEW_EVERY).await;
        review_now(&gateway).await;
    }
}

/// One round of [`review`]; also run at each reload. Returns how many sessions were ended.
pub async fn review_now(gateway: &Gateway) -> usize {
    let rules = gateway.rules();
    let now = Timestamp::now();
    let mut ended = 0;
    for live in gateway.sessions.all() {
        if let Err(why) = still_allowed(&rules, &live.grant, now).await {
            ended += usize::from(live.end(Trouble::Revoked(why)));
        }
        // A thousand sessions are a few hundred milliseconds of work: others get their turn.
        tokio::task::yield_now().await;
    }
    ended
}

/// Whether the grant would be given again, to the principal and for the amphora as the files have them now.
async fn still_allowed(rules: &Rules, grant: &Grant, now: Timestamp) -> Result<(), String> {
    let principal = rules.users.recheck(grant.principal(), now).map_err(|gone| gone.to_string())?;
    let amphora = match rules.inventory.by_id(&grant.amphora().id).await {
        Ok(Some(amphora)) => amphora,
        Ok(None) => return Err("the amphora has left the inventory".to_owned()),
        // An inventory that cannot be asked decides nothing: the last known amphora stands.
        Err(_) => Arc::clone(grant.amphora()),
    };
    rules.policy.recheck(grant, &principal, &amphora, now).map_err(|refusal| refusal.ended_text().to_owned())
}
