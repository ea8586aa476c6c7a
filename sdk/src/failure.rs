//! How a handler says that it did not handle the event.
//!
//! `Failure` is not a `std::error::Error`. Because of that, `?` can turn every error into one.

use crate::Reply;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The most bytes of a reason that is made of an error. The host keeps as many.
const REASON_BYTES_MAX: usize = 4 << 10;
/// The most sources of an error that its reason names.
const SOURCES_MAX: usize = 32;

/// Why the event is not handled, and what happens to it. Nothing that the attempt staged is kept.
/// The reasons are for the operator. The caller never sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Something outside failed, and the same event may succeed later. The attempt counts against
    /// the hook's `[retry] attempts`.
    Retry {
        /// Why.
        reason: String,
        /// The next attempt starts at the earliest after this time. `None`: the schedule of the
        /// hook.
        after: Option<Duration>,
    },
    /// Something that this event needs is not there yet. The event runs again later. The attempt
    /// does not count. The event is dead when it has been deferred for longer than the hook's
    /// `[retry] max_age`.
    Defer {
        /// What is not there yet.
        reason: String,
        /// The next attempt starts at the earliest after this time. `None`: the schedule of the
        /// hook.
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

/// A reason is a text or an error. Of an error, the reason has its text and the texts of its
/// sources: `a: b: c`.
impl Failure {
    /// Run the event again, on the schedule of the hook.
    pub fn retry(reason: impl Into<Box<dyn Error>>) -> Self {
        Self::Retry {
            reason: chain(reason),
            after: None,
        }
    }

    /// Run the event again, at the earliest after this time. A part of a second is rounded up.
    pub fn retry_after(reason: impl Into<Box<dyn Error>>, after: Duration) -> Self {
        Self::Retry {
            reason: chain(reason),
            after: Some(after),
        }
    }

    /// Run the event again on the schedule of the hook, and do not count this attempt.
    pub fn defer(reason: impl Into<Box<dyn Error>>) -> Self {
        Self::Defer {
            reason: chain(reason),
            after: None,
        }
    }

    /// Run the event again at the earliest after this time, and do not count this attempt. A part
    /// of a second is rounded up.
    pub fn defer_after(reason: impl Into<Box<dyn Error>>, after: Duration) -> Self {
        Self::Defer {
            reason: chain(reason),
            after: Some(after),
        }
    }

    /// Do not run this event again. The caller, if it still waits, receives 422 without the reason.
    ///
    /// `map_err(Failure::reject)` rejects the event for any error.
    pub fn reject(reason: impl Into<Box<dyn Error>>) -> Self {
        Self::Reject {
            reason: chain(reason),
            reply: None,
        }
    }

    /// Sets what the caller of a rejected event receives, if it still waits. A failure of another
    /// kind has no reply and stays as it is.
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

/// Every error is a [`Failure::Retry`] whose reason is the error and its sources: errors of `std`,
/// `anyhow::Error`, `Box<dyn Error>`, and texts.
impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}

fn chain(error: impl Into<Box<dyn Error>>) -> String {
    chain_of(&*error.into())
}

/// The text of an error and of its sources: `a: b: c`.
pub(crate) fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    let mut count = 0;
    while let Some(cause) = source
        && count < SOURCES_MAX
        && text.len() < REASON_BYTES_MAX
    {
        let words = cause.to_string();
        // Some errors have the text of their source in their own.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
        count += 1;
    }

    text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
    text
}
