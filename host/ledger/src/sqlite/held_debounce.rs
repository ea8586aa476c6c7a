//! Debounced groups: of the events with one key, one runs when no more come. Each function runs
//! inside a transaction of its caller.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::held_batch::NextBatch;
use super::held_groups::{is_waiting, may_open, open, readable};
use crate::flow_counts::FlowNotes;
use crate::held::DEBOUNCE;
use crate::state_column::{SUPERSEDED, WAITING};
use landfall_model::{DebounceHold, Keep, LedgerTime};

/// An open debounced group: its first delivery, the one that runs, and when it was opened.
type OpenGroup = (i64, i64, i64);

/// Adds a delivery to its debounced group. False: the hook has too many open groups.
pub(super) fn debounce(
    connection: &Connection,
    delivery: i64,
    hook: &str,
    group: &DebounceHold,
    next: Option<&NextBatch>,
    now: LedgerTime,
    notes: &mut FlowNotes,
) -> rusqlite::Result<bool> {
    let found = find_group(connection, hook, &group.key, notes)?;
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

/// The open debounced group of a key. A damaged row is removed.
fn find_group(
    connection: &Connection,
    hook: &str,
    key: &[u8],
    notes: &mut FlowNotes,
) -> rusqlite::Result<Option<OpenGroup>> {
    let sql = format!(
        "SELECT first, current, since FROM held WHERE hook = ? AND step = {DEBOUNCE} AND key = ?"
    );
    let found = connection
        .prepare_cached(&sql)?
        .query_row(params![hook, key], |row| {
            Ok(read_group(row).map_err(|error| error.to_string()))
        })
        .optional()?;
    readable(connection, hook, (DEBOUNCE, key), found, notes)
}

fn read_group(row: &Row<'_>) -> rusqlite::Result<OpenGroup> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
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
