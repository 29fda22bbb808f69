//! In: a named cloud of `clouds.yaml`, the `OS_*` variables, or explicit settings with a secret in a file.
//! Out: where Keystone is and as whom the gateway comes, or every fault at once.
//! Never: a default for who one is; a secret in a fault; `verify: false`.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::clouds_yaml;
use crate::endpoint::Endpoint;
use crate::secret::Secret;

/// Where the credential is written. It is read again each time that a token is needed: a rotated secret needs no restart,
/// and none stays in memory in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A cloud of a `clouds.yaml`, with `secure.yaml` beside it where there is one.
    Cloud {
        /// Its name.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// The `OS_*` variables of the gateway's own environment.
    Environment,
    /// An application credential.
    Explicit {
        /// Keystone.
        auth_url: String,
        /// The application credential's id.
        credential: String,
        /// The file with its secret and nothing else.
        secret_file: PathBuf,
    },
}

/// Which of a service's endpoints is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Interface {
    /// For everybody.
    #[default]
    Public,
    /// Inside the cloud.
    Internal,
    /// For operators of the cloud.
    Admin,
}

impl Interface {
    /// The word in catalogs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Interface {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        // `publicURL` is the old spelling of OS_ENDPOINT_TYPE.
        match text.strip_suffix("URL").unwrap_or(text) {
            "public" => Ok(Self::Public),
            "internal" => Ok(Self::Internal),
            "admin" => Ok(Self::Admin),
            _ => Err("an interface is public, internal or admin".to_owned()),
        }
    }
}

/// A cloud, and as whom the gateway comes there.
pub struct Cloud {
    /// Keystone.
    pub auth_url: Endpoint,
    /// As whom.
    pub login: Login,
    /// The region whose endpoints are used; any where none is named.
    pub region: Option<String>,
    /// Public where none is named.
    pub interface: Option<Interface>,
    /// The authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Octavia, whatever the catalog says.
    pub load_balancer: Option<Endpoint>,
    /// Nova, whatever the catalog says.
    pub compute: Option<Endpoint>,
}

/// How the gateway proves itself to Keystone.
pub enum Login {
    /// By an application credential; it carries its own scope.
    ApplicationCredential {
        /// Which.
        name: CredentialName,
        /// Its secret.
        secret: Secret,
    },
    /// By a password, in a project.
    Password {
        /// Who.
        user: Named,
        /// The password.
        password: Secret,
        /// In which project.
        project: Named,
    },
}

/// Which application credential.
pub enum CredentialName {
    /// By its id.
    Id(String),
    /// By its name, which is unique per user.
    OfUser(String, Named),
}

/// A user or project: by id, or by name in a domain.
pub enum Named {
    /// By id.
    Id(String),
    /// By name.
    InDomain(String, Domain),
}

/// A domain.
pub enum Domain {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
}

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

impl Cloud {
    /// Reads the source.
    ///
    /// # Errors
    /// Every fault that was found, each a sentence without a secret.
    pub fn load(source: &Source) -> Result<Self, Vec<String>> {
        match source {
            Source::Cloud { name, file } => clouds_yaml::read(file, name)?.meant(),
            Source::Environment => Self::of_environment(&|name| {
                std::env::var(name).ok().filter(|value| !value.is_empty())
            }),
            Source::Explicit {
                auth_url,
                credential,
                secret_file,
            } => {
                let secret = read_secret(secret_file).map_err(|why| {
                    vec![format!("the secret file {}: {why}", secret_file.display())]
                })?;
                let written = Written {
                    auth_url: Some(auth_url.clone()),
                    credential_id: Some(credential.clone()),
                    credential_secret: Some(secret),
                    ..Written::default()
                };
                written.meant()
            }
        }
    }

    /// From `OS_*` variables, which `value` looks up; `OS_CLOUD` names a cloud of `OS_CLIENT_CONFIG_FILE`.
    ///
    /// # Errors
    /// Every fault that was found.
    pub fn of_environment(value: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        if let Some(name) = value("OS_CLOUD") {
            let file = value("OS_CLIENT_CONFIG_FILE");
            let file = file.unwrap_or_else(|| clouds_yaml::DEFAULT_FILE.to_owned());
            return clouds_yaml::read(Path::new(&file), &name)?.meant();
        }
        let secret = |name| value(name).map(|text| Secret::new(Zeroizing::new(text)));
        let half = |kind: &str| {
            let named = |what: &str| value(&format!("OS_{kind}_{what}"));
            Half {
                id: named("ID"),
                name: named("NAME"),
                domain_id: named("DOMAIN_ID").or_else(|| value("OS_DEFAULT_DOMAIN_ID")),
                domain_name: named("DOMAIN_NAME"),
            }
        };
        let mut user = half("USER");
        user.name = value("OS_USERNAME").or(user.name);
        let written = Written {
            auth_type: value("OS_AUTH_TYPE"),
            auth_url: value("OS_AUTH_URL"),
            credential_id: value("OS_APPLICATION_CREDENTIAL_ID"),
            credential_name: value("OS_APPLICATION_CREDENTIAL_NAME"),
            credential_secret: secret("OS_APPLICATION_CREDENTIAL_SECRET"),
            user,
            password: secret("OS_PASSWORD"),
            project: half("PROJECT"),
            region: value("OS_REGION_NAME"),
            interface: value("OS_INTERFACE").or_else(|| value("OS_ENDPOINT_TYPE")),
            ca_file: value("OS_CACERT").map(PathBuf::from),
            unverified: value("OS_INSECURE").is_some_and(|v| v != "0" && v != "false"),
            load_balancer: value("OS_LOAD_BALANCER_ENDPOINT_OVERRIDE"),
            compute: value("OS_COMPUTE_ENDPOINT_OVERRIDE"),
        };
        written.meant()
    }
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

/// A file of at most 1 MiB of UTF-8.
pub(crate) fn read_bounded(path: &Path) -> Result<Zeroizing<String>, String> {
    const LIMIT: u64 = 1 << 20;
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LIMIT {
        return Err("is longer than 1 MiB".to_owned());
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "is no UTF-8".to_owned())?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// As [`read_bounded`], and refused where everybody may read it.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if metadata.permissions().mode() & 0o006 != 0 {
        return Err("it holds a secret, and everybody may read or write it: chmod o-rw".to_owned());
    }
    read_bounded(path)
}

fn read_secret(path: &Path) -> Result<Secret, String> {
    let text = read_private(path)?;
    Ok(Secret::new(Zeroizing::new(text.trim_end().to_owned())))
}
