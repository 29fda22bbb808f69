//! In: the first line of a file.
//! Out: of a sealed recording: which session, since when, by which key it is proven, and who can read it.
//! Never: who did what and where; that is inside.

use std::{fs::File, io, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    error::HeaderFault, header::Header, key::PublicKey, line::Lines, recipient::Wrapped,
    session::is_session_id,
};

/// Version of the sealed form.
const FORMAT: u32 = 1;

/// The first line of a sealed recording: what storage staff need, and nothing about the session itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    ampgate_sealed: u32,
    session: String,
    started: Timestamp,
    gateway: String,
    sealing_key: String,
    needed: usize,
    pub(crate) recipients: Vec<Wrapped>,
}

impl Envelope {
    pub(crate) fn new(header: &Header, needed: usize, recipients: Vec<Wrapped>) -> Self {
        Self {
            ampgate_sealed: FORMAT,
            session: header.session.clone(),
            started: header.started,
            gateway: header.gateway.clone(),
            sealing_key: header.sealing_key.to_openssh(),
            needed,
            recipients,
        }
    }

    /// Reads the first line of a file; `None` if it is no sealed recording.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn of(path: impl AsRef<Path>) -> io::Result<Option<Self>> {
        let mut lines = Lines::new(File::open(path)?);
        let first = lines.next()?.filter(|first| first.ends);
        Ok(first
            .filter(|first| Self::begins(first.bytes))
            .and_then(|first| Self::parse(first.bytes).ok()))
    }

    /// The session. Unverified, as everything here.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// When the recording began (UTC).
    #[must_use]
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Which gateway recorded.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// How many of the recipients are needed to read.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// The public keys of those who can read, or take part in reading.
    pub fn recipients(&self) -> impl Iterator<Item = &str> {
        self.recipients.iter().map(|one| one.recipient.as_str())
    }

    /// The public half of the key that seals it.
    #[must_use]
    pub fn sealing_key(&self) -> Option<PublicKey> {
        PublicKey::from_openssh(&self.sealing_key).ok()
    }

    pub(crate) fn wrapped(&self) -> &[Wrapped] {
        &self.recipients
    }

    /// Whether a file that begins like this is sealed.
    pub(crate) fn begins(line: &[u8]) -> bool {
        line.starts_with(b"{\"ampgate_sealed\":")
    }

    /// Reads a first line, with or without its newline.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, HeaderFault> {
        let bad = |why: &str| HeaderFault::NotOurs(why.to_owned());
        let envelope: Self =
            serde_json::from_slice(line).map_err(|e| HeaderFault::NotOurs(e.to_string()))?;
        if envelope.ampgate_sealed != FORMAT {
            return Err(bad("a newer format; use a newer ampgate-replay"));
        }
        if !is_session_id(&envelope.session) {
            return Err(bad("the session id is none"));
        }
        PublicKey::from_openssh(&envelope.sealing_key)
            .map_err(|_| bad("the sealing key is none"))?;
        Ok(envelope)
    }
}
