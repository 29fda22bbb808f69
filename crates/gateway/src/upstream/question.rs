//! In: a proof for one amphora. Out: the addresses that are in its namespace amphora-haproxy now, by its own words.
//! Never: anything of an operator's in what is run; more than a bound of what it prints; the connection, for somebody else.

use std::time::Duration;

use ampgate_access::{LandingProbe, Nonce, Stream, UpstreamRequest, addresses_of, question};
use ampgate_audit::Event;
use russh::ChannelMsg;

use super::{Proof, Upstream, connect, log_in, shown_address};
use crate::diagnosis;
use crate::gateway::{Gateway, random};
use crate::sentence::Trouble;

/// For login and answer together, once the connection stands.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest answer that is read: some 600 addresses.
const LONGEST: usize = 64 << 10;
/// RFC 4254 section 5.2.
const STDERR: u32 = 1;

/// What an amphora said, and by which keys it and the gateway knew each other.
pub struct Heard {
    /// None where nobody knows the VIP.
    pub has_vip: Option<bool>,
    pub host_key: String,
    pub octavia_key: String,
}

/// Connects, logs in, asks, hangs up, and writes down that it did.
///
/// # Errors
/// The same that an operator would meet on the way into the namespace.
pub async fn ask(gateway: &Gateway, proof: &Proof<'_>) -> Result<Heard, Trouble> {
    let heard = put(gateway, proof).await;
    let amphora = proof.amphora();
    let outcome = match &heard {
        Ok(heard) => match heard.has_vip {
            Some(true) => "has-vip",
            Some(false) => "no-vip",
            None => "answered",
        },
        Err(trouble) => diagnosis::fault(trouble),
    };
    gateway.journal(
        None,
        Event::AmphoraProbed {
            amphora: amphora.id.to_string().into(),
            address: shown_address(amphora).into(),
            why: proof.why().into(),
            by: proof.by().into(),
            connection: proof.connection().map(Into::into),
            outcome: outcome.into(),
            detail: heard.as_ref().err().map(|trouble| trouble.detail().into()),
        },
    );
    heard
}

async fn put(gateway: &Gateway, proof: &Proof<'_>) -> Result<Heard, Trouble> {
    let dialled = connect(gateway, proof.amphora(), Some(proof)).await?;
    let answered = async {
        let upstream = log_in(gateway, dialled, proof).await?;
        let output = run(&upstream).await;
        let (host_key, octavia_key) = (upstream.host_key.clone(), upstream.octavia_key.clone());
        upstream.hang_up().await;
        let addresses = addresses_of(&output?);
        let vip = proof.amphora().load_balancer.vip;
        Ok(Heard {
            has_vip: vip.map(|vip| addresses.contains(&vip)),
            host_key,
            octavia_key,
        })
    };
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(heard) => heard,
        Err(_late) => Err(Trouble::Refused(
            "the amphora did not say its addresses in time".to_owned(),
        )),
    }
}

async fn run(upstream: &Upstream) -> Result<Vec<u8>, Trouble> {
    let broken = |e: russh::Error| Trouble::Broken(e.to_string());
    let (mut read, write) = upstream.session().await?.split();
    let (request, mut probe) = question(Nonce::new(u128::from_be_bytes(random())));
    let UpstreamRequest::Exec(command) = request else {
        return Err(Trouble::Broken("the question is no command".to_owned()));
    };
    write.exec(true, command).await.map_err(broken)?;
    let (mut output, mut said, mut exit) = (Vec::new(), 0, None);
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                said += data.len();
                output.extend_from_slice(&probe.feed(Stream::Stdout, &data).pass);
            }
            ChannelMsg::ExtendedData { data, ext: STDERR } => {
                said += data.len();
                probe.feed(Stream::Stderr, &data);
            }
            ChannelMsg::ExitStatus { exit_status } => exit = Some(exit_status),
            ChannelMsg::Failure => {
                return Err(Trouble::Refused(
                    "the amphora's sshd refuses to run a command; its log says why (a ForceCommand?)".to_owned(),
                ));
            }
            ChannelMsg::Close => break,
            _ => {}
        }
        if said > LONGEST {
            return Err(Trouble::Refused(format!(
                "the amphora printed more than {} KiB where it was asked for its addresses",
                LONGEST >> 10
            )));
        }
    }
    landed(probe, exit)?;
    Ok(output)
}

/// Whether the question was put at all, and `ip` answered.
fn landed(probe: LandingProbe, exit: Option<u32>) -> Result<(), Trouble> {
    match (probe.finish(exit), exit) {
        ((.., Some(failure)), _) => Err(Trouble::Landed(failure)),
        ((.., None), Some(0)) => Ok(()),
        ((.., None), status) => Err(Trouble::Refused(format!(
            "`ip -o addr show` in the namespace amphora-haproxy ended with {}",
            status.map_or("no exit status".to_owned(), |status| status.to_string())
        ))),
    }
}
