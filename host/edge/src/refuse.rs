//! Records each rejected request and each reply that is not sent: a log line, a counter and an entry
//! of `/api/v1/refusals`. The caller never sees what the operator reads here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::response::Response;

use super::answer;
use super::caller::Caller;
use super::edge::Edge;
use super::rejection::{Broken, Rejected, Rejection, Why};
use super::responses::OverBudget;
use landfall_hooks::Hook;
use landfall_model::{ADMIN, LOG_WINDOW, LogDecision, NO_HOOK, RefusedRequest};

/// The messages of log lines.
const REFUSED: &str = "request refused";
const NOT_SENT: &str = "reply not sent";
const SLOW_READER: &str = "answer not read in time";

/// The answer to a rejected request, and what was recorded.
pub(crate) struct Recorded {
    pub(crate) response: Response,
    /// The word for the reason. `None`: nothing was refused.
    pub(crate) reason: Option<&'static str>,
    /// Too many requests were refused for this reason to log each.
    pub(crate) is_suppressed: bool,
}

/// Records a rejection and returns the answer.
pub(crate) fn refuse(
    edge: &Edge,
    rejected: Rejected,
    caller: &Caller,
    hook: Option<&Hook>,
) -> Recorded {
    let Rejected { rejection, request } = rejected;
    let why = explain(edge, &rejection, caller, hook);
    let is_ours = rejection.is_ours();
    let response = match hook {
        Some(hook) => answer::apply_rules(hook, rejection.response()),
        None => rejection.response(),
    };

    let (mut reason, mut is_suppressed) = (None, false);
    if let Some(mut why) = why {
        why.request = why.request.or(request);
        reason = Some(why.reason);
        let name = match hook {
            Some(hook) => {
                hook.metrics.count_refused(why.reason);
                &*hook.spec.name
            }
            None => {
                edge.metrics.count_refused(caller.name, why.reason);
                caller.name
            }
        };
        let is_logged = record(
            edge,
            name,
            Recording {
                what: REFUSED,
                why,
                status: Some(response.status().as_u16()),
                address: caller.address,
                is_ours,
            },
        );
        is_suppressed = !is_logged;
    }

    Recorded {
        response,
        reason,
        is_suppressed,
    }
}

/// Records what the listener refused.
pub(crate) fn refuse_broken(edge: &Edge, broken: Broken, peer: IpAddr) {
    let (status, why) = match broken {
        Broken::LargeHead => (Some(431), large_head()),
        Broken::BadHead => (Some(400), bad_head("the request head is not HTTP/1.1")),
        Broken::Http2 => {
            let hint = "set http2 = true (LANDFALL_HTTP2) to take HTTP/2 without TLS, or let the \
                        proxy speak HTTP/1.1";
            (
                None,
                bad_head("HTTP/2, and this node takes HTTP/1.1 only").with_hint(hint),
            )
        }
        Broken::SlowReader => return record_slow_reader(edge, peer),
        Broken::SlowHead => {
            let hint = "limits.head_timeout bounds the time for a request head";
            (
                None,
                Why::new("head_timeout", "the request head did not come in time").with_hint(hint),
            )
        }
    };

    edge.metrics.count_refused(NO_HOOK, why.reason);
    record(
        edge,
        NO_HOOK,
        Recording {
            what: REFUSED,
            why: *why,
            status,
            address: Some(peer.to_canonical()),
            is_ours: false,
        },
    );
}

/// Records a client that reads its answer too slowly.
fn record_slow_reader(edge: &Edge, peer: IpAddr) {
    let why = Why::new(
        "slow_reader",
        "the client did not read its answer in time, and was disconnected",
    )
    .with_hint(
        "limits.response_rate bounds how slowly an answer may be read, limits.head_timeout the \
         pause between two pieces of it",
    );
    edge.metrics.count_dropped_reply(why.reason);
    record(
        edge,
        NO_HOOK,
        Recording {
            what: SLOW_READER,
            why: *why,
            status: None,
            address: Some(peer.to_canonical()),
            is_ours: false,
        },
    );
}

/// Records a reply for which there is no memory. The event is stored, so its caller gets the
/// accepted answer with this status.
pub(crate) fn record_dropped_reply(
    edge: &Edge,
    over: OverBudget,
    caller: &Caller,
    hook: &Hook,
    status: u16,
) {
    let why = Why::new(
        "reply_dropped",
        format!(
            "the replies that clients have not read reach {}, so the caller gets the accepted \
             answer instead of the reply",
            over.setting()
        ),
    )
    .with_hint(response_memory_hint(over.setting()));
    edge.metrics.count_dropped_reply(over.reason());
    let recording = Recording {
        what: NOT_SENT,
        why: *why,
        status: Some(status),
        address: caller.address,
        is_ours: false,
    };
    record(edge, &hook.spec.name, recording);
}

/// Records what the admin listener refused.
pub fn refuse_admin(edge: &Edge, why: Why, status: u16, client: Option<IpAddr>) {
    edge.metrics.count_refused(ADMIN, why.reason);
    let recording = Recording {
        what: REFUSED,
        why,
        status: Some(status),
        address: client,
        is_ours: status >= 500,
    };
    record(edge, ADMIN, recording);
}

/// What is recorded of a request.
struct Recording {
    /// The message of the log line.
    what: &'static str,
    why: Why,
    status: Option<u16>,
    address: Option<IpAddr>,
    is_ours: bool,
}

/// Returns whether the recording has a line in the log.
fn record(edge: &Edge, hook: &str, recording: Recording) -> bool {
    let Recording {
        what,
        why,
        status,
        address,
        is_ours,
    } = recording;
    let Why {
        reason,
        detail,
        hint,
        request,
    } = why;
    let refused = RefusedRequest {
        at: humantime::format_rfc3339_millis(edge.clock.now()).to_string(),
        hook: hook.to_owned(),
        reason,
        status,
        detail: detail.clone(),
        hint: hint.clone(),
        client_address: address.map(|address| address.to_string()),
        request,
    };
    let decision = edge.refusals.record(refused, Instant::now());
    match decision {
        LogDecision::Write if is_ours => {
            tracing::error!(
                hook,
                reason,
                status,
                detail,
                hint,
                "request refused: this node is not ready"
            );
        }
        LogDecision::Write => tracing::warn!(hook, reason, status, detail, hint, "{what}"),
        LogDecision::Suppress => {}
        LogDecision::SuppressFirst => {
            tokio::spawn(log_suppressed(
                edge.refusals.clone(),
                hook.to_owned(),
                reason,
                what,
            ));
        }
    }
    decision == LogDecision::Write
}

async fn log_suppressed(
    refusals: Arc<landfall_model::RefusalLog>,
    hook: String,
    reason: &'static str,
    what: &'static str,
) {
    tokio::time::sleep(LOG_WINDOW).await;
    let suppressed = refusals.take_suppressed(&hook, reason, Instant::now());
    let seconds = LOG_WINDOW.as_secs();
    if suppressed > 0 {
        tracing::warn!(
            hook,
            reason,
            suppressed,
            "{what} (and {suppressed} more in the last {seconds} s)"
        );
    }
}

/// The reason for the operator. `None` for answers that refuse nothing.
fn explain(
    edge: &Edge,
    rejection: &Rejection,
    caller: &Caller,
    hook: Option<&Hook>,
) -> Option<Why> {
    let (name, method, path) = (
        hook.map_or(caller.name, |hook| &*hook.spec.name),
        &caller.method,
        caller.path(hook),
    );
    let why = match rejection {
        Rejection::Options(_) | Rejection::Head => return None,
        Rejection::UnknownPath => {
            let why = Why::new(
                "unknown_path",
                format!("{method} {path}: no hook has this path"),
            );
            let near = edge
                .hints
                .take(NO_HOOK, 0)
                .then(|| edge.hooks.table().nearest_path(caller.uri.path()))
                .flatten();
            match near {
                Some(near) => why.with_hint(format!("{path}: did you mean {near}?")),
                None => why.with_hint("`landfall hooks` lists the hooks and their paths"),
            }
        }
        Rejection::Method(allow) => {
            method_not_allowed(caller, hook, allow.to_str().unwrap_or_default(), name)
        }
        Rejection::BadHead(what) => bad_head(format!("{method} {path}: {what}")),
        Rejection::LargeHead => large_head(),
        Rejection::UnknownMethod => Why::new(
            "method_unknown",
            format!("{path}: the method is longer than any that HTTP knows"),
        ),
        Rejection::UnknownCoding => Why::new(
            "coding_unknown",
            format!("{method} {path}: a Transfer-Encoding before `chunked`"),
        )
        .with_hint(
            "let the provider or the proxy send `Transfer-Encoding: chunked`; a compressed body \
             has a Content-Encoding",
        ),
        Rejection::BadBody => Why::new(
            "body_broken",
            format!("{method} {path}: the body ended too soon or is not well framed"),
        )
        .with_hint("the caller or a proxy closed the connection before the whole body had come"),
        Rejection::SlowBody => Why::new(
            "body_timeout",
            format!("{method} {path}: the body did not come in time"),
        )
        .with_hint(
            "limits.body_timeout bounds a whole body, limits.head_timeout the pause between \
             two pieces of it",
        ),
        Rejection::TooLarge => body_too_large(edge, caller, hook, name),
        Rejection::UnknownEncoding => Why::new(
            "encoding_unknown",
            format!("{method} {path}: the Content-Encoding is not known, or there are several"),
        )
        .with_hint(
            "gzip, deflate, br and zstd are decoded: let the provider or the proxy send one of \
             them, or none",
        ),
        Rejection::BadEncoding => Why::new(
            "encoding_broken",
            format!("{method} {path}: the body is not what its Content-Encoding says"),
        )
        .with_hint("a proxy on the way may have decoded or cut the body and left the header"),
        Rejection::TooLargeToKeep(error) => Why::new("event_too_large", error.clone()).with_hint(
            "the ledger or the broker bounds the size of an event, beside max_body of the \
             hook",
        ),
        Rejection::Unreadable(error) => {
            Why::new("body_unreadable", format!("{method} {path}: {error}")).with_hint(format!(
                "the event was not stored, because it could contain what [redact] of {name}.toml \
             removes: add rules for this kind of body, or unreadable = \"remove\" to store events \
             without such a body"
            ))
        }
        Rejection::Unauthorized(_, why)
        | Rejection::Challenge(_, why)
        | Rejection::Unavailable(why) => why.clone(),
        Rejection::Busy("concurrency") => {
            let detail = "as many attempts run as `concurrency` allows, and none ended within \
                          limits.queue_timeout";
            Why::new("busy", detail).with_hint(format!(
                "raise `concurrency` in {name}.toml, or use mode = \"async\""
            ))
        }
        Rejection::Busy("processors") => {
            let detail = "the hook has more requests than its share of the processors can serve: \
                          this one waited for limits.queue_timeout";
            Why::new("busy", detail).with_hint(format!(
                "add processors, or use mode = \"async\" in {name}.toml"
            ))
        }
        Rejection::Busy("decoders") => {
            let detail = "as many compressed bodies are decoded as the machine has cores, and \
                          none ended within limits.body_timeout";
            Why::new("busy", detail).with_hint(
                "let the provider send its bodies without Content-Encoding, or add cores",
            )
        }
        Rejection::NoResponseMemory(over) => Why::new(
            "busy",
            format!(
                "the replies that clients have not read reach {}",
                over.setting()
            ),
        )
        .with_hint(response_memory_hint(over.setting())),
        Rejection::Busy(setting) => Why::new(
            "busy",
            format!("the request bodies in memory reach {setting}"),
        )
        .with_hint(format!(
            "raise {setting} in landfall.toml, or lower max_body of hooks"
        )),
        Rejection::NotKept(error) => Why::new("not_stored", error.clone()).with_hint(
            "the event was not stored and the caller retries: `landfall doctor` checks the ledger \
             and the queue",
        ),
    };

    Some(*why)
}

fn response_memory_hint(setting: &str) -> String {
    format!(
        "clients read their replies slowly or not at all: lower limits.head_timeout, raise \
         limits.response_rate or {setting}, or let the handler reply with less"
    )
}

fn method_not_allowed(caller: &Caller, hook: Option<&Hook>, allow: &str, name: &str) -> Box<Why> {
    let (method, path) = (&caller.method, caller.path(hook));
    let checks = hook
        .map(|hook| hook.verifier.challenge_needs(method))
        .unwrap_or_default();
    let hint = if checks.is_empty() {
        format!(
            "the provider must send one of {allow}; a browser sends GET. `methods` in {name}.toml \
             adds others"
        )
    } else {
        format!(
            "{method} is only accepted for the provider's ownership check, which has: {}",
            checks.join("; or: ")
        )
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
    let size = if caller.announced > max as u64 {
        format!("the request announces {} bytes of body", caller.announced)
    } else {
        "the body has more bytes".to_owned()
    };

    let bodies = edge.limits.body_memory;
    let hint = format!(
        "raise max_body in {name}.toml (it is within limits.body_memory = {bodies} bytes of the \
         node)"
    );
    Why::new(
        "body_too_large",
        format!("{size}, and max_body is {max} bytes"),
    )
    .with_hint(hint)
}

fn large_head() -> Box<Why> {
    Why::new(
        "head_too_large",
        "the request head has more than 64 KiB or more than 100 headers",
    )
    .with_hint(
        "these bounds are fixed: remove headers, cookies or query parameters at the provider \
         or the proxy",
    )
}

fn bad_head(what: impl Into<String>) -> Box<Why> {
    Why::new("bad_head", what)
}
