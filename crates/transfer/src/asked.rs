//! In: a request with paths in it. Out: what has to be decided about each path, and the request as it may go on.
//! Never: goes on by itself.

use bytes::Bytes;

use crate::wire::Packet;

/// What somebody must be allowed to do with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The content of a file goes to the operator.
    Read,
    /// Something is made, changed, or gets another name.
    Write,
    /// Names, sizes, owners, times.
    List,
    /// A name goes.
    Delete,
}

/// Which file a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// The one at the end of all symbolic links.
    Whole,
    /// The last part is meant itself, also if it is a link, or is not there yet.
    Last,
    /// The text of a link that is made: seen from the directory of the link, which is the other path.
    Target,
}

/// One path of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// As the client wrote it.
    pub path: &'a [u8],
    /// Which file it means.
    pub follow: Follow,
    /// All of these must be allowed.
    pub needs: &'static [Need],
    /// What lies below gets another path: it must not be out of reach itself.
    pub moves: bool,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Without symbolic links: what was decided about, and what the journal names.
    pub real: Vec<u8>,
    /// What is sent instead of what the client wrote.
    pub sent: Vec<u8>,
}

/// A request that waits for a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub(crate) id: u32,
    pub(crate) what: What,
    pub(crate) paths: Vec<Vec<u8>>,
    /// The fields behind the paths.
    pub(crate) tail: Bytes,
    /// The attributes among them, in words.
    pub(crate) detail: Option<String>,
}

/// The requests that name files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Open(u32),
    Opendir,
    Lstat,
    Stat,
    Readlink,
    Realpath,
    ExpandPath,
    Statvfs,
    Setstat,
    Lsetstat,
    /// By a handle that is not open for writing; the path is known.
    Fsetstat,
    Mkdir,
    Remove,
    Rmdir,
    Rename,
    PosixRename,
    Symlink,
    Hardlink,
}

/// Flags of OPEN (draft section 6.3).
pub(crate) const READ: u32 = 0x1;
pub(crate) const WRITE: u32 = 0x2;
pub(crate) const APPEND: u32 = 0x4;
pub(crate) const CREATE: u32 = 0x8;
pub(crate) const TRUNCATE: u32 = 0x10;
pub(crate) const EXCLUSIVE: u32 = 0x20;

/// Whether a file opened like this can be changed.
pub(crate) fn writes(flags: u32) -> bool {
    flags & (WRITE | APPEND | CREATE | TRUNCATE) != 0
}

/// Whether a file opened like this holds nothing but what is written from then on, where the offsets say.
pub(crate) fn begins_empty(flags: u32) -> bool {
    let exclusive = CREATE | EXCLUSIVE;
    flags & APPEND == 0 && (flags & TRUNCATE != 0 || flags & exclusive == exclusive)
}

/// The flags in words.
pub(crate) fn flag_words(flags: u32) -> String {
    let words = [
        (READ, "read"),
        (WRITE, "write"),
        (APPEND, "append"),
        (CREATE, "create"),
        (TRUNCATE, "truncate"),
        (EXCLUSIVE, "exclusive"),
    ];
    let set: Vec<&str> = words
        .into_iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, word)| word)
        .collect();
    set.join("+")
}

impl What {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Opendir => "opendir",
            Self::Lstat => "lstat",
            Self::Stat => "stat",
            Self::Readlink => "readlink",
            Self::Realpath => "realpath",
            Self::ExpandPath => "expand-path",
            Self::Statvfs => "statvfs",
            Self::Setstat => "setstat",
            Self::Lsetstat => "lsetstat",
            Self::Fsetstat => "fsetstat",
            Self::Mkdir => "mkdir",
            Self::Remove => "remove",
            Self::Rmdir => "rmdir",
            Self::Rename => "rename",
            Self::PosixRename => "posix-rename",
            Self::Symlink => "symlink",
            Self::Hardlink => "hardlink",
        }
    }

    /// Kind of the packet, and the name of the extension if it is one.
    fn on_the_wire(self) -> (u8, Option<&'static str>) {
        match self {
            Self::Open(_) => (3, None),
            Self::Lstat => (7, None),
            Self::Setstat => (9, None),
            Self::Fsetstat => (10, None),
            Self::Opendir => (11, None),
            Self::Remove => (13, None),
            Self::Mkdir => (14, None),
            Self::Rmdir => (15, None),
            Self::Realpath => (16, None),
            Self::Stat => (17, None),
            Self::Rename => (18, None),
            Self::Readlink => (19, None),
            Self::Symlink => (20, None),
            Self::ExpandPath => (200, Some("expand-path@openssh.com")),
            Self::Statvfs => (200, Some("statvfs@openssh.com")),
            Self::Lsetstat => (200, Some("lsetstat@openssh.com")),
            Self::PosixRename => (200, Some("posix-rename@openssh.com")),
            Self::Hardlink => (200, Some("hardlink@openssh.com")),
        }
    }

    /// Whether it only looks: no event but where it is refused.
    pub(crate) fn only_looks(self) -> bool {
        use What::{ExpandPath, Lstat, Readlink, Realpath, Stat, Statvfs};
        matches!(
            self,
            Lstat | Stat | Readlink | Realpath | ExpandPath | Statvfs
        )
    }

    /// What each of its paths means.
    fn means(self) -> &'static [(Follow, &'static [Need], bool)] {
        use Need::{Delete, List, Read, Write};
        const ALL: &[Need] = &[Read, Write, List, Delete];
        match self {
            // Where it must not be there yet, a link is not followed.
            Self::Open(flags) => {
                let exclusive = flags & (CREATE | EXCLUSIVE) == CREATE | EXCLUSIVE;
                match (exclusive, flags & READ != 0, writes(flags)) {
                    (true, true, _) => &[(Follow::Last, &[Read, Write], false)],
                    (true, false, _) => &[(Follow::Last, &[Write], false)],
                    (false, true, true) => &[(Follow::Whole, &[Read, Write], false)],
                    (false, false, true) => &[(Follow::Whole, &[Write], false)],
                    (false, _, false) => &[(Follow::Whole, &[Read], false)],
                }
            }
            Self::Opendir | Self::Stat | Self::Realpath | Self::ExpandPath | Self::Statvfs => {
                &[(Follow::Whole, &[List], false)]
            }
            Self::Lstat | Self::Readlink => &[(Follow::Last, &[List], false)],
            Self::Setstat | Self::Fsetstat => &[(Follow::Whole, &[Write], false)],
            Self::Lsetstat | Self::Mkdir => &[(Follow::Last, &[Write], false)],
            Self::Remove | Self::Rmdir => &[(Follow::Last, &[Delete], false)],
            // Under its new name a file may be read and listed: what may not be by the old one would be laundered.
            Self::Rename | Self::PosixRename => {
                &[(Follow::Last, ALL, true), (Follow::Last, &[Write], true)]
            }
            // Whatever could be done by the link's name must be allowed by the file's own.
            Self::Symlink => &[(Follow::Target, ALL, true), (Follow::Last, &[Write], false)],
            Self::Hardlink => &[(Follow::Last, ALL, false), (Follow::Last, &[Write], false)],
        }
    }
}

impl Asked {
    /// What it is, for the journal.
    pub fn operation(&self) -> &'static str {
        self.what.word()
    }

    /// Its paths, in the order of the packet.
    pub fn named(&self) -> Vec<Named<'_>> {
        let means = self.what.means().iter();
        let named = self.paths.iter().zip(means);
        named
            .map(|(path, (follow, needs, moves))| Named {
                path,
                follow: *follow,
                needs,
                moves: *moves,
            })
            .collect()
    }

    /// Whether its path is known to be without symbolic links already.
    pub fn is_known(&self) -> bool {
        self.what == What::Fsetstat
    }

    /// Whether the path is one for `expand-path`: `~` means something in it.
    pub fn expands(&self) -> bool {
        self.what == What::ExpandPath
    }

    /// Whether `.` and `..` have no meaning at the end of its paths: nobody can remove or rename them.
    pub fn takes_names_only(&self) -> bool {
        use What::{Hardlink, Mkdir, PosixRename, Remove, Rename, Rmdir, Symlink};
        matches!(
            self.what,
            Remove | Rmdir | Rename | PosixRename | Hardlink | Symlink | Mkdir
        )
    }

    /// The packet, with these paths in the place of its own.
    pub(crate) fn packet(&self, places: &[Place]) -> Bytes {
        let (kind, extension) = self.what.on_the_wire();
        let mut packet = Packet::new(kind, self.id);
        if let Some(extension) = extension {
            packet = packet.string(extension.as_bytes());
        }
        if self.what != What::Fsetstat {
            for place in places {
                packet = packet.string(&place.sent);
            }
        }
        packet.raw(&self.tail).finish()
    }
}
