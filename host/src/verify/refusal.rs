//! Why a request was not let in. For the operator: the caller only ever sees one unchanging answer.

use crate::model::SecretError;

/// Sorted by what the operator does next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The sender does not send what the hook expects, or somebody else called.
    #[error("{0} missing")]
    Missing(String),
    /// More than one value where exactly one can be right.
    #[error("{0} given more than once")]
    Duplicate(String),
    /// Not decodable: a wrong prefix, encoding or length.
    #[error("{what} malformed: {why}")]
    Malformed {
        /// What.
        what: String,
        /// How it differs from what was expected; never the value.
        why: String,
    },
    /// Well formed, but made with another secret or over another body.
    #[error("{0} does not match")]
    Mismatch(String),
    /// No secret to compare with. The hook is closed, whoever calls.
    #[error("{0}")]
    NoSecret(SecretError),
    /// Nobody said how a sender proves itself. The hook is closed.
    #[error("no `[verify]`: write how senders prove themselves, or `scheme = \"none\"` to let everybody in")]
    Closed,
}

impl Refusal {
    /// Our side is not ready: the caller should come again, and is not told that it is wrong.
    pub fn is_ours(&self) -> bool {
        matches!(self, Refusal::NoSecret(_) | Refusal::Closed)
    }

    /// The word for it in logs and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Refusal::Missing(_) => "missing",
            Refusal::Duplicate(_) => "duplicate",
            Refusal::Malformed { .. } => "malformed",
            Refusal::Mismatch(_) => "mismatch",
            Refusal::NoSecret(_) => "no-secret",
            Refusal::Closed => "closed",
        }
    }
}
