//! One try at an event and how it ended. An outcome is a value, never a Rust error: a guest can always fail.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;

use super::effects::Effects;
use super::event::{Failure, Reply};

/// Every way in which an attempt can end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The handler answered.
    Done(Reply),
    /// The handler wants the event again, later.
    Retry {
        /// In the handler's words.
        reason: String,
        /// Its hint.
        after: Option<Duration>,
    },
    /// The handler says that the event can never succeed.
    Reject(String),
    /// The component trapped: a panic, an uncaught exception, a bad access, a stack overflow.
    Trap(String),
    /// Still running at its deadline.
    Timeout,
    /// Stopped because it asked for more memory (or table space) than its limit.
    OutOfMemory,
    /// Asked the host for more than the caps of one attempt: bytes handed over at once, handles.
    OverLimit(String),
    /// The reply cannot be sent: a status or a header that HTTP does not allow, a body above the cap.
    BadReply(String),
    /// The host could not do its part: no instance, a panic in a host function. Not the handler's fault.
    HostFault(String),
}

/// What is known of one try at an event.
#[derive(Debug)]
pub struct Attempt {
    /// How it ended.
    pub outcome: Outcome,
    /// From the start of the instance to the outcome.
    pub duration: Duration,
    /// Lines of the handler, in order, capped.
    pub log: Vec<LogLine>,
    /// Lines were dropped at the cap.
    pub log_truncated: bool,
    /// The most linear memory it held, in bytes.
    pub memory_peak_bytes: usize,
    /// Calls out.
    pub http_calls: u32,
    /// The recorded calls, in the order in which they ended.
    pub calls: Vec<OutboundCall>,
    /// Staged rows, changed values, events for other hooks.
    pub staged: (usize, usize, usize),
    /// Staged writes: kept only with a good outcome.
    pub effects: Effects,
}

/// An outbound call as the host recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundCall {
    /// As the handler wrote it.
    pub method: String,
    /// Without query, user and password.
    pub url: String,
    /// From the handler's request to the last byte of the answer.
    pub duration: Duration,
    /// Its result.
    pub result: CallResult,
}

/// The result of an outbound call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallResult {
    /// An answer, of any status.
    Answered {
        /// 100 to 999.
        status: u16,
        /// Of the body.
        bytes: usize,
        /// The beginning of the body, where it is text, without secrets.
        beginning: String,
    },
    /// No call was made, or there was no answer.
    Failed {
        /// `denied`, `invalid`, `unresolved`, `connection`, `tls`, `timeout`, `limit`, `other`.
        error: &'static str,
        /// The rule that denies it, or what went wrong.
        reason: String,
    },
}

/// One line that a handler wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// `trace`, `debug`, `info`, `warn`, `error`; `stdout` and `stderr` lines are `info` and `warn`.
    pub level: &'static str,
    /// Control characters escaped.
    pub text: String,
}

/// One row for a named table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// A checked table name.
    pub table: String,
    /// A JSON object, in one line.
    pub text: String,
}

impl Attempt {
    /// One that the host could not carry out.
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
        }
    }
}

impl Outcome {
    /// What a response means that no caller receives: 429 and 5xx ask for another attempt (`Retry-After` in seconds is kept), any
    /// other 4xx says that the event can never succeed. None for 2xx and 3xx, which are done.
    pub fn of_response(status: u16, headers: &HeaderMap) -> Option<Outcome> {
        let reason = format!("the handler answered {status}");
        match status {
            429 | 500.. => {
                let seconds = headers
                    .get(RETRY_AFTER)
                    .and_then(|value| value.to_str().ok()?.trim().parse().ok());
                Some(Outcome::Retry {
                    reason,
                    after: seconds.map(Duration::from_secs),
                })
            }
            400..500 => Some(Outcome::Reject(reason)),
            _ => None,
        }
    }

    /// The outcome of a reply that no caller received; `None` if the reply is a success. Nobody follows the redirect of such a reply, so it
    /// is a rejection.
    pub fn of_undelivered_response(status: u16, headers: &HeaderMap) -> Option<Outcome> {
        match status {
            300..400 => Some(Outcome::Reject(format!(
                "the handler answered {status}, a redirect that no caller received"
            ))),
            _ => Outcome::of_response(status, headers),
        }
    }

    /// The word for it in logs, records and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Done(_) => "done",
            Outcome::Retry { .. } => "retry",
            Outcome::Reject(_) => "reject",
            Outcome::Trap(_) => "trap",
            Outcome::Timeout => "timeout",
            Outcome::OutOfMemory => "out-of-memory",
            Outcome::OverLimit(_) => "over-limit",
            Outcome::BadReply(_) => "bad-reply",
            Outcome::HostFault(_) => "host-fault",
        }
    }

    /// Why, for the operator; empty where the word says it all.
    pub fn reason(&self) -> &str {
        match self {
            Outcome::Done(_) | Outcome::Timeout | Outcome::OutOfMemory => "",
            Outcome::Retry { reason, .. } => reason,
            Outcome::Reject(text)
            | Outcome::Trap(text)
            | Outcome::OverLimit(text)
            | Outcome::BadReply(text)
            | Outcome::HostFault(text) => text,
        }
    }

    /// The same, to be changed.
    pub fn reason_mut(&mut self) -> Option<&mut String> {
        match self {
            Outcome::Done(_) | Outcome::Timeout | Outcome::OutOfMemory => None,
            Outcome::Retry { reason: text, .. }
            | Outcome::Reject(text)
            | Outcome::Trap(text)
            | Outcome::OverLimit(text)
            | Outcome::BadReply(text)
            | Outcome::HostFault(text) => Some(text),
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Outcome {
        match failure {
            Failure::Retry { reason, after } => Outcome::Retry { reason, after },
            Failure::Reject(reason) => Outcome::Reject(reason),
        }
    }
}
