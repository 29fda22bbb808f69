//! In:    a stream, or none for a fresh pair.
//! Out:   a russh server that hands its channels to the test, and a russh client connected to it.
//! Never: decides anything: everybody may log in and open sessions.

use std::sync::Arc;

use bytes::Bytes;
use russh::keys::{Algorithm, PrivateKey, PublicKeyOrCertificate};
use russh::server::{ChannelOpenHandle, Msg, Session};
use russh::{Channel, ChannelId, ChannelMsg, client, server};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// The server configuration of the tests; `window` in bytes.
pub fn server_config(window: u32) -> server::Config {
    server::Config {
        keys: vec![host_key()],
        window_size: window,
        auth_rejection_time: std::time::Duration::ZERO,
        inactivity_timeout: None,
        ..Default::default()
    }
}

fn host_key() -> PrivateKey {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap()
}

/// The client configuration of the tests; `window` in bytes.
pub fn client_config(window: u32) -> client::Config {
    client::Config {
        window_size: window,
        inactivity_timeout: None,
        ..Default::default()
    }
}

/// A channel that the client opened, as the server's application gets it.
pub struct Opened {
    pub channel: Channel<Msg>,
    pub handle: server::Handle,
}

/// What the server's callbacks do with requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Success from the callback, whatever is asked.
    AtOnce,
    /// Nothing for a shell: a task of the test answers it. Success at once for everything else.
    ShellLater,
}

/// A server that lets everybody in and hands every session channel to the test.
pub struct Server {
    opened: mpsc::Sender<Opened>,
    answers: Answers,
}

impl Server {
    /// The server and where its channels arrive.
    pub fn new(answers: Answers) -> (Self, mpsc::Receiver<Opened>) {
        // Room for every channel a test opens at once.
        let (opened, channels) = mpsc::channel(64);
        (Self { opened, answers }, channels)
    }
}

impl server::Handler for Server {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<server::Auth, Self::Error> {
        Ok(server::Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let _ = self.opened.try_send(Opened {
            channel,
            handle: session.handle(),
        });
        Ok(())
    }

    async fn shell_request(
        &mut self,
        id: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.answers {
            Answers::AtOnce => session.channel_success(id),
            Answers::ShellLater => Ok(()),
        }
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)
    }
}

/// A client that trusts every server.
pub struct Client;

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn disconnected(
        &mut self,
        reason: client::DisconnectReason<Self::Error>,
    ) -> Result<(), Self::Error> {
        eprintln!("client: {reason:?}");
        Ok(())
    }
}

/// A connected pair.
pub struct Pair {
    pub client: client::Handle<Client>,
    pub opened: mpsc::Receiver<Opened>,
    pub server: server::RunningSession<Server>,
}

/// Connects a client to a server, over the two ends of a stream.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    server: server::Config,
    client: client::Config,
    (near, far): (S, S),
) -> Pair {
    let (handler, opened) = Server::new(Answers::AtOnce);
    let serve = server::run_stream(Arc::new(server), far, handler);
    let dial = async {
        let mut handle = client::connect_stream(Arc::new(client), near, Client)
            .await
            .unwrap();
        assert!(
            handle
                .authenticate_none("operator")
                .await
                .unwrap()
                .success()
        );
        handle
    };
    let (server, client) = tokio::join!(serve, dial);
    Pair {
        client,
        opened,
        server: server.unwrap(),
    }
}

impl Pair {
    /// A fresh pair with this window at both ends.
    pub async fn new(window: u32) -> Self {
        connect(
            server_config(window),
            client_config(window),
            tokio::io::duplex(256 * 1024),
        )
        .await
    }

    /// A session channel, as both sides have it.
    pub async fn session(&mut self) -> (Channel<client::Msg>, Opened) {
        let (near, far) = tokio::join!(self.client.channel_open_session(), self.opened.recv());
        (near.unwrap(), far.unwrap())
    }
}

/// Sends back whatever comes, until the end.
pub async fn echo(opened: Opened) {
    let (mut from, to) = opened.channel.split();
    while let Some(msg) = from.wait().await {
        let sent = match msg {
            ChannelMsg::Data { data } => to.data_bytes(data).await,
            ChannelMsg::Eof => to.eof().await,
            _ => Ok(()),
        };
        if sent.is_err() {
            break;
        }
    }
    let _ = to.close().await;
}

/// A different byte at every place of a long stream, cheap to check.
pub fn pattern(offset: usize, length: usize) -> Bytes {
    (offset..offset + length)
        .map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8)
        .collect::<Vec<_>>()
        .into()
}

/// One round trip on a channel whose other side echoes.
pub async fn ping(channel: &mut Channel<client::Msg>) {
    channel.data_bytes(&b"ping"[..]).await.unwrap();
    let mut answer = Vec::new();
    while answer.len() < 4 {
        match channel.wait().await.expect("an answer") {
            ChannelMsg::Data { data } => answer.extend_from_slice(&data),
            ChannelMsg::Close => panic!("closed instead of an answer"),
            _ => {}
        }
    }
    assert_eq!(answer, b"ping");
}
