//! In: one session channel of a proved principal, for one amphora. Out: the session, from the question to the seal.
//! Never: skips a step below, or takes them in another order; each step needs what the one before it made.

use std::sync::{Arc, Mutex, PoisonError};

use ampgate_access::{
    Amphora, DirectName, NameError, Principal, Requested, SessionId, TargetName, landing_of_user,
};
use ampgate_audit::Event;
use futures_util::FutureExt;
use russh::Channel;
use russh::server::{Handle, Msg};
use tracing::{Instrument as _, Span};

use crate::admit;
use crate::ask::{self, Asked, Downstream, NoAsk};
use crate::bridge::{self, Outcome};
use crate::contain;
use crate::desk;
use crate::gateway::{Connection, Gateway, OpenChannel};
use crate::land;
use crate::live::LiveSession;
use crate::oversee::Overseer;
use crate::recorder::Recorder;
use crate::seek::{self, Seeker, Unresolved};
use crate::sentence::Trouble;
use crate::tell;
use crate::transfer::Transfer;
use crate::upstream::{self, Dialling};

/// One principal at one target: what every session channel of a connection has in common.
pub struct Visit {
    pub gateway: Arc<Gateway>,
    pub connection: Arc<Connection>,
    pub principal: Arc<Principal>,
    /// None where the name means nothing, or nothing this principal may reach: decided like any other, and refused.
    pub amphora: Option<Arc<Amphora>>,
    /// What is told where there is none, and what the journal learns besides.
    pub refused: Option<Unresolved>,
    /// The name as typed.
    pub target: String,
    landing: Result<Requested, NameError>,
    /// A connection to the amphora under way since before the client was ready. It can do nothing yet.
    dialling: Mutex<Option<Dialling>>,
}

impl Visit {
    /// Behind `-J`: the amphora is known, and `connect` allowed.
    pub fn jump(
        gateway: &Arc<Gateway>,
        connection: &Arc<Connection>,
        principal: &Arc<Principal>,
        amphora: Arc<Amphora>,
        target: &str,
    ) -> Self {
        Self::new(
            gateway,
            connection,
            principal,
            Some(amphora),
            target,
            Ok(Requested::Default),
        )
    }

    /// Without `-J`: the target was in the user name. None where that can only have been the client's local user: a bare
    /// word that names nothing this principal may reach.
    pub async fn direct(
        gateway: &Arc<Gateway>,
        connection: &Arc<Connection>,
        principal: &Arc<Principal>,
        direct: DirectName,
    ) -> Option<Self> {
        let rules = gateway.rules();
        let seeker = Seeker {
            gateway,
            rules: &rules,
            connection,
            principal,
        };
        let resolved = seek::resolve(&seeker, Some(&direct.target)).await;
        let bare = matches!(direct.target, TargetName::Static(_))
            && direct.landing.is_none()
            && direct.operator.is_none();
        if bare && resolved.is_err() {
            return None;
        }
        let (amphora, refused) = match resolved {
            Ok(amphora) => (Some(amphora), None),
            Err(unresolved) => (None, Some(unresolved)),
        };
        let landing = direct
            .landing
            .map_or(Requested::Default, Requested::Landing);
        let visit = Self::new(
            gateway,
            connection,
            principal,
            amphora,
            &direct.target.to_string(),
            Ok(landing),
        );
        Some(Self { refused, ..visit })
    }

    fn new(
        gateway: &Arc<Gateway>,
        connection: &Arc<Connection>,
        principal: &Arc<Principal>,
        amphora: Option<Arc<Amphora>>,
        target: &str,
        landing: Result<Requested, NameError>,
    ) -> Self {
        let dialling = amphora
            .as_ref()
            .map(|amphora| upstream::dial(gateway, amphora));
        Self {
            gateway: Arc::clone(gateway),
            connection: Arc::clone(connection),
            principal: Arc::clone(principal),
            amphora,
            refused: None,
            target: target.to_owned(),
            landing,
            dialling: Mutex::new(dialling),
        }
    }

    /// The inner user name chooses the landing. A client that was told no user sends the same name twice.
    pub fn landing_as(mut self, inner_login: &str, outer_login: &str) -> Self {
        self.landing = if inner_login == outer_login {
            Ok(Requested::Default)
        } else {
            match &self.amphora {
                Some(amphora) => {
                    landing_of_user(inner_login, self.principal.name(), &amphora.login_user)
                }
                None => Ok(Requested::Default),
            }
        };
        self
    }

    /// Where an amphora does not answer, a failover may have replaced it: asks what a load balancer's name means now. None
    /// where that is the same amphora at the same address, or nothing that this principal may reach.
    async fn followed(&self, trouble: &Trouble) -> Option<Self> {
        if !matches!(
            trouble,
            Trouble::Unreachable { .. } | Trouble::NotThere { .. }
        ) {
            return None;
        }
        let name = TargetName::parse(&self.target).ok()?;
        if !matches!(
            name,
            TargetName::LoadBalancer(..) | TargetName::LoadBalancerName(..)
        ) {
            return None;
        }
        let rules = self.gateway.rules();
        let seeker = Seeker {
            gateway: &self.gateway,
            rules: &rules,
            connection: &self.connection,
            principal: &self.principal,
        };
        let anew = seek::resolve_anew(&seeker, &name).await.ok()?;
        let same = self
            .amphora
            .as_ref()
            .is_some_and(|known| known.id == anew.id && known.address == anew.address);
        (!same).then(|| {
            Self::new(
                &self.gateway,
                &self.connection,
                &self.principal,
                Some(anew),
                &self.target,
                self.landing.clone(),
            )
        })
    }

    pub fn landing(&self) -> Result<Requested, Trouble> {
        self.landing
            .clone()
            .map_err(|e| Trouble::Landing(e.to_string()))
    }

    /// The connection begun early, or a new one: each session has its own, so that none can hold up another.
    fn dialled(&self, amphora: &Arc<Amphora>) -> Dialling {
        let early = self
            .dialling
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        early.unwrap_or_else(|| upstream::dial(&self.gateway, amphora))
    }
}

/// Runs the session in a task of its own: its panic, if there ever is one, ends nobody else's.
pub fn begin(visit: Arc<Visit>, channel: Channel<Msg>, handle: Handle, place: OpenChannel) {
    let session = visit.gateway.new_session_id();
    let span = span_of(&visit, session);
    contain::attend(channel, handle, place, session, span, move |down| {
        async move {
            let asked = match Box::pin(ask::read(down, &visit.gateway.config())).await {
                Ok(asked) => asked,
                Err(NoAsk::Gone) => return,
                Err(NoAsk::NotOffered(what)) => {
                    let trouble = Trouble::NotOffered(what);
                    admit::not_offered(&visit, session, &trouble);
                    return tell::trouble(down, false, &trouble, &session).await;
                }
            };
            let pty = asked.terminal.is_some();
            let mut session = session;
            let mut outcome = run(&visit, down, &asked, session).await;
            if let Err(trouble) = &outcome
                && let Some(followed) = Box::pin(visit.followed(trouble)).await
            {
                // Another amphora, so another decision, recording and session. Once.
                session = visit.gateway.new_session_id();
                tracing::info!(%session, "{trouble}; its name means another amphora now");
                let span = span_of(&followed, session);
                outcome = Box::pin(run(&followed, down, &asked, session))
                    .instrument(span)
                    .await;
            }
            if let Err(trouble) = outcome {
                tracing::info!(outcome = trouble.code(), "refused: {trouble}");
                tell::trouble(down, pty, &trouble, &session).await;
            }
        }
        .boxed()
    });
}

/// Amphora, load balancer and landing are filled in when they are decided.
fn span_of(visit: &Visit, session: SessionId) -> Span {
    tracing::info_span!("session", %session, principal = %visit.principal.name(), target = %visit.target.escape_default(), amphora = tracing::field::Empty, load_balancer = tracing::field::Empty, landing = tracing::field::Empty)
}

/// The product, in order. Each step is boxed: a step that is over keeps no memory, and a session lives in its last one.
async fn run(
    visit: &Visit,
    down: &mut Downstream,
    asked: &Asked,
    session: SessionId,
) -> Result<(), Trouble> {
    let (grant, amphora) = Box::pin(admit::admit(visit, asked, session)).await?;
    let recorder = Box::pin(Recorder::open(visit, &grant, asked))
        .await
        .inspect_err(|trouble| {
            let error = trouble.detail();
            tracing::error!(error, "no recording, no session");
            visit.gateway.journal(
                Some(session),
                Event::RecordingFailed {
                    recording: String::new().into(),
                    stage: "open".into(),
                    error: error.into(),
                    bytes: 0,
                },
            );
        })?;
    let span = tracing::Span::current();
    span.record("amphora", tracing::field::display(amphora.id));
    span.record(
        "load_balancer",
        tracing::field::display(amphora.load_balancer.id),
    );
    span.record("landing", grant.landing().as_str());
    let live = LiveSession::enter(visit, grant, asked, recorder);
    if let Some(notice) = live.recorder.notice() {
        live.announce(notice);
    }
    // A panic ends here: what was recorded until then is sealed all the same.
    let outcome = contain::contain(attend(visit, down, asked, &amphora, &live))
        .await
        .unwrap_or_else(|| Outcome::refused(Trouble::Fault));
    Box::pin(live.close(&visit.gateway, &outcome)).await;
    match outcome.trouble {
        Some(trouble) if !outcome.told => Err(trouble),
        _ => Ok(()),
    }
}

/// From here on there is a grant and a live recording, and whatever happens is in it.
async fn attend(
    visit: &Visit,
    down: &mut Downstream,
    asked: &Asked,
    amphora: &Arc<Amphora>,
    live: &Arc<LiveSession>,
) -> Outcome {
    let opened = Box::pin(async {
        let upstream = visit
            .dialled(amphora)
            .open(&visit.gateway, &live.grant, &live.recorder)
            .await?;
        land::land(upstream, &live.grant, asked).await
    });
    let mut orders = live.orders();
    let landed = tokio::select! {
        landed = opened => landed,
        order = bridge::ordered(&mut orders) => Err(order),
    };
    match landed {
        Ok(landed) => {
            visit.gateway.journal(
                Some(live.session),
                Event::SessionOpened {
                    about: live.about(),
                    recording: live.recorder.path().into(),
                },
            );
            ask::answer(down, true).await;
            let pty = asked.terminal.is_some();
            let transfer = Transfer::of(&visit.gateway, asked, &live.grant);
            Box::pin(bridge::run(down, landed, live, pty, orders, transfer)).await
        }
        Err(trouble) => {
            let _ = live.recorder.marker(&trouble.told(&live.session));
            Outcome::refused(trouble)
        }
    }
}

/// `ssh gateway` without a target: there is no shell here, but help, and what others do for whoever may see that.
pub fn greet(overseer: Overseer, channel: Channel<Msg>, handle: Handle, place: OpenChannel) {
    let session = overseer.gateway.new_session_id();
    contain::attend(
        channel,
        handle,
        place,
        session,
        Span::current(),
        move |down| async move { Box::pin(desk::attend(&overseer, down, &session)).await }.boxed(),
    );
}

/// A channel that can lead nowhere: says why.
pub fn refuse(
    gateway: Arc<Gateway>,
    why: Trouble,
    channel: Channel<Msg>,
    handle: Handle,
    place: OpenChannel,
) {
    let session = gateway.new_session_id();
    contain::attend(
        channel,
        handle,
        place,
        session,
        Span::current(),
        move |down| {
            async move {
                if let Ok(asked) = ask::read(down, &gateway.config()).await {
                    tell::trouble(down, asked.terminal.is_some(), &why, &session).await;
                }
            }
            .boxed()
        },
    );
}
