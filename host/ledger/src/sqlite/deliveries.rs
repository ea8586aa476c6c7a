//! The rows of deliveries and attempts: pending → running (leased) → done, pending again, or dead.
//! Each function runs inside a transaction of its caller. Postgres: `functions/deliveries.sql`.

use rusqlite::{Connection, OptionalExtension, params};

use super::events::{self, Earlier};
use crate::state_column::{DEAD, DISCARDED, DONE, PENDING, RESOLVED, RUNNING, StateColumn};
use crate::steps::{AttemptRecord, Fence, LEASE, OpenState};
use landfall_model::{DeliveryState, LedgerTime};

/// Inserts a pending delivery of an event that has been stored before, and counts it. Returns its
/// number.
pub(super) fn insert_again(
    connection: &Connection,
    event: i64,
    hook: &str,
    order_key: Option<&str>,
    due: LedgerTime,
    replayed: bool,
) -> rusqlite::Result<i64> {
    events::count_use(connection, hook, 0, 1)?;
    insert(connection, event, hook, order_key, due, replayed)
}

/// Inserts a pending delivery and returns its number. `events::insert` has counted it. Postgres:
/// `insert_delivery`.
pub(super) fn insert(
    connection: &Connection,
    event: i64,
    hook: &str,
    order_key: Option<&str>,
    due: LedgerTime,
    replayed: bool,
) -> rusqlite::Result<i64> {
    let sql = format!(
        "INSERT INTO deliveries (event, hook, state, due, order_key, replayed, replay_of, blocked)
         VALUES (?1, ?2, {PENDING}, ?3, ?4, ?5, CASE WHEN ?5 THEN (SELECT max(id) FROM deliveries WHERE event = ?1) END,
             ?4 IS NOT NULL AND EXISTS (
                 SELECT 1 FROM deliveries WHERE hook = ?2 AND order_key = ?4 AND state < {DONE}))"
    );
    let mut insert = connection.prepare_cached(&sql)?;
    insert.execute(params![event, hook, due.0, order_key, replayed])?;
    Ok(connection.last_insert_rowid())
}

/// Inserts a delivery without an order key, leased for its first attempt. As `insert` and
/// `start_attempt`, in one statement. Postgres: in `insert_delivery`.
pub(super) fn insert_started(
    connection: &Connection,
    event: i64,
    hook: &str,
    due: LedgerTime,
    owner: &[u8],
    now: LedgerTime,
) -> rusqlite::Result<Fence> {
    let attempt = 1;
    let sql = format!(
        "INSERT INTO deliveries (event, hook, state, due, attempt, owner, lease_until) VALUES (?, ?, {RUNNING}, ?, ?, ?, ?)"
    );
    let mut insert = connection.prepare_cached(&sql)?;
    insert.execute(params![
        event,
        hook,
        due.0,
        attempt,
        owner,
        now.plus(LEASE).0
    ])?;
    Ok(Fence {
        delivery: connection.last_insert_rowid(),
        attempt,
    })
}

/// Inserts a delivery that is a dead letter from the start. Postgres: `insert_dead`.
pub(super) fn insert_dead(
    connection: &Connection,
    event: i64,
    hook: &str,
    why: &str,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO deliveries (event, hook, state, due, ended, reason) VALUES (?, ?, {DEAD}, ?, ?, ?)"
    );
    let mut insert = connection.prepare_cached(&sql)?;
    insert
        .execute(params![event, hook, now.0, now.0, why])
        .map(drop)
}

/// Marks a delivery as a replay of the latest delivery of an earlier event, which is dead.
/// Postgres: in `accept` and `start_received`.
pub(super) fn set_replay_of(
    connection: &Connection,
    delivery: i64,
    first: &Earlier,
) -> rusqlite::Result<()> {
    let sql = "UPDATE deliveries SET replay_of = (SELECT max(id) FROM deliveries WHERE event = ?) WHERE id = ?";
    connection
        .prepare_cached(sql)?
        .execute([first.seq, delivery])
        .map(drop)
}

/// The state of an event's latest delivery and its reply: `None` if it has been handled, `Replayed`
/// if it is dead. An event without deliveries was handed to a broker and counts as handled here.
/// Postgres: `latest`.
pub(super) fn latest(
    connection: &Connection,
    event: &Earlier,
    now: LedgerTime,
) -> rusqlite::Result<(Option<OpenState>, Option<Vec<u8>>)> {
    let mut find = connection.prepare_cached(
        "SELECT id, state, due, reply FROM deliveries WHERE event = ? ORDER BY id DESC LIMIT 1",
    )?;
    let latest = find
        .query_row([event.seq], |row| {
            let state = StateColumn::read(row, 1, row.get(0)?, event.id)?;
            Ok((state, LedgerTime(row.get(2)?), row.get(3)?))
        })
        .optional()?;
    let Some((state, due, reply)) = latest else {
        return Ok((None, None));
    };

    let open = match state {
        DeliveryState::Pending | DeliveryState::Waiting => Some(OpenState::Pending(now.until(due))),
        DeliveryState::Running => Some(OpenState::Running),
        DeliveryState::Dead => Some(OpenState::Replayed),
        // A discarded event counts as handled: the operator decided so. So does one that the flow of
        // its hook keeps from running.
        DeliveryState::Done
        | DeliveryState::Resolved
        | DeliveryState::Discarded
        | DeliveryState::Filtered
        | DeliveryState::Superseded => None,
    };

    Ok((open, reply))
}

/// Leases a pending delivery for its next attempt, which counts from here on. Postgres: in
/// `insert_delivery`.
pub(super) fn start_attempt(
    connection: &Connection,
    fence: Fence,
    owner: &[u8],
    now: LedgerTime,
) -> rusqlite::Result<bool> {
    let sql = format!(
        "UPDATE deliveries SET state = {RUNNING}, attempt = ?, owner = ?, lease_until = ?
         WHERE id = ? AND state = {PENDING} AND blocked = 0"
    );
    let mut update = connection.prepare_cached(&sql)?;
    Ok(update.execute(params![
        fence.attempt,
        owner,
        now.plus(LEASE).0,
        fence.delivery
    ])? == 1)
}

/// When the next delivery of a hook is due.
pub(super) fn next_due(
    connection: &Connection,
    hook: &str,
) -> rusqlite::Result<Option<LedgerTime>> {
    let sql = format!(
        "SELECT min(due) FROM deliveries WHERE hook = ? AND state = {PENDING} AND blocked = 0"
    );
    let mut select = connection.prepare_cached(&sql)?;
    Ok(select
        .query_row([hook], |row| row.get::<_, Option<i64>>(0))?
        .map(LedgerTime))
}

/// Counts a deferral. Of all attempts that deferred the delivery, only the record of the last is
/// kept. Postgres: `finish::count_deferral`.
pub(super) fn count_deferral(
    connection: &Connection,
    fence: Fence,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let sql = "UPDATE deliveries SET deferrals = deferrals + 1, deferred_since = coalesce(deferred_since, ?) WHERE id = ?";
    connection
        .prepare_cached(sql)?
        .execute(params![now.0, fence.delivery])?;

    let sql = "DELETE FROM attempts WHERE delivery = ? AND number < ? AND outcome = 'defer'";
    connection
        .prepare_cached(sql)?
        .execute(params![fence.delivery, fence.attempt])
        .map(drop)
}

/// Records an attempt. Postgres: `write_attempt`.
pub(super) fn write_attempt(
    connection: &Connection,
    fence: Fence,
    attempt: &AttemptRecord,
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO attempts (delivery, number, started_ms, duration_us, outcome, reason, status, record)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let AttemptRecord {
        started_ms,
        duration_us,
        outcome,
        reason,
        status,
        record,
    } = attempt;
    let Fence { delivery, attempt } = fence;
    insert
        .execute(params![
            delivery,
            attempt,
            started_ms,
            duration_us,
            outcome,
            reason,
            status,
            record
        ])
        .map(drop)
}

/// What the end of a delivery changes in other deliveries. Most deliveries have neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Links {
    /// Deliveries with the same order key wait for it.
    pub has_order_key: bool,
    /// It repeats another delivery.
    pub is_repeat: bool,
    /// It carries a batch.
    pub is_batch: bool,
}

/// The links of a delivery. Reading its row is cheaper than an update that finds nothing to change.
pub(super) fn links(connection: &Connection, delivery: i64) -> rusqlite::Result<Links> {
    let sql = "SELECT order_key IS NOT NULL, replay_of IS NOT NULL, batch IS id FROM deliveries WHERE id = ?";
    connection
        .prepare_cached(sql)?
        .query_row([delivery], |row| {
            Ok(Links {
                has_order_key: row.get(0)?,
                is_repeat: row.get(1)?,
                is_batch: row.get(2)?,
            })
        })
}

/// A repeat is done: resolves the dead deliveries of its event, and of the event that it repeats.
/// Postgres: the trigger `deliveries_resolve`.
pub(super) fn resolve_repeated(connection: &Connection, delivery: i64) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE deliveries SET state = {RESOLVED}, resolved_by = ?1
         WHERE id < ?1 AND state IN ({DEAD}, {DISCARDED}) AND event IN (
             SELECT event FROM deliveries WHERE id IN (?1, (SELECT replay_of FROM deliveries WHERE id = ?1)))"
    );
    connection
        .prepare_cached(&sql)?
        .execute([delivery])
        .map(drop)
}

/// Whether another delivery of the same order key runs, or may run. Postgres: `is_order_open`.
pub(super) fn is_order_open(connection: &Connection, delivery: i64) -> rusqlite::Result<bool> {
    let sql = format!(
        "SELECT 1 FROM deliveries d JOIN deliveries o ON o.hook = d.hook AND o.order_key = d.order_key
         WHERE d.id = ? AND d.order_key IS NOT NULL AND o.id <> d.id AND o.state < {DONE}
         AND (o.state = {RUNNING} OR o.blocked = 0) LIMIT 1"
    );
    connection.prepare_cached(&sql)?.exists([delivery])
}

/// Lets the next delivery of the same order key run. None of the key may be open. Postgres:
/// `unblock_next`.
pub(super) fn unblock_next(connection: &Connection, delivery: i64) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE deliveries SET blocked = 0 WHERE id = (
             SELECT min(o.id) FROM deliveries d JOIN deliveries o ON o.hook = d.hook AND o.order_key = d.order_key
             WHERE d.id = ? AND d.order_key IS NOT NULL AND o.state < {DONE})"
    );
    let mut update = connection.prepare_cached(&sql)?;
    update.execute([delivery]).map(drop)
}

/// Lets the next delivery of an order key run, unless one of the key runs or may run. Postgres: in
/// `purge`.
pub(super) fn unblock_key(
    connection: &Connection,
    hook: &str,
    order_key: &str,
) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE deliveries SET blocked = 0 WHERE id = (
             SELECT min(id) FROM deliveries WHERE hook = ?1 AND order_key = ?2 AND state < {DONE})
         AND NOT EXISTS (
             SELECT 1 FROM deliveries WHERE hook = ?1 AND order_key = ?2 AND state < {DONE}
             AND (state = {RUNNING} OR blocked = 0))"
    );
    let mut update = connection.prepare_cached(&sql)?;
    update.execute(params![hook, order_key]).map(drop)
}
