//! In:    peers that close, or take no more, while what they sent is unread.
//! Out:   who relays hears of it.
//! Never: compiled with russh as it comes, which has no such calls.
#![cfg(not(feature = "stock"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use ampgate_loop::in_time;
use ampgate_loop::pair::Answers;
use ampgate_loop::peer::{
    CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_FAILURE, CHANNEL_REQUEST, Message, OURS, Peer, number,
    request,
};
use russh::ChannelMsg;

const WINDOW: u32 = 1 << 20;

/// A relay that waits for its other side must hear that the client is gone, though a window of data is unread.
#[tokio::test]
async fn the_close_is_heard_past_unread_data() {
    let (mut peer, _server, theirs, opened) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    let (_unread, to) = opened.channel.split();
    let data = Message::new(CHANNEL_DATA).number(theirs).string("unread");
    peer.send(&data).await;
    assert_eq!(peer.kinds_before_fence().await, [], "still open");
    assert!(
        std::future::Future::poll(
            std::pin::pin!(to.closed()),
            &mut std::task::Context::from_waker(std::task::Waker::noop())
        )
        .is_pending(),
        "an open channel is not closed"
    );
    peer.send(&Message::new(CHANNEL_CLOSE).number(theirs)).await;
    in_time("the close", to.closed()).await;
    // Also for who asks afterwards.
    in_time("the close again", to.closed()).await;
}

/// The same when no close comes, because the connection ended.
#[tokio::test]
async fn the_end_of_the_connection_is_heard_past_unread_data() {
    let (mut peer, _server, theirs, opened) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    let (_unread, to) = opened.channel.split();
    peer.send(&Message::new(CHANNEL_DATA).number(theirs).string("unread"))
        .await;
    drop(peer);
    in_time("the close", to.closed()).await;
}

/// `eow@openssh.com` in, `eow@openssh.com` out, and data goes on in the other direction.
#[tokio::test]
async fn the_end_of_writing_is_passed_on() {
    let (mut peer, _server, theirs, opened) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    let (mut from, _to) = opened.channel.split();
    peer.send(&request(theirs, "eow@openssh.com", false)).await;
    assert_eq!(peer.kinds_before_fence().await, [], "no answer wanted");
    peer.send(&Message::new(CHANNEL_DATA).number(theirs).string("more"))
        .await;
    assert!(matches!(
        in_time("the end of writing", from.wait()).await,
        Some(ChannelMsg::Eow)
    ));
    assert!(matches!(
        in_time("data after it", from.wait()).await,
        Some(ChannelMsg::Data { .. })
    ));

    peer.send(&request(theirs, "eow@openssh.com", true)).await;
    assert_eq!(number(&peer.expect(CHANNEL_FAILURE).await, 1), OURS);

    let (mut peer, client) = Peer::of_client(WINDOW).await;
    let (opened, _) = tokio::join!(client.channel_open_session(), peer.confirm_open(WINDOW));
    let (_from, to) = opened.unwrap().split();
    to.eow().await.unwrap();
    let sent = peer.expect(CHANNEL_REQUEST).await;
    assert_eq!(&sent[9..24], b"eow@openssh.com");
    assert_eq!(sent[24], 0, "no answer wanted");
}
