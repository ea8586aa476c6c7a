//! `https://host:port/path/`: an origin and the beginning of a path, for grants and credentials.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

use super::dot_segments::has_dot_segment;

/// An origin and a path prefix. Covers every URL at or below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPrefix {
    url: Url,
}

/// A text that is not a prefix of URLs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlPrefixError {
    /// The text contains `@`. It is not repeated, because it may contain a password.
    #[error("a URL here carries no user or password, nor any `@`: use `[[credentials]]`")]
    Credentials,
    /// It is not a URL.
    #[error("`{text}` is not a URL ({error}): write `https://host/path/`")]
    NoUrl {
        /// As typed.
        text: String,
        /// Why it is not a URL.
        error: url::ParseError,
    },
    /// It has another scheme, or no host.
    #[error("`{0}` must begin with `https://` or `http://` and name a host")]
    NoHost(String),
    /// It has a query or a fragment.
    #[error("`{0}…` must end with its path: no query, no fragment")]
    Query(String),
    /// It has a star.
    #[error(
        "`{0}`: no `*` here; in `[allow] http` one may stand for labels: `https://*.example.com/`"
    )]
    Star(String),
}

// === impl UrlPrefix ===

impl UrlPrefix {
    /// Whether `url` is at or below this prefix: the same scheme, host and port, and a path below
    /// this one, after dot segments are resolved. A path with an encoded slash is never below
    /// another path.
    pub fn covers(&self, url: &Url) -> bool {
        has_same_origin(&self.url, url) && self.covers_path(url.path())
    }

    /// Whether this prefix lies at or below `base`.
    pub(crate) fn is_below(&self, base: &Url) -> bool {
        UrlPrefix { url: base.clone() }.covers(&self.url)
    }

    /// The IP address, if the operator wrote one instead of a name.
    pub fn literal_address(&self) -> Option<std::net::IpAddr> {
        match self.url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            _ => None,
        }
    }

    /// The host as the operator wrote it, in lower case.
    pub fn host(&self) -> &str {
        self.url
            .host_str()
            .expect("from_str checks that the URL has a host")
    }

    /// The same prefix with another host.
    pub(crate) fn with_host(&self, host: &str) -> Option<UrlPrefix> {
        let mut url = self.url.clone();
        url.set_host(Some(host)).ok()?;
        Some(UrlPrefix { url })
    }

    fn covers_path(&self, path: &str) -> bool {
        let prefix = self.url.path();
        if prefix == "/" {
            return true;
        }
        let lower = path.to_ascii_lowercase();
        if lower.contains("%2f") || lower.contains("%5c") || has_dot_segment(path) {
            return false;
        }
        match path.strip_prefix(prefix) {
            Some(rest) => prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}

/// Whether two URLs have the same origin, and it is one of `http` or `https`. Copies nothing, as
/// `Url::origin` would.
fn has_same_origin(one: &Url, other: &Url) -> bool {
    matches!(one.scheme(), "http" | "https")
        && one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

impl FromStr for UrlPrefix {
    type Err = UrlPrefixError;

    fn from_str(text: &str) -> Result<UrlPrefix, UrlPrefixError> {
        if text.contains('@') {
            return Err(UrlPrefixError::Credentials);
        }

        let url = Url::parse(text).map_err(|error| UrlPrefixError::NoUrl {
            text: text.to_owned(),
            error,
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(UrlPrefixError::NoHost(text.to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            // The query may be a token.
            let path = text.split(['?', '#']).next().unwrap_or_default();
            return Err(UrlPrefixError::Query(path.to_owned()));
        }
        if text.contains('*') {
            return Err(UrlPrefixError::Star(text.to_owned()));
        }

        Ok(UrlPrefix { url })
    }
}

impl fmt::Display for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(prefix: &str, url: &str) -> bool {
        prefix
            .parse::<UrlPrefix>()
            .unwrap()
            .covers(&Url::parse(url).unwrap())
    }

    #[test]
    fn prefixes_cover_what_is_below() {
        for (prefix, url, expected) in [
            ("https://a.example", "https://a.example/x?y=1", true),
            ("https://a.example/", "https://A.EXAMPLE:443/x", true),
            ("https://a.example/", "http://a.example/", false),
            ("https://a.example/", "https://a.example:444/", false),
            ("https://a.example/", "https://a.example.evil.test/", false),
            ("https://a.example/", "https://a.example@evil.test/", false),
            ("https://a.example/api", "https://a.example/api", true),
            ("https://a.example/api", "https://a.example/api/x", true),
            ("https://a.example/api", "https://a.example/apix", false),
            (
                "https://a.example/api/",
                "https://a.example/api/../secret",
                false,
            ),
            (
                "https://a.example/api/",
                "https://a.example/api/%2e%2e/secret",
                false,
            ),
            (
                "https://a.example/api/",
                "https://a.example/api/..%2Fsecret",
                false,
            ),
            (
                "https://a.example/api/",
                "https://a.example/api/..;/secret",
                false,
            ),
            (
                "https://a.example/api/",
                "https://a.example/api/%2e%2e;a=b/secret",
                false,
            ),
            ("https://a.example/api/", "https://a.example/api/x;..", true),
            ("http://127.0.0.1:9/", "http://2130706433:9/", true),
            ("http://127.0.0.1", "http://127.0.0.1.evil.example/", false),
            ("http://127.0.0.1/", "http://127.0.0.1@evil.example/", false),
            (
                "http://127.0.0.1:9/",
                "http://127.0.0.1:9@evil.example/",
                false,
            ),
            ("http://127.0.0.1", "http://127.0.0.1\\.evil.example/", true),
            ("http://localhost/", "http://localhost.evil.example/", false),
        ] {
            assert_eq!(covers(prefix, url), expected, "{prefix} {url}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for text in [
            "a.example",
            "ftp://a.example/",
            "https://u:p@a.example/",
            "https://a.example/?q",
            "https://*.example/",
        ] {
            assert!(text.parse::<UrlPrefix>().is_err(), "{text}");
        }
        let error = "https//u:hunter2@a.example"
            .parse::<UrlPrefix>()
            .unwrap_err()
            .to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
