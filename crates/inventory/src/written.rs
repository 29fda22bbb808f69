//! In: what was written of a cloud, in `clouds.yaml` or in the environment, field by field.
//! Out: the cloud that it means, or every fault at once.
//! Never: a guess between two ways to log in, or a secret in a fault.

use std::path::PathBuf;

use crate::cloud::{Cloud, CredentialName, Domain, Interface, Login, Named};
use crate::endpoint::Endpoint;
use crate::secret::Secret;

/// What was written, in `clouds.yaml` or in the environment, before anything is made of it.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) auth_type: Option<String>,
    pub(crate) auth_url: Option<String>,
    pub(crate) credential_id: Option<String>,
    pub(crate) credential_name: Option<String>,
    pub(crate) credential_secret: Option<Secret>,
    pub(crate) user: Half,
    pub(crate) password: Option<Secret>,
    pub(crate) project: Half,
    pub(crate) region: Option<String>,
    pub(crate) interface: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) unverified: bool,
    pub(crate) load_balancer: Option<String>,
    pub(crate) compute: Option<String>,
}

/// What was written of a user or project.
#[derive(Default)]
pub(crate) struct Half {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) domain_id: Option<String>,
    pub(crate) domain_name: Option<String>,
}

impl Written {
    /// What it means.
    ///
    /// # Errors
    /// Every fault at once.
    pub(crate) fn meant(self) -> Result<Cloud, Vec<String>> {
        let mut faults = Vec::new();
        let url = |what: &str, text: Option<String>, faults: &mut Vec<String>| {
            let read = Endpoint::parse(&text?);
            read.map_err(|why| faults.push(format!("{what}: {why}")))
                .ok()
        };
        if self.auth_url.is_none() {
            faults.push("auth_url (OS_AUTH_URL) is missing: where Keystone is".to_owned());
        }
        let auth_url = url("auth_url", self.auth_url, &mut faults);
        let load_balancer = url(
            "the load balancer endpoint",
            self.load_balancer,
            &mut faults,
        );
        let compute = url("the compute endpoint", self.compute, &mut faults);
        if self.unverified {
            faults.push(
                "certificates are always checked; instead of `verify: false`, name the authority in cacert (OS_CACERT)".to_owned(),
            );
        }
        let interface = self.interface.and_then(|text| {
            let read = text.parse::<Interface>();
            read.map_err(|why| faults.push(why)).ok()
        });
        let wants_credential = match self.auth_type.as_deref() {
            Some("v3applicationcredential") => true,
            Some("password" | "v3password") => false,
            None => self.credential_id.is_some() || self.credential_name.is_some(),
            Some(_) => {
                faults.push(
                    "auth_type must be v3applicationcredential or password; the gateway knows no other".to_owned(),
                );
                true
            }
        };
        let login = if wants_credential {
            let name = match (self.credential_id, self.credential_name) {
                (Some(id), _) => Some(CredentialName::Id(id)),
                (None, Some(name)) => self
                    .user
                    .meant("user", &mut faults)
                    .map(|user| CredentialName::OfUser(name, user)),
                (None, None) => {
                    faults.push(
                        "application_credential_id (OS_APPLICATION_CREDENTIAL_ID) is missing"
                            .to_owned(),
                    );
                    None
                }
            };
            let what = "application_credential_secret (OS_APPLICATION_CREDENTIAL_SECRET)";
            let secret = there(what, self.credential_secret, &mut faults);
            name.zip(secret)
                .map(|(name, secret)| Login::ApplicationCredential { name, secret })
        } else {
            let user = self.user.meant("user", &mut faults);
            let password = there("password (OS_PASSWORD)", self.password, &mut faults);
            let project = self.project.meant("project", &mut faults);
            match (user, password, project) {
                (Some(user), Some(password), Some(project)) => Some(Login::Password {
                    user,
                    password,
                    project,
                }),
                _ => None,
            }
        };
        match (auth_url, login) {
            (Some(auth_url), Some(login)) if faults.is_empty() => Ok(Cloud {
                auth_url,
                login,
                region: self.region,
                interface,
                ca_file: self.ca_file,
                load_balancer,
                compute,
            }),
            _ => Err(faults),
        }
    }
}

impl Half {
    fn meant(self, kind: &str, faults: &mut Vec<String>) -> Option<Named> {
        let domain = match (self.domain_id, self.domain_name) {
            (Some(id), _) => Some(Domain::Id(id)),
            (None, name) => name.map(Domain::Name),
        };
        match (self.id, self.name, domain) {
            (Some(id), ..) => Some(Named::Id(id)),
            (None, Some(name), Some(domain)) => Some(Named::InDomain(name, domain)),
            (None, Some(_), None) => {
                faults.push(format!(
                    "the {kind} has a name but no domain: {kind}_domain_name or {kind}_domain_id is missing"
                ));
                None
            }
            (None, None, _) => {
                faults.push(format!(
                    "the {kind} is missing: {kind}_id, or its name and domain"
                ));
                None
            }
        }
    }
}

fn there(what: &str, secret: Option<Secret>, faults: &mut Vec<String>) -> Option<Secret> {
    let secret = secret.filter(|secret| !secret.is_empty());
    if secret.is_none() {
        faults.push(format!("{what} is missing"));
    }
    secret
}
