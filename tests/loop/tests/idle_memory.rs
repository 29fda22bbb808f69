//! In:    five hundred connections at rest after some traffic, server and client in this process.
//! Out:   what one of them costs.
//! Never: shares its process with other tests: it measures memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

use ampgate_loop::pair::{self, Pair, pattern, ping};
use ampgate_loop::resident_bytes;

const CONNECTIONS: usize = 500;
/// Server session, client session, one channel at each, and the pipe between them.
const BUDGET: usize = 64 * 1024;

#[tokio::test]
async fn a_connection_at_rest_is_small() {
    let mut kept = Vec::new();
    let mut open = async |count: usize| {
        for _ in 0..count {
            let ends = tokio::io::duplex(64 * 1024);
            let mut pair = pair::connect(pair::server_config(2 << 20), pair::client_config(2 << 20), ends).await;
            let (mut channel, opened) = pair.session().await;
            let echo = tokio::spawn(pair::echo(opened));
            // Enough for buffers to have grown.
            channel.data_bytes(pattern(0, 256 * 1024)).await.unwrap();
            let mut read = 0;
            while read < 256 * 1024 {
                if let Some(russh::ChannelMsg::Data { data }) = channel.wait().await {
                    read += data.len();
                }
            }
            ping(&mut channel).await;
            kept.push((pair, channel, echo));
        }
    };
    open(20).await;
    let before = resident_bytes();
    open(CONNECTIONS).await;
    let each = resident_bytes().saturating_sub(before) / CONNECTIONS;
    eprintln!("idle connection, both ends: {each} bytes");
    assert!(each < BUDGET, "{each} bytes for one idle connection");
    let _: &(Pair, _, _) = &kept[0];
}
