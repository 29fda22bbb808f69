//! In: a request to Keystone, Octavia, Nova or Barbican, and the bounds of this client.
//! Out: status and body, or one sentence.
//! Never: waits or reads without a bound, follows a redirect, takes a proxy from the environment, shows a secret.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Proxy, Url, redirect};
use zeroize::Zeroizing;

use crate::error::{CloudError, excerpt};
use crate::tls;

/// How the client is bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// To connect, TLS included.
    pub connect: Duration,
    /// From the first byte of a request to the last of its answer.
    pub request: Duration,
    /// Bytes of an answer. A page of 500 amphorae takes 0.3 MiB; load balancers list their listeners and pools, 40 bytes
    /// each, where `fields` is not honoured: 16 MiB leaves each of 500 some 800 of them.
    pub body: usize,
    /// Connections to a host that are kept for the next request. None where no request may be lost: one that is sent when
    /// the service is just closing the connection fails.
    pub idle: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(15),
            body: 16 << 20,
            idle: 4,
        }
    }
}

/// The longest `Retry-After` that is honoured: a service cannot send the gateway away for a day.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The client.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    bounds: Bounds,
}

/// One request.
pub(crate) struct Ask {
    pub(crate) service: &'static str,
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Secret ones are marked as sensitive.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// JSON; wiped when it has been sent.
    pub(crate) body: Option<Zeroizing<Vec<u8>>>,
}

/// What came back, whatever the status.
pub(crate) struct Answer {
    pub(crate) service: &'static str,
    /// "GET /v2/octavia/amphorae"
    pub(crate) what: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A client with these bounds on connecting and on each request. It follows no redirect, takes no proxy from the environment,
/// and checks certificates by the authorities of the file, or by the system's. Who reads a body bounds it.
///
/// # Errors
/// The CA file or the proxy.
pub fn client(
    bounds: &Bounds,
    ca_file: Option<&Path>,
    proxy: Option<&str>,
) -> Result<Client, CloudError> {
    let settings = |why: String| CloudError::Settings(why);
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls::client(ca_file)?)
        .user_agent(concat!("ampgate/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(bounds.connect)
        .timeout(bounds.request)
        .pool_max_idle_per_host(bounds.idle)
        .pool_idle_timeout(Duration::from_secs(50))
        .no_proxy();
    if let Some(proxy) = proxy {
        let proxy = Proxy::all(proxy)
            .map_err(|_| settings("the proxy of [inventory.octavia] is no URL".to_owned()))?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| {
        settings(format!(
            "the HTTP client cannot be made: {}",
            because(&error)
        ))
    })
}

impl Http {
    /// Builds the client.
    ///
    /// # Errors
    /// The CA file or the proxy.
    pub(crate) fn new(
        bounds: Bounds,
        ca_file: Option<&Path>,
        proxy: Option<&str>,
    ) -> Result<Self, CloudError> {
        let client = client(&bounds, ca_file, proxy)?;
        Ok(Self { client, bounds })
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// No answer, none in time, too long a one, or a redirect. Other statuses are answers.
    pub(crate) async fn send(&self, ask: Ask) -> Result<Answer, CloudError> {
        let service = ask.service;
        let host = host(&ask.url);
        let what = format!("{} {}", ask.method, ask.url.path());
        // reqwest has the same deadline inside; this one holds whatever it does.
        let limit = self.bounds.request + Duration::from_secs(1);
        match tokio::time::timeout(limit, self.exchange(ask, &host, what)).await {
            Ok(outcome) => outcome,
            Err(_late) => Err(CloudError::Late {
                service,
                host,
                after: self.bounds.request,
            }),
        }
    }

    async fn exchange(&self, ask: Ask, host: &str, what: String) -> Result<Answer, CloudError> {
        let service = ask.service;
        let failed = |error: reqwest::Error| self.failure(service, host, &error);
        let mut request = self.client.request(ask.method, ask.url);
        if !ask.headers.iter().any(|(name, _)| *name == ACCEPT) {
            request = request.header(ACCEPT, "application/json");
        }
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        if let Some(body) = ask.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(Bytes::from_owner(Wiped(body)));
        }
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(CloudError::Redirected {
                service,
                host: host.to_owned(),
                status: status.as_u16(),
            });
        }
        let limit = self.bounds.body;
        let too_large = || CloudError::TooLarge {
            service,
            host: host.to_owned(),
            limit,
        };
        if response
            .content_length()
            .is_some_and(|length| length > limit as u64)
        {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len().saturating_add(chunk.len()) > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            service,
            what,
            status: status.as_u16(),
            headers: response.headers().clone(),
            body: body.into(),
        })
    }

    fn failure(&self, service: &'static str, host: &str, error: &reqwest::Error) -> CloudError {
        let host = host.to_owned();
        // A connection that takes too long is "late" as well, but its deadline is the shorter one.
        if error.is_timeout() {
            let after = match error.is_connect() {
                true => self.bounds.connect,
                false => self.bounds.request,
            };
            return CloudError::Late {
                service,
                host,
                after,
            };
        }
        if let Some(why) = tls::distrust(error) {
            return CloudError::Untrusted { service, host, why };
        }
        CloudError::Unreachable {
            service,
            host,
            why: because(error),
        }
    }
}

impl Answer {
    /// The body of a success.
    ///
    /// # Errors
    /// The status with the beginning of what was said. 403 is a permission fault.
    pub(crate) fn success(self) -> Result<Bytes, CloudError> {
        match self.status {
            200..=299 => Ok(self.body),
            _ => Err(self.fault()),
        }
    }

    /// What a status that is no success means.
    pub(crate) fn fault(&self) -> CloudError {
        let (service, what) = (self.service, self.what.clone());
        if matches!(self.status, 401 | 403) {
            return CloudError::Permission {
                service,
                what,
                status: self.status,
            };
        }
        CloudError::Status {
            service,
            what,
            status: self.status,
            excerpt: excerpt(&self.body),
            retry_after: retry_after(&self.headers),
        }
    }
}

/// A request's body: wiped when the last byte of it has been sent.
struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Seconds only: a date would need the service's clock to agree with ours.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok();
    seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

/// The innermost cause, escaped and short. reqwest's own words repeat the URL.
fn because(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    excerpt(cause.to_string().as_bytes())
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_cannot_send_the_gateway_away_for_long() {
        let after = |value: &'static str| {
            retry_after(&HeaderMap::from_iter([(
                RETRY_AFTER,
                HeaderValue::from_static(value),
            )]))
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("99999999"), Some(LONGEST_RETRY_AFTER));
        for nothing in ["", "-1", "soon", "99999999999999999999999"] {
            assert_eq!(after(nothing), None);
        }
    }
}
