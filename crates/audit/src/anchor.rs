//! In: a signed head of the journal. Out: a line that is kept elsewhere; later that line, read back and checked.
//! Never: an anchor that counts because it reads well: the sealing key signed it, or it is none.

use jiff::Timestamp;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::line::{JournalHead, hex, unhex};
use crate::text::Text;

/// A head of the journal, to be kept where the gateway's root has no power.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// 1.
    ampgate_anchor: u32,
    /// Which gateway's journal.
    pub gateway: Text,
    /// When it was signed.
    pub time: Timestamp,
    /// `SEQ:HASH`.
    head: String,
    /// Fingerprint of the sealing key.
    pub sealing_key: Text,
    /// Over [`JournalHead::message`], hex.
    signature: String,
}

impl Anchor {
    /// An anchor of a head that was just signed.
    pub fn new(
        gateway: &str,
        time: Timestamp,
        head: JournalHead,
        sealing_key: &str,
        signature: &[u8; 64],
    ) -> Self {
        Self {
            ampgate_anchor: 1,
            gateway: gateway.into(),
            time,
            head: head.to_string(),
            sealing_key: sealing_key.into(),
            signature: hex(signature),
        }
    }

    /// One line of JSON, without its newline. No character of it acts on a terminal or ends a line.
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Finds an anchor in a line of a file or a log: whatever stands before it is passed over.
    pub fn find(line: &str) -> Option<Self> {
        let at = line.find("{\"ampgate_anchor\":")?;
        let anchor: Self = serde_json::from_str(line.get(at..)?.trim_end()).ok()?;
        (anchor.ampgate_anchor == 1).then_some(anchor)
    }

    /// The head, if this key signed it.
    pub fn head(&self, sealing_key: &[u8; 32]) -> Option<JournalHead> {
        let head: JournalHead = self.head.parse().ok()?;
        let signature = unhex(&self.signature)?;
        UnparsedPublicKey::new(&ED25519, sealing_key)
            .verify(&head.message(), &signature)
            .ok()
            .map(|()| head)
    }
}
