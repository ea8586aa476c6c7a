//! The operator's commands on deliveries: replay, retry now, discard, and purge the data of a hook.
//! Each function is one bounded step inside a transaction of the caller. Postgres has the same
//! steps in `functions/operator.sql`.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::read::state_at;
use super::{deliveries, held, held_members, retention, tries};
use crate::shown::Purged;
use crate::state_column::{DEAD, DISCARDED, PENDING, RUNNING};
use crate::steps::{ReplayOrder, Replayed, Step, UNDECODABLE};
use landfall_model::{DeliveryState, EventId, LedgerTime};

/// Replays events in their order. Returns a result for each. Postgres: `replay_all`.
pub(super) fn replay_all(
    connection: &Connection,
    order: &ReplayOrder,
    now: LedgerTime,
) -> rusqlite::Result<Vec<Replayed>> {
    let mut due = now.plus(order.delay);
    let mut results = Vec::with_capacity(order.events.len());
    for (event, repeated) in &order.events {
        let ReplayOrder { again, dry_run, .. } = *order;
        let candidate = match find(connection, event, *repeated, again)? {
            Ok(candidate) => candidate,
            Err(result) => {
                results.push(result);
                continue;
            }
        };
        if !dry_run {
            start(connection, &candidate, due)?;
        }
        due = due.plus(order.apart);
        results.push(Replayed::Queued(candidate.hook));
    }
    Ok(results)
}

/// Creates a new delivery of a stored event, unless one is already open. Postgres: `replay`.
pub(super) fn replay(
    connection: &Connection,
    event: &EventId,
    due: LedgerTime,
) -> rusqlite::Result<Replayed> {
    Ok(match find(connection, event, None, false)? {
        Ok(candidate) => {
            start(connection, &candidate, due)?;
            Replayed::Queued(candidate.hook)
        }
        Err(result) => result,
    })
}

/// An event that can run again.
struct Candidate {
    seq: i64,
    hook: String,
    order_key: Option<String>,
    /// A broker has the event, and may have lost it. Its delivery is unblocked instead of repeated.
    is_held: bool,
}

/// The event, or why it cannot be replayed.
fn find(
    connection: &Connection,
    event: &EventId,
    repeated: Option<i64>,
    again: bool,
) -> rusqlite::Result<Result<Candidate, Replayed>> {
    let mut find = connection.prepare_cached(
        "SELECT e.seq, e.hook FROM events e JOIN payloads p ON p.event = e.seq WHERE e.id = ?",
    )?;
    let found = find
        .query_row([event.as_bytes()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    let Some((seq, hook)) = found else {
        let erased = "SELECT 1 FROM events WHERE id = ? AND erased_ms IS NOT NULL";
        let is_erased = connection
            .prepare_cached(erased)?
            .exists([event.as_bytes()])?;
        return Ok(Err(if is_erased {
            Replayed::Erased
        } else {
            Replayed::Unknown
        }));
    };
    if hook == UNDECODABLE {
        return Ok(Err(Replayed::Undecodable));
    }

    let mut select = connection.prepare_cached(
        "SELECT id, state, coalesce(order_key, held_order), blocked FROM deliveries WHERE event = ? ORDER BY id",
    )?;
    let rows = select.query_map([seq], |row| {
        Ok((row.get(0)?, state_at(row, 1), row.get(2)?, row.get(3)?))
    })?;
    let all: Vec<(i64, DeliveryState, Option<String>, bool)> = rows.collect::<Result<_, _>>()?;
    let order_key = all.first().and_then(|(_, _, key, _)| key.clone());
    let latest = all.last().map(|(id, state, ..)| (*id, *state));
    let is_open = all.iter().any(|(_, state, ..)| {
        matches!(
            state,
            DeliveryState::Waiting | DeliveryState::Pending | DeliveryState::Running
        )
    });
    let is_held = all.iter().any(|(_, state, key, blocked)| {
        *state == DeliveryState::Pending && *blocked && key.is_none()
    });
    if is_open && !is_held {
        return Ok(Err(Replayed::Waiting));
    }
    if repeated < latest.map(|(id, _)| id) && repeated.is_some() {
        return Ok(Err(Replayed::Repeated));
    }
    if !is_open && !again && latest.is_some_and(|(_, state)| state == DeliveryState::Discarded) {
        return Ok(Err(Replayed::Discarded));
    }
    Ok(Ok(Candidate {
        seq,
        hook,
        order_key,
        is_held,
    }))
}

fn start(connection: &Connection, it: &Candidate, due: LedgerTime) -> rusqlite::Result<()> {
    if it.is_held {
        let sql = format!(
            "UPDATE deliveries SET blocked = 0, replayed = 1, due = ?
             WHERE event = ? AND state = {PENDING} AND blocked = 1 AND order_key IS NULL"
        );
        let mut free = connection.prepare_cached(&sql)?;
        return free.execute(params![due.0, it.seq]).map(drop);
    }
    deliveries::insert_again(
        connection,
        it.seq,
        &it.hook,
        it.order_key.as_deref(),
        due,
        true,
    )
    .map(drop)
}

/// Applies a command to those of these deliveries whose state allows it, and returns them. A
/// delivery that has been claimed in the meantime stays.
pub(super) fn operate(
    connection: &Connection,
    step: &Step,
    ids: &[i64],
    now: LedgerTime,
) -> rusqlite::Result<Vec<i64>> {
    let mut done = Vec::with_capacity(ids.len());
    for id in ids {
        let is_done = match step {
            Step::Discard(reason) => discard(connection, *id, reason, now)?,
            Step::RetryNow => retry_now(connection, *id, now)?,
        };
        if is_done {
            done.push(*id);
        }
    }
    Ok(done)
}

/// Discards a dead or pending delivery. Postgres: `discard`.
fn discard(
    connection: &Connection,
    delivery: i64,
    reason: &str,
    now: LedgerTime,
) -> rusqlite::Result<bool> {
    let sql =
        format!("SELECT 1 FROM deliveries WHERE id = ? AND state = {PENDING} AND blocked = 0");
    let was_next = connection.prepare_cached(&sql)?.exists([delivery])?;
    let sql = format!(
        "UPDATE deliveries SET state = {DISCARDED}, discarded = ?, ended = coalesce(ended, ?)
         WHERE id = ? AND state IN ({PENDING}, {DEAD})"
    );
    let mut update = connection.prepare_cached(&sql)?;
    let is_done = update.execute(params![reason, now.0, delivery])? == 1;
    if is_done {
        // Only this event of a batch is discarded.
        held_members::free_members(connection, delivery, now)?;
        // Behind one that was dead or blocked, another one of the order key may run already.
        if was_next || !deliveries::is_order_open(connection, delivery)? {
            deliveries::unblock_next(connection, delivery)?;
        }
    }
    Ok(is_done)
}

/// Makes a pending delivery due now. One that waits for a broker (blocked, without an order key) is
/// sent to the broker again, as a replay is. Of one that waits for others, the group is due.
/// Postgres: `retry_now`.
fn retry_now(connection: &Connection, delivery: i64, now: LedgerTime) -> rusqlite::Result<bool> {
    let sql = format!(
        "UPDATE deliveries SET due = ?1, replayed = replayed OR (blocked AND order_key IS NULL),
         blocked = blocked AND order_key IS NOT NULL WHERE id = ?2 AND state = {PENDING} AND due > ?1"
    );
    let mut update = connection.prepare_cached(&sql)?;
    Ok(
        update.execute(params![now.0, delivery])? == 1
            || held::make_due(connection, delivery, now)?,
    )
}

/// One step of `History::purge`. Postgres: `purge`.
pub(super) fn purge(connection: &Connection, hook: &str, limit: i64) -> rusqlite::Result<Purged> {
    held::close_all(connection, hook)?;
    let sql = format!(
        "SELECT id, event, CASE WHEN state = {PENDING} THEN order_key END FROM deliveries
         WHERE hook = ? AND state <> {RUNNING} ORDER BY id LIMIT ?"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let found = select.query_map(params![hook, limit], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    let found: Vec<(i64, i64, Option<String>)> = found.collect::<Result<_, _>>()?;
    found
        .iter()
        .try_for_each(|(delivery, event, _)| retention::remove(connection, *delivery, *event))?;
    // A purge may be interrupted: what is left must not wait for one that was removed.
    let keys: BTreeSet<&str> = found
        .iter()
        .filter_map(|(_, _, key)| key.as_deref())
        .collect();
    keys.into_iter()
        .try_for_each(|key| deliveries::unblock_key(connection, hook, key))?;

    let mut select =
        connection.prepare_cached("SELECT key, event FROM dedup WHERE hook = ? LIMIT ?")?;
    let known = select.query_map(params![hook, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let known: Vec<(Vec<u8>, i64)> = known.collect::<Result<_, _>>()?;
    let mut forget = connection.prepare_cached("DELETE FROM dedup WHERE hook = ? AND key = ?")?;
    for (key, event) in &known {
        forget.execute(params![hook, key])?;
        retention::drop_event(connection, *event)?;
    }

    let sql = "DELETE FROM rows WHERE id IN (SELECT id FROM rows WHERE hook = ? LIMIT ?)";
    let rows = connection
        .prepare_cached(sql)?
        .execute(params![hook, limit])?;
    let sql =
        "DELETE FROM kv WHERE hook = ?1 AND key IN (SELECT key FROM kv WHERE hook = ?1 LIMIT ?2)";
    let values = connection
        .prepare_cached(sql)?
        .execute(params![hook, limit])?;
    connection
        .prepare_cached("DELETE FROM paused WHERE hook = ?")?
        .execute([hook])?;
    connection
        .prepare_cached("DELETE FROM candidates WHERE hook = ?")?
        .execute([hook])?;
    tries::remove(connection, hook, None)?;
    Ok(Purged {
        deliveries: found.len() as i64,
        identities: known.len() as i64,
        rows: rows as i64,
        values: values as i64,
    })
}

/// As `History::purgeable`. Postgres: `operator::purgeable`.
pub(super) fn purgeable(connection: &Connection, hook: &str) -> rusqlite::Result<Purged> {
    let count = |sql: &str| {
        connection
            .prepare_cached(sql)?
            .query_row([hook], |row| row.get(0))
    };
    Ok(Purged {
        deliveries: count(&format!(
            "SELECT count(*) FROM deliveries WHERE hook = ? AND state <> {RUNNING}"
        ))?,
        identities: count("SELECT count(*) FROM dedup WHERE hook = ?")?,
        rows: count("SELECT count(*) FROM rows WHERE hook = ?")?,
        values: count("SELECT count(*) FROM kv WHERE hook = ?")?,
    })
}
