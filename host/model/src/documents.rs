//! Key documents that lie at an address: key sets, certificates, public keys.

use bytes::Bytes;

/// Gives documents that have been fetched; `secrets` implements it, others only ask.
pub trait Documents: Send + Sync {
    /// The document, if it is at hand.
    fn get(&self, url: &str) -> Option<Bytes>;
}
