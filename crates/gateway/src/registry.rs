//! In: sessions as they begin and end. Out: the ones that are there now.
//! Never: keeps a session alive; the list holds what it is told of, and forgets it when told so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ampgate_access::SessionId;

use crate::live::LiveSession;

/// The live sessions.
#[derive(Default)]
pub struct Registry(Mutex<HashMap<SessionId, Arc<LiveSession>>>);

impl Registry {
    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<LiveSession>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn enter(&self, live: &Arc<LiveSession>) {
        self.sessions().insert(live.session, Arc::clone(live));
    }

    pub fn leave(&self, session: SessionId) {
        self.sessions().remove(&session);
    }

    /// All of them, as of now.
    pub fn all(&self) -> Vec<Arc<LiveSession>> {
        self.sessions().values().cloned().collect()
    }

    pub fn count(&self) -> usize {
        self.sessions().len()
    }
}
