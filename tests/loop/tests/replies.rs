//! In:    channel requests, some answered at once, some by a task and late.
//! Out:   replies in the order of the requests, none lost, none invented.
//! Never: two replies to one request.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use ampgate_loop::in_time;
use ampgate_loop::pair::Answers;
use ampgate_loop::peer::{CHANNEL_FAILURE, CHANNEL_SUCCESS, Message, Peer, request};
use russh::ChannelMsg;

const WINDOW: u32 = 1 << 20;

fn window_change(channel: u32) -> Message {
    request(channel, "window-change", false)
        .number(80)
        .number(24)
        .number(0)
        .number(0)
}

#[tokio::test]
async fn late_reply_survives_a_window_change() {
    let (mut peer, _server, theirs, opened) = Peer::of_session(WINDOW, Answers::ShellLater).await;
    peer.send(&request(theirs, "shell", true)).await;
    peer.send(&window_change(theirs)).await;
    assert_eq!(peer.kinds_before_fence().await, []);
    opened
        .handle
        .channel_success(opened.channel.id())
        .await
        .unwrap();
    peer.expect(CHANNEL_SUCCESS).await;
}

#[tokio::test]
async fn replies_keep_the_order_of_requests() {
    let (mut peer, _server, theirs, opened) = Peer::of_session(WINDOW, Answers::ShellLater).await;
    peer.send(&request(theirs, "shell", true)).await;
    peer.send(&request(theirs, "break", true).number(500)).await;
    peer.send(&request(theirs, "exec", true).string("true"))
        .await;
    assert_eq!(
        peer.kinds_before_fence().await,
        [],
        "all wait for the first"
    );
    opened
        .handle
        .channel_success(opened.channel.id())
        .await
        .unwrap();
    peer.expect(CHANNEL_SUCCESS).await;
    peer.expect(CHANNEL_FAILURE).await;
    peer.expect(CHANNEL_SUCCESS).await;
    assert_eq!(peer.kinds_before_fence().await, []);
}

#[tokio::test]
async fn nothing_is_answered_that_did_not_ask() {
    let (mut peer, _server, theirs, opened) = Peer::of_session(WINDOW, Answers::ShellLater).await;
    peer.send(&request(theirs, "shell", true)).await;
    // Its callback says success, but it wants no reply: the shell's is not due yet.
    peer.send(&request(theirs, "exec", false).string("true"))
        .await;
    assert_eq!(peer.kinds_before_fence().await, []);
    opened
        .handle
        .channel_failure(opened.channel.id())
        .await
        .unwrap();
    peer.expect(CHANNEL_FAILURE).await;
    opened
        .handle
        .channel_success(opened.channel.id())
        .await
        .unwrap();
    assert_eq!(peer.kinds_before_fence().await, []);
}

#[tokio::test]
async fn want_reply_is_told_as_it_came() {
    let (mut peer, _server, theirs, mut opened) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    peer.send(&request(theirs, "env", false).string("LANG").string("C"))
        .await;
    peer.send(&request(theirs, "shell", true)).await;
    let env = in_time("env", opened.channel.wait()).await;
    assert!(
        matches!(
            env,
            Some(ChannelMsg::SetEnv {
                want_reply: false,
                ..
            })
        ),
        "{env:?}"
    );
    let shell = in_time("shell", opened.channel.wait()).await;
    assert!(
        matches!(shell, Some(ChannelMsg::RequestShell { want_reply: true })),
        "{shell:?}"
    );
}

#[tokio::test]
async fn unanswered_requests_are_bounded() {
    let (mut peer, server, theirs, _opened) = Peer::of_session(WINDOW, Answers::ShellLater).await;
    peer.try_send_many(&request(theirs, "shell", true), 3000)
        .await;
    assert!(in_time("the end of the session", server).await.is_err());
}
