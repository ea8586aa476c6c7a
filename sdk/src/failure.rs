//! How a handler says that it did not handle the event.
//!
//! `Failure` is not a `std::error::Error`. Because of that, `?` can turn every error into one.

use crate::Reply;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why the event is not handled, and what happens to it. Nothing that the attempt staged is kept. The reasons are for the operator.
/// The caller never sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Something outside failed, and the same event may succeed later. The attempt counts against the hook's `[retry] attempts`.
    Retry {
        /// Why.
        reason: String,
        /// The next attempt starts at the earliest after this time. `None`: the schedule of the hook.
        after: Option<Duration>,
    },
    /// Something that this event needs is not there yet. The event runs again later. The attempt does not count. The event is dead
    /// when it has been deferred for longer than the hook's `[retry] max_age`.
    Defer {
        /// What is not there yet.
        reason: String,
        /// The next attempt starts at the earliest after this time. `None`: the schedule of the hook.
        after: Option<Duration>,
    },
    /// This event can never succeed. It is dead at once.
    Reject {
        /// Why.
        reason: String,
        /// For the caller, if it still waits. `None`: 422 without the reason.
        reply: Option<Reply>,
    },
}

impl Failure {
    /// Run the event again, on the schedule of the hook.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry {
            reason: reason.into(),
            after: None,
        }
    }

    /// Run the event again, at the earliest after this time. A part of a second is rounded up.
    pub fn retry_after(reason: impl Into<String>, after: Duration) -> Self {
        Self::Retry {
            reason: reason.into(),
            after: Some(after),
        }
    }

    /// Run the event again on the schedule of the hook, and do not count this attempt.
    pub fn defer(reason: impl Into<String>) -> Self {
        Self::Defer {
            reason: reason.into(),
            after: None,
        }
    }

    /// Run the event again at the earliest after this time, and do not count this attempt. A part of a second is rounded up.
    pub fn defer_after(reason: impl Into<String>, after: Duration) -> Self {
        Self::Defer {
            reason: reason.into(),
            after: Some(after),
        }
    }

    /// Do not run this event again. The caller, if it still waits, receives 422 without the reason.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject {
            reason: reason.into(),
            reply: None,
        }
    }

    /// Sets what the caller of a rejected event receives, if it still waits. A failure of another kind has no reply and stays as
    /// it is.
    #[must_use]
    pub fn with_reply(self, reply: Reply) -> Self {
        match self {
            Self::Reject { reason, .. } => Self::Reject {
                reason,
                reply: Some(reply),
            },
            other => other,
        }
    }

    /// The reason, of any kind.
    pub fn reason(&self) -> &str {
        match self {
            Self::Retry { reason, .. }
            | Self::Defer { reason, .. }
            | Self::Reject { reason, .. } => reason,
        }
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_reason(self) -> String {
        match self {
            Self::Retry { reason, .. }
            | Self::Defer { reason, .. }
            | Self::Reject { reason, .. } => reason,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, after, reason) = match self {
            Self::Retry { reason, after } => ("retry", *after, reason),
            Self::Defer { reason, after } => ("defer", *after, reason),
            Self::Reject { reason, .. } => ("reject", None, reason),
        };
        match after {
            Some(after) => write!(f, "{kind} after {after:?}: {reason}"),
            None => write!(f, "{kind}: {reason}"),
        }
    }
}

/// Every error is a [`Failure::Retry`] whose reason is the error and its sources.
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason.push_str(": ");
            reason.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::retry(reason)
    }
}
