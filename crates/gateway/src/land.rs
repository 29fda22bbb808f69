//! In: a logged-in connection, the grant, what was asked for. Out: the program is running on the amphora.
//! Never: puts what an operator typed anywhere but into one argument (`access::upstream_request` builds it).

use std::time::Duration;

use ampgate_access::{Grant, LandingProbe, Nonce, UpstreamRequest, upstream_request};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client};

use crate::ask::Asked;
use crate::gateway::random;
use crate::sentence::Trouble;
use crate::upstream::Upstream;

/// An amphora under load may need long to fork a shell; longer than this it is not coming.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program running on the amphora, and what it said so far.
pub struct Landed {
    pub read: ChannelReadHalf,
    pub write: ChannelWriteHalf<client::Msg>,
    /// Waits for the landing's own marker in the output; plain landings have none.
    pub probe: LandingProbe,
    /// Messages that came before the amphora's answer.
    pub early: Vec<ChannelMsg>,
    /// The connection lives as long as this.
    pub upstream: Upstream,
}

/// Opens the channel, asks for terminal and program, and waits until the amphora says that it runs.
///
/// # Errors
/// The amphora refuses, breaks off, or takes too long.
pub async fn land(upstream: Upstream, grant: &Grant, asked: &Asked) -> Result<Landed, Trouble> {
    match tokio::time::timeout(PATIENCE, request(upstream, grant, asked)).await {
        Ok(landed) => landed,
        Err(_late) => Err(Trouble::Refused(
            "the amphora did not start the program in time".to_owned(),
        )),
    }
}

async fn request(upstream: Upstream, grant: &Grant, asked: &Asked) -> Result<Landed, Trouble> {
    let (mut read, write) = upstream.session().await?.split();
    let broken = |e: russh::Error| Trouble::Broken(e.to_string());
    for (name, value) in &asked.environment {
        write.set_env(false, name, value).await.map_err(broken)?;
    }
    if let Some(terminal) = &asked.terminal {
        let size = terminal.size;
        write
            .request_pty(
                false,
                &terminal.name,
                size.columns,
                size.rows,
                size.width,
                size.height,
                &terminal.modes,
            )
            .await
            .map_err(broken)?;
    }
    let nonce = Nonce::new(u128::from_be_bytes(random()));
    let (request, probe) =
        upstream_request(grant.landing(), &asked.ask, asked.terminal.is_some(), nonce);
    match request {
        UpstreamRequest::Shell => write.request_shell(true).await,
        UpstreamRequest::Exec(command) => write.exec(true, command).await,
        UpstreamRequest::Subsystem(name) => write.request_subsystem(true, name).await,
    }
    .map_err(broken)?;
    let mut early = Vec::new();
    loop {
        match read.wait().await {
            Some(ChannelMsg::Success) => {
                return Ok(Landed {
                    read,
                    write,
                    probe,
                    early,
                    upstream,
                });
            }
            Some(ChannelMsg::Failure) => {
                return Err(Trouble::Refused("the amphora's sshd refused the request; its log says why (a ForceCommand, or no sftp subsystem?)".to_owned()));
            }
            Some(
                message @ (ChannelMsg::Data { .. }
                | ChannelMsg::ExtendedData { .. }
                | ChannelMsg::Eof
                | ChannelMsg::ExitStatus { .. }
                | ChannelMsg::ExitSignal { .. }),
            ) => early.push(message),
            Some(ChannelMsg::Close) | None => {
                return Err(Trouble::Broken(
                    "the amphora closed the channel before the program started".to_owned(),
                ));
            }
            Some(_) => {}
        }
    }
}
