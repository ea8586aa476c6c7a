//! The log line of an answered request. It has nothing that the sender chose, except a method, a
//! path without segments that may be secrets, and the ids of a trace.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use landfall_hooks::Hook;
use landfall_metrics::RequestOutcome;
use landfall_model::{EventId, RequestLines, TraceContext};
use tracing::Level;

use super::caller::Caller;

/// The target of these lines, for filters such as `log.level = "request=off,info"`.
const TARGET: &str = "request";
/// Longer methods are truncated. Methods are ASCII.
const METHOD_CHARS_MAX: usize = 32;

/// Decides which answered requests have a line.
pub(crate) struct RequestLog {
    lines: RequestLines,
    every: u32,
    succeeded: AtomicU32,
}

/// A request and its answer.
pub(crate) struct Answered<'a> {
    /// `None`: no hook has the path.
    pub(crate) hook: Option<&'a Hook>,
    /// The event that the caller was told of.
    pub(crate) event: Option<EventId>,
    pub(crate) outcome: RequestOutcome,
    pub(crate) status: u16,
    /// The length of the body: as the handler receives it, or as it was announced.
    pub(crate) bytes: u64,
    /// From the head of the request to its answer.
    pub(crate) duration: Duration,
    /// The word for the reason of a refusal.
    pub(crate) reason: Option<&'static str>,
}

// === impl RequestLog ===

impl RequestLog {
    /// One in `every` requests that succeed has a line; zero is taken for one.
    pub(crate) fn new(lines: RequestLines, every: u32) -> RequestLog {
        RequestLog {
            lines,
            every: every.max(1),
            succeeded: AtomicU32::new(0),
        }
    }

    /// Writes the line of a request, if it has one.
    pub(crate) fn write(&self, caller: &Caller, answered: &Answered<'_>) {
        if !tracing::enabled!(target: TARGET, Level::INFO) || !self.wants(answered.status) {
            return;
        }

        let (hook, path) = match answered.hook {
            Some(hook) => (&*hook.spec.name, Cow::Borrowed(hook.spec.path.as_str())),
            None => (caller.name, Cow::Owned(caller.path(None))),
        };
        let method = shortened(caller.method.as_str());
        let duration_ms = answered.duration.as_micros() as f64 / 1000.0;
        tracing::info!(
            target: TARGET,
            hook,
            event = answered.event.map(display),
            outcome = answered.outcome.word(),
            status = answered.status,
            duration_ms,
            bytes = answered.bytes,
            client = caller.address.map(display),
            method,
            path = &*path,
            traceparent = caller.trace().map(display),
            "request"
        );
    }

    fn wants(&self, status: u16) -> bool {
        let is_failed = status >= 400;
        match self.lines {
            RequestLines::None => false,
            RequestLines::Failed => is_failed,
            RequestLines::All => is_failed || self.is_next(),
        }
    }

    fn is_next(&self) -> bool {
        self.every == 1
            || self
                .succeeded
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(self.every)
    }
}

// === impl Caller ===

impl Caller {
    /// The span of the request; if telemetry is off, that of the caller.
    fn trace(&self) -> Option<TraceContext> {
        match &self.span {
            Some(span) => Some(span.context),
            None => TraceContext::parse(self.traceparent()?),
        }
    }
}

fn shortened(method: &str) -> &str {
    method.get(..METHOD_CHARS_MAX).unwrap_or(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_requests_are_never_sampled() {
        let all = RequestLog::new(RequestLines::All, 3);
        let written = (0..9).filter(|_| all.wants(200)).count();
        assert_eq!(written, 3);
        assert!((0..9).all(|_| all.wants(503) && all.wants(401)));

        let failed = RequestLog::new(RequestLines::Failed, 1);
        assert!(!failed.wants(202) && failed.wants(400));
        let none = RequestLog::new(RequestLines::None, 1);
        assert!(!none.wants(200) && !none.wants(500));
        assert!(RequestLog::new(RequestLines::All, 0).wants(200));
    }

    #[test]
    fn long_methods_are_shortened() {
        assert_eq!(shortened("POST"), "POST");
        assert_eq!(shortened(&"A".repeat(900)).len(), METHOD_CHARS_MAX);
    }
}
