//! In:    russh as the project builds it (with patches/russh, or stock to see the tests fail).
//! Out:   a server and a client in one process, and a peer that breaks rules on purpose.
//! Never: the gateway; its own loop tests live with it.

// Test code from end to end: a failed expectation is a failed test, and message numbers say what they are.
#![allow(missing_docs)]
// A client handle is also a future: of its end, which nobody here awaits.
#![allow(clippy::async_yields_async)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

pub mod gate;
pub mod pair;
pub mod peer;

use std::future::Future;
use std::time::Duration;

/// What hangs without a correction fails after this; what works takes a small part of it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The result of `work`, or a failed test naming `what` when it hangs.
pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => panic!("{what}: nothing for {PATIENCE:?}"),
    }
}

/// Memory of this process that is really in use, in bytes (Linux).
pub fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
