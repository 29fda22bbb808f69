//! In: who asks, and what they typed for a session. Out: that session, with the right to watch, replay or end it.
//! Never: tells a session that does not exist from one that is not theirs to see; a right without a line in the journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ampgate_access::{
    Action, Circumstances, Landing, Overseen, Oversight, Principal, Refusal, SessionId,
};
use ampgate_audit::{Event, SessionRow};
use jiff::Timestamp;

use crate::gateway::{Connection, Gateway};
use crate::live::LiveSession;
use crate::rules::Rules;
use crate::sentence::Trouble;
use crate::wish::{Reason, SessionWord};

/// Sessions that one beginning of an id may mean before it is too short.
const ALIKE: usize = 8;
/// Lists that are made at the same time: policy is asked of each session.
pub const LISTS: usize = 2;
/// So long somebody waits for the others' lists.
const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody at the door who wants to see what others do.
#[derive(Clone)]
pub struct Overseer {
    pub gateway: Arc<Gateway>,
    pub connection: Arc<Connection>,
    pub principal: Arc<Principal>,
}

/// What is looked at at the same time, and how much of it there may be. Counted as long as it is held.
pub struct Place(Arc<AtomicUsize>);

impl Place {
    pub fn take(of: &Arc<AtomicUsize>, most: usize) -> Result<Self, Trouble> {
        let before = of.fetch_add(1, Ordering::AcqRel);
        let place = Self(Arc::clone(of));
        if before < most {
            return Ok(place);
        }
        Err(Trouble::Denied(format!(
            "{most} others do that now, and that is the limit; try again in a while"
        )))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn now() -> Circumstances {
    Circumstances {
        now: Timestamp::now(),
        reason: None,
        transfers: Vec::new(),
    }
}

/// One text for what does not exist and for what is forbidden.
fn no_such(action: Action) -> Trouble {
    let which = if action == Action::Replay {
        ""
    } else {
        " that is live"
    };
    Trouble::Denied(format!(
        "there is no such session{which}, or you may not {action} it (ask the gateway's administrators)"
    ))
}

fn several(ids: &[String]) -> Trouble {
    Trouble::Denied(format!(
        "that is the beginning of several sessions; say which: {}",
        ids.join(", ")
    ))
}

impl Overseer {
    /// The one live session that is meant and that may be watched or ended.
    ///
    /// # Errors
    /// The same sentence for a session that does not exist and for one that is forbidden.
    pub async fn live(
        &self,
        word: &SessionWord,
        action: Action,
    ) -> Result<(Arc<LiveSession>, Oversight), Trouble> {
        self.gateway.takes_sessions()?;
        let rules = self.gateway.rules();
        let principal = self.principal_now(&rules)?;
        let mut found: Vec<_> = self.gateway.sessions.all();
        found.retain(|live| live.session.to_string().starts_with(word.as_str()));
        let (mut allowed, mut refused) = (Vec::new(), None);
        for live in found {
            let of = where_it_is(&rules, &live).await;
            match rules
                .policy
                .oversee(live.session, &principal, &of, action, &now())
            {
                Ok(right) => allowed.push((live, right)),
                Err(refusal) => refused = Some((live.session, refusal)),
            }
            // Enough to say that it is too short.
            if allowed.len() == ALIKE {
                break;
            }
            tokio::task::yield_now().await;
        }
        if allowed.len() > 1 {
            let ids = allowed.iter().map(|(live, _)| live.session.to_string());
            return Err(several(&ids.collect::<Vec<_>>()));
        }
        match allowed.pop() {
            Some(one) => Ok(one),
            None => {
                self.refused(&rules, &principal, word, action, refused);
                Err(no_such(action))
            }
        }
    }

    /// The one recorded session that is meant and that may be replayed, running or over.
    ///
    /// # Errors
    /// As [`live`](Self::live).
    pub async fn recorded(&self, word: &SessionWord) -> Result<(SessionRow, Oversight), Trouble> {
        let action = Action::Replay;
        self.gateway.takes_sessions()?;
        let rules = self.gateway.rules();
        let principal = self.principal_now(&rules)?;
        let (gateway, start) = (Arc::clone(&self.gateway), word.as_str().to_owned());
        let rows = tokio::task::spawn_blocking(move || {
            gateway.index_is_current();
            gateway.index.beginning(&start, ALIKE)
        });
        let rows = match rows.await {
            Ok(Ok(rows)) => rows,
            _ => return Err(Trouble::Fault),
        };
        let (mut allowed, mut refused) = (Vec::new(), None);
        for row in rows {
            let Some((session, of)) = where_it_was(&rules, &row).await else {
                continue;
            };
            match rules
                .policy
                .oversee(session, &principal, &of, action, &now())
            {
                Ok(right) => allowed.push((row, right)),
                Err(refusal) => refused = Some((session, refusal)),
            }
        }
        if allowed.len() > 1 {
            let ids: Vec<_> = allowed.iter().map(|(row, _)| row.id.clone()).collect();
            return Err(several(&ids));
        }
        match allowed.pop() {
            Some(one) => Ok(one),
            None => {
                self.refused(&rules, &principal, word, action, refused);
                Err(no_such(action))
            }
        }
    }

    /// The live sessions that may be watched, oldest first.
    pub async fn visible(&self) -> Result<Vec<Arc<LiveSession>>, Trouble> {
        let listing = tokio::time::timeout(PATIENCE, self.gateway.listing.acquire());
        let Ok(Ok(_listing)) = listing.await else {
            return Err(Trouble::Denied(
                "too many list sessions just now; try again in a while".to_owned(),
            ));
        };
        let rules = self.gateway.rules();
        let principal = self.principal_now(&rules)?;
        let mut visible = Vec::new();
        for live in self.gateway.sessions.all() {
            let of = where_it_is(&rules, &live).await;
            let right = rules
                .policy
                .oversee(live.session, &principal, &of, Action::Watch, &now());
            if right.is_ok() {
                visible.push(live);
            }
            // A thousand questions are a while of work: others get their turn.
            tokio::task::yield_now().await;
        }
        visible.sort_unstable_by_key(|live| live.session);
        Ok(visible)
    }

    /// Ends a session in this person's name.
    ///
    /// # Errors
    /// They may not.
    pub async fn kill(&self, word: &SessionWord, why: Reason) -> Result<SessionId, Trouble> {
        let (live, right) = self.live(word, Action::Kill).await?;
        let by = right.principal().name().to_string();
        let first = live.kill(&self.gateway, by, why.into_text());
        match first {
            true => Ok(right.session()),
            false => Err(Trouble::NotOffered("it is ending already".to_owned())),
        }
    }

    /// Whether a right would be given again, to the person and for the amphora as they are now; and whether the gateway goes
    /// on.
    ///
    /// # Errors
    /// Why not, in a sentence.
    pub async fn still(&self, right: &Oversight) -> Result<(), String> {
        // Also when nothing can be written down any more: nobody looks then.
        self.gateway
            .takes_sessions()
            .map_err(|why| why.to_string())?;
        let rules = self.gateway.rules();
        let now = Timestamp::now();
        let people = &self.gateway.people;
        let principal = people.principal_now(&rules, right.principal(), now)?;
        let amphora = rules.inventory.by_id(&right.amphora().id).await;
        let amphora = amphora.ok().flatten();
        rules
            .policy
            .still_oversees(right, &principal, amphora.as_ref(), now)
            .map_err(|_| "the policy no longer allows it".to_owned())
    }

    /// The connection may be older than the files.
    fn principal_now(&self, rules: &Rules) -> Result<Principal, Trouble> {
        let people = &self.gateway.people;
        people
            .principal_now(rules, &self.principal, Timestamp::now())
            .map_err(Trouble::Revoked)
    }

    fn refused(
        &self,
        rules: &Rules,
        principal: &Principal,
        word: &SessionWord,
        action: Action,
        refused: Option<(SessionId, Refusal)>,
    ) {
        let (session, refusal) = match refused {
            Some((session, refusal)) => (Some(session), refusal),
            None => (None, rules.policy.oversee_decoy(principal, action, &now())),
        };
        let user = principal.name().as_str().into();
        let source = self.connection.source.ip().to_string().into();
        let connection = self.connection.id.as_str().into();
        let asked = word.as_str().into();
        let reason = refusal.why().as_str().into();
        let rules = refusal.rules().iter().map(|rule| rule.to_string().into());
        let rules = rules.collect();
        let event = match action {
            Action::Replay => Event::ReplayRefused {
                user,
                source,
                connection,
                asked,
                reason,
                rules,
            },
            _ => Event::WatchRefused {
                user,
                source,
                connection,
                action: action.as_str().into(),
                asked,
                reason,
                rules,
            },
        };
        self.gateway.journal(session, event);
    }
}

/// A live session's amphora as the inventory has it now; as the grant has it, where it has left.
async fn where_it_is(rules: &Rules, live: &LiveSession) -> Overseen {
    let known = live.grant.amphora();
    let amphora = rules.inventory.by_id(&known.id).await.ok().flatten();
    let here = Overseen::known(Arc::clone(known), live.grant.landing());
    match amphora {
        Some(amphora) if here.is_at(&amphora) => Overseen::known(amphora, live.grant.landing()),
        _ => here,
    }
}

/// The same of a session in the index. None where too little is known: that is a refusal.
async fn where_it_was(rules: &Rules, row: &SessionRow) -> Option<(SessionId, Overseen)> {
    let session = SessionId::parse(&row.id).ok()?;
    let landing: Landing = row.landing.parse().ok()?;
    let id = ampgate_access::AmphoraId::parse(&row.amphora).ok()?;
    let known = rules.inventory.by_id(&id).await.ok().flatten();
    // An amphora that serves somebody else now says nothing about whom the session was about.
    let same = known.filter(|amphora| {
        amphora.load_balancer.id.to_string() == row.load_balancer
            && amphora.load_balancer.project.to_string() == row.project
    });
    let of = match same {
        Some(amphora) => Overseen::known(amphora, landing),
        None => Overseen::remembered(
            &row.amphora,
            &row.load_balancer,
            &row.load_balancer_name,
            &row.project,
            landing,
        )
        .ok()?,
    };
    Some((session, of))
}
