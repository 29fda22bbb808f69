//! In: as whom to come to Swift. Out: where the account is, and a token for it.
//! Never: speaks with Swift: what is stored there is not inventory's.

use std::path::PathBuf;
use std::sync::Arc;

use ampgate_access::LoginUser;
use reqwest::header::HeaderValue;

use crate::cloud::Source;
use crate::endpoint::Endpoint;
use crate::error::CloudError;
use crate::keystone::{Keystone, Session};
use crate::settings::Settings;

/// The way to Swift's account of a credential.
pub struct ObjectStorage {
    keystone: Result<Keystone, CloudError>,
}

impl ObjectStorage {
    /// For a cloud and credential; the files are read when a token is needed.
    pub fn new(source: Source, region: Option<String>, ca_file: Option<PathBuf>) -> Self {
        let nobody = LoginUser::parse("nobody").map_err(|e| CloudError::Settings(e.to_string()));
        let keystone = nobody.map(|nobody| {
            Keystone::new(Settings {
                region,
                ca_file,
                ..Settings::new(source, nobody)
            })
        });
        Self { keystone }
    }

    /// The account and a token; another one where the last was `refused`, if it is time for that.
    ///
    /// # Errors
    /// Keystone's, or that its catalog has no `object-store`.
    pub async fn pass(&self, refused: bool) -> Result<(Endpoint, HeaderValue), CloudError> {
        let keystone = self.keystone.as_ref().map_err(Clone::clone)?;
        let mut session: Arc<Session> = keystone.session().await?;
        if refused && let Some(renewed) = keystone.replace(&session).await? {
            session = renewed;
        }
        session.swift()
    }
}
