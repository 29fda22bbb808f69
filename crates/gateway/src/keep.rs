//! In: the content of files that policy asks for, as it passes. Out: each in a sealed recording of its own.
//! Never: lets content on that is not kept, below the caps; keeps anything in clear, or in a list of sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ampgate_audit::Event;
use ampgate_recording::Stream;
use tokio::task::JoinHandle;

use crate::gateway::Gateway;
use crate::live::LiveSession;
use crate::recorder::{Recorded, Recorder};
use crate::sentence::Trouble;

/// Files of one session that are kept at once: each is an open file of the gateway's.
const MAX_OPEN: usize = 64;

/// What is kept of one session just now; the keeping of recordings sees to these as well.
#[derive(Clone, Default)]
pub struct KeptFiles(Arc<Mutex<Vec<Arc<Recorder>>>>);

impl KeptFiles {
    fn files(&self) -> MutexGuard<'_, Vec<Arc<Recorder>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn all(&self) -> Vec<Arc<Recorder>> {
        self.files().clone()
    }

    /// Seals one and writes its end down. False where its file could not be written to the end.
    pub async fn close(&self, gateway: &Gateway, recorder: &Arc<Recorder>, reason: &str) -> bool {
        let sealed = recorder.close(gateway, reason).await;
        self.files().retain(|other| !Arc::ptr_eq(other, recorder));
        let head = sealed.head.as_ref();
        gateway.journal(
            Some(recorder.session()),
            Event::RecordingClosed {
                recording: recorder.path().into(),
                head: head.map(|h| h.hash_hex()).unwrap_or_default().into(),
                offset: head.map_or(0, |h| h.offset()),
                recorded: sealed.recorded,
                relayed: recorder.relayed_bytes(),
                sealed: sealed.sealed,
                sealing_key: sealed
                    .sealed
                    .then(|| gateway.sealing_key.fingerprint().into()),
            },
        );
        head.is_some()
    }
}

/// One direction of one file.
#[derive(Clone, Copy)]
pub struct Of<'f> {
    pub protocol: &'static str,
    /// Which of the channel's files.
    pub number: u64,
    pub path: &'f [u8],
    pub is_written: bool,
}

/// What became of a file's content, both ways.
#[derive(Default)]
pub struct Kept {
    pub read: Option<String>,
    pub written: Option<String>,
    pub bytes: u64,
    pub short: Option<&'static str>,
}

/// Keeps the contents of one channel. Whatever takes long runs in a task of its own: the caller may be cancelled while it
/// waits, and comes again with the same file.
#[derive(Default)]
pub struct Keeper {
    open: HashMap<(u64, bool), Keeping>,
    opening: Option<JoinHandle<Result<Option<Arc<Recorder>>, Trouble>>>,
    closing: Option<JoinHandle<bool>>,
    used: u64,
}

struct Keeping {
    recorder: Option<Arc<Recorder>>,
    bytes: u64,
    short: Option<&'static str>,
    is_closed: bool,
}

impl Keeper {
    /// The next bytes of a file. After `Ok` they may go on.
    pub async fn take(
        &mut self,
        gateway: &Arc<Gateway>,
        live: &LiveSession,
        of: Of<'_>,
        bytes: &[u8],
    ) -> Result<(), Trouble> {
        let key = (of.number, of.is_written);
        if !self.open.contains_key(&key) {
            let recorder = self.opened(gateway, live, of).await?;
            // The transfer goes on without: a filling disk ends no session that runs, and the hash is there. Ending it
            // would let anybody who fills the disk stop everybody's transfers; whoever does so leaves events that say it.
            let short = recorder
                .is_none()
                .then_some("the store's disk has no more room than is kept in reserve");
            let keeping = Keeping {
                recorder,
                bytes: 0,
                short,
                is_closed: false,
            };
            self.open.insert(key, keeping);
        }
        let Some(file) = self.open.get_mut(&key) else {
            return Ok(());
        };
        let (Some(recorder), None) = (&file.recorder, file.short) else {
            return Ok(());
        };
        // Before it is written, so that nothing is written twice when this wait is cancelled.
        recorder.durable_enough().await?;
        let config = gateway.config();
        let of_file = config.recording.keep_file.saturating_sub(file.bytes);
        let of_session = config.recording.keep_session.saturating_sub(self.used);
        let room = usize::try_from(of_file.min(of_session)).unwrap_or(usize::MAX);
        let kept = bytes.get(..room).unwrap_or(bytes);
        if !kept.is_empty() {
            recorder.output([Recorded::Output(Stream::Stdout, kept)])?;
            recorder.relayed(Stream::Stdout, kept.len());
            file.bytes += kept.len() as u64;
            self.used += kept.len() as u64;
        }
        if kept.len() < bytes.len() {
            file.short = Some(match of_file <= of_session {
                true => "it is larger than keep_file",
                false => "the session's files are larger than keep_session",
            });
        }
        Ok(())
    }

    /// A new recording for this file; none where the disk has no room for it.
    async fn opened(
        &mut self,
        gateway: &Arc<Gateway>,
        live: &LiveSession,
        of: Of<'_>,
    ) -> Result<Option<Arc<Recorder>>, Trouble> {
        if self.open.len() >= MAX_OPEN {
            let told = format!("more than {MAX_OPEN} files whose content is kept are open at once");
            return Err(Trouble::Transfer(told));
        }
        let opening = self.opening.get_or_insert_with(|| {
            tokio::spawn(open(
                Arc::clone(gateway),
                live.content(gateway, of),
                of.protocol,
                of.is_written,
            ))
        });
        let opened = opening.await;
        self.opening = None;
        opened.unwrap_or(Err(Trouble::Fault))
    }

    /// The file was closed: what was kept of it.
    pub async fn close(
        &mut self,
        gateway: &Arc<Gateway>,
        live: &LiveSession,
        number: u64,
    ) -> Result<Kept, Trouble> {
        for is_written in [false, true] {
            let Some(file) = self.open.get_mut(&(number, is_written)) else {
                continue;
            };
            if let (Some(recorder), false) = (&file.recorder, file.is_closed) {
                let closing = self.closing.get_or_insert_with(|| {
                    let (gateway, recorder) = (Arc::clone(gateway), Arc::clone(recorder));
                    let kept = live.kept.clone();
                    tokio::spawn(async move {
                        kept.close(&gateway, &recorder, "the file was closed").await
                    })
                });
                let closed = closing.await;
                self.closing = None;
                file.is_closed = true;
                if !closed.unwrap_or(false) {
                    return Err(Trouble::Recorder {
                        told: "the content of a file could not be kept to its end",
                        detail: recorder.path().to_owned(),
                    });
                }
            }
        }
        let mut kept = Kept::default();
        for is_written in [false, true] {
            if let Some(file) = self.open.remove(&(number, is_written)) {
                let name = file.recorder.map(|recorder| recorder.path().to_owned());
                match is_written {
                    true => kept.written = name,
                    false => kept.read = name,
                }
                kept.bytes += file.bytes;
                kept.short = kept.short.or(file.short);
            }
        }
        Ok(kept)
    }
}

/// What a recording of content begins with.
pub struct Content {
    pub header: ampgate_recording::Header,
    pub session: ampgate_access::SessionId,
    pub of: ampgate_access::SessionId,
    pub path: Vec<u8>,
    pub kept: KeptFiles,
}

async fn open(
    gateway: Arc<Gateway>,
    content: Content,
    protocol: &'static str,
    is_written: bool,
) -> Result<Option<Arc<Recorder>>, Trouble> {
    let direction = if is_written { "written" } else { "read" };
    let header = content.header.clone();
    let opened = Recorder::of_content(&gateway, content.session, content.header).await?;
    let Some(recorder) = opened else {
        return Ok(None);
    };
    gateway.journal(
        Some(content.session),
        Event::ContentOpened {
            user: header.user.as_str().into(),
            amphora: header.amphora.as_str().into(),
            landing: header.landing.as_str().into(),
            protocol: protocol.into(),
            path: content.path.as_slice().into(),
            direction: direction.into(),
            of: content.of.to_string().into(),
            recording: recorder.path().into(),
        },
    );
    content.kept.files().push(Arc::clone(&recorder));
    crate::control::archive::hold_too(&gateway, content.of, content.session).await;
    recorder.marker(&format!(
        "content of {}, {direction} by {protocol} in session {}",
        crate::story::shown(&content.path),
        content.of
    ))?;
    Ok(Some(recorder))
}
