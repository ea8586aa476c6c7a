//! What operators erase, and retention: calls of `functions/privacy.sql`. SQLite: `erase.rs`,
//! `retention.rs`.

use std::time::Duration;

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::query::{Cached, millis};
use crate::erase::{ErasedParts, Erasure};
use crate::held::BATCH;
use landfall_model::EventId;

/// Erases one event. SQLite: `erase::erase`.
pub(super) async fn erase(
    client: &Object,
    event: &EventId,
    at_ms: i64,
    dry_run: bool,
) -> Result<Erasure, Error> {
    let sql = "SELECT kind, attempts_of, rows_of, values_of FROM erase($1, $2, $3)";
    let row = client
        .query_one_cached(sql, &[&event.uuid(), &at_ms, &dry_run])
        .await?;
    Ok(erasure(&row))
}

fn erasure(row: &Row) -> Erasure {
    match row.get::<_, i32>(0) {
        0 => Erasure::Erased(ErasedParts {
            attempts: row.get(1),
            rows: row.get(2),
            values: row.get(3),
        }),
        1 => Erasure::Open,
        2 => Erasure::Before,
        _ => Erasure::Unknown,
    }
}

/// The events that the handlers of these events emitted. SQLite: `erase::emitted_by`.
pub(super) async fn emitted_by(
    client: &Object,
    events: &[EventId],
    limit: usize,
) -> Result<Vec<EventId>, Error> {
    let events: Vec<Uuid> = events.iter().map(EventId::uuid).collect();
    let sql = format!(
        "SELECT id FROM events WHERE caused_by IN (
             SELECT unnest($1::uuid[]) UNION SELECT r.id FROM events e JOIN deliveries m ON m.event = e.seq
             JOIN deliveries o ON o.id = m.batch JOIN events r ON r.seq = o.event
             WHERE e.id = ANY ($1::uuid[]) AND m.flow = {BATCH}) LIMIT $2"
    );
    let rows = client
        .query_cached(&sql, &[&events, &(limit as i64)])
        .await?;
    let id = |row: &Row| EventId::from_bytes(row.get::<_, Uuid>(0).into_bytes());
    Ok(rows.iter().map(id).collect())
}

/// Notes which event's handler emitted this one. SQLite: `erase::set_cause`.
pub(super) async fn set_cause(
    transaction: &Transaction<'_>,
    event: &EventId,
    cause: &EventId,
) -> Result<(), Error> {
    let sql = "UPDATE events SET caused_by = $2 WHERE id = $1";
    transaction
        .execute_cached(sql, &[&event.uuid(), &cause.uuid()])
        .await
        .map(drop)
}

/// The same for an event that a broker has delivered.
pub(super) async fn set_cause_of_received(
    client: &Object,
    event: &EventId,
    cause: &EventId,
) -> Result<(), Error> {
    let sql = "UPDATE events SET caused_by = $2 WHERE id = $1 AND caused_by IS NULL";
    client
        .execute_cached(sql, &[&event.uuid(), &cause.uuid()])
        .await
        .map(drop)
}

/// The hooks that have deliveries. SQLite: `retention::stored_hooks`.
pub(super) async fn stored_hooks(client: &Object) -> Result<Vec<String>, Error> {
    // The index leads from one hook to the next, however many deliveries each has.
    let sql = "WITH RECURSIVE names AS (
                   (SELECT min(hook) AS hook FROM deliveries)
                   UNION ALL
                   SELECT (SELECT min(d.hook) FROM deliveries d WHERE d.hook > names.hook) FROM names WHERE names.hook IS NOT NULL)
               SELECT hook FROM names WHERE hook IS NOT NULL";
    let rows = client.query_cached(sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// One step of the retention of a hook, which keeps bodies and deliveries so long. SQLite:
/// `retention::step`.
pub(super) async fn prune_hook(
    client: &Object,
    hook: &str,
    (bodies, deliveries): (Duration, Duration),
    step: i32,
) -> Result<i32, Error> {
    let (bodies, deliveries) = (millis(bodies), millis(deliveries));
    let sql = "SELECT prune_hook($1, $2, $3, $4)";
    client
        .query_one_cached(sql, &[&hook, &bodies, &deliveries, &step])
        .await?
        .try_get(0)
}

/// One step of what has a time of its own. SQLite: `retention::step`.
pub(super) async fn prune_expired(client: &Object, step: i32) -> Result<i32, Error> {
    let sql = "SELECT prune_expired($1)";
    client.query_one_cached(sql, &[&step]).await?.try_get(0)
}
