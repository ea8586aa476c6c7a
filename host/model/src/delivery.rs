//! An attempt: one run of a delivery, and its outcome. An outcome is a value, not a Rust error,
//! because a handler can always fail.

use std::time::Duration;

use http::header::RETRY_AFTER;

use super::effects::Effects;
use super::event::Reply;
use super::recording::PendingRecording;
use super::trace_context::CallTrace;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The event is handled. `None`: the answer that the provider takes for success.
    Done(Option<Reply>),
    /// The handler asks for another attempt.
    Retry {
        /// The handler's text.
        reason: String,
        /// The handler's hint: the time until the next attempt.
        after: Option<Duration>,
    },
    /// The handler reports that something which the event needs is not there yet. The attempt does
    /// not count.
    Defer {
        /// The handler's text.
        reason: String,
        /// The handler's hint: the time until the next attempt.
        after: Option<Duration>,
    },
    /// The handler reports that the event can never succeed.
    Reject {
        /// The handler's text.
        reason: String,
        /// For the caller, if it still waits. `None`: 422 without the reason.
        reply: Option<Reply>,
    },
    /// The component trapped: a panic, an uncaught exception, a bad access, a stack overflow.
    Trap(String),
    /// The attempt was still running at its deadline.
    Timeout,
    /// The component requested more memory or table elements than its limit.
    OutOfMemory,
    /// The component exceeded a limit of host calls: bytes of one call, handles.
    OverLimit(String),
    /// The reply cannot be sent: HTTP does not allow its status or a header, or its body exceeds
    /// the limit.
    BadReply(String),
    /// The host failed: it could not create an instance, or a host function panicked.
    HostFault(String),
}

/// The record of one attempt.
#[derive(Debug)]
pub struct Attempt {
    /// How the attempt ended.
    pub outcome: Outcome,
    /// From the start of the instance to the outcome.
    pub duration: Duration,
    /// Lines of the handler in order, up to a limit.
    pub log: Vec<LogLine>,
    /// Whether lines were dropped at the limit.
    pub log_truncated: bool,
    /// The most linear memory in use at once, in bytes.
    pub memory_peak_bytes: usize,
    /// Number of outbound calls.
    pub http_calls: u32,
    /// The recorded outbound calls, in the order in which they ended.
    pub calls: Vec<OutboundCall>,
    /// Numbers of staged rows, key-value writes and emitted events.
    pub staged: (usize, usize, usize),
    /// Staged writes. They are applied only if the outcome is done.
    pub effects: Effects,
    /// The recorded run. `None`: this attempt is not recorded.
    pub recording: Option<Box<dyn PendingRecording>>,
}

/// An outbound call as the host recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundCall {
    /// The method that the handler wrote.
    pub method: String,
    /// The URL without query, user and password.
    pub url: String,
    /// The length of the body that the handler sent.
    pub sent_bytes: usize,
    /// The beginning of that body without secrets, if it is text and the engine keeps it.
    pub sent: String,
    /// From the handler's request to the last byte of the response.
    pub duration: Duration,
    /// The span of the call. `None`: telemetry is off, or the event has no trace.
    pub trace: Option<CallTrace>,
    /// The response, or why there is none.
    pub result: CallResult,
    /// How many later calls reached the same limit. They are not recorded one by one, and may have
    /// had other URLs.
    pub repeated: u32,
}

/// The result of an outbound call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallResult {
    /// A response with any status.
    Answered {
        /// 100 to 999.
        status: u16,
        /// Length of the body.
        bytes: usize,
        /// The beginning of the body without secrets, if the body is text.
        beginning: String,
    },
    /// The call was not made, or had no response.
    Failed {
        /// One of [`CALL_ERROR_WORDS`].
        error: &'static str,
        /// The rule that denied the call, or the error.
        reason: String,
    },
}

/// One line that a handler wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// `trace`, `debug`, `info`, `warn`, `error`; `stdout` and `stderr` lines are `info` and
    /// `warn`.
    pub level: &'static str,
    /// The text, with control characters escaped.
    pub text: String,
}

// === impl Attempt ===

impl Attempt {
    /// An attempt that the host did not carry out.
    pub fn of_host(outcome: Outcome, duration: Duration) -> Attempt {
        Attempt {
            outcome,
            duration,
            log: Vec::new(),
            log_truncated: false,
            memory_peak_bytes: 0,
            http_calls: 0,
            calls: Vec::new(),
            staged: (0, 0, 0),
            effects: Effects::default(),
            recording: None,
        }
    }
}

/// The words for outcomes in the ledger: those of [`Outcome::word`], and two for attempts without
/// an outcome: the event could not be read, or the node ended first.
pub const OUTCOME_WORDS: [&str; 12] = [
    "done",
    "retry",
    "defer",
    "reject",
    "trap",
    "timeout",
    "out-of-memory",
    "over-limit",
    "bad-reply",
    "host-fault",
    "unread",
    "unfinished",
];

/// Why an outbound call has no response: the cases of `http-error` in `wit/http.wit`.
pub const CALL_ERROR_WORDS: [&str; 10] = [
    "denied",
    "invalid",
    "unavailable",
    "unresolved",
    "unreachable",
    "tls",
    "interrupted",
    "timeout",
    "limit",
    "other",
];

/// The reason of every attempt that needed more than its limit.
const OUT_OF_MEMORY: &str = "the component needed more memory than [limits] memory allows";

// === impl Outcome ===

impl Outcome {
    /// The outcome of an HTTP response that does not say that the event is handled. 429 and 5xx:
    /// retry, after `Retry-After` seconds. 3xx and other 4xx: reject, with the response as the
    /// reply. `None` for 2xx.
    pub fn of_failed_response(response: &Reply) -> Option<Outcome> {
        let status = response.status;
        let reason = format!("the handler answered {status}");
        match status {
            429 | 500.. => {
                let seconds = response
                    .headers
                    .get(RETRY_AFTER)
                    .and_then(|value| value.to_str().ok()?.trim().parse().ok());
                Some(Outcome::Retry {
                    reason,
                    after: seconds.map(Duration::from_secs),
                })
            }
            300.. => Some(Outcome::Reject {
                reason,
                reply: Some(response.clone()),
            }),
            _ => None,
        }
    }

    /// A rejection without a reply.
    pub fn reject(reason: impl Into<String>) -> Outcome {
        Outcome::Reject {
            reason: reason.into(),
            reply: None,
        }
    }

    /// The reply of the handler, if it returned one.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Outcome::Done(reply) | Outcome::Reject { reply, .. } => reply.as_ref(),
            _ => None,
        }
    }

    /// The name of the outcome in logs, records and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Done(_) => "done",
            Outcome::Retry { .. } => "retry",
            Outcome::Defer { .. } => "defer",
            Outcome::Reject { .. } => "reject",
            Outcome::Trap(_) => "trap",
            Outcome::Timeout => "timeout",
            Outcome::OutOfMemory => "out-of-memory",
            Outcome::OverLimit(_) => "over-limit",
            Outcome::BadReply(_) => "bad-reply",
            Outcome::HostFault(_) => "host-fault",
        }
    }

    /// The reason, for the operator; empty if the name is sufficient.
    pub fn reason(&self) -> &str {
        match self {
            Outcome::Done(_) | Outcome::Timeout => "",
            Outcome::OutOfMemory => OUT_OF_MEMORY,
            Outcome::Retry { reason, .. }
            | Outcome::Defer { reason, .. }
            | Outcome::Reject { reason, .. } => reason,
            Outcome::Trap(text)
            | Outcome::OverLimit(text)
            | Outcome::BadReply(text)
            | Outcome::HostFault(text) => text,
        }
    }

    /// The reason, so that secrets can be removed from it.
    pub fn reason_mut(&mut self) -> Option<&mut String> {
        match self {
            Outcome::Done(_) | Outcome::Timeout | Outcome::OutOfMemory => None,
            Outcome::Retry { reason: text, .. }
            | Outcome::Defer { reason: text, .. }
            | Outcome::Reject { reason: text, .. }
            | Outcome::Trap(text)
            | Outcome::OverLimit(text)
            | Outcome::BadReply(text)
            | Outcome::HostFault(text) => Some(text),
        }
    }
}
