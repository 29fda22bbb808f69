//! In:    readers that stall, peers that ignore their window.
//! Out:   siblings that go on, connections that end, window given back when data is taken and not before.
//! Never: depends on how fast anything is; a deadline only turns a hang into a failure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use ampgate_loop::pair::{self, Answers, Pair, pattern, ping};
use ampgate_loop::peer::{CHANNEL_DATA, CHANNEL_WINDOW_ADJUST, Message, Peer, number, request};
use ampgate_loop::{PATIENCE, in_time};
use russh::{Channel, ChannelMsg, client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MIB: usize = 1 << 20;
const WINDOW: u32 = 1 << 20;

#[tokio::test]
async fn stalled_reader_does_not_stall_a_sibling() {
    let mut pair = Pair::new(WINDOW).await;
    let (stuck, never_read) = pair.session().await;
    let (mut lively, opened) = pair.session().await;
    tokio::spawn(pair::echo(opened));
    let flood = tokio::spawn(async move {
        for i in 0.. {
            stuck.data_bytes(pattern(i, 32 * 1024)).await.unwrap();
        }
    });
    for _ in 0..200 {
        in_time("an echo beside a stuck channel", ping(&mut lively)).await;
    }
    flood.abort();
    drop(never_read);
}

/// Pumps one way between two legs, as a gateway does, requests and all.
async fn pump<S: From<(russh::ChannelId, ChannelMsg)> + Send + Sync + 'static>(
    mut from: russh::ChannelReadHalf,
    to: russh::ChannelWriteHalf<S>,
) {
    while let Some(msg) = from.wait().await {
        let sent = match msg {
            ChannelMsg::Data { data } => to.data_bytes(data).await,
            ChannelMsg::Eof => to.eof().await,
            _ => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Writes and reads back `total` bytes at once; the other side echoes.
async fn through(channel: Channel<client::Msg>, total: usize) {
    let (mut from, to) = channel.split();
    let writer = tokio::spawn(async move {
        for offset in (0..total).step_by(48 * 1024) {
            to.data_bytes(pattern(offset, (total - offset).min(48 * 1024)))
                .await
                .unwrap();
        }
        to.eof().await.unwrap();
    });
    let mut read = 0;
    while read < total {
        if let ChannelMsg::Data { data } = from.wait().await.expect("all of it") {
            assert_eq!(data, pattern(read, data.len()));
            read += data.len();
        }
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn both_ways_at_once_through_a_gateway() {
    let mut operator = Pair::new(WINDOW).await;
    let mut target = Pair::new(WINDOW).await;
    let (client, downstream) = operator.session().await;
    let (upstream, at_target) = target.session().await;
    tokio::spawn(pair::echo(at_target));
    let (from_down, to_down) = downstream.channel.split();
    let (from_up, to_up) = upstream.split();
    tokio::spawn(pump(from_down, to_up));
    tokio::spawn(pump(from_up, to_down));
    in_time("64 MiB there and back", through(client, 64 * MIB)).await;
}

#[tokio::test]
async fn both_ways_through_a_narrow_pipe() {
    let ends = tokio::io::duplex(4096);
    let mut pair = pair::connect(
        pair::server_config(WINDOW),
        pair::client_config(WINDOW),
        ends,
    )
    .await;
    let (client, opened) = pair.session().await;
    let (mut from, to) = opened.channel.split();
    // Both sides send without waiting for anything from the other.
    let server = tokio::spawn(async move {
        for offset in (0..8 * MIB).step_by(MIB) {
            to.data_bytes(pattern(offset, MIB)).await.unwrap();
        }
    });
    let drain = tokio::spawn(async move { while from.wait().await.is_some() {} });
    in_time("8 MiB each way at once", through(client, 8 * MIB)).await;
    in_time("the server's half", server).await.unwrap();
    drop(pair);
    drain.abort();
}

#[tokio::test]
async fn overrun_is_refused_by_server() {
    let (mut peer, server, theirs, _never_read) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    let chunk = Message::new(CHANNEL_DATA)
        .number(theirs)
        .string(vec![0; 16 * 1024]);
    peer.try_send_many(&chunk, WINDOW as usize / (16 * 1024))
        .await;
    assert_eq!(
        peer.kinds_before_fence().await,
        [],
        "a full window is no overrun"
    );
    peer.try_send(&Message::new(CHANNEL_DATA).number(theirs).string("x"))
        .await;
    let end = in_time("the end of the server's session", server).await;
    assert!(end.unwrap_err().to_string().contains("window"));
}

#[tokio::test]
async fn overrun_is_refused_by_client() {
    let (mut peer, handle) = Peer::of_client(WINDOW).await;
    let (channel, theirs) = tokio::join!(handle.channel_open_session(), peer.confirm_open(WINDOW));
    let _never_read = channel.unwrap();
    let chunk = Message::new(CHANNEL_DATA)
        .number(theirs)
        .string(vec![0; 16 * 1024]);
    peer.try_send_many(&chunk, WINDOW as usize / (16 * 1024))
        .await;
    assert_eq!(
        peer.kinds_before_fence().await,
        [],
        "a full window is no overrun"
    );
    peer.try_send(&Message::new(CHANNEL_DATA).number(theirs).string("x"))
        .await;
    peer.gone().await;
}

#[tokio::test]
async fn window_comes_back_when_data_is_taken() {
    let (mut peer, _server, theirs, mut opened) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    peer.send(
        &Message::new(CHANNEL_DATA)
            .number(theirs)
            .string(vec![1; WINDOW as usize * 3 / 16]),
    )
    .await;
    peer.send(
        &Message::new(CHANNEL_DATA)
            .number(theirs)
            .string(vec![2; WINDOW as usize * 3 / 16]),
    )
    .await;
    peer.send(
        &Message::new(CHANNEL_DATA)
            .number(theirs)
            .string(vec![3; WINDOW as usize * 3 / 16]),
    )
    .await;
    assert_eq!(peer.kinds_before_fence().await, [], "nobody has read yet");
    for _ in 0..3 {
        assert!(matches!(
            in_time("data", opened.channel.wait()).await,
            Some(ChannelMsg::Data { .. })
        ));
    }
    let adjust = peer.expect(CHANNEL_WINDOW_ADJUST).await;
    assert_eq!(number(&adjust, 5), WINDOW * 9 / 16);
}

#[tokio::test]
async fn into_stream_gives_window_back() {
    let (mut peer, _server, theirs, opened) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    let mut stream = opened.channel.into_stream();
    peer.try_send_many(
        &Message::new(CHANNEL_DATA)
            .number(theirs)
            .string(vec![1; 16 * 1024]),
        40,
    )
    .await;
    assert_eq!(peer.kinds_before_fence().await, [], "nobody has read yet");
    in_time("data", stream.read_exact(&mut vec![0; 40 * 16 * 1024]))
        .await
        .unwrap();
    let adjust = peer.expect(CHANNEL_WINDOW_ADJUST).await;
    assert_eq!(number(&adjust, 5), WINDOW / 2);
    in_time("a write", stream.write_all(b"x")).await.unwrap();
    peer.expect(CHANNEL_DATA).await;
}

#[tokio::test]
async fn channels_opened_by_the_server_give_window_back() {
    let (mut peer, server, _opened) = Peer::of_sessions(WINDOW).await;
    let handle = server.handle();
    let open = handle.channel_open_forwarded_tcpip("localhost", 22, "localhost", 1);
    let (channel, theirs) = tokio::join!(open, peer.confirm_open(WINDOW));
    let mut channel = channel.unwrap();
    peer.try_send_many(
        &Message::new(CHANNEL_DATA)
            .number(theirs)
            .string(vec![1; 16 * 1024]),
        40,
    )
    .await;
    assert_eq!(peer.kinds_before_fence().await, [], "nobody has read yet");
    for _ in 0..40 {
        in_time("data", channel.wait()).await.unwrap();
    }
    assert_eq!(
        number(&peer.expect(CHANNEL_WINDOW_ADJUST).await, 5),
        WINDOW / 2
    );
}

#[tokio::test]
async fn dropped_reader_lets_the_peer_finish() {
    let (mut peer, _server, theirs, opened) = Peer::of_session(WINDOW, Answers::AtOnce).await;
    let (from, _to) = opened.channel.split();
    let chunk = Message::new(CHANNEL_DATA)
        .number(theirs)
        .string(vec![1; 16 * 1024]);
    peer.try_send_many(&chunk, WINDOW as usize / (16 * 1024))
        .await;
    assert_eq!(peer.kinds_before_fence().await, [], "nobody has read yet");
    drop(from);
    assert_eq!(number(&peer.expect(CHANNEL_WINDOW_ADJUST).await, 5), WINDOW);
    // Thrown away from now on, and its window returned: more than three windows pass.
    let mut window = WINDOW as usize;
    for _ in 0..3 * WINDOW as usize / (16 * 1024) {
        while window < 16 * 1024 {
            window += number(&peer.expect(CHANNEL_WINDOW_ADJUST).await, 5) as usize;
        }
        peer.send(&chunk).await;
        window -= 16 * 1024;
    }
}

#[tokio::test]
async fn flood_of_requests_costs_the_channel_and_no_sibling() {
    let (mut peer, _server, mut channels) = Peer::of_sessions(WINDOW).await;
    let flooded = peer.open_session(WINDOW).await;
    let mut unread = channels.recv().await.unwrap();
    let sibling = peer.open_session(WINDOW).await;
    tokio::spawn(pair::echo(channels.recv().await.unwrap()));
    let size = request(flooded, "window-change", false)
        .number(80)
        .number(24)
        .number(0)
        .number(0);
    let flood = tokio::time::timeout(PATIENCE, peer.try_send_many(&size, 200_000));
    assert!(flood.await.expect("the loop waits for nobody"));
    peer.send(&Message::new(CHANNEL_DATA).number(sibling).string("ping"))
        .await;
    peer.expect(CHANNEL_DATA).await;
    let mut read = 0;
    while let Some(msg) = in_time("the end of the flooded channel", unread.channel.wait()).await {
        assert!(matches!(msg, ChannelMsg::WindowChange { .. }));
        read += 1;
    }
    assert!(read < 10_000, "{read} requests were kept");
}
