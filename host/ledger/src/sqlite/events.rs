//! Stores and reads events. A checksum covers every byte that a handler sees, and is compared
//! before the event is returned.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use landfall_model::DedupKey;
use landfall_model::clock::to_ms;
use landfall_model::stored_event::{Corrupt, Stored, checked};
use landfall_model::{Event, EventId, LedgerTime};

/// Stores an event and its body. Returns its number in the order of arrival. Counts the delivery
/// that every caller inserts next. Postgres: `insert_event`.
pub(super) fn insert(connection: &Connection, stored: &Stored) -> rusqlite::Result<i64> {
    let Event {
        id,
        hook,
        received_at,
        body,
        ..
    } = stored.event();
    let received_ms = to_ms(*received_at);
    let mut insert = connection.prepare_cached(
        "INSERT INTO events (id, hook, received_ms, head, body_bytes, body_digest, checksum, verify_us, stored_us)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let (bytes, timing) = (body.len() as i64, stored.timing());
    insert.execute(params![
        id.as_bytes(),
        &**hook,
        received_ms,
        stored.head(),
        bytes,
        stored.digest(),
        stored.checksum(),
        timing.verify_us(),
        timing.since_read_us()
    ])?;
    let seq = connection.last_insert_rowid();
    let mut insert =
        connection.prepare_cached("INSERT INTO payloads (event, body) VALUES (?, ?)")?;
    insert.execute(params![seq, &body[..]])?;
    count_use(connection, hook, stored.head().len() + body.len(), 1)?;
    Ok(seq)
}

/// Adds the stored bytes of an event, and new deliveries, to those of their hook. Triggers subtract
/// them when they are removed. Every insert into `events`, `payloads` and `deliveries` calls this.
pub(super) fn count_use(
    connection: &Connection,
    hook: &str,
    bytes: usize,
    deliveries: i64,
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO used (hook, history_bytes, deliveries) VALUES (?, ?, ?)
         ON CONFLICT (hook) DO UPDATE SET history_bytes = history_bytes + excluded.history_bytes,
             deliveries = deliveries + excluded.deliveries",
    )?;
    insert
        .execute(params![hook, bytes as i64, deliveries])
        .map(drop)
}

/// An event that was accepted earlier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Earlier {
    pub seq: i64,
    pub id: EventId,
    digest: [u8; 32],
}

/// The earlier event with the identity of a new one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known {
    /// No earlier event has the identity.
    Unknown,
    /// This event has the same identity, and the same body if that matters.
    Same(Earlier),
    /// This event has the same identity and another body.
    OtherBody(Earlier),
}

/// Finds an earlier event with this identity. Also returns the key to store if the new event is
/// stored. Postgres: `find_earlier`.
pub(super) fn find_earlier(
    connection: &Connection,
    hook: &str,
    dedup: &DedupKey,
    digest: &[u8; 32],
    now: LedgerTime,
) -> rusqlite::Result<(Known, DedupKey)> {
    let Some(first) = find(connection, hook, dedup, now)? else {
        return Ok((Known::Unknown, dedup.clone()));
    };
    let Some(of_body) = dedup.of_body(digest).filter(|_| first.digest != *digest) else {
        return Ok((Known::Same(first), dedup.clone()));
    };

    let same_body = find(connection, hook, &of_body, now)?;
    Ok((
        same_body.map_or(Known::OtherBody(first), Known::Same),
        of_body,
    ))
}

fn find(
    connection: &Connection,
    hook: &str,
    dedup: &DedupKey,
    now: LedgerTime,
) -> rusqlite::Result<Option<Earlier>> {
    let mut find = connection.prepare_cached(
        "SELECT e.seq, e.id, e.body_digest FROM dedup d JOIN events e ON e.seq = d.event
         WHERE d.hook = ? AND d.key = ? AND d.until > ?",
    )?;
    let row = |row: &rusqlite::Row<'_>| {
        Ok(Earlier {
            seq: row.get(0)?,
            id: EventId::from_bytes(row.get(1)?),
            digest: row.get(2)?,
        })
    };
    find.query_row(params![hook, dedup.key, now.0], row)
        .optional()
}

/// Whether an event is known under exactly this key.
pub(super) fn is_known(
    connection: &Connection,
    hook: &str,
    dedup: &DedupKey,
    now: LedgerTime,
) -> rusqlite::Result<bool> {
    Ok(find(connection, hook, dedup, now)?.is_some())
}

/// Whether an event is known under one of these keys. Postgres: `read::knows`.
pub(super) fn knows(
    connection: &Connection,
    hook: &str,
    keys: &[Vec<u8>],
    now: LedgerTime,
) -> rusqlite::Result<bool> {
    let mut find = connection
        .prepare_cached("SELECT 1 FROM dedup WHERE hook = ? AND key = ? AND until > ?")?;
    for key in keys {
        if find.exists(params![hook, key, now.0])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Counts a duplicate of an event. `duplicate` is the id that the duplicate was given. Postgres:
/// `count_duplicate`.
pub(super) fn count_duplicate(
    connection: &Connection,
    first: i64,
    duplicate: &EventId,
) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE events SET duplicates = duplicates + 1, last_duplicate_ms = ?, last_duplicate = ? WHERE seq = ?",
    )?;
    update
        .execute(params![duplicate.time_ms(), duplicate.as_bytes(), first])
        .map(drop)
}

/// Counts another event with the identity of this one and another body.
pub(super) fn count_conflict(
    connection: &Connection,
    first: i64,
    other: &EventId,
) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE events SET conflicts = conflicts + 1, last_conflict = ? WHERE seq = ?",
    )?;
    update.execute(params![other.as_bytes(), first]).map(drop)
}

/// Stores an identity for its window.
pub(super) fn remember(
    connection: &Connection,
    hook: &str,
    dedup: &DedupKey,
    seq: i64,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO dedup (hook, key, event, until) VALUES (?, ?, ?, ?)",
    )?;
    insert
        .execute(params![hook, dedup.key, seq, now.plus(dedup.window).0])
        .map(drop)
}

/// The columns for `read`, of tables `e` and `p`.
pub(super) const COLUMNS: &str =
    "e.id, e.hook, e.received_ms, e.head, e.body_digest, e.checksum, p.body";

/// An event from the columns of `COLUMNS`, which begin at `at`. `None` if its body has been pruned.
/// Postgres: `event_of`.
pub(super) fn read(
    row: &rusqlite::Row<'_>,
    at: usize,
) -> rusqlite::Result<Option<Result<Event, Corrupt>>> {
    let body = row.get_ref(at + 6)?;
    if body == ValueRef::Null {
        return Ok(None);
    }

    // A value of the wrong type is damaged too.
    Ok(Some(read_checked(row, at).unwrap_or(Err(Corrupt))))
}

fn read_checked(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Result<Event, Corrupt>> {
    let (id, hook, received_ms): ([u8; 16], String, i64) =
        (row.get(at)?, row.get(at + 1)?, row.get(at + 2)?);
    let (head, digest, expected): (Vec<u8>, Vec<u8>, Vec<u8>) =
        (row.get(at + 3)?, row.get(at + 4)?, row.get(at + 5)?);
    let body = row.get_ref(at + 6)?.as_blob()?.to_vec();
    let stored = (EventId::from_bytes(id), hook, received_ms);
    Ok(checked(stored, &head, &digest, &expected, body))
}

/// The event, if it belongs to this hook.
pub(super) fn of_hook(event: Event, hook: &str) -> Result<Event, Corrupt> {
    if &*event.hook == hook {
        Ok(event)
    } else {
        Err(Corrupt)
    }
}
