//! Why the parameters of a request cannot be used.

use landfall_model::OUTCOME_WORDS;
use thiserror::Error;

/// Why the parameters of a request cannot be used. Each text says what to write.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum QueryError {
    #[error(
        "`{text}` is not a time: write 2026-01-31T08:15:30Z, or 1h for an hour ago",
        text = .0.escape_debug()
    )]
    Time(String),
    #[error(
        "`{text}` is not a state: waiting, pending, running, done, dead, resolved, discarded, filtered or superseded",
        text = .0.escape_debug()
    )]
    State(String),
    #[error(
        "`{text}` is not an outcome: {}",
        OUTCOME_WORDS.join(", "),
        text = .0.escape_debug()
    )]
    Outcome(String),
    #[error("`{text}` is no delivery", text = .0.escape_debug())]
    Delivery(String),
    /// The most deliveries of one request.
    #[error("{0} deliveries at most in one request")]
    TooManyDeliveries(usize),
    /// How to write the parameter.
    #[error("write {0}")]
    Form(&'static str),
    #[error("header `{name}` may carry a secret: it is masked, and not searched", name = .0.escape_debug())]
    MaskedHeader(String),
    #[error("`{text}` is no JSON pointer: it begins with /", text = .0.escape_debug())]
    Pointer(String),
    #[error("`{text}` is no duration: write 2s or 250ms", text = .0.escape_debug())]
    Duration(String),
}
