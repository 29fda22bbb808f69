//! In: what was read where something else belongs. Out: a sentence about it.
//! Never: a byte of the transfer.

/// Bytes that are no SFTP of version 3. The channel ends: nobody could say what the other side makes of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl Malformed {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}
