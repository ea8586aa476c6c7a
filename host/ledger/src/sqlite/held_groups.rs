//! Open groups, which are the rows of `held`, and the deliveries that wait for them. Each function
//! runs inside a transaction of its caller.

use rusqlite::{Connection, OptionalExtension, params};

use super::held_damage;
use crate::flow_counts::FlowNotes;
use crate::held::NOT_HELD;
use crate::state_column::{DONE, PENDING, WAITING};
use landfall_model::{LedgerTime, OPEN_GROUPS_MAX};

/// Whether the hook may have another open group. If not, the delivery says why it did not wait.
pub(super) fn may_open(
    connection: &Connection,
    hook: &str,
    step: i64,
    delivery: i64,
) -> rusqlite::Result<bool> {
    // Triggers count the rows of `held`, so that this reads one row however many groups are open.
    let sql = "SELECT open FROM held_open WHERE hook = ? AND step = ?";
    let open: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row(params![hook, step], |row| Ok(row.get(0).unwrap_or(0)))
        .optional()?;
    if open.unwrap_or(0) < OPEN_GROUPS_MAX as i64 {
        return Ok(true);
    }
    connection
        .prepare_cached("UPDATE deliveries SET reason = ? WHERE id = ?")?
        .execute(params![NOT_HELD, delivery])?;
    Ok(false)
}

pub(super) fn open(
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
pub(super) fn remove(
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

/// What was read of an open group, if it could be read. A damaged row is removed.
pub(super) fn readable<T>(
    connection: &Connection,
    hook: &str,
    (step, key): (i64, &[u8]),
    found: Option<Result<T, String>>,
    notes: &mut FlowNotes,
) -> rusqlite::Result<Option<T>> {
    match found {
        None => Ok(None),
        Some(Ok(group)) => Ok(Some(group)),
        Some(Err(why)) => {
            let key = held_damage::row_key(connection, step, key)?;
            held_damage::set_aside(connection, hook, &key, &why, notes)?;
            Ok(None)
        }
    }
}

/// Makes a waiting delivery due. False: it does not wait.
pub(super) fn release(
    connection: &Connection,
    delivery: i64,
    now: LedgerTime,
) -> rusqlite::Result<bool> {
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

pub(super) fn is_waiting(connection: &Connection, delivery: i64) -> rusqlite::Result<bool> {
    let sql = format!("SELECT 1 FROM deliveries WHERE id = ? AND state = {WAITING}");
    connection.prepare_cached(&sql)?.exists([delivery])
}

/// When the next group of a hook is due. A damaged time is left to the repair: text is behind all
/// numbers.
pub(super) fn next_due(
    connection: &Connection,
    hook: &str,
) -> rusqlite::Result<Option<LedgerTime>> {
    let sql = "SELECT CAST(min(due) AS INTEGER) FROM held WHERE hook = ? AND due < ''";
    let due: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row([hook], |row| row.get(0))?;
    Ok(due.map(LedgerTime))
}

/// The hooks with open groups, in order. A damaged name, which is no text, is left out: the repair
/// frees what waits for it.
pub(super) fn names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    // The index leads from one hook to the next, however many groups each has.
    let sql = "SELECT min(hook) FROM held WHERE hook > ? AND hook < x''";
    let mut next = connection.prepare_cached(sql)?;
    loop {
        let after = found.last().map_or("", String::as_str);
        let Some(hook) = next.query_row([after], |row| row.get::<_, Option<String>>(0))? else {
            return Ok(found);
        };
        found.push(hook);
    }
}

/// The hooks with open groups, and when the first group of each is due.
pub(super) fn hooks(connection: &Connection) -> rusqlite::Result<Vec<(String, LedgerTime)>> {
    let mut found = Vec::new();
    for hook in names(connection)? {
        if let Some(due) = next_due(connection, &hook)? {
            found.push((hook, due));
        }
    }
    Ok(found)
}
