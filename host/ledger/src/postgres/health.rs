//! Whether the database takes writes. A failed statement shows that it does not; only a committed write shows that it does again:
//! a statement that changes no row succeeds on a full disk, and one that only reads succeeds on a standby.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use deadpool_postgres::Pool;

use super::{connect, within};
use crate::error::LedgerError;

/// Between two writes that are tried.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// Bytes of one: more than the free space of one page.
const PROBE_BYTES: usize = 16 << 10;

/// What is known of the database.
#[derive(Clone)]
pub struct Health {
    pool: Pool,
    /// Why it takes no writes, if so. While it is set, a task tries one at times.
    refusal: Arc<Mutex<Option<LedgerError>>>,
}

// === impl Health ===

impl Health {
    /// Takes writes until shown otherwise.
    pub fn new(pool: Pool) -> Health {
        Health {
            pool,
            refusal: Arc::default(),
        }
    }

    /// Whether no statement has failed since the last write succeeded.
    pub fn is_good(&self) -> bool {
        self.refusal().is_none()
    }

    /// A statement has failed in a way that the next one would too.
    pub fn refused(&self, why: &LedgerError) {
        if matches!(why, LedgerError::ReadOnly(_)) {
            // These sessions belong to a server that has become a standby: new ones may find the primary.
            self.pool.retain(|_, _| false);
        }
        if self.refusal().replace(why.clone()).is_none() {
            tracing::error!(error = %why, "the ledger takes nothing: events are refused until a write succeeds");
            tokio::spawn(self.clone().probe_until_good());
        }
    }

    async fn probe_until_good(self) {
        while !self.pool.is_closed() {
            match self.probe().await {
                Ok(()) => {
                    self.refusal().take();
                    return tracing::info!(
                        "a write to the ledger succeeded: events are accepted again"
                    );
                }
                Err(error) => self.refused(&error),
            }
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }

    /// Commits a row and its removal.
    async fn probe(&self) -> Result<(), LedgerError> {
        within(async {
            let mut client = self
                .pool
                .get()
                .await
                .map_err(|error| LedgerError::Unreachable(connect::told(&error)))?;
            let transaction = client.transaction().await?;
            let insert = "INSERT INTO payloads (event, body) VALUES (-1, $1)";
            transaction.execute(insert, &[&random_bytes()]).await?;
            transaction
                .execute("DELETE FROM payloads WHERE event = -1", &[])
                .await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    fn refusal(&self) -> MutexGuard<'_, Option<LedgerError>> {
        self.refusal
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The server cannot compress them.
fn random_bytes() -> Vec<u8> {
    std::iter::repeat_with(|| uuid::Uuid::new_v4().into_bytes())
        .take(PROBE_BYTES / 16)
        .flatten()
        .collect()
}
