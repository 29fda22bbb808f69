//! In: an accepted address. Out: a `Place`, which is given back when dropped, or the limit that is reached.
//! Never: waits; a full gateway says so at once and goes on accepting.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config;

/// Which bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("limits.connections is reached")]
    Connections,
    #[error("limits.unauthenticated is reached")]
    Unauthenticated,
    #[error("limits.connections_per_source is reached")]
    Source,
    #[error("limits.unauthenticated_per_source is reached")]
    UnauthenticatedSource,
}

#[derive(Default)]
struct Counts {
    connections: usize,
    unauthenticated: usize,
    sources: HashMap<IpAddr, OfSource>,
}

#[derive(Default)]
struct OfSource {
    connections: usize,
    unauthenticated: usize,
}

/// How many connections there are, in all and from whom.
#[derive(Clone, Default)]
pub struct Places(Arc<Mutex<Counts>>);

/// One connection's place. It counts as unauthenticated until `logged_in`.
pub struct Place {
    places: Places,
    source: IpAddr,
    unauthenticated: bool,
}

impl Places {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// The bound that leaves no place for another connection from this source.
    pub fn take(&self, source: IpAddr, limits: &config::Limits) -> Result<Place, Full> {
        let mut counts = self.counts();
        if counts.connections >= limits.connections {
            return Err(Full::Connections);
        }
        if counts.unauthenticated >= limits.unauthenticated {
            return Err(Full::Unauthenticated);
        }
        let of_source = counts.sources.entry(source).or_default();
        if of_source.connections >= limits.connections_per_source {
            return Err(Full::Source);
        }
        if of_source.unauthenticated >= limits.unauthenticated_per_source {
            return Err(Full::UnauthenticatedSource);
        }
        of_source.connections += 1;
        of_source.unauthenticated += 1;
        counts.connections += 1;
        counts.unauthenticated += 1;
        Ok(Place {
            places: self.clone(),
            source,
            unauthenticated: true,
        })
    }

    /// Connections now, and how many of them have not logged in.
    pub fn now(&self) -> (usize, usize) {
        let counts = self.counts();
        (counts.connections, counts.unauthenticated)
    }
}

impl Place {
    pub fn logged_in(&mut self) {
        if std::mem::take(&mut self.unauthenticated) {
            let mut counts = self.places.counts();
            counts.unauthenticated = counts.unauthenticated.saturating_sub(1);
            if let Some(of_source) = counts.sources.get_mut(&self.source) {
                of_source.unauthenticated = of_source.unauthenticated.saturating_sub(1);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.logged_in();
        let mut counts = self.places.counts();
        counts.connections = counts.connections.saturating_sub(1);
        if let Some(of_source) = counts.sources.get_mut(&self.source) {
            of_source.connections = of_source.connections.saturating_sub(1);
            if of_source.connections == 0 {
                counts.sources.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    fn limits() -> config::Limits {
        config::Limits {
            connections: 4,
            unauthenticated: 2,
            connections_per_source: 3,
            unauthenticated_per_source: 2,
            channels_per_connection: 1,
            login_grace: Duration::ZERO,
            drain: Duration::ZERO,
        }
    }

    #[test]
    fn one_source_cannot_take_every_place_before_login() {
        let places = Places::default();
        let limits = config::Limits {
            unauthenticated: 10,
            unauthenticated_per_source: 1,
            ..limits()
        };
        let a: IpAddr = "192.0.2.1".parse().unwrap();
        let b: IpAddr = "192.0.2.2".parse().unwrap();
        let mut held = places.take(a, &limits).unwrap();
        assert_eq!(
            places.take(a, &limits).err(),
            Some(Full::UnauthenticatedSource)
        );
        let _other = places.take(b, &limits).unwrap();
        held.logged_in();
        let _next = places.take(a, &limits).unwrap();
    }

    #[test]
    fn each_bound_holds_and_places_come_back() {
        let places = Places::default();
        let a: IpAddr = "192.0.2.1".parse().unwrap();
        let b: IpAddr = "192.0.2.2".parse().unwrap();
        let mut first = places.take(a, &limits()).unwrap();
        let mut second = places.take(a, &limits()).unwrap();
        assert_eq!(places.take(a, &limits()).err(), Some(Full::Unauthenticated));
        first.logged_in();
        first.logged_in();
        second.logged_in();
        let mut third = places.take(a, &limits()).unwrap();
        third.logged_in();
        assert_eq!(places.take(a, &limits()).err(), Some(Full::Source));
        let fourth = places.take(b, &limits()).unwrap();
        assert_eq!(places.take(b, &limits()).err(), Some(Full::Connections));
        drop((first, second, third, fourth));
        assert_eq!(places.now(), (0, 0));
        assert!(places.counts().sources.is_empty());
    }
}
