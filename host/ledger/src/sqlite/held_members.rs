//! The events of a closed batch: one delivery carries it, and the other ones wait for its end. Each
//! function runs inside a transaction of its caller. Postgres: `functions/held.sql`.

use rusqlite::{Connection, params};

use super::deliveries;
use super::events::{self, COLUMNS};
use crate::held::ALONE;
use crate::state_column::{DONE, PENDING, WAITING};
use landfall_model::{Corrupt, Event, LedgerTime};

/// The other events of the batch that a delivery carries, in the order of their arrival. Postgres:
/// in `claim`.
pub(super) fn members(
    connection: &Connection,
    leader: i64,
    hook: &str,
) -> rusqlite::Result<Vec<Option<Result<Event, Corrupt>>>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries d LEFT JOIN events e ON e.seq = d.event
         LEFT JOIN payloads p ON p.event = e.seq
         WHERE d.batch = ?1 AND d.id <> ?1 AND d.state = {WAITING} ORDER BY d.id"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let found = select.query_map([leader], |row| {
        let event = events::read(row, 0)?;
        Ok(event.map(|event| event.and_then(|event| events::of_hook(event, hook))))
    })?;
    found.collect()
}

/// Whether a delivery carries a batch whose other events wait for its end.
pub(super) fn has_members(connection: &Connection, leader: i64) -> rusqlite::Result<bool> {
    let sql = format!(
        "SELECT 1 FROM deliveries WHERE batch = ?1 AND id <> ?1 AND state = {WAITING} LIMIT 1"
    );
    connection.prepare_cached(&sql)?.exists([leader])
}

/// The events of a batch were refused: its provider sends them again, and that is no duplicate.
/// Every identity of every event is removed, while its other events still wait. Postgres:
/// `forget_refused`.
pub(super) fn forget_refused(connection: &Connection, leader: i64) -> rusqlite::Result<()> {
    let sql = format!(
        "DELETE FROM dedup WHERE event IN (
             SELECT event FROM deliveries WHERE id = ?1
             UNION ALL SELECT event FROM deliveries WHERE batch = ?1 AND state = {WAITING})"
    );
    connection.prepare_cached(&sql)?.execute([leader]).map(drop)
}

/// The batch has been handled: so have its other events. Postgres: `finish_members`.
pub(super) fn finish_members(
    connection: &Connection,
    leader: i64,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let sql = format!(
        "SELECT id FROM deliveries WHERE batch = ?1 AND id <> ?1 AND state = {WAITING} AND replay_of IS NOT NULL"
    );
    let repeats: Vec<i64> = connection
        .prepare_cached(&sql)?
        .query_map([leader], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let sql = format!(
        "UPDATE deliveries SET state = {DONE}, due = ?2, ended = ?2 WHERE batch = ?1 AND id <> ?1 AND state = {WAITING}"
    );
    connection
        .prepare_cached(&sql)?
        .execute(params![leader, now.0])?;
    repeats
        .iter()
        .try_for_each(|delivery| deliveries::resolve_repeated(connection, *delivery))
}

/// The other events of a batch run alone, each with all its attempts. Postgres: `free_members`.
pub(super) fn free_members(
    connection: &Connection,
    leader: i64,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    // The one that carried the batch has the same order key, and is open or has just ended: the
    // caller lets the next one run.
    let sql = format!(
        "UPDATE deliveries SET state = {PENDING}, due = ?2, flow = {ALONE}, order_key = held_order,
             blocked = held_order IS NOT NULL
         WHERE batch = ?1 AND id <> ?1 AND state = {WAITING}"
    );
    connection
        .prepare_cached(&sql)?
        .execute(params![leader, now.0])
        .map(drop)
}

/// Splits the batch of a delivery that is pending again: attempts so far do not count. Postgres:
/// `split_batch`.
pub(super) fn split(connection: &Connection, leader: i64, now: LedgerTime) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE deliveries SET flow = {ALONE}, batch_attempts = attempt, deferrals = 0, deferred_since = NULL, unfinished = 0
         WHERE id = ?"
    );
    connection.prepare_cached(&sql)?.execute([leader])?;
    free_members(connection, leader, now)
}
