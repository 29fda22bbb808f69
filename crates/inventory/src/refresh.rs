//! In: what look-ups share. Out: the list made anew as often as it may be, names asked for as they come, the file written.
//! Never: more than a fifth of the time spent on listing, or more than four names asked for at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use crate::asking::Question;
use crate::backoff;
use crate::cache;
use crate::error::CloudError;
use crate::join::{Unusable, join};
use crate::keystone::Keystone;
use crate::live::Shared;
use crate::octavia::Octavia;
use crate::rows::{BalancerRow, Rows};
use crate::sight;
use crate::{Known, show_age};

/// A list that took a second is not made again before this many have passed: a slow Octavia is not made slower.
const REST: u32 = 4;
/// Names that are asked for at once.
const AT_ONCE: usize = 4;
/// Names of projects change seldom, and most credentials may not read them.
const PROJECTS_EVERY: Duration = Duration::from_secs(1800);
/// Unless there is a new project.
const NEW_PROJECTS_EVERY: Duration = Duration::from_secs(60);
/// An unchanged inventory is written again after this long, so that its age on disk is about right.
const WRITE_EVERY: Duration = Duration::from_secs(300);

/// Starts both tasks on this runtime.
pub(crate) fn start(
    shared: &Arc<Shared>,
    keystone: Arc<Keystone>,
    questions: mpsc::Receiver<Question>,
) -> Vec<AbortHandle> {
    let octavia = Arc::new(Octavia::new(&shared.settings, keystone));
    let list = tokio::spawn(list(Arc::clone(shared), Arc::clone(&octavia)));
    let names = tokio::spawn(names(Arc::clone(shared), octavia, questions));
    vec![list.abort_handle(), names.abort_handle()]
}

/// What the list remembers from one time to the next.
#[derive(Default)]
struct Memory {
    projects_at: Option<Instant>,
    /// What was written last, and when.
    written: Option<(blake3::Hash, Instant)>,
    failures: u32,
}

impl Memory {
    /// After a while; sooner where a load balancer belongs to a project without a name, if names may be read at all.
    fn wants_projects(&self, shared: &Shared, rows: &Rows) -> bool {
        let Some(at) = self.projects_at else {
            return true;
        };
        let known = shared.projects();
        let nameless = |row: &BalancerRow| {
            let project = row.project_id.as_deref();
            project.is_some_and(|project| !known.contains_key(project))
        };
        let soon = !known.is_empty() && rows.balancers.iter().any(nameless);
        at.elapsed()
            > if soon {
                NEW_PROJECTS_EVERY
            } else {
                PROJECTS_EVERY
            }
    }
}

/// Runs for ever.
async fn list(shared: Arc<Shared>, octavia: Arc<Octavia>) {
    let mut memory = Memory::default();
    loop {
        let begun = Instant::now();
        let wait = match once(&shared, &octavia, &mut memory, begun).await {
            Ok(()) => {
                memory.failures = 0;
                shared.settings.fresh.max(begun.elapsed() * REST)
            }
            Err(error) => {
                memory.failures = memory.failures.saturating_add(1);
                let wait = backoff::wait(memory.failures, error.retry_after());
                let needs_a_person = error.needs_a_person();
                let sentence = error.to_string();
                let mut health = shared.health();
                if health.failed(error) {
                    let age = health.age().map_or("none".to_owned(), show_age);
                    tracing::warn!(needs_a_person, last_known = %age, "no inventory from Octavia: {sentence}");
                }
                wait
            }
        };
        let _ = tokio::time::timeout(wait, shared.hurry.notified()).await;
    }
}

async fn once(
    shared: &Arc<Shared>,
    octavia: &Octavia,
    memory: &mut Memory,
    begun: Instant,
) -> Result<(), CloudError> {
    let mut rows = octavia.list().await?;
    sight::check(octavia, &rows, &shared.view().all()).await?;
    if memory.wants_projects(shared, &rows) {
        memory.projects_at = Some(begun);
        // Names that were known stay known: policy may rest on them.
        if let Some(projects) = octavia.projects().await {
            shared.learn(projects);
        }
    }
    rows.projects = BTreeMap::clone(&shared.projects());
    let (of_task, last) = (Arc::clone(shared), memory.written);
    // Tens of thousands of rows are half a second of work; others get their turn meanwhile.
    let digested = tokio::task::spawn_blocking(move || digest(&of_task, &rows, last));
    let Ok((known, unusable, written)) = digested.await else {
        return Err(CloudError::Settings(
            "the inventory could not be digested".to_owned(),
        ));
    };
    memory.written = written;
    let was_down = shared.health().is_down();
    let (amphorae, odd) = (known.all().len(), unusable.count);
    shared.change(|view| view.with_list(known, begun));
    shared.health().good(unusable, begun);
    if was_down || memory.failures > 0 {
        tracing::info!(amphorae, odd, "Octavia answers again");
    }
    Ok(())
}

type Written = Option<(blake3::Hash, Instant)>;

/// Joins, indexes, and writes the file if there is something new in it.
fn digest(shared: &Shared, rows: &Rows, last: Written) -> (Known, Unusable, Written) {
    let (amphorae, unusable) = join(rows, &shared.settings);
    let known = Known::new(amphorae);
    let digest = serde_json::to_vec(rows).map(|body| blake3::hash(&body));
    let Ok(digest) = digest else {
        return (known, unusable, last);
    };
    if last.is_some_and(|(before, at)| before == digest && at.elapsed() < WRITE_EVERY) {
        return (known, unusable, last);
    }
    match cache::write(&shared.file, rows) {
        Ok(()) => (known, unusable, Some((digest, Instant::now()))),
        Err(error) => {
            // The inventory serves all the same; only a restart without Octavia would miss it.
            let file = shared.file.display();
            tracing::warn!("the last known inventory cannot be written to {file}: {error}");
            (known, unusable, last)
        }
    }
}

/// Answers questions; runs until nobody can ask any more.
async fn names(
    shared: Arc<Shared>,
    octavia: Arc<Octavia>,
    mut questions: mpsc::Receiver<Question>,
) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(question) = questions.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let (shared, octavia) = (Arc::clone(&shared), Arc::clone(&octavia));
        tokio::spawn(async move {
            match octavia.look_up(&question.name).await {
                Ok(Some(found)) => {
                    let projects = shared.projects();
                    let joined = found.into_iter().map(|mut found| {
                        found.rows.projects = BTreeMap::clone(&projects);
                        (found.balancer, join(&found.rows, &shared.settings).0)
                    });
                    let joined: Vec<_> = joined.collect();
                    if !joined.is_empty() {
                        shared.change(|view| view.with_balancers(joined));
                    }
                }
                Ok(None) => {}
                // The list is what says whether Octavia is down; this may have been about the one name.
                Err(error) => tracing::info!("a name could not be asked for: {error}"),
            }
            drop(place);
            drop(question);
        });
    }
}
