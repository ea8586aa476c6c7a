//! The spans of an event's way through the dispatcher: `store`, `queue`, `attempt`, and one for
//! each outbound call. If telemetry is off, none is made.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::Uri;
use landfall_ledger::Accepted;
use landfall_model::{Attempt, CallResult, Event, EventId, OutboundCall, Outcome, TRACEPARENT};
use landfall_telemetry::{Kind, OpenSpan, Span};

use super::dispatcher::Dispatcher;
use super::error::DispatchError;

/// The methods that a span names. Any other is `_OTHER`, because a component chooses the text.
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
];

/// The attributes of every span of an event.
const HOOK: &str = "landfall.hook";
const EVENT: &str = "landfall.event.id";

/// An event that is being stored.
pub(crate) struct StoreSpan {
    span: OpenSpan,
    hook: Arc<str>,
    event: EventId,
    started: Instant,
}

/// When an attempt began, on both clocks, and how its event came.
pub(crate) struct AttemptStart {
    pub(crate) started: Instant,
    pub(crate) at: SystemTime,
    /// The event came from the ledger or the broker, not directly from its caller.
    pub(crate) is_stored: bool,
}

/// The event as the component and its effects see it: its `traceparent` is the attempt.
pub(crate) fn within(event: Arc<Event>, span: Option<&OpenSpan>) -> Arc<Event> {
    let Some(span) = span else {
        return event;
    };

    let mut event = Arc::unwrap_or_clone(event);
    event.attributes.retain(|(name, _)| name != TRACEPARENT);
    event
        .attributes
        .push((TRACEPARENT.to_owned(), span.context.to_string()));
    Arc::new(event)
}

impl Dispatcher {
    /// An event is about to be stored.
    pub(crate) fn open_store(&self, event: &Event) -> Option<StoreSpan> {
        let span = self.tracer.below_event(event)?;
        Some(StoreSpan {
            span,
            hook: event.hook.clone(),
            event: event.id,
            started: Instant::now(),
        })
    }

    /// The event is stored, or cannot be.
    pub(crate) fn end_store(&self, open: StoreSpan, stored: &Result<Accepted, DispatchError>) {
        let end = self.clock.now();
        let start = before(end, open.started);
        let result = match stored {
            Ok(Accepted::New { .. }) => "stored",
            Ok(Accepted::Duplicate { .. }) => "duplicate",
            Ok(Accepted::Joined { .. }) => "joined",
            Err(_) => "not-stored",
        };
        let span = open.span.ended("store", Kind::Internal, start, end);
        let span = span
            .with(HOOK, open.hook.to_string())
            .with(EVENT, open.event.to_string())
            .with("landfall.store.result", result)
            .failed(stored.is_err().then_some(result));
        self.tracer.record(span);
    }

    /// The event has waited for its first attempt, which begins now.
    pub(crate) fn trace_queue(&self, event: &Event, now: SystemTime) {
        let Some(open) = self.tracer.below_event(event) else {
            return;
        };
        let span = open.ended("queue", Kind::Internal, event.received_at, now);
        self.tracer.record(of_event(span, event));
    }

    /// An attempt has ended. `event` is the one that the component received.
    pub(crate) fn trace_attempt(
        &self,
        open: &OpenSpan,
        event: &Event,
        number: u32,
        attempt: &Attempt,
        start: &AttemptStart,
    ) {
        for call in &attempt.calls {
            if let Some(span) = call_span(open, call, start) {
                self.tracer.record(span);
            }
        }

        let kind = if start.is_stored {
            Kind::Consumer
        } else {
            Kind::Internal
        };
        let end = start.at + start.started.elapsed();
        let outcome = &attempt.outcome;
        let memory = i64::try_from(attempt.memory_peak_bytes).unwrap_or(i64::MAX);
        let is_done = matches!(outcome, Outcome::Done(_));
        let span = of_event(open.ended("attempt", kind, start.at, end), event)
            .with("landfall.attempt", number)
            .with("landfall.outcome", outcome.word())
            .with("landfall.memory_bytes", memory)
            .with("landfall.outbound_calls", attempt.http_calls)
            .with_some(
                "landfall.reply.status",
                outcome.reply().map(|reply| reply.status),
            )
            .failed((!is_done).then_some(outcome.word()));
        self.tracer.record(span);
    }
}

fn of_event(span: Span, event: &Event) -> Span {
    span.with(HOOK, event.hook.to_string())
        .with(EVENT, event.id.to_string())
}

/// The span of an outbound call: with its host, and without its path and query, which may contain
/// secrets.
fn call_span(attempt: &OpenSpan, call: &OutboundCall, start: &AttemptStart) -> Option<Span> {
    let trace = call.trace?;
    let open = OpenSpan {
        context: trace.context,
        parent: Some(attempt.context.span_id),
        link: None,
    };
    let begin = start.at + trace.began.saturating_duration_since(start.started);
    let end = begin + call.duration;

    let method = METHODS.into_iter().find(|known| *known == call.method);
    let span = open
        .ended(method.unwrap_or("HTTP"), Kind::Client, begin, end)
        .with("http.request.method", method.unwrap_or("_OTHER"));
    let span = with_address(span, &call.url);
    Some(match &call.result {
        CallResult::Answered { status, bytes, .. } => {
            let error = error_of(*status);
            span.with("http.response.status_code", *status)
                .with(
                    "http.response.body.size",
                    i64::try_from(*bytes).unwrap_or(i64::MAX),
                )
                .with_some("error.type", error.map(|_| status.to_string()))
                .failed(error)
        }
        CallResult::Failed { error, .. } => span.with("error.type", *error).failed(Some(*error)),
    })
}

fn error_of(status: u16) -> Option<&'static str> {
    match status {
        400..=499 => Some("4xx"),
        500.. => Some("5xx"),
        _ => None,
    }
}

fn with_address(span: Span, url: &str) -> Span {
    let Ok(uri) = url.parse::<Uri>() else {
        return span;
    };

    let scheme = match uri.scheme_str() {
        Some("https") => Some("https"),
        Some("http") => Some("http"),
        _ => None,
    };
    let port = uri.port_u16().or(match scheme {
        Some("https") => Some(443),
        Some(_) => Some(80),
        None => None,
    });
    span.with_some("url.scheme", scheme)
        .with_some("server.address", uri.host().map(str::to_owned))
        .with_some("server.port", port)
}

/// The time of day at `started`.
fn before(now: SystemTime, started: Instant) -> SystemTime {
    now.checked_sub(started.elapsed()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use landfall_model::{CallTrace, TraceContext};
    use landfall_telemetry::Value;

    use super::*;

    fn open() -> OpenSpan {
        OpenSpan {
            context: TraceContext::root(true),
            parent: None,
            link: None,
        }
    }

    fn call(method: &str, url: &str, result: CallResult) -> Option<Span> {
        let (attempt, began) = (open(), Instant::now());
        let context = attempt.context.child();
        let call = OutboundCall {
            method: method.into(),
            url: url.into(),
            sent_bytes: 0,
            sent: String::new(),
            duration: Duration::from_millis(3),
            trace: Some(CallTrace { context, began }),
            result,
            repeated: 0,
        };
        let start = AttemptStart {
            started: began,
            at: UNIX_EPOCH,
            is_stored: true,
        };
        let span = call_span(&attempt, &call, &start)?;
        assert_eq!(span.ids.parent, Some(attempt.context.span_id));
        assert_eq!(span.ids.context, context);
        assert_eq!(span.end, UNIX_EPOCH + Duration::from_millis(3));
        Some(span)
    }

    fn answered(status: u16) -> CallResult {
        CallResult::Answered {
            status,
            bytes: 2,
            beginning: "canary".into(),
        }
    }

    #[test]
    fn calls_show_host_without_path() {
        let span = call("POST", "https://api.example.com/canary", answered(503)).unwrap();
        assert_eq!((&*span.name, span.error), ("POST", Some("5xx")));
        let address = Value::Text("api.example.com".into());
        assert!(span.attributes.contains(&("server.address", address)));
        assert!(span.attributes.contains(&("server.port", Value::Int(443))));
        assert!(!format!("{span:?}").contains("canary"), "{span:?}");
    }

    #[test]
    fn unknown_methods_have_no_name() {
        let failed = CallResult::Failed {
            error: "denied",
            reason: "canary".into(),
        };
        let span = call("CANARY", "not a url", failed).unwrap();
        assert_eq!((&*span.name, span.error), ("HTTP", Some("denied")));
        let shown = format!("{span:?}").to_lowercase();
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn components_see_their_attempt() {
        let event = Arc::new(Event {
            id: EventId::from_bytes([1; 16]),
            hook: "h".into(),
            received_at: UNIX_EPOCH,
            method: http::Method::POST,
            path: "/h".into(),
            query: None,
            headers: Default::default(),
            body: Default::default(),
            attributes: vec![(TRACEPARENT.into(), "of the caller".into())],
        });
        let span = open();
        let seen = within(event.clone(), Some(&span));
        let expected = [(TRACEPARENT.to_owned(), span.context.to_string())];
        assert_eq!(seen.attributes, expected);
        assert!(Arc::ptr_eq(&event, &within(event.clone(), None)));
    }
}
