//! In: an operator's name, password and one-time code; later the token that they led to.
//! Out: who Keystone says they are, with their groups, projects and roles.
//! Never: a person of whom only a part is known, a second factor that was not asked for, a secret in anything printed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ampgate_access::{KeystoneUser, Method as How, ProjectId, Projects, UserName};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::cloud::{Domain, Named};
use crate::endpoint::Endpoint;
use crate::error::CloudError;
use crate::http::{Answer, Ask, Bounds, Http};
use crate::identity::{self, Issued, Person};
use crate::login;
use crate::secret::Secret;

const KEYSTONE: &str = "Keystone";
const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const X_SUBJECT_TOKEN: &str = "x-subject-token";
const RECEIPT: HeaderName = HeaderName::from_static("openstack-auth-receipt");

const PROJECTS: [&str; 3] = ["v3", "auth", "projects"];

/// Projects whose roles are asked for at once.
const AT_ONCE: usize = 4;
/// Who has a role in more projects than these is no operator: each is a question to Keystone.
const MOST_PROJECTS: usize = 200;

/// Where operators are asked about, and what is asked of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorSettings {
    /// Keystone.
    pub auth_url: String,
    /// The domain of the operators.
    pub domain: Domain,
    /// The authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A proxy; none whatever the environment says.
    pub proxy: Option<String>,
    /// Bounds on each request.
    pub bounds: Bounds,
    /// Nobody gets in without a one-time code, whatever Keystone's rules ask of them.
    pub require_totp: bool,
    /// Whether to ask for the roles in each project: one more request for each.
    pub roles: bool,
}

/// Keystone, as operators log in to it.
pub struct Operators {
    settings: OperatorSettings,
    keystone: Endpoint,
    http: Http,
}

/// What came of a password or a code.
pub enum Verdict {
    /// Keystone let them in.
    In(Admitted),
    /// The password is right, and a one-time code is wanted.
    Code(Receipt),
    /// Not in.
    No(NotIn),
}

/// Somebody whom Keystone let in.
pub struct Admitted {
    /// Who.
    pub who: KeystoneUser,
    /// By which of the factors that Keystone names.
    pub how: How,
    /// To ask about them again.
    pub token: Token,
}

/// A person's own token. It has no `Debug`, and is sent to Keystone only.
pub struct Token {
    header: HeaderValue,
    user: String,
    /// Until when it is good.
    pub until: Instant,
}

/// For a right password whose code is missing. It has no `Debug`.
pub struct Receipt {
    header: HeaderValue,
    person: Person,
}

/// Why somebody is not let in: for the journal. They learn only that they are not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotIn {
    /// Unknown, disabled, locked or a wrong password: Keystone does not say which.
    #[error("Keystone refuses the name and the password (HTTP {0})")]
    Password(u16),
    /// A wrong code, or one that came too late.
    #[error("Keystone refuses the one-time code (HTTP {0})")]
    Code(u16),
    /// One factor only, where two are required.
    #[error(
        "Keystone let them in without a one-time code, which [keystone] totp requires: is totp in [auth] methods of keystone.conf, and in the user's multi_factor_auth_rules?"
    )]
    WithoutCode,
    /// More factors, or others, than are spoken here.
    #[error("Keystone asks for factors that are not spoken here: {0}")]
    OtherFactors(String),
    /// Not exactly the person that was asked for.
    #[error("Keystone answers about a user of another name or domain")]
    AnotherPerson,
}

impl Operators {
    /// Reads the CA file; asks nobody.
    ///
    /// # Errors
    /// The URL, the CA file or the proxy.
    pub fn new(settings: OperatorSettings) -> Result<Self, CloudError> {
        let keystone = Endpoint::parse(&settings.auth_url).map_err(CloudError::Settings)?;
        if keystone.is_readable_on_the_way() {
            tracing::warn!(%keystone, "operators' passwords go over plain http, and can be read on the way");
        }
        let http = Http::new(
            settings.bounds.clone(),
            settings.ca_file.as_deref(),
            settings.proxy.as_deref(),
        )?;
        Ok(Self {
            settings,
            keystone,
            http,
        })
    }

    /// Tries a password.
    ///
    /// # Errors
    /// Keystone does not answer, or not with what it should.
    pub async fn password(
        &self,
        name: &UserName,
        password: &Secret,
    ) -> Result<Verdict, CloudError> {
        let user = Named::InDomain(name.to_string(), self.settings.domain.clone());
        let answer = self.tokens(Vec::new(), login::password(&user, password));
        let answer = answer.await?;
        let receipt = answer.headers.get(&RECEIPT).cloned();
        match (answer.status, receipt) {
            (201, _) => self.admit(name, answer, How::Password).await,
            (401, Some(header)) => self.half_way(name, &answer, header),
            (429 | 500.., _) => Err(answer.fault()),
            (status, _) => Ok(Verdict::No(NotIn::Password(status))),
        }
    }

    /// Whether Keystone answers what has to do with no user.
    pub async fn answers(&self) -> bool {
        let asked = Ask {
            service: KEYSTONE,
            method: Method::GET,
            url: self.keystone.at(&["v3"], &[]),
            headers: Vec::new(),
            body: None,
        };
        let answer = self.http.send(asked).await;
        answer.is_ok_and(|answer| answer.success().is_ok())
    }

    /// Tries a one-time code after the password.
    ///
    /// # Errors
    /// Keystone does not answer, or not with what it should.
    pub async fn code(
        &self,
        name: &UserName,
        receipt: &Receipt,
        code: &Secret,
    ) -> Result<Verdict, CloudError> {
        let headers = vec![(RECEIPT, receipt.header.clone())];
        let answer = self.tokens(headers, login::code(&receipt.person.id, code));
        let answer = answer.await?;
        match answer.status {
            201 => self.admit(name, answer, How::PasswordTotp).await,
            429 | 500.. => Err(answer.fault()),
            status => Ok(Verdict::No(NotIn::Code(status))),
        }
    }

    /// Of what they are a member now. None: Keystone takes their token no more.
    ///
    /// # Errors
    /// Keystone does not answer, or not with what it should.
    pub async fn look(
        &self,
        name: &UserName,
        token: &Token,
    ) -> Result<Option<KeystoneUser>, CloudError> {
        let of_user = ["v3", "users", &token.user, "groups"];
        let (groups, projects) =
            tokio::try_join!(self.own(token, &of_user), self.own(token, &PROJECTS),)?;
        if [groups.status, projects.status].contains(&401) {
            return Ok(None);
        }
        let groups = read(groups, identity::groups)?;
        let projects = read(projects, identity::projects)?;
        if projects.len() > MOST_PROJECTS {
            let why = format!("a user with roles in more than {MOST_PROJECTS} projects");
            return Err(garbage("GET /v3/auth/projects", &why));
        }
        Ok(Some(KeystoneUser {
            id: token.user.clone(),
            name: name.clone(),
            groups,
            projects: self.roles(token, projects).await?,
        }))
    }

    async fn admit(
        &self,
        name: &UserName,
        answer: Answer,
        expected: How,
    ) -> Result<Verdict, CloudError> {
        let header = answer.headers.get(X_SUBJECT_TOKEN).cloned();
        let issued = read(answer, identity::issued)?;
        let Some(mut header) = header else {
            return Err(garbage("/v3/auth/tokens", "there is no X-Subject-Token"));
        };
        header.set_sensitive(true);
        let how = match proved(&issued, expected) {
            Some(how) => how,
            None => return Ok(Verdict::No(NotIn::WithoutCode)),
        };
        if how == How::Password && self.settings.require_totp {
            return Ok(Verdict::No(NotIn::WithoutCode));
        }
        if !issued.person.is(name, &self.settings.domain) {
            return Ok(Verdict::No(NotIn::AnotherPerson));
        }
        let token = Token {
            header,
            user: issued.person.id,
            until: Instant::now() + issued.lifetime,
        };
        match self.look(name, &token).await {
            Ok(Some(who)) => Ok(Verdict::In(Admitted { who, how, token })),
            Ok(None) => Ok(Verdict::No(NotIn::Password(401))),
            Err(error) => Err(error),
        }
    }

    fn half_way(
        &self,
        name: &UserName,
        answer: &Answer,
        mut header: HeaderValue,
    ) -> Result<Verdict, CloudError> {
        let half_way = identity::half_way(&answer.body).map_err(|why| garbage(&answer.what, &why));
        let half_way = half_way?;
        if !half_way.person.is(name, &self.settings.domain) {
            return Ok(Verdict::No(NotIn::AnotherPerson));
        }
        if !half_way.wants_totp {
            return Ok(Verdict::No(NotIn::OtherFactors(half_way.wanted)));
        }
        header.set_sensitive(true);
        Ok(Verdict::Code(Receipt {
            header,
            person: half_way.person,
        }))
    }

    /// The roles in each project.
    async fn roles(
        &self,
        token: &Token,
        projects: BTreeSet<ProjectId>,
    ) -> Result<Projects, CloudError> {
        if !self.settings.roles {
            let without_roles = projects.into_iter().map(|id| (id, BTreeSet::new()));
            return Ok(without_roles.collect());
        }
        let in_project = |project: ProjectId| async move {
            let own = token.header.to_str().unwrap_or_default();
            let answer = self.tokens(Vec::new(), login::in_project(own, project.as_str()));
            let answer = answer.await?;
            match answer.status {
                // The role, or the project, went away just now.
                401 | 403 | 404 => Ok(None),
                _ => read(answer, identity::issued).map(|issued| Some((project, issued.roles))),
            }
        };
        let all = stream::iter(projects).map(in_project).buffered(AT_ONCE);
        let known = all.try_collect::<Vec<Option<_>>>().await?;
        Ok(BTreeMap::from_iter(known.into_iter().flatten()))
    }

    async fn tokens(
        &self,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<Answer, CloudError> {
        self.http
            .send(Ask {
                service: KEYSTONE,
                method: Method::POST,
                url: self
                    .keystone
                    .at(&["v3", "auth", "tokens"], &[("nocatalog", "")]),
                headers,
                body: Some(body),
            })
            .await
    }

    async fn own(&self, token: &Token, path: &[&str]) -> Result<Answer, CloudError> {
        self.http
            .send(Ask {
                service: KEYSTONE,
                method: Method::GET,
                url: self.keystone.at(path, &[]),
                headers: vec![(X_AUTH_TOKEN, token.header.clone())],
                body: None,
            })
            .await
    }
}

/// What the token itself says was proved; none where it lacks a factor that was asked for. Where `totp` is not among
/// Keystone's methods its rules are void, and silently so.
fn proved(issued: &Issued, expected: How) -> Option<How> {
    let has = |method: &str| issued.methods.contains(method);
    match expected {
        How::PasswordTotp => (has("password") && has("totp")).then_some(How::PasswordTotp),
        _ => has("password").then_some(How::Password),
    }
}

fn read<T>(answer: Answer, of: fn(&[u8]) -> Result<T, String>) -> Result<T, CloudError> {
    let what = answer.what.clone();
    of(&answer.success()?).map_err(|why| garbage(&what, &why))
}

fn garbage(what: &str, why: &str) -> CloudError {
    CloudError::Garbage {
        service: KEYSTONE,
        what: what.to_owned(),
        why: why.to_owned(),
    }
}

impl Token {
    /// Whether Keystone would refuse it for its age alone.
    pub fn has_expired(&self) -> bool {
        self.until.saturating_duration_since(Instant::now()) < Duration::from_secs(1)
    }
}
