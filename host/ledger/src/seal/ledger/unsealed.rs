//! What is not sealed: the documents of candidates, and the tables as the pass that encrypts reads
//! and writes them.

use async_trait::async_trait;
use bytes::Bytes;

use super::SealedLedger;
use crate::candidates::{Candidates, StoredCandidate};
use crate::error::LedgerError;
use crate::raw::{RawChange, RawCursor, RawKind, RawRecord};
use crate::traits::RawRecords;

/// Documents of candidates and components have nothing of an event.
#[async_trait]
impl Candidates for SealedLedger {
    async fn candidates(&self) -> Result<Vec<StoredCandidate>, LedgerError> {
        self.inner.candidates().await
    }

    async fn put_candidate(
        &self,
        hook: String,
        version: i64,
        json: String,
    ) -> Result<bool, LedgerError> {
        self.inner.put_candidate(hook, version, json).await
    }

    async fn remove_candidate(&self, hook: String, version: i64) -> Result<bool, LedgerError> {
        self.inner.remove_candidate(hook, version).await
    }

    async fn keep_component(&self, name: String, bytes: Bytes) -> Result<(), LedgerError> {
        self.inner.keep_component(name, bytes).await
    }

    async fn kept_component(&self, name: String) -> Result<Option<Vec<u8>>, LedgerError> {
        self.inner.kept_component(name).await
    }

    async fn forget_components(&self, used: Vec<String>) -> Result<usize, LedgerError> {
        self.inner.forget_components(used).await
    }
}

#[async_trait]
impl RawRecords for SealedLedger {
    async fn raw(
        &self,
        kind: RawKind,
        after: Option<RawCursor>,
        limit: usize,
    ) -> Result<Vec<RawRecord>, LedgerError> {
        self.inner.raw(kind, after, limit).await
    }

    async fn replace_raw(&self, changes: Vec<RawChange>) -> Result<usize, LedgerError> {
        self.inner.replace_raw(changes).await
    }
}
