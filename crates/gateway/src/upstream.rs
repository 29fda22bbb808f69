//! In: an amphora; later a proof. Out: an authenticated connection to exactly that amphora.
//! Never: uses the octavia key without a proof, talks to a host whose key is not an expected one, or asks an operator.

mod hop;
mod proof;
mod question;
mod reach;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ampgate_access::{Amphora, Grant, LoginUser};
use ampgate_audit::Event;
use russh::client;
use russh::keys::PublicKeyOrCertificate;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key::{Algorithm, HashAlg, PublicKey};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use self::hop::Carrier;
pub use self::proof::Proof;
pub use self::question::{Heard, ask};
use self::reach::Way;

use crate::config::Config;
use crate::diagnosis::{self, Unreached};
use crate::gateway::Gateway;
use crate::hostkey::{self, Expected};
use crate::outer::fingerprint;
use crate::recorder::Recorder;
use crate::sentence::Trouble;

/// The signer answers within this time, or is not there.
const SIGNER_PATIENCE: Duration = Duration::from_secs(5);
/// A connection that was dialled early and never used ends after this; sshd's own login grace is 120 s.
const UNUSED: Duration = Duration::from_secs(30);

/// The amphora's side of the key exchange: no host key is trusted but those that are expected.
struct Hop {
    expected: Arc<Expected>,
    shown: Arc<Mutex<Option<PublicKey>>>,
}

impl client::Handler for Hop {
    type Error = russh::Error;

    /// russh verified the signature over the exchange before it asks.
    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
        Ok(self.expected.accepts(key))
    }
}

/// A connection with a checked host key. Nobody is logged in on it.
struct Dialled {
    amphora: Arc<Amphora>,
    client: client::Handle<Hop>,
    carrier: Option<Carrier>,
    host_key: String,
    began: Instant,
}

/// A dialled connection on its way; none where there is a hop, which is called when there is a proof. Dropping it ends it.
pub struct Dialling(Option<JoinHandle<Result<Dialled, Trouble>>>);

impl Drop for Dialling {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

/// A connection logged in with an octavia key, for one proof.
pub struct Upstream {
    client: client::Handle<Hop>,
    /// Where a hop is in between: the connection to that, which is to live as long.
    carrier: Option<Carrier>,
    host_key: String,
    octavia_key: String,
}

/// Begins to connect, and to exchange keys. It is where the time goes, so it starts before the client is ready.
pub fn dial(gateway: &Arc<Gateway>, amphora: &Arc<Amphora>) -> Dialling {
    if gateway.config().goes_through_a_hop(amphora) {
        return Dialling(None);
    }
    let (gateway, amphora) = (Arc::clone(gateway), Arc::clone(amphora));
    Dialling(Some(tokio::spawn(async move {
        connect(&gateway, &amphora, None).await
    })))
}

/// Connects, and exchanges keys, each within `connect_timeout`.
async fn connect(
    gateway: &Gateway,
    amphora: &Arc<Amphora>,
    proof: Option<&Proof<'_>>,
) -> Result<Dialled, Trouble> {
    let began = Instant::now();
    let patience = gateway.config().upstream.connect_timeout;
    let address = called(amphora)?;
    let way = async {
        let way = reach::way(gateway, amphora, address, began + patience, proof).await;
        way.map_err(|fault| unreachable(amphora, address, fault))
    };
    // Neither needs the other, and Nova is slow. It has a deadline of its own.
    let (way, expected) = tokio::try_join!(way, hostkey::expected(gateway, amphora))?;
    let expected = Arc::new(expected);
    let shaken = shake_hands(gateway, amphora, address, way, &expected);
    let Ok(shaken) = tokio::time::timeout(patience, shaken).await else {
        let late = Unreached::NoSsh("no answer in time".to_owned());
        return Err(unreachable(amphora, address, late));
    };
    let (client, carrier, key) = shaken?;
    hostkey::settle(gateway, amphora, address, &expected, &key)?;
    Ok(Dialled {
        amphora: Arc::clone(amphora),
        client,
        carrier,
        host_key: fingerprint(&key),
        began,
    })
}

/// The SSH key exchange, in which the amphora proves its host key.
async fn shake_hands(
    gateway: &Gateway,
    amphora: &Amphora,
    address: SocketAddr,
    way: Way,
    expected: &Arc<Expected>,
) -> Result<(client::Handle<Hop>, Option<Carrier>, PublicKey), Trouble> {
    let shown = Arc::new(Mutex::new(None));
    let hop = Hop {
        expected: Arc::clone(expected),
        shown: Arc::clone(&shown),
    };
    let ssh = crate::ssh::upstream(&gateway.config(), expected.keys());
    let (connected, carrier) = match way {
        Way::Tcp(tcp) => (client::connect_stream(ssh, tcp, hop).await, None),
        Way::Hop(stream, carrier) => {
            let connected = client::connect_stream(ssh, stream, hop).await;
            (connected, Some(carrier))
        }
    };
    let no_ssh = |why: String| unreachable(amphora, address, Unreached::NoSsh(why));
    let seen = shown.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (connected, seen) {
        (Ok(client), Some(key)) => Ok((client, carrier, key)),
        (Ok(_), None) => Err(no_ssh("it showed no host key".to_owned())),
        (Err(russh::Error::UnknownKey), Some(key)) => Err(hostkey::other_key(
            gateway,
            amphora,
            address,
            expected,
            Some(&key),
        )),
        // It has no key of the known kinds any more: the same alarm, without the other fingerprint.
        (Err(russh::Error::NoCommonAlgo { .. }), _) if !expected.keys().is_empty() => Err(
            hostkey::other_key(gateway, amphora, address, expected, None),
        ),
        (Err(error), _) => Err(no_ssh(error.to_string())),
    }
}

/// Where to call the amphora, if a call makes sense.
fn called(amphora: &Amphora) -> Result<SocketAddr, Trouble> {
    let standing = amphora.standing();
    match amphora.address {
        Some(address) if standing.attempt => Ok(address.0),
        _ => Err(Trouble::NotThere {
            amphora: amphora.id,
            why: standing.sentence.unwrap_or_default(),
        }),
    }
}

/// For events: its address, or nothing.
pub fn shown_address(amphora: &Amphora) -> String {
    amphora
        .address
        .map(|address| address.to_string())
        .unwrap_or_default()
}

fn unreachable(amphora: &Amphora, address: SocketAddr, fault: Unreached) -> Trouble {
    Trouble::Unreachable {
        amphora: amphora.id,
        address,
        fault,
        standing: amphora.standing().sentence,
    }
}

impl Dialling {
    /// Logs in, as the login user of the grant's amphora. Grant and recording are asked for here because this is where
    /// the octavia key is used.
    ///
    /// # Errors
    /// A sentence for each way a connection can fail.
    pub async fn open(
        mut self,
        gateway: &Gateway,
        grant: &Grant,
        recorder: &Recorder,
    ) -> Result<Upstream, Trouble> {
        let proof = Proof::Session(grant, recorder);
        let dialled = match self.0.take() {
            None => connect(gateway, grant.amphora(), Some(&proof)).await,
            Some(task) => match task.await {
                // The amphora has ended the early connection, or is about to.
                Ok(Ok(early)) if early.began.elapsed() > UNUSED || early.client.is_closed() => {
                    connect(gateway, grant.amphora(), Some(&proof)).await
                }
                Ok(dialled) => dialled,
                Err(error) => Err(Trouble::Broken(error.to_string())),
            },
        };
        let outcome = match dialled {
            Ok(dialled) => log_in(gateway, dialled, &proof).await,
            Err(trouble) => Err(trouble),
        };
        match outcome {
            Ok(upstream) => Ok(upstream),
            Err(trouble) => {
                gateway.journal(
                    Some(grant.session()),
                    Event::UpstreamRefused {
                        amphora: grant.amphora().id.to_string().into(),
                        address: shown_address(grant.amphora()).into(),
                        fault: diagnosis::fault(&trouble).into(),
                        detail: trouble.to_string().into(),
                    },
                );
                Err(trouble)
            }
        }
    }
}

/// Logs in to the amphora of the proof.
async fn log_in(
    gateway: &Gateway,
    mut dialled: Dialled,
    proof: &Proof<'_>,
) -> Result<Upstream, Trouble> {
    if dialled.amphora.id != proof.amphora().id {
        let what = "the connection is another amphora's".to_owned();
        return Err(Trouble::Broken(what));
    }
    let amphora = Arc::clone(&dialled.amphora);
    let (id, login) = (amphora.id.to_string(), &amphora.login_user);
    let octavia_key = match open_with_a_key(gateway, &mut dialled.client, login, &id, proof).await?
    {
        Opened::By(key) => key,
        Opened::ByNone { tried } => {
            return Err(Trouble::NoKeyFits {
                amphora: amphora.id,
                tried,
            });
        }
    };
    gateway.journal(
        proof.session(),
        Event::UpstreamOpened {
            amphora: id.into(),
            address: shown_address(&amphora).into(),
            login_user: login.as_str().into(),
            host_key: dialled.host_key.as_str().into(),
            octavia_key: octavia_key.as_str().into(),
            milliseconds: u64::try_from(dialled.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        },
    );
    Ok(Upstream {
        client: dialled.client,
        carrier: dialled.carrier,
        host_key: dialled.host_key,
        octavia_key,
    })
}

/// What came of trying the key ring on one host.
enum Opened {
    By(String),
    ByNone { tried: usize },
}

/// Tries the key ring: the key that last opened what is `known_as` this first, then the newest.
async fn open_with_a_key<H: client::Handler>(
    gateway: &Gateway,
    client: &mut client::Handle<H>,
    login: &LoginUser,
    known_as: &str,
    proof: &Proof<'_>,
) -> Result<Opened, Trouble> {
    let config = gateway.config();
    let mut agent = within_patience(agent(&config)).await?;
    let mut keys = identities(&mut agent).await?;
    if let Some(last) = gateway.key_memory.recall(known_as) {
        keys.sort_by_key(|key| fingerprint(key) != last);
    }
    keys.truncate(config.upstream.max_keys);
    let tried = keys.len();
    for key in keys {
        let hash = match key.algorithm() {
            Algorithm::Rsa { .. } => rsa_hash(client).await,
            _ => None,
        };
        let shown = fingerprint(&key);
        let answer = tokio::time::timeout(
            config.upstream.connect_timeout,
            client.authenticate_publickey_with(login.to_string(), key, hash, &mut agent),
        );
        match answer.await {
            Ok(Ok(result)) if result.success() => {
                gateway.key_memory.learn(known_as, &shown);
                gateway.journal(
                    proof.session(),
                    Event::SignerSigned {
                        amphora: proof.amphora().id.to_string().into(),
                        octavia_key: shown.as_str().into(),
                        login_user: login.as_str().into(),
                    },
                );
                return Ok(Opened::By(shown));
            }
            Ok(Ok(_refused)) => {}
            Ok(Err(russh::AgentAuthError::Key(error))) => {
                gateway.journal(
                    proof.session(),
                    Event::SignerRefused {
                        octavia_key: shown.into(),
                        reason: error.to_string().into(),
                    },
                );
                return Err(Trouble::Signer(error.to_string()));
            }
            Ok(Err(russh::AgentAuthError::Send(_))) => {
                return Err(Trouble::Broken("it hung up during the login".to_owned()));
            }
            Err(_late) => return Err(Trouble::Broken("it did not answer the login".to_owned())),
        }
        if client.is_closed() {
            break;
        }
    }
    match tried {
        0 => Err(Trouble::Signer("it holds no octavia key".to_owned())),
        tried => Ok(Opened::ByNone { tried }),
    }
}

/// The signer may just be starting again: it is asked until the patience of the caller ends.
async fn agent(config: &Config) -> Result<AgentClient<UnixStream>, russh::keys::Error> {
    let socket = config
        .signer
        .agent
        .as_ref()
        .unwrap_or(&config.signer.socket);
    let deadline = Instant::now() + SIGNER_PATIENCE - Duration::from_millis(200);
    loop {
        match AgentClient::<UnixStream>::connect_uds(socket).await {
            Err(_) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await
            }
            outcome => return outcome,
        }
    }
}

async fn identities(agent: &mut AgentClient<UnixStream>) -> Result<Vec<PublicKey>, Trouble> {
    let identities = within_patience(agent.request_identities()).await?;
    Ok(identities
        .iter()
        .map(|identity| identity.public_key().into_owned())
        .collect())
}

/// The octavia keys that the signer, or the agent in its place, holds now.
///
/// # Errors
/// It does not answer.
pub async fn key_ring(config: &Config) -> Result<Vec<PublicKey>, Trouble> {
    let mut agent = within_patience(agent(config)).await?;
    identities(&mut agent).await
}

/// SHA-2 always: sshd has known it since 7.2, and SHA-1 is gone since 8.8.
async fn rsa_hash<H: client::Handler>(client: &client::Handle<H>) -> Option<HashAlg> {
    client
        .best_supported_rsa_hash()
        .await
        .ok()
        .flatten()
        .flatten()
        .or(Some(HashAlg::Sha256))
}

async fn within_patience<T, E: std::fmt::Display>(
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(SIGNER_PATIENCE, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Trouble::Signer(error.to_string())),
        Err(_late) => Err(Trouble::Signer("no answer in time".to_owned())),
    }
}

impl Upstream {
    /// A session channel on the amphora.
    pub async fn session(&self) -> Result<russh::Channel<client::Msg>, Trouble> {
        self.client
            .channel_open_session()
            .await
            .map_err(|e| Trouble::Refused(format!("the amphora opens no session: {e}")))
    }

    /// Ends the connection, without waiting for the amphora's answer.
    pub async fn hang_up(self) {
        let bye = self
            .client
            .disconnect(russh::Disconnect::ByApplication, "", "");
        let _ = tokio::time::timeout(Duration::from_millis(500), bye).await;
        drop(self.carrier);
    }
}
