//! In: people and amphorae, whether or not anybody is there now.
//! Out: yes or no with the rules behind it; who can reach an amphora, what a person can reach.
//! Never: a grant.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::amphora::Amphora;
use crate::decide::{Action, Answer, Circumstances};
use crate::landing::Landing;
use crate::policy::{Policy, RuleRef};
use crate::principal::Subject;
use crate::users::Users;

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// Yes or no.
    pub allowed: bool,
    /// If yes, the permits; if no, the forbids. In the order of the file.
    pub rules: Vec<RuleRef>,
    /// The permits which a forbid overrules.
    pub overruled: Vec<RuleRef>,
    /// The actions which no rule permits: the one asked about, or `connect`, which everything needs.
    pub not_permitted: Vec<Action>,
    /// Rules that could not be evaluated: each is a refusal.
    pub errors: Vec<String>,
    /// Of a file that may be read or written: its content is kept.
    pub keeps: bool,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.allowed { "yes" } else { "no" })?;
        for rule in &self.rules {
            write!(f, "\n  {rule}")?;
        }
        for rule in &self.overruled {
            write!(f, "\n  overruled: {rule}")?;
        }
        for action in &self.not_permitted {
            write!(f, "\n  no rule permits {action}")?;
            if *action == Action::Connect {
                f.write_str(", which every action needs")?;
            }
        }
        if self.keeps {
            f.write_str("\n  its content is kept")?;
        }
        for error in &self.errors {
            write!(f, "\n  {error}; that is a refusal")?;
        }
        Ok(())
    }
}

/// What one person may do on one amphora.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The person.
    pub user: crate::names::UserName,
    /// The amphora.
    pub amphora: Arc<Amphora>,
    /// Per landing in which anything is allowed: the actions, without `connect`.
    pub landings: Vec<(Landing, Vec<Action>)>,
}

impl Answer {
    fn explanation(self) -> Explanation {
        let allowed = self.allowed();
        let (rules, overruled) = if allowed {
            (self.permits, Vec::new())
        } else if self.forbids.is_empty() {
            (Vec::new(), Vec::new())
        } else {
            (self.forbids, self.permits)
        };
        Explanation {
            allowed,
            rules,
            overruled,
            not_permitted: self.not_permitted,
            errors: self.errors,
            keeps: self.keeps && allowed,
        }
    }
}

impl Policy {
    /// Yes or no, and why. `subject` may be hypothetical (see [`User::subject`](crate::User::subject)).
    pub fn explain(
        &self,
        subject: &Subject,
        amphora: &Amphora,
        landing: Landing,
        action: Action,
        circumstances: &Circumstances,
    ) -> Explanation {
        let answer = self.ask(subject, amphora, landing, action, circumstances);
        // Without a path no file is meant.
        Explanation {
            keeps: false,
            ..answer.explanation()
        }
    }

    /// The same about one file, within sftp.
    pub fn explain_file(
        &self,
        subject: &Subject,
        amphora: &Amphora,
        landing: Landing,
        action: Action,
        path: &str,
        circumstances: &Circumstances,
    ) -> Explanation {
        self.ask_file(subject, amphora, landing, action, path, circumstances)
            .explanation()
    }

    /// Everybody who may do anything on an amphora, were they to come from `source` under these circumstances. Users who
    /// could not log in are left out.
    pub fn who_can(
        &self,
        users: &Users,
        amphora: &Arc<Amphora>,
        source: IpAddr,
        circumstances: &Circumstances,
    ) -> Vec<Reach> {
        users
            .iter()
            .filter(|user| user.refusal(circumstances.now).is_none())
            .filter_map(|user| self.reach(&user.subject(source), amphora, circumstances))
            .collect()
    }

    /// Every amphora on which a person may do anything under these circumstances. `subject` may be hypothetical.
    pub fn what_can(
        &self,
        subject: &Subject,
        amphorae: &[Arc<Amphora>],
        circumstances: &Circumstances,
    ) -> Vec<Reach> {
        amphorae
            .iter()
            .filter_map(|amphora| self.reach(subject, amphora, circumstances))
            .collect()
    }

    fn reach(
        &self,
        subject: &Subject,
        amphora: &Arc<Amphora>,
        circumstances: &Circumstances,
    ) -> Option<Reach> {
        let landings: Vec<(Landing, Vec<Action>)> = Landing::ALL
            .into_iter()
            .map(|landing| {
                (
                    landing,
                    self.actions(subject, amphora, landing, circumstances),
                )
            })
            .filter(|(_, actions)| !actions.is_empty())
            .collect();
        (!landings.is_empty()).then(|| Reach {
            user: subject.name.clone(),
            amphora: Arc::clone(amphora),
            landings,
        })
    }

    fn actions(
        &self,
        subject: &Subject,
        amphora: &Amphora,
        landing: Landing,
        circumstances: &Circumstances,
    ) -> Vec<Action> {
        Action::ALL
            .into_iter()
            .chain(Action::OF_OTHERS)
            .filter(|action| *action != Action::Connect)
            .filter(|action| {
                self.ask(subject, amphora, landing, *action, circumstances)
                    .allowed()
            })
            .collect()
    }
}
