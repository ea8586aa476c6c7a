//! `https://host:port/path/`: one origin and a path below which everything is meant. Grants and credentials use it.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

use super::dot_segments::has_dot_segment;

/// One origin and a path prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPrefix {
    url: Url,
}

impl UrlPrefix {
    /// Whether `url` is at or below this prefix. Compares what will really be called: scheme, host, port and the path
    /// with dot segments resolved; an encoded slash is never below a path.
    pub fn covers(&self, url: &Url) -> bool {
        self.url.origin() == url.origin() && self.covers_path(url.path())
    }

    /// Whether this prefix lies at or below `base`.
    pub fn is_below(&self, base: &Url) -> bool {
        UrlPrefix { url: base.clone() }.covers(&self.url)
    }

    /// The address, where the operator wrote one instead of a name.
    pub fn literal_address(&self) -> Option<std::net::IpAddr> {
        match self.url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            _ => None,
        }
    }

    /// As the operator wrote it, in lower case.
    pub fn host(&self) -> &str {
        self.url.host_str().expect("it has one")
    }

    /// The same below another host.
    pub fn with_host(&self, host: &str) -> Option<UrlPrefix> {
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

impl FromStr for UrlPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<UrlPrefix, String> {
        // The text may hold a password, even if another part is wrong.
        if text.contains('@') {
            return Err(
                "a URL here carries no user or password, nor any `@`: use `[[credentials]]`".into(),
            );
        }
        let url = Url::parse(text)
            .map_err(|why| format!("`{text}` is not a URL ({why}): write `https://host/path/`"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(format!(
                "`{text}` must begin with `https://` or `http://` and name a host"
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            // What stands behind the path may be a token.
            let path = text.split(['?', '#']).next().unwrap_or_default();
            return Err(format!(
                "`{path}…` must end with its path: no query, no fragment"
            ));
        }
        if text.contains('*') {
            return Err(format!(
                "`{text}`: no `*` here; in `[allow] http` one may stand for labels: `https://*.example.com/`"
            ));
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
    fn a_prefix_covers_what_is_below_it_and_nothing_else() {
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
    fn what_is_not_a_prefix_is_refused() {
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
            .unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
