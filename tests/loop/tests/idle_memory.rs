//! In:    five hundred connections at rest after some traffic, server and client in this process.
//! Out:   what one of them costs.
//! Never: shares its process with other tests: it measures memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

use ampgate_loop::pair::{self, Pair, pattern, ping};
use ampgate_loop::resident_bytes;
use tokio::net::{TcpListener, TcpStream};

const CONNECTIONS: usize = 500;
/// Server session, client session, one channel at each, the test's own tasks.
const BUDGET: usize = 64 * 1024;

#[tokio::test]
async fn a_connection_at_rest_is_small() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut kept = Vec::new();
    let mut open = async |count: usize| {
        for _ in 0..count {
            // TCP: what is under way is the kernel's, not ours.
            let (near, far) = tokio::join!(
                TcpStream::connect(listener.local_addr().unwrap()),
                listener.accept()
            );
            let ends = (near.unwrap(), far.unwrap().0);
            let mut pair = pair::connect(
                pair::server_config(2 << 20),
                pair::client_config(2 << 20),
                ends,
            )
            .await;
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
            channel
                .request_pty(false, "xterm-256color", 80, 24, 0, 0, &[])
                .await
                .unwrap();
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
