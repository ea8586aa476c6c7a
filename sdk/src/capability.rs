//! Why a capability of `[allow]` did not do what was asked.

use std::error::Error;
use std::fmt;

/// The error of [`kv`](crate::kv), [`table`](crate::table) and [`emit`](crate::emit). The texts are
/// meant for a log line.
///
/// `?` makes a [`Failure::Retry`](crate::Failure::Retry) of it: the operator can add a grant or
/// raise a limit while the event waits. Where the same call can never succeed for this event, match
/// on the case and reject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CapabilityError {
    /// The hook file does not grant it.
    Denied(String),
    /// The arguments are wrong. The same call can never succeed.
    Invalid(String),
    /// A limit of the attempt or of the hook is reached.
    Limit(String),
    /// It is not possible now. Fail with a retry.
    Unavailable(String),
    /// Any other cause.
    Other(String),
}

impl CapabilityError {
    /// The name of the case: `denied`, `limit`.
    pub fn name(&self) -> &'static str {
        self.parts().0
    }

    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Denied(text) => ("denied", text),
            Self::Invalid(text) => ("invalid", text),
            Self::Limit(text) => ("limit", text),
            Self::Unavailable(text) => ("unavailable", text),
            Self::Other(text) => ("other", text),
        }
    }
}

impl fmt::Display for CapabilityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, text) = self.parts();
        write!(f, "capability {name}: {text}")
    }
}

impl Error for CapabilityError {}
