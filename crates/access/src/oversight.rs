//! In: an authenticated principal, and somebody's session: running, or over.
//! Out: the right to watch it, to see its recording or to end it; or why not.
//! Never: a right by landing there: these actions are asked for by themselves; a session of which too little is known.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::amphora::{Amphora, LoadBalancer};
use crate::decide::{Action, Answer, Circumstances, Refusal, Why};
use crate::landing::Landing;
use crate::names::{AmphoraId, LoadBalancerId, LoginUser, NameError, ProjectId, SessionId};
use crate::policy::{Policy, RuleRef};
use crate::principal::{Principal, Subject};
use crate::request::Detail;

/// Where a session was: what policy is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overseen {
    amphora: Arc<Amphora>,
    landing: Landing,
    /// All of it is known, as the inventory knows it.
    whole: bool,
}

impl Overseen {
    /// On an amphora that the inventory has.
    pub fn known(amphora: Arc<Amphora>, landing: Landing) -> Self {
        Self {
            amphora,
            landing,
            whole: true,
        }
    }

    /// On an amphora that has left the inventory: what the journal remembers of it. A rule that asks for more than that (a
    /// tag, a name, the provider) cannot be evaluated, and refuses.
    ///
    /// # Errors
    /// It remembers too little.
    pub fn remembered(
        amphora: &str,
        load_balancer: &str,
        load_balancer_name: &str,
        project: &str,
        landing: Landing,
    ) -> Result<Self, NameError> {
        let amphora = Amphora {
            id: AmphoraId::parse(amphora)?,
            names: Vec::new(),
            address: None,
            login_user: LoginUser::parse("nobody")?,
            load_balancer: Arc::new(LoadBalancer {
                id: LoadBalancerId::parse(load_balancer)?,
                name: load_balancer_name.to_owned(),
                project: ProjectId::parse(project)?,
                project_name: None,
                tags: BTreeSet::new(),
                provider: String::new(),
                flavor: None,
                availability_zone: None,
                vip: None,
            }),
            role: None,
            status: None,
            zone: None,
            compute_id: None,
            host_key: None,
        };
        Ok(Self {
            amphora: Arc::new(amphora),
            landing,
            whole: false,
        })
    }

    /// Whether this is the same amphora, of the same load balancer in the same project.
    pub fn is_at(&self, amphora: &Amphora) -> bool {
        let (here, there) = (&self.amphora.load_balancer, &amphora.load_balancer);
        self.amphora.id == amphora.id && here.id == there.id && here.project == there.project
    }

    /// The amphora.
    pub fn amphora(&self) -> &Arc<Amphora> {
        &self.amphora
    }
}

/// The right to watch, to replay or to end one session. Only [`Policy::oversee`] makes one. It is no
/// [`Grant`](crate::Grant): nothing can be run with it.
///
/// ```compile_fail,E0451
/// use ampgate_access::{Action, Oversight};
/// fn forge(from: Oversight) -> Oversight {
///     Oversight { action: Action::Kill, ..from }
/// }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Oversight {
    session: SessionId,
    principal: Principal,
    of: Overseen,
    action: Action,
    rules: Vec<RuleRef>,
}

impl Oversight {
    /// Whose right it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// To which session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// On which amphora that was.
    pub fn amphora(&self) -> &Arc<Amphora> {
        &self.of.amphora
    }

    /// To do what: one of [`Action::OF_OTHERS`].
    pub fn action(&self) -> Action {
        self.action
    }

    /// The rules that gave it.
    pub fn rules(&self) -> &[RuleRef] {
        &self.rules
    }
}

impl Policy {
    /// May this principal watch, replay or end (`action`, one of [`Action::OF_OTHERS`]) this session?
    ///
    /// # Errors
    /// The refusal, with the rules behind it for the journal.
    pub fn oversee(
        &self,
        session: SessionId,
        principal: &Principal,
        of: &Overseen,
        action: Action,
        circumstances: &Circumstances,
    ) -> Result<Oversight, Refusal> {
        self.may_oversee(principal, of, action, circumstances)
            .map(|rules| Oversight {
                session,
                principal: principal.clone(),
                of: of.clone(),
                action,
                rules,
            })
    }

    /// Would the right be given again, to the principal and for the amphora as they are now?
    ///
    /// # Errors
    /// Why what it allows must end.
    pub fn still_oversees(
        &self,
        right: &Oversight,
        principal: &Principal,
        now_known: Option<&Arc<Amphora>>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let same = principal.name() == right.principal.name()
            && principal.proof == right.principal.proof
            && principal.source() == right.principal.source();
        if !same {
            return Err(Refusal::of(Why::Mismatch));
        }
        let of = match now_known {
            // An id that serves another load balancer now is another place: what was recorded was the first one's.
            Some(amphora) if right.of.is_at(amphora) => {
                &Overseen::known(Arc::clone(amphora), right.of.landing)
            }
            _ => &right.of,
        };
        let circumstances = Circumstances {
            now,
            reason: None,
            transfers: Vec::new(),
        };
        self.may_oversee(principal, of, right.action, &circumstances)
            .map(drop)
    }

    /// The refusal for a session that does not exist, after the work of one that does.
    pub fn oversee_decoy(
        &self,
        principal: &Principal,
        action: Action,
        circumstances: &Circumstances,
    ) -> Refusal {
        let of = Overseen::known(Arc::clone(&self.decoy), Landing::Plain);
        let _ = std::hint::black_box(self.may_oversee(principal, &of, action, circumstances));
        Refusal::of(Why::Unknown)
    }

    fn may_oversee(
        &self,
        principal: &Principal,
        of: &Overseen,
        action: Action,
        circumstances: &Circumstances,
    ) -> Result<Vec<RuleRef>, Refusal> {
        let ends = principal.ends;
        if ends.is_some_and(|end| end <= circumstances.now) {
            return Err(Refusal::of(Why::Expired));
        }
        // What is done by landing is decided by `decide`, which asks for `connect` too.
        if !Action::OF_OTHERS.contains(&action) {
            return Err(Refusal::of(Why::Mismatch));
        }
        let answer = self.ask_about(principal.subject(), of, action, circumstances);
        if answer.allowed() {
            Ok(answer.permits)
        } else {
            Err(Refusal::of_answer(answer))
        }
    }

    fn ask_about(
        &self,
        subject: &Subject,
        of: &Overseen,
        action: Action,
        circumstances: &Circumstances,
    ) -> Answer {
        if of.whole {
            return self.ask(subject, &of.amphora, of.landing, action, circumstances);
        }
        let mut answer = Answer::default();
        let kinds = &self.kinds;
        let asked = kinds
            .entities_as_known(subject, &of.amphora, false)
            .and_then(|entities| {
                let context = kinds.context(subject, of.landing, circumstances, Detail::None)?;
                self.evaluate(
                    subject,
                    &of.amphora,
                    action,
                    context,
                    &entities,
                    &mut answer,
                )
            });
        if let Err(error) = asked {
            answer.errors.push(error.to_string());
        }
        answer.in_order()
    }
}
