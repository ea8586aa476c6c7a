//! Whether the database takes writes. A failed statement shows that it does not. Only a committed
//! write shows that it does again: a statement that changes no row succeeds on a full disk, and a
//! read succeeds on a standby.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use deadpool_postgres::Pool;

use super::connect;
use super::query::within;
use crate::error::LedgerError;
use landfall_model::lock;

/// The time between two test writes.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// The size of a test write: more than the free space of one page.
const PROBE_BYTES: usize = 16 << 10;

/// The health of the database, as far as is known.
#[derive(Clone)]
pub(super) struct Health {
    pool: Pool,
    /// Why the database takes no writes. While it is set, a task tries a write at intervals.
    refusal: Arc<Mutex<Option<LedgerError>>>,
}

// === impl Health ===

impl Health {
    /// Healthy until a statement fails.
    pub(super) fn new(pool: Pool) -> Health {
        Health {
            pool,
            refusal: Arc::default(),
        }
    }

    /// Whether no statement has failed since the last write succeeded.
    pub(super) fn is_good(&self) -> bool {
        lock(&self.refusal).is_none()
    }

    /// Records that a statement has failed because the database takes no writes or cannot be
    /// reached.
    pub(super) fn set_refusal(&self, why: &LedgerError) {
        if matches!(why, LedgerError::ReadOnly(_)) {
            // The server has become a standby: new sessions may find the primary.
            self.pool.retain(|_, _| false);
        }
        if lock(&self.refusal).replace(why.clone()).is_none() {
            tracing::error!(error = %why, "the ledger takes no writes: events are refused until a write succeeds");
            tokio::spawn(self.clone().probe_until_good());
        }
    }

    async fn probe_until_good(self) {
        while !self.pool.is_closed() {
            match self.probe().await {
                Ok(()) => {
                    lock(&self.refusal).take();
                    return tracing::info!(
                        "a write to the ledger succeeded: events are accepted again"
                    );
                }
                Err(error) => self.set_refusal(&error),
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
                .map_err(|error| LedgerError::Unreachable(connect::describe_error(&error)))?;
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
}

/// Random, so that the server cannot compress them.
fn random_bytes() -> Vec<u8> {
    std::iter::repeat_with(|| uuid::Uuid::new_v4().into_bytes())
        .take(PROBE_BYTES / 16)
        .flatten()
        .collect()
}
