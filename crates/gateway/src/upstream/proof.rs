//! In: what was decided, elsewhere. Out: what has to be in hand before the octavia key is used.
//! Never: made from anything that anybody can make.

use std::sync::Arc;

use ampgate_access::{Amphora, Grant, Inquiry, SessionId};

use crate::recorder::Recorder;

/// Why the octavia key may be used on one connection to one amphora.
pub enum Proof<'a> {
    /// A session that was decided and is recorded from here on.
    Session(&'a Grant, &'a Recorder),
    /// The gateway's own question (`.active`), on behalf of a principal who may connect.
    Inquiry(&'a Inquiry),
}

impl Proof<'_> {
    /// The amphora that it is about.
    pub fn amphora(&self) -> &Arc<Amphora> {
        match self {
            Self::Session(grant, _) => grant.amphora(),
            Self::Inquiry(inquiry) => inquiry.amphora(),
        }
    }

    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::Session(_, recorder) => Some(recorder.session()),
            Self::Inquiry(_) => None,
        }
    }
}
