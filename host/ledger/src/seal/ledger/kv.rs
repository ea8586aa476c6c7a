//! The key-value data of handlers, whose values are sealed, and the notes of the node, which are
//! not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{SealedLedger, refused};
use crate::error::LedgerError;
use crate::seal::values;
use crate::traits::{Kv, Notes};
use landfall_model::KvValue;

#[async_trait]
impl Kv for SealedLedger {
    async fn get(&self, hook: Arc<str>, key: String) -> Result<Option<KvValue>, LedgerError> {
        let Some(stored) = self.inner.get(hook.clone(), key.clone()).await? else {
            return Ok(None);
        };
        let opened = values::open_value(&self.keys, &hook, &key, stored);
        opened.map(Some).map_err(refused)
    }

    async fn keys(
        &self,
        hook: Arc<str>,
        prefix: String,
        after: String,
        limit: usize,
    ) -> Result<Vec<String>, LedgerError> {
        self.inner.keys(hook, prefix, after, limit).await
    }
}

#[async_trait]
impl Notes for SealedLedger {
    async fn knows(&self, hook: Arc<str>, keys: Vec<Vec<u8>>) -> Result<bool, LedgerError> {
        let keys = keys.into_iter().map(|key| self.identity(key)).collect();
        self.inner.knows(hook, keys).await
    }

    async fn note(
        &self,
        part: &'static str,
        key: String,
        text: String,
        keep: Duration,
    ) -> Result<(), LedgerError> {
        self.inner.note(part, key, text, keep).await
    }
}
