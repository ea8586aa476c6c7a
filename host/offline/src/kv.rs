//! The stored values of a case, in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use landfall_ledger::{Kv, LedgerError};
use landfall_model::KvValue;

/// The values before the attempt. Writes are staged by the engine and never arrive here.
pub(crate) struct MemoryKv(BTreeMap<String, KvValue>);

// === impl MemoryKv ===

impl MemoryKv {
    pub(crate) fn new(values: &BTreeMap<String, String>) -> MemoryKv {
        let values = values.iter().map(|(key, text)| {
            let value = KvValue::of(text.clone().into_bytes().into());
            (key.clone(), value)
        });
        MemoryKv(values.collect())
    }
}

#[async_trait]
impl Kv for MemoryKv {
    async fn get(&self, _: Arc<str>, key: String) -> Result<Option<KvValue>, LedgerError> {
        Ok(self.0.get(&key).cloned())
    }

    async fn keys(
        &self,
        _: Arc<str>,
        prefix: String,
        after: String,
        limit: usize,
    ) -> Result<Vec<String>, LedgerError> {
        let keys = self.0.keys();
        Ok(keys
            .filter(|key| key.starts_with(&prefix) && **key > after)
            .take(limit)
            .cloned()
            .collect())
    }
}
