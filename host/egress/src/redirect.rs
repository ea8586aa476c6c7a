//! The call that a redirect leads to (RFC 9110 section 15.4). It is checked like any other.

use bytes::Bytes;
use http::header::LOCATION;
use url::Url;

use super::exchange::{Outgoing, Received};
use super::redact::REDACTED;

/// Headers that are not sent to another origin.
const PRIVATE: [&str; 4] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
];
/// Headers that describe a body, which a GET does not have.
const OF_BODY: [&str; 4] = [
    "content-type",
    "content-encoding",
    "content-language",
    "content-location",
];

/// The call to which a response redirects. `None` if it is no redirect.
pub(crate) fn next(made: &Outgoing, received: &Received) -> Option<Outgoing> {
    let is_get_now = match received.status {
        // Browsers make a GET without a body of a POST: what the handler sends would be lost.
        301 | 302 if made.method == "POST" => return None,
        301 | 302 => false,
        // The answer to the request is at another place.
        303 => made.method != "HEAD",
        307 | 308 => false,
        _ => return None,
    };

    let from = Url::parse(&made.url).ok()?;
    let to = from
        .join(received.headers.get(LOCATION)?.to_str().ok()?)
        .ok()?;
    // A call never leaves TLS.
    if from.scheme() == "https" && to.scheme() != "https" {
        return None;
    }

    // The place repeats a secret that was removed: no such place exists.
    if to.path().contains(REDACTED) {
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
    fn redirects_become_new_calls() {
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
        for status in [301, 302] {
            assert!(asked("POST", "https://a.example/", status, "/b").is_none());
        }
        let other = asked("POST", "https://a.example/", 303, "https://b.example/").unwrap();
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
