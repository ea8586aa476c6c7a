//! Erases what an event contains. The fact of it stays: id, hook, times, sizes, states, and how its
//! attempts ended. Runs inside a transaction of its caller. Postgres: `functions/privacy.sql`.

use rusqlite::{Connection, OptionalExtension, params};

use crate::erase::{ErasedParts, Erasure};
use crate::held::{ALONE, BATCH};
use crate::state_column::{DEAD, DISCARDED, DONE};
use crate::tries::TRY_GROUPS;
use landfall_model::EventId;

/// Removes content that hangs on the number of the event (`?1`). Another table with content of
/// events, deliveries or attempts adds its statement here.
const OF_EVENT: [&str; 3] = [
    "DELETE FROM payloads WHERE event = ?1",
    "UPDATE attempts SET record = '{}', reason = '' WHERE delivery IN (SELECT id FROM deliveries WHERE event = ?1)",
    "DELETE FROM recordings WHERE delivery IN (SELECT id FROM deliveries WHERE event = ?1)",
];
/// Identities that are, or contain, a digest of the body: between `\0body\0`, `\0sent\0` or
/// `\0sealed\0` (a keyed digest) and the end, or the whole key.
const BODY_IDENTITIES: &str = "DELETE FROM dedup WHERE event = ?1
    AND (length(key) = 32 OR instr(key, x'00626f647900') > 0 OR instr(key, x'0073656e7400') > 0
         OR instr(key, x'007365616c656400') > 0)";
/// Removes what the handler of the event stored, and groups of published tries with a sample of it,
/// by the id of the event (`?1`).
const DERIVED: [&str; 2] = [
    "DELETE FROM rows WHERE event_id = ?1",
    "DELETE FROM kv WHERE event_id = ?1",
];

/// Erases one event, or says what a dry run would remove. `at_ms`: time of day.
pub(super) fn erase(
    connection: &Connection,
    id: &EventId,
    at_ms: i64,
    dry_run: bool,
) -> rusqlite::Result<Erasure> {
    let mut find = connection.prepare_cached("SELECT seq, erased_ms FROM events WHERE id = ?")?;
    let found: Option<(i64, Option<i64>)> = find
        .query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((seq, erased)) = found else {
        return Ok(Erasure::Unknown);
    };
    if erased.is_some() {
        return Ok(Erasure::Before);
    }

    let sql = format!("SELECT 1 FROM deliveries WHERE event = ? AND state < {DONE}");
    if connection.prepare_cached(&sql)?.exists([seq])? {
        return Ok(Erasure::Open);
    }

    let owners = owners(connection, seq, id)?;
    let parts = parts(connection, seq, &owners)?;
    if !dry_run {
        remove(connection, seq, &owners, at_ms)?;
    }
    Ok(Erasure::Erased(parts))
}

fn parts(connection: &Connection, seq: i64, owners: &[EventId]) -> rusqlite::Result<ErasedParts> {
    let attempts = "SELECT count(*) FROM attempts WHERE delivery IN (SELECT id FROM deliveries WHERE event = ?)";
    let attempts = connection
        .prepare_cached(attempts)?
        .query_row([seq], |row| row.get(0))?;
    let (mut rows, mut values) = (0, 0);
    for owner in owners {
        rows += connection
            .prepare_cached("SELECT count(*) FROM rows WHERE event_id = ?")?
            .query_row([owner.as_bytes()], |row| row.get::<_, i64>(0))?;
        values += connection
            .prepare_cached("SELECT count(*) FROM kv WHERE event_id = ? AND hook <> ?")?
            .query_row(params![owner.as_bytes(), TRY_GROUPS], |row| {
                row.get::<_, i64>(0)
            })?;
    }
    Ok(ErasedParts {
        attempts,
        rows,
        values,
    })
}

/// The events that what the handler made of this one is stored under: itself, and the first event of
/// its batch, under which the results of the whole batch are.
fn owners(connection: &Connection, seq: i64, id: &EventId) -> rusqlite::Result<Vec<EventId>> {
    let sql = format!(
        "SELECT DISTINCT r.id FROM deliveries m JOIN deliveries o ON o.id = m.batch JOIN events r ON r.seq = o.event
         WHERE m.event = ? AND m.flow = {BATCH} AND r.seq <> m.event"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let mut owners = vec![*id];
    for owner in select.query_map([seq], |row| row.get(0))? {
        owners.push(EventId::from_bytes(owner?));
    }
    Ok(owners)
}

/// Removes what the attempts and the replies of its batches have of an event.
fn clear_batches(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE deliveries SET reply = NULL WHERE reply IS NOT NULL
         AND id IN (SELECT batch FROM deliveries WHERE event = ? AND flow = {BATCH})"
    );
    connection.prepare_cached(&sql)?.execute([seq])?;
    // After an attempt of the first event alone, the reason is that of this attempt.
    let sql = format!(
        "UPDATE deliveries SET reason = NULL
         WHERE id IN (SELECT batch FROM deliveries WHERE event = ? AND batch IS NOT NULL) AND reason IS NOT NULL
         AND (flow <> {ALONE} OR NOT EXISTS (
             SELECT 1 FROM attempts a WHERE a.delivery = deliveries.id AND a.number > deliveries.batch_attempts))"
    );
    connection.prepare_cached(&sql)?.execute([seq])?;
    let sql = format!(
        "DELETE FROM recordings
         WHERE delivery IN (SELECT batch FROM deliveries WHERE event = ? AND batch IS NOT NULL)
         AND number <= (SELECT CASE WHEN o.flow = {ALONE} THEN o.batch_attempts ELSE recordings.number END
                        FROM deliveries o WHERE o.id = recordings.delivery)"
    );
    connection.prepare_cached(&sql)?.execute([seq])?;
    let sql = format!(
        "UPDATE attempts SET record = '{{}}', reason = ''
         WHERE delivery IN (SELECT batch FROM deliveries WHERE event = ? AND batch IS NOT NULL)
         AND number <= (SELECT CASE WHEN o.flow = {ALONE} THEN o.batch_attempts ELSE attempts.number END
                        FROM deliveries o WHERE o.id = attempts.delivery)"
    );
    connection.prepare_cached(&sql)?.execute([seq]).map(drop)
}

fn remove(
    connection: &Connection,
    seq: i64,
    owners: &[EventId],
    at_ms: i64,
) -> rusqlite::Result<()> {
    for sql in OF_EVENT.iter().chain([&BODY_IDENTITIES]) {
        connection.prepare_cached(sql)?.execute([seq])?;
    }
    clear_batches(connection, seq)?;
    for owner in owners {
        for sql in DERIVED {
            connection
                .prepare_cached(sql)?
                .execute([owner.as_bytes()])?;
        }
    }

    // A dead letter that cannot run again needs no attention.
    let sql = format!(
        "UPDATE deliveries SET reason = NULL, reply = NULL, order_key = NULL, held_order = NULL, pruned = 1,
         discarded = CASE WHEN state = {DEAD} THEN 'erased' ELSE discarded END,
         state = CASE WHEN state = {DEAD} THEN {DISCARDED} ELSE state END WHERE event = ?"
    );
    connection.prepare_cached(&sql)?.execute([seq])?;
    let sql = "UPDATE events SET head = x'', body_digest = zeroblob(32), checksum = zeroblob(16), erased_ms = ? WHERE seq = ?";
    connection
        .prepare_cached(sql)?
        .execute(params![at_ms, seq])
        .map(drop)
}

/// The events that the handlers of these events emitted, at most `limit`. Postgres:
/// `privacy::emitted_by`.
pub(super) fn emitted_by(
    connection: &Connection,
    events: &[EventId],
    limit: usize,
) -> rusqlite::Result<Vec<EventId>> {
    let sql = format!(
        "SELECT id FROM events WHERE caused_by IN (
             SELECT ?1 UNION SELECT r.id FROM events e JOIN deliveries m ON m.event = e.seq
             JOIN deliveries o ON o.id = m.batch JOIN events r ON r.seq = o.event
             WHERE e.id = ?1 AND m.flow = {BATCH}) LIMIT ?2"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let mut found = Vec::new();
    for event in events {
        let left = limit.saturating_sub(found.len()) as i64;
        let rows = select.query_map(params![event.as_bytes(), left], |row| {
            row.get(0).map(EventId::from_bytes)
        })?;
        found.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(found)
}

/// Notes which event's handler emitted this one.
pub(super) fn set_cause(
    connection: &Connection,
    event: &EventId,
    cause: &EventId,
) -> rusqlite::Result<()> {
    let sql = "UPDATE events SET caused_by = ? WHERE id = ?";
    connection
        .prepare_cached(sql)?
        .execute(params![cause.as_bytes(), event.as_bytes()])
        .map(drop)
}
