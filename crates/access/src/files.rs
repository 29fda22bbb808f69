//! In: a grant for sftp, what is to be done with a file, its path on the amphora.
//! Out: yes, or a refusal with the rules behind it.
//! Never: an allow for a path that any rule forbids, with a slash at its end or without.

use cedar_policy::{Context, Entities};
use jiff::Timestamp;

use crate::amphora::Amphora;
use crate::decide::{Action, Answer, Circumstances, Grant, Refusal};
use crate::landing::Landing;
use crate::policy::{Policy, RuleEffect};
use crate::principal::Subject;
use crate::request::{Detail, Untranslatable};

/// A file operation that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileAllowed {
    /// The file's content is to be kept: a permit behind the answer says `@keep("contents")`.
    pub keeps: bool,
}

impl Policy {
    /// May the holder of this grant do this with the file of that path? `path` is absolute and says where the file
    /// really is. A permit of `sftp` is one of all four actions; a forbid of `sftp` too.
    ///
    /// # Errors
    /// The refusal, with the rules behind it for the journal.
    pub fn decide_file(
        &self,
        grant: &Grant,
        action: Action,
        path: &str,
        now: Timestamp,
    ) -> Result<FileAllowed, Refusal> {
        let circumstances = Circumstances {
            now,
            reason: grant.reason().map(str::to_owned),
            transfers: Vec::new(),
        };
        let answer = self.ask_file(
            grant.principal().subject(),
            grant.amphora(),
            grant.landing(),
            action,
            path,
            &circumstances,
        );
        match answer.allowed() {
            true => Ok(FileAllowed {
                keeps: answer.keeps,
            }),
            false => Err(Refusal::of_answer(answer)),
        }
    }

    /// May a directory of this name be moved, or get another name? Not if something that a rule speaks of lies below and
    /// may not be read, written, listed or deleted: by the new name it could.
    ///
    /// # Errors
    /// The refusal for what lies below.
    pub fn decide_below(&self, grant: &Grant, path: &str, now: Timestamp) -> Result<(), Refusal> {
        let directory = format!("{}/", path.trim_end_matches('/'));
        for below in self.paths.iter().filter(|p| p.starts_with(&directory)) {
            for action in Action::OF_FILES {
                self.decide_file(grant, action, below, now)?;
            }
        }
        Ok(())
    }

    /// Whether content is to be kept of what is read from, or written to, this path or below it: where all that is known is
    /// a path above.
    pub fn keeps_below(&self, grant: &Grant, action: Action, path: &str, now: Timestamp) -> bool {
        let directory = format!("{}/", path.trim_end_matches('/'));
        let below = self.paths.iter().filter(|p| p.starts_with(&directory));
        self.keeping().is_some()
            && below.map(String::as_str).chain([path]).any(|path| {
                self.decide_file(grant, action, path, now)
                    .is_ok_and(|allowed| allowed.keeps)
            })
    }

    /// `connect`, `sftp` and the action, in both forms of the path.
    pub(crate) fn ask_file(
        &self,
        subject: &Subject,
        amphora: &Amphora,
        landing: Landing,
        action: Action,
        path: &str,
        circumstances: &Circumstances,
    ) -> Answer {
        let (mut answer, mut file) = (Answer::default(), Answer::default());
        let asked = self.words(subject, amphora, landing, circumstances);
        let asked = asked.and_then(|(entities, context)| {
            let ask = |action, context, answer: &mut Answer| {
                self.evaluate(subject, amphora, action, context, &entities, answer)
            };
            ask(Action::Connect, context.clone(), &mut answer)?;
            ask(Action::Sftp, context, &mut file)?;
            let directory = format!("{}/", path.trim_end_matches('/'));
            for path in [path, &directory] {
                let context =
                    self.kinds
                        .context(subject, landing, circumstances, Detail::Path(path))?;
                ask(action, context, &mut file)?;
            }
            Ok(())
        });
        if let Err(error) = asked {
            answer.errors.push(error.to_string());
        }
        // One permit is enough, of `sftp` or of the action; one forbid is one too many.
        if file.permits.is_empty() && file.forbids.is_empty() {
            answer.not_permitted.push(action);
        }
        answer.permits.append(&mut file.permits);
        // Of a name that is listed or removed nothing passes.
        answer.keeps = file.keeps && matches!(action, Action::Read | Action::Write);
        answer.forbids.append(&mut file.forbids);
        answer.errors.append(&mut file.errors);
        answer.in_order()
    }

    /// Whoever is permitted some of the four for some path gets the sftp channel in which that is decided. Asked without a
    /// path: a permit that cannot be evaluated without one is one for some path.
    pub(crate) fn some_file(
        &self,
        subject: &Subject,
        amphora: &Amphora,
        context: Context,
        entities: &Entities,
        answer: &mut Answer,
    ) -> Result<(), Untranslatable> {
        let before = answer.permits.len();
        for action in Action::OF_FILES {
            let request = self
                .kinds
                .request(subject, amphora, action, context.clone(), None)?;
            let response = self.authorizer.is_authorized(&request, &self.set, entities);
            let diagnostics = response.diagnostics();
            let unfinished = diagnostics.errors().map(|error| {
                let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
                error.policy_id()
            });
            let rules = diagnostics.reason().chain(unfinished);
            let permits = rules
                .filter_map(|id| self.rules.get(id))
                .map(|rule| rule.reference.clone())
                .filter(|rule| rule.effect == RuleEffect::Permit);
            answer.permits.extend(permits);
        }
        if answer.permits.len() > before {
            answer.not_permitted.clear();
        }
        Ok(())
    }
}
