//! In: the path of a socket.
//! Out: a listener that only the right users can reach.
//! Never: listens in a directory in which a stranger could put another socket in its place.

use crate::error::SignerError;
use rustix::fs::{Gid, Mode, Uid, chown};
use rustix::process::{geteuid, umask};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Binds the socket, mode 0660, in a directory checked (or made, 0700). `group`: its group, where the gateway is another user.
pub(crate) fn bind(path: &Path, group: Option<u32>) -> Result<UnixListener, SignerError> {
    check_directory(path)?;
    remove_stale(path)?;
    // Nobody may connect between bind and chmod.
    let before = umask(Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    umask(before);
    let listener = bound.map_err(SignerError::io("listen on", path))?;
    if let Some(group) = group {
        chown(path, None::<Uid>, Some(Gid::from_raw(group)))
            .map_err(|fault| SignerError::io("give to its group", path)(fault.into()))?;
    }
    fs::set_permissions(path, Permissions::from_mode(0o660))
        .map_err(SignerError::io("set the mode of", path))?;
    listener
        .set_nonblocking(true)
        .map_err(SignerError::io("listen on", path))?;
    Ok(listener)
}

fn check_directory(path: &Path) -> Result<(), SignerError> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    if !dir.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(SignerError::io("make", dir))?;
    }
    let meta = fs::metadata(dir).map_err(SignerError::io("look at", dir))?;
    let wrong = |why: String| {
        Err(SignerError::Directory {
            path: dir.into(),
            why,
        })
    };
    if meta.mode() & 0o027 != 0 {
        return wrong(format!("has mode {:04o}", meta.mode() & 0o7777));
    }
    if meta.uid() != 0 && meta.uid() != geteuid().as_raw() {
        return wrong(format!("belongs to uid {}", meta.uid()));
    }
    Ok(())
}

fn remove_stale(path: &Path) -> Result<(), SignerError> {
    match fs::symlink_metadata(path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(fault) => Err(SignerError::io("look at", path)(fault)),
        Ok(meta) if !meta.file_type().is_socket() => Err(SignerError::io("listen on", path)(
            io::Error::other("something that is no socket is there"),
        )),
        Ok(_) if UnixStream::connect(path).is_ok() => Err(SignerError::InUse(path.into())),
        Ok(_) => fs::remove_file(path).map_err(SignerError::io("remove the old", path)),
    }
}
