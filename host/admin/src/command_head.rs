//! What the head of a command must have: a token that may change something, and JSON.

use axum::http::{HeaderMap, StatusCode, header};

use super::refused::{Refused, refused, role_missing};
use super::role::Caller;

/// Requires a token that may change something, and JSON.
pub(crate) fn check_command(caller: &Caller, headers: &HeaderMap) -> Result<(), Refused> {
    if caller.may_change() {
        check_content_type(headers)
    } else {
        Err(role_missing())
    }
}

/// Requires JSON: an HTML form of a foreign page can send any text, but not with this content type.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), Refused> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .map(|value| value.as_bytes());
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|length| length != b"0");
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if !has_body || essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }

    Err(refused(
        "admin_content_type",
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!(
            "the content type is `{}`, not application/json",
            given.escape_debug()
        ),
        "send `Content-Type: application/json`",
    ))
}
