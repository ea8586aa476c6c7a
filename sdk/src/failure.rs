//! How a handler says that it could not handle the event.
//!
//! `Failure` is not a `std::error::Error`: that is what lets `?` turn every error into one.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Whether the same event may succeed later. The texts are for the operator. The caller never sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Something outside failed. The same event may succeed later.
    Retry {
        /// Why.
        reason: String,
        /// The next attempt starts at the earliest after this time. The host keeps it within the hook's `[retry]`.
        after: Option<Duration>,
    },
    /// This event can never succeed. It is dead at once.
    Reject(String),
}

impl Failure {
    /// Run the event again, at a time that `[retry]` decides.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry {
            reason: reason.into(),
            after: None,
        }
    }

    /// Run the event again, at the earliest after this time.
    pub fn retry_after(reason: impl Into<String>, after: Duration) -> Self {
        Self::Retry {
            reason: reason.into(),
            after: Some(after),
        }
    }

    /// Do not run this event again.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject(reason.into())
    }

    /// The text, of either kind.
    pub fn reason(&self) -> &str {
        match self {
            Self::Retry { reason, .. } | Self::Reject(reason) => reason,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry {
                reason,
                after: Some(after),
            } => write!(f, "retry after {after:?}: {reason}"),
            Self::Retry {
                reason,
                after: None,
            } => write!(f, "retry: {reason}"),
            Self::Reject(reason) => write!(f, "reject: {reason}"),
        }
    }
}

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
