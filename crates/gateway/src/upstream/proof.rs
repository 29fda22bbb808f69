//! In: what was decided, elsewhere. Out: what has to be in hand before the octavia key is used.
//! Never: made from anything that anybody can make.

use std::sync::Arc;

use ampgate_access::{Amphora, Grant, Inquiry, SessionId};

use crate::control::Admin;
use crate::gateway::Connection;
use crate::recorder::Recorder;

/// Why the octavia key may be used on one connection to one amphora.
pub enum Proof<'a> {
    /// A session that was decided and is recorded from here on.
    Session(&'a Grant, &'a Recorder),
    /// The gateway's own question (`.active`), on behalf of a principal who may connect.
    Inquiry(&'a Inquiry, &'a Connection),
    /// The same question, asked by the doctor for an admin of this host.
    Doctor(&'a Admin, &'a Arc<Amphora>),
}

impl Proof<'_> {
    /// The amphora that it is about.
    pub fn amphora(&self) -> &Arc<Amphora> {
        match self {
            Self::Session(grant, _) => grant.amphora(),
            Self::Inquiry(inquiry, _) => inquiry.amphora(),
            Self::Doctor(_, amphora) => amphora,
        }
    }

    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::Session(_, recorder) => Some(recorder.session()),
            Self::Inquiry(..) | Self::Doctor(..) => None,
        }
    }

    /// What it is for, in the journal's word.
    pub fn why(&self) -> &'static str {
        match self {
            Self::Session(..) => "session",
            Self::Inquiry(..) => "active",
            Self::Doctor(..) => "doctor",
        }
    }

    /// On whose behalf.
    pub fn by(&self) -> String {
        match self {
            Self::Session(grant, _) => grant.principal().name().to_string(),
            Self::Inquiry(inquiry, _) => inquiry.principal().name().to_string(),
            Self::Doctor(admin, _) => admin.shown(),
        }
    }

    /// The operator's connection, where an operator asks.
    pub fn connection(&self) -> Option<&str> {
        match self {
            Self::Inquiry(_, connection) => Some(&connection.id),
            Self::Session(..) | Self::Doctor(..) => None,
        }
    }
}
