//! The part of a refused request that the operator sees, without secrets.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::caller::{Caller, shown_path};
use super::edge::Edge;
use super::target::AuthTarget;
use landfall_hooks::Hook;
use landfall_model::{RequestExcerpt, SecretSource, ValueLocation};
use landfall_verify::{AuthScheme, Unverified};

/// The head of a request whose body was not read.
pub(crate) fn of_head(
    caller: &Caller,
    hook: Option<&Hook>,
    headers: &HeaderMap,
) -> Box<RequestExcerpt> {
    Box::new(RequestExcerpt::of_head(
        &caller.method,
        caller.path(hook),
        caller.uri.query(),
        &shown_headers(hook, headers),
    ))
}

/// The headers without the values that `[redact]` of the hook names.
fn shown_headers<'h>(hook: Option<&Hook>, headers: &'h HeaderMap) -> Cow<'h, HeaderMap> {
    let mut shown = Cow::Borrowed(headers);
    if let Some(hook) = hook
        && !hook.spec.redact.is_empty()
    {
        hook.spec.redact.headers(shown.to_mut());
    }
    shown
}

/// The body without the values that `[redact]` of the hook names. `None`: it cannot be read, or the
/// rules cannot.
fn redacted_body(hook: &Hook, request: &Unverified, body: &Bytes) -> Option<Bytes> {
    if hook.spec.redact.is_unknown() {
        return None;
    }
    let content_type = request.headers.get(CONTENT_TYPE);
    let json_field = hook.verifier.json_form_field();
    let redacted = hook.spec.redact.body(content_type, json_field, body).ok()?;
    Some(redacted.body)
}

/// A request whose sender was not authenticated. Values of the hook's secrets are masked: a proof
/// may be right, and the request be refused for another reason.
pub(crate) fn of_request(
    edge: &Edge,
    auth: AuthTarget<'_>,
    request: &Unverified,
) -> Box<RequestExcerpt> {
    let verifier = auth.verifier;
    // A parameter of the path may be a secret.
    let hook = edge.hooks.named(auth.name);
    let path = match &hook {
        Some(hook) => hook.spec.path.clone(),
        None => shown_path(&request.path),
    };
    let headers = shown_headers(hook.as_deref(), &request.headers);
    let query = request.query.as_deref();
    let head = RequestExcerpt::of_head(&request.method, path, query, &headers);
    let body = if is_secret_in_body(verifier.auth_scheme()) {
        None
    } else {
        verifier.body_without_proof(request)
    };
    // What is removed of stored events is not shown of refused requests either.
    let body = body.and_then(|body| match &hook {
        Some(hook) => redacted_body(hook, request, &body),
        None => Some(body),
    });
    let shown = match body {
        Some(body) => head.with_body(&body),
        None => head,
    };
    let mut excerpt = RequestExcerpt {
        body_bytes: Some(request.body.len()),
        ..shown
    };

    let references = verifier
        .secrets()
        .iter()
        .chain(verifier.challenge_secrets());
    for reference in references {
        if let Ok(secret) = edge.secrets.value(reference) {
            excerpt.without(secret.expose());
        }
    }
    Box::new(excerpt)
}

/// Whether the body may contain a shared secret or a token, perhaps the provider's right one while
/// ours is wrong.
fn is_secret_in_body(scheme: &AuthScheme) -> bool {
    match scheme {
        AuthScheme::Token { from, .. } => !matches!(
            from,
            ValueLocation::Header(_)
                | ValueLocation::Query(_)
                | ValueLocation::Path(_)
                | ValueLocation::Param(_)
        ),
        AuthScheme::Jwt(_) => true,
        AuthScheme::Closed
        | AuthScheme::Open
        | AuthScheme::Basic
        | AuthScheme::Signature(_)
        | AuthScheme::Provider(_) => false,
    }
}
