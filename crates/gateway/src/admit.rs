//! In: a principal, a target name, and what is asked for there. Out: a `Grant`, or a refusal that says no more than it must.
//! Never: decides by itself; it resolves, asks `access::decide`, and writes the answer down.

use std::collections::BTreeSet;
use std::sync::Arc;

use ampgate_access::{
    Amphora, Circumstances, Grant, NO_SUCH_AMPHORA, Principal, Requested, SessionId, TargetName,
};
use ampgate_audit::{About, Event};
use ampgate_inventory::{Resolution, State, show_age};
use jiff::Timestamp;

use crate::active;
use crate::ask::Asked;
use crate::gateway::{Connection, Gateway};
use crate::rules::Rules;
use crate::sentence::Trouble;
use crate::session::Visit;

/// Now, with the reason that the operator gave, if one was asked for it.
fn now(reason: Option<&str>) -> Circumstances {
    Circumstances {
        now: Timestamp::now(),
        reason: reason.map(str::to_owned),
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
                let refusal = rules
                    .policy
                    .refusal_of_target(principal, amphora, &now(None));
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
    let circumstances = now(None);
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
    let circumstances = now(None);
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
        let now = now(None);
        return Ok(active::which(seeker, &reachable, &now).await?);
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

/// Decides what was asked for, and journals the decision.
///
/// # Errors
/// The refusal, in the operator's words; the rules behind it are in the journal.
pub async fn admit(
    visit: &Visit,
    asked: &Asked,
    session: SessionId,
) -> Result<(Grant, Arc<Amphora>), Trouble> {
    let gateway = &visit.gateway;
    let rules = gateway.rules();
    let circumstances = now(asked.reason.as_deref());
    gateway.takes_sessions()?;
    let about = about(visit, asked);
    let refuse = |trouble: Trouble, by: Vec<String>, landing: &str| {
        let mut about = about.clone();
        about.landing = landing.into();
        gateway.journal(
            Some(session),
            Event::GrantRefused {
                about: Box::new(about),
                refusal: trouble.to_string().into(),
                rules: by.into_iter().map(Into::into).collect(),
                reason: asked.reason.as_deref().map(Into::into),
            },
        );
        Err(trouble)
    };
    // The connection may be older than the files: groups, keys, tags and the inventory count as they are now.
    let principal = gateway
        .people
        .principal_now(&rules, &visit.principal, circumstances.now);
    let principal = match principal {
        Ok(principal) => principal,
        Err(gone) => return refuse(Trouble::Revoked(gone), vec![], ""),
    };
    let Some(amphora) = current(&rules, visit).await else {
        rules.policy.decide_decoy(&visit.principal, &circumstances);
        let told = visit.refused.as_ref().map_or_else(
            || Trouble::Denied(NO_SUCH_AMPHORA.to_owned()),
            |refused| refused.told.clone(),
        );
        let reason = visit
            .refused
            .as_ref()
            .map(|refused| refused.reason(&rules, &visit.principal));
        return refuse(told, reason.into_iter().collect(), "");
    };
    let landing = match visit.landing() {
        Ok(Requested::Landing(landing)) => Some(landing),
        Ok(Requested::Default) => {
            rules
                .policy
                .default_landing(&principal, &amphora, &circumstances)
        }
        Err(trouble) => return refuse(trouble, vec![], ""),
    };
    let Some(landing) = landing else {
        return refuse(Trouble::Denied(NO_SUCH_AMPHORA.to_owned()), vec![], "");
    };
    match rules.policy.decide(
        session,
        &principal,
        &amphora,
        landing,
        asked.ask.action(),
        &circumstances,
    ) {
        Ok(grant) => {
            let mut about = about.clone();
            about.landing = landing.to_string().into();
            let until = grant.ends().map(|end| end.to_string().into());
            let by = grant
                .rules()
                .iter()
                .map(|rule| rule.to_string().into())
                .collect();
            gateway.journal(
                Some(session),
                Event::GrantGiven {
                    about: Box::new(about),
                    rules: by,
                    until,
                    reason: asked.reason.as_deref().map(Into::into),
                    inventory_age_seconds: rules.inventory.age().map(|age| age.as_secs()),
                },
            );
            Ok((grant, amphora))
        }
        Err(refusal) => {
            let by = refusal.rules().iter().map(ToString::to_string).collect();
            refuse(
                Trouble::Denied(refusal.operator_text().to_owned()),
                by,
                &landing.to_string(),
            )
        }
    }
}

/// The visit's amphora as the inventory has it now; the last known one while the inventory cannot be asked.
async fn current(rules: &Rules, visit: &Visit) -> Option<Arc<Amphora>> {
    let known = visit.amphora.as_ref()?;
    rules
        .inventory
        .by_id(&known.id)
        .await
        .unwrap_or_else(|_| Some(Arc::clone(known)))
}

/// Writes down that something was refused which no rule could ever allow.
pub fn not_offered(visit: &Visit, session: SessionId, told: &Trouble) {
    visit.gateway.journal(
        Some(session),
        Event::GrantRefused {
            about: Box::new(who(visit)),
            refusal: told.to_string().into(),
            rules: vec![],
            reason: None,
        },
    );
}

/// What is known before anything is asked for.
fn who(visit: &Visit) -> About {
    About {
        connection: visit.connection.id.as_str().into(),
        user: visit.principal.name().as_str().into(),
        source: visit.connection.source.ip().to_string().into(),
        target: visit.target.as_str().into(),
        ..About::default()
    }
}

/// The facts that every event of a session repeats.
pub fn about(visit: &Visit, asked: &Asked) -> About {
    let mut about = who(visit);
    about.action = asked.ask.action().to_string().into();
    if let ampgate_access::Ask::Exec(command) = &asked.ask {
        about.command = Some(command.as_slice().into());
    }
    if let Some(amphora) = &visit.amphora {
        about.amphora = amphora.id.to_string().into();
        about.load_balancer = amphora.load_balancer.id.to_string().into();
        about.load_balancer_name = amphora.load_balancer.name.as_str().into();
        about.project = amphora.load_balancer.project.to_string().into();
    }
    about
}

/// What `ssh gateway` answers: the targets this principal may reach, and what to type.
pub async fn greeting(
    rules: &Rules,
    principal: &Principal,
    gateway: &str,
    now: Timestamp,
) -> String {
    let circumstances = Circumstances { now, reason: None };
    let mut lines = Vec::new();
    for amphora in rules.inventory.all().await.unwrap_or_default() {
        if rules
            .policy
            .may_connect(principal, &amphora, &circumstances)
        {
            lines.push(format!(
                "  amphora-{}  {}",
                amphora.id,
                amphora.load_balancer.name.escape_debug()
            ));
        }
    }
    lines.sort();
    if lines.is_empty() {
        lines.push("  (none: ask an admin to run `ampgate what-can` for you)".to_owned());
    }
    let condition = rules.inventory.condition().await;
    let old = match (condition.state, condition.age) {
        (State::Fixed | State::Fresh, _) => String::new(),
        (_, Some(age)) => format!(
            "What is known of the amphorae is {} old; OpenStack has not been heard since.\n",
            show_age(age)
        ),
        (_, None) => "OpenStack has not been heard yet.\n".to_owned(),
    };
    format!(
        "ampgate: hello {}. This gateway gives no shell of its own.\n{old}You may reach:\n{}\nType  ssh -J {gateway} amphora-<uuid>   (root@ or netns@ before the name for another landing)\n",
        principal.name(),
        lines.join("\n"),
    )
}
