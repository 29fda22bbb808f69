//! In: the live sessions. Out: their recordings durable within a second and signed every few, their grants re-decided.
//! Never: lets a session outlive its right by more than the period below, or its recording's disk or signer for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ampgate_access::{Amphora, Grant};
use ampgate_audit::Event;
use jiff::Timestamp;

use crate::gateway::Gateway;
use crate::recorder::FRAME_AFTER;
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

/// How the inventory stands is looked at this often.
const WATCH_INVENTORY_EVERY: Duration = Duration::from_secs(5);

/// Starts the thread that may wait for disks. It ends when `stop` is set.
pub fn sync(
    gateway: Arc<Gateway>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name("sync".to_owned())
        .spawn(move || {
            while !stop.load(Ordering::Acquire) {
                for live in gateway.sessions.all() {
                    for recorder in live.recorders() {
                        if let Err(trouble) = recorder.sync() {
                            live.end(trouble);
                        }
                    }
                }
                gateway.sync_journal();
                std::thread::sleep(SYNC_EVERY);
            }
            // What the stop cut off was shown all the same.
            for live in gateway.sessions.all() {
                for recorder in live.recorders() {
                    let flushed = recorder.flush(Duration::ZERO);
                    if let Err(trouble) = flushed.and_then(|()| recorder.sync()) {
                        live.end(trouble);
                    }
                }
            }
            gateway.sync_journal();
        })
}

/// Closes the frames of sealed recordings in time, whatever the disks do. Runs for ever.
pub async fn close_frames(gateway: Arc<Gateway>) {
    loop {
        tokio::time::sleep(SYNC_EVERY).await;
        for live in gateway.sessions.all() {
            for recorder in live.recorders() {
                if let Err(trouble) = recorder.flush(FRAME_AFTER) {
                    live.end(trouble);
                }
            }
        }
    }
}

/// Has the head of every recording on which something happened signed. Runs for ever.
pub async fn prove(gateway: Arc<Gateway>) {
    let mut failing: Option<Instant> = None;
    loop {
        tokio::time::sleep(PROVE_EVERY).await;
        match prove_all(&gateway).await {
            Ok(()) => failing = None,
            Err(error) => {
                let since = *failing.get_or_insert_with(Instant::now);
                tracing::warn!(error, "the signer seals nothing");
                if since.elapsed() >= gateway.config().recording.deadline {
                    for live in gateway.sessions.all() {
                        live.end(Trouble::Recorder {
                            told: "the signer seals nothing",
                            detail: error.clone(),
                        });
                    }
                }
            }
        }
    }
}

/// One round of [`prove`]. A signer that fails once is not asked for the rest of the round: each question may take its
/// whole deadline.
async fn prove_all(gateway: &Gateway) -> Result<(), String> {
    for live in gateway.sessions.all() {
        for recorder in live.recorders() {
            let head = match recorder.unproven_head() {
                None => continue,
                Some(Ok(head)) => head,
                Some(Err(trouble)) => {
                    live.end(trouble);
                    continue;
                }
            };
            let signature = gateway
                .seal(&head.message())
                .await
                .inspect_err(|_| recorder.still_unproven())?;
            if let Err(trouble) = recorder.prove(&head, &signature) {
                live.end(trouble);
            }
        }
    }
    Ok(())
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

/// Writes down whenever what is known of the amphorae stands otherwise than before. Runs for ever.
pub async fn watch_inventory(gateway: Arc<Gateway>) {
    let mut before = None;
    loop {
        let condition = gateway.rules().inventory.condition().await;
        if before != Some(condition.state) {
            before = Some(condition.state);
            gateway.journal(
                None,
                Event::InventoryChanged {
                    state: condition.state.as_str().into(),
                    age_seconds: condition.age.map(|age| age.as_secs()),
                    amphorae: condition.amphorae as u64,
                    fault: condition.sentence.map(Into::into),
                },
            );
        }
        tokio::time::sleep(WATCH_INVENTORY_EVERY).await;
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
        if let Err(why) = still_allowed(gateway, &rules, &live.grant, now).await {
            ended += usize::from(live.end(Trouble::Revoked(why)));
        }
        // A thousand sessions are a few hundred milliseconds of work: others get their turn.
        tokio::task::yield_now().await;
    }
    ended
}

/// Whether the grant would be given again, to the principal and for the amphora as the files have them now.
async fn still_allowed(
    gateway: &Gateway,
    rules: &Rules,
    grant: &Grant,
    now: Timestamp,
) -> Result<(), String> {
    let principal = gateway
        .people
        .principal_now(rules, grant.principal(), now)?;
    let amphora = match rules.inventory.by_id(&grant.amphora().id).await {
        Ok(Some(amphora)) => amphora,
        Ok(None) => return Err(gone(rules, grant.amphora()).await),
        // An inventory that cannot be asked decides nothing: the last known amphora stands.
        Err(_) => Arc::clone(grant.amphora()),
    };
    rules
        .policy
        .recheck(grant, &principal, &amphora, now)
        .map_err(|refusal| refusal.ended_text().to_owned())
}

/// Why an amphora is not there any more: a failover puts another one of the same role in its place.
async fn gone(rules: &Rules, amphora: &Amphora) -> String {
    let all = rules.inventory.all().await.unwrap_or_default();
    let successor = all.iter().find(|other| {
        other.load_balancer.id == amphora.load_balancer.id
            && other.role.is_some()
            && other.role == amphora.role
    });
    match successor {
        Some(new) => format!(
            "amphora-{} was replaced by amphora-{}; the load balancer's name leads there",
            amphora.id, new.id
        ),
        None => "the amphora has left the inventory".to_owned(),
    }
}
