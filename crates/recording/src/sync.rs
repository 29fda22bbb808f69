//! In: a recording's file, shared between its writer and whoever makes it durable.
//! Out: fdatasync when something was written since the last one, on a thread that may block.
//! Never: a failed sync forgotten. The kernel reports it once only, so it kills the recording.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::error::RecordingError;

/// What writer and syncer share.
pub(crate) struct Shared {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    dirty: AtomicBool,
    dead: AtomicBool,
}

impl Shared {
    pub(crate) fn new(file: File, path: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            file,
            path,
            dirty: AtomicBool::new(false),
            dead: AtomicBool::new(false),
        })
    }

    /// Called after each write; a plain store when it is set already, so that the writer's path stays cheap.
    pub(crate) fn soil(&self) {
        if !self.dirty.load(Ordering::Relaxed) {
            self.dirty.store(true, Ordering::Release);
        }
    }

    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// An error once the recording is dead.
    pub(crate) fn alive(&self) -> Result<(), RecordingError> {
        if self.dead.load(Ordering::Acquire) {
            Err(RecordingError::Dead(self.path.clone()))
        } else {
            Ok(())
        }
    }

    /// fdatasync; a failure kills the recording.
    pub(crate) fn sync(&self) -> Result<(), RecordingError> {
        // Cleared before the call: a write during it makes the file dirty again.
        self.dirty.store(false, Ordering::Release);
        rustix::fs::fdatasync(&self.file).map_err(|e| {
            self.kill();
            RecordingError::io(&self.path, "make it durable", e)
        })
    }
}

/// Makes a recording durable from another thread. Cheap to clone; outlives the recording without harm.
#[derive(Clone)]
pub struct SyncHandle(pub(crate) Arc<Shared>);

impl SyncHandle {
    /// fdatasync if anything was written since the last call; says whether it was. Blocks as long as the disk takes.
    ///
    /// # Errors
    /// The system's error; the recording is dead after it, and its next commit fails.
    pub fn sync(&self) -> Result<bool, RecordingError> {
        if !self.is_dirty() {
            return Ok(false);
        }
        self.0.sync().map(|()| true)
    }

    /// Whether anything was written since the last sync.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.0.dirty.load(Ordering::Acquire)
    }

    /// The recording's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}
