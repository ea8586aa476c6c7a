//! Ending attempts: calls of `functions/deliveries.sql`. SQLite: `finish.rs`.

use deadpool_postgres::Transaction;

use super::query::{Cached, millis, plain, received};
use crate::state_column::StateColumn;
use crate::steps::{AttemptRecord, Disposition, Fence, Results};
use landfall_model::DeliveryState;
use landfall_model::stored_event::Stored;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Another owner has the lease. Nothing was stored.
    LeaseLost,
    /// This transaction ended it.
    Now,
    /// An earlier transaction ended it in the same way, and its answer was lost.
    Before,
}

/// Ends a lease and records its attempt. SQLite: `finish::finish`.
pub(super) async fn finish(
    transaction: &Transaction<'_>,
    fence: Fence,
    attempt: &AttemptRecord,
    disposition: &Disposition,
) -> Result<Ended, tokio_postgres::Error> {
    let reason = plain(&attempt.reason);
    let (state, pause, why) = match disposition {
        Disposition::Done(_) => (DeliveryState::Done, 0, None),
        Disposition::Retry(pause) | Disposition::Defer(pause) => {
            (DeliveryState::Pending, millis(*pause), Some(reason.clone()))
        }
        Disposition::Split(why) => (DeliveryState::Pending, 0, Some(plain(why))),
        Disposition::Dead(why) => (DeliveryState::Dead, 0, Some(plain(why))),
    };
    let sql = "SELECT finish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, true)";
    let row = transaction
        .query_one_cached(
            sql,
            &[
                &fence.delivery,
                &(fence.attempt as i32),
                &StateColumn(state),
                &pause,
                &why,
                &attempt.started_ms,
                &attempt.duration_us,
                &attempt.outcome,
                &reason,
                &attempt.status.map(i32::from),
                &plain(&attempt.record),
            ],
        )
        .await?;
    let ended = match row.get::<_, i32>(0) {
        0 => Ended::LeaseLost,
        1 => Ended::Now,
        _ => Ended::Before,
    };
    if ended == Ended::Now && matches!(disposition, Disposition::Done(_)) && attempt.refuses() {
        let sql = "SELECT forget_refused($1)";
        transaction
            .query_one_cached(sql, &[&fence.delivery])
            .await?;
    }
    if ended == Ended::Now && matches!(disposition, Disposition::Split(_)) {
        let sql = "SELECT split_batch($1)";
        transaction
            .query_one_cached(sql, &[&fence.delivery])
            .await?;
    }
    if ended == Ended::Now && matches!(disposition, Disposition::Defer(_)) {
        count_deferral(transaction, fence).await?;
    }
    if let (
        Ended::Now,
        Disposition::Done(Results {
            reply: Some(reply), ..
        }),
    ) = (ended, disposition)
    {
        let sql = "UPDATE deliveries SET reply = $1 WHERE id = $2";
        transaction
            .execute_cached(sql, &[reply, &fence.delivery])
            .await?;
    }
    Ok(ended)
}

/// Counts a deferral. Of all attempts that deferred the delivery, only the record of the last is
/// kept. SQLite: `deliveries::count_deferral`.
async fn count_deferral(
    transaction: &Transaction<'_>,
    fence: Fence,
) -> Result<(), tokio_postgres::Error> {
    let sql = "UPDATE deliveries SET deferrals = deferrals + 1, deferred_since = coalesce(deferred_since, now_ms())
               WHERE id = $1";
    transaction.execute_cached(sql, &[&fence.delivery]).await?;

    let sql = "DELETE FROM attempts WHERE delivery = $1 AND number < $2 AND outcome = 'defer'";
    let number = fence.attempt as i32;
    transaction
        .execute_cached(sql, &[&fence.delivery, &number])
        .await
        .map(drop)
}

/// Stores an event whose handler has answered already, with its attempt. SQLite: `finish::record`.
pub(super) async fn record(
    transaction: &Transaction<'_>,
    stored: &Stored,
    attempt: &AttemptRecord,
    disposition: &Disposition,
) -> Result<(), tokio_postgres::Error> {
    let event = stored.event();
    let (id, hook): (_, &str) = (event.id.uuid(), &event.hook);
    let (state, why) = match disposition {
        Disposition::Done(_) => (DeliveryState::Done, None),
        Disposition::Retry(_) | Disposition::Defer(_) | Disposition::Split(_) => {
            (DeliveryState::Dead, Some(attempt.outcome.to_owned()))
        }
        Disposition::Dead(why) => (DeliveryState::Dead, Some(plain(why))),
    };
    let timing = stored.timing();
    let sql = "SELECT record_event($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    transaction
        .query_one_cached(
            sql,
            &[
                &id,
                &hook,
                &received(stored),
                &stored.head(),
                &&event.body[..],
                &&stored.digest()[..],
                &&stored.checksum()[..],
                &StateColumn(state),
                &why,
                &attempt.started_ms,
                &attempt.duration_us,
                &attempt.outcome,
                &plain(&attempt.reason),
                &attempt.status.map(i32::from),
                &plain(&attempt.record),
                &timing.verify_us(),
                &timing.since_read_us(),
            ],
        )
        .await
        .map(drop)
}
