//! Why a request cannot be signed.

use thiserror::Error;

/// Why a request cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignError {
    /// The hook has no authentication scheme.
    #[error("the hook has no [verify] table: write how senders authenticate")]
    Closed,
    /// Only the provider can sign.
    #[error("the sender signs with a private key that only it has")]
    ProviderKey,
    /// The secret is missing, or is not a key of the scheme.
    #[error("{0}")]
    Secret(String),
    /// The URL, a header or the body cannot hold what must be written into it.
    #[error("{0}")]
    Request(String),
}

// === impl SignError ===

impl From<String> for SignError {
    fn from(reason: String) -> SignError {
        SignError::Request(reason)
    }
}

impl From<&str> for SignError {
    fn from(reason: &str) -> SignError {
        SignError::Request(reason.to_owned())
    }
}
