//! What an operator does to deliveries: the functions of `operator.sql`.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::{Error, Row};

use super::{Cached, millis, plain};
use crate::shown::Purged;
use crate::steps::{Replayed, Step};
use landfall_model::EventId;

/// A new delivery of an old event.
pub async fn replay(
    client: &Object,
    event: &EventId,
    delay: Duration,
    again: bool,
) -> Result<Replayed, Error> {
    let sql = "SELECT kind, hook FROM replay($1, $2, $3)";
    let row = client
        .query_one_cached(sql, &[&event.uuid(), &millis(delay), &again])
        .await?;
    Ok(match row.get::<_, i32>(0) {
        0 => Replayed::Queued(row.get(1)),
        1 => Replayed::Waiting,
        3 => Replayed::Discarded,
        _ => Replayed::Unknown,
    })
}

/// The deliveries that were in a state for this step.
pub async fn operate(client: &Object, step: &Step, deliveries: &[i64]) -> Result<Vec<i64>, Error> {
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

/// One bounded step of removing all that a hook has.
pub async fn purge(client: &Object, hook: &str, limit: i32) -> Result<Purged, Error> {
    let sql = "SELECT removed, forgotten, rows_gone, values_gone FROM purge($1, $2)";
    Ok(purged(
        &client.query_one_cached(sql, &[&hook, &limit]).await?,
    ))
}

/// What those steps would remove.
pub async fn purgeable(client: &Object, hook: &str) -> Result<Purged, Error> {
    let sql = "SELECT (SELECT count(*) FROM deliveries WHERE hook = $1 AND state <> 1),
                      (SELECT count(*) FROM dedup WHERE hook = $1), (SELECT count(*) FROM rows WHERE hook = $1),
                      (SELECT count(*) FROM kv WHERE hook = $1)";
    Ok(purged(&client.query_one_cached(sql, &[&hook]).await?))
}

fn purged(row: &Row) -> Purged {
    Purged {
        deliveries: row.get(0),
        identities: row.get(1),
        rows: row.get(2),
        values: row.get(3),
    }
}
