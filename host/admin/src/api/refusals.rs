//! The last refused requests.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ApiQuery, answered};
use crate::node::Admin;
use landfall_model::{KeptRefusal, RequestExcerpt};

/// Selects refusals.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefusalsQuery {
    /// Refusals of this hook; `-` for requests to no hook.
    hook: Option<String>,
    /// Refusals with this reason word.
    reason: Option<String>,
}

/// A refused request, and how many were like it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusalEntry {
    /// RFC 3339, UTC.
    at: String,
    /// The hook's name, or `-`.
    hook: String,
    /// The reason word, such as `signature_mismatch`.
    reason: &'static str,
    /// The status of the response. Null: the connection was closed without one, or the request was
    /// a duplicate.
    status: Option<u16>,
    /// How the request differs from what was expected.
    detail: String,
    /// What the operator can do.
    hint: Option<String>,
    /// The address of the client.
    client_address: Option<String>,
    /// The request without secrets. Null: it had no head, or too many others were refused since.
    request: Option<RefusedHead>,
    /// Requests that were refused with this hook and reason since the start.
    count: u64,
    /// The time of the first of them.
    first_at: String,
}

/// The head of a refused request and the beginning of its body.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusedHead {
    /// The method as sent.
    method: String,
    /// The path without segments that may be secrets.
    path: String,
    /// The names of the query parameters.
    query: Option<String>,
    /// Names and values. Values that may be secrets are masked.
    #[schema(value_type = Vec<Vec<String>>)]
    headers: Vec<(String, String)>,
    /// Headers that are not listed.
    more_headers: usize,
    /// The first KiB of the body. Null: the body was not read, or it contains the proof.
    body: Option<String>,
    /// Whether `body` is hexadecimal digits.
    is_hex: bool,
    /// The length of the body. Null: it was not read.
    body_bytes: Option<usize>,
}

/// The last refused requests, newest first: 10 of each hook and reason.
#[utoipa::path(
    get,
    path = "/api/v1/refusals",
    operation_id = "list_refusals",
    tag = "refusals",
    params(RefusalsQuery),
    responses(
        (status = 200, body = Vec<RefusalEntry>),
        (status = 400, description = "A parameter is wrong", body = ApiError),
    )
)]
pub(crate) async fn list(
    State(admin): State<Admin>,
    ApiQuery(query): ApiQuery<RefusalsQuery>,
) -> Response {
    let RefusalsQuery { hook, reason } = query;
    let kept = admin.refusals.last().into_iter().filter(|kept| {
        hook.as_ref().is_none_or(|hook| kept.request.hook == *hook)
            && reason
                .as_ref()
                .is_none_or(|reason| kept.request.reason == reason)
    });
    answered(Ok(kept.map(RefusalEntry::from).collect::<Vec<_>>()))
}

// === impl RefusalEntry ===

impl From<KeptRefusal> for RefusalEntry {
    fn from(kept: KeptRefusal) -> RefusalEntry {
        let refused = kept.request;
        RefusalEntry {
            at: refused.at,
            hook: refused.hook,
            reason: refused.reason,
            status: refused.status,
            detail: refused.detail,
            hint: refused.hint,
            client_address: refused.client_address,
            request: refused.request.map(|request| RefusedHead::from(*request)),
            count: kept.count,
            first_at: kept.first_at,
        }
    }
}

// === impl RefusedHead ===

impl From<RequestExcerpt> for RefusedHead {
    fn from(request: RequestExcerpt) -> RefusedHead {
        RefusedHead {
            method: request.method,
            path: request.path,
            query: request.query,
            headers: request.headers,
            more_headers: request.more_headers,
            body: request.body,
            is_hex: request.is_hex,
            body_bytes: request.body_bytes,
        }
    }
}
