//! The number of deliveries by hook and state. SQLite: `read::count`. A trigger counts all
//! deliveries of each hook (`functions/counts.sql`); those that are not done are counted by small
//! indexes.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use deadpool_postgres::Object;
use tokio_postgres::{Error, Row};

use super::query::Cached;
use crate::counts::{CountLine, add_up};
use crate::shown::Count;
use crate::state_column::{DONE, PENDING, RUNNING, StateColumn};
use landfall_model::{DeliveryState, lock};

/// How often a node makes one row of the rows of each hook.
const ROLL_UP_EVERY: Duration = Duration::from_secs(10);
/// It does so if at least so many rows go.
const ROLL_UP_MIN: i32 = 1_000;
/// The most rows of one transaction, and the most transactions at a time.
const ROLL_UP_MAX: i32 = 50_000;
const ROLL_UPS_MAX: usize = 10;

/// When this node has made one row of the rows of each hook.
#[derive(Default)]
pub(super) struct RollUps(Mutex<Option<Instant>>);

// === impl RollUps ===

impl RollUps {
    /// Whether it is time to do so, which it is not again for a while.
    pub(super) fn take_due(&self) -> bool {
        let mut last = lock(&self.0);
        let is_due = last.is_none_or(|last| last.elapsed() >= ROLL_UP_EVERY);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

/// Makes one row of the rows of each hook.
pub(super) async fn roll_up(client: &Object) -> Result<(), Error> {
    for _ in 0..ROLL_UPS_MAX {
        let sql = "SELECT roll_up_counts($1, $2)";
        let row = client
            .query_one_cached(sql, &[&ROLL_UP_MIN, &ROLL_UP_MAX])
            .await?;
        if row.get::<_, i32>(0) < ROLL_UP_MAX {
            break;
        }
    }
    Ok(())
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
