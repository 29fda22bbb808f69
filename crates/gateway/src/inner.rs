//! In: the channel of one jump, already somebody's. Out: session channels on one amphora, in that somebody's name.
//! Never: asks who it is (the outer connection proved that), or opens anything but sessions.

use std::sync::Arc;

use russh::Channel;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, Session};
use tokio::sync::watch;

use crate::session::{self, Visit};

/// The inner SSH server's side of one jump.
pub struct Inner {
    visit: Option<Visit>,
    bound: Option<Arc<Visit>>,
    outer_login: String,
    logged_in: watch::Sender<bool>,
}

impl Inner {
    pub fn new(visit: Visit, outer_login: String, logged_in: watch::Sender<bool>) -> Self {
        Self {
            visit: Some(visit),
            bound: None,
            outer_login,
            logged_in,
        }
    }
}

impl Handler for Inner {
    type Error = russh::Error;

    /// The first `none` settles the landing; russh takes no further authentication after it.
    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        let Some(visit) = self.visit.take() else {
            return Ok(Auth::reject());
        };
        self.bound = Some(Arc::new(visit.landing_as(user, &self.outer_login)));
        let _ = self.logged_in.send(true);
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(visit) = &self.bound else {
            return Err(russh::Error::NotAuthenticated);
        };
        let limits = &visit.gateway.config().limits;
        let Some((place, reply)) = visit.connection.another_channel(limits, reply).await else {
            return Ok(());
        };
        reply.accept().await;
        session::begin(Arc::clone(visit), channel, session.handle(), place);
        Ok(())
    }
}
