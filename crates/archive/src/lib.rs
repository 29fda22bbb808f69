//! In: the recordings and the journal of a gateway; an object store.
//! Out: every byte of them in the store, proved by reading it back; local copies removed by rule; all of it fetched again.
//! Never: trusts an upload that it has not read back and hashed; removes what is held, open, unsealed or not proved.
//!
//! Reading order follows a file: [`Key`] and the names of its objects, the [`Remote`] they lie in, the [`Shipper`] that brings
//! them there and removes what the rule ([`fate`]) lets go, and [`fetch`], which reads everything without a gateway.

mod error;

// What lies in the store, and under which name.
mod hash;
mod manifest;
mod name;
mod pack;

// Where it lies.
mod directory;
mod http;
mod remote;
mod s3;
mod swift;

// What is known here.
mod news;
mod orders;
mod state;
mod watch;

// What is done.
mod fetch;
mod retention;
mod ship;
mod status;
mod sweep;

pub use error::ArchiveError;
pub use fetch::{Fetched, fetch};
pub use hash::Sha256;
pub use manifest::{Manifest, Volume};
pub use name::{Key, What, read as read_name};
pub use news::{News, Witness};
pub use orders::{Deletion, Orders, Said};
pub use remote::{Remote, Settings, Store, open};
pub use retention::{Days, Facts, Fate, fate};
pub use ship::{Pass, Places, Rules, Shipper};
pub use state::Ended;
pub use status::Status;
