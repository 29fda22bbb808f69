//! In: names and bytes. Out: objects of a Swift container, by Swift's own API.
//! Never: believes an ETag: it is an MD5, and says what Swift thinks that it stored.

use std::path::{Path, PathBuf};

use ampgate_inventory::{Endpoint, ObjectStorage, read_secret};
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use tokio::sync::Mutex;

use crate::error::{ArchiveError, excerpt};
use crate::http::{Answer, Http};
use crate::remote::{PAGE, Remote, Settings, Store};

const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const X_AUTH_USER: HeaderName = HeaderName::from_static("x-auth-user");
const X_AUTH_KEY: HeaderName = HeaderName::from_static("x-auth-key");
const X_STORAGE_URL: &str = "x-storage-url";

pub(crate) struct Swift {
    http: Http,
    login: Login,
    container: String,
    shown: String,
    pass: Mutex<Option<Pass>>,
}

enum Login {
    Keystone(Box<ObjectStorage>),
    V1 {
        url: Url,
        user: HeaderValue,
        secret_file: PathBuf,
    },
}

/// The account's place, and the token that opens it.
#[derive(Clone)]
struct Pass {
    account: Endpoint,
    token: HeaderValue,
}

impl Swift {
    pub(crate) fn new(settings: &Settings) -> Result<Self, ArchiveError> {
        let wrong = |why: &dyn ToString| ArchiveError::Settings(why.to_string());
        let (login, container) = match &settings.store {
            Store::Swift {
                source,
                region,
                container,
            } => {
                let storage =
                    ObjectStorage::new(source.clone(), region.clone(), settings.ca_file.clone());
                (Login::Keystone(Box::new(storage)), container)
            }
            Store::SwiftV1 {
                auth_url,
                user,
                secret_file,
                container,
            } => {
                let login = Login::V1 {
                    url: Url::parse(auth_url).map_err(|e| wrong(&e))?,
                    user: HeaderValue::from_str(user).map_err(|e| wrong(&e))?,
                    secret_file: secret_file.clone(),
                };
                (login, container)
            }
            _ => return Err(wrong(&"this is no Swift")),
        };
        Ok(Self {
            http: Http::new(settings)?,
            login,
            container: container.clone(),
            shown: settings.store.to_string(),
            pass: Mutex::default(),
        })
    }

    fn fault(&self, what: &str, why: &str) -> ArchiveError {
        ArchiveError::Store {
            store: self.shown.clone(),
            what: what.to_owned(),
            why: excerpt(why),
        }
    }

    /// A token; a new one where `refused` is the last.
    async fn pass(&self, refused: bool) -> Result<Pass, ArchiveError> {
        let mut last = self.pass.lock().await;
        if let (Some(pass), false) = (&*last, refused) {
            return Ok(pass.clone());
        }
        let pass = match &self.login {
            // It renews its token in time by itself, and knows how often a refused one may be replaced.
            Login::Keystone(keystone) => {
                let (account, token) = keystone
                    .pass(refused)
                    .await
                    .map_err(|e| self.fault("the log-in", &e.to_string()))?;
                return Ok(Pass { account, token });
            }
            Login::V1 {
                url,
                user,
                secret_file,
            } => self.log_in(url, user, secret_file).await?,
        };
        *last = Some(pass.clone());
        Ok(pass)
    }

    async fn log_in(
        &self,
        url: &Url,
        user: &HeaderValue,
        secret_file: &Path,
    ) -> Result<Pass, ArchiveError> {
        let fault = |why: &str| self.fault("the log-in", why);
        let secret = read_secret(secret_file)
            .map_err(|why| fault(&format!("the secret file {}: {why}", secret_file.display())))?;
        let mut key =
            HeaderValue::from_str(secret.reveal()).map_err(|_| fault("the secret is no header"))?;
        key.set_sensitive(true);
        let headers = HeaderMap::from_iter([(X_AUTH_USER, user.clone()), (X_AUTH_KEY, key)]);
        let answer = self
            .http
            .send(Method::GET, url.clone(), headers, Bytes::new())
            .await;
        let answer = answer.map_err(|e| fault(&e.to_string()))?;
        let account = answer
            .headers
            .get(X_STORAGE_URL)
            .and_then(|url| url.to_str().ok());
        match (answer.status, account, answer.headers.get(&X_AUTH_TOKEN)) {
            (200..=299, Some(account), Some(token)) => {
                let mut token = token.clone();
                token.set_sensitive(true);
                Ok(Pass {
                    account: Endpoint::parse(account).map_err(|e| fault(&e))?,
                    token,
                })
            }
            (status, ..) => Err(fault(&format!("HTTP {status}; check user and secret file"))),
        }
    }

    async fn ask(
        &self,
        method: &Method,
        name: &str,
        query: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, ArchiveError> {
        let mut path = vec![self.container.as_str()];
        path.extend(name.split('/').filter(|part| !part.is_empty()));
        let mut refused = false;
        loop {
            let pass = self.pass(refused).await?;
            let headers = HeaderMap::from_iter([
                (X_AUTH_TOKEN, pass.token.clone()),
                (
                    ACCEPT,
                    HeaderValue::from_static(if name.is_empty() { "text/plain" } else { "*/*" }),
                ),
                (
                    CONTENT_TYPE,
                    HeaderValue::from_static("application/octet-stream"),
                ),
            ]);
            let sent = self.http.send(
                method.clone(),
                pass.account.at(&path, query),
                headers,
                body.clone(),
            );
            let answer = sent
                .await
                .map_err(|e| self.fault(&format!("{method} {name}"), &e.to_string()))?;
            if answer.status != 401 || refused {
                return Ok(answer);
            }
            refused = true;
        }
    }

    fn refusal(&self, what: &str, answer: &Answer) -> ArchiveError {
        let said = String::from_utf8_lossy(&answer.body);
        self.fault(what, &format!("HTTP {} {said}", answer.status))
    }
}

#[async_trait]
impl Remote for Swift {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        let answer = self.ask(&Method::PUT, name, &[], bytes).await?;
        match answer.status {
            201 | 202 => Ok(()),
            404 => Err(self.fault(
                &format!("PUT {name}"),
                "there is no such container; make it first",
            )),
            _ => Err(self.refusal(&format!("PUT {name}"), &answer)),
        }
    }

    async fn get(&self, name: &str, at_most: usize) -> Result<Bytes, ArchiveError> {
        let answer = self.ask(&Method::GET, name, &[], Bytes::new()).await?;
        match answer.status {
            200 if answer.body.len() <= at_most => Ok(answer.body),
            200 => Err(ArchiveError::Differs {
                name: name.to_owned(),
                why: format!("it has {} bytes", answer.body.len()),
            }),
            404 => Err(ArchiveError::Missing {
                name: name.to_owned(),
            }),
            _ => Err(self.refusal(&format!("GET {name}"), &answer)),
        }
    }

    async fn delete(&self, name: &str) -> Result<(), ArchiveError> {
        let answer = self.ask(&Method::DELETE, name, &[], Bytes::new()).await?;
        match answer.status {
            200..=299 | 404 => Ok(()),
            _ => Err(self.refusal(&format!("DELETE {name}"), &answer)),
        }
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<String>, ArchiveError> {
        let limit = PAGE.to_string();
        let query = [("prefix", prefix), ("marker", after), ("limit", &limit)];
        let answer = self.ask(&Method::GET, "", &query, Bytes::new()).await?;
        let text = match answer.status {
            200..=299 => String::from_utf8_lossy(&answer.body).into_owned(),
            _ => return Err(self.refusal("a listing", &answer)),
        };
        let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
        names.retain(|name| name.starts_with(prefix) && name.as_str() > after);
        names.sort_unstable();
        Ok(names)
    }
}
