//! In: a login name, and what was typed at "Password:" and "Verification code:". Out: a `Principal`, as Keystone says.
//! Never: tells unknown, disabled and wrong apart, in words or in time; a typed secret that is printed or outlives its use.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ampgate_access::{Principal, UserName, operator_of};
use ampgate_inventory::{CloudError, Operators, Receipt, Secret, Verdict};
use jiff::Timestamp;
use russh::server::Response;
use zeroize::Zeroizing;

use crate::gateway::Gateway;
use crate::people::Person;

/// A refusal is told when a whole number of these has passed since the answer came. Keystone needs half a second for a
/// wrong password, and a few milliseconds for a name that it does not know.
const REFUSALS_TAKE: Duration = Duration::from_secs(2);
/// A password over which Keystone stumbled (HTTP 500) is tried again so often, after a pause.
const STUMBLES: u32 = 2;
const STUMBLED: Duration = Duration::from_millis(300);
/// The longest secret that is passed on, in bytes; Keystone's own bound is 54 to 4096, by its hash.
const LONGEST_SECRET: usize = 4096;

/// What is asked next, with the prompts that people know from other servers.
pub enum Asked {
    Password,
    Code(Receipt),
}

impl Asked {
    pub fn prompt(&self) -> &'static str {
        match self {
            Self::Password => "Password: ",
            Self::Code(_) => "Verification code: ",
        }
    }
}

/// One login under way.
pub struct Dialogue {
    /// None for a login name that nobody in Keystone can have: asked all the same, and refused.
    name: Option<UserName>,
    pub asked: Asked,
}

/// What came of an answer.
pub enum Step {
    In(Box<Principal>, Arc<Person>),
    Ask(Dialogue),
    Refused(NotIn),
}

/// Why not.
pub struct NotIn {
    /// For the journal.
    pub reason: String,
    /// What the operator may know: nothing of the account, only that nobody can log in like this now.
    pub told: Option<&'static str>,
}

impl Dialogue {
    /// Begins with the password.
    pub fn begin(login: &str) -> Self {
        Self {
            name: operator_of(login),
            asked: Asked::Password,
        }
    }

    /// Takes the answer to the prompt.
    pub async fn answered(self, gateway: &Gateway, source: IpAddr, typed: Response<'_>) -> Step {
        let began = Instant::now();
        let step = match (self.name, secret(typed)) {
            (Some(name), Some(secret)) => {
                let attempt = Attempt {
                    gateway,
                    source,
                    name,
                };
                attempt.step(self.asked, secret).await
            }
            (None, _) => Step::refused("nobody in Keystone can have this name"),
            (_, None) => Step::refused("the answer is no password"),
        };
        if let Step::Refused(_) = step {
            tokio::time::sleep(until_told(began.elapsed(), REFUSALS_TAKE)).await;
        }
        step
    }
}

/// The rest of the time until an answer is told: a whole number of units after it was asked for, so that the time says
/// nothing of what was found.
pub fn until_told(passed: Duration, unit: Duration) -> Duration {
    let unit = unit.as_nanos();
    let rest = unit - passed.as_nanos() % unit;
    Duration::from_nanos(u64::try_from(rest).unwrap_or(0))
}

impl Step {
    fn refused(reason: impl ToString) -> Self {
        Self::Refused(NotIn {
            reason: reason.to_string(),
            told: None,
        })
    }
}

/// One answer to one prompt, of somebody whose name could be right.
struct Attempt<'g> {
    gateway: &'g Gateway,
    source: IpAddr,
    name: UserName,
}

impl Attempt<'_> {
    async fn step(self, asked: Asked, secret: Secret) -> Step {
        let rules = self.gateway.rules();
        let Some(keystone) = &rules.keystone else {
            return Step::refused("[keystone] is not configured");
        };
        let attempts = &self.gateway.attempts;
        if !attempts.may_try(&self.name, self.source) {
            return Step::refused("too many wrong passwords from this address: not tried");
        }
        let Some(_place) = attempts.place().await else {
            return Step::Refused(NotIn {
                reason: "too many logins at once: not tried".to_owned(),
                told: Some("too many logins at once; try again in a moment"),
            });
        };
        let verdict = match &asked {
            Asked::Password => self.password(keystone, &secret).await,
            Asked::Code(receipt) => match self.code(keystone, receipt, &secret).await {
                Some(verdict) => verdict,
                None => return Step::refused("the one-time code was used before"),
            },
        };
        drop(secret);
        match verdict {
            Ok(Verdict::In(admitted)) => {
                attempts.succeeded(&self.name, self.source);
                let principal = rules.users.authenticate_keystone(
                    &admitted.who,
                    admitted.how,
                    self.source,
                    Timestamp::now(),
                );
                match principal {
                    Ok(principal) => {
                        let person = self
                            .gateway
                            .people
                            .enter(admitted.who, Some(admitted.token));
                        Step::In(Box::new(principal), person)
                    }
                    Err(refusal) => Step::refused(refusal),
                }
            }
            Ok(Verdict::Code(receipt)) => Step::Ask(Dialogue {
                name: Some(self.name),
                asked: Asked::Code(receipt),
            }),
            Ok(Verdict::No(why)) => {
                attempts.failed(&self.name, self.source);
                Step::refused(why)
            }
            Err(error) => {
                tracing::warn!("no password can be checked: {error}");
                // Only what has to do with nobody is told: an error that Keystone makes of one name says that it knows it.
                let of_this_name = failed_at_the_name(&error) && keystone.answers().await;
                Step::Refused(NotIn {
                    reason: error.to_string(),
                    told: (!of_this_name).then_some(
                        "Keystone cannot be asked now, so no password can be checked; keys work as ever",
                    ),
                })
            }
        }
    }

    /// Keystone counts the failures of a user it knows, and may stumble over itself where several are tried at once.
    async fn password(
        &self,
        keystone: &Operators,
        password: &Secret,
    ) -> Result<Verdict, CloudError> {
        let mut verdict = keystone.password(&self.name, password).await;
        for _ in 0..STUMBLES {
            match &verdict {
                Err(error) if failed_at_the_name(error) => {}
                _ => break,
            }
            tokio::time::sleep(STUMBLED).await;
            verdict = keystone.password(&self.name, password).await;
        }
        verdict
    }

    /// None for a code that was tried before.
    async fn code(
        &self,
        keystone: &Operators,
        receipt: &Receipt,
        code: &Secret,
    ) -> Option<Result<Verdict, CloudError>> {
        let attempts = &self.gateway.attempts;
        if !attempts.spend(&self.name, code.reveal()) {
            return None;
        }
        let verdict = keystone.code(&self.name, receipt, code).await;
        if verdict.is_err() {
            attempts.unspend(&self.name, code.reveal());
        }
        Some(verdict)
    }
}

/// It answered, with a fault of its own.
fn failed_at_the_name(error: &CloudError) -> bool {
    matches!(error, CloudError::Status { .. })
}

/// The one answer to the one prompt.
fn secret(mut typed: Response<'_>) -> Option<Secret> {
    let (answer, more) = (typed.next()?, typed.next());
    if more.is_some() || answer.is_empty() || answer.len() > LONGEST_SECRET {
        return None;
    }
    let text = std::str::from_utf8(&answer).ok()?;
    Some(Secret::new(Zeroizing::new(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_at_whole_units_only() {
        for (passed, rest) in [(0, 2000), (3, 1997), (1999, 1), (2000, 2000), (5000, 1000)] {
            let rest = Duration::from_millis(rest);
            assert_eq!(
                until_told(Duration::from_millis(passed), REFUSALS_TAKE),
                rest
            );
        }
    }
}
