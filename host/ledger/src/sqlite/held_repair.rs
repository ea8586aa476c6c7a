//! Repairs what no step of an event can leave behind: groups that are due in a far future, or at no
//! time, and deliveries that wait for no group. Each function runs inside a transaction of its
//! caller. Postgres: `functions/held.sql`.

use rusqlite::{Connection, params};

use super::held_damage::{RowKey, set_aside};
use super::held_groups;
use crate::flow_counts::FlowNotes;
use crate::held::{ALONE, BATCH, DEBOUNCE, LONGEST_MS, STRANDED, STRANDED_STEP, Stranded};
use crate::state_column::{PENDING, RUNNING, WAITING};
use landfall_model::LedgerTime;

/// Damaged groups of one hook that one repair removes.
const REPAIR_MAX: i64 = 500;

/// One step of `Deliveries::free_stranded`. Postgres: `is_stranded` and `free_stranded`.
pub(super) fn free_stranded(
    connection: &Connection,
    after: &(String, i64),
    now: LedgerTime,
    notes: &mut FlowNotes,
) -> rusqlite::Result<Stranded> {
    if after.0.is_empty() {
        repair_times(connection, now, notes)?;
    }
    // A damaged name of a hook, which is no text, must not keep others from being freed.
    let sql = format!(
        "SELECT d.hook, d.id,
             NOT EXISTS (
                 SELECT 1 FROM held h WHERE h.first = CASE d.flow WHEN {DEBOUNCE} THEN d.debounced WHEN {BATCH} THEN d.batch END
                 AND +h.step = d.flow AND +h.hook = d.hook AND (d.flow = {BATCH} OR h.current = d.id))
             AND NOT EXISTS (
                 SELECT 1 FROM deliveries l WHERE l.id = d.batch AND l.id <> d.id AND +l.batch = l.id
                 AND l.state IN ({PENDING}, {RUNNING}))
         FROM deliveries d WHERE d.state = {WAITING} AND d.hook < x'' AND (d.hook, d.id) > (?, ?)
         ORDER BY d.hook, d.id LIMIT ?"
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

    let sql =
        format!("UPDATE deliveries SET flow = {ALONE}, batch = NULL, reason = ? WHERE id = ?");
    for (_, delivery, is_stranded) in &mut page {
        *is_stranded = *is_stranded && held_groups::release(connection, *delivery, now)?;
        if *is_stranded {
            connection
                .prepare_cached(&sql)?
                .execute(params![STRANDED, *delivery])?;
        }
    }
    Ok(Stranded::of(page))
}

/// Makes groups due that would be due later than any setting allows, and removes those whose time
/// is no number. Nothing else would ever close them.
fn repair_times(
    connection: &Connection,
    now: LedgerTime,
    notes: &mut FlowNotes,
) -> rusqlite::Result<()> {
    let latest = now.0.saturating_add(LONGEST_MS);
    for hook in held_groups::names(connection)? {
        let sql = "UPDATE held SET due = ? WHERE hook = ? AND due > ? AND typeof(due) = 'integer'";
        connection
            .prepare_cached(sql)?
            .execute(params![now.0, hook, latest])?;

        // Text and bytes are behind all numbers.
        let mut select = connection.prepare_cached(
            "SELECT hex(step), hex(key) FROM held WHERE hook = ? AND due > ? LIMIT ?",
        )?;
        let found = select.query_map(params![hook, latest, REPAIR_MAX], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        let found: Vec<RowKey> = found.collect::<Result<_, _>>()?;
        drop(select);
        for key in &found {
            set_aside(connection, &hook, key, "its time is no number", notes)?;
        }
    }
    Ok(())
}
