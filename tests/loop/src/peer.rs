//! In:    one end of an in-memory stream whose other end is russh.
//! Out:   an SSH peer that sends exactly what the test says, without encryption (key exchange "none").
//! Never: follows a rule that the test did not ask for.

use std::borrow::Cow;
use std::sync::Arc;

use russh::keys::Algorithm;
use russh::{Preferred, cipher, client, compression, kex, mac, server};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::mpsc;

use crate::pair::{Answers, Client, Opened, Server, client_config, server_config};

pub const DISCONNECT: u8 = 1;
pub const SERVICE_REQUEST: u8 = 5;
pub const SERVICE_ACCEPT: u8 = 6;
const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;
pub const USERAUTH_REQUEST: u8 = 50;
pub const USERAUTH_FAILURE: u8 = 51;
pub const USERAUTH_SUCCESS: u8 = 52;
pub const GLOBAL_REQUEST: u8 = 80;
pub const REQUEST_SUCCESS: u8 = 81;
pub const REQUEST_FAILURE: u8 = 82;
pub const CHANNEL_OPEN: u8 = 90;
pub const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
pub const CHANNEL_OPEN_FAILURE: u8 = 92;
pub const CHANNEL_WINDOW_ADJUST: u8 = 93;
pub const CHANNEL_DATA: u8 = 94;
pub const CHANNEL_EOF: u8 = 96;
pub const CHANNEL_CLOSE: u8 = 97;
pub const CHANNEL_REQUEST: u8 = 98;
pub const CHANNEL_SUCCESS: u8 = 99;
pub const CHANNEL_FAILURE: u8 = 100;

/// The channel number that this peer gives its channels.
pub const OURS: u32 = 7;

/// A message under construction.
#[derive(Clone)]
pub struct Message(Vec<u8>);

impl Message {
    pub fn new(kind: u8) -> Self {
        Self(vec![kind])
    }

    #[must_use]
    pub fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    #[must_use]
    pub fn number(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    #[must_use]
    pub fn string(self, value: impl AsRef<[u8]>) -> Self {
        let mut message = self.number(u32::try_from(value.as_ref().len()).unwrap());
        message.0.extend(value.as_ref());
        message
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A channel request without further fields.
pub fn request(channel: u32, name: &str, want_reply: bool) -> Message {
    Message::new(CHANNEL_REQUEST)
        .number(channel)
        .string(name)
        .byte(u8::from(want_reply))
}

/// The number at `at` in a message that came.
pub fn number(message: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(message[at..at + 4].try_into().unwrap())
}

fn no_crypto() -> Preferred {
    Preferred {
        host_key_certificates: Cow::Borrowed(&[]),
        kex: Cow::Owned(vec![kex::NONE]),
        key: Cow::Owned(vec![Algorithm::Ed25519]),
        cipher: Cow::Owned(vec![cipher::NONE]),
        mac: Cow::Owned(vec![mac::NONE]),
        compression: Cow::Owned(vec![compression::NONE]),
    }
}

/// The peer.
pub struct Peer {
    stream: BufReader<DuplexStream>,
}

impl Peer {
    /// A russh server, this peer as its not yet authenticated client, and the server's channels.
    pub async fn of_server<H>(
        config: server::Config,
        handler: H,
    ) -> (Self, server::RunningSession<H>)
    where
        H: server::Handler<Error = russh::Error> + Send + 'static,
    {
        let (near, far) = tokio::io::duplex(1 << 20);
        let config = server::Config {
            preferred: no_crypto(),
            ..config
        };
        let (peer, server) = tokio::join!(
            Self::handshake(near),
            server::run_stream(Arc::new(config), far, handler)
        );
        (peer, server.unwrap())
    }

    /// The same, authenticated, with one session channel: the peer, the channel's number at the server, the channel.
    pub async fn of_session(
        window: u32,
        answers: Answers,
    ) -> (Self, server::RunningSession<Server>, u32, Opened) {
        let (handler, mut opened) = Server::new(answers);
        let (mut peer, server) = Self::of_server(server_config(window), handler).await;
        peer.authenticate().await;
        let (theirs, opened) = tokio::join!(peer.open_session(1 << 20), opened.recv());
        (peer, server, theirs, opened.unwrap())
    }

    /// The same, with where further channels arrive.
    pub async fn of_sessions(
        window: u32,
    ) -> (Self, server::RunningSession<Server>, mpsc::Receiver<Opened>) {
        let (handler, opened) = Server::new(Answers::AtOnce);
        let (mut peer, server) = Self::of_server(server_config(window), handler).await;
        peer.authenticate().await;
        (peer, server, opened)
    }

    /// A russh client, authenticated to this peer as its server.
    pub async fn of_client(window: u32) -> (Self, client::Handle<Client>) {
        let (near, far) = tokio::io::duplex(1 << 20);
        let config = client::Config {
            preferred: no_crypto(),
            ..client_config(window)
        };
        let dial = async {
            let mut handle = client::connect_stream(Arc::new(config), far, Client)
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
        let serve = async {
            let mut peer = Self::handshake(near).await;
            peer.expect(SERVICE_REQUEST).await;
            peer.send(&Message::new(SERVICE_ACCEPT).string("ssh-userauth"))
                .await;
            peer.expect(USERAUTH_REQUEST).await;
            peer.send(&Message::new(USERAUTH_SUCCESS)).await;
            peer
        };
        tokio::join!(serve, dial)
    }

    async fn handshake(stream: DuplexStream) -> Self {
        let mut peer = Self {
            stream: BufReader::new(stream),
        };
        peer.stream.write_all(b"SSH-2.0-peer\r\n").await.unwrap();
        while peer.stream.read_u8().await.unwrap() != b'\n' {}
        peer.expect(KEXINIT).await;
        let mut kexinit = Message(vec![KEXINIT; 17]);
        for list in [
            "none",
            "ssh-ed25519",
            "none",
            "none",
            "none",
            "none",
            "none",
            "none",
            "",
            "",
        ] {
            kexinit = kexinit.string(list);
        }
        peer.send(&kexinit.byte(0).number(0)).await;
        // With this key exchange russh takes its own NEWKEYS for the end of it and expects none.
        peer.expect(NEWKEYS).await;
        peer
    }

    /// Logs in with method "none".
    pub async fn authenticate(&mut self) {
        self.start_authentication().await;
        let request = Message::new(USERAUTH_REQUEST)
            .string("operator")
            .string("ssh-connection")
            .string("none");
        self.send(&request).await;
        self.expect(USERAUTH_SUCCESS).await;
    }

    /// Asks for the authentication service.
    pub async fn start_authentication(&mut self) {
        self.send(&Message::new(SERVICE_REQUEST).string("ssh-userauth"))
            .await;
        self.expect(SERVICE_ACCEPT).await;
    }

    /// Opens a session channel that takes `window` bytes; its number at the other side.
    pub async fn open_session(&mut self, window: u32) -> u32 {
        let open = Message::new(CHANNEL_OPEN)
            .string("session")
            .number(OURS)
            .number(window)
            .number(32 * 1024);
        self.send(&open).await;
        number(&self.expect(CHANNEL_OPEN_CONFIRMATION).await, 5)
    }

    /// Confirms a channel that the other side opens; its number there.
    pub async fn confirm_open(&mut self, window: u32) -> u32 {
        let open = self.expect(CHANNEL_OPEN).await;
        let theirs = number(&open, 5 + number(&open, 1) as usize);
        let confirm = Message::new(CHANNEL_OPEN_CONFIRMATION)
            .number(theirs)
            .number(OURS);
        self.send(&confirm.number(window).number(32 * 1024)).await;
        theirs
    }

    /// Sends one message.
    pub async fn send(&mut self, message: &Message) {
        assert!(self.try_send(message).await, "the connection is gone");
    }

    /// Sends one message; false when the connection is gone.
    pub async fn try_send(&mut self, message: &Message) -> bool {
        self.stream.write_all(&packet(message)).await.is_ok()
    }

    /// Sends `count` times the same message, many at once; false when the connection is gone.
    pub async fn try_send_many(&mut self, message: &Message, count: usize) -> bool {
        let batch = packet(message).repeat(1000);
        let each = batch.len() / 1000;
        let mut left = count;
        while left > 0 {
            let now = left.min(1000);
            if self.stream.write_all(&batch[..now * each]).await.is_err() {
                return false;
            }
            left -= now;
        }
        true
    }

    /// The next message, or nothing when the other side is gone.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        let length = self.stream.read_u32().await.ok()? as usize;
        let mut packet = vec![0; length];
        self.stream.read_exact(&mut packet).await.ok()?;
        let padding = packet[0] as usize;
        Some(packet[1..length - padding].to_vec())
    }

    /// The next message, which must be of this kind.
    pub async fn expect(&mut self, kind: u8) -> Vec<u8> {
        let message = crate::in_time(&format!("message {kind}"), self.next()).await;
        let message = message.unwrap_or_else(|| panic!("message {kind}: the connection is gone"));
        assert_eq!(
            message[0],
            kind,
            "another message: {:?}",
            String::from_utf8_lossy(&message)
        );
        message
    }

    /// The kinds of all messages that the other side sends before it answers a global request sent now.
    pub async fn kinds_before_fence(&mut self) -> Vec<u8> {
        self.send(&Message::new(GLOBAL_REQUEST).string("fence@test").byte(1))
            .await;
        let mut kinds = Vec::new();
        loop {
            let message = crate::in_time("the fence", self.next())
                .await
                .expect("connection");
            match message[0] {
                REQUEST_FAILURE => return kinds,
                kind => kinds.push(kind),
            }
        }
    }

    /// Waits until the other side has closed the connection.
    pub async fn gone(&mut self) {
        crate::in_time("the end of the connection", async {
            while self.next().await.is_some() {}
        })
        .await;
    }
}

fn packet(message: &Message) -> Vec<u8> {
    let padding = 4 + (8 - (5 + message.0.len() + 4) % 8) % 8;
    let mut packet = u32::try_from(1 + message.0.len() + padding)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend(&message.0);
    packet.resize(packet.len() + padding, 0);
    packet
}
