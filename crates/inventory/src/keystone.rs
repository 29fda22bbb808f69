//! In: where Keystone is and as whom the gateway comes.
//! Out: the gateway's own token, renewed before it expires, and answers of services that it is shown to.
//! Never: two authentications at once, a storm of them after a refusal, or a token in anything that is printed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderName, HeaderValue};
use tokio::sync::Mutex;

use crate::backoff;
use crate::catalog::{self, Catalog};
use crate::cloud::Cloud;
use crate::endpoint::Endpoint;
use crate::error::CloudError;
use crate::http::{Answer, Ask, Http};
use crate::login;
use crate::settings::Settings;

/// A token is renewed when this part of its life has passed.
const RENEW_AT: f64 = 0.8;
/// A token that a service refused is replaced by a new one at most this often: a refusal by access rules looks like an
/// expired token, and would be answered by an authentication each time.
const RENEW_REFUSED: Duration = Duration::from_secs(60);

const API_VERSION: HeaderName = HeaderName::from_static("openstack-api-version");
const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const X_SUBJECT_TOKEN: &str = "x-subject-token";

/// A service of the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Keystone,
    Octavia,
    Nova,
    Barbican,
    Swift,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Keystone => "Keystone",
            Self::Octavia => "Octavia",
            Self::Nova => "Nova",
            Self::Barbican => "Barbican",
            Self::Swift => "Swift",
        }
    }
}

/// What is asked of a service.
#[derive(Clone, Default)]
struct Question<'a> {
    path: &'a [&'a str],
    query: &'a [(&'a str, &'a str)],
    /// A POST.
    body: Option<&'a str>,
    /// JSON, where nothing else is said.
    accept: Option<HeaderValue>,
    /// The microversion, such as "compute 2.10".
    version: Option<&'static str>,
}

/// Where tokens come from.
pub(crate) struct Keystone {
    settings: Settings,
    /// Held while a token is fetched: whoever needs one at that moment waits for the same.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    failures: u32,
    /// Until when the last failure is the answer.
    failed: Option<(Instant, CloudError)>,
    /// When a refused token was last replaced.
    replaced: Option<Instant>,
}

/// A token, and where it can be shown.
pub(crate) struct Session {
    http: Http,
    token: HeaderValue,
    renew_at: Instant,
    keystone: Endpoint,
    octavia: Option<Endpoint>,
    nova: Option<Endpoint>,
    barbican: Option<Endpoint>,
    swift: Option<Endpoint>,
    /// For the fault: interface and region.
    looked_for: String,
}

impl Keystone {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: Mutex::default(),
        }
    }

    /// A session that is not about to expire.
    ///
    /// # Errors
    /// Why there is none. After a failure the same is answered for a while, without asking again.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, CloudError> {
        let mut state = self.state.lock().await;
        match &state.session {
            Some(session) if Instant::now() < session.renew_at => Ok(Arc::clone(session)),
            _ => self.authenticate(&mut state).await,
        }
    }

    /// Asks a service, as the gateway.
    ///
    /// # Errors
    /// No answer. Statuses are answers; a 401 is one only after a new token was refused as well.
    pub(crate) async fn get(
        &self,
        service: Service,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Answer, CloudError> {
        let question = Question {
            path,
            query,
            ..Question::default()
        };
        self.ask(service, question).await
    }

    /// Asks a service what it answers to a POST only; nothing is changed by it. The same errors.
    pub(crate) async fn post(
        &self,
        service: Service,
        path: &[&str],
        body: &str,
    ) -> Result<Answer, CloudError> {
        let question = Question {
            path,
            body: Some(body),
            ..Question::default()
        };
        self.ask(service, question).await
    }

    /// Asks a service for something that is no JSON. The same errors.
    pub(crate) async fn get_as(
        &self,
        service: Service,
        path: &[&str],
        accept: HeaderValue,
    ) -> Result<Answer, CloudError> {
        let question = Question {
            path,
            accept: Some(accept),
            ..Question::default()
        };
        self.ask(service, question).await
    }

    /// Asks a service in one microversion of its API. The same errors.
    pub(crate) async fn get_in(
        &self,
        service: Service,
        path: &[&str],
        query: &[(&str, &str)],
        version: &'static str,
    ) -> Result<Answer, CloudError> {
        let question = Question {
            path,
            query,
            version: Some(version),
            ..Question::default()
        };
        self.ask(service, question).await
    }

    async fn ask(&self, service: Service, question: Question<'_>) -> Result<Answer, CloudError> {
        let session = self.session().await?;
        let answer = session.ask(service, question.clone()).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        match self.replace(&session).await? {
            Some(renewed) => renewed.ask(service, question).await,
            None => Ok(answer),
        }
    }

    /// A session in the place of one that was refused; none where that was tried a moment ago.
    pub(crate) async fn replace(
        &self,
        refused: &Arc<Session>,
    ) -> Result<Option<Arc<Session>>, CloudError> {
        let mut state = self.state.lock().await;
        if let Some(other) = &state.session
            && !Arc::ptr_eq(other, refused)
        {
            return Ok(Some(Arc::clone(other)));
        }
        if state
            .replaced
            .is_some_and(|at| at.elapsed() < RENEW_REFUSED)
        {
            return Ok(None);
        }
        state.replaced = Some(Instant::now());
        state.session = None;
        self.authenticate(&mut state).await.map(Some)
    }

    async fn authenticate(&self, state: &mut State) -> Result<Arc<Session>, CloudError> {
        if let Some((until, error)) = &state.failed
            && Instant::now() < *until
        {
            // An old token may still be good, and is better than none.
            return match &state.session {
                Some(session) => Ok(Arc::clone(session)),
                None => Err(error.clone()),
            };
        }
        match self.log_in().await {
            Ok(session) => {
                let session = Arc::new(session);
                *state = State {
                    session: Some(Arc::clone(&session)),
                    replaced: state.replaced,
                    ..State::default()
                };
                Ok(session)
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let wait = backoff::wait(state.failures, error.retry_after());
                state.failed = Some((Instant::now() + wait, error.clone()));
                match &state.session {
                    Some(session) => Ok(Arc::clone(session)),
                    None => Err(error),
                }
            }
        }
    }

    async fn log_in(&self) -> Result<Session, CloudError> {
        let settings = self.settings.clone();
        // Files are read anew each time: secrets and authorities are rotated without a restart.
        let prepared = tokio::task::spawn_blocking(move || prepare(&settings));
        let (cloud, http) = prepared
            .await
            .map_err(|_| CloudError::Settings("the credential could not be read".to_owned()))??;
        let asked_at = Instant::now();
        let answer = http
            .send(Ask {
                service: Service::Keystone.name(),
                method: Method::POST,
                url: cloud.auth_url.at(&["v3", "auth", "tokens"], &[]),
                headers: Vec::new(),
                body: Some(login::body(&cloud.login)),
            })
            .await?;
        // Of an application credential that was deleted Keystone says that it cannot be found.
        if matches!(answer.status, 401 | 404) {
            return Err(CloudError::Credential(answer.status));
        }
        let token = answer.headers.get(X_SUBJECT_TOKEN).cloned();
        let what = answer.what.clone();
        let body = answer.success()?;
        let garbage = |why: String| CloudError::Garbage {
            service: Service::Keystone.name(),
            what: what.clone(),
            why,
        };
        let mut token = token.ok_or_else(|| garbage("there is no X-Subject-Token".to_owned()))?;
        token.set_sensitive(true);
        let (lifetime, catalog) = catalog::read(&body).map_err(garbage)?;
        self.session_of(
            &cloud,
            http,
            token,
            asked_at + lifetime.mul_f64(RENEW_AT),
            &catalog,
        )
    }

    fn session_of(
        &self,
        cloud: &Cloud,
        http: Http,
        token: HeaderValue,
        renew_at: Instant,
        catalog: &Catalog,
    ) -> Result<Session, CloudError> {
        let settings = &self.settings;
        let region = settings.region.as_deref().or(cloud.region.as_deref());
        let interface = settings.interface.or(cloud.interface).unwrap_or_default();
        let place = |own: &Option<String>, of_cloud: &Option<Endpoint>, kind: &str| match own {
            Some(text) => Endpoint::parse(text)
                .map(Some)
                .map_err(CloudError::Settings),
            None => Ok(of_cloud
                .clone()
                .or_else(|| catalog.find(kind, interface, region))),
        };
        Ok(Session {
            octavia: place(&settings.endpoint, &cloud.load_balancer, "load-balancer")?,
            nova: place(&settings.compute_endpoint, &cloud.compute, "compute")?,
            barbican: catalog.find("key-manager", interface, region),
            swift: catalog.find("object-store", interface, region),
            keystone: cloud.auth_url.clone(),
            looked_for: format!(
                "{} endpoint in {}",
                interface.as_str(),
                region.map_or("any region".to_owned(), |r| format!("region {r:?}"))
            ),
            http,
            token,
            renew_at,
        })
    }
}

impl Session {
    /// Asks a service once.
    ///
    /// # Errors
    /// No answer, or no such service in the catalog.
    pub(crate) async fn get(
        &self,
        service: Service,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Answer, CloudError> {
        let question = Question {
            path,
            query,
            ..Question::default()
        };
        self.ask(service, question).await
    }

    /// Swift's account, and the token that is shown there by somebody else.
    pub(crate) fn swift(&self) -> Result<(Endpoint, HeaderValue), CloudError> {
        Ok((self.endpoint(Service::Swift)?.clone(), self.token.clone()))
    }

    fn endpoint(&self, service: Service) -> Result<&Endpoint, CloudError> {
        let endpoint = match service {
            Service::Keystone => Some(&self.keystone),
            Service::Octavia => self.octavia.as_ref(),
            Service::Nova => self.nova.as_ref(),
            Service::Barbican => self.barbican.as_ref(),
            Service::Swift => self.swift.as_ref(),
        };
        endpoint.ok_or_else(|| CloudError::NoEndpoint {
            wanted: format!("{} as {}", service.name(), self.looked_for),
        })
    }

    async fn ask(&self, service: Service, question: Question<'_>) -> Result<Answer, CloudError> {
        let endpoint = self.endpoint(service)?;
        let mut headers = vec![(X_AUTH_TOKEN, self.token.clone())];
        headers.extend(question.accept.map(|accept| (ACCEPT, accept)));
        let version = question.version.map(HeaderValue::from_static);
        headers.extend(version.map(|version| (API_VERSION, version)));
        self.http
            .send(Ask {
                service: service.name(),
                method: match question.body {
                    None => Method::GET,
                    Some(_) => Method::POST,
                },
                url: endpoint.at(question.path, question.query),
                headers,
                body: question.body.map(|body| body.as_bytes().to_vec().into()),
            })
            .await
    }
}

/// Credential and client; reads files.
fn prepare(settings: &Settings) -> Result<(Cloud, Http), CloudError> {
    let cloud =
        Cloud::load(&settings.source).map_err(|faults| CloudError::Settings(faults.join("; ")))?;
    let ca_file = settings.ca_file.as_deref().or(cloud.ca_file.as_deref());
    if cloud.auth_url.is_readable_on_the_way() {
        tracing::warn!(keystone = %cloud.auth_url, "the gateway's credential goes over plain http, and can be read on the way");
    }
    let http = Http::new(settings.bounds.clone(), ca_file, settings.proxy.as_deref())?;
    Ok((cloud, http))
}
