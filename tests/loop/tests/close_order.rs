//! In:    peers that close early, channels that the application closes, drops, or still writes to.
//! Out:   an exit status that arrives, an answer to every close, nobody who waits for ever.
//! Never: relies on a pause to order two events.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use ampgate_loop::in_time;
use ampgate_loop::pair::{self, Answers};
use ampgate_loop::peer::{
    CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_REQUEST, CHANNEL_WINDOW_ADJUST, Message,
    OURS, Peer, number,
};
use russh::ChannelMsg;

const WINDOW: u32 = 1 << 20;

/// Waits for the peer's close, as a bridge does.
async fn until_closed(channel: &mut russh::ChannelReadHalf) {
    while let Some(msg) = in_time("the peer's close", channel.wait()).await {
        if matches!(msg, ChannelMsg::Close) {
            return;
        }
    }
    panic!("the end came without a close");
}

/// What OpenSSH's ControlMaster does: it closes once it has the end of the output.
#[tokio::test]
async fn exit_status_after_the_peers_close_arrives() {
    let (mut peer, _server, theirs, opened) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    let (mut from, to) = opened.channel.split();
    to.data_bytes(&b"output"[..]).await.unwrap();
    to.eof().await.unwrap();
    peer.expect(CHANNEL_DATA).await;
    peer.expect(CHANNEL_EOF).await;
    peer.send(&Message::new(CHANNEL_EOF).number(theirs)).await;
    peer.send(&Message::new(CHANNEL_CLOSE).number(theirs)).await;
    until_closed(&mut from).await;
    assert!(in_time("the end", from.wait()).await.is_none());
    to.exit_status(5).await.unwrap();
    to.close().await.unwrap();
    let status = peer.expect(CHANNEL_REQUEST).await;
    assert_eq!(&status[9..20], b"exit-status");
    assert_eq!(number(&status, 21), 5);
    assert_eq!(number(&peer.expect(CHANNEL_CLOSE).await, 1), OURS);
    assert_eq!(peer.kinds_before_fence().await, [], "one close is enough");
}

#[tokio::test]
async fn dropping_the_channel_answers_the_close() {
    let (mut peer, _server, theirs, opened) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    let (mut from, to) = opened.channel.split();
    peer.send(&Message::new(CHANNEL_CLOSE).number(theirs)).await;
    until_closed(&mut from).await;
    to.exit_status(6).await.unwrap();
    drop(from);
    drop(to);
    assert_eq!(
        number(&peer.expect(CHANNEL_REQUEST).await, 21),
        6,
        "what was said before the drop comes first"
    );
    peer.expect(CHANNEL_CLOSE).await;
}

#[tokio::test]
async fn dropped_stream_answers_the_close() {
    let (mut peer, _server, theirs, opened) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    let mut stream = opened.channel.into_stream();
    peer.send(&Message::new(CHANNEL_CLOSE).number(theirs)).await;
    let mut all = Vec::new();
    in_time(
        "the end",
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut all),
    )
    .await
    .unwrap();
    drop(stream);
    peer.expect(CHANNEL_CLOSE).await;
}

/// A handler that keeps no channel sees what it always saw.
#[tokio::test]
async fn channel_dropped_early_is_closed_at_once() {
    let (mut peer, _server, theirs, opened) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    drop(opened);
    assert_eq!(peer.kinds_before_fence().await, []);
    peer.send(&Message::new(CHANNEL_CLOSE).number(theirs)).await;
    peer.expect(CHANNEL_CLOSE).await;
}

#[tokio::test]
async fn writer_is_woken_by_the_close() {
    let (mut peer, _server, mut channels) = Peer::of_sessions(WINDOW).await;
    let theirs = peer.open_session(10).await;
    let opened = channels.recv().await.unwrap();
    let writer = tokio::spawn(async move { opened.channel.data_bytes(vec![0; 100]).await });
    assert_eq!(peer.expect(CHANNEL_DATA).await.len(), 9 + 10);
    peer.send(&Message::new(CHANNEL_CLOSE).number(theirs)).await;
    assert!(in_time("the writer", writer).await.unwrap().is_err());
    peer.expect(CHANNEL_CLOSE).await;
}

#[tokio::test]
async fn stream_writer_is_woken_by_the_close() {
    let (mut peer, _server, mut channels) = Peer::of_sessions(WINDOW).await;
    let theirs = peer.open_session(10).await;
    let mut stream = channels.recv().await.unwrap().channel.into_stream();
    let writer =
        tokio::spawn(
            async move { tokio::io::AsyncWriteExt::write_all(&mut stream, &[0; 100]).await },
        );
    peer.expect(CHANNEL_DATA).await;
    peer.send(&Message::new(CHANNEL_CLOSE).number(theirs)).await;
    assert!(in_time("the writer", writer).await.unwrap().is_err());
    peer.expect(CHANNEL_CLOSE).await;
}

#[tokio::test]
async fn wait_ends_after_our_own_close() {
    let (mut peer, _server, theirs, mut opened) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    opened.channel.close().await.unwrap();
    peer.expect(CHANNEL_CLOSE).await;
    peer.send(&Message::new(CHANNEL_CLOSE).number(theirs)).await;
    in_time("the end", async {
        while opened.channel.wait().await.is_some() {}
    })
    .await;
}

/// Data that waits for a window which will never come must not hold up the others.
#[tokio::test]
async fn data_left_behind_by_a_close_stops_no_sibling() {
    let (mut peer, server, mut channels) = Peer::of_sessions(WINDOW).await;
    let theirs = peer.open_session(10).await;
    let closing = channels.recv().await.unwrap();
    let sibling = peer.open_session(WINDOW).await;
    tokio::spawn(pair::echo(channels.recv().await.unwrap()));
    server
        .handle()
        .data(closing.channel.id(), vec![0; 100])
        .await
        .unwrap();
    peer.expect(CHANNEL_DATA).await;
    peer.send(&Message::new(CHANNEL_CLOSE).number(theirs)).await;
    peer.send(&Message::new(CHANNEL_DATA).number(sibling).string("ping"))
        .await;
    let mut kind = 0;
    while kind != CHANNEL_DATA {
        kind = in_time("the sibling's echo", peer.next()).await.unwrap()[0];
        assert_ne!(kind, CHANNEL_WINDOW_ADJUST);
    }
    drop(closing);
}
