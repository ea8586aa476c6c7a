//! The host's record of the calls of an attempt, whether or not the guest reports them.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::text::bounded;
use landfall_egress::{OutgoingError, Received};
use landfall_metrics::OutboundMetrics;
use landfall_model::{CallResult, OutboundCall};

/// The most bytes of a response body in the record of a call.
pub(crate) const ANSWER_BYTES_MAX: usize = 2 << 10;
/// The most bytes of a request body in the record of a call.
pub(crate) const SENT_BYTES_MAX: usize = 4 << 10;
/// The most answered calls in a record. Failed calls have a limit of their own.
const ANSWERED_MAX: usize = 32;
/// The most calls in a record.
const RECORDED_MAX: usize = 64;
/// Bytes after the cut that are also searched for secrets, so that a secret across the cut is
/// redacted as a whole.
const SECRET_BYTES_MAX: usize = 1 << 10;
const METHOD_CHARACTERS_MAX: usize = 32;

/// The calls of one attempt.
#[derive(Clone)]
pub(crate) struct CallRecord {
    calls: Arc<Mutex<Vec<OutboundCall>>>,
    /// Counts every call, also those beyond the limits of the record.
    metrics: Arc<OutboundMetrics>,
}

/// A call that has started.
#[derive(Debug)]
pub(crate) struct StartedCall {
    pub(crate) method: String,
    pub(crate) url: String,
    started: Instant,
    sent_bytes: usize,
    sent: String,
}

// === impl StartedCall ===

impl StartedCall {
    pub(crate) fn now(method: String, url: String) -> StartedCall {
        StartedCall {
            method,
            url,
            started: Instant::now(),
            sent_bytes: 0,
            sent: String::new(),
        }
    }

    /// Keeps the beginning of the body, as the component wrote it: without the credentials that the
    /// host adds.
    pub(crate) fn set_body(&mut self, body: &[u8]) {
        self.sent_bytes = body.len();
        self.sent = landfall_egress::excerpt(body, SENT_BYTES_MAX + SECRET_BYTES_MAX);
    }
}

// === impl CallRecord ===

impl CallRecord {
    pub(crate) fn new(metrics: Arc<OutboundMetrics>) -> CallRecord {
        CallRecord {
            calls: Arc::default(),
            metrics,
        }
    }

    /// Removes and returns the calls.
    pub(crate) fn take(&self) -> Vec<OutboundCall> {
        std::mem::take(&mut *self.lock())
    }

    pub(crate) fn add_answer(&self, call: &StartedCall, received: &Received) {
        let duration = call.started.elapsed();
        self.metrics.answered(&call.url, received.status, duration);
        if self.lock().len() >= ANSWERED_MAX {
            return;
        }
        let bytes_max = ANSWER_BYTES_MAX + SECRET_BYTES_MAX;
        let result = CallResult::Answered {
            status: received.status,
            bytes: received.body.len(),
            beginning: landfall_egress::excerpt(&received.body, bytes_max),
        };
        self.add(call, result);
    }

    /// Of the calls beyond a limit only the first is recorded: the others have the same error, and
    /// are counted.
    pub(crate) fn add_failure(&self, call: &StartedCall, error: &OutgoingError) {
        let duration = call.started.elapsed();
        self.metrics.failed(&call.url, error.word(), duration);
        let result = CallResult::Failed {
            error: error.word(),
            reason: bounded(&error.to_string()),
        };
        let is_limit = matches!(error, OutgoingError::Limit(_));
        if is_limit && self.count_repeated(&result) {
            return;
        }
        if self.lock().len() > RECORDED_MAX {
            return;
        }
        self.add(call, result);
    }

    /// Counts a call with the same result as a recorded one. Returns false if there is no such
    /// call.
    fn count_repeated(&self, result: &CallResult) -> bool {
        let mut calls = self.lock();
        let Some(first) = calls.iter_mut().find(|call| call.result == *result) else {
            return false;
        };
        first.repeated = first.repeated.saturating_add(1);
        true
    }

    fn add(&self, call: &StartedCall, result: CallResult) {
        let method = call
            .method
            .chars()
            .take(METHOD_CHARACTERS_MAX)
            .flat_map(char::escape_debug)
            .collect();
        self.lock().push(OutboundCall {
            method,
            url: landfall_egress::shown_url(&call.url),
            sent_bytes: call.sent_bytes,
            sent: call.sent.clone(),
            duration: call.started.elapsed(),
            result,
            repeated: 0,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OutboundCall>> {
        landfall_model::lock(&self.calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_metrics::HookMetrics;

    #[test]
    fn calls_beyond_limits_are_counted() {
        let metrics = OutboundMetrics::new(HookMetrics::detached("h"), &[]);
        let record = CallRecord::new(Arc::new(metrics));
        let fail = |url: &str, error: &OutgoingError| {
            record.add_failure(&StartedCall::now("GET".into(), url.into()), error);
        };
        let limit = OutgoingError::Limit("full".into());
        let unreachable = OutgoingError::Unreachable("refused".into());
        for error in [&limit, &unreachable, &limit, &unreachable] {
            fail("http://a.example/1", error);
        }
        fail("http://a.example/2", &limit);
        fail("http://a.example/2", &OutgoingError::Limit("other".into()));

        let calls = record.take();
        let recorded: Vec<_> = calls
            .iter()
            .map(|call| (call.url.as_str(), call.repeated))
            .collect();
        let first = "http://a.example/1";
        assert_eq!(
            recorded,
            [
                (first, 2),
                (first, 0),
                (first, 0),
                ("http://a.example/2", 0)
            ]
        );
    }
}
