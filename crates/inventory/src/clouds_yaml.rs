//! In: `clouds.yaml`, with `secure.yaml` beside it where there is one, and the name of a cloud.
//! Out: what is written there of that cloud.
//! Never: a line of the file in a fault: it may hold a password.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cloud::Cloud;
use crate::secret::{Secret, read_private};
use crate::written::{Half, Written};

/// Where `clouds.yaml` lies where nothing else is said.
pub(crate) const DEFAULT_FILE: &str = "/etc/openstack/clouds.yaml";

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    clouds: BTreeMap<String, Entry>,
}

/// What is not named here (`profile`, `networks`, …) is other programs' business.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Auth,
    auth_type: Option<String>,
    region_name: Option<String>,
    interface: Option<String>,
    endpoint_type: Option<String>,
    cacert: Option<PathBuf>,
    verify: Option<bool>,
    load_balancer_endpoint_override: Option<String>,
    compute_endpoint_override: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth_url: Option<String>,
    application_credential_id: Option<String>,
    application_credential_name: Option<String>,
    application_credential_secret: Option<Secret>,
    user_id: Option<String>,
    username: Option<String>,
    user_domain_id: Option<String>,
    user_domain_name: Option<String>,
    password: Option<Secret>,
    project_id: Option<String>,
    project_name: Option<String>,
    project_domain_id: Option<String>,
    project_domain_name: Option<String>,
}

impl Cloud {
    /// Reads the text of a `clouds.yaml`.
    ///
    /// # Errors
    /// Every fault that was found, each a sentence that repeats nothing of the text.
    pub fn of_clouds_yaml(text: &str, name: &str) -> Result<Self, Vec<String>> {
        let entry = entry(text, name).map_err(|why| vec![why])?;
        let entry = entry.ok_or_else(|| vec!["there is no cloud of that name".to_owned()])?;
        entry.written().meant()
    }
}

/// Reads the file, and `secure.yaml` beside it.
pub(crate) fn read(file: &Path, name: &str) -> Result<Written, Vec<String>> {
    let of = |path: &Path| {
        let text = read_private(path);
        let found = text.and_then(|text| entry(&text, name));
        found.map_err(|why| vec![format!("{}: {why}", path.display())])
    };
    let Some(mut found) = of(file)? else {
        return Err(vec![format!(
            "{}: there is no cloud {name:?} in it",
            file.display()
        )]);
    };
    let secure = file.with_file_name("secure.yaml");
    if secure.exists()
        && let Some(secure) = of(&secure)?
    {
        let (auth, other) = (&mut found.auth, secure.auth);
        auth.password = other.password.or(auth.password.take());
        auth.application_credential_secret = other
            .application_credential_secret
            .or(auth.application_credential_secret.take());
        auth.application_credential_id = other
            .application_credential_id
            .or(auth.application_credential_id.take());
    }
    // As for every path of the file: relative ones count from its directory.
    if let (Some(ca), Some(directory)) = (&mut found.cacert, file.parent()) {
        *ca = directory.join(&*ca);
    }
    Ok(found.written())
}

fn entry(text: &str, name: &str) -> Result<Option<Entry>, String> {
    // The library's own words may quote the text.
    let mut file: File = serde_saphyr::from_str(text).map_err(|error| match error.location() {
        Some(at) => format!(
            "line {}, column {}: this is no clouds.yaml, or a value has the wrong type",
            at.line(),
            at.column()
        ),
        None => "this is no clouds.yaml".to_owned(),
    })?;
    Ok(file.clouds.remove(name))
}

impl Entry {
    fn written(self) -> Written {
        let auth = self.auth;
        Written {
            auth_type: self.auth_type,
            auth_url: auth.auth_url,
            credential_id: auth.application_credential_id,
            credential_name: auth.application_credential_name,
            credential_secret: auth.application_credential_secret,
            user: Half {
                id: auth.user_id,
                name: auth.username,
                domain_id: auth.user_domain_id,
                domain_name: auth.user_domain_name,
            },
            password: auth.password,
            project: Half {
                id: auth.project_id,
                name: auth.project_name,
                domain_id: auth.project_domain_id,
                domain_name: auth.project_domain_name,
            },
            region: self.region_name,
            interface: self.interface.or(self.endpoint_type),
            ca_file: self.cacert,
            unverified: self.verify == Some(false),
            load_balancer: self.load_balancer_endpoint_override,
            compute: self.compute_endpoint_override,
        }
    }
}
