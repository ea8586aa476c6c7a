//! Retention: removes the bodies of done deliveries first, then deliveries that ended long ago.
//! Works in small steps, so that new events wait only for a short time. Pending and running
//! deliveries are never removed. Postgres: `prune_expired`, `prune_hook`.

use rusqlite::{Connection, params};

use super::{kv, recordings};
use crate::state_column::{DEAD, DONE, RESOLVED};
use landfall_model::{HookRetentions, LedgerTime, Retention};

/// Rows that one step removes at most.
const STEP: i64 = 500;
/// Pages that one step returns to the file system.
const PAGES: i64 = 1000;

/// One step. A hook that `hooks` does not name keeps everything. Returns how many items it removed.
/// Fewer than a whole step: nothing is left to remove.
pub(super) fn step(
    connection: &Connection,
    retention: &Retention,
    hooks: &HookRetentions,
    now: LedgerTime,
) -> rusqlite::Result<usize> {
    let forgotten = forget_ids(connection, now)?
        + kv::expire(connection, now, STEP)?
        + recordings::expire(connection, now, STEP)?;
    let mut pruned = 0;
    for hook in stored_hooks(connection)? {
        let own = hooks.of(&hook);
        if let Some((bodies, deliveries)) = own.and_then(|own| retention.of(own)) {
            pruned += prune_bodies(connection, &hook, now.minus(bodies))?;
            landfall_model::kill_point!("pruning");
            pruned += delete(connection, &hook, now.minus(deliveries))?;
        }
        if is_whole_step(pruned) {
            break;
        }
    }
    return_free_pages(connection, PAGES)?;
    Ok(forgotten + pruned)
}

/// The hooks that have deliveries, in byte order. Postgres: `privacy::stored_hooks`.
pub(super) fn stored_hooks(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare_cached(
        "SELECT hook FROM used WHERE EXISTS (SELECT 1 FROM deliveries d WHERE d.hook = used.hook) ORDER BY hook",
    )?;
    let hooks = select.query_map([], |row| row.get(0))?;
    hooks.collect()
}

/// Whether a step removed as much as one step may.
pub(super) fn is_whole_step(count: usize) -> bool {
    count as i64 >= STEP
}

/// Returns up to so many free pages to the file system. SQLite returns one in each step of the
/// statement.
pub(super) fn return_free_pages(connection: &Connection, pages: i64) -> rusqlite::Result<()> {
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    Ok(())
}

/// Removes identities whose window is over.
fn forget_ids(connection: &Connection, now: LedgerTime) -> rusqlite::Result<usize> {
    let mut select = connection.prepare_cached(
        "SELECT hook, key, event FROM dedup WHERE until < ? ORDER BY until LIMIT ?",
    )?;
    let found: Vec<(String, Vec<u8>, i64)> = select
        .query_map(params![now.0, STEP], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;

    let mut delete = connection.prepare_cached("DELETE FROM dedup WHERE hook = ? AND key = ?")?;
    for (hook, key, event) in &found {
        delete.execute(params![hook, key])?;
        drop_event(connection, *event)?;
    }
    Ok(found.len())
}

/// Removes an event that no delivery and no identity refers to, and its body if no delivery does.
/// Postgres: `drop_event`.
pub(super) fn drop_event(connection: &Connection, event: i64) -> rusqlite::Result<()> {
    let unused = "NOT EXISTS (SELECT 1 FROM deliveries WHERE event = ?1)";
    let bodies = format!("DELETE FROM payloads WHERE event = ?1 AND {unused}");
    connection.prepare_cached(&bodies)?.execute([event])?;
    let events = format!(
        "DELETE FROM events WHERE seq = ?1 AND {unused} AND NOT EXISTS (SELECT 1 FROM dedup WHERE event = ?1)"
    );
    connection.prepare_cached(&events)?.execute([event])?;
    // An event that only its identity refers to needs no head.
    let heads = format!("UPDATE events SET head = x'' WHERE seq = ?1 AND {unused}");
    connection
        .prepare_cached(&heads)?
        .execute([event])
        .map(drop)
}

fn prune_bodies(
    connection: &Connection,
    hook: &str,
    before: LedgerTime,
) -> rusqlite::Result<usize> {
    let sql = format!(
        "SELECT id, event FROM deliveries WHERE hook = ? AND state = {DONE} AND pruned = 0 AND ended < ?
         ORDER BY ended LIMIT ?"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let found = select.query_map(params![hook, before.0, STEP], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let found: Vec<(i64, i64)> = found.collect::<Result<_, _>>()?;

    let mut mark = connection.prepare_cached("UPDATE deliveries SET pruned = 1 WHERE id = ?")?;
    // Another delivery of the same event may still need it.
    let sql = format!(
        "DELETE FROM payloads WHERE event = ?1
         AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event = ?1 AND state NOT IN ({DONE}, {RESOLVED}))"
    );
    let mut delete = connection.prepare_cached(&sql)?;
    for (delivery, event) in &found {
        mark.execute([delivery])?;
        delete.execute([event])?;
    }
    Ok(found.len())
}

fn delete(connection: &Connection, hook: &str, before: LedgerTime) -> rusqlite::Result<usize> {
    let sql = format!(
        "SELECT id, event FROM deliveries WHERE hook = ? AND state >= {DONE} AND ended < ? ORDER BY ended LIMIT ?"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let found = select.query_map(params![hook, before.0, STEP], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let found: Vec<(i64, i64)> = found.collect::<Result<_, _>>()?;

    found
        .iter()
        .try_for_each(|(delivery, event)| remove(connection, *delivery, *event))?;
    Ok(found.len())
}

/// Removes an ended delivery with its attempts, and its event if nothing else refers to it.
pub(super) fn remove(connection: &Connection, delivery: i64, event: i64) -> rusqlite::Result<()> {
    // Without its dead delivery, a redelivered event must run: its identity is removed too.
    let sql = format!(
        "DELETE FROM dedup WHERE event = (SELECT event FROM deliveries d WHERE d.id = ?1 AND d.state = {DEAD}
         AND NOT EXISTS (SELECT 1 FROM deliveries later WHERE later.event = d.event AND later.id > d.id))"
    );
    let mut forget = connection.prepare_cached(&sql)?;
    forget.execute([delivery])?;
    connection
        .prepare_cached("DELETE FROM attempts WHERE delivery = ?")?
        .execute([delivery])?;
    connection
        .prepare_cached("DELETE FROM deliveries WHERE id = ?")?
        .execute([delivery])?;
    drop_event(connection, event)
}
