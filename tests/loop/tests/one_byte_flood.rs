//! In:    a whole window of one-byte packets for a reader that never reads.
//! Out:   a sibling that goes on, and memory that stays a small multiple of the window.
//! Never: shares its process with other tests: it measures memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use ampgate_loop::peer::{CHANNEL_DATA, Message, Peer};
use ampgate_loop::{pair, resident_bytes};

const WINDOW: u32 = 1 << 20;

#[tokio::test]
async fn one_byte_flood_stays_small_and_stalls_no_sibling() {
    let (mut peer, _server, mut channels) = Peer::of_sessions(WINDOW).await;
    let stuck = peer.open_session(WINDOW).await;
    let mut never_read = channels.recv().await.unwrap();
    let sibling = peer.open_session(WINDOW).await;
    tokio::spawn(pair::echo(channels.recv().await.unwrap()));

    let before = resident_bytes();
    let byte = Message::new(CHANNEL_DATA).number(stuck).string("x");
    let flood = tokio::time::timeout(
        ampgate_loop::PATIENCE * 2,
        peer.try_send_many(&byte, WINDOW as usize),
    );
    assert!(flood.await.expect("the loop waits for nobody"));
    peer.send(&Message::new(CHANNEL_DATA).number(sibling).string("ping"))
        .await;
    peer.expect(CHANNEL_DATA).await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(
        grown < 24 << 20,
        "a window of 1 MiB costs {} MiB",
        grown >> 20
    );

    // And every byte is still there.
    let mut read = 0;
    while read < WINDOW as usize {
        match ampgate_loop::in_time("the flood", never_read.channel.wait())
            .await
            .unwrap()
        {
            russh::ChannelMsg::Data { data } => read += data.len(),
            other => panic!("{other:?}"),
        }
    }
}
