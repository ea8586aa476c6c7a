//! The values of `kv` at a node without keys: an encrypted one is refused, and never given to a
//! handler.

use std::sync::Arc;

use async_trait::async_trait;

use super::keys::sealed_by;
use crate::error::LedgerError;
use crate::traits::{Kv, Ledger};
use landfall_model::KvValue;

/// The values of a ledger without keys, for handlers. Reads of a value that another node has
/// encrypted fail.
pub struct UnsealedValues(Arc<dyn Ledger>);

// === impl UnsealedValues ===

impl UnsealedValues {
    /// Those of this ledger, which has no keys.
    pub fn of(ledger: Arc<dyn Ledger>) -> Arc<UnsealedValues> {
        Arc::new(UnsealedValues(ledger))
    }
}

#[async_trait]
impl Kv for UnsealedValues {
    async fn get(&self, hook: Arc<str>, key: String) -> Result<Option<KvValue>, LedgerError> {
        let found = self.0.get(hook, key).await?;
        match found.as_ref().and_then(|value| sealed_by(&value.bytes)) {
            None => Ok(found),
            Some(id) => Err(LedgerError::Other(format!(
                "a stored value is encrypted with the key {id}, and ledger.encryption_keys of this node is not set: set it"
            ))),
        }
    }

    async fn keys(
        &self,
        hook: Arc<str>,
        prefix: String,
        after: String,
        limit: usize,
    ) -> Result<Vec<String>, LedgerError> {
        self.0.keys(hook, prefix, after, limit).await
    }
}
