//! In: a grant and its open recording. Out: the session as others see it while it runs: listed, ended, re-decided.
//! Never: leaves the list while its bytes still flow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ampgate_access::{Grant, SessionId};
use ampgate_audit::{About, Event};
use ampgate_recording::Header;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::admit;
use crate::ask::Asked;
use crate::bridge::Outcome;
use crate::gateway::Gateway;
use crate::keep::{Content, KeptFiles, Of};
use crate::recorder::Recorder;
use crate::screens::LiveScreen;
use crate::sentence::Trouble;
use crate::session::Visit;

/// Notices that wait for an operator who reads nothing; more than can watch a session.
const UNTOLD: usize = 512;

/// A session between its grant and its seal.
pub struct LiveSession {
    pub session: SessionId,
    pub grant: Grant,
    pub recorder: Arc<Recorder>,
    /// Recordings of the contents of files that pass just now.
    pub kept: KeptFiles,
    /// What whoever watches sees.
    pub screen: LiveScreen,
    began: Instant,
    about: About,
    bytes_in: AtomicU64,
    /// The order to end, and why. The first one stands.
    order: watch::Sender<Option<Trouble>>,
    killed: AtomicBool,
    /// What the operator should know while the session goes on, and was not told yet.
    notices: watch::Sender<Vec<String>>,
}

/// A place on the list, which is given up however the session's task ends: also by a panic.
pub struct Entered {
    live: Arc<LiveSession>,
    gateway: Arc<Gateway>,
}

impl std::ops::Deref for Entered {
    type Target = Arc<LiveSession>;

    fn deref(&self) -> &Self::Target {
        &self.live
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.gateway.sessions.leave(self.live.session);
        // The last picture is drawn where waiting does no harm, and only for whoever watches.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if self.live.screen.watchers() > 0 => {
                let live = Arc::clone(&self.live);
                runtime.spawn_blocking(move || {
                    live.screen.turn();
                    live.screen.close();
                });
            }
            _ => self.live.screen.close(),
        }
    }
}

impl LiveSession {
    /// From here on the session is listed, can be ended, and is decided again whenever the rules change.
    pub fn enter(visit: &Visit, grant: Grant, asked: &Asked, recorder: Arc<Recorder>) -> Entered {
        let mut about = admit::about(visit, asked);
        about.landing = grant.landing().to_string().into();
        let live = Arc::new(Self {
            session: grant.session(),
            grant,
            recorder,
            kept: KeptFiles::default(),
            screen: LiveScreen::new(asked.terminal.as_ref().map(|terminal| terminal.size)),
            began: Instant::now(),
            about,
            bytes_in: AtomicU64::new(0),
            order: watch::Sender::new(None),
            killed: AtomicBool::new(false),
            notices: watch::Sender::default(),
        });
        visit.gateway.journal(
            Some(live.session),
            Event::RecordingOpened {
                about: live.about(),
                recording: live.recorder.path().into(),
            },
        );
        visit.gateway.sessions.enter(&live);
        Entered {
            live,
            gateway: Arc::clone(&visit.gateway),
        }
    }

    pub fn about(&self) -> Box<About> {
        Box::new(self.about.clone())
    }

    /// Its recording, and those of contents.
    pub fn recorders(&self) -> Vec<Arc<Recorder>> {
        let mut all = self.kept.all();
        all.push(Arc::clone(&self.recorder));
        all
    }

    /// The beginning of a recording of a file's content: the same facts, an id of its own, and the path as the command.
    pub fn content(&self, gateway: &Gateway, of: Of<'_>) -> Content {
        let (session, about) = (gateway.new_session_id(), &self.about);
        let header = Header {
            session: session.to_string(),
            channel: None,
            user: about.user.to_string(),
            source: about.source.to_string(),
            target: about.target.to_string(),
            amphora: about.amphora.to_string(),
            load_balancer: about.load_balancer.to_string(),
            load_balancer_name: about.load_balancer_name.to_string(),
            project: about.project.to_string(),
            landing: about.landing.to_string(),
            action: "content".to_owned(),
            command: Some(of.path.to_vec()),
            cols: 0,
            rows: 0,
            term: None,
            pty: false,
            started: Timestamp::now(),
            gateway: gateway.name.clone(),
            host_key: None,
            sealing_key: gateway.sealing_key,
        };
        Content {
            header,
            session,
            of: self.session,
            path: of.path.to_vec(),
            kept: self.kept.clone(),
        }
    }

    /// How long it has been going on.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn orders(&self) -> watch::Receiver<Option<Trouble>> {
        self.order.subscribe()
    }

    /// Ends the session in somebody's name, which is written down first: if the gateway dies before the session's end, the
    /// journal still has who wanted it. A journal that takes nothing hinders no kill. False if it is ending already.
    pub fn kill(&self, gateway: &Gateway, by: String, why: String) -> bool {
        if self.order.borrow().is_some() || self.killed.swap(true, Ordering::AcqRel) {
            return false;
        }
        gateway.journal(
            Some(self.session),
            Event::SessionKilled {
                by: by.as_str().into(),
                reason: why.as_str().into(),
            },
        );
        self.end(Trouble::Killed { by, why });
        true
    }

    /// Orders the session to end. False if it was ordered before.
    pub fn end(&self, why: Trouble) -> bool {
        self.order.send_if_modified(|order| {
            let first = order.is_none();
            if first {
                *order = Some(why);
            }
            first
        })
    }

    /// Waits until there is something to tell. What was announced before anybody listened counts too.
    pub async fn noticed(&self) -> Vec<String> {
        let mut notices = self.notices.subscribe();
        // The sender is here, so this ends only with something to tell.
        let _ = notices.wait_for(|all| !all.is_empty()).await;
        drop(notices);
        self.untold()
    }

    /// What nobody has told yet.
    pub fn untold(&self) -> Vec<String> {
        let mut taken = Vec::new();
        self.notices.send_if_modified(|all| {
            taken = std::mem::take(all);
            false
        });
        taken
    }

    /// Tells the operator something without ending the session.
    pub fn announce(&self, what: &str) {
        let notice = format!("ampgate: {what}. session {}", self.session);
        self.notices.send_modify(|all| {
            if all.len() < UNTOLD {
                all.push(notice);
            }
        });
    }

    pub fn took_input(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Seals the recording and writes the end down.
    pub async fn close(&self, gateway: &Gateway, outcome: &Outcome) {
        let word = outcome.word();
        // Only after a fault of the gateway's own is any of these left.
        for kept in self.kept.all() {
            self.kept.close(gateway, &kept, "the session ended").await;
        }
        let sealed = self.recorder.close(gateway, &outcome.reason()).await;
        let relayed = self.recorder.relayed_bytes();
        let head = sealed.head.as_ref().map(|h| h.hash_hex());
        gateway.count_closed(sealed.recorded, relayed, sealed.sealed);
        match &outcome.trouble {
            Some(Trouble::Recorder { detail, .. }) => gateway.journal(
                Some(self.session),
                Event::RecordingFailed {
                    recording: self.recorder.path().into(),
                    stage: "live".into(),
                    error: detail.as_str().into(),
                    bytes: sealed.recorded,
                },
            ),
            Some(Trouble::Revoked(cause)) => gateway.journal(
                Some(self.session),
                Event::SessionRevoked {
                    cause: cause.as_str().into(),
                    rules: vec![],
                },
            ),
            _ => {}
        }
        gateway.journal(
            Some(self.session),
            Event::RecordingClosed {
                recording: self.recorder.path().into(),
                head: head.clone().unwrap_or_default().into(),
                offset: sealed.head.as_ref().map_or(0, |h| h.offset()),
                recorded: sealed.recorded,
                relayed,
                sealed: sealed.sealed,
                sealing_key: sealed
                    .sealed
                    .then(|| gateway.sealing_key.fingerprint().into()),
            },
        );
        gateway.journal(
            Some(self.session),
            Event::SessionClosed {
                about: self.about(),
                outcome: word.into(),
                exit_status: outcome.exit_status,
                exit_signal: outcome.exit_signal.as_deref().map(Into::into),
                bytes_out: relayed,
                bytes_in: self.bytes_in.load(Ordering::Relaxed),
                milliseconds: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
                recording: self.recorder.path().into(),
                head: head.map(Into::into),
            },
        );
        tracing::info!(outcome = word, relayed, "session closed");
    }
}
