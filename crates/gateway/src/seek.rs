//! In: the name of a target, and who looks for it. Out: the one amphora that it means and that they may connect to.
//! Never: tells what is forbidden from what does not exist, in words or by less work; guesses between two.

use std::collections::BTreeSet;
use std::sync::Arc;

use ampgate_access::{Amphora, Circumstances, NO_SUCH_AMPHORA, Principal, TargetName};
use ampgate_inventory::Resolution;
use jiff::Timestamp;

use crate::active;
use crate::gateway::{Connection, Gateway};
use crate::rules::Rules;
use crate::sentence::Trouble;

/// Now, without a reason: none is asked for before there is a session.
fn now() -> Circumstances {
    Circumstances {
        now: Timestamp::now(),
        reason: None,
        transfers: Vec::new(),
    }
}

/// Why a name led nowhere. The operator learns `told`; only the journal learns whether there was something to forbid.
pub struct Unresolved {
    pub told: Trouble,
    pub forbidden: Option<Arc<Amphora>>,
}

impl Unresolved {
    /// The journal's reason. Asks policy once more: call it after the operator has the answer.
    pub fn reason(&self, rules: &Rules, principal: &Principal) -> String {
        match &self.forbidden {
            None => self.told.code().to_owned(),
            Some(amphora) => {
                let refusal = rules.policy.refusal_of_target(principal, amphora, &now());
                let by: Vec<String> = refusal
                    .rules()
                    .iter()
                    .map(ToString::to_string)
                    .chain(refusal.errors().iter().cloned())
                    .collect();
                format!(
                    "{} amphora-{} {}",
                    refusal.why().as_str(),
                    amphora.id,
                    by.join(", ")
                )
            }
        }
    }
}

impl From<Trouble> for Unresolved {
    fn from(told: Trouble) -> Self {
        Self {
            told,
            forbidden: None,
        }
    }
}

/// Who looks for a target, from where, by which rules.
pub struct Seeker<'a> {
    pub gateway: &'a Gateway,
    pub rules: &'a Rules,
    pub connection: &'a Connection,
    pub principal: &'a Principal,
}

/// What a name could mean, and whether the amphorae themselves have to say which.
fn candidates(found: Resolution) -> (Vec<Arc<Amphora>>, bool) {
    match found {
        Resolution::None => (Vec::new(), false),
        Resolution::One(amphora) => (vec![amphora], false),
        Resolution::Many(amphorae) => (amphorae, false),
        Resolution::AskWhichIsActive(amphorae) => (amphorae, true),
    }
}

/// The one amphora that `name` means and that this principal may connect to.
///
/// # Errors
/// The same refusal, after the same work, for a name that means nothing and for one that is forbidden (row 22 of
/// docs/KNOWN-ATTACKS.md). Only who may reach several is told that there are several.
pub async fn resolve(
    seeker: &Seeker<'_>,
    name: Option<&TargetName>,
) -> Result<Arc<Amphora>, Unresolved> {
    let Seeker {
        rules, principal, ..
    } = *seeker;
    let found = match name {
        Some(name) => rules
            .inventory
            .resolve(name)
            .await
            .unwrap_or(Resolution::None),
        None => Resolution::None,
    };
    let circumstances = now();
    let decide = |candidates: Vec<Arc<Amphora>>| -> (Vec<_>, Vec<_>) {
        if candidates.is_empty() {
            rules.policy.decide_decoy(principal, &circumstances);
        }
        candidates
            .into_iter()
            .partition(|amphora| rules.policy.may_connect(principal, amphora, &circumstances))
    };
    let (known, mut ask_which) = candidates(found);
    let means_something = !known.is_empty();
    let (mut reachable, mut forbidden) = decide(known);
    // Twice the work for whatever leads to a refusal. A name that means nothing was asked for, which may take a while: so is
    // one that is forbidden (it may belong to another by now). And each is decided before and after that.
    if reachable.is_empty() {
        let mut anew = Vec::new();
        if means_something && let Some(name) = name {
            let found = rules.inventory.resolve_anew(name).await;
            (anew, ask_which) = candidates(found.unwrap_or(Resolution::None));
        }
        (reachable, forbidden) = decide(anew);
    }
    choose(seeker, name, reachable, forbidden, ask_which).await
}

/// The same, asked for as if nothing were known: where a known amphora does not answer, a failover may have replaced it.
///
/// # Errors
/// As [`resolve`].
pub async fn resolve_anew(
    seeker: &Seeker<'_>,
    name: &TargetName,
) -> Result<Arc<Amphora>, Unresolved> {
    let Seeker {
        rules, principal, ..
    } = *seeker;
    let found = rules.inventory.resolve_anew(name).await;
    let (known, ask_which) = candidates(found.unwrap_or(Resolution::None));
    let circumstances = now();
    let (reachable, forbidden) = known
        .into_iter()
        .partition(|amphora| rules.policy.may_connect(principal, amphora, &circumstances));
    choose(seeker, Some(name), reachable, forbidden, ask_which).await
}

/// The one of those that this principal may reach; the amphorae themselves are asked where only they know.
async fn choose(
    seeker: &Seeker<'_>,
    name: Option<&TargetName>,
    mut reachable: Vec<Arc<Amphora>>,
    forbidden: Vec<Arc<Amphora>>,
    ask_which: bool,
) -> Result<Arc<Amphora>, Unresolved> {
    // Nobody is asked for whoever may reach none: that goes the way of an unknown name.
    if ask_which && !reachable.is_empty() {
        return Ok(active::which(seeker, &reachable, &now()).await?);
    }
    match (reachable.pop(), reachable.as_slice()) {
        (Some(amphora), []) => Ok(amphora),
        (Some(last), others) => {
            let mut reachable = others.to_vec();
            reachable.push(last);
            let told = Trouble::Denied(say_which(name, &reachable));
            Err(Unresolved {
                told,
                forbidden: None,
            })
        }
        (None, _) => Err(Unresolved {
            told: Trouble::Denied(NO_SUCH_AMPHORA.to_owned()),
            forbidden: forbidden.into_iter().next(),
        }),
    }
}

/// Several of those that this principal may reach. A load balancer's name means load balancers first, and those have ids that
/// outlive their amphorae.
fn say_which(name: Option<&TargetName>, reachable: &[Arc<Amphora>]) -> String {
    let balancers: BTreeSet<String> = reachable
        .iter()
        .map(|amphora| format!("lb-{}", amphora.load_balancer.id))
        .collect();
    let (of_what, choices) = match name {
        Some(TargetName::LoadBalancerName(..)) if balancers.len() > 1 => {
            ("load balancers", balancers)
        }
        _ => {
            let amphorae = reachable.iter().map(|a| format!("amphora-{}", a.id));
            ("amphorae", amphorae.collect())
        }
    };
    let choices: Vec<String> = choices.into_iter().collect();
    format!(
        "that name means several {of_what}; say which: {}",
        choices.join(", ")
    )
}
