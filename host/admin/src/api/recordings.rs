//! Recordings of attempts with their events, for runs of another component.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ApiQuery, Refusal, answered, bad_request, failed};
use super::event::{EventRequest, request_to_run};
use super::params;
use crate::events::Events;
use landfall_ledger::{RecordingFilter, StoredRecording};
use landfall_model::clock::from_ms;

/// The most recordings of one page, and its default.
const PAGE_MAX: usize = 100;
const PAGE_DEFAULT: usize = 25;
/// A page with more bytes ends before its limit, after one recording at the earliest.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// A page of recordings.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordingsQuery {
    /// Only recordings of this hook.
    hook: Option<String>,
    /// Only recordings of the event with this id, or the beginning of it.
    event: Option<String>,
    /// Only attempts that did not end as `done`.
    #[serde(default)]
    #[param(required = false)]
    failed: bool,
    /// Only attempts that began at this time or later: RFC 3339, or a duration before now such as
    /// `1h`.
    since: Option<String>,
    /// Recordings before this one: `next` of the page before.
    before: Option<String>,
    /// The most recordings, up to 100. Default: 25. A page may have fewer.
    limit: Option<usize>,
}

/// A page of recordings, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingPage {
    /// The recordings.
    recordings: Vec<RecordingEntry>,
    /// The `before` of the next page. Null at the end.
    next: Option<String>,
}

/// A recorded attempt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingEntry {
    /// The number of the delivery.
    delivery: i64,
    /// The number of the attempt, from 1.
    attempt: u32,
    /// The outcome of the attempt.
    outcome: String,
    /// When the attempt began, in RFC 3339.
    started_at: String,
    /// The whole request, in which only what may prove the sender is masked. Null: its body has
    /// been removed.
    event: Option<EventRequest>,
    /// What the component saw and did. Null: it cannot be read.
    #[schema(value_type = Option<Object>)]
    recording: Option<Value>,
}

/// The recordings of attempts with their events, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/recordings",
    operation_id = "list_recordings",
    tag = "events",
    params(RecordingsQuery),
    responses(
        (status = 200, body = RecordingPage),
        (status = 400, description = "A parameter is wrong", body = ApiError),
        (status = 404, description = "There is no such hook, and no event of it", body = ApiError),
    )
)]
pub(crate) async fn list(
    State(events): State<Events>,
    ApiQuery(query): ApiQuery<RecordingsQuery>,
) -> Response {
    answered(page(&events, query).await)
}

async fn page(events: &Events, query: RecordingsQuery) -> Result<RecordingPage, Refusal> {
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let since_ms = params::time(query.since.as_deref(), events.clock).map_err(bad_request)?;
    let event = match &query.event {
        None => None,
        Some(typed) => match events.event(typed).await? {
            Some(id) => Some(id),
            None => return Ok(RecordingPage::EMPTY),
        },
    };
    let filter = RecordingFilter {
        hook: query.hook.clone(),
        event,
        is_failed: query.failed,
        since_ms,
        before: query.before.as_deref().map(cursor).transpose()?,
        limit,
    };
    let stored = events.ledger.recordings(filter).await.map_err(failed)?;
    if let (true, Some(hook)) = (stored.is_empty(), &query.hook) {
        events.require_known(hook).await?;
    }

    let is_full = stored.len() == limit;
    let (mut recordings, mut next, mut bytes) = (Vec::new(), None, 0);
    let mut is_cut = false;
    for one in stored {
        let body_bytes = one.event.as_ref().map_or(0, |event| event.body.len());
        bytes += one.recording.len() + body_bytes;
        if bytes > PAGE_BYTES_MAX && !recordings.is_empty() {
            is_cut = true;
            break;
        }
        next = Some(format!("{}.{}", one.delivery, one.attempt));
        recordings.push(RecordingEntry::new(events, one));
    }
    Ok(RecordingPage {
        recordings,
        next: next.filter(|_| is_full || is_cut),
    })
}

/// `DELIVERY.ATTEMPT`
fn cursor(typed: &str) -> Result<(i64, u32), Refusal> {
    typed
        .split_once('.')
        .and_then(|(delivery, attempt)| Some((delivery.parse().ok()?, attempt.parse().ok()?)))
        .ok_or_else(|| {
            let typed = typed.escape_debug();
            bad_request(format!("`{typed}` is not the `next` of a page"))
        })
}

// === impl RecordingPage ===

impl RecordingPage {
    const EMPTY: RecordingPage = RecordingPage {
        recordings: Vec::new(),
        next: None,
    };
}

// === impl RecordingEntry ===

impl RecordingEntry {
    fn new(events: &Events, stored: StoredRecording) -> RecordingEntry {
        let event = stored.event.as_ref();
        RecordingEntry {
            delivery: stored.delivery,
            attempt: stored.attempt,
            outcome: stored.outcome,
            started_at: humantime::format_rfc3339_millis(from_ms(stored.started_ms)).to_string(),
            event: event.map(|event| request_to_run(events, event)),
            recording: serde_json::from_slice(&stored.recording).ok(),
        }
    }
}
