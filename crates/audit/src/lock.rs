//! In: a file that one process at a time may write.
//! Out: the file, locked until it is dropped.
//! Never: a lock that outlives its holder: neither a crash nor a child that is just being started keeps it.

use crate::error::AuditError;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::ops::{Deref, DerefMut};
use std::path::Path;

/// A file that is locked until it is dropped.
pub(crate) struct Locked(File);

impl Locked {
    /// Locks without waiting. `shown` is named to people if somebody else has it.
    pub fn new(file: File, shown: &Path) -> Result<Self, AuditError> {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(Errno::WOULDBLOCK) => Err(AuditError::Locked(shown.into())),
            Err(fault) => Err(AuditError::io("lock", shown)(fault.into())),
        }
    }
}

// A lock belongs to the open file, not to the process: between fork and exec a child of another thread has a copy of the
// descriptor, and closing ours would leave its lock standing until then.
impl Drop for Locked {
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What a fork copies is the same open file under another descriptor.
    #[test]
    fn a_copy_of_the_descriptor_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let open = || File::create(&path).unwrap();
        let held = Locked::new(open(), &path).unwrap();
        let copy = held.try_clone().unwrap();
        assert!(matches!(
            Locked::new(open(), &path),
            Err(AuditError::Locked(_))
        ));
        drop(held);
        Locked::new(open(), &path).unwrap();
        drop(copy);
    }
}
