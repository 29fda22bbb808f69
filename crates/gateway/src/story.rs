//! In: what happened in a file transfer. Out: an event in the journal, and a line in the recording.
//! Never: content; a control character in a line.

use ampgate_audit::Event;
use ampgate_transfer::{Happened, RsyncFile, ScpFile, Sum};

use crate::gateway::Gateway;
use crate::judge::Denied;
use crate::keep::Kept;
use crate::live::LiveSession;
use crate::sentence::Trouble;

/// An operation of sftp.
pub fn happened(
    gateway: &Gateway,
    live: &LiveSession,
    what: Happened,
    kept: Kept,
) -> Result<(), Trouble> {
    let (user, amphora, landing) = who(live);
    match what {
        // It is for the keeper.
        Happened::Content { .. } => Ok(()),
        Happened::Opening { path, flags } => live
            .recorder
            .marker(&format!("sftp: open {} for {flags}", shown(&path))),
        Happened::File(file) => {
            let line = format!(
                "sftp: close {}: {}{}",
                shown(&file.path),
                sums(file.read.as_ref(), file.written.as_ref()),
                file.result
            );
            live.recorder.marker(&line)?;
            let (read, written) = (Passed::of(file.read), Passed::of(file.written));
            gateway.journal(
                Some(live.session),
                Event::FileClosed {
                    user,
                    amphora,
                    landing,
                    protocol: "sftp".into(),
                    path: file.path.as_slice().into(),
                    name: None,
                    flags: file.flags.into(),
                    bytes_read: read.bytes,
                    read: read.completeness.map(Into::into),
                    read_sha256: read.sha256.map(Into::into),
                    bytes_written: written.bytes,
                    written: written.completeness.map(Into::into),
                    written_sha256: written.sha256.map(Into::into),
                    read_kept: kept.read.map(Into::into),
                    written_kept: kept.written.map(Into::into),
                    bytes_kept: kept.bytes,
                    not_kept: kept.short.map(Into::into),
                    attributes: file.attributes.map(Into::into),
                    result: file.result.into(),
                },
            );
            Ok(())
        }
        Happened::Directory {
            path,
            entries,
            result,
        } => {
            let line = format!("sftp: list {}: {entries} names, {result}", shown(&path));
            live.recorder.marker(&line)?;
            gateway.journal(
                Some(live.session),
                Event::DirectoryListed {
                    user,
                    amphora,
                    landing,
                    path: path.as_slice().into(),
                    entries,
                    result: result.into(),
                },
            );
            Ok(())
        }
        Happened::Changed(change) => {
            let to = change.to.as_deref().map(|to| format!(" to {}", shown(to)));
            let set = change.detail.as_deref().map(|set| format!(" ({set})"));
            let line = format!(
                "sftp: {} {}{}{}: {}",
                change.operation,
                shown(&change.path),
                to.unwrap_or_default(),
                set.unwrap_or_default(),
                change.result
            );
            live.recorder.marker(&line)?;
            gateway.journal(
                Some(live.session),
                Event::PathChanged {
                    user,
                    amphora,
                    landing,
                    operation: change.operation.into(),
                    path: change.path.as_slice().into(),
                    to: change.to.as_deref().map(Into::into),
                    attributes: change.detail.map(Into::into),
                    result: change.result.into(),
                },
            );
            Ok(())
        }
    }
}

/// A file of an scp of old.
pub fn scp(
    gateway: &Gateway,
    live: &LiveSession,
    path: &str,
    is_read: bool,
    file: ScpFile,
    kept: Kept,
) -> Result<(), Trouble> {
    let moved = Moved {
        protocol: "scp",
        path,
        name: &file.name,
        is_read,
        attributes: format!("mode {}", file.mode),
        result: file.result,
    };
    told(gateway, live, moved, file.sum, kept)
}

/// A file of an rsync. Its content is not kept: of what the other side has already nothing passes.
pub fn rsync(
    gateway: &Gateway,
    live: &LiveSession,
    path: &str,
    is_read: bool,
    file: RsyncFile,
) -> Result<(), Trouble> {
    let moved = Moved {
        protocol: "rsync",
        path,
        name: &file.name,
        is_read,
        attributes: file.attributes,
        result: file.result,
    };
    told(gateway, live, moved, file.sum, Kept::default())
}

/// A file that a command moved.
struct Moved<'f> {
    protocol: &'static str,
    path: &'f str,
    name: &'f [u8],
    is_read: bool,
    attributes: String,
    result: &'static str,
}

fn told(
    gateway: &Gateway,
    live: &LiveSession,
    file: Moved<'_>,
    sum: Sum,
    kept: Kept,
) -> Result<(), Trouble> {
    let (user, amphora, landing) = who(live);
    let (read, written) = match file.is_read {
        true => (Some(sum), None),
        false => (None, Some(sum)),
    };
    let line = format!(
        "{}: {} ({}): {}{}",
        file.protocol,
        shown(file.path.as_bytes()),
        shown(file.name),
        sums(read.as_ref(), written.as_ref()),
        file.result
    );
    live.recorder.marker(&line)?;
    let (read, written) = (Passed::of(read), Passed::of(written));
    gateway.journal(
        Some(live.session),
        Event::FileClosed {
            user,
            amphora,
            landing,
            protocol: file.protocol.into(),
            path: file.path.into(),
            name: Some(file.name.into()),
            flags: if file.is_read { "read" } else { "write" }.into(),
            bytes_read: read.bytes,
            read: read.completeness.map(Into::into),
            read_sha256: read.sha256.map(Into::into),
            bytes_written: written.bytes,
            written: written.completeness.map(Into::into),
            written_sha256: written.sha256.map(Into::into),
            read_kept: kept.read.map(Into::into),
            written_kept: kept.written.map(Into::into),
            bytes_kept: kept.bytes,
            not_kept: kept.short.map(Into::into),
            attributes: Some(file.attributes.into()),
            result: file.result.into(),
        },
    );
    Ok(())
}

/// What the policy did not allow.
pub fn refused(
    gateway: &Gateway,
    live: &LiveSession,
    protocol: &str,
    operation: &str,
    denied: &Denied,
) -> Result<(), Trouble> {
    let (user, amphora, landing) = who(live);
    let line = format!(
        "{protocol}: {operation} {} refused: the policy does not allow {} of {}",
        shown(&denied.written),
        denied.action,
        shown(&denied.real)
    );
    live.recorder.marker(&line)?;
    let real = (denied.real != denied.written).then(|| denied.real.as_slice().into());
    gateway.journal(
        Some(live.session),
        Event::PathRefused {
            user,
            amphora,
            landing,
            operation: operation.into(),
            action: denied.action.as_str().into(),
            path: denied.written.as_slice().into(),
            real,
            rules: denied.rules.iter().map(Into::into).collect(),
        },
    );
    Ok(())
}

/// One direction of a file, as the journal has it.
#[derive(Default)]
struct Passed {
    bytes: u64,
    completeness: Option<&'static str>,
    sha256: Option<String>,
}

impl Passed {
    fn of(sum: Option<Sum>) -> Self {
        sum.map_or_else(Self::default, |sum| Self {
            bytes: sum.bytes,
            completeness: Some(sum.completeness.as_str()),
            sha256: sum.sha256,
        })
    }
}

fn sums(read: Option<&Sum>, written: Option<&Sum>) -> String {
    let one = |verb: &str, sum: &Sum| {
        let hash = sum.sha256.as_deref();
        let hash = hash.map(|hash| format!(" sha256 {hash},"));
        let completeness = sum.completeness.as_str();
        format!(
            "{} bytes {verb}, {completeness},{} ",
            sum.bytes,
            hash.unwrap_or_default()
        )
    };
    let read = read.map(|sum| one("read", sum)).unwrap_or_default();
    let written = written.map(|sum| one("written", sum)).unwrap_or_default();
    read + &written
}

fn who(
    live: &LiveSession,
) -> (
    ampgate_audit::Text,
    ampgate_audit::Text,
    ampgate_audit::Text,
) {
    let grant = &live.grant;
    (
        grant.principal().name().as_str().into(),
        grant.amphora().id.to_string().into(),
        grant.landing().as_str().into(),
    )
}

/// A path as one line of text.
pub fn shown(path: &[u8]) -> String {
    let mut text = String::new();
    for c in String::from_utf8_lossy(path).chars() {
        match c.is_control() {
            true => text.extend(c.escape_default()),
            false => text.push(c),
        }
    }
    text
}
