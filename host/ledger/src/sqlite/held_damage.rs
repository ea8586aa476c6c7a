//! Rows of `held` that cannot be read. They are removed, so that nothing waits for them. Each
//! function runs inside a transaction of its caller. Postgres: `is_damaged` in
//! `functions/held.sql`.

use rusqlite::{Connection, params};

use crate::flow_counts::{FlowNotes, FlowStep};

/// The step and the key of a row of `held` in hexadecimal digits, so that damaged bytes can be
/// read, too.
pub(super) type RowKey = (String, String);

/// The key of a row of `held`.
pub(super) fn row_key(connection: &Connection, step: i64, key: &[u8]) -> rusqlite::Result<RowKey> {
    connection
        .prepare_cached("SELECT hex(?), hex(?)")?
        .query_row(params![step, key], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Removes the row of an open group that is damaged. What waited for it is stranded then, and the
/// next repair lets it run.
pub(super) fn set_aside(
    connection: &Connection,
    hook: &str,
    (step, key): &RowKey,
    why: &str,
    notes: &mut FlowNotes,
) -> rusqlite::Result<()> {
    let sql = "DELETE FROM held WHERE hook = ? AND hex(step) = ? AND hex(key) = ?";
    connection
        .prepare_cached(sql)?
        .execute(params![hook, step, key])?;
    // The damage may be in what the triggers count by.
    let sql = "UPDATE held_open SET open = (
                   SELECT count(*) FROM held h WHERE h.hook = held_open.hook AND h.step = held_open.step)
               WHERE hook = ?";
    connection.prepare_cached(sql)?.execute([hook])?;

    tracing::error!(
        hook,
        key,
        why,
        "the row of an open group is damaged and was removed: its events run alone, within a minute"
    );
    notes.add(hook, FlowStep::Damaged);
    Ok(())
}
