//! Where a redirect leads (RFC 9110 section 15.4), as a call that is checked like any other.

use bytes::Bytes;
use http::header::LOCATION;
use url::Url;

use super::client::{Outgoing, Received};

/// Headers that another origin has no business with, and those that speak of a body that is left out.
const PRIVATE: [&str; 4] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
];
const OF_BODY: [&str; 4] = [
    "content-type",
    "content-encoding",
    "content-language",
    "content-location",
];

/// The call that this answer asks for instead; none where it asks for none.
pub fn next(made: &Outgoing, received: &Received) -> Option<Outgoing> {
    let is_get_now = match received.status {
        // What everybody does with a POST, and what 303 means for every method.
        301 | 302 => made.method == "POST",
        303 => made.method != "HEAD",
        307 | 308 => false,
        _ => return None,
    };
    let from = Url::parse(&made.url).ok()?;
    let to = from
        .join(received.headers.get(LOCATION)?.to_str().ok()?)
        .ok()?;
    // Never down from TLS.
    if from.scheme() == "https" && to.scheme() != "https" {
        return None;
    }
    let mut next = Outgoing {
        url: to.to_string(),
        ..made.clone()
    };
    if to.origin() != from.origin() {
        drop_headers(&mut next, &PRIVATE);
    }
    if is_get_now {
        next.method = "GET".into();
        next.body = Bytes::new();
        drop_headers(&mut next, &OF_BODY);
    }
    Some(next)
}

fn drop_headers(call: &mut Outgoing, names: &[&str]) {
    call.headers.retain(|(name, _)| {
        !names
            .iter()
            .any(|dropped| dropped.eq_ignore_ascii_case(name))
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::*;

    fn asked(method: &str, url: &str, status: u16, location: &str) -> Option<Outgoing> {
        let headers = [("Authorization", "x"), ("Content-Type", "y"), ("X-Z", "z")];
        let made = Outgoing {
            method: method.into(),
            url: url.into(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: Bytes::from_static(b"body"),
            timeout: Duration::ZERO,
            untrusted: None,
            memory: None,
        };
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().unwrap());
        next(
            &made,
            &Received {
                status,
                headers,
                body: Bytes::new(),
                held: None,
            },
        )
    }

    #[test]
    fn a_redirect_is_another_call() {
        let names = |call: &Outgoing| {
            call.headers
                .iter()
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
        };
        let same = asked("POST", "https://a.example/x/y", 307, "../z?q").unwrap();
        assert_eq!(
            (same.url.as_str(), same.method.as_str(), &same.body[..]),
            ("https://a.example/z?q", "POST", &b"body"[..])
        );
        assert_eq!(names(&same), ["Authorization", "Content-Type", "X-Z"]);
        let other = asked("POST", "https://a.example/", 302, "https://b.example/").unwrap();
        assert_eq!((other.method.as_str(), other.body.len()), ("GET", 0));
        assert_eq!(names(&other), ["X-Z"]);
        assert_eq!(
            asked("PUT", "https://a.example/", 301, "/b")
                .unwrap()
                .method,
            "PUT"
        );
        assert_eq!(
            asked("PUT", "https://a.example/", 303, "/b")
                .unwrap()
                .method,
            "GET"
        );
        assert!(
            asked("GET", "https://a.example/", 302, "http://a.example/").is_none(),
            "never down from TLS"
        );
        assert!(
            asked("GET", "https://a.example/", 304, "/b").is_none()
                && asked("GET", "https://a.example/", 200, "/b").is_none()
        );
    }
}
