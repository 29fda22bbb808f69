//! In: the name of a target, and the amphorae that it could mean.
//! Out: the amphora that it means, or all of them where the operator has to say which.
//! Never: picks one of two load balancers silently: their names are their owners' to choose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ampgate_access::{Amphora, LoadBalancer, LoadBalancerId, Member, Role, TargetName};

use crate::Resolution;

type Amphorae = Vec<Arc<Amphora>>;

/// What `name` means, if `candidates` are all that it could mean, in the order of their ids.
pub(crate) fn meaning(name: &TargetName, candidates: Amphorae) -> Resolution {
    match name {
        TargetName::AmphoraId(_) | TargetName::AmphoraPrefix(_) => resolution(candidates),
        // A server is one amphora's; rows of a failover that share one mean the living.
        TargetName::Compute(_) => resolution(most_hopeful(candidates)),
        TargetName::Static(wanted) => resolution(spelled(wanted, candidates, |amphora, wanted| {
            amphora.names.iter().any(|name| name == wanted)
        })),
        TargetName::LoadBalancer(_, member) => of_one_balancer(candidates, *member),
        TargetName::LoadBalancerName(wanted, member) => {
            let meant = spelled(wanted, candidates, |amphora, wanted| {
                amphora.load_balancer.name == wanted
            });
            match balancers(&meant) {
                0 | 1 => of_one_balancer(meant, *member),
                _ => of_several(meant, *member),
            }
        }
    }
}

/// With capitals in the name that arrived, only what is spelled exactly so counts, if there is any.
fn spelled(
    wanted: &str,
    candidates: Amphorae,
    exactly: impl Fn(&Amphora, &str) -> bool,
) -> Amphorae {
    let has_capitals = wanted.bytes().any(|b| b.is_ascii_uppercase());
    if has_capitals && candidates.iter().any(|amphora| exactly(amphora, wanted)) {
        let exact = candidates.into_iter().filter(|a| exactly(a, wanted));
        return exact.collect();
    }
    candidates
}

fn resolution(mut found: Amphorae) -> Resolution {
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

/// During a failover the old amphora and the new one are there together: the one that is there to stay is meant.
fn most_hopeful(amphorae: Amphorae) -> Amphorae {
    let best = amphorae.iter().map(|a| a.hope()).max();
    let with_best = amphorae.into_iter().filter(|a| Some(a.hope()) == best);
    with_best.collect()
}

/// The member that was asked for; without one, the amphora that serves: MASTER or STANDALONE by its configured role, or
/// the only one there is.
fn of_one_balancer(amphorae: Amphorae, member: Option<Member>) -> Resolution {
    let with = |roles: &[Role]| {
        let found = amphorae
            .iter()
            .filter(|a| a.role.is_some_and(|role| roles.contains(&role)));
        resolution(most_hopeful(found.cloned().collect()))
    };
    match member {
        Some(Member::Master) => with(&[Role::Master]),
        Some(Member::Backup) => with(&[Role::Backup]),
        Some(Member::Active) => match amphorae.len() {
            0 | 1 => resolution(amphorae),
            _ => Resolution::AskWhichIsActive(amphorae),
        },
        Some(Member::Index(n)) => {
            let place = usize::try_from(n).ok().and_then(|n| n.checked_sub(1));
            match place.and_then(|place| amphorae.get(place)) {
                Some(amphora) => Resolution::One(Arc::clone(amphora)),
                None => Resolution::None,
            }
        }
        None => match with(&[Role::Master, Role::Standalone]) {
            Resolution::None => resolution(most_hopeful(amphorae)),
            found => found,
        },
    }
}

/// Several load balancers of one name: the amphora of each that the name would mean if it were alone.
fn of_several(amphorae: Amphorae, member: Option<Member>) -> Resolution {
    let mut by_balancer: BTreeMap<LoadBalancerId, Amphorae> = BTreeMap::new();
    for amphora in amphorae {
        let of: &LoadBalancer = &amphora.load_balancer;
        by_balancer.entry(of.id).or_default().push(amphora);
    }
    let mut meant = Vec::new();
    for of_balancer in by_balancer.into_values() {
        match of_one_balancer(of_balancer, member) {
            Resolution::None => {}
            Resolution::One(amphora) => meant.push(amphora),
            Resolution::Many(several) | Resolution::AskWhichIsActive(several) => {
                meant.extend(several);
            }
        }
    }
    meant.sort_by_key(|amphora| amphora.id);
    // Even if only one of them has such a member: the name alone does not say which load balancer was meant.
    match meant.is_empty() {
        true => Resolution::None,
        false => Resolution::Many(meant),
    }
}
