//! Why a key document cannot be fetched.

use super::limits::BYTES_MAX;

/// Why a key document cannot be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyDocumentError {
    /// Too many documents were fetched for this client or from this origin.
    #[error(transparent)]
    OverBudget(#[from] BudgetError),
    /// The server answered with this status.
    #[error("status {0}")]
    Status(u16),
    /// The document is too large.
    #[error("the document has more than {BYTES_MAX} bytes")]
    TooLarge,
    /// The call failed; the text is that of the egress error.
    #[error("{0}")]
    Call(String),
    /// The access token for the document cannot be obtained.
    #[error("no access token from {url}: {why}")]
    NoToken {
        /// The token server.
        url: String,
        /// The error of the call.
        why: String,
    },
}

/// Why a fetch is over budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// The table of clients or origins is full.
    #[error("key documents are being fetched for too many clients, or from too many places")]
    TooManyPeers,
    /// All permits for concurrent fetches are in use.
    #[error("too many key documents are being fetched at once")]
    TooManyAtOnce,
    /// The client's budget of this minute is spent.
    #[error("{0} key documents have been fetched for this client in a minute")]
    ClientPerMinute(usize),
    /// The origin's budget of this minute is spent.
    #[error("{0} key documents have been fetched from there in a minute")]
    OriginPerMinute(usize),
}
