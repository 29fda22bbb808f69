//! In: connections on a private socket, whose peers are known by uid.
//! Out: public keys, signatures over logins and heads; one log line for each signature and each refusal.
//! Never: signs what was not read to its last byte as one of the two; lets one connection stop another.

use crate::error::SignerError;
use crate::harden::harden;
use crate::keys::{KeyRing, SealingKey};
use crate::login::LoginProof;
use crate::protocol::{self, MAX_MESSAGE, Request};
use crate::seal::SealMessage;
use crate::socket;
use ring::digest::{SHA256, digest};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections at a time; more are closed at once. The gateway needs one for seals and one per login under way.
const CONNECTIONS: usize = 256;
/// From a message's first byte to its last, and for each reply.
const MESSAGE: Duration = Duration::from_secs(5);
/// A connection without a request is closed after this; [`crate::SealClient`] opens another.
const IDLE: Duration = Duration::from_secs(600);

/// What the signer is to do.
#[derive(Clone, Debug)]
pub struct SignerConfig {
    /// The socket, in a directory of mode 0700 or 0750.
    pub socket: PathBuf,
    /// The socket's group, where the gateway is another user than the signer.
    pub socket_group: Option<u32>,
    /// Octavia private keys. May be empty: then only seals are made.
    pub keys: Vec<PathBuf>,
    /// The sealing key (ed25519).
    pub sealing_key: PathBuf,
    /// Login users for which logins are signed.
    pub login_users: Vec<String>,
    /// Users who may connect. The signer's own user is not among them unless it is named.
    pub allowed_uids: Vec<u32>,
    /// Exit when the thread that started this process ends (for a child of `serve`).
    pub exit_with_parent: bool,
}

/// Runs the signer until SIGTERM or SIGINT. Makes its own single-threaded runtime: call it from a thread without one.
pub fn run(config: &SignerConfig) -> Result<(), SignerError> {
    harden(config.exit_with_parent)?;
    let signer = Signer::read(config)?;
    let listener = socket::bind(&config.socket, config.socket_group)?;
    let system = |doing| move |source| SignerError::System { doing, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start a runtime"))?;
    let local = tokio::task::LocalSet::new();
    let served = local.block_on(&runtime, async {
        let listener = UnixListener::from_std(listener).map_err(system("listen"))?;
        signer.announce(config);
        serve(Rc::new(signer), listener).await
    });
    // Leaves nothing that looks like a signer; a fault here harms nobody, a stale socket is replaced at the next start.
    let _ = std::fs::remove_file(&config.socket);
    served
}

/// Keys and whom they serve.
struct Signer {
    ring: KeyRing,
    sealing: SealingKey,
    login_users: Vec<String>,
    allowed_uids: Vec<u32>,
}

impl Signer {
    fn read(config: &SignerConfig) -> Result<Signer, SignerError> {
        let (ring, sealing) = (
            KeyRing::read(&config.keys)?,
            SealingKey::read(&config.sealing_key)?,
        );
        if ring.find(sealing.blob()).is_some() {
            let why = format!(
                "{} is both an octavia key and the sealing key; make another sealing key",
                sealing.fingerprint()
            );
            return Err(SignerError::Config(why));
        }
        if config.allowed_uids.is_empty() {
            return Err(SignerError::Config(
                "no user may connect to the signer; name the gateway's".to_owned(),
            ));
        }
        let (login_users, allowed_uids) = (config.login_users.clone(), config.allowed_uids.clone());
        Ok(Signer {
            ring,
            sealing,
            login_users,
            allowed_uids,
        })
    }

    fn announce(&self, config: &SignerConfig) {
        for key in self.ring.iter() {
            tracing::info!(target: "signer", key = key.fingerprint(), file = key.comment(), "octavia key");
        }
        let (key, socket) = (
            self.sealing.fingerprint(),
            config.socket.display().to_string(),
        );
        tracing::info!(target: "signer", sealing_key = key, socket, login_users = ?self.login_users, uids = ?self.allowed_uids, "ready");
    }
}

async fn serve(signer: Rc<Signer>, listener: UnixListener) -> Result<(), SignerError> {
    let system = |source| SignerError::System {
        doing: "wait for signals",
        source,
    };
    let mut term = signal(SignalKind::terminate()).map_err(system)?;
    let mut int = signal(SignalKind::interrupt()).map_err(system)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(fault) => {
                    // Out of file descriptors, most likely: others will be closed.
                    tracing::warn!(target: "signer", %fault, "accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
        };
        let Some(uid) = allowed(&signer, &stream) else {
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(target: "signer", uid, result = "refused", reason = "too many connections", "connection");
            continue;
        };
        let signer = signer.clone();
        tokio::task::spawn_local(async move {
            let _place = place;
            connection(&signer, stream, uid).await;
        });
    }
}

fn allowed(signer: &Signer, stream: &UnixStream) -> Option<u32> {
    let uid = stream.peer_cred().ok()?.uid();
    if signer.allowed_uids.contains(&uid) {
        return Some(uid);
    }
    tracing::warn!(target: "signer", uid, result = "refused", reason = "this user may not connect", "connection");
    None
}

/// Serves one connection until it ends, is idle for long, or sends what is no message.
async fn connection(signer: &Signer, mut stream: UnixStream, uid: u32) {
    loop {
        let Some(message) = read_message(&mut stream).await else {
            return;
        };
        let reply = answer(
            &signer.ring,
            &signer.sealing,
            &signer.login_users,
            uid,
            &message,
        );
        drop(message);
        match timeout(MESSAGE, stream.write_all(&reply)).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}

async fn read_message(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let first = timeout(IDLE, stream.read_u8()).await.ok()?.ok()?;
    let rest = async {
        let mut others = [0; 3];
        stream.read_exact(&mut others).await.ok()?;
        let [second, third, last] = others;
        let length = usize::try_from(u32::from_be_bytes([first, second, third, last]))
            .ok()
            .filter(|n| (1..=MAX_MESSAGE).contains(n))?;
        // Grows with what really comes, not with what is promised.
        let mut message = Vec::with_capacity(length.min(4096));
        let wanted = u64::try_from(length).ok()?;
        (&mut *stream)
            .take(wanted)
            .read_to_end(&mut message)
            .await
            .ok()?;
        (message.len() == length).then_some(message)
    };
    timeout(MESSAGE, rest).await.ok().flatten()
}

/// The reply, length in front, to one message, given without its length. Any bytes may come; nothing else is looked at.
pub fn answer(
    ring: &KeyRing,
    sealing: &SealingKey,
    login_users: &[String],
    uid: u32,
    message: &[u8],
) -> Vec<u8> {
    match Request::parse(message) {
        Ok(Request::Identities) => {
            protocol::identities(ring.iter().map(|key| (key.blob(), key.comment())))
        }
        Ok(Request::Sign { key, data, flags }) => sign(ring, login_users, uid, key, data, flags),
        Ok(Request::Seal { message: b"" }) => protocol::sealed(sealing.public(), b""),
        Ok(Request::Seal { message }) => seal(sealing, uid, message),
        Err(why) => {
            // `session-bind@openssh.com` comes with every login of OpenSSH's client: no alarm.
            tracing::debug!(target: "signer", uid, result = "refused", reason = %why, "request");
            protocol::refused()
        }
    }
}

fn sign(
    ring: &KeyRing,
    login_users: &[String],
    uid: u32,
    blob: &[u8],
    data: &[u8],
    flags: u32,
) -> Vec<u8> {
    let signed = check(ring, login_users, blob, data).and_then(|(key, proof)| {
        let signature = key.sign(&proof, data, flags).map_err(str::to_owned)?;
        let session = hash_of(proof.session_id);
        tracing::info!(target: "signer", uid, result = "signed", user = proof.user, key = key.fingerprint(),
            algorithm = proof.algorithm, session, "login");
        Ok(protocol::signed(proof.algorithm, &signature))
    });
    signed.unwrap_or_else(|reason| {
        let key = ring.find(blob).map_or("unknown", |key| key.fingerprint());
        tracing::warn!(target: "signer", uid, result = "refused", key, reason, "login");
        protocol::refused()
    })
}

fn check<'r, 'd>(
    ring: &'r KeyRing,
    login_users: &[String],
    blob: &[u8],
    data: &'d [u8],
) -> Result<(&'r crate::keys::OctaviaKey, LoginProof<'d>), String> {
    // The sealing key is not in the ring, so it cannot be asked for here.
    let key = ring
        .find(blob)
        .ok_or("no octavia key has this public key")?;
    let proof = LoginProof::parse(data).map_err(|why| why.to_string())?;
    if proof.key != blob {
        return Err("the data names another key than the one asked to sign".to_owned());
    }
    if !login_users.iter().any(|user| user == proof.user) {
        // Debug form: escaped. It comes from whoever holds the socket.
        return Err(format!(
            "{:?} is no configured login user",
            proof.user.chars().take(64).collect::<String>()
        ));
    }
    Ok((key, proof))
}

fn seal(sealing: &SealingKey, uid: u32, message: &[u8]) -> Vec<u8> {
    match SealMessage::parse(message) {
        Ok(head) => {
            let signature = sealing.sign(&head, message);
            match head {
                SealMessage::Recording { session, offset } => {
                    tracing::debug!(target: "signer", uid, result = "sealed", session, offset, "recording")
                }
                SealMessage::Journal { seq } => {
                    tracing::debug!(target: "signer", uid, result = "sealed", seq, "journal")
                }
            }
            protocol::sealed(sealing.public(), &signature)
        }
        Err(why) => {
            tracing::warn!(target: "signer", uid, result = "refused", reason = %why, "seal");
            protocol::refused()
        }
    }
}

/// The session id is no secret, but nobody needs it whole: enough of a hash to find the login again.
fn hash_of(session_id: &[u8]) -> String {
    let hash = digest(&SHA256, session_id);
    hash.as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
