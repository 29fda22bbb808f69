//! In:    messages at the wrong time, requests that nobody should grant.
//! Out:   the end of the connection, or a refusal.
//! Never: success by default.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::Duration;

use ampgate_loop::in_time;
use ampgate_loop::pair::{Answers, Server, server_config};
use ampgate_loop::peer::{
    CHANNEL_FAILURE, CHANNEL_OPEN, CHANNEL_OPEN_FAILURE, GLOBAL_REQUEST, Message, OURS, Peer,
    REQUEST_FAILURE, request,
};

const WINDOW: u32 = 1 << 20;

#[tokio::test]
async fn messages_of_the_connection_protocol_before_authentication_end_it() {
    for kind in [80, 81, 90, 93, 94, 97, 98, 127] {
        for started in [false, true] {
            let (mut peer, server) =
                Peer::of_server(server_config(WINDOW), Server::new(Answers::AtOnce).0).await;
            if started {
                peer.start_authentication().await;
            }
            peer.send(
                &Message::new(kind)
                    .string("session")
                    .number(OURS)
                    .number(1)
                    .number(1),
            )
            .await;
            let end = in_time(&format!("the end after message {kind}"), server).await;
            assert!(end.is_err(), "message {kind} before authentication");
            peer.gone().await;
        }
    }
}

#[tokio::test]
async fn no_keepalive_before_authentication() {
    let config = russh::server::Config {
        keepalive_interval: Some(Duration::from_millis(20)),
        keepalive_max: 3,
        ..server_config(WINDOW)
    };
    let (mut peer, server) = Peer::of_server(config, Server::new(Answers::AtOnce).0).await;
    peer.start_authentication().await;
    // The timer still counts: a silent peer is let go.
    assert!(in_time("the end of a silent peer", server).await.is_err());
    while let Some(message) = in_time("the end", peer.next()).await {
        assert_ne!(message[0], GLOBAL_REQUEST);
    }
}

#[tokio::test]
async fn global_requests_are_refused_by_default() {
    let (mut peer, _server, _opened) = Peer::of_sessions(WINDOW).await;
    for (name, port) in [
        ("tcpip-forward", true),
        ("cancel-tcpip-forward", true),
        ("streamlocal-forward@openssh.com", false),
        ("no-such@test", false),
    ] {
        let request = Message::new(GLOBAL_REQUEST)
            .string(name)
            .byte(1)
            .string("localhost");
        peer.send(&if port { request.number(0) } else { request })
            .await;
        peer.expect(REQUEST_FAILURE).await;
    }
}

#[tokio::test]
async fn unknown_channels_and_requests_are_refused() {
    let (mut peer, _server, theirs, _opened) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    peer.send(&request(theirs, "break", true).number(500)).await;
    peer.expect(CHANNEL_FAILURE).await;
    for typ in ["no-such@test", "auth-agent@openssh.com"] {
        peer.send(
            &Message::new(CHANNEL_OPEN)
                .string(typ)
                .number(OURS)
                .number(WINDOW)
                .number(1024),
        )
        .await;
        peer.expect(CHANNEL_OPEN_FAILURE).await;
    }
    let direct = Message::new(CHANNEL_OPEN)
        .string("direct-tcpip")
        .number(OURS)
        .number(WINDOW)
        .number(1024);
    peer.send(
        &direct
            .string("localhost")
            .number(22)
            .string("localhost")
            .number(1),
    )
    .await;
    peer.expect(CHANNEL_OPEN_FAILURE).await;
}
