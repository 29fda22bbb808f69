//! In: one TCP connection from an operator. Out: a `Principal`, and jumps or sessions in that principal's name.
//! Never: lets anybody in but by a verified signature, or opens anything but a known target's port 22.

use std::sync::Arc;

use ampgate_access::{DirectName, Principal, SkFlags, parse_direct};
use ampgate_audit::Event;
use jiff::Timestamp;
use russh::keys::ssh_key::{Algorithm, HashAlg, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, MethodKind, MethodSet};
use tokio::sync::watch;

use crate::contain::contain;
use crate::gateway::{Connection, Gateway};
use crate::jump;
use crate::limits::Place;
use crate::sentence::Trouble;
use crate::session::{self, Visit};

/// The outer SSH server's side of one connection.
pub struct Outer {
    gateway: Arc<Gateway>,
    connection: Arc<Connection>,
    place: Place,
    logged_in: watch::Sender<bool>,
    /// Who it is: set by a verified signature and by nothing else, and only read after russh let the client in.
    proved: Option<Proved>,
}

struct Proved {
    principal: Arc<Principal>,
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
        }
    }

    /// Whether a signature by this key would be worth making.
    fn offered(&self, offer: PublicKeyOffer<'_>) -> Result<(), String> {
        let blob = offer.public_key.to_bytes().map_err(|e| e.to_string())?;
        let users = &self.gateway.rules().users;
        users
            .offered(
                &blob,
                offer.algorithm.as_str(),
                self.connection.source.ip(),
                Timestamp::now(),
            )
            .map_err(|e| e.to_string())
    }

    /// Whose key it is. The signature has been verified.
    fn authenticate(
        &self,
        login: &str,
        key: &PublicKey,
        algorithm: &Algorithm,
        sk: Option<SkFlags>,
    ) -> Result<Principal, String> {
        let blob = key.to_bytes().map_err(|e| e.to_string())?;
        let users = &self.gateway.rules().users;
        let principal = users
            .authenticate(
                &blob,
                algorithm.as_str(),
                self.connection.source.ip(),
                Timestamp::now(),
                sk,
            )
            .map_err(|e| e.to_string())?;
        match parse_direct(login) {
            Ok(DirectName {
                operator: Some(operator),
                ..
            }) if operator != *principal.name() => Err(format!("the key is not {operator}'s")),
            _ => Ok(principal),
        }
    }

    fn refused(&self, login: &str, key: &PublicKey, reason: &str) -> Auth {
        self.gateway.journal(
            None,
            Event::PrincipalRefused {
                connection: self.connection.id.as_str().into(),
                user: login.into(),
                source: self.connection.source.ip().to_string().into(),
                method: "publickey".into(),
                key: Some(fingerprint(key).into()),
                reason: reason.into(),
            },
        );
        publickey_only()
    }
}

/// A refusal that names what would help: a public key, and nothing else.
fn publickey_only() -> Auth {
    Auth::Reject {
        proceed_with_methods: Some(MethodSet::from(&[MethodKind::PublicKey][..])),
        partial_success: false,
    }
}

impl Handler for Outer {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        Ok(publickey_only())
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        match self.offered(offer) {
            Ok(()) => Ok(Auth::Accept),
            Err(reason) => Ok(self.refused(user, offer.public_key, &reason)),
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
        let sk = key.security_key.map(|used| SkFlags {
            user_presence: used.user_present,
            user_verification: used.user_verified,
        });
        let principal = match self.authenticate(user, key.public_key, key.algorithm, sk) {
            Ok(principal) => Arc::new(principal),
            Err(reason) => return Ok(self.refused(user, key.public_key, &reason)),
        };
        self.gateway.journal(
            None,
            Event::PrincipalAuthenticated {
                connection: self.connection.id.as_str().into(),
                user: principal.name().as_str().into(),
                source: self.connection.source.ip().to_string().into(),
                method: principal.method().into(),
                key: Some(fingerprint(key.public_key).into()),
                algorithm: Some(key.algorithm.as_str().into()),
            },
        );
        self.proved = Some(Proved {
            principal,
            login: user.to_owned(),
            direct: Direct::Gateway,
        });
        Ok(Auth::Accept)
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
                Arc::clone(&self.gateway),
                Arc::clone(&proved.principal),
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
