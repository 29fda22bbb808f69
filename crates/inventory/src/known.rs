//! In: a set of amphorae, from wherever they are known; the name of a target.
//! Out: the amphora that the name means.
//! Never: picks one of two load balancers silently: their names are their owners' to choose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ampgate_access::{Amphora, AmphoraId, LoadBalancer, LoadBalancerId, Member, Role, TargetName};

use crate::Resolution;

/// Amphorae in the order of their ids.
#[derive(Clone, Debug, Default)]
pub struct Known {
    amphorae: Vec<Arc<Amphora>>,
}

impl Known {
    /// From amphorae with different ids; of two with one id the first counts.
    pub fn new(amphorae: impl IntoIterator<Item = Arc<Amphora>>) -> Self {
        let mut by_id = BTreeMap::new();
        for amphora in amphorae {
            by_id.entry(amphora.id).or_insert(amphora);
        }
        Self {
            amphorae: by_id.into_values().collect(),
        }
    }

    /// All of them.
    pub fn all(&self) -> &[Arc<Amphora>] {
        &self.amphorae
    }

    /// The amphora with this id.
    pub fn by_id(&self, id: &AmphoraId) -> Option<&Arc<Amphora>> {
        self.amphorae.iter().find(|amphora| amphora.id == *id)
    }

    /// What a name means.
    ///
    /// Names of load balancers and static entries: OpenSSH lower-cases the host that an operator types, so capital
    /// letters (A to Z) count only where the name that arrived has some, or where nothing else differs. A name without
    /// capitals means every load balancer whose name is the same but for them; if these are several, the
    /// operator has to name the id. (Were the exact match preferred, a tenant could catch what was meant for
    /// another's `Web` by calling theirs `web`.)
    pub fn resolve(&self, name: &TargetName) -> Resolution {
        match name {
            TargetName::AmphoraId(id) => self.pick(|amphora| amphora.id == *id),
            TargetName::AmphoraPrefix(prefix) => {
                self.pick(|amphora| amphora.id.to_string().starts_with(prefix.as_str()))
            }
            TargetName::Static(wanted) => self.by_text(wanted, |amphora, same| {
                amphora.names.iter().any(|name| same(name))
            }),
            TargetName::LoadBalancer(id, member) => {
                let of_balancer = self.matching(|amphora| amphora.load_balancer.id == *id);
                of_one_balancer(of_balancer, *member)
            }
            TargetName::LoadBalancerName(wanted, member) => {
                let found = self.by_text(wanted, |amphora, same| same(&amphora.load_balancer.name));
                match found {
                    Resolution::None => Resolution::None,
                    Resolution::One(amphora) => of_one_balancer(vec![amphora], *member),
                    Resolution::Many(amphorae) if balancers(&amphorae) == 1 => {
                        of_one_balancer(amphorae, *member)
                    }
                    Resolution::Many(amphorae) => of_several(amphorae, *member),
                }
            }
        }
    }

    fn matching(&self, wanted: impl Fn(&Amphora) -> bool) -> Vec<Arc<Amphora>> {
        // Through the whole list whatever is found: the time tells nothing.
        let found = self.amphorae.iter().filter(|amphora| wanted(amphora));
        found.cloned().collect()
    }

    fn pick(&self, wanted: impl Fn(&Amphora) -> bool) -> Resolution {
        resolution(self.matching(wanted))
    }

    fn by_text(
        &self,
        wanted: &str,
        has: impl Fn(&Amphora, &dyn Fn(&str) -> bool) -> bool,
    ) -> Resolution {
        let exact = self.matching(|amphora| has(amphora, &|name| name == wanted));
        let alike =
            self.matching(|amphora| has(amphora, &|name| name.eq_ignore_ascii_case(wanted)));
        let has_capitals = wanted.bytes().any(|b| b.is_ascii_uppercase());
        resolution(if has_capitals && !exact.is_empty() {
            exact
        } else {
            alike
        })
    }
}

fn resolution(mut found: Vec<Arc<Amphora>>) -> Resolution {
    match (found.len(), found.pop()) {
        (1, Some(one)) => Resolution::One(one),
        (_, Some(last)) => {
            found.push(last);
            Resolution::Many(found)
        }
        (_, None) => Resolution::None,
    }
}

fn balancers(amphorae: &[Arc<Amphora>]) -> usize {
    let ids: BTreeSet<LoadBalancerId> = amphorae.iter().map(|a| a.load_balancer.id).collect();
    ids.len()
}

/// The member that was asked for; without one, the amphora that serves: MASTER or STANDALONE by its configured role, or
/// the only one there is.
fn of_one_balancer(amphorae: Vec<Arc<Amphora>>, member: Option<Member>) -> Resolution {
    let with = |roles: &[Role]| {
        let found = amphorae
            .iter()
            .filter(|a| a.role.is_some_and(|role| roles.contains(&role)));
        resolution(found.cloned().collect())
    };
    match member {
        Some(Member::Master) => with(&[Role::Master]),
        Some(Member::Backup) => with(&[Role::Backup]),
        Some(Member::Index(n)) => {
            let place = usize::try_from(n).ok().and_then(|n| n.checked_sub(1));
            match place.and_then(|place| amphorae.get(place)) {
                Some(amphora) => Resolution::One(Arc::clone(amphora)),
                None => Resolution::None,
            }
        }
        None => match with(&[Role::Master, Role::Standalone]) {
            Resolution::None => resolution(amphorae),
            found => found,
        },
    }
}

/// Several load balancers of one name: the amphora of each that the name would mean if it were alone.
fn of_several(amphorae: Vec<Arc<Amphora>>, member: Option<Member>) -> Resolution {
    let mut by_balancer: BTreeMap<LoadBalancerId, Vec<Arc<Amphora>>> = BTreeMap::new();
    for amphora in amphorae {
        let of: &LoadBalancer = &amphora.load_balancer;
        by_balancer.entry(of.id).or_default().push(amphora);
    }
    let mut meant = Vec::new();
    for of_balancer in by_balancer.into_values() {
        match of_one_balancer(of_balancer, member) {
            Resolution::None => {}
            Resolution::One(amphora) => meant.push(amphora),
            Resolution::Many(several) => meant.extend(several),
        }
    }
    meant.sort_by_key(|amphora| amphora.id);
    // Even if only one of them has such a member: the name alone does not say which load balancer was meant.
    match meant.is_empty() {
        true => Resolution::None,
        false => Resolution::Many(meant),
    }
}
