//! In: the whole inventory of one moment, and single load balancers that were asked for since.
//! Out: what is known now of a name, an id, everything.
//! Never: a row of the old list for a load balancer that was looked at since: its amphorae are those that were found.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use ampgate_access::{Amphora, AmphoraId, LoadBalancerId, TargetName};

use crate::Known;

/// The most load balancers that are kept beside the list; the list is made anew long before.
const MOST_ASKED: usize = 1024;

/// What is known.
#[derive(Clone, Default)]
pub(crate) struct View {
    list: Arc<Known>,
    asked: BTreeMap<LoadBalancerId, (Instant, Vec<Arc<Amphora>>)>,
    /// The amphorae of `asked`, to be found by any name.
    newer: Known,
}

impl View {
    /// With a new list, which was begun at this moment: what was asked for before is in it.
    pub(crate) fn with_list(&self, list: Known, begun: Instant) -> Self {
        let mut asked = self.asked.clone();
        asked.retain(|_, (at, _)| *at > begun);
        Self::new(Arc::new(list), asked)
    }

    /// With the amphorae that a load balancer has now.
    pub(crate) fn with_balancers(
        &self,
        found: impl IntoIterator<Item = (LoadBalancerId, Vec<Arc<Amphora>>)>,
    ) -> Self {
        let mut asked = self.asked.clone();
        for (balancer, amphorae) in found {
            asked.insert(balancer, (Instant::now(), amphorae));
        }
        while asked.len() > MOST_ASKED {
            let oldest = asked.iter().min_by_key(|(_, (at, _))| *at);
            let Some(oldest) = oldest.map(|(id, _)| *id) else {
                break;
            };
            asked.remove(&oldest);
        }
        Self::new(Arc::clone(&self.list), asked)
    }

    fn new(
        list: Arc<Known>,
        asked: BTreeMap<LoadBalancerId, (Instant, Vec<Arc<Amphora>>)>,
    ) -> Self {
        let newer = Known::new(asked.values().flat_map(|(_, found)| found).cloned());
        Self { list, asked, newer }
    }

    fn is_old(&self, amphora: &Amphora) -> bool {
        self.asked.contains_key(&amphora.load_balancer.id)
    }

    pub(crate) fn candidates(&self, name: &TargetName) -> Vec<Arc<Amphora>> {
        let mut found = self.list.candidates(name);
        if self.asked.is_empty() {
            return found;
        }
        found.retain(|amphora| !self.is_old(amphora));
        found.extend(self.newer.candidates(name));
        found.sort_by_key(|amphora| amphora.id);
        found.dedup_by_key(|amphora| amphora.id);
        found
    }

    pub(crate) fn by_id(&self, id: &AmphoraId) -> Option<&Arc<Amphora>> {
        let newer = self.newer.by_id(id);
        newer.or_else(|| self.list.by_id(id).filter(|amphora| !self.is_old(amphora)))
    }

    pub(crate) fn at_address(&self, address: ampgate_access::UpstreamAddr) -> Vec<Arc<Amphora>> {
        let mut found = self.list.at_address(address);
        found.retain(|amphora| !self.is_old(amphora));
        found.extend(self.newer.at_address(address));
        found
    }

    pub(crate) fn all(&self) -> Vec<Arc<Amphora>> {
        if self.asked.is_empty() {
            return self.list.all().to_vec();
        }
        let newer: HashSet<AmphoraId> = self.newer.all().iter().map(|a| a.id).collect();
        let old = self.list.all().iter();
        let old = old.filter(|a| !self.is_old(a) && !newer.contains(&a.id));
        let mut all: Vec<_> = old.chain(self.newer.all()).cloned().collect();
        all.sort_by_key(|amphora| amphora.id);
        all
    }

    pub(crate) fn len(&self) -> usize {
        // What was asked for changes it by a few at most, until the next list.
        match self.asked.is_empty() {
            true => self.list.all().len(),
            false => self.all().len(),
        }
    }
}
