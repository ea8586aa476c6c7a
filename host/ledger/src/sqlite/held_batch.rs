//! Batches that collect, until they are complete or due. Each function runs inside a transaction of
//! its caller.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::held_groups::{is_waiting, may_open, open, readable, release, remove};
use crate::flow_counts::{FlowNotes, FlowStep};
use crate::held::BATCH;
use crate::state_column::WAITING;
use landfall_model::{BatchHold, LedgerTime};

/// The batch that an event joins when no debounced group holds it.
pub(super) struct NextBatch {
    pub(super) key: Vec<u8>,
    pub(super) count: i64,
    pub(super) time_ms: i64,
    pub(super) bytes_max: i64,
    pub(super) bytes: i64,
}

/// A batch that collects.
struct OpenBatch {
    first: i64,
    members: i64,
    bytes: i64,
    due: LedgerTime,
}

// === impl NextBatch ===

impl NextBatch {
    pub(super) fn of(hold: &BatchHold) -> NextBatch {
        NextBatch {
            key: hold.key.clone(),
            count: i64::from(hold.count),
            time_ms: i64::try_from(hold.time.as_millis()).unwrap_or(i64::MAX),
            bytes_max: hold.bytes_max as i64,
            bytes: hold.bytes as i64,
        }
    }
}

/// Adds a waiting delivery to the batch that collects, and closes that if it is complete.
pub(super) fn join_batch(
    connection: &Connection,
    delivery: i64,
    hook: &str,
    batch: &NextBatch,
    now: LedgerTime,
    notes: &mut FlowNotes,
) -> rusqlite::Result<()> {
    if !is_waiting(connection, delivery)? {
        return Ok(());
    }
    let mut found = find_batch(connection, hook, &batch.key, notes)?;
    if let Some(open) = &found
        && open.bytes.saturating_add(batch.bytes) > batch.bytes_max
    {
        close_batch(connection, hook, &batch.key, open.first, now)?;
        found = None;
    }

    let joined = match found {
        Some(open) => {
            let sql = format!(
                "UPDATE held SET members = members + 1, bytes = bytes + ? WHERE hook = ? AND step = {BATCH} AND key = ?"
            );
            connection
                .prepare_cached(&sql)?
                .execute(params![batch.bytes, hook, batch.key])?;
            OpenBatch {
                members: open.members.saturating_add(1),
                bytes: open.bytes.saturating_add(batch.bytes),
                ..open
            }
        }
        None => {
            if !may_open(connection, hook, BATCH, delivery)? {
                notes.add(hook, FlowStep::Unheld);
                return release(connection, delivery, now).map(drop);
            }
            let due = LedgerTime(now.0.saturating_add(batch.time_ms));
            open(connection, hook, BATCH, &batch.key, delivery, due, now)?;
            let sql =
                format!("UPDATE held SET bytes = ? WHERE hook = ? AND step = {BATCH} AND key = ?");
            connection
                .prepare_cached(&sql)?
                .execute(params![batch.bytes, hook, batch.key])?;
            OpenBatch {
                first: delivery,
                members: 1,
                bytes: batch.bytes,
                due,
            }
        }
    };
    let sql = format!("UPDATE deliveries SET flow = {BATCH}, batch = ?, due = ? WHERE id = ?");
    connection
        .prepare_cached(&sql)?
        .execute(params![joined.first, joined.due.0, delivery])?;
    notes.add(hook, FlowStep::Batched);

    if joined.members >= batch.count || joined.bytes >= batch.bytes_max {
        close_batch(connection, hook, &batch.key, joined.first, now)?;
    }
    Ok(())
}

/// The batch that collects. A damaged row is removed.
fn find_batch(
    connection: &Connection,
    hook: &str,
    key: &[u8],
    notes: &mut FlowNotes,
) -> rusqlite::Result<Option<OpenBatch>> {
    let sql = format!(
        "SELECT first, members, bytes, due FROM held WHERE hook = ? AND step = {BATCH} AND key = ?"
    );
    let found = connection
        .prepare_cached(&sql)?
        .query_row(params![hook, key], |row| {
            Ok(read_batch(row).map_err(|error| error.to_string()))
        })
        .optional()?;
    readable(connection, hook, (BATCH, key), found, notes)
}

fn read_batch(row: &Row<'_>) -> rusqlite::Result<OpenBatch> {
    Ok(OpenBatch {
        first: row.get(0)?,
        members: row.get(1)?,
        bytes: row.get(2)?,
        due: LedgerTime(row.get(3)?),
    })
}

/// Lets a batch run: its first delivery carries it. If an operator has removed that, the next one
/// does. A batch that is closed already stays as it is: another one may collect under its key.
pub(super) fn close_batch(
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
