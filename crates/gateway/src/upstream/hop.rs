//! In: a hop of [[reach]], an address behind it, a proof. Out: bytes to and from that address, and the connection that carries them.
//! Never: talks to a hop with another host key than the one written down; asks it for anything but that one address.

use std::net::SocketAddr;
use std::time::Instant;

use russh::keys::PublicKeyOrCertificate;
use russh::keys::ssh_key::PublicKey;
use russh::{ChannelStream, Error, client};

use super::{Opened, Proof, open_with_a_key, reach};
use crate::config::{Reach, Via};
use crate::diagnosis::Unreached;
use crate::gateway::Gateway;

/// One connection through the hop.
pub type ThroughHop = Box<ChannelStream<client::Msg>>;
/// The connection to the hop itself; dropping it ends what it carries.
pub type Carrier = Box<client::Handle<HopHost>>;

/// The hop's side of the key exchange.
pub struct HopHost {
    expected: PublicKey,
}

impl client::Handler for HopHost {
    type Error = Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        Ok(key.key_data() == self.expected.key_data())
    }
}

/// Logs in to the hop with the octavia key ring, and has it connect to `address`.
pub async fn through(
    gateway: &Gateway,
    reach: &Reach,
    via: &Via,
    address: SocketAddr,
    deadline: Instant,
    proof: &Proof<'_>,
) -> Result<(ThroughHop, Carrier), Unreached> {
    let fails = |why: String| Unreached::Hop(format!("{via}: {why}"));
    let place = tokio::net::lookup_host((via.host.as_str(), via.port)).await;
    let place = place
        .map_err(|error| fails(format!("its name cannot be looked up: {error}")))?
        .next()
        .ok_or_else(|| fails("its name has no address".to_owned()))?;
    let tcp = reach::tcp(Some(reach), place, deadline)
        .await
        .map_err(|fault| fails(fault.to_string()))?;
    let expected = PublicKey::from_openssh(via.host_key.as_openssh())
        .map_err(|error| fails(format!("its host_key cannot be read: {error}")))?;
    let ssh = crate::ssh::upstream(&gateway.config(), std::slice::from_ref(&expected));
    let mut carrier = client::connect_stream(ssh, tcp, HopHost { expected })
        .await
        .map_err(|error| match error {
            Error::UnknownKey | Error::NoCommonAlgo { .. } => fails(
                "it shows another host key than [[reach]] says; somebody may be in between, or it was installed anew"
                    .to_owned(),
            ),
            error => fails(format!("no SSH handshake: {error}")),
        })?;
    let known_as = format!("via {via}");
    let key = open_with_a_key(gateway, &mut carrier, &via.user, &known_as, proof).await;
    match key {
        Ok(Opened::By(_)) => {}
        Ok(Opened::ByNone { .. }) => {
            let why =
                "it accepts none of the octavia keys; put one into that user's authorized_keys";
            return Err(fails(why.to_owned()));
        }
        Err(trouble) => return Err(fails(trouble.to_string())),
    }
    let channel = carrier
        .channel_open_direct_tcpip(address.ip().to_string(), address.port().into(), "127.0.0.1", 0)
        .await
        .map_err(|error| {
            fails(format!(
                "it does not connect to {address}: {error} (no route there, nobody answers, or AllowTcpForwarding is off)"
            ))
        })?;
    Ok((Box::new(channel.into_stream()), Box::new(carrier)))
}
