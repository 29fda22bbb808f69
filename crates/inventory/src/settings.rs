//! In: the section [inventory.octavia] of the configuration, read by the gateway.
//! Out: where the cloud is, how long its answers count, and how its amphorae are logged in to.
//! Never: a secret; only the file that holds it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ampgate_access::LoginUser;

use crate::cloud::{Interface, Source};
use crate::http::Bounds;

/// How Octavia is asked, and how long its answers count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The cloud and the credential.
    pub source: Source,
    /// The region, where the source's own is not meant.
    pub region: Option<String>,
    /// The interface, where the source's own is not meant.
    pub interface: Option<Interface>,
    /// The authorities to trust, where the source's own are not meant.
    pub ca_file: Option<PathBuf>,
    /// Octavia's URL, whatever the catalog says.
    pub endpoint: Option<String>,
    /// Nova's URL, whatever the catalog says.
    pub compute_endpoint: Option<String>,
    /// A proxy for all requests. None: none, whatever the environment says.
    pub proxy: Option<String>,
    /// The user of amphora images that are not named below.
    pub login_user: LoginUser,
    /// The user by image id.
    pub logins: BTreeMap<String, LoginUser>,
    /// The inventory counts as fresh for this long, and is asked for again after it.
    pub fresh: Duration,
    /// With Octavia or Keystone down the last known inventory serves for this long.
    pub max_age: Duration,
    /// A name that was asked for is not asked for again for this long.
    pub ask_again: Duration,
    /// Rows on a page; Octavia's own bound (`pagination_max_limit`) may be lower.
    pub page: usize,
    /// Bounds on each request.
    pub bounds: Bounds,
}

impl Settings {
    /// All defaults, for a cloud and a login user.
    pub fn new(source: Source, login_user: LoginUser) -> Self {
        Self {
            source,
            region: None,
            interface: None,
            ca_file: None,
            endpoint: None,
            compute_endpoint: None,
            proxy: None,
            login_user,
            logins: BTreeMap::new(),
            fresh: Duration::from_secs(30),
            max_age: Duration::from_secs(7 * 86_400),
            ask_again: Duration::from_secs(10),
            page: 500,
            bounds: Bounds::default(),
        }
    }

    /// The user of an amphora that was made from this image.
    pub fn login_user(&self, image: Option<&str>) -> &LoginUser {
        let by_image = image.and_then(|image| self.logins.get(image));
        by_image.unwrap_or(&self.login_user)
    }
}
