//! `POST https://*.example.com/api/`: URLs that one hook may call. Methods are optional, and so is
//! the star, which stands for one or more labels before a name, never for the name itself.

use std::fmt;
use std::str::FromStr;

use http::Method;
use url::{Host, Url};

use super::url_prefix::{UrlPrefix, UrlPrefixError};

/// One entry of `[allow] http`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGrant {
    /// Empty: every method.
    methods: Vec<Method>,
    prefix: UrlPrefix,
    /// Whether a called host must end with the host of the prefix, instead of being equal to it.
    is_suffix: bool,
}

/// A text that is not an entry of `[allow] http`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpGrantError {
    /// The URL is not a prefix of URLs.
    #[error(transparent)]
    Url(#[from] UrlPrefixError),
    /// A star before an address or before a single label.
    #[error("`{0}`: after `*.` comes a name of at least two labels, such as `*.example.com`")]
    Star(String),
    /// A word before the URL is not a method.
    #[error("`{}` is not a method: write `GET,POST https://host/`", .0.escape_debug())]
    Method(String),
}

// === impl HttpGrant ===

impl HttpGrant {
    /// Whether this entry allows a call of this URL with this method.
    pub fn covers(&self, method: &Method, url: &Url) -> bool {
        (self.methods.is_empty() || self.methods.contains(method)) && self.covers_url(url)
    }

    /// Whether this entry allows a call of this URL with some method.
    pub fn covers_url(&self, url: &Url) -> bool {
        if !self.is_suffix {
            return self.prefix.covers(url);
        }
        self.prefix_for(url)
            .is_some_and(|prefix| prefix.covers(url))
    }

    /// Whether this entry allows a call of this URL or of a URL below it.
    pub fn covers_some_below(&self, base: &Url) -> bool {
        self.prefix_for(base)
            .is_some_and(|prefix| prefix.covers(base) || prefix.is_below(base))
    }

    /// Whether this entry allows every call that the other one allows. `false` if that is not
    /// certain.
    pub fn covers_all_of(&self, other: &HttpGrant) -> bool {
        let has_methods = self.methods.is_empty()
            || (!other.methods.is_empty()
                && other
                    .methods
                    .iter()
                    .all(|method| self.methods.contains(method)));
        let has_urls = if other.is_suffix {
            self.is_suffix && self.prefix == other.prefix
        } else {
            Url::parse(&other.prefix.to_string()).is_ok_and(|url| self.covers_url(&url))
        };
        has_methods && has_urls
    }

    /// The prefix with the called host in place of the star. `None`: the star does not match that
    /// host.
    fn prefix_for(&self, url: &Url) -> Option<UrlPrefix> {
        if !self.is_suffix {
            return Some(self.prefix.clone());
        }
        let Some(Host::Domain(called)) = url.host() else {
            return None;
        };
        let ending = format!(".{}", self.prefix.host());
        if called.trim_end_matches('.').ends_with(&ending) {
            self.prefix.with_host(called)
        } else {
            None
        }
    }

    /// Whether the entry names exactly this host.
    pub fn names(&self, host: &str) -> bool {
        !self.is_suffix && self.prefix.host().eq_ignore_ascii_case(host)
    }

    /// The host as text: `a.example`, or `*.a.example` with a star.
    pub fn host_pattern(&self) -> String {
        let star = if self.is_suffix { "*." } else { "" };
        format!("{star}{}", self.prefix.host())
    }

    /// Whether this entry allows calls to this host, in lower case, with some scheme and port.
    pub fn covers_host(&self, host: &str) -> bool {
        let own = self.prefix.host();
        if !self.is_suffix {
            return own == host;
        }
        let labels = host.trim_end_matches('.').strip_suffix(own);
        labels.is_some_and(|labels| labels.ends_with('.'))
    }

    /// The IP address, if the entry has one instead of a name.
    pub fn literal_address(&self) -> Option<std::net::IpAddr> {
        self.prefix.literal_address()
    }
}

impl FromStr for HttpGrant {
    type Err = HttpGrantError;

    fn from_str(text: &str) -> Result<HttpGrant, HttpGrantError> {
        let (methods, url) = match text.split_once(' ') {
            Some((methods, url)) => (self::methods(methods)?, url.trim_start()),
            None => (Vec::new(), text),
        };
        let Some((scheme, rest)) = url.split_once("://*.") else {
            return Ok(HttpGrant {
                methods,
                prefix: url.parse()?,
                is_suffix: false,
            });
        };
        let prefix: UrlPrefix = format!("{scheme}://{rest}").parse()?;
        if prefix.literal_address().is_some() || !prefix.host().trim_end_matches('.').contains('.')
        {
            return Err(HttpGrantError::Star(url.to_owned()));
        }
        Ok(HttpGrant {
            methods,
            prefix,
            is_suffix: true,
        })
    }
}

fn methods(text: &str) -> Result<Vec<Method>, HttpGrantError> {
    text.split(',').map(method).collect()
}

fn method(word: &str) -> Result<Method, HttpGrantError> {
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase());
    Method::from_bytes(word.as_bytes())
        .ok()
        .filter(|method| is_word && *method != Method::CONNECT)
        .ok_or_else(|| HttpGrantError::Method(word.to_owned()))
}

impl From<UrlPrefix> for HttpGrant {
    fn from(prefix: UrlPrefix) -> HttpGrant {
        HttpGrant {
            methods: Vec::new(),
            prefix,
            is_suffix: false,
        }
    }
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        let gap = if methods.is_empty() { "" } else { " " };
        let prefix = self.prefix.to_string();
        let shown = if self.is_suffix {
            prefix.replacen("://", "://*.", 1)
        } else {
            prefix
        };
        write!(f, "{}{gap}{shown}", methods.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_meet_grants() {
        for (grant, base, is_met) in [
            ("https://a.example/v1/", "https://a.example", true),
            ("https://a.example/v1/", "https://a.example/v1", true),
            ("https://a.example/v1/", "https://a.example/v1/p/", true),
            ("POST https://a.example/", "https://a.example/v1", true),
            ("https://*.example.com/v1/", "https://b.example.com", true),
            ("https://a.example/v1/", "https://a.example/v2", false),
            ("https://a.example/v1/", "https://a.example/v", false),
            ("https://a.example/", "http://a.example", false),
            ("https://a.example/", "https://a.example:444", false),
            ("https://a.example/", "https://b.example", false),
            ("https://*.example.com/", "https://example.com", false),
        ] {
            let found: HttpGrant = grant.parse().unwrap();
            let url = base.parse().unwrap();
            assert_eq!(found.covers_some_below(&url), is_met, "{grant} {base}");
        }
    }

    #[test]
    fn methods_and_stars_narrow_and_widen() {
        for (grant, method, url, expected) in [
            ("https://a.example/", "GET", "https://a.example/x", true),
            (
                "POST https://a.example/",
                "GET",
                "https://a.example/x",
                false,
            ),
            (
                "GET,POST https://a.example/",
                "POST",
                "https://a.example/x",
                true,
            ),
            ("https://*.a.example/", "GET", "https://b.a.example/x", true),
            (
                "https://*.a.example/",
                "GET",
                "https://c.b.a.example/x",
                true,
            ),
            ("https://*.a.example/", "GET", "https://a.example/x", false),
            ("https://*.a.example/", "GET", "https://ba.example/x", false),
            (
                "https://*.a.example/",
                "GET",
                "https://b.a.example.evil.test/x",
                false,
            ),
            ("https://*.a.example/", "GET", "http://b.a.example/x", false),
            (
                "https://*.a.example/",
                "GET",
                "https://b.a.example:8443/x",
                false,
            ),
            (
                "https://*.a.example:8443/api",
                "GET",
                "https://b.a.example:8443/api/x",
                true,
            ),
            (
                "https://*.a.example/api",
                "GET",
                "https://b.a.example/other",
                false,
            ),
            ("https://*.a.example/", "GET", "https://1.2.3.4/", false),
            (
                "http://127.0.0.1/",
                "GET",
                "http://127.0.0.1.evil.example/",
                false,
            ),
            (
                "http://127.0.0.1/",
                "GET",
                "http://127.0.0.1@evil.example/",
                false,
            ),
            (
                "https://*.a.example/api/",
                "GET",
                "https://b.a.example/api/..;/x",
                false,
            ),
        ] {
            let grant: HttpGrant = grant.parse().unwrap();
            let covers = grant.covers(&method.parse().unwrap(), &Url::parse(url).unwrap());
            assert_eq!(covers, expected, "{grant} {method} {url}");
        }
    }

    #[test]
    fn what_is_no_grant_is_refused() {
        for text in [
            "https://*.com/",
            "https://*/",
            "https://a.*.example/",
            "post https://a.example/",
            "https://*.1.2.3.4/",
            "GET, https://a.example/",
            "CONNECT https://a.example/",
            "*://a.example/",
        ] {
            assert!(text.parse::<HttpGrant>().is_err(), "{text}");
        }
        let grant: HttpGrant = "GET,POST https://*.a.example/x".parse().unwrap();
        assert_eq!(grant.to_string(), "GET,POST https://*.a.example/x");
        assert!(
            !grant.names("b.a.example")
                && "https://a.example/"
                    .parse::<HttpGrant>()
                    .unwrap()
                    .names("A.example")
        );
    }
}
