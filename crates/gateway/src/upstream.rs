//! In: an amphora; later a `Grant` and a live recording. Out: an authenticated connection to exactly that amphora.
//! Never: uses the octavia key without both proofs, talks to a host whose key is not the expected one, or asks an operator.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ampgate_access::{Amphora, Grant};
use ampgate_audit::Event;
use russh::client;
use russh::keys::PublicKeyOrCertificate;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key::{Algorithm, HashAlg, PublicKey};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::gateway::Gateway;
use crate::hostkey::{self, Expected};
use crate::outer::fingerprint;
use crate::recorder::Recorder;
use crate::sentence::Trouble;

/// The signer answers within this time, or is not there.
const SIGNER_PATIENCE: Duration = Duration::from_secs(5);
/// A connection that was dialled early and never used ends after this; sshd's own login grace is 120 s.
const UNUSED: Duration = Duration::from_secs(30);
/// An amphora whose sshd rebinds at boot refuses for a moment (DHCP on the management network): asked again after these pauses.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

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
    host_key: String,
    began: Instant,
}

/// A dialled connection on its way. Dropping it ends it.
pub struct Dialling(Option<JoinHandle<Result<Dialled, Trouble>>>);

impl Drop for Dialling {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

/// A connection logged in with an octavia key, for one grant.
pub struct Upstream {
    client: client::Handle<Hop>,
}

/// Begins to connect, and to exchange keys. It is where the time goes, so it starts before the client is ready.
pub fn dial(gateway: &Arc<Gateway>, amphora: &Arc<Amphora>) -> Dialling {
    let (gateway, amphora) = (Arc::clone(gateway), Arc::clone(amphora));
    Dialling(Some(tokio::spawn(async move {
        connect(&gateway, &amphora).await
    })))
}

async fn connect(gateway: &Gateway, amphora: &Arc<Amphora>) -> Result<Dialled, Trouble> {
    let began = Instant::now();
    let address = called(amphora)?;
    // Neither needs the other, and Nova is slow. It has a deadline of its own.
    let (tcp, expected) = tokio::try_join!(
        in_time(gateway, amphora, address, tcp(amphora, address)),
        hostkey::expected(gateway, amphora)
    )?;
    let expected = Arc::new(expected);
    let handshake = shake_hands(gateway, amphora, address, tcp, &expected);
    let (client, key) = in_time(gateway, amphora, address, handshake).await?;
    hostkey::settle(gateway, amphora, address, &expected, &key)?;
    Ok(Dialled {
        amphora: Arc::clone(amphora),
        client,
        host_key: fingerprint(&key),
        began,
    })
}

/// `[upstream] connect_timeout` for one step.
async fn in_time<T>(
    gateway: &Gateway,
    amphora: &Amphora,
    address: SocketAddr,
    step: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    let deadline = gateway.config().upstream.connect_timeout;
    match tokio::time::timeout(deadline, step).await {
        Ok(outcome) => outcome,
        Err(_late) => Err(unreachable(
            amphora,
            address,
            "no answer in time; a security group or a dead VM looks like this",
        )),
    }
}

/// The SSH key exchange, in which the amphora proves its host key.
async fn shake_hands(
    gateway: &Gateway,
    amphora: &Amphora,
    address: SocketAddr,
    tcp: TcpStream,
    expected: &Arc<Expected>,
) -> Result<(client::Handle<Hop>, PublicKey), Trouble> {
    let _ = tcp.set_nodelay(true);
    let shown = Arc::new(Mutex::new(None));
    let hop = Hop {
        expected: Arc::clone(expected),
        shown: Arc::clone(&shown),
    };
    let config = crate::ssh::upstream(&gateway.config(), expected.keys());
    let connected = client::connect_stream(config, tcp, hop).await;
    let seen = shown.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (connected, seen) {
        (Ok(client), Some(key)) => Ok((client, key)),
        (Ok(_), None) => Err(unreachable(amphora, address, "it showed no host key")),
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
        (Err(error), _) => Err(unreachable(
            amphora,
            address,
            &format!(
                "something answers, but it does not complete the SSH handshake ({error}); is that port sshd?"
            ),
        )),
    }
}

/// Connects, again after a moment where sshd may only be rebinding.
async fn tcp(amphora: &Amphora, address: SocketAddr) -> Result<TcpStream, Trouble> {
    let mut pauses = AGAIN_AFTER.into_iter();
    loop {
        let error = match TcpStream::connect(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => error,
        };
        match (error.kind(), pauses.next()) {
            (ErrorKind::ConnectionRefused, Some(pause)) => tokio::time::sleep(pause).await,
            (kind, _) => return Err(unreachable(amphora, address, &why(kind, &error))),
        }
    }
}

fn why(kind: ErrorKind, error: &std::io::Error) -> String {
    match kind {
        ErrorKind::ConnectionRefused => "connection refused; no sshd is running there, or the image was built without one".to_owned(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "no route from this controller to the management network; is the interface (o-hm0) up, with an address?".to_owned(),
        ErrorKind::TimedOut => "no answer in time; a security group or a dead VM looks like this".to_owned(),
        _ => error.to_string(),
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

fn shown_address(amphora: &Amphora) -> String {
    amphora
        .address
        .map(|address| address.to_string())
        .unwrap_or_default()
}

/// What does not answer, with what Octavia says it is doing: half of the reasons are there.
fn unreachable(amphora: &Amphora, address: SocketAddr, why: &str) -> Trouble {
    Trouble::Unreachable {
        amphora: amphora.id,
        address,
        why: match amphora.standing().sentence {
            Some(sentence) => format!("{why}; {sentence}"),
            None => why.to_owned(),
        },
    }
}

impl Dialling {
    /// Logs in, as the login user of the grant's amphora. The two proofs are asked for here because this is where the
    /// octavia key is used.
    ///
    /// # Errors
    /// A sentence for each way a connection can fail.
    pub async fn open(
        mut self,
        gateway: &Gateway,
        grant: &Grant,
        recorder: &Recorder,
    ) -> Result<Upstream, Trouble> {
        let Some(task) = self.0.take() else {
            return Err(Trouble::Broken("it was never dialled".to_owned()));
        };
        let outcome = match task.await {
            Ok(Ok(dialled)) if dialled.amphora.id != grant.amphora().id => Err(Trouble::Broken(
                "the connection is another amphora's".to_owned(),
            )),
            Ok(Ok(dialled)) if dialled.began.elapsed() > UNUSED || dialled.client.is_closed() => {
                // The amphora has ended the early connection, or is about to.
                let mut again = connect(gateway, grant.amphora()).await?;
                log_in(gateway, &mut again, recorder).await.map(|()| again)
            }
            Ok(Ok(mut dialled)) => log_in(gateway, &mut dialled, recorder)
                .await
                .map(|()| dialled),
            Ok(Err(trouble)) => Err(trouble),
            Err(error) => Err(Trouble::Broken(error.to_string())),
        };
        match outcome {
            Ok(dialled) => Ok(Upstream {
                client: dialled.client,
            }),
            Err(trouble) => {
                gateway.journal(
                    Some(grant.session()),
                    Event::UpstreamRefused {
                        amphora: grant.amphora().id.to_string().into(),
                        address: shown_address(grant.amphora()).into(),
                        fault: trouble.code().into(),
                        detail: trouble.to_string().into(),
                    },
                );
                Err(trouble)
            }
        }
    }
}

/// Tries the key ring: the key that last opened this amphora first, then the newest.
async fn log_in(
    gateway: &Gateway,
    dialled: &mut Dialled,
    recorder: &Recorder,
) -> Result<(), Trouble> {
    let amphora = Arc::clone(&dialled.amphora);
    let id = amphora.id.to_string();
    let config = gateway.config();
    let mut agent = within_patience(agent(&config)).await?;
    let mut keys = identities(&mut agent).await?;
    if let Some(last) = gateway.key_memory.recall(&id) {
        keys.sort_by_key(|key| fingerprint(key) != last);
    }
    keys.truncate(gateway.config().upstream.max_keys);
    let tried = keys.len();
    for key in keys {
        let hash = match key.algorithm() {
            Algorithm::Rsa { .. } => rsa_hash(&dialled.client).await,
            _ => None,
        };
        let shown = fingerprint(&key);
        let login = amphora.login_user.to_string();
        let answer = tokio::time::timeout(
            gateway.config().upstream.connect_timeout,
            dialled
                .client
                .authenticate_publickey_with(login.clone(), key, hash, &mut agent),
        );
        match answer.await {
            Ok(Ok(result)) if result.success() => {
                gateway.key_memory.learn(&id, &shown);
                gateway.journal(
                    Some(recorder.session()),
                    Event::SignerSigned {
                        amphora: id.as_str().into(),
                        octavia_key: shown.as_str().into(),
                        login_user: login.as_str().into(),
                    },
                );
                gateway.journal(
                    Some(recorder.session()),
                    Event::UpstreamOpened {
                        amphora: id.into(),
                        address: shown_address(&amphora).into(),
                        login_user: login.into(),
                        host_key: dialled.host_key.as_str().into(),
                        octavia_key: shown.into(),
                        milliseconds: u64::try_from(dialled.began.elapsed().as_millis())
                            .unwrap_or(u64::MAX),
                    },
                );
                return Ok(());
            }
            Ok(Ok(_refused)) => {}
            Ok(Err(russh::AgentAuthError::Key(error))) => {
                gateway.journal(
                    Some(recorder.session()),
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
        if dialled.client.is_closed() {
            break;
        }
    }
    match tried {
        0 => Err(Trouble::Signer("it holds no octavia key".to_owned())),
        tried => Err(Trouble::NoKeyFits {
            amphora: amphora.id,
            tried,
        }),
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
async fn rsa_hash(client: &client::Handle<Hop>) -> Option<HashAlg> {
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
    }
}
