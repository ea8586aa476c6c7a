//! Events that wait: debounced groups and batches. A group is open while `held` has its row. Each
//! function runs inside a transaction of its caller. Postgres: `functions/held.sql`.

use rusqlite::{Connection, OptionalExtension, params};

use super::deliveries;
use super::events::{self, COLUMNS};
use crate::held::{ALONE, BATCH, DEBOUNCE, FILTER, NOT_HELD, PASSED, STRANDED_STEP, Stranded};
use crate::state_column::{DONE, FILTERED, PENDING, RUNNING, SUPERSEDED, WAITING};
use landfall_model::{
    Admission, BatchHold, Corrupt, DebounceHold, Event, Hold, Keep, LedgerTime, OPEN_GROUPS_MAX,
};

/// Groups of one hook that one claim closes.
const CLOSE_MAX: i64 = 500;

/// The batch that a debounced event joins when its group is closed.
struct NextBatch {
    key: Vec<u8>,
    count: i64,
    time_ms: i64,
    bytes_max: i64,
    bytes: i64,
}

/// An open group that is due.
struct DueGroup {
    step: i64,
    key: Vec<u8>,
    first: i64,
    current: i64,
    next: Option<NextBatch>,
}

/// Applies the flow of the hook to a delivery that has just been inserted as pending, without its
/// order key. Postgres: `hold`.
pub(super) fn admit(
    connection: &Connection,
    delivery: i64,
    hook: &str,
    admission: &Admission,
    order_key: Option<&str>,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    match admission {
        Admission::Run => Ok(()),
        Admission::Filtered(why) => {
            let sql = format!(
                "UPDATE deliveries SET state = {FILTERED}, flow = {FILTER}, reason = ?, ended = ?, held_order = ? WHERE id = ?"
            );
            connection
                .prepare_cached(&sql)?
                .execute(params![why, now.0, order_key, delivery])
                .map(drop)
        }
        Admission::Hold(hold) => {
            let sql = format!(
                "UPDATE deliveries SET state = {WAITING}, flow = {PASSED}, held_order = ? WHERE id = ?"
            );
            connection
                .prepare_cached(&sql)?
                .execute(params![order_key, delivery])?;
            hold_it(connection, delivery, hook, hold, now)
        }
    }
}

fn hold_it(
    connection: &Connection,
    delivery: i64,
    hook: &str,
    hold: &Hold,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let next = hold.batch.as_ref().map(NextBatch::of);
    if let Some(group) = &hold.debounce
        && debounce(connection, delivery, hook, group, next.as_ref(), now)?
    {
        return Ok(());
    }
    go_on(connection, delivery, hook, next.as_ref(), now)
}

/// The next step of a delivery that no debounced group holds: its batch, or its run.
fn go_on(
    connection: &Connection,
    delivery: i64,
    hook: &str,
    next: Option<&NextBatch>,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    match next {
        Some(batch) => join_batch(connection, delivery, hook, batch, now),
        None => release(connection, delivery, now).map(drop),
    }
}

/// Adds a delivery to its debounced group. False: the hook has too many open groups.
fn debounce(
    connection: &Connection,
    delivery: i64,
    hook: &str,
    group: &DebounceHold,
    next: Option<&NextBatch>,
    now: LedgerTime,
) -> rusqlite::Result<bool> {
    let sql = format!(
        "SELECT first, current, since FROM held WHERE hook = ? AND step = {DEBOUNCE} AND key = ?"
    );
    let found: Option<(i64, i64, i64)> = connection
        .prepare_cached(&sql)?
        .query_row(params![hook, group.key], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;

    let Some((first, current, since)) = found else {
        if !may_open(connection, hook, DEBOUNCE, delivery)? {
            return Ok(false);
        }
        let due = now.plus(group.wait.min(group.maximum));
        open(connection, hook, DEBOUNCE, &group.key, delivery, due, now)?;
        set_next(connection, hook, &group.key, next)?;
        set_group(connection, delivery, delivery, due)?;
        return Ok(true);
    };

    // The time of the node may have been set back.
    let since = LedgerTime(since.min(now.0));
    let due = LedgerTime(now.plus(group.wait).0.min(since.plus(group.maximum).0));
    let is_first_kept = group.keep == Keep::First && is_waiting(connection, current)?;
    let (runs, ends) = if is_first_kept {
        (current, delivery)
    } else {
        (delivery, current)
    };
    set_group(connection, delivery, first, due)?;
    set_group(connection, runs, first, due)?;
    let sql = format!(
        "UPDATE deliveries SET state = {SUPERSEDED}, ended = ? WHERE id = ? AND state = {WAITING}"
    );
    connection
        .prepare_cached(&sql)?
        .execute(params![now.0, ends])?;

    let sql = format!(
        "UPDATE held SET current = ?, due = ?, members = members + 1 WHERE hook = ? AND step = {DEBOUNCE} AND key = ?"
    );
    connection
        .prepare_cached(&sql)?
        .execute(params![runs, due.0, hook, group.key])?;
    if runs == delivery {
        set_next(connection, hook, &group.key, next)?;
    }
    Ok(true)
}

fn set_group(
    connection: &Connection,
    delivery: i64,
    first: i64,
    due: LedgerTime,
) -> rusqlite::Result<()> {
    let sql =
        format!("UPDATE deliveries SET flow = {DEBOUNCE}, debounced = ?, due = ? WHERE id = ?");
    connection
        .prepare_cached(&sql)?
        .execute(params![first, due.0, delivery])
        .map(drop)
}

/// Notes the batch of the event that runs.
fn set_next(
    connection: &Connection,
    hook: &str,
    key: &[u8],
    next: Option<&NextBatch>,
) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE held SET batch_key = ?, batch_count = ?, batch_ms = ?, batch_max = ?, batch_bytes = ?
         WHERE hook = ? AND step = {DEBOUNCE} AND key = ?"
    );
    connection
        .prepare_cached(&sql)?
        .execute(params![
            next.map(|next| &next.key),
            next.map(|next| next.count),
            next.map(|next| next.time_ms),
            next.map(|next| next.bytes_max),
            next.map(|next| next.bytes),
            hook,
            key
        ])
        .map(drop)
}

/// Adds a waiting delivery to the batch that collects, and closes that if it is complete.
fn join_batch(
    connection: &Connection,
    delivery: i64,
    hook: &str,
    batch: &NextBatch,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    if !is_waiting(connection, delivery)? {
        return Ok(());
    }
    let mut found = find_batch(connection, hook, &batch.key)?;
    if let Some((first, _, bytes, _)) = found
        && bytes + batch.bytes > batch.bytes_max
    {
        close_batch(connection, hook, &batch.key, first, now)?;
        found = None;
    }

    let (first, members, bytes, due) = match found {
        Some((first, members, bytes, due)) => {
            let sql = format!(
                "UPDATE held SET members = members + 1, bytes = bytes + ? WHERE hook = ? AND step = {BATCH} AND key = ?"
            );
            connection
                .prepare_cached(&sql)?
                .execute(params![batch.bytes, hook, batch.key])?;
            (first, members + 1, bytes + batch.bytes, due)
        }
        None => {
            if !may_open(connection, hook, BATCH, delivery)? {
                return release(connection, delivery, now).map(drop);
            }
            let due = LedgerTime(now.0.saturating_add(batch.time_ms));
            open(connection, hook, BATCH, &batch.key, delivery, due, now)?;
            let sql =
                format!("UPDATE held SET bytes = ? WHERE hook = ? AND step = {BATCH} AND key = ?");
            connection
                .prepare_cached(&sql)?
                .execute(params![batch.bytes, hook, batch.key])?;
            (delivery, 1, batch.bytes, due)
        }
    };
    let sql = format!("UPDATE deliveries SET flow = {BATCH}, batch = ?, due = ? WHERE id = ?");
    connection
        .prepare_cached(&sql)?
        .execute(params![first, due.0, delivery])?;

    if members >= batch.count || bytes >= batch.bytes_max {
        close_batch(connection, hook, &batch.key, first, now)?;
    }
    Ok(())
}

/// The batch that collects: its first delivery, its members and their bytes, and when it is due.
fn find_batch(
    connection: &Connection,
    hook: &str,
    key: &[u8],
) -> rusqlite::Result<Option<(i64, i64, i64, LedgerTime)>> {
    let sql = format!(
        "SELECT first, members, bytes, due FROM held WHERE hook = ? AND step = {BATCH} AND key = ?"
    );
    connection
        .prepare_cached(&sql)?
        .query_row(params![hook, key], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                LedgerTime(row.get(3)?),
            ))
        })
        .optional()
}

/// Lets a batch run: its first delivery carries it. If an operator has removed that, the next one
/// does. A batch that is closed already stays as it is: another one may collect under its key.
fn close_batch(
    connection: &Connection,
    hook: &str,
    key: &[u8],
    first: i64,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    if !remove(connection, hook, BATCH, key, first)? || release(connection, first, now)? {
        return Ok(());
    }

    let sql = format!("SELECT min(id) FROM deliveries WHERE batch = ? AND state = {WAITING}");
    let next: Option<i64> = connection
        .prepare_cached(&sql)?
        .query_row([first], |row| row.get(0))?;
    let Some(next) = next else {
        return Ok(());
    };
    let sql = format!("UPDATE deliveries SET batch = ? WHERE batch = ? AND state = {WAITING}");
    connection.prepare_cached(&sql)?.execute([next, first])?;
    release(connection, next, now).map(drop)
}

/// Makes the open group of a waiting delivery due, with what the deliveries of it say. False: there
/// is none, or it was due. Postgres: in `retry_now`.
pub(super) fn make_due(
    connection: &Connection,
    delivery: i64,
    now: LedgerTime,
) -> rusqlite::Result<bool> {
    let sql = format!(
        "UPDATE held SET due = ?2 WHERE due >= ?2
         AND first = (SELECT CASE flow WHEN {DEBOUNCE} THEN debounced WHEN {BATCH} THEN batch END
                      FROM deliveries WHERE id = ?1 AND state = {WAITING})
         AND +step = (SELECT flow FROM deliveries WHERE id = ?1)"
    );
    let mut update = connection.prepare_cached(&sql)?;
    if update.execute(params![delivery, now.0])? == 0 {
        return Ok(false);
    }
    let sql = format!(
        "UPDATE deliveries SET due = ?2 WHERE state = {WAITING}
         AND (id = ?1 OR batch = (SELECT batch FROM deliveries WHERE id = ?1 AND flow = {BATCH}))"
    );
    connection
        .prepare_cached(&sql)?
        .execute(params![delivery, now.0])?;
    Ok(true)
}

/// One step of `Deliveries::free_stranded`. Postgres: `is_stranded` and `free_stranded`.
pub(super) fn free_stranded(
    connection: &Connection,
    after: &(String, i64),
    now: LedgerTime,
) -> rusqlite::Result<Stranded> {
    let sql = format!(
        "SELECT d.hook, d.id,
             NOT EXISTS (
                 SELECT 1 FROM held h WHERE h.first = CASE d.flow WHEN {DEBOUNCE} THEN d.debounced WHEN {BATCH} THEN d.batch END
                 AND +h.step = d.flow AND +h.hook = d.hook AND (d.flow = {BATCH} OR h.current = d.id))
             AND NOT EXISTS (
                 SELECT 1 FROM deliveries l WHERE l.id = d.batch AND l.id <> d.id AND +l.batch = l.id
                 AND l.state IN ({PENDING}, {RUNNING}))
         FROM deliveries d WHERE d.state = {WAITING} AND (d.hook, d.id) > (?, ?) ORDER BY d.hook, d.id LIMIT ?"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let found = select.query_map(
        params![after.0, after.1, STRANDED_STEP as i64],
        |row| -> rusqlite::Result<(String, i64, bool)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        },
    )?;
    let mut page: Vec<(String, i64, bool)> = found.collect::<Result<_, _>>()?;
    drop(select);

    let sql = format!("UPDATE deliveries SET flow = {ALONE}, batch = NULL WHERE id = ?");
    for (_, delivery, is_stranded) in &mut page {
        *is_stranded = *is_stranded && release(connection, *delivery, now)?;
        if *is_stranded {
            connection.prepare_cached(&sql)?.execute([*delivery])?;
        }
    }
    Ok(Stranded::of(page))
}

/// Makes a waiting delivery due. False: it does not wait.
fn release(connection: &Connection, delivery: i64, now: LedgerTime) -> rusqlite::Result<bool> {
    let sql = format!(
        "UPDATE deliveries SET state = {PENDING}, due = ?, order_key = held_order,
             blocked = held_order IS NOT NULL AND EXISTS (
                 SELECT 1 FROM deliveries o WHERE o.hook = deliveries.hook AND o.order_key = deliveries.held_order
                 AND o.state < {DONE})
         WHERE id = ? AND state = {WAITING}"
    );
    let mut update = connection.prepare_cached(&sql)?;
    Ok(update.execute(params![now.0, delivery])? == 1)
}

fn is_waiting(connection: &Connection, delivery: i64) -> rusqlite::Result<bool> {
    let sql = format!("SELECT 1 FROM deliveries WHERE id = ? AND state = {WAITING}");
    connection.prepare_cached(&sql)?.exists([delivery])
}

/// Whether the hook may have another open group. If not, the delivery says why it did not wait.
fn may_open(
    connection: &Connection,
    hook: &str,
    step: i64,
    delivery: i64,
) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM held WHERE hook = ? AND step = ?";
    let open: i64 = connection
        .prepare_cached(sql)?
        .query_row(params![hook, step], |row| row.get(0))?;
    if open < OPEN_GROUPS_MAX as i64 {
        return Ok(true);
    }
    connection
        .prepare_cached("UPDATE deliveries SET reason = ? WHERE id = ?")?
        .execute(params![NOT_HELD, delivery])?;
    Ok(false)
}

fn open(
    connection: &Connection,
    hook: &str,
    step: i64,
    key: &[u8],
    delivery: i64,
    due: LedgerTime,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO held (hook, step, key, first, current, since, due, members, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, 1, 0)";
    connection
        .prepare_cached(sql)?
        .execute(params![hook, step, key, delivery, delivery, now.0, due.0])
        .map(drop)
}

/// The group is no longer open. False: it was not.
fn remove(
    connection: &Connection,
    hook: &str,
    step: i64,
    key: &[u8],
    first: i64,
) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM held WHERE hook = ? AND step = ? AND key = ? AND first = ?";
    let removed = connection
        .prepare_cached(sql)?
        .execute(params![hook, step, key, first])?;
    Ok(removed == 1)
}

/// Closes the groups of a hook that are due. Postgres: `close_due`.
pub(super) fn close_due(
    connection: &Connection,
    hook: &str,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let mut select = connection.prepare_cached(
        "SELECT step, key, first, current, batch_key, batch_count, batch_ms, batch_max, batch_bytes FROM held
         WHERE hook = ? AND due <= ? ORDER BY due LIMIT ?",
    )?;
    let due = select.query_map(params![hook, now.0, CLOSE_MAX], |row| {
        let key: Option<Vec<u8>> = row.get(4)?;
        let next = match key {
            Some(key) => Some(NextBatch {
                key,
                count: row.get(5)?,
                time_ms: row.get(6)?,
                bytes_max: row.get(7)?,
                bytes: row.get(8)?,
            }),
            None => None,
        };
        Ok(DueGroup {
            step: row.get(0)?,
            key: row.get(1)?,
            first: row.get(2)?,
            current: row.get(3)?,
            next,
        })
    })?;
    let due: Vec<DueGroup> = due.collect::<Result<_, _>>()?;
    drop(select);

    for group in due {
        // A debounced event that goes on may close one of the batches of this list.
        if group.step == BATCH {
            close_batch(connection, hook, &group.key, group.first, now)?;
        } else if remove(connection, hook, group.step, &group.key, group.first)? {
            go_on(connection, group.current, hook, group.next.as_ref(), now)?;
        }
        landfall_model::kill_point!("group-closed");
    }
    Ok(())
}

/// When the next group of a hook is due.
pub(super) fn next_due(
    connection: &Connection,
    hook: &str,
) -> rusqlite::Result<Option<LedgerTime>> {
    let due: Option<i64> = connection
        .prepare_cached("SELECT min(due) FROM held WHERE hook = ?")?
        .query_row([hook], |row| row.get(0))?;
    Ok(due.map(LedgerTime))
}

/// The hooks with open groups, and when the first group of each is due.
pub(super) fn hooks(connection: &Connection) -> rusqlite::Result<Vec<(String, LedgerTime)>> {
    let mut found: Vec<(String, LedgerTime)> = Vec::new();
    // The index leads from one hook to the next, however many groups each has.
    let mut next = connection.prepare_cached("SELECT min(hook) FROM held WHERE hook > ?")?;
    loop {
        let after = found.last().map_or("", |(hook, _)| hook);
        let Some(hook) = next.query_row([after], |row| row.get::<_, Option<String>>(0))? else {
            return Ok(found);
        };
        let due = next_due(connection, &hook)?.unwrap_or(LedgerTime(0));
        found.push((hook, due));
    }
}

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

/// The groups of a hook are no longer open, and what waits for no running batch is pending, so that a
/// purge that is interrupted leaves nothing that waits for ever. Postgres: `close_all`.
pub(super) fn close_all(connection: &Connection, hook: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM held WHERE hook = ?")?
        .execute([hook])?;
    let sql = format!(
        "UPDATE deliveries SET state = {PENDING}, order_key = NULL WHERE hook = ? AND state = {WAITING}
         AND NOT EXISTS (
             SELECT 1 FROM deliveries l WHERE l.id = deliveries.batch AND l.id <> deliveries.id
             AND l.state = {RUNNING})"
    );
    connection.prepare_cached(&sql)?.execute([hook]).map(drop)
}

// === impl NextBatch ===

impl NextBatch {
    fn of(hold: &BatchHold) -> NextBatch {
        NextBatch {
            key: hold.key.clone(),
            count: i64::from(hold.count),
            time_ms: i64::try_from(hold.time.as_millis()).unwrap_or(i64::MAX),
            bytes_max: hold.bytes_max as i64,
            bytes: hold.bytes as i64,
        }
    }
}
