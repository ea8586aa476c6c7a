//! The operator's commands on deliveries: calls of `functions/operator.sql`. SQLite: `operator.rs`.

use deadpool_postgres::Object;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::query::{Cached, millis, plain};
use super::tries;
use crate::shown::Purged;
use crate::state_column::RUNNING;
use crate::steps::{ReplayOrder, Replayed, Step};

/// Replays events in their order. Returns a result for each. SQLite: `operator::replay_all`.
pub(super) async fn replay(client: &Object, order: &ReplayOrder) -> Result<Vec<Replayed>, Error> {
    let (events, repeated): (Vec<Uuid>, Vec<Option<i64>>) = order
        .events
        .iter()
        .map(|(event, repeated)| (event.uuid(), *repeated))
        .unzip();
    let apart = i64::try_from(order.apart.as_micros()).unwrap_or(i64::MAX >> 20);
    let ReplayOrder { again, dry_run, .. } = order;
    let sql = "SELECT kind, hook FROM replay_all($1, $2, $3, $4, $5, $6)";
    let delay = millis(order.delay);
    let rows = client
        .query_cached(sql, &[&events, &repeated, &delay, &apart, again, dry_run])
        .await?;
    Ok(rows.iter().map(replayed).collect())
}

fn replayed(row: &Row) -> Replayed {
    match row.get::<_, i32>(0) {
        0 => Replayed::Queued(row.get(1)),
        1 => Replayed::Waiting,
        3 => Replayed::Discarded,
        4 => Replayed::Repeated,
        5 => Replayed::Undecodable,
        6 => Replayed::Erased,
        _ => Replayed::Unknown,
    }
}

/// Applies a command to those of these deliveries whose state allows it, and returns them. SQLite:
/// `operator::operate`.
pub(super) async fn operate(
    client: &Object,
    step: &Step,
    deliveries: &[i64],
) -> Result<Vec<i64>, Error> {
    let rows = match step {
        Step::Discard(reason) => {
            client
                .query_cached("SELECT discard($1, $2)", &[&deliveries, &plain(reason)])
                .await?
        }
        Step::RetryNow => {
            client
                .query_cached("SELECT retry_now($1)", &[&deliveries])
                .await?
        }
    };
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// One step of `History::purge`. SQLite: `operator::purge`.
pub(super) async fn purge(client: &Object, hook: &str, limit: i32) -> Result<Purged, Error> {
    let candidates = "DELETE FROM candidates WHERE hook = $1";
    client.execute_cached(candidates, &[&hook]).await?;
    tries::remove(client, hook, None).await?;
    let sql = "SELECT removed, forgotten, rows_gone, values_gone FROM purge($1, $2)";
    Ok(purged(
        &client.query_one_cached(sql, &[&hook, &limit]).await?,
    ))
}

/// As `History::purgeable`. SQLite: `operator::purgeable`.
pub(super) async fn purgeable(client: &Object, hook: &str) -> Result<Purged, Error> {
    let sql = format!(
        "SELECT (SELECT count(*) FROM deliveries WHERE hook = $1 AND state <> {RUNNING}),
                (SELECT count(*) FROM dedup WHERE hook = $1), (SELECT count(*) FROM rows WHERE hook = $1),
                (SELECT count(*) FROM kv WHERE hook = $1)"
    );
    Ok(purged(&client.query_one_cached(&sql, &[&hook]).await?))
}

fn purged(row: &Row) -> Purged {
    Purged {
        deliveries: row.get(0),
        identities: row.get(1),
        rows: row.get(2),
        values: row.get(3),
    }
}
