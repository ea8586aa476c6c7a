//! Events for the operator: one event with its attempts, counts, and rows. Bodies are text or hex.
//! Secrets and signatures are masked.

use std::fmt::Display;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::query_error::QueryError;
use landfall_dispatch::Dispatcher;
use landfall_hooks::Hooks;
use landfall_ledger::{Filter, History, LedgerError, Shown, UNDECODABLE};
use landfall_model::clock::to_ms;
use landfall_model::{Clock, DeliveryState, Event, EventId};

/// The state of the handlers for events.
#[derive(Clone)]
pub struct Events {
    /// The stored events.
    pub ledger: Arc<dyn History>,
    /// The clock for times such as `1h`, an hour ago.
    pub clock: Clock,
    /// Wakes the workers and knows the hooks; `None` if the ledger of a stopped node is read.
    pub running: Option<(Arc<Dispatcher>, Hooks)>,
}

/// Entries of one page.
pub(super) const PAGE_MAX: usize = 1000;
const BODY_SHOWN_MAX: usize = 256 << 10;

/// Parses a time, or a duration before now, to ms since 1970.
pub(super) fn time(typed: Option<&str>, clock: Clock) -> Result<Option<i64>, QueryError> {
    let Some(typed) = typed else { return Ok(None) };
    let ago = humantime::parse_duration(typed)
        .ok()
        .and_then(|ago| clock.now().checked_sub(ago));
    let at = ago.map_or_else(|| humantime::parse_rfc3339_weak(typed), Ok);
    at.map(|at| Some(to_ms(at)))
        .map_err(|_| QueryError::Time(typed.to_owned()))
}

pub(super) fn state(word: Option<&str>) -> Result<Option<DeliveryState>, QueryError> {
    let Some(word) = word else { return Ok(None) };
    DeliveryState::from_word(word)
        .map(Some)
        .ok_or_else(|| QueryError::State(word.to_owned()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowQuery {
    /// Include the whole body instead of its beginning.
    #[serde(default)]
    whole: bool,
}

pub(super) async fn show(
    State(events): State<Events>,
    Path(id): Path<String>,
    query: Result<Query<ShowQuery>, QueryRejection>,
) -> Response {
    let Query(ShowQuery { whole }) = match query {
        Ok(query) => query,
        Err(why) => return refused(StatusCode::BAD_REQUEST, &why.body_text()),
    };

    let id = match events.event(&id).await {
        Ok(Some(id)) => id,
        Ok(None) => return refused(StatusCode::NOT_FOUND, "no event has this id"),
        Err(refusal) => return *refusal,
    };

    match events.ledger.show(id).await {
        Ok(Some(shown)) => answer(Ok(shown_json(
            id,
            &shown,
            if whole { usize::MAX } else { BODY_SHOWN_MAX },
        ))),
        Ok(None) => refused(StatusCode::NOT_FOUND, "no event has this id"),
        Err(error) => answer::<()>(Err(error)),
    }
}

fn shown_json(id: EventId, shown: &Shown, body_max: usize) -> Value {
    let event = match &shown.event {
        Some(Ok(event)) => event_json(event, body_max),
        Some(Err(_)) => json!({ "problem": "corrupt: what is stored is not what was accepted" }),
        None => json!({ "problem": "pruned: the body is no longer kept" }),
    };

    let children = shown
        .attempts
        .iter()
        .filter_map(|attempt| attempt.record["emitted_events"].as_array())
        .flatten();
    let children = children.map(|child| json!({ "event": child[0], "hook": child[1] }));
    let parent = attribute(shown, "caused-by")
        .map(|event| json!({ "event": event, "hook": attribute(shown, "emitted-by") }));

    json!({
        "id": id.to_string(),
        "event": event,
        "verdict": {
            "key": attribute(shown, "verified-by"),
            "scheme": attribute(shown, "verified-by-scheme"),
            "provider": attribute(shown, "provider"),
        },
        "parent": parent,
        "children": children.collect::<Vec<_>>(),
        "deliveries": shown.deliveries,
        "attempts": shown.attempts,
        "repeats": shown.repeats,
    })
}

/// An attribute of the event; `None` if the event is pruned or corrupt.
fn attribute<'a>(shown: &'a Shown, name: &str) -> Option<&'a str> {
    let event = shown.event.as_ref()?.as_ref().ok()?;
    event.attribute(name)
}

fn event_json(event: &Event, body_max: usize) -> Value {
    let headers = event.headers.iter().map(|(name, value)| {
        let shown = if is_shown(name.as_str()) {
            String::from_utf8_lossy(value.as_bytes())
        } else {
            "(masked)".into()
        };

        json!([name.as_str(), shown])
    });
    let cut = &event.body[..event.body.len().min(body_max)];
    let body = match std::str::from_utf8(cut) {
        Ok(text) => json!({ "text": text }),
        // The end may be inside a character.
        Err(error) if cut.len() < event.body.len() && error.error_len().is_none() => {
            json!({ "text": String::from_utf8_lossy(&cut[..error.valid_up_to()]) })
        }
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

/// Masks every header that is not known to be harmless, because a sender may put its proof into any
/// header. A reader must not be able to send the request again.
pub(super) fn is_shown(header: &str) -> bool {
    const WHOLE: [&str; 8] = [
        "accept",
        "date",
        "host",
        "traceparent",
        "tracestate",
        "user-agent",
        "via",
        "x-request-id",
    ];
    const PARTS: [&str; 8] = [
        "content-",
        "accept-",
        "event",
        "delivery",
        "topic",
        "timestamp",
        "forwarded",
        "-version",
    ];
    const NEVER: [&str; 6] = ["sign", "token", "secret", "auth", "key", "digest"];
    let is_harmless = WHOLE.contains(&header) || PARTS.iter().any(|part| header.contains(part));
    is_harmless && !NEVER.iter().any(|part| header.contains(part))
}

/// A count, and whether the hook of the events still exists.
#[derive(Serialize)]
struct Counted {
    #[serde(flatten)]
    count: landfall_ledger::Count,
    /// No hook has this name, so its events wait.
    orphaned: bool,
}

pub(super) async fn stats(State(events): State<Events>) -> Response {
    let counts = events.ledger.count().await.map(|counts| {
        let counted = counts.into_iter().map(|count| Counted {
            orphaned: events.is_orphan(&count.hook),
            count,
        });
        counted.collect::<Vec<_>>()
    });

    answer(counts)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowsQuery {
    after: Option<i64>,
    limit: Option<usize>,
}

pub(super) async fn rows(
    State(events): State<Events>,
    Path((hook, table)): Path<(String, String)>,
    query: Result<Query<RowsQuery>, QueryRejection>,
) -> Response {
    let Query(query) = match query {
        Ok(query) => query,
        Err(why) => return refused(StatusCode::BAD_REQUEST, &why.body_text()),
    };

    let limit = query.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let after = query.after.unwrap_or(0);
    let rows = events
        .ledger
        .rows(hook.clone(), table.clone(), after, limit)
        .await;
    match rows {
        Ok(rows) if rows.is_empty() && after == 0 && limit > 0 && !events.stores(&hook, &table) => {
            let (hook, table) = (hook.escape_debug(), table.escape_debug());
            refused(
                StatusCode::NOT_FOUND,
                &format!(
                    "hook `{hook}` has no table `{table}`: no row is in it, and no hook file \
                     allows it"
                ),
            )
        }
        rows => answer(rows),
    }
}

// === impl Events ===

impl Events {
    /// The event with this id, or the only event whose id starts with it. `None` if no event
    /// matches.
    pub(super) async fn event(&self, typed: &str) -> Result<Option<EventId>, Box<Response>> {
        if let Ok(id) = typed.parse() {
            return Ok(Some(id));
        }

        let (first, last) =
            EventId::range(typed).map_err(|error| bad_request(error.to_string()))?;
        let found = self
            .ledger
            .find_ids(first, last, 2)
            .await
            .map_err(|error| Box::new(answer::<()>(Err(error))))?;
        match found[..] {
            [] => Ok(None),
            [id] => Ok(Some(id)),
            _ => Err(bad_request(format!(
                "several events have ids that begin with `{typed}`: write more of it"
            ))),
        }
    }

    /// Refuses a hook that neither exists on the running node nor has a delivery in the ledger.
    pub(super) async fn require_known(&self, hook: &str) -> Result<(), Box<Response>> {
        let exists = self.running.as_ref().is_some_and(|(_, hooks)| {
            // A hook that is not in the directory yet may be in a file that has not been read.
            !hooks.is_complete() || hooks.statuses().iter().any(|status| status.name == hook)
        });
        if exists || hook == UNDECODABLE {
            return Ok(());
        }

        let one = Filter {
            hook: Some(hook.to_owned()),
            limit: 1,
            ..Filter::default()
        };
        match self.ledger.list(one).await {
            Ok(found) if !found.is_empty() => Ok(()),
            Ok(_) => {
                let why = format!(
                    "there is no hook `{}`, and no event of it: `landfall hooks` and `landfall events stats` list the names",
                    hook.escape_debug()
                );
                Err(Box::new(refused(StatusCode::NOT_FOUND, &why)))
            }
            Err(error) => Err(Box::new(answer::<()>(Err(error)))),
        }
    }

    /// The running node has no hook of this name.
    pub(super) fn is_orphan(&self, hook: &str) -> bool {
        self.running
            .as_ref()
            .is_some_and(|(_, hooks)| hooks.named(hook).is_none())
    }

    /// The hook may store rows in this table, or is in a file that has not been read yet.
    fn stores(&self, hook: &str, table: &str) -> bool {
        let Some((_, hooks)) = &self.running else {
            return false;
        };
        !hooks.is_complete()
            || hooks.named(hook).is_some_and(|hook| {
                let tables = hook.spec.allow.capabilities.names("table");
                tables.iter().any(|allowed| allowed == table)
            })
    }
}

/// A response with status 400.
pub(super) fn bad_request(why: impl Display) -> Box<Response> {
    Box::new(refused(StatusCode::BAD_REQUEST, &why.to_string()))
}

pub(super) fn answer<T: Serialize>(result: Result<T, LedgerError>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CACHE_CONTROL,
        "no-store".parse().expect("a constant"),
    );
    match result {
        Ok(value) => (headers, Json(value)).into_response(),
        Err(error) => {
            let status = match error {
                LedgerError::Other(_) | LedgerError::Corrupt(_) => {
                    StatusCode::INTERNAL_SERVER_ERROR
                }
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };

            refused(status, &error.to_string())
        }
    }
}

pub(super) fn refused(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
