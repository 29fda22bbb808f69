//! In: a set of amphorae, from wherever they are known; the name of a target.
//! Out: the amphorae that the name may mean, found by an index: tens of thousands cost no more than ten.
//! Never: chooses between them; `meaning.rs` says what a name means.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use ampgate_access::{Amphora, AmphoraId, LoadBalancerId, TargetName, UpstreamAddr};
use uuid::Uuid;

use crate::Resolution;
use crate::meaning::meaning;

/// Places in [`Known::amphorae`], ascending, by some key.
type Index<K> = HashMap<K, Vec<usize>>;

/// Amphorae in the order of their ids.
#[derive(Clone, Debug, Default)]
pub struct Known {
    amphorae: Vec<Arc<Amphora>>,
    by_balancer: Index<LoadBalancerId>,
    /// Names with A to Z lower-cased: they are compared without regard to capitals first.
    by_balancer_name: Index<String>,
    by_name: Index<String>,
    by_compute: Index<Uuid>,
    by_address: Index<UpstreamAddr>,
}

impl Known {
    /// From amphorae with different ids; of two with one id the first counts.
    pub fn new(amphorae: impl IntoIterator<Item = Arc<Amphora>>) -> Self {
        let mut by_id = BTreeMap::new();
        for amphora in amphorae {
            by_id.entry(amphora.id).or_insert(amphora);
        }
        let mut known = Self {
            amphorae: by_id.into_values().collect(),
            ..Self::default()
        };
        for (at, amphora) in known.amphorae.iter().enumerate() {
            let balancer = &amphora.load_balancer;
            put(&mut known.by_balancer, balancer.id, at);
            let name = balancer.name.to_ascii_lowercase();
            put(&mut known.by_balancer_name, name, at);
            for name in &amphora.names {
                put(&mut known.by_name, name.to_ascii_lowercase(), at);
            }
            let compute = amphora.compute_id.as_deref();
            if let Some(id) = compute.and_then(|id| Uuid::try_parse(id).ok()) {
                put(&mut known.by_compute, id, at);
            }
            if let Some(address) = amphora.address {
                put(&mut known.by_address, address, at);
            }
        }
        known
    }

    /// All of them.
    pub fn all(&self) -> &[Arc<Amphora>] {
        &self.amphorae
    }

    /// The amphora with this id.
    pub fn by_id(&self, id: &AmphoraId) -> Option<&Arc<Amphora>> {
        let found = self.amphorae.binary_search_by_key(id, |amphora| amphora.id);
        found.ok().and_then(|at| self.amphorae.get(at))
    }

    /// The amphorae with this address. Octavia may give the address of a server that is gone to a new one.
    pub fn at_address(&self, address: UpstreamAddr) -> Vec<Arc<Amphora>> {
        self.found(&self.by_address, &address)
    }

    /// What a name means.
    ///
    /// Names of load balancers and static entries: OpenSSH lower-cases the host that an operator types, so capital
    /// letters (A to Z) count only where the name that arrived has some, or where nothing else differs. A name without
    /// capitals means every load balancer whose name is the same but for them; if these are several, the
    /// operator has to name the id. (Were the exact match preferred, a tenant could catch what was meant for
    /// another's `Web` by calling theirs `web`.)
    pub fn resolve(&self, name: &TargetName) -> Resolution {
        meaning(name, self.candidates(name))
    }

    /// Every amphora that a name could mean, capitals, roles and members aside, in the order of their ids.
    pub fn candidates(&self, name: &TargetName) -> Vec<Arc<Amphora>> {
        match name {
            TargetName::AmphoraId(id) => self.by_id(id).cloned().into_iter().collect(),
            TargetName::AmphoraPrefix(prefix) => self.with_prefix(prefix),
            TargetName::LoadBalancer(id, _) => self.found(&self.by_balancer, id),
            TargetName::LoadBalancerName(name, _) => {
                self.found(&self.by_balancer_name, &name.to_ascii_lowercase())
            }
            TargetName::Compute(id) => self.found(&self.by_compute, id),
            TargetName::Static(name) => self.found(&self.by_name, &name.to_ascii_lowercase()),
        }
    }

    fn found<K: Hash + Eq>(&self, index: &Index<K>, key: &K) -> Vec<Arc<Amphora>> {
        let places = index.get(key).into_iter().flatten();
        let found = places.filter_map(|at| self.amphorae.get(*at));
        found.cloned().collect()
    }

    /// Ids sort as they are written, so those with one beginning stand together.
    fn with_prefix(&self, prefix: &str) -> Vec<Arc<Amphora>> {
        let digits: String = prefix.chars().filter(|c| *c != '-').collect();
        let bound = |fill: char| {
            let rest = 32_usize.saturating_sub(digits.len());
            let written = digits.chars().chain(std::iter::repeat_n(fill, rest));
            Uuid::try_parse(&written.collect::<String>()).map(AmphoraId::from)
        };
        let (Ok(low), Ok(high)) = (bound('0'), bound('f')) else {
            return Vec::new();
        };
        let from = self.amphorae.partition_point(|amphora| amphora.id < low);
        let rest = self.amphorae.iter().skip(from);
        rest.take_while(|amphora| amphora.id <= high)
            .cloned()
            .collect()
    }
}

fn put<K: Hash + Eq>(index: &mut Index<K>, key: K, at: usize) {
    let places = index.entry(key).or_default();
    // An amphora may bear one name twice, in different capitals.
    if places.last() != Some(&at) {
        places.push(at);
    }
}
