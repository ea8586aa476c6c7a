//! Rows that handlers stored: appended with the outcome of their attempt, listed in the order of their arrival.

use rusqlite::{Connection, params};
use serde::Serialize;

use crate::model::clock::{from_ms, to_ms};
use crate::model::{Event, EventId, Row};

/// One row of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredRow {
    /// Grows: the next page begins after the last one seen.
    pub id: i64,
    /// The event whose handler stored it.
    pub event_id: String,
    /// RFC 3339: when that event came.
    pub received_at: String,
    /// As the handler wrote it.
    pub row: serde_json::Value,
}

/// What rows need to know of their event: id, time of arrival in ms, hook.
pub(super) fn of(event: &Event) -> (&EventId, i64, &str) {
    (&event.id, to_ms(event.received_at), &event.hook)
}

pub(super) fn append(connection: &Connection, event: (&EventId, i64, &str), rows: &[Row]) -> rusqlite::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let (id, received_ms, hook) = event;
    let mut insert = connection
        .prepare_cached("INSERT INTO rows (hook, name, event_id, received_ms, json) VALUES (?, ?, ?, ?, ?)")?;
    for row in rows {
        insert.execute(params![hook, row.table, id.as_bytes(), received_ms, row.text])?;
    }
    Ok(())
}

pub(super) fn list(
    connection: &Connection,
    hook: &str,
    table: &str,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRow>> {
    let mut select = connection.prepare_cached(
        "SELECT id, event_id, received_ms, json FROM rows WHERE hook = ? AND name = ? AND id > ? ORDER BY id LIMIT ?",
    )?;
    let rows = select.query_map(params![hook, table, after, limit as i64], |row| {
        Ok(StoredRow {
            id: row.get(0)?,
            event_id: EventId::from_bytes(row.get(1)?).to_string(),
            received_at: humantime::format_rfc3339_millis(from_ms(row.get(2)?)).to_string(),
            row: serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or(serde_json::Value::Null),
        })
    })?;
    rows.collect()
}
