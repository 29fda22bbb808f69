//! In: the addresses to listen on. Out: connections, each on the worker thread that keeps it until it ends.
//! Never: waits for a connection before it accepts the next one, or serves one that is over a limit.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ampgate_audit::Event;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::gateway::{Connection, Gateway};
use crate::limits::Place;
use crate::outer::Outer;
use crate::wire::{self, Cut};

/// Accepted connections that a busy worker has not looked at yet.
const BACKLOG: usize = 256;
/// Refusals are journalled at most this often, with their number: a flood of connections is not a flood of events.
const REFUSALS_EVERY: Duration = Duration::from_secs(1);

/// A thread with a runtime of its own: a connection stays on one core from its first byte to its last.
struct Worker {
    hand: mpsc::Sender<(std::net::TcpStream, SocketAddr, Place)>,
}

/// The threads that serve connections.
pub struct Workers(Vec<Worker>);

impl Workers {
    /// One per core.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn start(gateway: &Arc<Gateway>) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut workers = Vec::with_capacity(cores);
        for number in 0..cores {
            let (hand, mut given) = mpsc::channel(BACKLOG);
            let gateway = Arc::clone(gateway);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || {
                    runtime.block_on(async move {
                        while let Some((tcp, source, place)) = given.recv().await {
                            tokio::spawn(serve(Arc::clone(&gateway), tcp, source, place));
                        }
                    });
                })?;
            workers.push(Worker { hand });
        }
        Ok(Self(workers))
    }

    /// Hands a connection to the next worker that has room, in turn.
    fn hand(&self, turn: u64, mut item: (std::net::TcpStream, SocketAddr, Place)) {
        let count = self.0.len();
        for worker in self
            .0
            .iter()
            .cycle()
            .skip(usize::try_from(turn).unwrap_or(0) % count.max(1))
            .take(count)
        {
            match worker.hand.try_send(item) {
                Ok(()) => return,
                Err(
                    mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back),
                ) => item = back,
            }
        }
        // All are full: the connection is dropped, and its place given back.
    }
}

/// Accepts until the task is dropped.
pub async fn accept(gateway: Arc<Gateway>, workers: Arc<Workers>, listener: TcpListener) {
    static TURN: AtomicU64 = AtomicU64::new(0);
    let mut refusals = Refusals::default();
    loop {
        let (tcp, source) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or a connection that was gone again: the next one may fare better.
                tracing::warn!(%error, "accept");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let place = match gateway.places.take(source.ip(), &gateway.config().limits) {
            Ok(place) => place,
            Err(full) => {
                refusals.note(&gateway, source, &full.to_string());
                continue;
            }
        };
        match tcp.into_std() {
            Ok(tcp) => workers.hand(TURN.fetch_add(1, Ordering::Relaxed), (tcp, source, place)),
            Err(error) => tracing::warn!(%error, "accept"),
        }
    }
}

/// Refused connections that are not journalled yet.
#[derive(Default)]
struct Refusals {
    since: Option<Instant>,
    unwritten: u64,
}

impl Refusals {
    fn note(&mut self, gateway: &Gateway, source: SocketAddr, reason: &str) {
        self.unwritten += 1;
        if self
            .since
            .is_some_and(|since| since.elapsed() < REFUSALS_EVERY)
        {
            return;
        }
        let event = Event::ConnectionRefused {
            source: source.ip().to_string().into(),
            reason: reason.into(),
            count: std::mem::take(&mut self.unwritten),
        };
        gateway.journal(None, event);
        self.since = Some(Instant::now());
    }
}

async fn serve(gateway: Arc<Gateway>, tcp: std::net::TcpStream, source: SocketAddr, place: Place) {
    let Ok(tcp) = TcpStream::from_std(tcp) else {
        return;
    };
    let _ = tcp.set_nodelay(true);
    let began = Instant::now();
    let connection = Arc::new(Connection::new(source));
    gateway.journal(
        None,
        Event::ConnectionAccepted {
            connection: connection.id.as_str().into(),
            source: source.ip().to_string().into(),
            port: source.port(),
        },
    );
    let (logged_in, seen) = watch::channel(false);
    let outer = Outer::new(
        Arc::clone(&gateway),
        Arc::clone(&connection),
        place,
        logged_in,
    );
    let config = Arc::clone(&gateway.ssh.outer);
    let grace = gateway.config().limits.login_grace;
    let outcome = wire::serve(tcp, config, outer, Cut::default(), seen, grace).await;
    connection.ended();
    let reason = outcome
        .err()
        .map_or_else(|| "closed".to_owned(), |error| error.to_string());
    gateway.journal(
        None,
        Event::ConnectionClosed {
            connection: connection.id.as_str().into(),
            source: source.ip().to_string().into(),
            reason: reason.into(),
            milliseconds: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        },
    );
}
