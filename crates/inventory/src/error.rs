//! In: an inventory that cannot answer.
//! Out: one sentence for each way in which it cannot.
//! Never: "there is no such amphora"; that is an answer.

/// Why an inventory cannot answer. The static file always can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// The service behind it does not answer, and nothing is remembered.
    #[error("the inventory does not answer: {0}")]
    Unavailable(String),
}
