//! The number of deliveries by hook and state. SQLite: `read::count`. A trigger counts all
//! deliveries of each hook (`functions/counts.sql`); those that are not done are counted by small
//! indexes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool};
use tokio_postgres::{Error, Row};

use super::connect::describe_error;
use super::query::{Cached, within};
use crate::counts::{CountLine, add_up};
use crate::error::LedgerError;
use crate::shown::Count;
use crate::state_column::{DONE, PENDING, RUNNING, StateColumn, WAITING};
use landfall_model::{DeliveryState, lock};

/// How often a node makes one row of the rows of each hook.
const ROLL_UP_EVERY: Duration = Duration::from_secs(10);
/// It does so if at least so many rows go.
const ROLL_UP_MIN: i32 = 1_000;
/// The most rows of one transaction, and the most transactions at a time.
const ROLL_UP_MAX: i32 = 50_000;
const ROLL_UPS_MAX: usize = 10;
/// How often a node logs that it cannot do so.
const LOG_EVERY: Duration = Duration::from_secs(300);

/// When this node has made one row of the rows of each hook, and how often it could not.
#[derive(Clone, Default)]
pub(super) struct RollUps(Arc<Mutex<Past>>);

#[derive(Default)]
struct Past {
    last: Option<Instant>,
    failures: Failures,
}

/// Failures since the last log line about them.
#[derive(Default)]
struct Failures {
    count: u64,
    logged: Option<Instant>,
}

// === impl RollUps ===

impl RollUps {
    /// Whether it is time to do so, which it is not again for a while.
    pub(super) fn take_due(&self) -> bool {
        let mut past = lock(&self.0);
        let is_due = past.last.is_none_or(|last| last.elapsed() >= ROLL_UP_EVERY);
        if is_due {
            past.last = Some(Instant::now());
        }
        is_due
    }

    fn report(&self, error: &LedgerError) {
        let failures = lock(&self.0).failures.add(Instant::now());
        if let Some(failures) = failures {
            tracing::warn!(
                %error,
                failures,
                "the counts of deliveries were not added up: `stats` reads more and more rows; this line is repeated every 5 min at most"
            );
        }
    }
}

// === impl Failures ===

impl Failures {
    /// Counts one. Returns how many there were since the last line, if it is time for another one.
    fn add(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        let is_due = self
            .logged
            .is_none_or(|logged| now.saturating_duration_since(logged) >= LOG_EVERY);
        if !is_due {
            return None;
        }

        self.logged = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

/// Makes one row of the rows of each hook. Nothing waits for it: it may take longer than a lease
/// lasts.
pub(super) async fn roll_up(pool: Pool, roll_ups: RollUps) {
    for _ in 0..ROLL_UPS_MAX {
        match within(roll_up_some(&pool)).await {
            Ok(rows) if rows >= ROLL_UP_MAX => {}
            Ok(_) => return,
            // The node stops.
            Err(_) if pool.is_closed() => return,
            Err(error) => return roll_ups.report(&error),
        }
    }
}

/// One transaction. Returns how many rows it has read.
async fn roll_up_some(pool: &Pool) -> Result<i32, LedgerError> {
    let client = pool
        .get()
        .await
        .map_err(|error| LedgerError::Unreachable(describe_error(&error)))?;
    let sql = "SELECT roll_up_counts($1, $2)";
    let row = client
        .query_one_cached(sql, &[&ROLL_UP_MIN, &ROLL_UP_MAX])
        .await?;
    Ok(row.try_get(0)?)
}

/// The number of deliveries by hook and state, as of one snapshot. The condition of each part is
/// that of a partial index.
pub(super) async fn count(client: &Object) -> Result<Vec<Count>, Error> {
    let sql = format!(
        "SELECT hook, NULL::integer, sum(deliveries)::bigint FROM delivery_counts GROUP BY hook
         UNION ALL SELECT hook, {PENDING}, count(*)
         FROM deliveries WHERE state = {PENDING} AND NOT blocked GROUP BY hook
         UNION ALL SELECT hook, {PENDING}, count(*)
         FROM deliveries WHERE state < {DONE} AND order_key IS NOT NULL AND state = {PENDING} AND blocked GROUP BY hook
         UNION ALL SELECT hook, {PENDING}, count(*)
         FROM deliveries WHERE state = {PENDING} AND blocked AND order_key IS NULL GROUP BY hook
         UNION ALL SELECT hook, {WAITING}, count(*) FROM deliveries WHERE state = {WAITING} GROUP BY hook
         UNION ALL SELECT hook, {RUNNING}, count(*) FROM deliveries WHERE state = {RUNNING} GROUP BY hook
         UNION ALL SELECT hook, state::integer, count(*) FROM deliveries WHERE state > {DONE} GROUP BY hook, state"
    );
    let rows = client.query_cached(&sql, &[]).await?;
    Ok(add_up(rows.iter().map(count_line)))
}

/// A damaged state counts as dead, as in lists.
fn count_line(row: &Row) -> CountLine {
    let state = match row.try_get::<_, Option<StateColumn>>(1) {
        Ok(state) => state.map(|StateColumn(state)| state),
        Err(_) => Some(DeliveryState::Dead),
    };
    CountLine {
        hook: row.get(0),
        state,
        deliveries: row.get(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_logged_seldom() {
        let (mut failures, first) = (Failures::default(), Instant::now());
        assert_eq!(failures.add(first), Some(1));
        for _ in 0..3 {
            assert_eq!(failures.add(first + LOG_EVERY / 2), None);
        }
        assert_eq!(failures.add(first + LOG_EVERY), Some(4));
    }
}
