//! Key documents that providers publish: key sets, certificates, public keys.

use bytes::Bytes;

/// Documents that have been fetched. Implemented by the crate `secrets`.
pub trait Documents: Send + Sync {
    /// The document at `url`. `None`: it has not been fetched.
    fn get(&self, url: &str) -> Option<Bytes>;
}
