//! In: names and bytes. Out: objects of an S3 bucket, through object_store.
//! Never: a second try of its own (the shipper decides when), a credential from the environment or a metadata service.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use ampgate_inventory::read_secret;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential, Checksum};
use object_store::client::CredentialProvider;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore as _, ObjectStoreExt as _, RetryConfig};

use crate::error::{ArchiveError, excerpt};
use crate::http::Http;
use crate::remote::{PAGE, Remote, Settings, Store};

pub(crate) struct S3 {
    store: AmazonS3,
    shown: String,
}

impl S3 {
    pub(crate) fn new(settings: &Settings) -> Result<Self, ArchiveError> {
        let Store::S3 {
            endpoint,
            bucket,
            region,
            access_key,
            secret_file,
            locked,
        } = &settings.store
        else {
            return Err(ArchiveError::Settings("this is no S3".to_owned()));
        };
        let mut builder = AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_bucket_name(bucket)
            .with_region(region)
            .with_credentials(Arc::new(Credential {
                access_key: access_key.clone(),
                secret_file: secret_file.clone(),
            }))
            // Path style: the one that every S3 speaks, Swift's and Ceph's too.
            .with_virtual_hosted_style_request(false)
            .with_allow_http(true)
            .with_disable_bulk_delete(true)
            .with_http_connector(Http::new(settings)?)
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: 0,
                retry_timeout: settings.timeout,
            });
        if *locked {
            // A bucket with object lock refuses what comes without one.
            builder = builder.with_checksum_algorithm(Checksum::SHA256);
        }
        let store = builder
            .build()
            .map_err(|e| ArchiveError::Settings(excerpt(&e.to_string())))?;
        Ok(Self {
            store,
            shown: settings.store.to_string(),
        })
    }

    fn path(&self, name: &str) -> Result<Path, ArchiveError> {
        Path::parse(name).map_err(|e| ArchiveError::Settings(excerpt(&e.to_string())))
    }

    fn fault(&self, what: &str, name: &str, error: object_store::Error) -> ArchiveError {
        match error {
            object_store::Error::NotFound { .. } if what == "GET" => ArchiveError::Missing {
                name: name.to_owned(),
            },
            error => ArchiveError::Store {
                store: self.shown.clone(),
                what: format!("{what} {name}"),
                why: excerpt(&error.to_string()),
            },
        }
    }
}

#[async_trait]
impl Remote for S3 {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        let put = self.store.put(&self.path(name)?, bytes.into()).await;
        put.map(|_| ()).map_err(|e| self.fault("PUT", name, e))
    }

    async fn get(&self, name: &str, at_most: usize) -> Result<Bytes, ArchiveError> {
        let fault = |error| self.fault("GET", name, error);
        let found = self.store.get(&self.path(name)?).await.map_err(fault)?;
        if found.meta.size > at_most as u64 {
            return Err(ArchiveError::Differs {
                name: name.to_owned(),
                why: format!("it has {} bytes", found.meta.size),
            });
        }
        found.bytes().await.map_err(fault)
    }

    async fn delete(&self, name: &str) -> Result<(), ArchiveError> {
        match self.store.delete(&self.path(name)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.fault("DELETE", name, error)),
        }
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<String>, ArchiveError> {
        // object_store lists by whole segments: the directory of the prefix, and from there what fits.
        let (dir, _) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let dir = self.path(dir)?;
        let mut objects = match after {
            "" => self.store.list(Some(&dir)),
            after => self.store.list_with_offset(Some(&dir), &self.path(after)?),
        };
        let mut names = Vec::new();
        while let Some(object) = objects.next().await {
            let name = object
                .map_err(|e| self.fault("LIST", prefix, e))?
                .location
                .to_string();
            if name.starts_with(prefix) && name.as_str() > after {
                names.push(name);
            }
            if names.len() == PAGE {
                break;
            }
        }
        // S3 lists in order of bytes; nobody's word is taken for it.
        names.sort_unstable();
        Ok(names)
    }
}

/// Read for each request: a rotated secret needs no restart.
struct Credential {
    access_key: String,
    secret_file: PathBuf,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

#[async_trait]
impl CredentialProvider for Credential {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let secret =
            read_secret(&self.secret_file).map_err(|why| object_store::Error::Generic {
                store: "S3",
                source: format!("the secret file {}: {why}", self.secret_file.display()).into(),
            })?;
        // object_store wants it as a plain text, for this request.
        Ok(Arc::new(AwsCredential {
            key_id: self.access_key.clone(),
            secret_key: secret.reveal().to_owned(),
            token: None,
        }))
    }
}
