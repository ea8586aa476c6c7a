//! The open alarms.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::answered;
use crate::node::Admin;

/// An alarm that is open.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenAlarm {
    /// The hook; `-` for an alarm of the node.
    hook: String,
    /// Its word in WATCH.md.
    #[schema(example = "silence")]
    alarm: &'static str,
    /// When it opened, in RFC 3339.
    since: String,
    /// What is wrong.
    sentence: String,
    /// What to do.
    hint: String,
}

/// The open alarms.
#[utoipa::path(
    get,
    path = "/api/v1/alarms",
    operation_id = "list_alarms",
    tag = "node",
    responses((status = 200, body = [OpenAlarm]))
)]
pub(crate) async fn list(State(admin): State<Admin>) -> Response {
    let open: Vec<OpenAlarm> = (admin.alarms)()
        .into_iter()
        .map(|alarm| OpenAlarm {
            hook: alarm.hook,
            alarm: alarm.alarm.word(),
            since: alarm.since,
            sentence: alarm.sentence,
            hint: alarm.hint,
        })
        .collect();
    answered(Ok(open))
}
