//! In: a principal, an amphora, a landing, an action, the circumstances.
//! Out: a grant with the rules that gave it, or a refusal.
//! Never: a grant from anywhere else; never an allow when a rule could not be evaluated.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{Context, Decision, Entities, PolicyId};
use jiff::Timestamp;

use crate::amphora::Amphora;
use crate::landing::Landing;
use crate::names::{NameError, SessionId};
use crate::policy::{Policy, Rule, RuleEffect, RuleRef};
use crate::principal::{Principal, Subject};
use crate::request::{Detail, Untranslatable};
use crate::transfer::Transfer;

/// What is done.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Reaching the amphora at all. Every other action needs this one too.
    Connect,
    /// A shell.
    Shell,
    /// A command; scp and rsync are commands.
    Exec,
    /// The sftp subsystem.
    Sftp,
    /// A connection from the amphora on to somewhere else.
    Forward,
    /// Beginning a session although the gateway's disk has less room than is kept in reserve.
    #[serde(rename = "break-glass")]
    BreakGlass,
    /// Within sftp: the content of a file goes to the operator.
    Read,
    /// Within sftp: something is made, changed, or gets another name.
    Write,
    /// Within sftp: names, sizes, owners, times.
    List,
    /// Within sftp: a name goes.
    Delete,
    /// Seeing somebody's session as it happens.
    Watch,
    /// Seeing or fetching the recording of a session.
    Replay,
    /// Ending somebody's session.
    Kill,
}

impl Action {
    /// What is asked about an amphora as a whole.
    pub const ALL: [Self; 6] = [
        Self::Connect,
        Self::Shell,
        Self::Exec,
        Self::Sftp,
        Self::Forward,
        Self::BreakGlass,
    ];

    /// What is asked about one file: [`Policy::decide_file`].
    pub const OF_FILES: [Self; 4] = [Self::Read, Self::Write, Self::List, Self::Delete];

    /// What is asked about other people's sessions: [`Policy::oversee`]. None of it needs `connect`, and nothing that lets
    /// somebody land implies any of it.
    pub const OF_OTHERS: [Self; 3] = [Self::Watch, Self::Replay, Self::Kill];

    /// What a session channel can ask for.
    pub(crate) const OF_SESSIONS: [Self; 3] = [Self::Shell, Self::Exec, Self::Sftp];

    /// The word in policy, files and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Shell => "shell",
            Self::Exec => "exec",
            Self::Sftp => "sftp",
            Self::Forward => "forward",
            Self::BreakGlass => "break-glass",
            Self::Read => "read",
            Self::Write => "write",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Watch => "watch",
            Self::Replay => "replay",
            Self::Kill => "kill",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL
            .into_iter()
            .chain(Self::OF_OTHERS)
            .find(|action| action.as_str() == text)
            .ok_or_else(|| {
                NameError::new(
                    "an action is connect, shell, exec, sftp, forward, break-glass, watch, replay or kill",
                )
            })
    }
}

/// When, and why in the operator's own words. Whence and how are the principal's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// The moment of the question.
    pub now: Timestamp,
    /// Given by the operator.
    pub reason: Option<String>,
    /// What a command looks like: [`Transfer::in_command`]. Counts for `exec` only.
    pub transfers: Vec<Transfer>,
}

/// One allowed landing for one action of one session. Only [`Policy::decide`] makes one.
///
/// ```compile_fail,E0451
/// use ampgate_access::Grant;
/// fn forge(from: Grant) -> Grant {
///     Grant { landing: ampgate_access::Landing::Root, ..from }
/// }
/// ```
///
/// ```compile_fail,E0599
/// fn two(from: ampgate_access::Grant) -> (ampgate_access::Grant, ampgate_access::Grant) {
///     (from.clone(), from)
/// }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Grant {
    session: SessionId,
    principal: Principal,
    amphora: Arc<Amphora>,
    landing: Landing,
    action: Action,
    reason: Option<String>,
    transfers: Vec<Transfer>,
    rules: Vec<RuleRef>,
    ends: Option<Timestamp>,
}

impl Grant {
    /// The session it was given for.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Whom it was given to.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The amphora it is about.
    pub fn amphora(&self) -> &Arc<Amphora> {
        &self.amphora
    }

    /// The landing it is about.
    pub fn landing(&self) -> Landing {
        self.landing
    }

    /// The action it is about.
    pub fn action(&self) -> Action {
        self.action
    }

    /// What the operator gave as the reason.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The rules that gave it.
    pub fn rules(&self) -> &[RuleRef] {
        &self.rules
    }

    /// When the user's or the key's time is over.
    pub fn ends(&self) -> Option<Timestamp> {
        self.ends
    }
}

/// Why not. A value, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    why: Why,
    rules: Vec<RuleRef>,
    errors: Vec<String>,
    /// What may be told to somebody who knows that the amphora is there.
    told: Option<String>,
}

/// The kind of a refusal, for the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No rule permits it.
    NotPermitted,
    /// A rule forbids it.
    Forbidden,
    /// A rule could not be evaluated.
    PolicyError,
    /// There is no such amphora.
    Unknown,
    /// The grant's time is over.
    Expired,
    /// The principal or the amphora is not the grant's.
    Mismatch,
}

impl Why {
    /// The word in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotPermitted => "not_permitted",
            Self::Forbidden => "forbidden",
            Self::PolicyError => "policy_error",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Mismatch => "mismatch",
        }
    }
}

/// What somebody hears who may not reach an amphora, or asked for one that does not exist: one text for both.
pub const NO_SUCH_AMPHORA: &str = "no such amphora, or you may not reach it (try \"ampgate explain\" on the gateway, or ask its administrators)";

impl Refusal {
    pub(crate) fn of_answer(answer: Answer) -> Self {
        Self {
            why: answer.why(),
            rules: answer.forbids,
            errors: answer.errors,
            told: None,
        }
    }

    pub(crate) fn of(why: Why) -> Self {
        Self {
            why,
            rules: Vec::new(),
            errors: Vec::new(),
            told: None,
        }
    }

    /// What the operator is told. Only somebody who may reach the amphora in another way learns more than
    /// [`NO_SUCH_AMPHORA`].
    pub fn operator_text(&self) -> &str {
        self.told.as_deref().unwrap_or(NO_SUCH_AMPHORA)
    }

    /// What somebody is told whose running session ends by it.
    pub fn ended_text(&self) -> &'static str {
        match self.why {
            Why::Expired => "your access to this amphora has expired",
            _ => "the policy no longer allows this session",
        }
    }

    /// For the journal: the kind.
    pub fn why(&self) -> Why {
        self.why
    }

    /// For the journal: the rules that forbid.
    pub fn rules(&self) -> &[RuleRef] {
        &self.rules
    }

    /// For the journal: what could not be evaluated.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }
}

/// What the rules say to one or several questions that all must be allowed.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) permits: Vec<RuleRef>,
    pub(crate) forbids: Vec<RuleRef>,
    pub(crate) not_permitted: Vec<Action>,
    pub(crate) errors: Vec<String>,
    pub(crate) default_landings: Vec<Landing>,
    /// A permit among them asks for the content of files.
    pub(crate) keeps: bool,
}

impl Answer {
    pub(crate) fn allowed(&self) -> bool {
        self.forbids.is_empty()
            && self.not_permitted.is_empty()
            && self.errors.is_empty()
            && !self.permits.is_empty()
    }

    fn why(&self) -> Why {
        if !self.errors.is_empty() {
            Why::PolicyError
        } else if !self.forbids.is_empty() {
            Why::Forbidden
        } else {
            Why::NotPermitted
        }
    }
}

impl Answer {
    /// Rules as the file has them, each once.
    pub(crate) fn in_order(mut self) -> Self {
        for rules in [&mut self.permits, &mut self.forbids] {
            rules.sort_by(|a, b| (a.line, &a.id).cmp(&(b.line, &b.id)));
            rules.dedup();
        }
        self
    }
}

impl Policy {
    /// The decision: may this principal do this, in this landing, on this amphora, now? Both `connect` and the action must
    /// be permitted and neither forbidden.
    ///
    /// # Errors
    /// The refusal, with the rules behind it for the journal.
    pub fn decide(
        &self,
        session: SessionId,
        principal: &Principal,
        amphora: &Arc<Amphora>,
        landing: Landing,
        action: Action,
        circumstances: &Circumstances,
    ) -> Result<Grant, Refusal> {
        if principal.ends.is_some_and(|end| end <= circumstances.now) {
            return Err(Refusal::of(Why::Expired));
        }
        let subject = principal.subject();
        let answer = self.ask(subject, amphora, landing, action, circumstances);
        if !answer.allowed() {
            return Err(self.refuse(answer, subject, amphora, landing, action, circumstances));
        }
        Ok(Grant {
            session,
            principal: principal.clone(),
            amphora: Arc::clone(amphora),
            landing,
            action,
            reason: circumstances.reason.clone(),
            transfers: circumstances.transfers.clone(),
            rules: answer.permits,
            ends: principal.ends,
        })
    }

    /// May this principal reach the amphora at all, in any landing? The first question about every target.
    pub fn may_connect(
        &self,
        principal: &Principal,
        amphora: &Arc<Amphora>,
        circumstances: &Circumstances,
    ) -> bool {
        principal.ends.is_none_or(|end| end > circumstances.now)
            && self.reachable(principal.subject(), amphora, circumstances)
    }

    /// The landing of somebody who asks for none: the first of plain, root, netns in which a shell, a command or sftp
    /// is allowed; if a permit behind one of these carries `@default_landing` and that landing is allowed, that one. What the
    /// command looks like does not count: it decides what may be done there, and not where somebody lands.
    pub fn default_landing(
        &self,
        principal: &Principal,
        amphora: &Arc<Amphora>,
        circumstances: &Circumstances,
    ) -> Option<Landing> {
        let circumstances = &Circumstances {
            transfers: Vec::new(),
            ..circumstances.clone()
        };
        let no_wishes = self.rules.values().all(|r| r.default_landing.is_none());
        let mut allowed = Vec::new();
        let mut wished = Vec::new();
        for landing in Landing::ALL {
            for action in Action::OF_SESSIONS {
                let answer = self.ask(principal.subject(), amphora, landing, action, circumstances);
                if !answer.allowed() {
                    continue;
                }
                if no_wishes {
                    return Some(landing);
                }
                allowed.push(landing);
                wished.extend(answer.default_landings);
            }
        }
        wished.sort_unstable();
        wished
            .into_iter()
            .find(|landing| allowed.contains(landing))
            .or_else(|| allowed.first().copied())
    }

    /// Would the grant be given again? `principal` comes from [`Users::recheck`](crate::Users::recheck) and `amphora`
    /// from the inventory as they are now: groups and tags may have changed as well as the rules.
    ///
    /// # Errors
    /// Why the session must end.
    pub fn recheck(
        &self,
        grant: &Grant,
        principal: &Principal,
        amphora: &Arc<Amphora>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let same = principal.name() == grant.principal.name()
            && principal.proof == grant.principal.proof
            && principal.source() == grant.principal.source()
            && amphora.id == grant.amphora.id;
        if !same {
            return Err(Refusal::of(Why::Mismatch));
        }
        let ends = [grant.ends, principal.ends].into_iter().flatten().min();
        if ends.is_some_and(|end| end <= now) {
            return Err(Refusal::of(Why::Expired));
        }
        let circumstances = Circumstances {
            now,
            reason: grant.reason.clone(),
            transfers: grant.transfers.clone(),
        };
        let answer = self.ask(
            principal.subject(),
            amphora,
            grant.landing,
            grant.action,
            &circumstances,
        );
        if answer.allowed() {
            return Ok(());
        }
        Err(Refusal {
            why: answer.why(),
            rules: answer.forbids,
            errors: answer.errors,
            told: None,
        })
    }

    /// May the session that was granted begin although the disk has less room than is kept in reserve? Asked then only; the
    /// rules that say yes are for the journal.
    ///
    /// # Errors
    /// The refusal, with the rules behind it.
    pub fn break_glass(&self, grant: &Grant, now: Timestamp) -> Result<Vec<RuleRef>, Refusal> {
        let circumstances = Circumstances {
            now,
            reason: grant.reason.clone(),
            transfers: Vec::new(),
        };
        let answer = self.ask(
            grant.principal.subject(),
            &grant.amphora,
            grant.landing,
            Action::BreakGlass,
            &circumstances,
        );
        if answer.allowed() {
            Ok(answer.permits)
        } else {
            Err(Refusal::of_answer(answer))
        }
    }

    /// The refusal for a target that does not exist, after the work of [`may_connect`](Self::may_connect): neither text
    /// nor time tells it from one that may not be reached.
    pub fn decide_decoy(&self, principal: &Principal, circumstances: &Circumstances) -> Refusal {
        // The answer is of no use; `black_box` keeps the work.
        std::hint::black_box(self.may_connect(principal, &self.decoy, circumstances));
        Refusal::of(Why::Unknown)
    }

    /// The refusal for a target that may not be reached, for the same text as [`decide_decoy`](Self::decide_decoy) and
    /// with the rules for the journal. Evaluates the policy once more; call it after the answer is on its way.
    pub fn refusal_of_target(
        &self,
        principal: &Principal,
        amphora: &Arc<Amphora>,
        circumstances: &Circumstances,
    ) -> Refusal {
        let answer = self.ask(
            principal.subject(),
            amphora,
            Landing::Plain,
            Action::Connect,
            circumstances,
        );
        Refusal {
            why: answer.why(),
            rules: answer.forbids,
            errors: answer.errors,
            told: None,
        }
    }

    /// Both questions, `connect` and the action, always both; about other people's sessions the action alone.
    pub(crate) fn ask(
        &self,
        subject: &Subject,
        amphora: &Amphora,
        landing: Landing,
        action: Action,
        circumstances: &Circumstances,
    ) -> Answer {
        let mut answer = Answer::default();
        let asked = self.words(subject, amphora, landing, circumstances);
        let asked = asked.and_then(|(entities, context)| {
            if action != Action::Connect && !Action::OF_OTHERS.contains(&action) {
                self.evaluate(
                    subject,
                    amphora,
                    Action::Connect,
                    context.clone(),
                    &entities,
                    &mut answer,
                )?;
            }
            let door = context.clone();
            if action == Action::Exec && !circumstances.transfers.is_empty() {
                return self.evaluate_transfers(
                    subject,
                    amphora,
                    landing,
                    circumstances,
                    &entities,
                    &mut answer,
                );
            }
            self.evaluate(subject, amphora, action, context, &entities, &mut answer)?;
            if action == Action::Sftp && answer.not_permitted == [Action::Sftp] {
                self.some_file(subject, amphora, door, &entities, &mut answer)?;
            }
            Ok(())
        });
        if let Err(error) = asked {
            answer.errors.push(error.to_string());
        }
        answer.in_order()
    }

    /// `exec` of each tool that the command may be: all must be allowed, because any of them may run.
    fn evaluate_transfers(
        &self,
        subject: &Subject,
        amphora: &Amphora,
        landing: Landing,
        circumstances: &Circumstances,
        entities: &Entities,
        answer: &mut Answer,
    ) -> Result<(), Untranslatable> {
        for tool in &circumstances.transfers {
            let detail = Detail::Transfer(*tool);
            let context = self
                .kinds
                .context(subject, landing, circumstances, detail)?;
            self.evaluate(subject, amphora, Action::Exec, context, entities, answer)?;
        }
        Ok(())
    }

    pub(crate) fn words(
        &self,
        subject: &Subject,
        amphora: &Amphora,
        landing: Landing,
        circumstances: &Circumstances,
    ) -> Result<(Entities, Context), Untranslatable> {
        Ok((
            self.kinds.entities(subject, amphora)?,
            self.kinds
                .context(subject, landing, circumstances, Detail::None)?,
        ))
    }

    pub(crate) fn evaluate(
        &self,
        subject: &Subject,
        amphora: &Amphora,
        action: Action,
        context: Context,
        entities: &Entities,
        answer: &mut Answer,
    ) -> Result<(), Untranslatable> {
        let request = self
            .kinds
            .request(subject, amphora, action, context, Some(&self.schema))?;
        let response = self.authorizer.is_authorized(&request, &self.set, entities);
        let diagnostics = response.diagnostics();
        let mut permitted = false;
        for id in diagnostics.reason() {
            let Some(rule) = self.rules.get(id) else {
                answer
                    .errors
                    .push(format!("{action}: a rule without a name decided"));
                continue;
            };
            match rule.reference.effect {
                RuleEffect::Permit => {
                    permitted = true;
                    answer.permits.push(rule.reference.clone());
                    answer.default_landings.extend(rule.default_landing);
                    answer.keeps |= rule.keeps;
                }
                RuleEffect::Forbid => answer.forbids.push(rule.reference.clone()),
            }
        }
        // Cedar leaves out a rule that it cannot evaluate. Were that a forbid, leaving it out would allow.
        for error in diagnostics.errors() {
            answer.errors.push(self.evaluation_error(action, error));
        }
        let forbidden = !answer.forbids.is_empty();
        if !forbidden && (response.decision() == Decision::Deny || !permitted) {
            answer.not_permitted.push(action);
            answer.not_permitted.dedup();
        }
        Ok(())
    }

    fn evaluation_error(&self, action: Action, error: &cedar_policy::AuthorizationError) -> String {
        let cedar_policy::AuthorizationError::PolicyEvaluationError(inner) = error;
        let id: &PolicyId = inner.policy_id();
        let rule = self
            .rules
            .get(id)
            .map(|rule: &Rule| rule.reference.to_string());
        let why = inner.inner();
        format!(
            "{action}: {} could not be evaluated: {why}",
            rule.unwrap_or_else(|| id.to_string())
        )
    }

    pub(crate) fn reachable(
        &self,
        subject: &Subject,
        amphora: &Amphora,
        circumstances: &Circumstances,
    ) -> bool {
        // All three, whatever the first says: the time does not tell which landing it was.
        Landing::ALL
            .map(|landing| {
                self.ask(subject, amphora, landing, Action::Connect, circumstances)
                    .allowed()
            })
            .contains(&true)
    }

    fn refuse(
        &self,
        answer: Answer,
        subject: &Subject,
        amphora: &Amphora,
        landing: Landing,
        action: Action,
        circumstances: &Circumstances,
    ) -> Refusal {
        let what = what(action, &circumstances.transfers);
        let told = self.reachable(subject, amphora, circumstances).then(|| {
            let others: Vec<&str> = Landing::ALL
                .into_iter()
                .filter(|other| *other != landing)
                .filter(|other| {
                    self.ask(subject, amphora, *other, action, circumstances)
                        .allowed()
                })
                .map(Landing::as_str)
                .collect();
            let try_next = if others.is_empty() {
                "ask the gateway's administrators".to_owned()
            } else {
                format!("{what} is allowed as {}", others.join(" and "))
            };
            format!(
                "the policy does not allow you {what} as {landing} on this amphora ({try_next})"
            )
        });
        Refusal {
            why: answer.why(),
            rules: answer.forbids,
            errors: answer.errors,
            told,
        }
    }
}

/// "exec of rsync": who may run `id` and reads that `exec` is not allowed would look in the wrong place.
fn what(action: Action, transfers: &[Transfer]) -> String {
    let tools: Vec<&str> = transfers.iter().map(|tool| tool.as_str()).collect();
    match action {
        Action::Exec if !tools.is_empty() => format!("{action} of {}", tools.join(" and ")),
        _ => action.to_string(),
    }
}
