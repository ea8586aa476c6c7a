//! Events that wait: applies the flow of a hook to a new delivery, and closes the groups that are
//! due. Each function runs inside a transaction of its caller. Postgres: `functions/held.sql`.

use rusqlite::{Connection, Row, params};

use super::held_batch::{NextBatch, close_batch, join_batch};
use super::held_damage::{self, RowKey};
use super::held_debounce::debounce;
use super::held_groups::{release, remove};
use crate::flow_counts::{FlowNotes, FlowStep};
use crate::held::{BATCH, DEBOUNCE, FILTER, PASSED};
use crate::state_column::{FILTERED, PENDING, RUNNING, WAITING};
use landfall_model::{Admission, Hold, LedgerTime};

/// Groups of one hook that one claim closes.
const CLOSE_MAX: i64 = 500;

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
    notes: &mut FlowNotes,
) -> rusqlite::Result<()> {
    match admission {
        Admission::Run => Ok(()),
        Admission::Filtered(why) => {
            notes.add(hook, FlowStep::Filtered);
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
            hold_it(connection, delivery, hook, hold, now, notes)
        }
    }
}

fn hold_it(
    connection: &Connection,
    delivery: i64,
    hook: &str,
    hold: &Hold,
    now: LedgerTime,
    notes: &mut FlowNotes,
) -> rusqlite::Result<()> {
    let next = hold.batch.as_ref().map(NextBatch::of);
    if let Some(group) = &hold.debounce {
        if debounce(connection, delivery, hook, group, next.as_ref(), now, notes)? {
            notes.add(hook, FlowStep::Debounced);
            return Ok(());
        }
        notes.add(hook, FlowStep::Unheld);
    }
    go_on(connection, delivery, hook, next.as_ref(), now, notes)
}

/// The next step of a delivery that no debounced group holds: its batch, or its run.
fn go_on(
    connection: &Connection,
    delivery: i64,
    hook: &str,
    next: Option<&NextBatch>,
    now: LedgerTime,
    notes: &mut FlowNotes,
) -> rusqlite::Result<()> {
    match next {
        Some(batch) => join_batch(connection, delivery, hook, batch, now, notes),
        None => release(connection, delivery, now).map(drop),
    }
}

/// Closes the groups of a hook that are due. A damaged row is removed, and keeps nothing from
/// running. Postgres: `close_due`.
pub(super) fn close_due(
    connection: &Connection,
    hook: &str,
    now: LedgerTime,
    notes: &mut FlowNotes,
) -> rusqlite::Result<()> {
    let mut select = connection.prepare_cached(
        "SELECT step, key, first, current, batch_key, batch_count, batch_ms, batch_max, batch_bytes, hex(step), hex(key)
         FROM held WHERE hook = ? AND due <= ? ORDER BY due LIMIT ?",
    )?;
    let due = select.query_map(params![hook, now.0, CLOSE_MAX], |row| {
        let key: RowKey = (row.get(9)?, row.get(10)?);
        Ok((key, read_due(row).map_err(|error| error.to_string())))
    })?;
    let due: Vec<(RowKey, Result<DueGroup, String>)> = due.collect::<Result<_, _>>()?;
    drop(select);

    for (key, group) in due {
        match group {
            // A debounced event that goes on may close one of the batches of this list.
            Ok(group) if group.step == BATCH => {
                close_batch(connection, hook, &group.key, group.first, now)?;
            }
            Ok(group) if group.step == DEBOUNCE => {
                if remove(connection, hook, group.step, &group.key, group.first)? {
                    let (current, next) = (group.current, group.next.as_ref());
                    go_on(connection, current, hook, next, now, notes)?;
                }
            }
            Ok(group) => {
                let why = format!("{} is no step", group.step);
                held_damage::set_aside(connection, hook, &key, &why, notes)?;
            }
            Err(why) => held_damage::set_aside(connection, hook, &key, &why, notes)?,
        }
        landfall_model::kill_point!("group-closed");
    }
    Ok(())
}

fn read_due(row: &Row<'_>) -> rusqlite::Result<DueGroup> {
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
