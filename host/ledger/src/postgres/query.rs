//! What all steps in Postgres share: prepared statements, a time limit, and values as columns hold
//! them.

use std::time::Duration;

use deadpool_postgres::{Object, Transaction};
use uuid::Uuid;

use crate::error::LedgerError;
use crate::steps::Fence;
use landfall_model::clock::to_ms;
use landfall_model::stored_event::{Corrupt, Stored, checked};
use landfall_model::{Event, EventId};

/// Time limit of a step.
const WITHIN: Duration = Duration::from_secs(10);

/// Limits the time of a step.
pub(super) async fn within<T>(
    work: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    match tokio::time::timeout(WITHIN, work).await {
        Ok(result) => result,
        Err(_) => {
            let why = format!("no answer within {} s", WITHIN.as_secs());
            Err(LedgerError::Unreachable(why))
        }
    }
}

/// An event from the columns id, hook, received_ms, head, body_digest, checksum and body, which
/// begin at `at`. `None` if its body has been pruned. SQLite: `events::read`.
pub(super) fn event_of(row: &tokio_postgres::Row, at: usize) -> Option<Result<Event, Corrupt>> {
    let body: Vec<u8> = row.get::<_, Option<Vec<u8>>>(at + 6)?;
    let id = EventId::from_bytes(row.get::<_, Uuid>(at).into_bytes());
    let (head, digest, sum): (Vec<u8>, Vec<u8>, Vec<u8>) =
        (row.get(at + 3), row.get(at + 4), row.get(at + 5));
    Some(checked(
        (id, row.get(at + 1), row.get(at + 2)),
        &head,
        &digest,
        &sum,
        body,
    ))
}

/// The numbers of deliveries and attempts, sorted alike on all nodes against deadlocks.
pub(super) fn split(fences: &[Fence]) -> (Vec<i64>, Vec<i32>) {
    let mut fences = fences.to_vec();
    fences.sort_by_key(|fence| fence.delivery);
    fences
        .iter()
        .map(|fence| (fence.delivery, fence.attempt as i32))
        .unzip()
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis())
        .unwrap_or(i64::MAX / 4)
        .min(i64::MAX / 4)
}

/// The columns `deferrals` and `deferred_since`.
pub(super) fn deferred(row: &tokio_postgres::Row, at: usize) -> crate::steps::Deferred {
    let count: i32 = row.get(at);
    let since: Option<i64> = row.get(at + 1);
    crate::steps::Deferred {
        count: u32::try_from(count).unwrap_or(0),
        since: since.map(landfall_model::LedgerTime),
    }
}

/// Text that Postgres can store: it cannot store zero characters.
pub(super) fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Runs statements that are prepared once for each connection.
pub(super) trait Cached {
    async fn query_cached(
        &self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error>;
    async fn query_one_cached(
        &self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<tokio_postgres::Row, tokio_postgres::Error>;
    async fn execute_cached(
        &self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<u64, tokio_postgres::Error>;
}

pub(super) type Values<'a> = &'a [&'a (dyn tokio_postgres::types::ToSql + Sync)];

macro_rules! cached {
    ($kind:ty) => {
        impl Cached for $kind {
            async fn query_cached(
                &self,
                sql: &str,
                values: Values<'_>,
            ) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
                let statement = self.prepare_cached(sql).await?;
                self.query(&statement, values).await
            }

            async fn query_one_cached(
                &self,
                sql: &str,
                values: Values<'_>,
            ) -> Result<tokio_postgres::Row, tokio_postgres::Error> {
                let statement = self.prepare_cached(sql).await?;
                self.query_one(&statement, values).await
            }

            async fn execute_cached(
                &self,
                sql: &str,
                values: Values<'_>,
            ) -> Result<u64, tokio_postgres::Error> {
                let statement = self.prepare_cached(sql).await?;
                self.execute(&statement, values).await
            }
        }
    };
}

cached!(Object);
cached!(Transaction<'_>);

pub(super) fn received(stored: &Stored) -> i64 {
    to_ms(stored.event().received_at)
}
