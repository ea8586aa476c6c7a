//! Answers with the OpenAPI document.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// The text of the OpenAPI document.
#[derive(Clone)]
pub(crate) struct Document(pub(crate) Arc<str>);

/// This description, in OpenAPI 3.1.
///
/// The scopes of `security` name the role that the token needs.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "show_openapi",
    tag = "node",
    responses((
        status = 200,
        description = "An OpenAPI document",
        content_type = "application/json",
    ))
)]
pub(crate) async fn show(State(document): State<Document>) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], document.0.to_string()).into_response()
}
