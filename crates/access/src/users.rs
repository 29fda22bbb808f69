//! In: `users.toml`, then for each connection the key that signed it, whence, and when.
//! Out: a principal, or why not.
//! Never: a principal for a key whose conditions were not all checked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use jiff::Timestamp;

use crate::fault::Fault;
use crate::keyline::{self, KeyLine};
use crate::landing::Landing;
use crate::names::{GroupName, UserName};
use crate::principal::{KeystoneUser, Method, Principal, Projects, Proof, Subject};
use crate::table::{self, At, Faults, Table};

/// What a security key (`sk-…`) said in its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkFlags {
    /// Somebody touched it.
    pub user_presence: bool,
    /// It checked a PIN or a finger.
    pub user_verification: bool,
}

/// Why a connection, or a session that runs, has no principal (any more). For the journal: the client learns only that
/// it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthRefusal {
    /// No user has this key.
    #[error("no user has this key")]
    UnknownKey,
    /// SHA-1, or an algorithm that is not the key's.
    #[error("this signature algorithm is not accepted for this key")]
    Algorithm,
    /// The user is disabled.
    #[error("the user is disabled")]
    Disabled,
    /// The user expired.
    #[error("the user's access has expired")]
    UserExpired,
    /// The key expired.
    #[error("the key has expired")]
    KeyExpired,
    /// `from=` does not name this address.
    #[error("the key does not count from this address")]
    Source,
    /// A security key whose flags are not known: it cannot be told whether anybody touched it.
    #[error("the security key's flags are not known")]
    FlagsUnknown,
    /// A security key that nobody touched.
    #[error("nobody touched the security key")]
    NotTouched,
    /// A security key that did not check a PIN or a finger.
    #[error("the security key did not verify its user")]
    NotVerified,
    /// The user is not in the file any more.
    #[error("the user was removed")]
    UserRemoved,
    /// The key is not the user's any more.
    #[error("the key was removed")]
    KeyRemoved,
    /// Keystone's user has the name of a local one, and the file does not say that both are one person.
    #[error(
        "users.toml has a user of this name who is not said to be Keystone's (keystone = true)"
    )]
    NotKeystones,
    /// The name is another user's of Keystone by now.
    #[error("the name belongs to another user of Keystone now")]
    AnotherPerson,
    /// Keystone's user is called like a landing.
    #[error("the name is that of a landing")]
    LandingName,
}

/// One person of `users.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: UserName,
    groups: BTreeSet<GroupName>,
    keys: Vec<KeyLine>,
    disabled: bool,
    expires: Option<Timestamp>,
    /// Whether Keystone's user of this name is the same person.
    keystone: bool,
}

impl User {
    /// The name.
    pub fn name(&self) -> &UserName {
        &self.name
    }

    /// The groups the person is in.
    pub fn groups(&self) -> &BTreeSet<GroupName> {
        &self.groups
    }

    /// `SHA256:…` of each key.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.fingerprint.as_str())
    }

    /// Why this person could not log in at `now` whatever the key, if so.
    pub fn refusal(&self, now: Timestamp) -> Option<AuthRefusal> {
        if self.disabled {
            return Some(AuthRefusal::Disabled);
        }
        (self.expires.is_some_and(|end| end <= now)).then_some(AuthRefusal::UserExpired)
    }

    /// Whom to ask policy about in `explain`, `who-can` and `what-can`: this person, were they to come from `source` with
    /// one of their keys. Nothing can be opened with it.
    pub fn subject(&self, source: IpAddr) -> Subject {
        Subject {
            name: self.name.clone(),
            groups: self.groups.clone(),
            projects: Projects::new(),
            source: source.to_canonical(),
            method: Method::PublicKey,
        }
    }
}

/// Everybody who may log in.
#[derive(Clone, Debug, Default)]
pub struct Users {
    users: BTreeMap<UserName, User>,
    /// Wire form of each key, to the user and the place in their list.
    keys: HashMap<Vec<u8>, (UserName, usize)>,
}

impl Users {
    /// Nobody.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads `users.toml`; `file` is its name in faults.
    ///
    /// # Errors
    /// All faults at once, in the order of the file.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let faults = Faults::new(file, text);
        let document = table::parse(text, &faults);
        let root = Table::root(&document, &faults);
        let mut reading = Reading::default();
        for user in root.tables("user") {
            reading.user(&user, &faults);
            user.end();
        }
        root.end();
        faults.finish(reading.users)
    }

    /// All users, by name.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// One user.
    pub fn get(&self, name: &UserName) -> Option<&User> {
        self.users.get(name)
    }

    /// Would a signature of this key be worth checking? For the client's question whether to sign at all: no signature
    /// was made yet, so a security key's flags are not known and are not asked for.
    ///
    /// # Errors
    /// Why not.
    pub fn offered(
        &self,
        key_blob: &[u8],
        algorithm: &str,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<(), AuthRefusal> {
        self.acceptable(key_blob, algorithm, source, now)
            .map(|_| ())
    }

    /// Who signed. Call it only after the signature over this session was verified with `key_blob` (SSH wire form) and
    /// `algorithm` (such as `rsa-sha2-512`). `sk` are the flags in the verified signature of a security key; without
    /// them such a key is refused.
    ///
    /// # Errors
    /// Why not.
    pub fn authenticate(
        &self,
        key_blob: &[u8],
        algorithm: &str,
        source: IpAddr,
        now: Timestamp,
        sk: Option<SkFlags>,
    ) -> Result<Principal, AuthRefusal> {
        let (user, key) = self.acceptable(key_blob, algorithm, source, now)?;
        if key.is_security_key() {
            let flags = sk.ok_or(AuthRefusal::FlagsUnknown)?;
            if key.touch_required && !flags.user_presence {
                return Err(AuthRefusal::NotTouched);
            }
            if key.verify_required && !flags.user_verification {
                return Err(AuthRefusal::NotVerified);
            }
        }
        Ok(principal(user, key, source))
    }

    /// The principal of somebody whom Keystone let in by `method`. Call it only with what Keystone said on that occasion.
    /// A user of the file with that name counts as well: their groups, and whether they are disabled.
    ///
    /// # Errors
    /// Why not.
    pub fn authenticate_keystone(
        &self,
        who: &KeystoneUser,
        method: Method,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<Principal, AuthRefusal> {
        // `root@` must mean the landing, whoever asks.
        if Landing::from_word(who.name.as_str()).is_ok() {
            return Err(AuthRefusal::LandingName);
        }
        let local = self.users.get(&who.name);
        if local.is_some_and(|user| !user.keystone) {
            return Err(AuthRefusal::NotKeystones);
        }
        if let Some(refusal) = local.and_then(|user| user.refusal(now)) {
            return Err(refusal);
        }
        let own_groups = local.map(User::groups).into_iter().flatten();
        Ok(Principal {
            subject: Subject {
                name: who.name.clone(),
                groups: who.groups.iter().chain(own_groups).cloned().collect(),
                projects: who.projects.clone(),
                source: source.to_canonical(),
                method,
            },
            proof: Proof::Keystone(who.id.clone()),
            ends: local.and_then(|user| user.expires),
        })
    }

    /// The principal of a signature by one of the `keys` that a user of Keystone has in Nova (`type base64 comment`, each).
    /// A key of the file is nobody's keypair. Else as [`authenticate`](Self::authenticate) and
    /// [`authenticate_keystone`](Self::authenticate_keystone).
    ///
    /// # Errors
    /// Why not.
    pub fn authenticate_keypair(
        &self,
        who: &KeystoneUser,
        keys: &[String],
        signed: (&[u8], &str, Option<SkFlags>),
        source: IpAddr,
        now: Timestamp,
    ) -> Result<Principal, AuthRefusal> {
        let (blob, algorithm, sk) = signed;
        if self.keys.contains_key(blob) {
            return Err(AuthRefusal::UnknownKey);
        }
        let mut parsed = keys.iter().filter_map(|line| keyline::parse(line).ok());
        let key = parsed.find(|key| key.blob == blob);
        let key = key.ok_or(AuthRefusal::UnknownKey)?;
        if !key.allows_signature(algorithm) {
            return Err(AuthRefusal::Algorithm);
        }
        if key.is_security_key() && !sk.ok_or(AuthRefusal::FlagsUnknown)?.user_presence {
            return Err(AuthRefusal::NotTouched);
        }
        self.authenticate_keystone(who, Method::PublicKey, source, now)
    }

    /// As [`recheck`](Self::recheck), for a principal whom Keystone let in; `who` is what it says of them now.
    ///
    /// # Errors
    /// Why their sessions must end.
    pub fn recheck_keystone(
        &self,
        principal: &Principal,
        who: &KeystoneUser,
        now: Timestamp,
    ) -> Result<Principal, AuthRefusal> {
        if principal.keystone_id() != Some(who.id.as_str()) || principal.name() != &who.name {
            return Err(AuthRefusal::AnotherPerson);
        }
        self.authenticate_keystone(who, principal.subject.method, principal.source(), now)
    }

    /// The same principal as the file has it now, perhaps in other groups; for sessions that run when the file was
    /// changed or time went by.
    ///
    /// # Errors
    /// Why their sessions must end.
    pub fn recheck(&self, principal: &Principal, now: Timestamp) -> Result<Principal, AuthRefusal> {
        let user = self
            .users
            .get(principal.name())
            .ok_or(AuthRefusal::UserRemoved)?;
        let key = user
            .keys
            .iter()
            .find(|key| principal.key_fingerprint() == Some(key.fingerprint.as_str()))
            .ok_or(AuthRefusal::KeyRemoved)?;
        in_force(user, key, principal.source(), now)?;
        Ok(self::principal(user, key, principal.source()))
    }

    fn acceptable(
        &self,
        key_blob: &[u8],
        algorithm: &str,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<(&User, &KeyLine), AuthRefusal> {
        let (name, place) = self.keys.get(key_blob).ok_or(AuthRefusal::UnknownKey)?;
        let user = self.users.get(name).ok_or(AuthRefusal::UnknownKey)?;
        let key = user.keys.get(*place).ok_or(AuthRefusal::UnknownKey)?;
        if !key.allows_signature(algorithm) {
            return Err(AuthRefusal::Algorithm);
        }
        in_force(user, key, source, now)?;
        Ok((user, key))
    }
}

fn in_force(user: &User, key: &KeyLine, source: IpAddr, now: Timestamp) -> Result<(), AuthRefusal> {
    if let Some(refusal) = user.refusal(now) {
        return Err(refusal);
    }
    if key.expires.is_some_and(|end| end <= now) {
        return Err(AuthRefusal::KeyExpired);
    }
    if key.from.as_ref().is_some_and(|from| !from.allows(source)) {
        return Err(AuthRefusal::Source);
    }
    Ok(())
}

fn principal(user: &User, key: &KeyLine, source: IpAddr) -> Principal {
    Principal {
        subject: user.subject(source),
        proof: Proof::Key(key.fingerprint.clone()),
        ends: [user.expires, key.expires].into_iter().flatten().min(),
    }
}

/// The file, half read.
#[derive(Default)]
struct Reading {
    users: Users,
    /// Where each key stands: the line, and whose it is.
    lines: HashMap<Vec<u8>, (usize, String)>,
    names: HashMap<UserName, usize>,
}

impl Reading {
    fn user(&mut self, table: &Table<'_, '_>, faults: &Faults<'_>) {
        let name = self.name(table, faults);
        let mut groups = BTreeSet::new();
        for group in table.strings("groups") {
            match GroupName::parse(group.value) {
                Ok(name) => drop(groups.insert(name)),
                Err(error) => faults.add(group.span, error.to_string(), None),
            }
        }
        let whose = name.as_ref().map_or("?", UserName::as_str).to_owned();
        let keys: Vec<KeyLine> = table
            .strings("keys")
            .into_iter()
            .filter_map(|line| self.key(line, &whose, faults))
            .collect();
        let disabled = table.boolean("disabled").unwrap_or(false);
        let keystone = table.boolean("keystone").unwrap_or(false);
        let expires = table.moment("expires").and_then(|moment| {
            expires(&moment.value)
                .map_err(|sentence| faults.add(moment.span, sentence, None))
                .ok()
        });
        let Some(name) = name else { return };
        for (place, key) in keys.iter().enumerate() {
            self.users
                .keys
                .insert(key.blob.clone(), (name.clone(), place));
        }
        let user = User {
            name: name.clone(),
            groups,
            keys,
            disabled,
            expires,
            keystone,
        };
        self.users.users.insert(name, user);
    }

    fn name(&mut self, table: &Table<'_, '_>, faults: &Faults<'_>) -> Option<UserName> {
        let text = table.required("name")?;
        let name = UserName::parse(text.value)
            .map_err(|error| faults.add(text.span.clone(), error.to_string(), None))
            .ok()?;
        // `root@` must mean the landing, whoever asks.
        if Landing::from_word(name.as_str()).is_ok() {
            let message =
                format!("`{name}` is the name of a landing, so nobody can be called that");
            faults.add(text.span, message, None);
            return None;
        }
        let line = faults.line(&text.span);
        if let Some(first) = self.names.insert(name.clone(), line) {
            let message = format!("user `{name}` is on line {first} already");
            faults.add(
                text.span,
                message,
                Some("give all keys of one person in one [[user]]".to_owned()),
            );
            return None;
        }
        Some(name)
    }

    fn key(&mut self, line: At<&str>, whose: &str, faults: &Faults<'_>) -> Option<KeyLine> {
        let key = keyline::parse(line.value)
            .map_err(|sentence| faults.add(line.span.clone(), sentence, None))
            .ok()?;
        let number = faults.line(&line.span);
        if let Some((first, owner)) = self.lines.get(&key.blob) {
            let message = format!(
                "this key ({}) is on line {first} already, for `{owner}`: a key tells who somebody is, so it belongs to one user and stands once",
                key.fingerprint
            );
            faults.add(
                line.span,
                message,
                Some("remove one of the two lines".to_owned()),
            );
            return None;
        }
        self.lines
            .insert(key.blob.clone(), (number, whose.to_owned()));
        Some(key)
    }
}

/// A TOML date (the day's beginning), or a date and time with its offset.
fn expires(text: &str) -> Result<Timestamp, String> {
    if let Ok(day) = text.parse::<jiff::civil::Date>()
        && text.len() == 10
    {
        return day
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map(|moment| moment.timestamp())
            .map_err(|error| error.to_string());
    }
    text.parse::<Timestamp>().map_err(|_| {
        "`expires` is a day such as 2027-01-31 (its beginning, UTC) or a moment such as 2027-01-31T18:00:00Z".to_owned()
    })
}
