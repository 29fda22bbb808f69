//! In: a URL from a configuration or from Keystone's catalog.
//! Out: the root of a service, below which our own paths are put.
//! Never: a URL that carries a password, a query or a fragment, or is neither http nor https.

use std::fmt;

use reqwest::Url;

/// Where a service is: scheme, host, port and path, without a slash or an API version at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Versions that catalogs and `OS_AUTH_URL` may or may not end in.
const VERSIONS: [&str; 6] = ["/v3", "/v2", "/v2.0", "/v2.1", "/v2.27", "/v1"];

impl Endpoint {
    /// Reads a URL.
    ///
    /// # Errors
    /// A sentence that does not repeat the text: it may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut url = Url::parse(text).map_err(|error| format!("this is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("this URL must begin with https:// (or http://) and a host".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("this URL must not hold a user or a password".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("this URL must not have a ? or # in it".to_owned());
        }
        let path = url.path().trim_end_matches('/');
        let path = VERSIONS
            .iter()
            .find_map(|version| path.strip_suffix(version));
        let path = path.unwrap_or_else(|| url.path()).trim_end_matches('/');
        let path = path.to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// The URL of a path below the root, such as `/v2/octavia/amphorae`, with a query of names and values.
    pub fn at(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Whether what is sent there can be read on the way: plain http to another machine.
    pub fn is_readable_on_the_way(&self) -> bool {
        let here = self.0.host_str().is_some_and(|host| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost"
                || host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback())
        });
        self.0.scheme() == "http" && !here
    }
}

/// As it is shown in sentences; nothing in it is secret.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_and_slashes_at_the_end_do_not_matter() {
        for (text, root) in [
            ("http://a:9876", "http://a:9876"),
            ("http://a:9876/", "http://a:9876"),
            ("http://a/load-balancer/", "http://a/load-balancer"),
            ("http://a/load-balancer/v2.0", "http://a/load-balancer"),
            ("https://a:5000/v3/", "https://a:5000"),
            ("https://a/identity/v3", "https://a/identity"),
            ("https://[::1]:5000/v3", "https://[::1]:5000"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), root);
        }
        let octavia = Endpoint::parse("http://a/load-balancer/v2.0").unwrap();
        let url = octavia.at(&["v2", "lbaas", "../x"], &[("name", "a&b=c")]);
        assert_eq!(
            url.as_str(),
            "http://a/load-balancer/v2/lbaas/..%2Fx?name=a%26b%3Dc"
        );
    }

    #[test]
    fn urls_that_hide_something_are_refused() {
        for bad in [
            "ftp://a",
            "a:5000",
            "http://u:p@a",
            "http://u@a",
            "http://a?x",
            "http://a#x",
            "",
            "file:///etc/passwd",
            "unix:/x",
        ] {
            let said = Endpoint::parse(bad).unwrap_err();
            assert!(!said.contains("u:p"), "{said}");
        }
        assert!(
            Endpoint::parse("http://10.0.0.1")
                .unwrap()
                .is_readable_on_the_way()
        );
        for fine in [
            "https://10.0.0.1",
            "http://127.0.0.9:1",
            "http://[::1]",
            "http://localhost",
        ] {
            assert!(!Endpoint::parse(fine).unwrap().is_readable_on_the_way());
        }
    }
}
