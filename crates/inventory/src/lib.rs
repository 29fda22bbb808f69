//! In: the name of a target; a static file of amphorae.
//! Out: the amphora which it means, and everything that policy speaks of.
//! Never: decides who may reach it, or guesses between two.

mod error;
mod fixed;
mod known;

use std::sync::Arc;

use ampgate_access::{Amphora, AmphoraId, TargetName};
use async_trait::async_trait;

pub use error::InventoryError;
pub use fixed::Fixed;
pub use known::Known;

/// Where amphorae are known from: a file, or Octavia.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// What a name means. Same work whether it means anything or not.
    ///
    /// # Errors
    /// The inventory cannot answer.
    async fn resolve(&self, name: &TargetName) -> Result<Resolution, InventoryError>;

    /// The amphora with this id, as it is known now.
    ///
    /// # Errors
    /// The inventory cannot answer.
    async fn by_id(&self, id: &AmphoraId) -> Result<Option<Arc<Amphora>>, InventoryError>;

    /// All amphorae, in the order of their ids.
    ///
    /// # Errors
    /// The inventory cannot answer.
    async fn all(&self) -> Result<Vec<Arc<Amphora>>, InventoryError>;
}

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Nothing.
    None,
    /// This amphora.
    One(Arc<Amphora>),
    /// More than one, in the order of their ids; the operator has to say which. Tell nobody of those which they may
    /// not reach.
    Many(Vec<Arc<Amphora>>),
}
