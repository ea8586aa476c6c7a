//! A request that the guard refuses.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::StatusCode;

/// Called with every request that is refused.
pub(crate) type OnRefused = Arc<dyn Fn(Refused) + Send + Sync>;

/// A refused request to the admin API.
#[derive(Debug)]
pub struct Refused {
    /// One word, for records and counters.
    pub reason: &'static str,
    /// The status of the answer.
    pub status: StatusCode,
    /// How the request differs from what was expected. Never holds a token.
    pub detail: String,
    /// What to do.
    pub hint: &'static str,
    /// The other end of the connection.
    pub client: Option<IpAddr>,
}

pub(crate) fn role_missing() -> Refused {
    refused(
        "admin_role_missing",
        StatusCode::FORBIDDEN,
        "this token may read, and this request changes something".into(),
        "send the token of admin.token; that of admin.read_token only reads",
    )
}

pub(crate) fn refused(
    reason: &'static str,
    status: StatusCode,
    detail: String,
    hint: &'static str,
) -> Refused {
    Refused {
        reason,
        status,
        detail,
        hint,
        client: None,
    }
}
