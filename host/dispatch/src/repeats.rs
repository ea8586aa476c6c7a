//! Requests and messages that do not run: duplicates, conflicts, and messages of the broker that
//! cannot be used. They are counted, logged, and recorded like the requests that the edge refuses.

use std::sync::Arc;
use std::time::Instant;

use landfall_broker::DecodeError;
use landfall_model::{Event, EventId, LOG_WINDOW, LogDecision, RefusalLog, RefusedRequest};

use super::broker_queue::QUEUE;
use super::dispatcher::Dispatcher;

const DUPLICATE: &str = "duplicate delivery, not run again";
const DUPLICATE_OF_DEAD: &str = "duplicate of a dead delivery: the event runs again";
const REFUSED_MESSAGE: &str = "a message of the queue is not run: it goes to the dead letters";

/// A request that repeats an earlier one.
pub(crate) struct Repeat {
    /// The id that its event would have got.
    event: EventId,
    client_address: Option<String>,
}

// === impl Repeat ===

impl Repeat {
    pub(crate) fn of(event: &Event) -> Repeat {
        Repeat {
            event: event.id,
            client_address: event.attribute("client-address").map(str::to_owned),
        }
    }
}

impl Dispatcher {
    /// Records a duplicate among the refused requests, where `landfall explain` finds it.
    pub(crate) fn record_duplicate(
        &self,
        hook: &Arc<str>,
        duplicate: Repeat,
        first: EventId,
        is_replayed: bool,
    ) {
        let (reason, what) = if is_replayed {
            ("duplicate_of_dead", DUPLICATE_OF_DEAD)
        } else {
            ("duplicate", DUPLICATE)
        };
        let request = RefusedRequest {
            at: self.timestamp(),
            hook: hook.to_string(),
            reason,
            status: None,
            detail: format!("the delivery has the identity of event {first}: {what}"),
            hint: Some(duplicate_hint(hook, first, is_replayed)),
            client_address: duplicate.client_address,
            request: None,
        };
        if self.record_refused(hook, request, what) {
            let (event, duplicate) = (first, duplicate.event);
            tracing::info!(hook = &**hook, %event, %duplicate, "{what}");
        }
        if let Some(metrics) = self.metrics.find(hook) {
            metrics.count_duplicate(is_replayed);
        }
    }

    pub(crate) fn record_conflict(&self, hook: &Arc<str>, event: EventId, first: EventId) {
        tracing::warn!(hook = &**hook, %event, %first, "same delivery identity as an earlier event, different body: both run");
        if let Some(metrics) = self.metrics.find(hook) {
            metrics.count_conflict();
        }
    }

    /// Records a message that was forged or damaged, or is not Landfall's. `id` is the broker's id
    /// of the message, or empty.
    pub(crate) fn reject_message(&self, error: &DecodeError, id: &str) {
        let reason = error.reason();
        self.metrics.count_refused_message(message_reason(error));
        let request = RefusedRequest {
            at: self.timestamp(),
            hook: QUEUE.into(),
            reason,
            status: None,
            detail: error.to_string(),
            hint: Some(message_hint(error).into()),
            client_address: None,
            request: None,
        };
        if self.record_refused(&QUEUE.into(), request, REFUSED_MESSAGE) {
            let why = error.to_string();
            tracing::error!(hook = QUEUE, reason, why, id, "{REFUSED_MESSAGE}");
        }
    }

    /// Whether the caller writes a log line.
    fn record_refused(&self, hook: &Arc<str>, request: RefusedRequest, what: &'static str) -> bool {
        let reason = request.reason;
        match self.refusals.record(request, Instant::now()) {
            LogDecision::Write => return true,
            LogDecision::Suppress => {}
            LogDecision::SuppressFirst => {
                let (refusals, hook) = (self.refusals.clone(), hook.clone());
                tokio::spawn(log_suppressed(refusals, hook, reason, what));
            }
        }
        false
    }

    fn timestamp(&self) -> String {
        humantime::format_rfc3339_millis(self.clock.now()).to_string()
    }
}

/// Writes how many log lines were held back, when the window of the first of them is over.
async fn log_suppressed(
    refusals: Arc<RefusalLog>,
    hook: Arc<str>,
    reason: &'static str,
    what: &'static str,
) {
    tokio::time::sleep(LOG_WINDOW).await;
    let suppressed = refusals.take_suppressed(&hook, reason, Instant::now());
    let seconds = LOG_WINDOW.as_secs();
    if suppressed > 0 {
        tracing::info!(
            hook = &*hook,
            suppressed,
            "{what} (and {suppressed} more in the last {seconds} s)"
        );
    }
}

/// The label of the counter.
fn message_reason(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::Unverified(_) => "unverified",
        DecodeError::Malformed(_) | DecodeError::Later(_) => "unreadable",
    }
}

fn duplicate_hint(hook: &str, first: EventId, is_replayed: bool) -> String {
    if is_replayed {
        format!("`landfall events show {first}` shows how its attempts end")
    } else {
        format!(
            "a retry of the provider needs nothing; `landfall events replay {first}` runs the event again; if this was another \
             event, name the fields that tell them apart in `[dedup] id` of {hook}.toml, or write match = \"id-and-body\""
        )
    }
}

fn message_hint(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::Unverified(_) => {
            "something other than a node published it, or a node with another queue.key: while you rotate the key, keep the old one in \
             the list until nothing waits that it has sealed"
        }
        DecodeError::Malformed(_) | DecodeError::Later(_) => {
            "something other than a node published it, or changed it on the way: look at who may publish to the queue"
        }
    }
}
