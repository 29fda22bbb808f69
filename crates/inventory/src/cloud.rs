//! In: a named cloud of `clouds.yaml`, the `OS_*` variables, or explicit settings with a secret in a file.
//! Out: where Keystone is and as whom the gateway comes, or every fault at once.
//! Never: a default for who one is; a secret in a fault; `verify: false`.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::clouds_yaml;
use crate::endpoint::Endpoint;
use crate::secret::{Secret, read_secret};
use crate::written::{Half, Written};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
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
