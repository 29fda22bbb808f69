//! In:    eight busy channels, and a rekey begun by the side that receives.
//! Out:   every byte: what was under way when the rekey began is legal.
//! Never: leaves to chance how much that is: the sender cannot see the rekey until its windows are used up.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::Duration;

use ampgate_loop::gate::gated;
use ampgate_loop::in_time;
use ampgate_loop::pair::{self, pattern};
use russh::{ChannelMsg, ChannelReadHalf, Limits};

const WINDOW: u32 = 1 << 20;
const TOTAL: usize = 4 << 20;

fn rekey_after(read: usize) -> Limits {
    Limits {
        rekey_write_limit: 1 << 30,
        rekey_read_limit: read,
        rekey_time_limit: Duration::from_secs(3600),
    }
}

async fn read_all(mut from: ChannelReadHalf) {
    let mut read = 0;
    while read < TOTAL {
        if let ChannelMsg::Data { data } = from.wait().await.expect("all of it") {
            read += data.len();
        }
    }
}

/// Returns when every sender has used up its window: nothing moves any more.
macro_rules! senders_are_stuck {
    ($writers:expr) => {
        in_time("used up windows", async {
            for writer in $writers {
                while writer.writable_packet_size().await > 0 {
                    tokio::task::yield_now().await;
                }
            }
        })
    };
}

#[tokio::test]
async fn eight_uploads_survive_a_rekey_by_the_server() {
    let (near, far, gate) = gated(64 << 20);
    let server = russh::server::Config {
        limits: rekey_after(WINDOW as usize),
        ..pair::server_config(WINDOW)
    };
    let mut pair = pair::connect(server, pair::client_config(WINDOW), (near, far)).await;
    let (mut senders, mut writers, mut readers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..8 {
        let (channel, opened) = pair.session().await;
        let writer = std::sync::Arc::new(channel.split().1);
        writers.push(writer.clone());
        senders.push((writer, opened));
    }
    gate.send(false).unwrap();
    let mut tasks = Vec::new();
    for (writer, opened) in senders {
        let (from, to) = opened.channel.split();
        readers.push(tokio::spawn(async move { (read_all(from).await, to) }));
        tasks.push(tokio::spawn(async move {
            writer.data_bytes(pattern(0, TOTAL)).await
        }));
    }
    senders_are_stuck!(&writers).await;
    gate.send(true).unwrap();
    for task in tasks {
        in_time("an upload", task).await.unwrap().unwrap();
    }
    for reader in readers {
        in_time("a reader", reader).await.unwrap();
    }
}

#[tokio::test]
async fn eight_downloads_survive_a_rekey_by_the_client() {
    let (far, near, gate) = gated(64 << 20);
    let client = russh::client::Config {
        limits: rekey_after(WINDOW as usize),
        ..pair::client_config(WINDOW)
    };
    let mut pair = pair::connect(pair::server_config(WINDOW), client, (near, far)).await;
    let (mut senders, mut writers, mut readers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..8 {
        let (channel, opened) = pair.session().await;
        let writer = std::sync::Arc::new(opened.channel.split().1);
        writers.push(writer.clone());
        senders.push((writer, channel));
    }
    gate.send(false).unwrap();
    let mut tasks = Vec::new();
    for (writer, channel) in senders {
        let (from, to) = channel.split();
        readers.push(tokio::spawn(async move { (read_all(from).await, to) }));
        tasks.push(tokio::spawn(async move {
            writer.data_bytes(pattern(0, TOTAL)).await
        }));
    }
    senders_are_stuck!(&writers).await;
    gate.send(true).unwrap();
    for task in tasks {
        in_time("a download", task).await.unwrap().unwrap();
    }
    for reader in readers {
        in_time("a reader", reader).await.unwrap();
    }
}
