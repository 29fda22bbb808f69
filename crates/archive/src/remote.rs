//! In: which store, where, as whom. Out: four things that can be done with objects in it.
//! Never: a secret, only the file that holds it; a rename, an append, a partial write: objects are whole or not there.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ampgate_inventory::Source;
use async_trait::async_trait;
use bytes::Bytes;

use crate::directory::Directory;
use crate::error::ArchiveError;
use crate::s3::S3;
use crate::swift::Swift;

/// Names on a page of a listing.
pub(crate) const PAGE: usize = 1000;

/// Where and as whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Which store.
    pub store: Store,
    /// What all names begin with, `gateway-1/` say; several gateways may share a bucket.
    pub prefix: String,
    /// The authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// For one request, from its first byte to the last of its answer.
    pub timeout: Duration,
}

/// The kinds of store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Store {
    /// Any S3.
    S3 {
        /// Its URL, without the bucket.
        endpoint: String,
        /// The bucket.
        bucket: String,
        /// The region that requests are signed for.
        region: String,
        /// The key's id; not secret.
        access_key: String,
        /// The file with its secret.
        secret_file: PathBuf,
        /// Whether the bucket locks what is written (a default retention): uploads then carry a checksum header.
        locked: bool,
    },
    /// OpenStack Swift, by its own API, found in Keystone's catalog.
    Swift {
        /// Keystone and credential.
        source: Source,
        /// The region; any where none is named.
        region: Option<String>,
        /// The container.
        container: String,
    },
    /// Swift with its own authentication (v1: tempauth, Ceph's gateway).
    SwiftV1 {
        /// Such as `https://swift.example.org/auth/v1.0`.
        auth_url: String,
        /// Such as `account:user`.
        user: String,
        /// The file with the key.
        secret_file: PathBuf,
        /// The container.
        container: String,
    },
    /// A directory of this machine, on an NFS share say.
    Directory(PathBuf),
}

/// Without prefix and credential: for sentences.
impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 {
                endpoint, bucket, ..
            } => write!(f, "s3 {endpoint}/{bucket}"),
            Self::Swift { container, .. } => write!(f, "swift container {container}"),
            Self::SwiftV1 {
                auth_url,
                container,
                ..
            } => write!(f, "swift {auth_url} container {container}"),
            Self::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Objects by name.
#[async_trait]
pub trait Remote: Send + Sync {
    /// Puts an object there, in the place of one of that name.
    ///
    /// # Errors
    /// It is not there, or nobody knows.
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), ArchiveError>;
    /// An object's bytes, of which there may be at most so many.
    ///
    /// # Errors
    /// None, too many, or not all that were promised.
    async fn get(&self, name: &str, at_most: usize) -> Result<Bytes, ArchiveError>;
    /// Removes an object; one that is not there is no fault.
    ///
    /// # Errors
    /// It may still be there.
    async fn delete(&self, name: &str) -> Result<(), ArchiveError>;
    /// The first thousand names, in order, that begin with `prefix` and come after `after`.
    ///
    /// # Errors
    /// The list is not known.
    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<String>, ArchiveError>;
}

/// The store of these settings. Nothing is asked of it yet.
///
/// # Errors
/// The CA file, a URL.
pub fn open(settings: &Settings) -> Result<Box<dyn Remote>, ArchiveError> {
    let inner: Box<dyn Remote> = match &settings.store {
        Store::S3 { .. } => Box::new(S3::new(settings)?),
        Store::Swift { .. } | Store::SwiftV1 { .. } => Box::new(Swift::new(settings)?),
        Store::Directory(path) => Box::new(Directory::new(path.clone())),
    };
    Ok(Box::new(Below {
        inner,
        prefix: settings.prefix.clone(),
    }))
}

/// A store in which all names begin alike.
struct Below {
    inner: Box<dyn Remote>,
    prefix: String,
}

impl Below {
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

#[async_trait]
impl Remote for Below {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        self.inner.put(&self.name(name), bytes).await
    }

    async fn get(&self, name: &str, at_most: usize) -> Result<Bytes, ArchiveError> {
        self.inner.get(&self.name(name), at_most).await
    }

    async fn delete(&self, name: &str) -> Result<(), ArchiveError> {
        self.inner.delete(&self.name(name)).await
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<String>, ArchiveError> {
        let after = match after {
            "" => String::new(),
            after => self.name(after),
        };
        let names = self.inner.list(&self.name(prefix), &after).await?;
        let own = names
            .iter()
            .filter_map(|name| name.strip_prefix(&self.prefix));
        Ok(own.map(str::to_owned).collect())
    }
}
