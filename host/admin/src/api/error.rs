//! The one form of an error, and extractors that answer with it.

use std::fmt::Display;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::order_body::OrderRead;
use super::unreadable::{self, Unreadable};
use landfall_ledger::LedgerError;

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ApiError {
    /// What is wrong.
    error: String,
    /// What to do, if `error` does not say it.
    hint: Option<String>,
}

/// An answer other than 200.
pub(crate) type Refusal = Box<Response>;

/// An error with a status.
pub(crate) fn error_response(status: StatusCode, error: String, hint: Option<String>) -> Response {
    (status, Json(ApiError { error, hint })).into_response()
}

/// An error without a hint.
pub(crate) fn refused(status: StatusCode, why: &str) -> Response {
    error_response(status, why.to_owned(), None)
}

/// As `refused`, for `?`.
pub(crate) fn refusal(status: StatusCode, why: impl Display) -> Refusal {
    Box::new(refused(status, &why.to_string()))
}

/// A response with status 400.
pub(crate) fn bad_request(why: impl Display) -> Refusal {
    refusal(StatusCode::BAD_REQUEST, why)
}

/// The ledger cannot answer.
pub(crate) fn failed(error: LedgerError) -> Refusal {
    let status = match error {
        LedgerError::Other(_) | LedgerError::Corrupt(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    refusal(status, error)
}

/// JSON that no cache keeps, or the refusal.
pub(crate) fn answered<T: Serialize>(result: Result<T, Refusal>) -> Response {
    match result {
        Ok(value) => {
            let no_store = HeaderValue::from_static("no-store");
            ([(header::CACHE_CONTROL, no_store)], Json(value)).into_response()
        }
        Err(refusal) => *refusal,
    }
}

/// What is wrong with a path below `/api/` that is no endpoint.
pub(crate) const NO_ENDPOINT: &str = "no endpoint has this path";
/// What is wrong with a method that the endpoint does not have.
pub(crate) const NO_METHOD: &str = "the endpoint does not have this method";

/// What the audit record has in place of the error of an answer, which repeats a text of the
/// request that may be a secret. An extension of the answer.
#[derive(Debug, Clone)]
pub(crate) struct ForRecord(pub(crate) String);

/// The answer to a path below `/api/` that is no endpoint.
pub(crate) async fn unknown_endpoint() -> Response {
    error_response(
        StatusCode::NOT_FOUND,
        NO_ENDPOINT.into(),
        Some("GET /api/v1/openapi.json describes all endpoints".into()),
    )
}

/// The answer to a method that the endpoint does not have.
pub(crate) async fn unknown_method() -> Response {
    error_response(
        StatusCode::METHOD_NOT_ALLOWED,
        NO_METHOD.into(),
        Some("GET /api/v1/openapi.json describes all endpoints".into()),
    )
}

/// Postgres can neither store nor compare this character, and no name or text has it.
const NUL: &str = "the request contains a zero character";

/// The segments of the path.
pub(crate) struct ApiPath<T>(pub(crate) T);

/// The query parameters.
pub(crate) struct ApiQuery<T>(pub(crate) T);

/// The JSON body. The frame of the commands has checked its content type and its length.
pub(crate) struct ApiJson<T>(pub(crate) T);

// === impl ApiPath ===

impl<T, S> FromRequestParts<S> for ApiPath<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<ApiPath<T>, Response> {
        if parts.uri.path().contains("%00") {
            return Err(*bad_request(NUL));
        }

        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(ApiPath(value)),
            Err(_) => Err(*bad_request("the path is not text in UTF-8")),
        }
    }
}

// === impl ApiQuery ===

impl<T, S> FromRequestParts<S> for ApiQuery<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<ApiQuery<T>, Response> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(*bad_request(NUL));
        }

        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(ApiQuery(value)),
            Err(why) => Err(*bad_request(unreadable::query(&why.body_text()))),
        }
    }
}

// === impl ApiJson ===

impl<T, S> FromRequest<S> for ApiJson<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<ApiJson<T>, Response> {
        let order = request.extensions().get::<OrderRead>().cloned();
        // The frame of the commands has read it.
        let Ok(body) = Bytes::from_request(request, state).await else {
            return Err(*bad_request("the body cannot be read"));
        };
        if body.windows(6).any(|six| six == b"\\u0000") {
            return Err(*bad_request(NUL));
        }

        match unreadable::from_json(&body) {
            Ok(value) => {
                if let Some(order) = order {
                    order.set();
                }
                Ok(ApiJson(value))
            }
            Err(Unreadable { told, recorded }) => {
                let mut answer = *bad_request(told);
                answer.extensions_mut().insert(ForRecord(recorded));
                Err(answer)
            }
        }
    }
}
