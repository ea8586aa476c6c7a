//! What is known of a request before its hook: method, path, and who sent it.

use std::net::{IpAddr, SocketAddr};

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Uri};
use http_body::Body;
use hyper::body::Incoming;
use ipnet::IpNet;

use landfall_hooks::Hook;
use landfall_model::{NO_HOOK, TRACEPARENT};
use landfall_telemetry::OpenSpan;

use super::activity::OnConnection;
use super::client;

static TRACEPARENT_HEADER: HeaderName = HeaderName::from_static(TRACEPARENT);

/// Longer paths are truncated in the log.
const PATH_CHARS_MAX: usize = 120;
/// A path segment of this length with digits or upper-case letters may be a secret.
const SECRET_CHARS_MIN: usize = 16;

/// What is known of a request before its hook.
pub(crate) struct Caller {
    /// The name in records, if no hook is known.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    /// The client, or the proxy if the client is unknown.
    pub(crate) address: Option<IpAddr>,
    /// False if `address` is that of a proxy.
    pub(crate) is_known: bool,
    /// The peer, if it forwarded the request and is not in `trusted_proxies`.
    pub(crate) proxy: Option<IpAddr>,
    /// Length of the body that the head announces.
    pub(crate) announced: u64,
    /// The connection of the request.
    pub(crate) connection: OnConnection,
    /// The header that names the span of the caller.
    traceparent: Option<HeaderValue>,
    /// The span of the request. `None`: telemetry is off.
    pub(crate) span: Option<OpenSpan>,
}

// === impl Caller ===

impl Caller {
    /// Allocates nothing, because most requests are not refused.
    pub(crate) fn of(
        head: &Parts,
        body: &Incoming,
        peer: SocketAddr,
        connection: OnConnection,
        trusted_proxies: &[IpNet],
    ) -> Caller {
        let peer = peer.ip().to_canonical();
        let client = client::client(peer, &head.headers, trusted_proxies);
        let address = client.address;
        Caller {
            name: NO_HOOK,
            method: head.method.clone(),
            uri: head.uri.clone(),
            address: Some(address),
            is_known: client.is_known,
            proxy: (address == peer && client::is_forwarded(&head.headers)).then_some(address),
            announced: body.size_hint().lower(),
            connection,
            traceparent: head.headers.get(&TRACEPARENT_HEADER).cloned(),
            span: None,
        }
    }

    /// The same caller with another name in records.
    pub(crate) fn named(self, name: &'static str) -> Caller {
        Caller { name, ..self }
    }

    /// The header that names the span of the caller, if it is text.
    pub(crate) fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_ref()?.to_str().ok()
    }

    /// The path for the log. For a known hook it is the pattern, because a parameter may be a
    /// secret.
    pub(crate) fn path(&self, hook: Option<&Hook>) -> String {
        match hook {
            Some(hook) => hook.spec.path.clone(),
            None => shown_path(self.uri.path()),
        }
    }
}

/// The path without segments that may be secrets.
pub(crate) fn shown_path(path: &str) -> String {
    let segments: Vec<String> = path.split('/').map(shown_segment).collect();
    let path = segments.join("/");
    match path.char_indices().nth(PATH_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &path[..end]),
        None => path,
    }
}

fn shown_segment(segment: &str) -> String {
    let may_be_secret = segment.len() >= SECRET_CHARS_MIN
        && segment
            .bytes()
            .any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    if may_be_secret {
        "…".to_owned()
    } else {
        segment.escape_debug().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_without_secrets() {
        assert_eq!(shown_path("/git-hub"), "/git-hub");
        assert_eq!(shown_path("/dh/canary-path-5e5e"), "/dh/…");
        assert_eq!(
            shown_path("/github-enterprise-server"),
            "/github-enterprise-server"
        );
        assert_eq!(
            shown_path(&"/a".repeat(200)).chars().count(),
            PATH_CHARS_MAX + 1
        );
    }
}
