//! In: a principal, an amphora, and what is asked for there. Out: a `Grant`, or a refusal that says no more than it must.
//! Never: decides by itself; it asks `access::decide`, and writes the answer down.

use std::sync::Arc;

use ampgate_access::{
    Amphora, Circumstances, Grant, NO_SUCH_AMPHORA, Principal, Requested, SessionId,
};
use ampgate_audit::{About, Event};
use ampgate_inventory::{State, show_age};
use jiff::Timestamp;

use crate::ask::Asked;
use crate::rules::Rules;
use crate::sentence::Trouble;
use crate::session::Visit;

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
    let circumstances = Circumstances {
        now: Timestamp::now(),
        reason: asked.reason.clone(),
        transfers: asked.ask.transfers(),
    };
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
    let circumstances = Circumstances {
        now,
        reason: None,
        transfers: Vec::new(),
    };
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

#[cfg(test)]
mod tests {
    use ampgate_access::{Ask, Transfer};
    use ampgate_transfer::{Command, RsyncCommand};

    /// What is read on its way is never hidden from a rule about its tool.
    #[test]
    fn policy_knows_every_command_that_is_read() {
        for command in [
            "scp -t a",
            "scp -f /tmp/x",
            "scp -v -r -p -d -t -- -odd",
            "scp -t -- scp",
        ] {
            assert!(Command::parse(command.as_bytes()).is_some(), "{command}");
            let transfers = Ask::Exec(command.into()).transfers();
            assert_eq!(transfers, [Transfer::Scp], "{command}");
        }
        for command in [
            "rsync --server -r . a",
            "rsync --server --sender -logDtpre.iLsfxCIvu --delete . /tmp/rsync",
        ] {
            assert!(
                RsyncCommand::parse(command.as_bytes()).is_some(),
                "{command}"
            );
            let transfers = Ask::Exec(command.into()).transfers();
            assert_eq!(transfers, [Transfer::Rsync], "{command}");
        }
    }
}
