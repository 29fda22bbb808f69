//! In: one TCP connection from an operator. Out: a `Principal`, and jumps or sessions in that principal's name.
//! Never: lets anybody in but by a verified signature or Keystone's word, or opens anything but a known target's port 22.

use std::borrow::Cow;
use std::sync::Arc;

use ampgate_access::{AuthRefusal, DirectName, Principal, SkFlags, parse_direct};
use ampgate_audit::Event;
use jiff::Timestamp;
use russh::keys::ssh_key::{Algorithm, HashAlg, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey,
};
use russh::{Channel, MethodKind, MethodSet};
use tokio::sync::watch;

use crate::contain::contain;
use crate::gateway::{Connection, Gateway};
use crate::jump;
use crate::limits::Place;
use crate::oversee::Overseer;
use crate::password::{Dialogue, Step};
use crate::people::Person;
use crate::sentence::Trouble;
use crate::session::{self, Visit};

/// The outer SSH server's side of one connection.
pub struct Outer {
    gateway: Arc<Gateway>,
    connection: Arc<Connection>,
    place: Place,
    logged_in: watch::Sender<bool>,
    /// Who it is: set by a verified signature or by Keystone's word and by nothing else, and only read after russh let
    /// the client in.
    proved: Option<Proved>,
    /// The prompt that is open: for which login name, and what was asked.
    dialogue: Option<(String, Dialogue)>,
}

struct Proved {
    principal: Arc<Principal>,
    /// Keystone's word is asked for again as long as this is held.
    _person: Option<Arc<Person>>,
    login: String,
    /// Where sessions on this connection itself go.
    direct: Direct,
}

/// What the SSH user name says, when there is no `-J`.
enum Direct {
    /// Nothing: the gateway itself.
    Gateway,
    Target(Arc<Visit>),
    /// It was meant to be a target, and is none.
    Mistyped(String),
}

impl Outer {
    pub fn new(
        gateway: Arc<Gateway>,
        connection: Arc<Connection>,
        place: Place,
        logged_in: watch::Sender<bool>,
    ) -> Self {
        Self {
            gateway,
            connection,
            place,
            logged_in,
            proved: None,
            dialogue: None,
        }
    }

    /// Whether a signature by this key would be worth making.
    async fn offered(&self, login: &str, offer: PublicKeyOffer<'_>) -> Result<(), String> {
        let blob = offer.public_key.to_bytes().map_err(|e| e.to_string())?;
        let (source, now) = (self.connection.source.ip(), Timestamp::now());
        let rules = self.gateway.rules();
        let algorithm = offer.algorithm.as_str();
        let local = rules.users.offered(&blob, algorithm, source, now);
        if local != Err(AuthRefusal::UnknownKey) {
            return local.map_err(|e| e.to_string());
        }
        let Some(listed) = self.gateway.keypairs.of(&self.gateway, login).await else {
            return local.map_err(|e| e.to_string());
        };
        // Nothing is signed yet, so it cannot be told whether a security key was touched.
        let touched = SkFlags {
            user_presence: true,
            user_verification: true,
        };
        let signed = (blob.as_slice(), algorithm, Some(touched));
        let (who, keys) = (&listed.who, &listed.keys);
        let principal = rules
            .users
            .authenticate_keypair(who, keys, signed, source, now);
        principal.map(|_| ()).map_err(|e| e.to_string())
    }

    /// Whose key it is, and what Keystone's word is asked for again by. The signature has been verified.
    async fn authenticate(
        &self,
        login: &str,
        key: &PublicKey,
        algorithm: &Algorithm,
        sk: Option<SkFlags>,
    ) -> Result<(Principal, Option<Arc<Person>>), String> {
        let blob = key.to_bytes().map_err(|e| e.to_string())?;
        let (source, now) = (self.connection.source.ip(), Timestamp::now());
        let rules = self.gateway.rules();
        let algorithm = algorithm.as_str();
        let local = rules.users.authenticate(&blob, algorithm, source, now, sk);
        if local == Err(AuthRefusal::UnknownKey)
            && let Some(listed) = self.gateway.keypairs.of(&self.gateway, login).await
        {
            let signed = (blob.as_slice(), algorithm, sk);
            let (who, keys) = (&listed.who, &listed.keys);
            let principal = rules
                .users
                .authenticate_keypair(who, keys, signed, source, now);
            let principal = principal.map_err(|e| e.to_string())?;
            let person = self.gateway.people.enter(listed.who.clone(), None);
            return Ok((principal, Some(person)));
        }
        let principal = local.map_err(|e| e.to_string())?;
        match parse_direct(login) {
            Ok(DirectName {
                operator: Some(operator),
                ..
            }) if operator != *principal.name() => Err(format!("the key is not {operator}'s")),
            _ => Ok((principal, None)),
        }
    }

    fn refused(&self, login: &str, method: &str, key: Option<&PublicKey>, reason: &str) -> Auth {
        self.gateway.journal(
            None,
            Event::PrincipalRefused {
                connection: self.connection.id.as_str().into(),
                user: login.into(),
                source: self.connection.source.ip().to_string().into(),
                method: method.into(),
                key: key.map(|key| fingerprint(key).into()),
                reason: reason.into(),
            },
        );
        self.what_would_help()
    }

    /// A refusal that names what would help: a public key, and a password where Keystone is asked.
    fn what_would_help(&self) -> Auth {
        let both = [MethodKind::PublicKey, MethodKind::KeyboardInteractive];
        let methods = match &self.gateway.rules().keystone {
            Some(_) => &both[..],
            None => &both[..1],
        };
        Auth::Reject {
            proceed_with_methods: Some(MethodSet::from(methods)),
            partial_success: false,
        }
    }

    /// Lets somebody in whose proof is complete.
    fn proved(
        &mut self,
        login: &str,
        principal: Principal,
        key: Option<(&PublicKey, &Algorithm)>,
        person: Option<Arc<Person>>,
    ) -> Auth {
        self.gateway.journal(
            None,
            Event::PrincipalAuthenticated {
                connection: self.connection.id.as_str().into(),
                user: principal.name().as_str().into(),
                source: self.connection.source.ip().to_string().into(),
                method: principal.method().into(),
                key: key.map(|(key, _)| fingerprint(key).into()),
                algorithm: key.map(|(_, algorithm)| algorithm.as_str().into()),
                keystone_user: principal.keystone_id().map(Into::into),
            },
        );
        self.proved = Some(Proved {
            principal: Arc::new(principal),
            _person: person,
            login: login.to_owned(),
            direct: Direct::Gateway,
        });
        Auth::Accept
    }

    /// Asks, and remembers for whom and what.
    fn ask(&mut self, login: &str, dialogue: Dialogue) -> Auth {
        let prompt = dialogue.asked.prompt();
        self.dialogue = Some((login.to_owned(), dialogue));
        prompts(vec![(prompt.into(), false)], "")
    }
}

/// A question to the person, or only something to read.
fn prompts(prompts: Vec<(Cow<'static, str>, bool)>, instructions: &'static str) -> Auth {
    Auth::Partial {
        name: "".into(),
        instructions: instructions.into(),
        prompts: prompts.into(),
    }
}

impl Handler for Outer {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        Ok(self.what_would_help())
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        match self.offered(user, offer).await {
            Ok(()) => Ok(Auth::Accept),
            Err(reason) => Ok(self.refused(user, "publickey", Some(offer.public_key), &reason)),
        }
    }

    /// russh refuses signatures without a touch unless told otherwise; users.toml says for which key otherwise holds,
    /// and `authenticate` asks it.
    fn accepts_untouched_security_key(&mut self, _user: &str, _key: &PublicKey) -> bool {
        true
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        self.proved = None;
        self.dialogue = None;
        let sk = key.security_key.map(|used| SkFlags {
            user_presence: used.user_present,
            user_verification: used.user_verified,
        });
        let signed = (key.public_key, key.algorithm);
        Ok(
            match self
                .authenticate(user, key.public_key, key.algorithm, sk)
                .await
            {
                Ok((principal, person)) => self.proved(user, principal, Some(signed), person),
                Err(reason) => self.refused(user, "publickey", Some(key.public_key), &reason),
            },
        )
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        self.proved = None;
        let open = self.dialogue.take();
        let Some(response) = response else {
            return Ok(match &self.gateway.rules().keystone {
                Some(_) => self.ask(user, Dialogue::begin(user)),
                None => self.what_would_help(),
            });
        };
        let dialogue = match open {
            Some((login, dialogue)) if login == user => dialogue,
            // Nothing is asked, so this is the answer to what was only to be read, or to nothing.
            _ => return Ok(self.what_would_help()),
        };
        let source = self.connection.source.ip();
        let gateway = Arc::clone(&self.gateway);
        Ok(match dialogue.answered(&gateway, source, response).await {
            Step::In(principal, person) => self.proved(user, *principal, None, Some(person)),
            Step::Ask(next) => self.ask(user, next),
            Step::Refused(not_in) => {
                let refused = self.refused(user, "password", None, &not_in.reason);
                match not_in.told {
                    Some(told) => prompts(Vec::new(), told),
                    None => refused,
                }
            }
        })
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), Self::Error> {
        self.place.logged_in();
        let _ = self.logged_in.send(true);
        let Some(proved) = self.proved.as_mut() else {
            return Err(russh::Error::NotAuthenticated);
        };
        // `ssh [landing+]target@gateway`: the user name says where to. Whoever it is was said by the key.
        if proved.login == proved.principal.name().as_str() {
            return Ok(());
        }
        proved.direct = match parse_direct(&proved.login) {
            Ok(direct) => Visit::direct(&self.gateway, &self.connection, &proved.principal, direct)
                .await
                .map_or(Direct::Gateway, |visit| Direct::Target(Arc::new(visit))),
            Err(error) if proved.login.contains(['+', ':']) => Direct::Mistyped(error.to_string()),
            Err(_) => Direct::Gateway,
        };
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(proved) = &self.proved else {
            return Err(russh::Error::NotAuthenticated);
        };
        let limits = &self.gateway.config().limits;
        let Some((place, reply)) = self.connection.another_channel(limits, reply).await else {
            return Ok(());
        };
        reply.accept().await;
        match &proved.direct {
            Direct::Target(visit) => {
                session::begin(Arc::clone(visit), channel, session.handle(), place)
            }
            Direct::Gateway => session::greet(
                Overseer {
                    gateway: Arc::clone(&self.gateway),
                    connection: Arc::clone(&self.connection),
                    principal: Arc::clone(&proved.principal),
                },
                channel,
                session.handle(),
                place,
            ),
            Direct::Mistyped(why) => session::refuse(
                Arc::clone(&self.gateway),
                Trouble::Landing(why.clone()),
                channel,
                session.handle(),
                place,
            ),
        }
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(proved) = &self.proved else {
            return Err(russh::Error::NotAuthenticated);
        };
        let limits = &self.gateway.config().limits;
        let Some((place, reply)) = self.connection.another_channel(limits, reply).await else {
            return Ok(());
        };
        let door = jump::Door {
            gateway: Arc::clone(&self.gateway),
            connection: Arc::clone(&self.connection),
            principal: Arc::clone(&proved.principal),
            login: proved.login.clone(),
            place,
        };
        let (outer, id, host) = (session.handle(), channel.id(), host.to_owned());
        tokio::spawn(async move {
            contain(jump::through(door, channel, host, port, reply)).await;
            // However it ended, also by a panic or the login grace: a client must not wait for more.
            let _ = outer.close(id).await;
        });
        Ok(())
    }
}

/// How keys are named everywhere: `SHA256:…`, as `ssh-keygen -l` prints it.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}
