//! In: the name of a target; a file of amphorae, Octavia's API, Nova's consoles; operators' passwords, and Keystone's word.
//! Out: the amphora that is meant and the host keys that its console names; who an operator is: all that policy speaks of.
//! Never: decides who may reach it, or guesses between two. Its HTTP client is the archive's too.

mod condition;
mod error;
mod settings;

// What a name means, over any set of amphorae.
mod known;
mod meaning;

// The file.
mod fixed;

// Who the gateway is, to the cloud.
mod cloud;
mod clouds_yaml;
mod secret;
mod written;

// Asking the cloud.
mod backoff;
mod catalog;
mod endpoint;
mod http;
mod keystone;
mod login;
mod tls;

// Octavia: rows as they come, amphorae as they are meant.
mod examine;
mod join;
mod octavia;
mod rows;

// What is known of it, without asking each time.
mod asking;
mod cache;
mod health;
mod live;
mod refresh;
mod sight;
mod view;

// Nova: the console of an amphora's server, and the host keys on it.
mod console;
mod nova;

// Barbican: the octavia key, for a process of its own.
mod barbican;

// Swift: where the archive's account is, for another.
mod object_storage;

mod joined;

// Where the journal's anchors are left.
mod post;

// Operators, as Keystone knows them.
mod directory;
mod identity;
mod operators;

use std::sync::Arc;
use std::time::Duration;

use ampgate_access::{Amphora, AmphoraId, TargetName};
use async_trait::async_trait;

pub use backoff::wait as back_off;
pub use barbican::{SecretRef, payload};
pub use cloud::{Cloud, CredentialName, Domain, Interface, Login, Named, Source};
pub use condition::{Condition, State, show_age};
pub use console::{Console, Doubt, Silence, read as read_console};
pub use directory::{Directory, Listed};
pub use endpoint::Endpoint;
pub use error::{CloudError, InventoryError};
pub use examine::{Examination, examine};
pub use fixed::Fixed;
pub use http::{Bounds, client as http_client};
pub use join::{Unusable, of_bodies};
pub use joined::Joined;
pub use known::Known;
pub use live::Live;
pub use object_storage::ObjectStorage;
pub use operators::{Admitted, NotIn, OperatorSettings, Operators, Receipt, Token, Verdict};
pub use post::Post;
pub use secret::{Secret, read_secret};
pub use settings::Settings;

/// Where amphorae are known from: a file, Octavia, or both.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// What a name means, as far as is known. A name that means nothing may be asked for once; see [`Self::resolve_anew`].
    ///
    /// # Errors
    /// The inventory cannot answer.
    async fn resolve(&self, name: &TargetName) -> Result<Resolution, InventoryError>;

    /// What a name means, asked for as if nothing were known of it: the same work as for a name that means nothing, with
    /// the same requests, bounded rate and memory of what was asked for.
    ///
    /// Call it where a name is known but led to a refusal, before the refusal is told: *unknown* and *forbidden* then take
    /// the same time. And where a known amphora does not answer: a failover may have replaced it.
    ///
    /// # Errors
    /// The inventory cannot answer.
    async fn resolve_anew(&self, name: &TargetName) -> Result<Resolution, InventoryError> {
        self.resolve(name).await
    }

    /// The amphora with this id, as it is known now. Never asks.
    ///
    /// # Errors
    /// The inventory cannot answer.
    async fn by_id(&self, id: &AmphoraId) -> Result<Option<Arc<Amphora>>, InventoryError>;

    /// All amphorae, in the order of their ids. Never asks.
    ///
    /// # Errors
    /// The inventory cannot answer.
    async fn all(&self) -> Result<Vec<Arc<Amphora>>, InventoryError>;

    /// Since what it knows was said by the cloud; none for a file. For each decision's event: it costs nothing.
    fn age(&self) -> Option<Duration> {
        None
    }

    /// How it stands: how old what it knows is, and what is wrong. For banner, metric and event; not for each look-up.
    async fn condition(&self) -> Condition;
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
    /// The one of these that has the VIP now: all of one load balancer, two or more. No inventory knows which; they have
    /// to be asked. Ask none that the operator may not reach.
    AskWhichIsActive(Vec<Arc<Amphora>>),
}
