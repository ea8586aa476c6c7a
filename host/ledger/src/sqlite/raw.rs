//! Records as the tables hold them, for the job that encrypts them again. Postgres: `raw.rs`.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{kv, retention, rows};
use crate::raw::{RawChange, RawCursor, RawKind, RawRecord, text_of};
use landfall_model::{EventId, KvValue};

/// Up to `limit` records after a place, in the order of the table.
pub(super) fn list(
    connection: &Connection,
    kind: RawKind,
    after: &RawCursor,
    limit: usize,
) -> rusqlite::Result<Vec<RawRecord>> {
    // Columns: id, number, event, hook, name, time, is_text, is_replay, then the parts.
    let sql = match kind {
        RawKind::Events => {
            "SELECT e.seq, 0, e.id, e.hook, '', e.received_ms, 0, 0, e.head, p.body, e.body_digest, e.checksum
             FROM events e LEFT JOIN payloads p ON p.event = e.seq
             WHERE e.seq > ?1 AND ?2 IS NOT NULL ORDER BY e.seq LIMIT ?3"
        }
        RawKind::Attempts => {
            "SELECT a.delivery, a.number, e.id, e.hook, '', NULL, 0, d.replayed, a.record, a.reason
             FROM attempts a JOIN deliveries d ON d.id = a.delivery JOIN events e ON e.seq = d.event
             WHERE (a.delivery, a.number) > (?1, ?2) ORDER BY a.delivery, a.number LIMIT ?3"
        }
        RawKind::Deliveries => {
            "SELECT d.id, 0, e.id, e.hook, '', NULL, 0, d.replayed, d.reason, d.reply
             FROM deliveries d JOIN events e ON e.seq = d.event
             WHERE d.id > ?1 AND ?2 IS NOT NULL ORDER BY d.id LIMIT ?3"
        }
        RawKind::Rows => {
            "SELECT id, 0, event_id, hook, name, received_ms, 0, 0, json FROM rows
             WHERE id > ?1 AND ?2 IS NOT NULL ORDER BY id LIMIT ?3"
        }
        // The node's own values are not content, apart from groups of published tries.
        RawKind::Values => {
            "SELECT rowid, 0, NULL, hook, key, until, is_text, 0, value FROM kv
             WHERE rowid > ?1 AND ?2 IS NOT NULL AND (substr(hook, 1, 1) <> '_' OR hook = '_try-groups')
             ORDER BY rowid LIMIT ?3"
        }
        RawKind::Recordings => {
            "SELECT r.delivery, r.number, e.id, e.hook, '', NULL, 0, d.replayed, r.recording
             FROM recordings r JOIN deliveries d ON d.id = r.delivery JOIN events e ON e.seq = d.event
             WHERE (r.delivery, r.number) > (?1, ?2) ORDER BY r.delivery, r.number LIMIT ?3"
        }
        RawKind::Identities => return identities(connection, after, limit),
    };
    let mut select = connection.prepare_cached(sql)?;
    let found = select.query_map(params![after.id, after.number, limit as i64], |row| {
        record(row, parts_of(kind))
    })?;
    found.collect()
}

/// The identities that are a digest of a body, or end with one as sent.
fn identities(
    connection: &Connection,
    after: &RawCursor,
    limit: usize,
) -> rusqlite::Result<Vec<RawRecord>> {
    let sql = "SELECT 0, 0, NULL, hook, '', NULL, 0, 0, key FROM dedup
               WHERE (hook, key) > (?, ?) AND (length(key) = 32 OR substr(key, -38, 6) = x'0073656e7400')
               ORDER BY hook, key LIMIT ?";
    let mut select = connection.prepare_cached(sql)?;
    let found = select.query_map(params![after.hook, after.key, limit as i64], |row| {
        let mut record = record(row, parts_of(RawKind::Identities))?;
        record.cursor.hook = record.hook.clone();
        record.cursor.key = record.parts[0].clone().unwrap_or_default();
        Ok(record)
    })?;
    found.collect()
}

fn parts_of(kind: RawKind) -> usize {
    match kind {
        RawKind::Events => 4,
        RawKind::Attempts | RawKind::Deliveries => 2,
        RawKind::Rows | RawKind::Values | RawKind::Recordings | RawKind::Identities => 1,
    }
}

fn record(row: &Row<'_>, parts: usize) -> rusqlite::Result<RawRecord> {
    let event: Option<[u8; 16]> = row.get(2)?;
    let (hook, name): (String, String) = (row.get(3)?, row.get(4)?);
    let parts = (8..8 + parts).map(|at| {
        Ok(match row.get_ref(at)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
            _ => None,
        })
    });
    Ok(RawRecord {
        cursor: RawCursor {
            id: row.get(0)?,
            number: row.get(1)?,
            ..RawCursor::default()
        },
        event: event.map(EventId::from_bytes),
        at_ms: row.get(5)?,
        is_text: row.get(6)?,
        is_replay: row.get(7)?,
        parts: parts.collect::<rusqlite::Result<_>>()?,
        hook,
        name,
    })
}

/// Replaces the parts of records that are still as they were read. A new record may have the number
/// of a removed one: each part opens only at its own place. Returns how many.
pub(super) fn replace(connection: &Connection, changes: &[RawChange]) -> rusqlite::Result<usize> {
    let mut replaced = 0;
    for change in changes {
        replaced += usize::from(replace_one(connection, change)?);
    }
    Ok(replaced)
}

fn replace_one(connection: &Connection, change: &RawChange) -> rusqlite::Result<bool> {
    let RawChange {
        kind,
        record,
        parts,
    } = change;
    let (old, new) = (&record.parts, parts);
    let RawCursor { id, number, .. } = record.cursor;
    let text = |parts: &[Option<Vec<u8>>], at: usize| text_of(parts[at].as_ref());
    let replaced = match kind {
        RawKind::Events => {
            let sql = "UPDATE events SET head = ?1, body_digest = ?2, checksum = ?3
                       WHERE seq = ?4 AND head = ?5 AND id = ?6";
            let of = record.event.as_ref().map(EventId::as_bytes);
            let mut update = connection.prepare_cached(sql)?;
            let replaced = update.execute(params![new[0], new[2], new[3], id, old[0], of])?;
            if replaced == 1
                && let (Some(old), Some(new)) = (&old[2], &new[2])
            {
                replace_digest(connection, id, old, new)?;
            }
            if let (1, Some(body)) = (replaced, &new[1]) {
                connection
                    .prepare_cached("UPDATE payloads SET body = ? WHERE event = ?")?
                    .execute(params![body, id])?;
            }
            replaced
        }
        RawKind::Attempts => {
            let sql =
                "UPDATE attempts SET record = ?1, reason = ?2 WHERE delivery = ?3 AND number = ?4
                       AND record = ?5 AND reason = ?6";
            connection.prepare_cached(sql)?.execute(params![
                text(new, 0),
                text(new, 1),
                id,
                number,
                text(old, 0),
                text(old, 1)
            ])?
        }
        RawKind::Deliveries => {
            let sql = "UPDATE deliveries SET reason = ?1, reply = ?2 WHERE id = ?3 AND reason IS ?4 AND reply IS ?5";
            connection.prepare_cached(sql)?.execute(params![
                text(new, 0),
                new[1],
                id,
                text(old, 0),
                old[1]
            ])?
        }
        RawKind::Rows => {
            let (Some(event), Some(json)) = (&record.event, text(new, 0)) else {
                return Ok(false);
            };
            let at_ms = record.at_ms.unwrap_or_default();
            let of = (&*record.hook, &*record.name);
            let sum = rows::sum(of.0, of.1, event.as_bytes(), at_ms, &json);
            let sql = "UPDATE rows SET json = ?1, checksum = ?2 WHERE id = ?3 AND json = ?4
                       AND event_id = ?5 AND hook = ?6 AND name = ?7";
            connection.prepare_cached(sql)?.execute(params![
                json,
                sum,
                id,
                text(old, 0),
                event.as_bytes(),
                of.0,
                of.1
            ])?
        }
        RawKind::Values => {
            let value = KvValue {
                is_text: record.is_text,
                bytes: new[0].clone().unwrap_or_default().into(),
            };
            let sum = kv::sum(&record.hook, &record.name, &value, record.at_ms);
            let sql = "UPDATE kv SET value = ?1, checksum = ?2 WHERE rowid = ?3 AND value = ?4 AND until IS ?5
                       AND hook = ?6 AND key = ?7";
            let (hook, key) = (&record.hook, &record.name);
            let values = params![&value.bytes[..], sum, id, old[0], record.at_ms, hook, key];
            connection.prepare_cached(sql)?.execute(values)?
        }
        RawKind::Recordings => {
            let sql = "UPDATE recordings SET recording = ?1 WHERE delivery = ?2 AND number = ?3 AND recording = ?4";
            connection
                .prepare_cached(sql)?
                .execute(params![new[0], id, number, old[0]])?
        }
        RawKind::Identities => {
            let (Some(old), Some(new)) = (&old[0], &new[0]) else {
                return Ok(false);
            };
            return replace_identity(connection, &record.hook, old, new);
        }
    };
    Ok(replaced == 1)
}

/// Gives an identity its new key. If a later event has that one already, the old key is removed.
/// Returns whether the identity was still there. Postgres: `replace_identity`.
fn replace_identity(
    connection: &Connection,
    hook: &str,
    old: &[u8],
    new: &[u8],
) -> rusqlite::Result<bool> {
    let sql = "UPDATE OR IGNORE dedup SET key = ? WHERE hook = ? AND key = ?";
    let mut update = connection.prepare_cached(sql)?;
    if update.execute(params![new, hook, old])? == 1 {
        return Ok(true);
    }

    let sql = "SELECT event FROM dedup WHERE hook = ? AND key = ?";
    let mut find = connection.prepare_cached(sql)?;
    let event: Option<i64> = find
        .query_row(params![hook, old], |row| row.get(0))
        .optional()?;
    let Some(event) = event else {
        return Ok(false);
    };
    connection
        .prepare_cached("DELETE FROM dedup WHERE hook = ? AND key = ?")?
        .execute(params![hook, old])?;
    retention::drop_event(connection, event)?;
    Ok(true)
}

/// Identities that end with `\0body\0` and the digest of the stored body get the new digest.
/// Postgres: in `replace_one`.
fn replace_digest(
    connection: &Connection,
    event: i64,
    old: &[u8],
    new: &[u8],
) -> rusqlite::Result<()> {
    if old == new {
        return Ok(());
    }
    let mut select = connection.prepare_cached("SELECT hook, key FROM dedup WHERE event = ?")?;
    let found = select.query_map([event], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found: Vec<(String, Vec<u8>)> = found.collect::<Result<_, _>>()?;
    let sql = "UPDATE OR REPLACE dedup SET key = ? WHERE hook = ? AND key = ?";
    let mut update = connection.prepare_cached(sql)?;
    for (hook, key) in found {
        if let Some(rest) = key.strip_suffix(old)
            && rest.ends_with(b"\0body\0")
        {
            update.execute(params![[rest, new].concat(), hook, key])?;
        }
    }
    Ok(())
}
