//! In: an operation whose end is known. Out: what the journal says of it.
//! Never: content of which nobody asked that it is kept.

use bytes::Bytes;

use crate::content::Sum;

/// Something that an operator did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A file is about to be opened: what follows is content.
    Opening {
        /// Where it is.
        path: Vec<u8>,
        /// What for, in words.
        flags: String,
    },
    /// The next bytes of a file whose content is kept, each once and in order: those that are hashed.
    Content {
        /// As in [`ClosedFile::number`].
        number: u64,
        /// Where it is.
        path: Vec<u8>,
        /// Whether they came from the operator.
        is_written: bool,
        /// The bytes.
        bytes: Bytes,
    },
    /// A file was closed, or could not be opened.
    File(Box<ClosedFile>),
    /// A directory was closed, or could not be opened.
    Directory {
        /// Where it is.
        path: Vec<u8>,
        /// How many names passed.
        entries: u64,
        /// `ok`, or why not.
        result: String,
    },
    /// A name or an attribute was changed, or could not be.
    Changed(Change),
}

/// A file between opening and closing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedFile {
    /// Which of the channel's files; 0 if it could not be opened.
    pub number: u64,
    /// Where it is.
    pub path: Vec<u8>,
    /// What it was opened for, in words.
    pub flags: String,
    /// What went to the operator.
    pub read: Option<Sum>,
    /// What came from the operator.
    pub written: Option<Sum>,
    /// What was set through the handle, in words.
    pub attributes: Option<String>,
    /// `ok`, or the first thing that went wrong.
    pub result: String,
}

/// Of which directions of a file the content is to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// What goes to the operator.
    pub read: bool,
    /// What comes from the operator.
    pub written: bool,
}

/// An operation on names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `rename`, `remove`, …
    pub operation: &'static str,
    /// Which file.
    pub path: Vec<u8>,
    /// The new name; of a link, what it points to.
    pub to: Option<Vec<u8>>,
    /// The attributes that were set, in words.
    pub detail: Option<String>,
    /// `ok`, or why not.
    pub result: String,
}
