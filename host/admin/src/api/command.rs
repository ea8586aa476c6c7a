//! The frame of every command: role, content type and body are checked, and the audit record gets
//! one entry with what came of it. `operations` puts each operation that changes something into it.

use std::collections::BTreeSet;
use std::error::Error;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};

use super::audit::{Change, RefusedChange};
use super::error::{ForRecord, Refusal, bad_request, refusal, refused};
use super::order_body::{OrderBody, OrderRead};
use crate::command_head::check_command;
use crate::events::Events;
use crate::guard::Guard;
use crate::role::Caller;

/// The most bytes of an order.
const BODY_MAX: usize = 2 << 20;

/// What the frame knows of an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command {
    /// What the audit record calls it.
    pub(crate) action: &'static str,
    /// Whether it changes nothing if the order has `dry_run`.
    pub(crate) has_dry_run: bool,
    /// The keys of its order.
    pub(crate) keys: &'static BTreeSet<String>,
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
    order: OrderBody,
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
        if self.may_record(caller) {
            self.store_refused(caller, change, refused).await;
        }
    }

    /// Stores an entry for a request whose sender was refused. Of these, only some are stored,
    /// also if the sender has a token: a page of another site can make a browser send many.
    pub(crate) async fn record_foreign(
        &self,
        caller: &Caller,
        change: Change,
        refused: RefusedChange,
    ) {
        if self.guard.as_ref().is_none_or(Guard::records_foreign) {
            self.store_refused(caller, change, refused).await;
        }
    }

    async fn store_refused(&self, caller: &Caller, change: Change, refused: RefusedChange) {
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
            let told = json["error"].as_str().unwrap_or_default();
            let why = match parts.extensions.get::<ForRecord>() {
                Some(ForRecord(why)) => why,
                None => told,
            };
            let refused = RefusedChange::new(parts.status.as_u16(), why);
            self.events.record_result(id, &refused).await;
        }
        Response::from_parts(parts, Body::from(body))
    }
}

// === impl Asked ===

impl Asked {
    async fn read(parts: &mut Parts, body: Option<&Bytes>) -> Asked {
        let order = body.map_or(OrderBody::Keys(Map::new()), |body| OrderBody::of(body));
        let hook = match hook_of_path(parts).await {
            Some(hook) => Some(hook),
            None => order.hook().map(str::to_owned),
        };
        Asked { hook, order }
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
    let Asked { hook, order } = Asked::read(&mut parts, body.as_ref().ok()).await;
    let is_dry = command.has_dry_run && order.has_dry_run();
    let change = Change::new(command.action, hook.as_deref(), &order.detail(command.keys));
    let body = match body {
        Ok(body) if is_dry => {
            let request = Request::from_parts(parts, Body::from(body));
            return run_dry(&frame, &caller, change, request, next).await;
        }
        body => body,
    };

    let mut entry = None;
    if frame.may_record(&caller) {
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

/// Runs a command whose order seems to be a dry run, which has no entry. It is one if the command
/// has read the order as such. Otherwise the request is refused, and has an entry.
async fn run_dry(
    frame: &Frame,
    caller: &Caller,
    change: Change,
    mut request: Request,
    next: Next,
) -> Response {
    let order = OrderRead::default();
    request.extensions_mut().insert(order.clone());
    let answer = next.run(request).await;
    if order.is_set() || !frame.may_record(caller) {
        return answer;
    }

    match frame.events.record(caller, change).await {
        Ok(id) => frame.record_answer(id, answer).await,
        Err(_) => {
            tracing::warn!("a refused request is not in the audit record");
            answer
        }
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

async fn hook_of_path(parts: &mut Parts) -> Option<String> {
    let segments = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    let mut segments = segments.iter();
    segments
        .find(|(name, _)| *name == "hook")
        .map(|(_, hook)| hook.to_owned())
}
