//! What is let go of, and when: bodies of what was done first, then everything about it. In small steps, so that nobody who
//! wants something accepted waits long. What is pending or running is never touched.

use rusqlite::{Connection, params};

use super::kv;
use landfall_model::{LedgerTime, Retention};

/// In one step.
const STEP: i64 = 500;
/// Pages given back to the file system in one step.
const PAGES: i64 = 1000;

/// One step. How much it let go of; less than a step's worth means that nothing more is to be done.
pub fn step(
    connection: &Connection,
    retention: &Retention,
    now: LedgerTime,
) -> rusqlite::Result<usize> {
    let forgotten = forget_ids(connection, now)? + kv::expire(connection, now, STEP)?;
    let mut pruned = prune_bodies(connection, now.minus(retention.keep_bodies))?;
    landfall_model::kill_point!("pruning");
    pruned += delete(connection, now.minus(retention.keep))?;
    connection
        .query_row(&format!("PRAGMA incremental_vacuum({PAGES})"), [], |_| {
            Ok(())
        })
        .or_else(no_row)?;
    Ok(forgotten + pruned)
}

/// Whether a step was as large as one can be.
pub fn is_whole_step(count: usize) -> bool {
    count as i64 >= STEP
}

fn no_row(error: rusqlite::Error) -> rusqlite::Result<()> {
    if error == rusqlite::Error::QueryReturnedNoRows {
        Ok(())
    } else {
        Err(error)
    }
}

fn forget_ids(connection: &Connection, now: LedgerTime) -> rusqlite::Result<usize> {
    let mut select = connection.prepare_cached(
        "SELECT hook, key, event FROM dedup WHERE until < ? ORDER BY until LIMIT ?",
    )?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found: Vec<(String, Vec<u8>, i64)> = select
        .query_map(params![now.0, STEP], row)?
        .collect::<Result<_, _>>()?;
    let mut delete = connection.prepare_cached("DELETE FROM dedup WHERE hook = ? AND key = ?")?;
    for (hook, key, event) in &found {
        delete.execute(params![hook, key])?;
        drop_event(connection, *event)?;
    }
    Ok(found.len())
}

/// An event that no delivery and no id names any more; its body, as soon as no delivery does.
pub(super) fn drop_event(connection: &Connection, event: i64) -> rusqlite::Result<()> {
    let unused = "NOT EXISTS (SELECT 1 FROM deliveries WHERE event = ?1)";
    let bodies = format!("DELETE FROM payloads WHERE event = ?1 AND {unused}");
    connection.prepare_cached(&bodies)?.execute([event])?;
    let events = format!(
        "DELETE FROM events WHERE seq = ?1 AND {unused} AND NOT EXISTS (SELECT 1 FROM dedup WHERE event = ?1)"
    );
    connection.prepare_cached(&events)?.execute([event])?;
    // Of an event that only its identity names, the rest takes no room.
    let heads = format!("UPDATE events SET head = x'' WHERE seq = ?1 AND {unused}");
    connection
        .prepare_cached(&heads)?
        .execute([event])
        .map(drop)
}

fn prune_bodies(connection: &Connection, before: LedgerTime) -> rusqlite::Result<usize> {
    let mut select = connection.prepare_cached(
        "SELECT id, event FROM deliveries WHERE state = 2 AND pruned = 0 AND ended < ? ORDER BY ended LIMIT ?",
    )?;
    let found = select.query_map(params![before.0, STEP], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let found: Vec<(i64, i64)> = found.collect::<Result<_, _>>()?;
    let mut mark = connection.prepare_cached("UPDATE deliveries SET pruned = 1 WHERE id = ?")?;
    // Another delivery of the same event may still need it.
    let mut delete = connection.prepare_cached(
        "DELETE FROM payloads WHERE event = ?1
         AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event = ?1 AND state NOT IN (2, 4))",
    )?;
    for (delivery, event) in &found {
        mark.execute([delivery])?;
        delete.execute([event])?;
    }
    Ok(found.len())
}

fn delete(connection: &Connection, before: LedgerTime) -> rusqlite::Result<usize> {
    let mut select = connection.prepare_cached(
        "SELECT id, event FROM deliveries WHERE state >= 2 AND ended < ? ORDER BY ended LIMIT ?",
    )?;
    let found = select.query_map(params![before.0, STEP], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let found: Vec<(i64, i64)> = found.collect::<Result<_, _>>()?;
    found
        .iter()
        .try_for_each(|(delivery, event)| remove(connection, *delivery, *event))?;
    Ok(found.len())
}

/// Removes an ended delivery with its attempts, and its event where nothing else names it.
pub(super) fn remove(connection: &Connection, delivery: i64, event: i64) -> rusqlite::Result<()> {
    // A dead letter that is removed leaves no sign that its event died: a redelivery must run, so its identity goes too.
    let mut forget = connection.prepare_cached(
        "DELETE FROM dedup WHERE event = (SELECT event FROM deliveries d WHERE d.id = ?1 AND d.state = 3
         AND NOT EXISTS (SELECT 1 FROM deliveries later WHERE later.event = d.event AND later.id > d.id))",
    )?;
    forget.execute([delivery])?;
    connection
        .prepare_cached("DELETE FROM attempts WHERE delivery = ?")?
        .execute([delivery])?;
    connection
        .prepare_cached("DELETE FROM deliveries WHERE id = ?")?
        .execute([delivery])?;
    drop_event(connection, event)
}
