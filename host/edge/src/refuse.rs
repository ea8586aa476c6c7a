//! The one place where a refused request becomes an answer, and where it is recorded: a log line, a counter and an entry of
//! `/api/refusals`. What the operator reads here never reaches the caller.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use http::request::Parts;
use http::{Method, Uri};

use super::Edge;
use super::answer::{self, Stop};
use super::client;
use landfall_hooks::Hook;
use landfall_model::{ADMIN, LOG_WINDOW, LogDecision, NO_HOOK, Peer, RefusedRequest};

/// Why a request is refused, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// One word, for records, counters and logs.
    pub reason: &'static str,
    /// How the request differs from what was expected. Never holds a secret.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What is known of a request before its hook is.
pub struct Caller {
    /// Of the hook in records, where no hook is known.
    name: &'static str,
    method: Method,
    uri: Uri,
    /// The client, as far as it is known.
    pub address: Option<IpAddr>,
    /// False where `address` is only that of a proxy.
    pub is_known: bool,
    /// The other end of the connection, where that says that it is a proxy and is not trusted.
    pub proxy: Option<IpAddr>,
    /// Bytes of body that the head announces.
    announced: u64,
}

/// What the listener refuses before there is a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The head has more bytes or headers than the node takes; answered 431.
    LargeHead,
    /// The head is no HTTP; answered 400.
    BadHead,
    /// HTTP/2 where only HTTP/1.1 is taken.
    Http2,
    /// The head did not come in time; the connection is closed.
    SlowHead,
}

/// Signatures are computed again for a hint: this many for one hook at once, and
const HINTS_MAX: f64 = 20.0;
/// this many in a second.
const HINTS_PER_SECOND: f64 = 10.0;
/// A hint for a body of more bytes counts as several.
const HINT_BODY_BYTES: usize = 16 << 10;
/// Longer paths are cut.
const PATH_CHARS_MAX: usize = 120;
/// Segments of a path that are as long and not all lower case letters may be secrets.
const SECRET_CHARS_MIN: usize = 16;

/// Records a refusal and makes the answer.
pub fn refuse(edge: &Edge, stop: Stop, caller: &Caller, hook: Option<&Hook>) -> Response {
    let why = explain(edge, &stop, caller, hook);
    let is_ours = matches!(
        stop,
        Stop::Unavailable(_) | Stop::Busy(_) | Stop::NotKept(_)
    );
    let response = match hook {
        Some(hook) => answer::sent(&edge.counters, hook, stop.response()),
        None => stop.response(),
    };

    if let Some(why) = why {
        let name = hook.map_or(caller.name, |hook| &*hook.spec.name);
        record(
            edge,
            name,
            why,
            Some(response.status().as_u16()),
            caller.address,
            is_ours,
        );
    }
    response
}

/// Records what the listener has refused by itself.
pub fn refuse_broken(edge: &Edge, broken: Broken, peer: IpAddr) {
    let (status, why) = match broken {
        Broken::LargeHead => (Some(431), large_head()),
        Broken::BadHead => (Some(400), bad_head("the request head is not HTTP/1.1")),
        Broken::Http2 => {
            let hint = "set http2 = true (LANDFALL_HTTP2) to take HTTP/2 without TLS, or let the proxy speak HTTP/1.1";
            (
                Some(400),
                bad_head("HTTP/2, and this node takes HTTP/1.1 only").with_hint(hint),
            )
        }
        Broken::SlowHead => {
            let hint = "limits.head_timeout bounds the time for a request head";
            (
                None,
                Why::new("head_timeout", "the request head did not come in time").with_hint(hint),
            )
        }
    };
    record(
        edge,
        NO_HOOK,
        *why,
        status,
        Some(peer.to_canonical()),
        false,
    );
}

/// Records what the admin listener has refused.
pub fn refuse_admin(edge: &Edge, why: Why, status: u16, client: Option<IpAddr>) {
    record(edge, ADMIN, why, Some(status), client, status >= 500);
}

fn record(
    edge: &Edge,
    hook: &str,
    why: Why,
    status: Option<u16>,
    address: Option<IpAddr>,
    is_ours: bool,
) {
    let Why {
        reason,
        detail,
        hint,
    } = why;
    edge.counters.refused(hook, reason);
    let refused = RefusedRequest {
        at: humantime::format_rfc3339_millis(edge.clock.now()).to_string(),
        hook: hook.to_owned(),
        reason,
        status,
        detail: detail.clone(),
        hint: hint.clone(),
        client_address: address.map(|address| address.to_string()),
    };
    match edge.refusals.record(refused, Instant::now()) {
        LogDecision::Write if is_ours => {
            tracing::error!(
                hook,
                reason,
                status,
                detail,
                hint,
                "request refused: this side is not ready"
            );
        }
        LogDecision::Write => tracing::warn!(hook, reason, status, detail, hint, "request refused"),
        LogDecision::Suppress => {}
        LogDecision::SuppressFirst => {
            tokio::spawn(log_suppressed(
                edge.refusals.clone(),
                hook.to_owned(),
                reason,
            ));
        }
    }
}

async fn log_suppressed(
    refusals: Arc<landfall_model::RefusalLog>,
    hook: String,
    reason: &'static str,
) {
    tokio::time::sleep(LOG_WINDOW).await;
    let suppressed = refusals.take_suppressed(&hook, reason, Instant::now());
    let seconds = LOG_WINDOW.as_secs();
    if suppressed > 0 {
        tracing::warn!(
            hook,
            reason,
            suppressed,
            "request refused (and {suppressed} more in the last {seconds} s)"
        );
    }
}

/// What the operator is told. None for answers that refuse nothing.
fn explain(edge: &Edge, stop: &Stop, caller: &Caller, hook: Option<&Hook>) -> Option<Why> {
    let (name, method, path) = (
        hook.map_or(caller.name, |hook| &*hook.spec.name),
        &caller.method,
        caller.path(hook),
    );
    let why = match stop {
        Stop::Options(_) | Stop::Head => return None,
        Stop::UnknownPath => {
            let why = Why::new("unknown_path", format!("{method} {path}: no hook has this path"));
            let near =
                edge.hints.take(NO_HOOK, 0).then(|| edge.hooks.table().nearest_path(caller.uri.path())).flatten();
            match near {
                Some(near) => why.with_hint(format!("{path}: did you mean {near}?")),
                None => why.with_hint("`landfall hooks` lists the hooks and their paths"),
            }
        }
        Stop::Method(allow) => method_not_allowed(caller, hook, allow.to_str().unwrap_or_default(), name),
        Stop::BadHead(what) => bad_head(format!("{method} {path}: {what}")),
        Stop::LargeHead => large_head(),
        Stop::BadBody => {
            Why::new("body_broken", format!("{method} {path}: the body ended too soon or is not well framed"))
                .with_hint("the caller or a proxy closed the connection before the whole body had come")
        }
        Stop::SlowBody => Why::new("body_timeout", format!("{method} {path}: the body did not come in time"))
            .with_hint(
                "limits.body_timeout bounds a whole body, limits.head_timeout the pause between two pieces of it",
            ),
        Stop::TooLarge => body_too_large(edge, caller, hook, name),
        Stop::UnknownEncoding => Why::new(
            "encoding_unknown",
            format!("{method} {path}: the Content-Encoding is not known, or there are several"),
        )
        .with_hint("gzip, deflate, br and zstd are decoded: let the provider or the proxy send one of them, or none"),
        Stop::BadEncoding => {
            Why::new("encoding_broken", format!("{method} {path}: the body is not what its Content-Encoding says"))
                .with_hint("a proxy on the way may have decoded or cut the body and left the header")
        }
        Stop::TooLargeToKeep(error) => Why::new("event_too_large", error.clone())
            .with_hint("the ledger or the broker bounds the size of an event, beside max_body of the hook"),
        Stop::Unauthorized(_, why) | Stop::Challenge(_, why) | Stop::Unavailable(why) => why.clone(),
        Stop::Busy("concurrency") => {
            let detail = "as many attempts run as `concurrency` allows, and none ended within limits.queue_timeout";
            Why::new("busy", detail).with_hint(format!("raise `concurrency` in {name}.toml, or use mode = \"async\""))
        }
        Stop::Busy("decoders") => {
            let detail = "as many compressed bodies are decoded as the machine has cores, and none ended within limits.body_timeout";
            Why::new("busy", detail)
                .with_hint("let the provider send its bodies without Content-Encoding, or add cores")
        }
        Stop::Busy(setting) => Why::new("busy", format!("the request bodies in memory reach {setting}"))
            .with_hint(format!("raise {setting} in landfall.toml, or lower max_body of hooks")),
        Stop::NotKept(error) => Why::new("not_stored", error.clone()).with_hint(
            "the event was not stored and the caller retries: `landfall doctor` checks the ledger and the queue",
        ),
    };
    Some(*why)
}

fn method_not_allowed(caller: &Caller, hook: Option<&Hook>, allow: &str, name: &str) -> Box<Why> {
    let (method, path) = (&caller.method, caller.path(hook));
    let checks = hook
        .map(|hook| hook.verifier.challenge_needs(method))
        .unwrap_or_default();
    let hint = match checks.is_empty() {
        true => {
            format!(
                "the provider must send one of {allow}; a browser sends GET. `methods` in {name}.toml adds others"
            )
        }
        false => format!(
            "{method} is taken for the provider's ownership check alone, and that one has: {}",
            checks.join("; or: ")
        ),
    };
    Why::new(
        "method_not_allowed",
        format!("{method} {path}: the hook takes {allow}"),
    )
    .with_hint(hint)
}

fn body_too_large(edge: &Edge, caller: &Caller, hook: Option<&Hook>, name: &str) -> Box<Why> {
    let Some(hook) = hook else {
        return Why::new("body_too_large", "the body is too large");
    };
    let max = hook.sizes.max_body;
    let size = match caller.announced > max as u64 {
        true => format!("the request announces {} bytes of body", caller.announced),
        false => "the body has more bytes".to_owned(),
    };
    let bodies = edge.limits.body_memory;
    let hint = format!(
        "raise max_body in {name}.toml (it is within limits.body_memory = {bodies} bytes of the node)"
    );
    Why::new(
        "body_too_large",
        format!("{size}, and max_body is {max} bytes"),
    )
    .with_hint(hint)
}

fn large_head() -> Box<Why> {
    Why::new("head_too_large", "the request head has more than 64 KiB or more than 100 headers")
        .with_hint("these bounds are fixed: remove headers, cookies or query parameters at the provider or the proxy")
}

fn bad_head(what: impl Into<String>) -> Box<Why> {
    Why::new("bad_head", what)
}

// === impl Why ===

impl Why {
    /// Without a hint.
    pub fn new(reason: &'static str, detail: impl Into<String>) -> Box<Why> {
        Box::new(Why {
            reason,
            detail: detail.into(),
            hint: None,
        })
    }

    /// With one.
    pub fn with_hint(mut self: Box<Why>, hint: impl Into<String>) -> Box<Why> {
        self.hint = Some(hint.into());
        self
    }
}

// === impl Caller ===

impl Caller {
    /// Allocates nothing: most requests are not refused.
    pub fn of(edge: &Edge, head: &Parts, body: &Body) -> Caller {
        let peer = head
            .extensions
            .get::<Peer>()
            .map(|Peer(peer)| peer.ip().to_canonical());
        let client = peer.map(|peer| client::client(peer, &head.headers, &edge.trusted_proxies));
        let address = client.map(|client| client.address);
        Caller {
            name: NO_HOOK,
            method: head.method.clone(),
            uri: head.uri.clone(),
            address,
            is_known: client.is_some_and(|client| client.is_known),
            proxy: address
                .filter(|address| Some(*address) == peer && client::is_forwarded(&head.headers)),
            announced: body.size_hint().lower(),
        }
    }

    /// Under another name in records.
    pub fn named(self, name: &'static str) -> Caller {
        Caller { name, ..self }
    }

    /// For people. Of a known hook its own spelling: a parameter may be a secret.
    fn path(&self, hook: Option<&Hook>) -> String {
        match hook {
            Some(hook) => hook.spec.path.clone(),
            None => shown_path(self.uri.path()),
        }
    }
}

/// Without what may be a secret.
fn shown_path(path: &str) -> String {
    let segment = |segment: &str| {
        let may_be_secret = segment.len() >= SECRET_CHARS_MIN
            && segment
                .bytes()
                .any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        if may_be_secret {
            "…".to_owned()
        } else {
            segment.escape_debug().to_string()
        }
    };
    let shown = path.split('/').map(segment).collect::<Vec<_>>().join("/");
    match shown.char_indices().nth(PATH_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

/// Bounds the work for hints: requests that are refused must cost little.
#[derive(Debug, Default)]
pub struct HintTurns {
    by_hook: Mutex<HashMap<String, (Instant, f64)>>,
}

// === impl HintTurns ===

impl HintTurns {
    /// Whether a hint for this hook may be worked out now. `body` is the bytes that are read for it.
    pub fn take(&self, hook: &str, body: usize) -> bool {
        let now = Instant::now();
        let mut by_hook = self
            .by_hook
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if !by_hook.contains_key(hook) {
            by_hook.insert(hook.to_owned(), (now, HINTS_MAX));
        }
        let Some((last, turns)) = by_hook.get_mut(hook) else {
            return false;
        };
        *turns =
            (*turns + now.duration_since(*last).as_secs_f64() * HINTS_PER_SECOND).min(HINTS_MAX);
        *last = now;

        let cost = (1.0 + (body / HINT_BODY_BYTES) as f64).min(HINTS_MAX);
        let is_free = *turns >= cost;
        if is_free {
            *turns -= cost;
        }
        is_free
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

    #[test]
    fn large_bodies_use_up_hints_sooner() {
        let turns = HintTurns::default();
        assert_eq!(
            (0..100).filter(|_| turns.take("small", 100)).count(),
            HINTS_MAX as usize
        );
        assert_eq!(
            (0..100).filter(|_| turns.take("large", 10 << 20)).count(),
            1
        );
    }
}
