//! The frame of every command: role, content type and body are checked, and the audit record gets
//! one entry with what came of it. `operations` puts each operation that changes something into it.

use std::error::Error;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};

use super::audit::{Change, LeftOut, RefusedChange};
use super::error::{Refusal, bad_request, refusal, refused};
use crate::events::Events;
use crate::guard::{Guard, check_command};
use crate::role::Caller;

/// The most bytes of an order.
const BODY_MAX: usize = 2 << 20;
/// The most elements of a list in an entry of the audit record.
const LISTED_MAX: usize = 20;

/// What the frame knows of an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command {
    /// What the audit record calls it.
    pub(crate) action: &'static str,
    /// Whether it changes nothing if the order has `dry_run`.
    pub(crate) has_dry_run: bool,
}

/// What all commands share.
#[derive(Clone)]
pub(crate) struct Frame {
    events: Events,
    /// `None` without a listener: commands on the ledger of a stopped node.
    guard: Option<Guard>,
}

/// What a request asks for.
struct Asked {
    hook: Option<String>,
    order: Value,
}

// === impl Frame ===

impl Frame {
    pub(crate) fn new(events: Events, guard: Option<Guard>) -> Frame {
        Frame { events, guard }
    }

    /// Stores an entry for a request that was refused before it came to a command.
    pub(crate) async fn record_refused(
        &self,
        caller: &Caller,
        change: Change,
        refused: RefusedChange,
    ) {
        if !self.may_record(caller) {
            return;
        }

        match self.events.record(caller, change).await {
            Ok(id) => self.events.record_result(id, &refused).await,
            Err(_) => tracing::warn!("a refused request is not in the audit record"),
        }
    }

    fn check(&self, caller: &Caller, headers: &HeaderMap) -> Result<(), Refusal> {
        check_command(caller, headers).map_err(|why| {
            Box::new(match &self.guard {
                Some(guard) => guard.refuse(why, caller.address),
                None => refused(why.status, &why.detail),
            })
        })
    }

    /// Commands of readers are refused: only some of them are stored.
    fn may_record(&self, caller: &Caller) -> bool {
        caller.may_change() || self.guard.as_ref().is_none_or(Guard::records_reader)
    }

    /// Adds the answer to its entry.
    async fn record_answer(&self, id: i64, answer: Response) -> Response {
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        if parts.status.is_success() {
            self.events.record_result(id, &json).await;
        } else {
            let why = json["error"].as_str().unwrap_or_default();
            let refused = RefusedChange::new(parts.status.as_u16(), why);
            self.events.record_result(id, &refused).await;
        }
        Response::from_parts(parts, Body::from(body))
    }
}

// === impl Asked ===

impl Asked {
    async fn read(parts: &mut Parts, body: Option<&Bytes>) -> Asked {
        let order = body.map_or(Value::Object(Map::new()), order);
        let hook = match hook_of_path(parts).await {
            Some(hook) => Some(hook),
            None => order["hook"].as_str().map(str::to_owned),
        };
        Asked { hook, order }
    }

    fn is_dry_run(&self) -> bool {
        self.order["dry_run"] == Value::Bool(true)
    }
}

/// Runs a command.
pub(crate) async fn run(
    State((frame, command)): State<(Frame, Command)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let Some(caller) = parts.extensions.get::<Caller>().cloned() else {
        return refused(StatusCode::UNAUTHORIZED, "the request has no caller");
    };

    let body = match frame.check(&caller, &parts.headers) {
        Ok(()) => read(body).await,
        Err(refusal) => Err(refusal),
    };
    let asked = Asked::read(&mut parts, body.as_ref().ok()).await;
    let changes_nothing = command.has_dry_run && asked.is_dry_run();
    let mut entry = None;
    if !changes_nothing && frame.may_record(&caller) {
        let change = Change::new(command.action, asked.hook.as_deref(), &short(asked.order));
        match frame.events.record(&caller, change).await {
            Ok(id) => entry = Some(id),
            // Without its entry, the change is not made.
            Err(unrecorded) => return *body.err().unwrap_or(unrecorded),
        }
    }

    let answer = match body {
        Ok(body) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(refusal) => *refusal,
    };
    match entry {
        Some(id) => frame.record_answer(id, answer).await,
        None => answer,
    }
}

/// The whole body.
async fn read(body: Body) -> Result<Bytes, Refusal> {
    to_bytes(body, BODY_MAX).await.map_err(|error| {
        let is_too_large = error
            .source()
            .is_some_and(|why| why.is::<LengthLimitError>());
        if is_too_large {
            return refusal(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than 2 MiB",
            );
        }

        bad_request("the body ended early")
    })
}

/// The order in a body. A body that is no JSON object is told by its length.
fn order(body: &Bytes) -> Value {
    if body.is_empty() {
        return Value::Object(Map::new());
    }

    let left_out = LeftOut { bytes: body.len() };
    serde_json::from_slice(body)
        .map(Value::Object)
        .or_else(|_| serde_json::to_value(left_out))
        .unwrap_or_default()
}

/// The order with the first elements of long lists: `more_NAME` says how many are left out.
fn short(order: Value) -> Value {
    let mut keys = match order {
        Value::Object(keys) => keys,
        other => return other,
    };

    let mut more = Vec::new();
    for (name, value) in &mut keys {
        if let Value::Array(list) = value
            && list.len() > LISTED_MAX
        {
            more.push((format!("more_{name}"), Value::from(list.len() - LISTED_MAX)));
            list.truncate(LISTED_MAX);
        }
    }
    keys.extend(more);
    Value::Object(keys)
}

async fn hook_of_path(parts: &mut Parts) -> Option<String> {
    let segments = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    let mut segments = segments.iter();
    segments
        .find(|(name, _)| *name == "hook")
        .map(|(_, hook)| hook.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_orders_are_shortened() {
        let events: Vec<usize> = (0..600).collect();
        let short = short(json!({ "events": events, "reason": "old" }));
        assert_eq!(short["events"].as_array().unwrap().len(), LISTED_MAX);
        assert_eq!(short["more_events"], 580);
        assert_eq!(short["reason"], "old");
    }

    #[test]
    fn every_body_is_an_order() {
        for (body, expected) in [
            ("", json!({})),
            ("{\"limit\":-1}", json!({ "limit": -1 })),
            ("[1]", json!({ "bytes": 3 })),
            ("1.9", json!({ "bytes": 3 })),
            ("{\"limit\":", json!({ "bytes": 9 })),
            ("\u{0}", json!({ "bytes": 1 })),
        ] {
            assert_eq!(order(&Bytes::from(body)), expected, "{body}");
        }
    }
}
