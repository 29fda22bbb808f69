//! In: work on behalf of one channel. Out: its result, or that it panicked.
//! Never: lets a panic end more than the work it happened in, or end it without a word.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use russh::Channel;
use russh::server::{Handle, Msg};
use tracing::{Instrument, Span};

use ampgate_access::SessionId;

use crate::ask::Downstream;
use crate::gateway::OpenChannel;
use crate::sentence::Trouble;
use crate::tell;

/// Runs `work`. None when it panicked: the program's own fault, and logged as one.
pub async fn contain<T>(work: impl Future<Output = T>) -> Option<T> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    if outcome.is_err() {
        tracing::error!("a panic was contained; please report it with the lines above");
    }
    outcome.ok()
}

/// Serves one channel in a task of its own, and tells the operator when that panics. The place is free when it ends.
pub fn attend<W>(
    channel: Channel<Msg>,
    handle: Handle,
    place: OpenChannel,
    session: SessionId,
    span: Span,
    work: W,
) where
    W: for<'d> FnOnce(&'d mut Downstream) -> BoxFuture<'d, ()> + Send + 'static,
{
    let task = async move {
        let mut down = Downstream::new(channel, handle);
        if contain(work(&mut down)).await.is_none() {
            tell::trouble(&down, false, &Trouble::Fault, &session).await;
        }
        drop(place);
    };
    tokio::spawn(task.instrument(span));
}
