//! In: an amphora's address, what [[reach]] says about it, a deadline. Out: a way to it, or which fault there is.
//! Never: goes on after the deadline, or through a hop without a proof: the octavia key opens that too.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ampgate_access::{Amphora, Status};
use tokio::net::{TcpSocket, TcpStream};

use super::Proof;
use super::hop::{self, Carrier, ThroughHop};
use crate::config::Reach;
use crate::diagnosis::Unreached;
use crate::gateway::Gateway;

/// An amphora whose sshd rebinds at boot refuses for a moment (DHCP on the management network): asked again after these pauses.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];
/// One that is booting may have an address long before it has an sshd: asked at this pace until the deadline.
const WHILE_BOOTING: Duration = Duration::from_millis(500);

/// Bytes to and from port 22 of an amphora.
pub enum Way {
    Tcp(TcpStream),
    /// The carrier is the connection to the hop: it lives as long as what it carries.
    Hop(ThroughHop, Carrier),
}

/// Finds the way; again after a moment where sshd may only be starting.
pub async fn way(
    gateway: &Gateway,
    amphora: &Amphora,
    address: SocketAddr,
    deadline: Instant,
    proof: Option<&Proof<'_>>,
) -> Result<Way, Unreached> {
    let config = gateway.config();
    let reach = config.reach_of(amphora);
    if let Some(reach) = reach
        && let Some(via) = &reach.via
    {
        let Some(proof) = proof else {
            return Err(Unreached::Hop("no proof is in hand".to_owned()));
        };
        let through = hop::through(gateway, reach, via, address, deadline, proof);
        let late = |_| Unreached::Hop(format!("{via} did not answer in time"));
        let (stream, carrier) = tokio::time::timeout_at(deadline.into(), through)
            .await
            .map_err(late)??;
        return Ok(Way::Hop(stream, carrier));
    }
    let booting = matches!(
        amphora.status,
        Some(Status::Booting | Status::PendingCreate)
    );
    let mut pauses = AGAIN_AFTER.into_iter();
    loop {
        let fault = match tcp(reach, address, deadline).await {
            Ok(tcp) => return Ok(Way::Tcp(tcp)),
            Err(fault) => fault,
        };
        let pause = match (&fault, booting) {
            (Unreached::Refused | Unreached::NoRoute, true) => Some(WHILE_BOOTING),
            (Unreached::Refused, false) => pauses.next(),
            _ => None,
        };
        match pause {
            Some(pause) if Instant::now() + pause < deadline => tokio::time::sleep(pause).await,
            _ => return Err(fault),
        }
    }
}

/// Connects once, from where [[reach]] says.
pub async fn tcp(
    reach: Option<&Reach>,
    address: SocketAddr,
    deadline: Instant,
) -> Result<TcpStream, Unreached> {
    let socket = socket(reach, address)?;
    match tokio::time::timeout_at(deadline.into(), socket.connect(address)).await {
        Ok(Ok(tcp)) => {
            let _ = tcp.set_nodelay(true);
            Ok(tcp)
        }
        Ok(Err(error)) => Err(Unreached::of(&error)),
        Err(_late) => Err(Unreached::TimedOut),
    }
}

fn socket(reach: Option<&Reach>, address: SocketAddr) -> Result<TcpSocket, Unreached> {
    let other = |error: std::io::Error| Unreached::Other(error.to_string());
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4().map_err(other)?,
        SocketAddr::V6(_) => TcpSocket::new_v6().map_err(other)?,
    };
    if let Some(interface) = reach.and_then(|reach| reach.interface.as_deref()) {
        // Not root's alone since Linux 5.7; before that it takes CAP_NET_RAW.
        socket
            .bind_device(Some(interface.as_bytes()))
            .map_err(|error| Unreached::NoSource(format!("interface {interface}: {error}")))?;
    }
    if let Some(bind) = reach.and_then(|reach| reach.bind) {
        from(&socket, bind, address)?;
    }
    Ok(socket)
}

fn from(socket: &TcpSocket, bind: IpAddr, address: SocketAddr) -> Result<(), Unreached> {
    if bind.is_ipv4() != address.is_ipv4() {
        let why = format!("from {bind} there is no way to {}", address.ip());
        return Err(Unreached::NoSource(why));
    }
    socket
        .bind(SocketAddr::new(bind, 0))
        .map_err(|error| Unreached::NoSource(format!("address {bind}: {error}")))
}
