//! Events for the operator: lists, one with its attempts, counts, rows, and replay. Bodies as text or hex; what carries
//! a secret or a signature is masked.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Admin;
use crate::ledger::{Filter, LedgerError, Shown, State as DeliveryState};
use crate::model::{Event, EventId};

/// Of one page.
const PAGE_MAX: usize = 1000;
const PAGE_DEFAULT: usize = 50;
/// Of one replay.
const REPLAY_MAX: usize = 1000;
const BODY_SHOWN_MAX: usize = 256 << 10;

/// The routes below `/api`.
pub fn router() -> Router<Admin> {
    Router::new()
        .route("/api/events", routing::get(list))
        .route("/api/events/{id}", routing::get(show))
        .route("/api/replay", routing::post(replay))
        .route("/api/stats", routing::get(stats))
        .route("/api/rows/{hook}/{table}", routing::get(rows))
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    hook: Option<String>,
    state: Option<String>,
    before: Option<i64>,
    after: Option<i64>,
    limit: Option<usize>,
}

async fn list(State(admin): State<Admin>, Query(query): Query<ListQuery>) -> Response {
    let state = match state(query.state.as_deref()) {
        Ok(state) => state,
        Err(why) => return refused(StatusCode::BAD_REQUEST, &why),
    };
    let filter = Filter {
        hook: query.hook,
        state,
        before: query.before,
        after: query.after,
        limit: query.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX),
    };
    answer(admin.ledger.list(filter).await)
}

fn state(word: Option<&str>) -> Result<Option<DeliveryState>, String> {
    let Some(word) = word else { return Ok(None) };
    let wrong = || format!("`{}` is not a state: pending, running, done or dead", word.escape_debug());
    DeliveryState::from_word(word).map(Some).ok_or_else(wrong)
}

async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let id: EventId = match id.parse() {
        Ok(id) => id,
        Err(why) => return refused(StatusCode::BAD_REQUEST, &why),
    };
    match admin.ledger.show(id).await {
        Ok(Some(shown)) => answer(Ok(shown_json(&shown))),
        Ok(None) => refused(StatusCode::NOT_FOUND, "no event has this id"),
        Err(error) => answer::<()>(Err(error)),
    }
}

fn shown_json(shown: &Shown) -> Value {
    let event = match &shown.event {
        Some(Ok(event)) => event_json(event),
        Some(Err(_)) => json!({ "problem": "corrupt: what is stored is not what was accepted" }),
        None => json!({ "problem": "pruned: the body is no longer kept" }),
    };
    json!({ "event": event, "deliveries": shown.deliveries, "attempts": shown.attempts })
}

fn event_json(event: &Event) -> Value {
    let headers = event.headers.iter().map(|(name, value)| {
        let shown = if is_shown(name.as_str()) { String::from_utf8_lossy(value.as_bytes()) } else { "(masked)".into() };
        json!([name.as_str(), shown])
    });
    let cut = &event.body[..event.body.len().min(BODY_SHOWN_MAX)];
    let body = match std::str::from_utf8(cut) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "hex": hex::encode(cut) }),
    };
    json!({
        "id": event.id.to_string(),
        "hook": &*event.hook,
        "received_at": humantime::format_rfc3339_millis(event.received_at).to_string(),
        "method": event.method.as_str(),
        "path": event.path,
        "query": event.query,
        "headers": headers.collect::<Vec<_>>(),
        "attributes": event.attributes,
        "body_bytes": event.body.len(),
        "body": body,
    })
}

/// Whoever reads along must not be able to send the request again: only headers that are known to be harmless are shown, since
/// any other may be where a sender puts its proof.
fn is_shown(header: &str) -> bool {
    const WHOLE: [&str; 8] =
        ["accept", "date", "host", "traceparent", "tracestate", "user-agent", "via", "x-request-id"];
    const PARTS: [&str; 8] =
        ["content-", "accept-", "event", "delivery", "topic", "timestamp", "forwarded", "-version"];
    const NEVER: [&str; 6] = ["sign", "token", "secret", "auth", "key", "digest"];
    let is_harmless = WHOLE.contains(&header) || PARTS.iter().any(|part| header.contains(part));
    is_harmless && !NEVER.iter().any(|part| header.contains(part))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayOrder {
    /// These events.
    #[serde(default)]
    events: Vec<String>,
    /// Or all of this hook, newest first,
    hook: Option<String>,
    /// in this state.
    state: Option<String>,
    /// Only say how many.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Replayed {
    events: usize,
    dry_run: bool,
    unknown: Vec<String>,
}

async fn replay(State(admin): State<Admin>, Json(order): Json<ReplayOrder>) -> Response {
    let ids = match asked(&admin, &order).await {
        Ok(ids) => ids,
        Err(response) => return *response,
    };
    if ids.len() > REPLAY_MAX {
        return refused(StatusCode::BAD_REQUEST, &format!("{REPLAY_MAX} events at most in one replay"));
    }
    if order.dry_run {
        return answer(Ok(Replayed { events: ids.len(), dry_run: true, unknown: Vec::new() }));
    }
    let hooks = match admin.ledger.replay(ids.clone()).await {
        Ok(hooks) => hooks,
        Err(error) => return answer::<()>(Err(error)),
    };
    let now = admin.ledger.now();
    hooks.iter().flatten().for_each(|hook| admin.delivery.queue().is_due(&hook.as_str().into(), now));
    let unknown: Vec<String> =
        ids.iter().zip(&hooks).filter(|(_, hook)| hook.is_none()).map(|(id, _)| id.to_string()).collect();
    let events = hooks.iter().flatten().count();
    tracing::info!(events, hook = order.hook, state = order.state, "events are replayed at the operator's word");
    answer(Ok(Replayed { events, dry_run: false, unknown }))
}

async fn asked(admin: &Admin, order: &ReplayOrder) -> Result<Vec<EventId>, Box<Response>> {
    let bad = |why: &str| Box::new(refused(StatusCode::BAD_REQUEST, why));
    if !order.events.is_empty() {
        return order.events.iter().map(|id| id.parse()).collect::<Result<_, String>>().map_err(|why| bad(&why));
    }
    let hook = order.hook.clone().ok_or_else(|| bad("name events, or a hook"))?;
    let state = state(order.state.as_deref()).map_err(|why| bad(&why))?.unwrap_or(DeliveryState::Dead);
    let filter = Filter { hook: Some(hook), state: Some(state), limit: REPLAY_MAX, ..Filter::default() };
    let listed = admin.ledger.list(filter).await.map_err(|error| Box::new(answer::<()>(Err(error))))?;
    let mut ids: Vec<EventId> = listed.iter().filter_map(|one| one.event.parse().ok()).collect();
    // Oldest first, each once.
    ids.reverse();
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(*id));
    Ok(ids)
}

async fn stats(State(admin): State<Admin>) -> Response {
    answer(admin.ledger.count().await)
}

#[derive(Debug, Deserialize)]
struct RowsQuery {
    after: Option<i64>,
    limit: Option<usize>,
}

async fn rows(
    State(admin): State<Admin>,
    Path((hook, table)): Path<(String, String)>,
    Query(query): Query<RowsQuery>,
) -> Response {
    let limit = query.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    answer(admin.ledger.rows(hook, table, query.after.unwrap_or(0), limit).await)
}

fn answer<T: Serialize>(result: Result<T, LedgerError>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, "no-store".parse().expect("a constant"));
    match result {
        Ok(value) => (headers, Json(value)).into_response(),
        Err(error) => {
            let status = match error {
                LedgerError::Other(_) | LedgerError::Corrupt(_) => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            refused(status, &error.to_string())
        }
    }
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
