//! In: a `direct-tcpip` request of a proved principal. Out: the inner SSH server on that channel, for one amphora.
//! Never: opens a connection to what the operator typed; the name only chooses among the amphorae of the inventory.

use std::sync::Arc;

use ampgate_access::{Principal, TargetName};
use ampgate_audit::Event;
use jiff::Timestamp;
use russh::server::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::sync::watch;

use crate::gateway::{Connection, Gateway, OpenChannel};
use crate::inner::Inner;
use crate::seek::{self, Seeker, Unresolved};
use crate::sentence::Trouble;
use crate::session::Visit;
use crate::wire;

/// SSH's own port is the only one there is behind this gateway.
const SSH_PORT: u32 = 22;

/// Who asks to jump.
pub struct Door {
    pub gateway: Arc<Gateway>,
    pub connection: Arc<Connection>,
    pub principal: Arc<Principal>,
    pub login: String,
    pub place: OpenChannel,
}

/// Answers the request, and on success serves the inner connection until it ends.
pub async fn through(
    door: Door,
    channel: Channel<Msg>,
    host: String,
    port: u32,
    reply: ChannelOpenHandle,
) {
    let visit = match visit(&door, &host, port).await {
        Ok(visit) => visit,
        Err(unresolved) => {
            let session = door.gateway.new_session_id();
            let reason = ChannelOpenFailure::Other {
                code: ChannelOpenFailure::AdministrativelyProhibited.code(),
                reason: unresolved.told.told(&session),
            };
            reply.reject(reason).await;
            // On another thread: the reason takes one more evaluation where there was something to forbid, and that must
            // not show in the time of the next answer.
            let (gateway, connection, principal) = (
                Arc::clone(&door.gateway),
                Arc::clone(&door.connection),
                Arc::clone(&door.principal),
            );
            tokio::task::spawn_blocking(move || {
                gateway.journal(
                    Some(session),
                    Event::JumpRefused {
                        connection: connection.id.as_str().into(),
                        user: principal.name().as_str().into(),
                        source: connection.source.ip().to_string().into(),
                        host: host.as_str().into(),
                        port,
                        reason: unresolved.reason(&gateway.rules(), &principal).into(),
                    },
                );
            });
            return;
        }
    };
    door.gateway.journal(
        None,
        Event::JumpAccepted {
            connection: door.connection.id.as_str().into(),
            user: door.principal.name().as_str().into(),
            source: door.connection.source.ip().to_string().into(),
            target: host.as_str().into(),
        },
    );
    reply.accept().await;
    let config = Arc::clone(&door.gateway.ssh.inner);
    let grace = door.gateway.config().limits.login_grace;
    let (logged_in, seen) = watch::channel(false);
    let inner = Inner::new(visit, door.login, logged_in);
    if let Err(error) = wire::serve(
        channel.into_stream(),
        config,
        inner,
        door.connection.jump(),
        seen,
        grace,
    )
    .await
    {
        tracing::debug!(connection = %door.connection.id, %error, "inner connection ended");
    }
    drop(door.place);
}

/// Resolves, and asks policy whether this principal may connect there at all. Landing and action come later.
async fn visit(door: &Door, host: &str, port: u32) -> Result<Visit, Unresolved> {
    let rules = door.gateway.rules();
    door.gateway.takes_sessions()?;
    if port != SSH_PORT {
        let told = Trouble::NotOffered(format!(
            "only port {SSH_PORT} of an amphora can be reached here, not port {port}"
        ));
        return Err(told.into());
    }
    // The connection may be older than the users file, or than what Keystone says.
    let people = &door.gateway.people;
    let principal = people
        .principal_now(&rules, &door.principal, Timestamp::now())
        .map_err(Trouble::Revoked)?;
    let name = TargetName::parse(host);
    let seeker = Seeker {
        gateway: &door.gateway,
        rules: &rules,
        connection: &door.connection,
        principal: &principal,
    };
    let amphora = seek::resolve(&seeker, name.as_ref().ok()).await?;
    Ok(Visit::jump(
        &door.gateway,
        &door.connection,
        &door.principal,
        amphora,
        host,
    ))
}
