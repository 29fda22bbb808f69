//! In: a request, made by object_store or by us. Out: status, headers and a whole body.
//! Never: waits or reads without a bound, follows a redirect, or speaks TLS by another library than inventory's.

use std::error::Error as _;

use ampgate_inventory::{Bounds, http_client};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use md5::{Digest as _, Md5};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, Url};

use crate::error::{ArchiveError, excerpt};
use crate::pack::LARGEST_OBJECT;
use crate::remote::Settings;

/// A client that is bounded by the settings.
#[derive(Clone, Debug)]
pub(crate) struct Http(Client);

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why nothing whole came back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpFault {
    #[error("{0}")]
    Network(String),
    #[error("it answers with more than {LARGEST_OBJECT} bytes")]
    TooLarge,
    #[error("it redirects (HTTP {0}); set the endpoint to where it leads")]
    Redirected(u16),
}

impl Http {
    pub(crate) fn new(settings: &Settings) -> Result<Self, ArchiveError> {
        let bounds = Bounds {
            request: settings.timeout,
            body: LARGEST_OBJECT,
            ..Bounds::default()
        };
        let client = http_client(&bounds, settings.ca_file.as_deref(), None);
        client
            .map(Self)
            .map_err(|e| ArchiveError::Settings(e.to_string()))
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, HttpFault> {
        let request = self.0.request(method, url).headers(headers).body(body);
        let mut response = request.send().await.map_err(network)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(HttpFault::Redirected(status.as_u16()));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            if body.len().saturating_add(chunk.len()) > LARGEST_OBJECT {
                return Err(HttpFault::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: status.as_u16(),
            headers: response.headers().clone(),
            body: body.freeze(),
        })
    }
}

/// The innermost cause: reqwest's own words repeat the URL.
fn network(error: reqwest::Error) -> HttpFault {
    if error.is_timeout() {
        return HttpFault::Network("no whole answer in time".to_owned());
    }
    let mut cause = error.source();
    let mut said = error.to_string();
    while let Some(deeper) = cause {
        said = deeper.to_string();
        cause = deeper.source();
    }
    HttpFault::Network(excerpt(&said))
}

impl HttpConnector for Http {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Http {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let failed = |error: HttpFault| HttpError::new(HttpErrorKind::Unknown, error);
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string())
            .map_err(|e| failed(HttpFault::Network(e.to_string())))?;
        let body = body.collect().await?.to_bytes();
        let mut headers = parts.headers;
        // Only what goes to a bucket with object lock has a checksum. Some servers know but the older of the two headers which
        // S3 takes for it; it need not be signed, and what we believe is what we read back.
        if headers.contains_key("x-amz-checksum-sha256") {
            let md5 = base64_simd::STANDARD.encode_to_string(Md5::digest(&body));
            if let Ok(md5) = md5.parse() {
                headers.insert("content-md5", md5);
            }
        }
        let answer = self
            .send(parts.method, url, headers, body)
            .await
            .map_err(failed)?;
        let mut response = HttpResponse::new(answer.body.into());
        if let Ok(status) = answer.status.try_into() {
            *response.status_mut() = status;
        }
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}
