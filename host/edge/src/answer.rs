//! The answers of a hook: replies, accepted events, outcomes and ownership checks.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

use landfall_hooks::Hook;
use landfall_model::{EventId, Outcome, Reply};
use landfall_verify::{Answer, AnswerRules, ReplyBody};

pub(crate) const RETRY_SOON: Duration = Duration::from_secs(1);
pub(crate) const RETRY_LATER: Duration = Duration::from_secs(30);
/// A longer `retry_after` of a handler is shortened to this, because senders give up.
const RETRY_MAX: Duration = Duration::from_secs(24 * 3600);

/// The answer to an outcome in mode `sync`. The handler's reasons are for the operator, not for the
/// caller.
pub(crate) fn outcome(rules: &AnswerRules, outcome: Outcome, event: EventId) -> Response {
    match outcome {
        Outcome::Done(Some(handlers)) => reply(rules, handlers, event),
        Outcome::Done(None) => accepted(rules, event),
        Outcome::Retry { after, .. } | Outcome::Defer { after, .. } => retry(
            failed(StatusCode::SERVICE_UNAVAILABLE, "not handled now", event),
            after.unwrap_or(RETRY_LATER),
        ),
        Outcome::Reject {
            reply: Some(handlers),
            ..
        } => reply(rules, handlers, event),
        Outcome::Reject { reply: None, .. } => rejected(event),
        Outcome::Timeout => failed(StatusCode::GATEWAY_TIMEOUT, "timeout", event),
        Outcome::HostFault(_) => retry(
            failed(StatusCode::SERVICE_UNAVAILABLE, "not handled now", event),
            RETRY_LATER,
        ),
        Outcome::Trap(_) | Outcome::OutOfMemory | Outcome::OverLimit(_) | Outcome::BadReply(_) => {
            failed(StatusCode::INTERNAL_SERVER_ERROR, "handler failed", event)
        }
    }
}

/// The answer to an ownership check. `None` if the provider sent a value that a header cannot
/// contain.
pub(crate) fn challenge(answer: Answer) -> Option<Response> {
    let mut response = empty(StatusCode::from_u16(answer.status).ok()?);
    for (name, value) in answer.headers {
        response.headers_mut().insert(
            name.parse::<http::HeaderName>().ok()?,
            HeaderValue::from_str(&value).ok()?,
        );
    }

    if let Some((content_type, text)) = answer.body {
        *response.body_mut() = Body::from(text);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }

    Some(response)
}

/// Applies the provider's rules to an answer of the host or the handler: a status that the provider
/// punishes is replaced, and the body is removed if the provider requires an empty one.
pub(crate) fn apply_rules(hook: &Hook, response: Response) -> Response {
    let (rules, status) = (hook.verifier.answers(), response.status().as_u16());
    let response = match rules.instead_of(status) {
        None => response,
        Some(instead) => {
            if hook.metrics.count_avoided(status) {
                let what = "a status that the provider punishes was not sent; further ones are \
                            only counted";
                tracing::warn!(hook = &*hook.spec.name, status, sent = instead, what);
            }

            avoided(response, instead)
        }
    };

    if rules.reply_body == ReplyBody::Empty {
        without_body(response)
    } else {
        response
    }
}

/// An answer with another status and without the body of the avoided one.
fn avoided(avoided: Response, status: u16) -> Response {
    let status = StatusCode::from_u16(status).expect("a constant is a good status");
    let mut response = retry(error(status, "unavailable"), RETRY_LATER);
    for name in [RETRY_AFTER, CONNECTION] {
        if let Some(value) = avoided.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }

    response
}

fn without_body(response: Response) -> Response {
    let mut response = response.map(|_| Body::empty());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

/// The answer to an event that is stored and will be handled.
pub(crate) fn accepted(rules: &AnswerRules, event: EventId) -> Response {
    let accepted = &rules.accepted;
    let response = with_accepted_content(rules, empty(status(accepted.status)), event);
    let (mut parts, body) = response.into_parts();
    for (name, value) in &accepted.headers {
        if name != CONTENT_TYPE {
            parts.headers.append(name, value.clone());
        }
    }

    Response::from_parts(parts, body)
}

/// The handler's reply, within the provider's rules.
pub(crate) fn reply(rules: &AnswerRules, reply: Reply, event: EventId) -> Response {
    let has_body = !reply.body.is_empty();
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = status(rules.reply_status(reply.status));
    *response.headers_mut() = reply.headers;
    if !response.status().is_success() {
        return response;
    }

    if rules.has_no_body(response.status().as_u16()) {
        return without_body(response);
    }

    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_taken = !has_body || rules.takes_type(content_type);
    if rules.reply_body == ReplyBody::Accepted || !is_taken {
        return with_accepted_content(rules, response, event);
    }

    response
}

/// Replaces body and content type by those of the accepted answer.
fn with_accepted_content(rules: &AnswerRules, response: Response, event: EventId) -> Response {
    let mut response = without_body(response);
    if rules.has_no_body(response.status().as_u16()) {
        return response;
    }

    let (body, content_type) = rules.accepted.content(&event.to_string());
    *response.body_mut() = Body::from(body);
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }

    response
}

/// The answer to an event that the handler has rejected without a reply.
pub(crate) fn rejected(event: EventId) -> Response {
    failed(StatusCode::UNPROCESSABLE_ENTITY, "rejected", event)
}

fn failed(status: StatusCode, what: &str, event: EventId) -> Response {
    let body = serde_json::json!({ "error": what, "event": event.to_string() });
    json(status, &body)
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("the engine, the hook file and the pack were checked")
}

pub(crate) fn error(status: StatusCode, what: &str) -> Response {
    json(status, &serde_json::json!({ "error": what }))
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    body(status, value.to_string().into())
}

fn body(status: StatusCode, json: Bytes) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    with(
        response,
        CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )
}

pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub(crate) fn with(mut response: Response, name: http::HeaderName, value: HeaderValue) -> Response {
    response.headers_mut().insert(name, value);
    response
}

pub(crate) fn retry(response: Response, after: Duration) -> Response {
    let after = after.min(RETRY_MAX);
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    with(response, RETRY_AFTER, HeaderValue::from(seconds.max(1)))
}

/// Closes the connection after this answer.
pub(crate) fn closing(response: Response) -> Response {
    with(response, CONNECTION, HeaderValue::from_static("close"))
}
