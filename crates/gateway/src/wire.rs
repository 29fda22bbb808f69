//! In: a byte stream and an SSH handler. Out: the connection, running until it ends, is cut, or did not log in in time.
//! Never: lets a peer that says nothing hold a place longer than the login grace.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use russh::server;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

/// Cuts the connection that holds the other end, from anywhere, at once.
#[derive(Clone, Default)]
pub struct Cut(Arc<CutState>);

#[derive(Default)]
struct CutState {
    cut: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Cut {
    pub fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
        self.0.reader.wake();
        self.0.writer.wake();
    }

    /// Whether nobody else can cut or be cut by this any more.
    pub fn is_over(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::Acquire)
    }
}

/// A stream that ends when it is cut. russh has no way to abort a connection from outside.
struct Wire<S> {
    stream: S,
    cut: Cut,
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.cut.0.reader.register(cx.waker());
        if self.cut.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.cut.0.writer.register(cx.waker());
        if self.cut.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Runs an SSH server on `stream` until it ends. `logged_in` turns true when the handler has let somebody in; a
/// connection where it has not after `grace` is cut.
pub async fn serve<S, H>(
    stream: S,
    config: Arc<server::Config>,
    handler: H,
    cut: Cut,
    mut logged_in: watch::Receiver<bool>,
    grace: Duration,
) -> Result<(), H::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: server::Handler + Send + 'static,
{
    let wire = Wire {
        stream,
        cut: cut.clone(),
    };
    let deadline = tokio::time::Instant::now() + grace;
    let running =
        match tokio::time::timeout_at(deadline, server::run_stream(config, wire, handler)).await {
            Ok(running) => running?,
            Err(_late) => return Err(russh::Error::ConnectionTimeout.into()),
        };
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended,
        answer = tokio::time::timeout_at(deadline, logged_in.wait_for(|yes| *yes)) => {
            if !matches!(answer, Ok(Ok(_))) {
                cut.cut();
            }
        }
    }
    running.await
}
