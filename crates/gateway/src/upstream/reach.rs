//! In: an amphora's address, and a deadline. Out: a TCP connection to it, or which fault there is.
//! Never: goes on after the deadline.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ampgate_access::{Amphora, Status};
use tokio::net::TcpStream;

use crate::diagnosis::Unreached;

/// An amphora whose sshd rebinds at boot refuses for a moment (DHCP on the management network): asked again after these pauses.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];
/// One that is booting may have an address long before it has an sshd: asked at this pace until the deadline.
const WHILE_BOOTING: Duration = Duration::from_millis(500);

/// Connects; again after a moment where sshd may only be starting.
pub async fn tcp(
    amphora: &Amphora,
    address: SocketAddr,
    deadline: Instant,
) -> Result<TcpStream, Unreached> {
    let booting = matches!(
        amphora.status,
        Some(Status::Booting | Status::PendingCreate)
    );
    let mut pauses = AGAIN_AFTER.into_iter();
    loop {
        let connect = TcpStream::connect(address);
        let fault = match tokio::time::timeout_at(deadline.into(), connect).await {
            Ok(Ok(tcp)) => {
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Ok(Err(error)) => Unreached::of(&error),
            Err(_late) => Unreached::TimedOut,
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
