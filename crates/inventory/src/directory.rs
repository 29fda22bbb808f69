//! In: the name or id of an operator, and the gateway's own credential. Out: what Keystone says of them, and their keypairs in Nova.
//! Never: a person who is disabled, or of whom only a part is known; a keypair of another user.

use std::collections::BTreeMap;
use std::sync::Arc;

use ampgate_access::{KeystoneUser, ProjectId, Projects, UserName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::cloud::Domain;
use crate::error::CloudError;
use crate::http::Answer;
use crate::identity;
use crate::keystone::{Keystone, Service};

/// The first in which an administrator may list the keypairs of another.
const NOVA_VERSION: &str = "compute 2.10";
/// Keypairs of one person that are looked at; Nova's own quota is 100.
const MOST_KEYPAIRS: usize = 100;

/// Operators, asked about with the gateway's credential: also those who are not there, or whose own token is too old.
pub struct Directory {
    keystone: Arc<Keystone>,
    domain: Domain,
    domain_id: OnceCell<String>,
}

/// Somebody who is enabled.
pub struct Listed {
    /// Who.
    pub who: KeystoneUser,
    /// Their keypairs' public keys, as they gave them to Nova.
    pub keys: Vec<String>,
}

#[derive(Deserialize)]
struct Users {
    users: Vec<User>,
}

#[derive(Deserialize)]
struct One {
    user: User,
}

#[derive(Deserialize)]
struct User {
    id: String,
    name: String,
    domain_id: String,
    enabled: bool,
}

#[derive(Deserialize)]
struct Domains {
    domains: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Assignments {
    role_assignments: Vec<Assignment>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct Assignment {
    role: Named,
    scope: Scope,
}

#[derive(Deserialize)]
struct Scope {
    project: Option<Named>,
}

#[derive(Deserialize)]
struct Keypairs {
    keypairs: Vec<Wrapped>,
}

#[derive(Deserialize)]
struct Wrapped {
    keypair: Keypair,
}

#[derive(Deserialize)]
struct Keypair {
    public_key: String,
}

impl Directory {
    pub(crate) fn new(keystone: Arc<Keystone>, domain: Domain) -> Self {
        Self {
            keystone,
            domain,
            domain_id: OnceCell::new(),
        }
    }

    /// The enabled user with exactly this name, and the keypairs.
    ///
    /// # Errors
    /// No answer, or the credential may not ask.
    pub async fn find(&self, name: &UserName) -> Result<Option<Listed>, CloudError> {
        let domain = self.domain_id().await?;
        let query = [("name", name.as_str()), ("domain_id", domain)];
        let found: Users = self.keystone(&["v3", "users"], &query).await?;
        // A database may find names whatever their case.
        let is =
            |user: &User| user.enabled && user.name == name.as_str() && user.domain_id == domain;
        let Some(user) = found.users.into_iter().find(is) else {
            return Ok(None);
        };
        let query = [("user_id", user.id.as_str())];
        let path = ["v2.1", "os-keypairs"];
        let answer = self
            .keystone
            .get_in(Service::Nova, &path, &query, NOVA_VERSION);
        let keypairs: Keypairs = read(answer.await?)?;
        let keys = keypairs.keypairs.into_iter().take(MOST_KEYPAIRS);
        Ok(Some(Listed {
            keys: keys.map(|wrapped| wrapped.keypair.public_key).collect(),
            who: self.member(user.id, name).await?,
        }))
    }

    /// What Keystone says now of a user who was let in. None: disabled, deleted, or called otherwise.
    ///
    /// # Errors
    /// No answer, or the credential may not ask.
    pub async fn look(&self, before: &KeystoneUser) -> Result<Option<KeystoneUser>, CloudError> {
        let path = ["v3", "users", &before.id];
        let answer = self.keystone.get(Service::Keystone, &path, &[]).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let user = read::<One>(answer)?.user;
        if !user.enabled || user.id != before.id || user.name != before.name.as_str() {
            return Ok(None);
        }
        self.member(user.id, &before.name).await.map(Some)
    }

    async fn member(&self, id: String, name: &UserName) -> Result<KeystoneUser, CloudError> {
        let groups = ["v3", "users", &id, "groups"];
        let groups = self.keystone.get(Service::Keystone, &groups, &[]).await?;
        let what = groups.what.clone();
        let groups = identity::groups(&groups.success()?).map_err(|why| garbage(&what, why))?;
        // Without `effective`, roles that are held through groups are missing.
        let query = [
            ("user.id", id.as_str()),
            ("effective", ""),
            ("include_names", ""),
        ];
        let roles: Assignments = self.keystone(&["v3", "role_assignments"], &query).await?;
        if roles.truncated {
            let why = "Keystone cut the list of roles short (list_limit)".to_owned();
            return Err(garbage("GET /v3/role_assignments", why));
        }
        let mut projects: Projects = BTreeMap::new();
        for assignment in roles.role_assignments {
            let project = assignment.scope.project;
            if let Some(Ok(project)) = project.map(|project| ProjectId::parse(&project.id)) {
                let of_project = projects.entry(project).or_default();
                of_project.extend(assignment.role.name);
            }
        }
        Ok(KeystoneUser {
            id,
            name: name.clone(),
            groups,
            projects,
        })
    }

    async fn domain_id(&self) -> Result<&str, CloudError> {
        let name = match &self.domain {
            Domain::Id(id) => return Ok(id),
            Domain::Name(name) => name,
        };
        let looked_up = async {
            let found: Domains = self.keystone(&["v3", "domains"], &[("name", name)]).await?;
            let is = |domain: &Named| domain.name.as_ref() == Some(name);
            let none = || garbage("GET /v3/domains", format!("no domain {name:?}"));
            Ok(found.domains.into_iter().find(is).ok_or_else(none)?.id)
        };
        self.domain_id
            .get_or_try_init(|| looked_up)
            .await
            .map(String::as_str)
    }

    async fn keystone<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, CloudError> {
        read(self.keystone.get(Service::Keystone, path, query).await?)
    }
}

fn read<T: DeserializeOwned>(answer: Answer) -> Result<T, CloudError> {
    let what = answer.what.clone();
    let body = answer.success()?;
    serde_json::from_slice(&body)
        .map_err(|error| garbage(&what, format!("line {}: another form", error.line())))
}

fn garbage(what: &str, why: String) -> CloudError {
    CloudError::Garbage {
        service: "the cloud",
        what: what.to_owned(),
        why,
    }
}
