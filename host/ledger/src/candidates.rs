//! What all nodes remember of candidates: a document for each hook, and the components that must
//! outlive their files.

use async_trait::async_trait;
use bytes::Bytes;

use super::error::LedgerError;

/// Components are stored in parts of this size, each in a transaction of its own, so that no event
/// waits for a whole component.
pub(super) const PART_BYTES: usize = 256 << 10;
/// A component that no hook needs is kept for this long, in ms: another node may be about to need
/// it.
pub(super) const UNUSED_MS: i64 = 3_600_000;

/// The document of one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCandidate {
    /// The hook.
    pub hook: String,
    /// Grows with each change, from 1.
    pub version: i64,
    /// The document.
    pub json: String,
}

/// The documents of candidates, and kept components.
#[async_trait]
pub trait Candidates: Send + Sync {
    /// The documents of all hooks that have one.
    async fn candidates(&self) -> Result<Vec<StoredCandidate>, LedgerError>;

    /// Replaces the document of a hook on stable storage, if its version is still this one; 0 if it
    /// has none. False, and nothing is stored: another node has changed it.
    async fn put_candidate(
        &self,
        hook: String,
        version: i64,
        json: String,
    ) -> Result<bool, LedgerError>;

    /// Removes the document of a hook on stable storage, if its version is still this one. False,
    /// and nothing is removed: another node has changed it.
    async fn remove_candidate(&self, hook: String, version: i64) -> Result<bool, LedgerError>;

    /// Stores a component under a name, such as its digest.
    async fn keep_component(&self, name: String, bytes: Bytes) -> Result<(), LedgerError>;

    /// A kept component. The caller checks its digest: a part may be missing.
    async fn kept_component(&self, name: String) -> Result<Option<Vec<u8>>, LedgerError>;

    /// Removes the components that are not in the list and have not been stored within the last
    /// hour. Returns how many.
    async fn forget_components(&self, used: Vec<String>) -> Result<usize, LedgerError>;
}
