//! In:    one end of an in-memory stream.
//! Out:   a stream whose one direction stops and goes at the test's word.
//! Never: loses or reorders a byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

/// Two connected ends. What `right` writes reaches `left` only while the gate is open.
pub fn gated(capacity: usize) -> (DuplexStream, DuplexStream, watch::Sender<bool>) {
    let (left, inner_left) = tokio::io::duplex(capacity);
    let (right, inner_right) = tokio::io::duplex(capacity);
    let (gate, mut open) = watch::channel(true);
    let (mut from_left, mut to_left) = tokio::io::split(inner_left);
    let (mut from_right, mut to_right) = tokio::io::split(inner_right);
    tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_left, &mut to_right).await;
        let _ = to_right.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = from_right.read(&mut buffer).await {
            if open.wait_for(|open| *open).await.is_err()
                || to_left.write_all(&buffer[..n]).await.is_err()
            {
                break;
            }
        }
        let _ = to_left.shutdown().await;
    });
    (left, right, gate)
}
