//! Where a request comes from: the host that it names, and the page that sent it.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};

use super::refused::{Refused, refused};

/// Headers that a request has at most once. Of two, another reader of the request could take the
/// one that is not checked here.
const SINGLE_HEADERS: [&str; 4] = ["host", "origin", "sec-fetch-site", "authorization"];

pub(crate) fn check_single_headers(headers: &HeaderMap) -> Result<(), Refused> {
    let repeated = SINGLE_HEADERS
        .into_iter()
        .find(|name| headers.get_all(*name).iter().nth(1).is_some());
    let Some(name) = repeated else {
        return Ok(());
    };

    Err(refused(
        "admin_header_repeated",
        StatusCode::BAD_REQUEST,
        format!("the request has more than one header `{name}`"),
        "send it once",
    ))
}

/// The host that the request names, in lower case. A target with another host is refused.
pub(crate) fn host_of(request: &Request) -> Result<String, Refused> {
    let header = request.headers().get(header::HOST);
    let header = header.map(|host| String::from_utf8_lossy(host.as_bytes()).to_ascii_lowercase());
    let target = request.uri().authority();
    let target = target.map(|authority| authority.as_str().to_ascii_lowercase());
    match (header, target) {
        (Some(header), Some(target)) if header != target => Err(refused(
            "admin_host_conflict",
            StatusCode::BAD_REQUEST,
            "the target of the request names another host than its header `host`".into(),
            "send only the path as the target",
        )),
        (header, target) => Ok(header.or(target).unwrap_or_default()),
    }
}

fn foreign(what: String) -> Refused {
    refused(
        "admin_origin_foreign",
        StatusCode::FORBIDDEN,
        what,
        "the admin API answers no other web page: use the command line, or a page of this node",
    )
}

/// Refuses requests that a browser sends from a page of another origin.
pub(crate) fn check_origin(headers: &HeaderMap, host: &str) -> Result<(), Refused> {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = String::from_utf8_lossy(origin.as_bytes()).to_ascii_lowercase();
        let is_own = ["http://", "https://"]
            .iter()
            .any(|scheme| origin.strip_prefix(scheme) == Some(host));
        if !is_own {
            return Err(foreign(format!(
                "the request comes from a page of `{}`",
                origin.escape_debug()
            )));
        }
    }

    match headers.get("sec-fetch-site").map(|value| value.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(foreign(
            "the request comes from a page of another site".into(),
        )),
    }
}

/// The host without its port. A text after the last colon that is not a port belongs to the host,
/// so that `127.0.0.1:1@evil` is not taken for an address.
pub(crate) fn name_of(host: &str) -> &str {
    let after_address = host.rfind(']').map_or(0, |end| end + 1);
    let port = host[after_address..].rsplit_once(':');
    match port {
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            &host[..host.len() - port.len() - 1]
        }
        _ => host,
    }
}

pub(crate) fn is_address(name: &str) -> bool {
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(name);
    bare.parse::<IpAddr>().is_ok() || name.parse::<SocketAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn hosts_are_read_without_ports() {
        for (host, name, is_own) in [
            ("127.0.0.1:8081", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("[::1]:8081", "[::1]", true),
            ("[::1]", "[::1]", true),
            ("localhost:8081", "localhost", false),
            (
                "127.0.0.1.evil.example:8081",
                "127.0.0.1.evil.example",
                false,
            ),
            ("127.0.0.1:1@evil", "127.0.0.1:1@evil", false),
            ("127.0.0.1:80@evil:80", "127.0.0.1:80@evil", false),
            ("evil@127.0.0.1:80", "evil@127.0.0.1", false),
            ("[::1]:80@evil", "[::1]:80@evil", false),
            ("", "", false),
        ] {
            assert_eq!(
                (name_of(host), is_address(name_of(host))),
                (name, is_own),
                "{host}"
            );
        }
    }

    #[test]
    fn hosts_must_be_unambiguous() {
        for (target, hosts, host) in [
            ("/a", &["LOCALHOST:1"][..], Some("localhost:1")),
            ("/a", &[], Some("")),
            (
                "http://localhost:1/a",
                &["localhost:1"],
                Some("localhost:1"),
            ),
            ("http://Localhost/a", &["localhost"], Some("localhost")),
            ("http://localhost/a", &[], Some("localhost")),
            ("http://evil.example/a", &["localhost"], None),
            ("http://localhost/a", &["evil.example"], None),
            ("http://localhost/a", &["\u{e9}"], None),
            ("/a", &["localhost", "localhost"], None),
        ] {
            let mut request = Request::new(axum::body::Body::empty());
            *request.uri_mut() = target.parse().unwrap();
            for host in hosts {
                let value = HeaderValue::from_bytes(host.as_bytes()).unwrap();
                request.headers_mut().append(header::HOST, value);
            }
            let single = check_single_headers(request.headers());
            let found = single.and_then(|()| host_of(&request)).ok();
            assert_eq!(found.as_deref(), host, "{target} {hosts:?}");
        }
    }

    #[test]
    fn foreign_origins_are_recognised() {
        let check = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            check_origin(&headers, "127.0.0.1:8081").is_ok()
        };
        assert!(check(&[]));
        assert!(check(&[
            ("origin", "http://127.0.0.1:8081"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(check(&[("sec-fetch-site", "none")]));
        for origin in [
            "null",
            "http://127.0.0.1:8082",
            "http://127.0.0.1",
            "https://evil.example",
            "",
        ] {
            assert!(!check(&[("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert!(!check(&[("sec-fetch-site", site)]), "{site}");
        }
    }
}
