//! The host's record of the calls of an attempt, whether or not the guest reports them.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use crate::recorder::Recorder;
use crate::text::bounded;
use bytes::Bytes;

use landfall_egress::{OutgoingError, Permitted, Received};
use landfall_metrics::OutboundMetrics;
use landfall_model::{CallResult, CallTrace, OutboundCall, TRACEPARENT, TraceContext};

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
/// A component that sets about as many headers as a request may have keeps them: the trace is not
/// passed on.
const PASSED_ON_BELOW: usize = 98;

/// The calls of one attempt.
#[derive(Clone)]
pub(crate) struct CallRecord {
    calls: Arc<Mutex<Calls>>,
    /// Counts every call, also those beyond the limits of the record. `None`: a recording answers
    /// the calls, and none leaves.
    metrics: Option<Arc<OutboundMetrics>>,
    /// The deadline of the attempt.
    until: Instant,
    recorder: Recorder,
    /// Whether the record has the beginnings of request bodies.
    keeps_sent: bool,
}

#[derive(Default)]
struct Calls {
    ended: Vec<OutboundCall>,
    /// The calls without a result: at most as many as an attempt may make.
    running: Vec<Arc<CallStart>>,
}

/// What is known of a call before it ends.
struct CallStart {
    method: String,
    url: String,
    started: Instant,
    trace: Option<TraceContext>,
    /// The URL as it was read. Empty: the call is not permitted.
    permitted: OnceLock<Permitted>,
    sent: OnceLock<Sent>,
    /// The place of the call in the recording of the attempt.
    recorded: Option<usize>,
}

/// The body of a request.
struct Sent {
    bytes: usize,
    beginning: String,
}

/// A call that has started. If it is dropped without a result, it is recorded as cut off.
pub(crate) struct RunningCall {
    start: Arc<CallStart>,
    record: CallRecord,
}

// === impl RunningCall ===

impl RunningCall {
    pub(crate) fn method(&self) -> &str {
        &self.start.method
    }

    pub(crate) fn url(&self) -> &str {
        &self.start.url
    }

    /// The call is made.
    pub(crate) fn set_permitted(&self, permitted: &Permitted) {
        self.start.permitted.get_or_init(|| permitted.clone());
    }

    /// Passes the trace on to the receiver, unless the component has set the header itself.
    pub(crate) fn pass_trace_on(&self, headers: &mut Vec<(String, String)>) {
        let is_set = headers
            .iter()
            .any(|(name, _)| name.trim().eq_ignore_ascii_case(TRACEPARENT));
        if let Some(trace) = self.start.trace
            && !is_set
            && headers.len() < PASSED_ON_BELOW
        {
            headers.push((TRACEPARENT.to_owned(), trace.to_string()));
        }
    }

    /// Keeps the request as the component wrote it: without the credentials that the host adds. Of
    /// the body, the beginning. A call has one body.
    pub(crate) fn set_request(&self, headers: &[(String, String)], body: &Bytes) {
        let recorder = &self.record.recorder;
        recorder.set_request(self.start.recorded, headers, body);
        self.start.sent.get_or_init(|| Sent {
            bytes: body.len(),
            beginning: if self.record.keeps_sent {
                landfall_egress::excerpt(body, SENT_BYTES_MAX + SECRET_BYTES_MAX)
            } else {
                String::new()
            },
        });
    }

    /// Records the response.
    pub(crate) fn answered(self, received: &Received) {
        let recorder = &self.record.recorder;
        recorder.answered(self.start.recorded, received);
        let mut calls = self.record.lock();
        if let Some(duration) = calls.stop(&self.start) {
            calls.add_answer(&self.start, duration, received);
            drop(calls);
            if let Some(metrics) = &self.record.metrics {
                metrics.answered(self.start.host(), received.status, duration);
            }
        }
    }

    /// Records why there is no response.
    pub(crate) fn failed(self, error: &OutgoingError) {
        self.record.recorder.failed(self.start.recorded, error);
        self.record.end(&self.start, error);
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.record.record_cut_off(&self.start);
        if self.record.is_running(&self.start) {
            let why = "the component dropped the call before its response";
            let error = self.record.cut_off(why);
            self.record.end(&self.start, &error);
        }
    }
}

// === impl CallRecord ===

impl CallRecord {
    /// `until`: the deadline of the attempt. `keeps_sent`: the bodies of requests are shown.
    pub(crate) fn new(
        metrics: Option<Arc<OutboundMetrics>>,
        until: Instant,
        recorder: Recorder,
        keeps_sent: bool,
    ) -> CallRecord {
        CallRecord {
            calls: Arc::default(),
            metrics,
            until,
            recorder,
            keeps_sent,
        }
    }

    /// A call that starts now. `trace`: its span, if it has one. `permitted`: if that is known
    /// already.
    pub(crate) fn start(
        &self,
        method: String,
        url: String,
        trace: Option<TraceContext>,
        permitted: Option<Permitted>,
    ) -> RunningCall {
        let recorded = self.recorder.begin_call(&method, &url);
        let start = Arc::new(CallStart {
            method,
            url,
            started: Instant::now(),
            trace,
            permitted: permitted.map(OnceLock::from).unwrap_or_default(),
            sent: OnceLock::new(),
            recorded,
        });
        self.lock().running.push(start.clone());
        RunningCall {
            start,
            record: self.clone(),
        }
    }

    /// Removes and returns the calls, at the end of the attempt. A call that still runs ends with
    /// the attempt, and is recorded as cut off.
    pub(crate) fn take(&self) -> Vec<OutboundCall> {
        let running = self.lock().running.clone();
        for start in running {
            self.record_cut_off(&start);
            let error = self.cut_off("the attempt ended before the response");
            self.end(&start, &error);
        }
        std::mem::take(&mut self.lock().ended)
    }

    fn is_running(&self, call: &Arc<CallStart>) -> bool {
        let calls = self.lock();
        calls.running.iter().any(|start| Arc::ptr_eq(start, call))
    }

    /// Records why a call has no response. Nothing, if the call has already ended.
    fn end(&self, call: &Arc<CallStart>, error: &OutgoingError) {
        let mut calls = self.lock();
        if let Some(duration) = calls.stop(call) {
            calls.add_failure(call, duration, error);
            drop(calls);
            if let Some(metrics) = &self.metrics {
                metrics.failed(&call.url, error.word(), duration);
            }
        }
    }

    /// The component receives no answer to a call, unless it has one already.
    fn record_cut_off(&self, call: &CallStart) {
        if call.recorded.is_some() {
            let at_deadline = Instant::now() >= self.until;
            self.recorder.cut_off(call.recorded, at_deadline);
        }
    }

    /// The error of a call without a result. `why`: if the deadline was not the reason.
    fn cut_off(&self, why: &str) -> OutgoingError {
        if Instant::now() >= self.until {
            OutgoingError::Timeout("cut off at the deadline of the attempt".to_owned())
        } else {
            OutgoingError::Interrupted(format!("cut off: {why}"))
        }
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        landfall_model::lock(&self.calls)
    }
}

// === impl CallStart ===

impl CallStart {
    /// The host of the URL. Empty: the call is not permitted.
    fn host(&self) -> &str {
        self.permitted
            .get()
            .map(Permitted::host)
            .unwrap_or_default()
    }

    /// The URL for the record.
    fn shown_url(&self) -> String {
        match self.permitted.get() {
            Some(permitted) => permitted.shown_url(),
            None => landfall_egress::shown_url(&self.url),
        }
    }
}

// === impl Calls ===

impl Calls {
    /// Returns how long the call ran. `None`: it has already ended. The result is added under the
    /// same lock, so that the end of the attempt sees the call before or after it.
    fn stop(&mut self, call: &Arc<CallStart>) -> Option<Duration> {
        let mut running = self.running.iter();
        let place = running.position(|start| Arc::ptr_eq(start, call))?;
        self.running.swap_remove(place);
        Some(call.started.elapsed())
    }

    fn add_answer(&mut self, call: &CallStart, duration: Duration, received: &Received) {
        if self.ended.len() >= ANSWERED_MAX {
            return;
        }
        let bytes_max = ANSWER_BYTES_MAX + SECRET_BYTES_MAX;
        let result = CallResult::Answered {
            status: received.status,
            bytes: received.body.len(),
            beginning: landfall_egress::excerpt(&received.body, bytes_max),
        };
        self.add(call, duration, result);
    }

    /// Of the calls beyond a limit only the first is recorded: the others have the same error, and
    /// are counted.
    fn add_failure(&mut self, call: &CallStart, duration: Duration, error: &OutgoingError) {
        let result = CallResult::Failed {
            error: error.word(),
            reason: bounded(&error.to_string()),
        };
        let is_limit = matches!(error, OutgoingError::Limit(_));
        if is_limit && self.count_repeated(&result) {
            return;
        }
        if self.ended.len() > RECORDED_MAX {
            return;
        }
        self.add(call, duration, result);
    }

    /// Counts a call with the same result as a recorded one. Returns false if there is no such
    /// call.
    fn count_repeated(&mut self, result: &CallResult) -> bool {
        let mut ended = self.ended.iter_mut();
        let Some(first) = ended.find(|call| call.result == *result) else {
            return false;
        };
        first.repeated = first.repeated.saturating_add(1);
        true
    }

    fn add(&mut self, call: &CallStart, duration: Duration, result: CallResult) {
        let method = call
            .method
            .chars()
            .take(METHOD_CHARACTERS_MAX)
            .flat_map(char::escape_debug)
            .collect();
        let (sent_bytes, sent) = match call.sent.get() {
            Some(sent) => (sent.bytes, sent.beginning.clone()),
            None => (0, String::new()),
        };
        self.ended.push(OutboundCall {
            method,
            url: call.shown_url(),
            sent_bytes,
            sent,
            duration,
            trace: call.trace.map(|context| CallTrace {
                context,
                began: call.started,
            }),
            result,
            repeated: 0,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_metrics::HookMetrics;

    const LONG: Duration = Duration::from_secs(3600);

    fn record(until: Instant) -> CallRecord {
        let metrics = OutboundMetrics::new(HookMetrics::detached("h"), &[]);
        CallRecord::new(Some(Arc::new(metrics)), until, Recorder::OFF, true)
    }

    fn start(record: &CallRecord, url: &str) -> RunningCall {
        record.start("GET".into(), url.into(), None, None)
    }

    fn errors(calls: &[OutboundCall]) -> Vec<(&str, &str)> {
        let results = calls.iter().map(|call| match &call.result {
            CallResult::Failed { error, reason } => (*error, reason.as_str()),
            CallResult::Answered { .. } => ("answered", ""),
        });
        results.collect()
    }

    #[test]
    fn calls_beyond_limits_are_counted() {
        let record = record(Instant::now() + LONG);
        let fail = |url: &str, error: &OutgoingError| start(&record, url).failed(error);
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

    #[test]
    fn calls_without_result_are_recorded() {
        let record = record(Instant::now() + LONG);
        let dropped = start(&record, "http://a.example/1");
        dropped.set_request(&[], &Bytes::from_static(b"sent"));
        let running = start(&record, "http://a.example/2");
        drop(dropped);

        let calls = record.take();
        let dropped = "cut off: the component dropped the call before its response";
        let ended = "cut off: the attempt ended before the response";
        assert_eq!(
            errors(&calls),
            [("interrupted", dropped), ("interrupted", ended)]
        );
        assert_eq!((calls[0].sent.as_str(), calls[0].sent_bytes), ("sent", 4));

        // It ends after the record of the attempt was made.
        running.failed(&OutgoingError::Other("late".into()));
        assert!(record.take().is_empty());
    }

    #[test]
    fn deadlines_cut_calls_off() {
        let record = record(Instant::now());
        let running = start(&record, "http://a.example/1");
        drop(start(&record, "http://a.example/2"));
        let calls = record.take();
        let expected = ("timeout", "cut off at the deadline of the attempt");
        assert_eq!(errors(&calls), [expected, expected]);
        drop(running);
        assert!(record.take().is_empty());
    }
}
