//! In: an https address and something small to leave there. Out: whether it was taken.
//! Never: a redirect followed, an answer read beyond a bound, anything but https.

use std::path::Path;

use reqwest::{Method, Url};
use zeroize::Zeroizing;

use crate::error::CloudError;
use crate::http::{Ask, Bounds, Http};

/// Where notices are left: the journal's anchors.
pub struct Post {
    http: Http,
    url: Url,
}

impl Post {
    /// # Errors
    /// The address is none, or the CA file cannot be used.
    pub fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, CloudError> {
        let url = Url::parse(url)
            .ok()
            .filter(|url| url.scheme() == "https" && url.has_host())
            .ok_or_else(|| CloudError::Settings(format!("{url:?} is no https:// address")))?;
        let bounds = Bounds {
            body: 64 << 10,
            idle: 0,
            ..Bounds::default()
        };
        Ok(Self {
            http: Http::new(bounds, ca_file, None)?,
            url,
        })
    }

    /// Leaves JSON there, by POST.
    ///
    /// # Errors
    /// No answer in time, or another status than 2xx.
    pub async fn leave(&self, json: Vec<u8>) -> Result<(), CloudError> {
        let ask = Ask {
            service: "the anchors' keeper",
            method: Method::POST,
            url: self.url.clone(),
            headers: Vec::new(),
            body: Some(Zeroizing::new(json)),
        };
        self.http.send(ask).await?.success().map(drop)
    }
}
