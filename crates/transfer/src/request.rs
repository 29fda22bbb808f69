//! In: one packet from the client. Out: the request that it is.
//! Never: a request with a field too many or too few.

use bytes::Bytes;

use crate::asked::{Asked, What};
use crate::error::Malformed;
use crate::wire::{Attributes, Fields};

#[derive(Debug)]
pub(crate) enum Request<'b> {
    Init,
    Asked(Asked),
    Close(&'b [u8]),
    Read {
        handle: &'b [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'b [u8],
        offset: u64,
    },
    Fstat(&'b [u8]),
    Fsetstat {
        handle: &'b [u8],
        attributes: Attributes,
    },
    Readdir(&'b [u8]),
    /// `fsync` and `fstatvfs`: about a handle, and nothing changes.
    OfHandle(&'b [u8]),
    CopyData {
        from: &'b [u8],
        to: &'b [u8],
    },
    /// Questions that name no file: `limits`, `home-directory`, `users-groups-by-id`.
    General,
    Unknown,
}

/// The number under which a packet is answered, and what it asks.
pub(crate) fn parse(packet: &Bytes) -> Result<(u32, Request<'_>), Malformed> {
    let kind = packet.get(4).copied().unwrap_or_default();
    let body = packet.get(5..).unwrap_or_default();
    let mut fields = Fields::new(body, word(kind));
    let first = fields.u32()?;
    let request = match kind {
        // Version, and pairs of extensions.
        1 => {
            if first < 3 {
                return Err(Malformed::new(format!(
                    "the client speaks version {first} of SFTP, and 3 is needed"
                )));
            }
            while !fields.is_empty() {
                fields.string()?;
                fields.string()?;
            }
            return Ok((0, Request::Init));
        }
        3 => {
            let path = fields.path()?.to_vec();
            let flags = fields.u32()?;
            fields.attributes()?;
            let mut asked = of(first, What::Open(flags), packet, vec![path], 5);
            asked.detail = None;
            Request::Asked(asked)
        }
        4 => Request::Close(fields.string()?),
        5 => Request::Read {
            handle: fields.string()?,
            offset: fields.u64()?,
            length: fields.u32()?,
        },
        6 => {
            // Its content is not in the packet any more, only how long it is.
            let (handle, offset) = (fields.string()?, fields.u64()?);
            fields.u32()?;
            Request::Write { handle, offset }
        }
        7 => one(&mut fields, first, What::Lstat, packet)?,
        8 => Request::Fstat(fields.string()?),
        9 => with_attributes(&mut fields, first, What::Setstat, packet, 5)?,
        10 => Request::Fsetstat {
            handle: fields.string()?,
            attributes: fields.attributes()?,
        },
        11 => one(&mut fields, first, What::Opendir, packet)?,
        12 => Request::Readdir(fields.string()?),
        13 => one(&mut fields, first, What::Remove, packet)?,
        14 => with_attributes(&mut fields, first, What::Mkdir, packet, 5)?,
        15 => one(&mut fields, first, What::Rmdir, packet)?,
        16 => one(&mut fields, first, What::Realpath, packet)?,
        17 => one(&mut fields, first, What::Stat, packet)?,
        18 => two(&mut fields, first, What::Rename, packet)?,
        19 => one(&mut fields, first, What::Readlink, packet)?,
        // OpenSSH sends the target first, whatever the draft says (its PROTOCOL file, section 4.1).
        20 => two(&mut fields, first, What::Symlink, packet)?,
        200 => {
            let name = fields.string()?;
            match extended(&mut fields, first, name, packet)? {
                Request::Unknown => return Ok((first, Request::Unknown)),
                request => request,
            }
        }
        _ => return Ok((first, Request::Unknown)),
    };
    fields.end()?;
    Ok((first, request))
}

/// OpenSSH's extensions (its PROTOCOL file, section 4).
fn extended<'b>(
    fields: &mut Fields<'b>,
    id: u32,
    name: &'b [u8],
    packet: &Bytes,
) -> Result<Request<'b>, Malformed> {
    Ok(match name {
        b"posix-rename@openssh.com" => two(fields, id, What::PosixRename, packet)?,
        b"hardlink@openssh.com" => two(fields, id, What::Hardlink, packet)?,
        b"statvfs@openssh.com" => one(fields, id, What::Statvfs, packet)?,
        b"expand-path@openssh.com" => one(fields, id, What::ExpandPath, packet)?,
        b"lsetstat@openssh.com" => {
            with_attributes(fields, id, What::Lsetstat, packet, 9 + name.len())?
        }
        b"fstatvfs@openssh.com" | b"fsync@openssh.com" => Request::OfHandle(fields.string()?),
        b"copy-data" => {
            let from = fields.string()?;
            let (_offset, _length) = (fields.u64()?, fields.u64()?);
            let to = fields.string()?;
            fields.u64()?;
            Request::CopyData { from, to }
        }
        b"limits@openssh.com" => Request::General,
        b"home-directory" => {
            fields.path()?;
            Request::General
        }
        b"users-groups-by-id@openssh.com" => {
            for _ in 0..2 {
                let ids = fields.string()?;
                if ids.len() % 4 != 0 {
                    return Err(Malformed::new("a list of ids that are no numbers"));
                }
            }
            Request::General
        }
        _ => Request::Unknown,
    })
}

fn one<'b>(
    fields: &mut Fields<'b>,
    id: u32,
    what: What,
    packet: &Bytes,
) -> Result<Request<'b>, Malformed> {
    let path = fields.path()?.to_vec();
    Ok(Request::Asked(of(
        id,
        what,
        packet,
        vec![path],
        packet.len(),
    )))
}

fn two<'b>(
    fields: &mut Fields<'b>,
    id: u32,
    what: What,
    packet: &Bytes,
) -> Result<Request<'b>, Malformed> {
    let paths = vec![fields.path()?.to_vec(), fields.path()?.to_vec()];
    Ok(Request::Asked(of(id, what, packet, paths, packet.len())))
}

/// `before`: where the path begins, past kind, id and an extension's name.
fn with_attributes<'b>(
    fields: &mut Fields<'b>,
    id: u32,
    what: What,
    packet: &Bytes,
    before: usize,
) -> Result<Request<'b>, Malformed> {
    let path = fields.path()?.to_vec();
    let attributes = fields.attributes()?;
    let mut asked = of(id, what, packet, vec![path], before);
    asked.detail = Some(attributes.to_string()).filter(|words| !words.is_empty());
    Ok(Request::Asked(asked))
}

/// `before`: bytes of the body before the path; what is behind the path stays as it is.
fn of(id: u32, what: What, packet: &Bytes, paths: Vec<Vec<u8>>, before: usize) -> Asked {
    let path = paths.first().map_or(0, Vec::len);
    let tail = 4 + before + 4 + path;
    Asked {
        id,
        what,
        tail: match tail < packet.len() {
            true => packet.slice(tail..),
            false => Bytes::new(),
        },
        paths,
        detail: None,
    }
}

fn word(kind: u8) -> &'static str {
    match kind {
        1 => "INIT",
        3 => "OPEN",
        4 => "CLOSE",
        5 => "READ",
        6 => "WRITE",
        7 => "LSTAT",
        8 => "FSTAT",
        9 => "SETSTAT",
        10 => "FSETSTAT",
        11 => "OPENDIR",
        12 => "READDIR",
        13 => "REMOVE",
        14 => "MKDIR",
        15 => "RMDIR",
        16 => "REALPATH",
        17 => "STAT",
        18 => "RENAME",
        19 => "READLINK",
        20 => "SYMLINK",
        200 => "an extended request",
        _ => "a request of unknown kind",
    }
}
