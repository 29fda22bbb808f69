//! In: names and codes that are about to be tried with Keystone. Out: whether they are.
//! Never: a table that strangers can fill without bound, or a code that is tried twice.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ampgate_access::UserName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Wrong passwords of one name from one address, until which Keystone is asked. Keystone itself may lock an account
/// after a number of them, for everybody: a stranger shall not get that far.
const FAILURES: u32 = 5;
/// Failures count for this long; a code is good for at most 60 s, or what `included_previous_windows` makes of it.
const REMEMBERED: Duration = Duration::from_secs(300);
/// Entries of each table.
const MOST: usize = 10_000;
/// Questions to Keystone about people who are not in yet, at once.
const AT_ONCE: usize = 16;
/// How long anybody waits for one of these places.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was tried lately.
pub struct Attempts {
    tables: Mutex<Tables>,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Tables {
    failures: HashMap<(UserName, IpAddr), (u32, Instant)>,
    /// By a hash of user and code.
    codes: HashMap<blake3::Hash, Instant>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            tables: Mutex::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Attempts {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in the queue to Keystone; none while too many are tried at once.
    pub async fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.places).acquire_owned();
        tokio::time::timeout(PATIENCE, place).await.ok()?.ok()
    }

    /// Whether this name may still be tried from there.
    pub fn may_try(&self, name: &UserName, source: IpAddr) -> bool {
        let key = (name.clone(), source.to_canonical());
        let tables = self.tables();
        let of_key = tables.failures.get(&key);
        of_key.is_none_or(|(count, since)| *count < FAILURES || since.elapsed() > REMEMBERED)
    }

    /// It was wrong. Where the table is full, failures go uncounted: nobody is locked out because of others.
    pub fn failed(&self, name: &UserName, source: IpAddr) {
        let mut tables = self.tables();
        let failures = &mut tables.failures;
        if failures.len() >= MOST {
            failures.retain(|_, (_, since)| since.elapsed() <= REMEMBERED);
        }
        let key = (name.clone(), source.to_canonical());
        if failures.len() >= MOST && !failures.contains_key(&key) {
            return;
        }
        let (count, since) = failures.entry(key).or_insert((0, Instant::now()));
        if since.elapsed() > REMEMBERED {
            (*count, *since) = (0, Instant::now());
        }
        *count = count.saturating_add(1);
    }

    /// It was right.
    pub fn succeeded(&self, name: &UserName, source: IpAddr) {
        let key = (name.clone(), source.to_canonical());
        self.tables().failures.remove(&key);
    }

    /// Whether a code is tried for the first time; from now on it is not. Keystone takes receipt and code twice. Only
    /// who knows the password comes here: a full table refuses.
    pub fn spend(&self, name: &UserName, code: &str) -> bool {
        let mut tables = self.tables();
        tables.codes.retain(|_, at| at.elapsed() <= REMEMBERED);
        let hash = hash(name, code);
        if tables.codes.len() >= MOST || tables.codes.contains_key(&hash) {
            return false;
        }
        tables.codes.insert(hash, Instant::now());
        true
    }

    /// The code was not tried after all.
    pub fn unspend(&self, name: &UserName, code: &str) {
        self.tables().codes.remove(&hash(name, code));
    }
}

fn hash(name: &UserName, code: &str) -> blake3::Hash {
    blake3::hash(format!("{name}\0{}", code.trim()).as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    #[test]
    fn a_stranger_locks_nobody_out_but_themselves() {
        let attempts = Attempts::default();
        let (here, there) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        for _ in 0..FAILURES {
            assert!(attempts.may_try(&name("alice"), here));
            attempts.failed(&name("alice"), here);
        }
        assert!(!attempts.may_try(&name("alice"), here));
        assert!(attempts.may_try(&name("alice"), there));
        assert!(attempts.may_try(&name("bob"), here));
        attempts.succeeded(&name("alice"), here);
        assert!(attempts.may_try(&name("alice"), here));
    }

    #[test]
    fn the_tables_are_bounded() {
        let attempts = Attempts::default();
        for n in 0..=u32::try_from(MOST).unwrap() {
            attempts.failed(&name("alice"), IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(attempts.tables().failures.len(), MOST);
        for n in 0..=MOST {
            assert_eq!(attempts.spend(&name("erin"), &n.to_string()), n < MOST);
        }
    }

    #[test]
    fn a_code_is_tried_once() {
        let attempts = Attempts::default();
        assert!(attempts.spend(&name("erin"), "123456"));
        assert!(!attempts.spend(&name("erin"), "123456 "));
        assert!(attempts.spend(&name("heidi"), "123456"));
        attempts.unspend(&name("erin"), "123456");
        assert!(attempts.spend(&name("erin"), "123456"));
    }
}
