//! The rows of handlers: stored with the outcome of their attempt, and listed in that order.

use rusqlite::{Connection, params};

use crate::shown::{StoredRow, time_of_day};
use landfall_model::clock::to_ms;
use landfall_model::stored_event::checksum;
use landfall_model::{Event, EventId, Row};

/// The values of an event that its rows store: id, time of arrival in ms, hook.
pub(super) fn of(event: &Event) -> (&EventId, i64, &str) {
    (&event.id, to_ms(event.received_at), &event.hook)
}

/// Stores rows. Postgres: `effects::store_results`.
pub(super) fn append(
    connection: &Connection,
    event: (&EventId, i64, &str),
    rows: &[Row],
) -> rusqlite::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let (id, received_ms, hook) = event;
    let mut insert = connection.prepare_cached(
        "INSERT INTO rows (hook, name, event_id, received_ms, json, checksum) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    for Row { table, text } in rows {
        let sum = sum(hook, table, id.as_bytes(), received_ms, text);
        insert.execute(params![hook, table, id.as_bytes(), received_ms, text, sum])?;
    }
    Ok(())
}

pub(super) fn sum(hook: &str, table: &str, id: &[u8], received_ms: i64, text: &str) -> [u8; 8] {
    checksum(&[
        hook.as_bytes(),
        table.as_bytes(),
        id,
        &received_ms.to_le_bytes(),
        text.as_bytes(),
    ])
}

/// A page of a table's rows. Postgres: `read::rows`.
pub(super) fn list(
    connection: &Connection,
    hook: &str,
    table: &str,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRow>> {
    let mut select = connection.prepare_cached(
        "SELECT id, event_id, received_ms, json, checksum FROM rows WHERE hook = ? AND name = ? AND id > ? ORDER BY id LIMIT ?",
    )?;
    let rows = select.query_map(params![hook, table, after, limit as i64], |row| {
        let (event_id, received_ms): ([u8; 16], i64) = (row.get(1)?, row.get(2)?);
        let text = String::from_utf8_lossy(row.get_ref(3)?.as_bytes()?);
        let expected: Option<Vec<u8>> = row.get(4)?;
        Ok(StoredRow {
            id: row.get(0)?,
            event_id: EventId::from_bytes(event_id).to_string(),
            received_at: time_of_day(received_ms),
            row: serde_json::from_str(&text).unwrap_or(serde_json::Value::Null),
            damaged: expected.is_some_and(|expected| {
                sum(hook, table, &event_id, received_ms, &text)[..] != expected
            }),
        })
    })?;
    rows.collect()
}
