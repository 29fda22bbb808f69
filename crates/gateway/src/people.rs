//! In: operators whom Keystone let in. Out: what it says of them now, asked again while they are connected.
//! Never: keeps a token longer than the connection it belongs to, or takes silence for consent for longer than allowed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ampgate_access::{KeystoneUser, Method, Principal};
use ampgate_inventory::{Token, show_age};
use futures_util::StreamExt as _;
use jiff::Timestamp;

use crate::gateway::Gateway;
use crate::rules::Rules;

/// People who are asked about at once.
const AT_ONCE: usize = 4;

/// Everybody who is connected by a password, by Keystone's id.
#[derive(Default)]
pub struct People(Mutex<HashMap<String, Weak<Person>>>);

/// Somebody, as long as one of their connections is.
pub struct Person(Mutex<Standing>);

#[derive(Clone)]
struct Standing {
    who: Arc<KeystoneUser>,
    /// Their own; none for those who came by a keypair.
    token: Option<Arc<Token>>,
    /// When Keystone last said so.
    confirmed: Instant,
    ended: Option<String>,
}

impl Person {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl People {
    fn table(&self) -> MutexGuard<'_, HashMap<String, Weak<Person>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody was let in just now. Their other connections stand by what Keystone said now as well.
    pub fn enter(&self, who: KeystoneUser, token: Option<Token>) -> Arc<Person> {
        let mut standing = Standing {
            who: Arc::new(who),
            token: token.map(Arc::new),
            confirmed: Instant::now(),
            ended: None,
        };
        let mut table = self.table();
        table.retain(|_, person| person.strong_count() > 0);
        let id = standing.who.id.clone();
        if let Some(person) = table.get(&id).and_then(Weak::upgrade) {
            let mut before = person.standing();
            standing.token = standing.token.or_else(|| before.token.take());
            *before = standing;
            drop(before);
            return person;
        }
        let person = Arc::new(Person(Mutex::new(standing)));
        table.insert(id, Arc::downgrade(&person));
        person
    }

    fn all(&self) -> Vec<Arc<Person>> {
        self.table().values().filter_map(Weak::upgrade).collect()
    }

    /// The principal as the files and Keystone have them now.
    ///
    /// # Errors
    /// Why their sessions must end, in the operator's words.
    pub fn principal_now(
        &self,
        rules: &Rules,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<Principal, String> {
        let Some(id) = principal.keystone_id() else {
            let local = rules.users.recheck(principal, now);
            return local.map_err(|gone| gone.to_string());
        };
        let Some(keystone) = &rules.config.keystone else {
            return Err("logins through Keystone were switched off".to_owned());
        };
        match principal.subject().method {
            Method::PublicKey if !keystone.keypairs => {
                return Err("keypairs in Nova do not count any more".to_owned());
            }
            Method::Password if keystone.operators.require_totp => {
                return Err("a one-time code is required now; log in again".to_owned());
            }
            _ => {}
        }
        let person = self.table().get(id).and_then(Weak::upgrade);
        let Some(person) = person else {
            return Err("the login through Keystone is over".to_owned());
        };
        let standing = person.standing().clone();
        if let Some(why) = standing.ended {
            return Err(why);
        }
        if standing.confirmed.elapsed() > keystone.unconfirmed {
            return Err(format!(
                "Keystone has not confirmed you for {}; log in again",
                show_age(keystone.unconfirmed)
            ));
        }
        let principal = rules.users.recheck_keystone(principal, &standing.who, now);
        principal.map_err(|gone| gone.to_string())
    }
}

/// Asks Keystone about everybody who is connected, again and again. Runs for ever.
pub async fn recheck(gateway: Arc<Gateway>) {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let rules = gateway.rules();
        let Some(settings) = &rules.config.keystone else {
            continue;
        };
        if last.elapsed() < settings.recheck {
            continue;
        }
        last = Instant::now();
        let all = futures_util::stream::iter(gateway.people.all());
        let rules = &rules;
        all.for_each_concurrent(AT_ONCE, |person| async move {
            confirm(&person, rules).await;
        })
        .await;
    }
}

async fn confirm(person: &Person, rules: &Rules) {
    let before = person.standing().clone();
    if before.ended.is_some() {
        return;
    }
    let asked = Instant::now();
    let good = before.token.as_ref().filter(|token| !token.has_expired());
    let looked = match (good, &rules.keystone, &rules.directory) {
        (Some(token), Some(keystone), _) => keystone.look(&before.who.name, token).await,
        // It says nothing about the person that their token is old: the gateway's own credential may do to ask. If it may
        // not, `unconfirmed` bounds how long that goes on.
        (None, _, Some(directory)) => directory.look(&before.who).await,
        _ => return,
    };
    let mut standing = person.standing();
    if standing.confirmed != before.confirmed {
        // They logged in anew meanwhile.
        return;
    }
    match looked {
        Ok(Some(who)) => {
            standing.who = Arc::new(who);
            standing.confirmed = asked;
        }
        Ok(None) if good.is_some_and(|token| token.has_expired()) => {}
        Ok(None) => {
            tracing::info!(user = %before.who.name, "Keystone has ended a login");
            standing.ended = Some(
                "Keystone has ended your login: the account was disabled, or its password or rights changed; log in again"
                    .to_owned(),
            );
        }
        Err(error) => tracing::debug!(user = %before.who.name, "not confirmed: {error}"),
    }
}
