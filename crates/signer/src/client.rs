//! In: the head of a recording or of the journal.
//! Out: its seal, checked against the public key that was seen first.
//! Never: waits for the signer longer than two seconds; gives a seal that does not verify.

use crate::protocol::{MAX_MESSAGE, seal_reply, seal_request};
use ring::signature::{ED25519, UnparsedPublicKey};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// For a seal, a reconnection included.
const DEADLINE: Duration = Duration::from_secs(2);

/// A connection to the signer for seals. Share it behind an `Arc`; requests go one after the other.
///
/// The connection belongs to the runtime in which it was last opened; that one must live as long as the client.
pub struct SealClient {
    path: PathBuf,
    public: [u8; 32],
    stream: Mutex<Option<UnixStream>>,
}

/// Why there is no seal. The session goes on or ends as the caller's rules say; the recording stays unsealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The signer is not there.
    #[error("the signer does not answer on {}: {source}; is `ampgate signer` running?", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// No answer in two seconds.
    #[error("the signer did not answer within {} s", DEADLINE.as_secs())]
    Deadline,
    /// It refuses: the message is no head, or this user may not ask. Its log says which.
    #[error("the signer refused to seal; its log says why")]
    Refused,
    /// Another sealing key than at the start, or a signature that does not verify.
    #[error(
        "the signer's sealing key is not the one it had at the start; restart the gateway if it was changed on purpose"
    )]
    OtherKey,
}

impl SealClient {
    /// Connects and asks for the public key.
    pub async fn connect(path: &Path) -> Result<SealClient, SealError> {
        let first = async {
            let mut stream = open(path).await?;
            let reply = ask(&mut stream, b"")
                .await
                .map_err(|fault| unreachable_at(path, fault))?;
            let (public, _) = seal_reply(&reply).ok_or(SealError::Refused)?;
            let public = public.try_into().map_err(|_| SealError::Refused)?;
            Ok(SealClient {
                path: path.into(),
                public,
                stream: Mutex::new(Some(stream)),
            })
        };
        timeout(DEADLINE, first)
            .await
            .map_err(|_| SealError::Deadline)?
    }

    /// The sealing key's public half.
    pub fn sealing_public_key(&self) -> &[u8; 32] {
        &self.public
    }

    /// Seals a head (`Head::message()`, `JournalHead::message()`). Connects anew once if the connection was lost.
    pub async fn seal(&self, message: &[u8]) -> Result<[u8; 64], SealError> {
        timeout(DEADLINE, self.seal_once_more(message))
            .await
            .map_err(|_| SealError::Deadline)?
    }

    async fn seal_once_more(&self, message: &[u8]) -> Result<[u8; 64], SealError> {
        let mut held = self.stream.lock().await;
        // Taken out: if this future is dropped half way, a half-used connection is dropped with it.
        if let Some(mut stream) = held.take()
            && let Ok(reply) = ask(&mut stream, message).await
        {
            *held = Some(stream);
            return self.check(message, &reply);
        }
        let mut stream = open(&self.path).await?;
        let reply = ask(&mut stream, message)
            .await
            .map_err(|fault| unreachable_at(&self.path, fault))?;
        *held = Some(stream);
        self.check(message, &reply)
    }

    fn check(&self, message: &[u8], reply: &[u8]) -> Result<[u8; 64], SealError> {
        let (_, signature) = seal_reply(reply).ok_or(SealError::Refused)?;
        UnparsedPublicKey::new(&ED25519, &self.public)
            .verify(message, signature)
            .map_err(|_| SealError::OtherKey)?;
        signature.try_into().map_err(|_| SealError::OtherKey)
    }
}

async fn open(path: &Path) -> Result<UnixStream, SealError> {
    UnixStream::connect(path)
        .await
        .map_err(|fault| unreachable_at(path, fault))
}

fn unreachable_at(path: &Path, source: io::Error) -> SealError {
    SealError::Io {
        path: path.into(),
        source,
    }
}

async fn ask(stream: &mut UnixStream, message: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(&seal_request(message)).await?;
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if length > MAX_MESSAGE {
        return Err(io::Error::other("a reply longer than any"));
    }
    let mut reply = vec![0; length];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}
