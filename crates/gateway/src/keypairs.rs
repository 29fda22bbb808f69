//! In: a key that users.toml does not know, and the login name it was offered under. Out: whose keypair in Nova it is.
//! Never: a request for a name that was asked for a moment ago, or an answer whose time tells whether there is such a user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ampgate_access::{UserName, operator_of};
use ampgate_inventory::Listed;

use crate::gateway::Gateway;
use crate::password::until_told;

/// What the cloud said of a name counts for this long.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Names that are remembered.
const MOST: usize = 1000;
/// An answer that was asked for is told when a whole number of these has passed.
const ANSWERS_TAKE: Duration = Duration::from_millis(500);

type Found = Option<Arc<Listed>>;

/// What was asked of Keystone and Nova lately.
#[derive(Default)]
pub struct Keypairs(Mutex<HashMap<UserName, (Instant, Found)>>);

impl Keypairs {
    fn table(&self) -> MutexGuard<'_, HashMap<UserName, (Instant, Found)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operator whom a login name means, with their keypairs; none where nobody is called so, or nobody can be asked.
    pub async fn of(&self, gateway: &Gateway, login: &str) -> Found {
        let rules = gateway.rules();
        let name = operator_of(login)?;
        let directory = rules.directory.as_ref()?;
        if !rules.config.keystone.as_ref()?.keypairs {
            return None;
        }
        if let Some((at, found)) = self.table().get(&name)
            && at.elapsed() < REMEMBERED
        {
            return found.clone();
        }
        let began = Instant::now();
        let place = gateway.attempts.place().await;
        let found = match place {
            None => None,
            Some(_place) => directory.find(&name).await.unwrap_or_else(|error| {
                tracing::warn!("no keypair can be asked for: {error}");
                None
            }),
        };
        let found = found.map(Arc::new);
        self.remember(name, &found);
        tokio::time::sleep(until_told(began.elapsed(), ANSWERS_TAKE)).await;
        found
    }

    fn remember(&self, name: UserName, found: &Found) {
        let mut table = self.table();
        if table.len() >= MOST {
            table.retain(|_, (at, _)| at.elapsed() < REMEMBERED);
        }
        if table.len() < MOST {
            table.insert(name, (Instant::now(), found.clone()));
        }
    }
}
