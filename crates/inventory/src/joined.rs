//! In: the static file, and Octavia's inventory where there is one.
//! Out: both as one. The file wins for its own names: whoever runs the gateway wrote it, a tenant names a load balancer.
//! Never: an amphora twice, or a disagreement that nobody is told of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ampgate_access::{Amphora, AmphoraId, TargetName};
use async_trait::async_trait;

use crate::condition::Condition;
use crate::meaning::meaning;
use crate::{Fixed, Inventory, InventoryError, Live, Resolution};

/// The file and Octavia together.
pub struct Joined {
    fixed: Arc<Fixed>,
    live: Arc<Live>,
}

impl Joined {
    /// Both.
    pub fn new(fixed: Arc<Fixed>, live: Arc<Live>) -> Self {
        Self { fixed, live }
    }

    /// What the name means by the file, or by the file and what is known of Octavia where it is the beginning of an id.
    fn of_file(&self, name: &TargetName) -> Option<Resolution> {
        let mut own = self.fixed.known().candidates(name);
        if own.is_empty() {
            return None;
        }
        if matches!(name, TargetName::AmphoraPrefix(_)) {
            own.extend(self.live.candidates(name));
            own.sort_by_key(|amphora| amphora.id);
            // The sort keeps the file's first.
            own.dedup_by_key(|amphora| amphora.id);
        }
        Some(meaning(name, own))
    }

    /// The file's words for an amphora that both know, by whichever name it was found.
    fn own(&self, amphora: Arc<Amphora>) -> Arc<Amphora> {
        let own = self.fixed.known().by_id(&amphora.id).cloned();
        own.unwrap_or(amphora)
    }

    fn own_words(&self, found: Resolution) -> Resolution {
        let all = |amphorae: Vec<Arc<Amphora>>| amphorae.into_iter().map(|a| self.own(a)).collect();
        match found {
            Resolution::None => Resolution::None,
            Resolution::One(amphora) => Resolution::One(self.own(amphora)),
            Resolution::Many(amphorae) => Resolution::Many(all(amphorae)),
            Resolution::AskWhichIsActive(amphorae) => Resolution::AskWhichIsActive(all(amphorae)),
        }
    }

    /// Where file and Octavia disagree, each a sentence.
    fn conflicts(&self) -> Vec<String> {
        let mut found = Vec::new();
        for own in self.fixed.known().all() {
            if let Some(other) = self.live.is_listed(&own.id) {
                if other.address != own.address {
                    found.push(format!(
                        "amphora-{} has another address in the file than in Octavia: the file's counts",
                        own.id
                    ));
                }
                if other.load_balancer.id != own.load_balancer.id
                    || other.load_balancer.project != own.load_balancer.project
                {
                    found.push(format!(
                        "amphora-{} has another load balancer or project in the file than in Octavia: the file's count",
                        own.id
                    ));
                }
            }
            let same_address = own.address.map(|address| self.live.at_address(address));
            for other in same_address.into_iter().flatten() {
                if other.id != own.id {
                    found.push(format!(
                        "amphora-{} of the file and amphora-{} of Octavia have one address",
                        own.id, other.id
                    ));
                }
            }
            let balancer = &own.load_balancer;
            let name = TargetName::LoadBalancerName(balancer.name.clone(), None);
            let namesakes = self.live.candidates(&name);
            if let Some(other) = namesakes.iter().find(|a| a.load_balancer.id != balancer.id) {
                found.push(format!(
                    "the load balancers {} of the file and {} of Octavia have one name: it means the file's",
                    balancer.id, other.load_balancer.id
                ));
            }
        }
        found.dedup();
        found
    }
}

#[async_trait]
impl Inventory for Joined {
    async fn resolve(&self, name: &TargetName) -> Result<Resolution, InventoryError> {
        match self.of_file(name) {
            Some(found) => Ok(found),
            None => Ok(self.own_words(self.live.resolve(name).await?)),
        }
    }

    async fn resolve_anew(&self, name: &TargetName) -> Result<Resolution, InventoryError> {
        // Asked in either case: whether the file knows the name shows in nothing.
        let anew = self.live.resolve_anew(name).await;
        match self.of_file(name) {
            Some(found) => Ok(found),
            None => Ok(self.own_words(anew?)),
        }
    }

    async fn by_id(&self, id: &AmphoraId) -> Result<Option<Arc<Amphora>>, InventoryError> {
        match self.fixed.known().by_id(id) {
            Some(own) => Ok(Some(Arc::clone(own))),
            None => self.live.by_id(id).await,
        }
    }

    async fn all(&self) -> Result<Vec<Arc<Amphora>>, InventoryError> {
        // What the file knows can be reached whatever Octavia does.
        let mut by_id: BTreeMap<AmphoraId, Arc<Amphora>> = BTreeMap::new();
        let live = self.live.all().await.unwrap_or_default();
        for amphora in live.iter().chain(self.fixed.known().all()) {
            by_id.insert(amphora.id, Arc::clone(amphora));
        }
        Ok(by_id.into_values().collect())
    }

    fn age(&self) -> Option<Duration> {
        self.live.age()
    }

    async fn condition(&self) -> Condition {
        let mut condition = self.live.condition().await;
        let conflicts = self.conflicts();
        condition.amphorae = self.all().await.map_or(0, |all| all.len());
        condition.fault_count += conflicts.len();
        condition.faults.splice(0..0, conflicts);
        condition
    }
}
