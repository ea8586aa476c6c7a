//! The key-value data of handlers. Values are read one by one, and written with the outcome of an
//! attempt. Postgres: `read.rs` and `effects.rs`.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use crate::shown::StoredValue;
use crate::steps::Refused;
use landfall_model::stored_event::checksum;
use landfall_model::{Effects, EventId, KvChange, KvExpected, KvValue, KvWrite, LedgerTime, Quota};

/// The checksum of a value does not match.
#[derive(Debug, thiserror::Error)]
#[error("the value of `{0}` is not what was kept: delete or set it anew")]
struct Damaged(String);

/// The value of a key. `None` if the key has no value, or its value has expired. Postgres:
/// `read::kv_get`.
pub(super) fn get(
    connection: &Connection,
    hook: &str,
    key: &str,
    now: LedgerTime,
) -> rusqlite::Result<Option<KvValue>> {
    let mut select = connection.prepare_cached(
        "SELECT is_text, value, until, checksum FROM kv
         WHERE hook = ? AND key = ? AND (until IS NULL OR until > ?)",
    )?;
    let found = select
        .query_row(params![hook, key, now.0], stored_value)
        .optional()?;
    let Some((value, until, expected)) = found else {
        return Ok(None);
    };

    if sum(hook, key, &value, until)[..] != expected {
        let damaged = Box::new(Damaged(key.to_owned()));
        return Err(rusqlite::Error::FromSqlConversionFailure(
            1,
            rusqlite::types::Type::Blob,
            damaged,
        ));
    }
    Ok(Some(value))
}

/// A value, when it expires, and its stored checksum.
fn stored_value(row: &rusqlite::Row<'_>) -> rusqlite::Result<(KvValue, Option<i64>, Vec<u8>)> {
    let value = KvValue {
        is_text: row.get(0)?,
        bytes: Bytes::from(row.get::<_, Vec<u8>>(1)?),
    };
    Ok((value, row.get(2)?, row.get(3)?))
}

pub(super) fn sum(hook: &str, key: &str, value: &KvValue, until: Option<i64>) -> [u8; 8] {
    let until = until.unwrap_or(i64::MAX).to_le_bytes();
    checksum(&[
        hook.as_bytes(),
        key.as_bytes(),
        &[u8::from(value.is_text)],
        &value.bytes,
        &until,
    ])
}

/// Keys that begin with `prefix`, in byte order, after `after`. Postgres: `read::kv_keys`.
pub(super) fn keys(
    connection: &Connection,
    hook: &str,
    prefix: &str,
    after: &str,
    limit: usize,
    now: LedgerTime,
) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare_cached(
        "SELECT key FROM kv WHERE hook = ?1 AND key >= ?2 AND key > ?3 AND (until IS NULL OR until > ?4)
         ORDER BY key",
    )?;
    let mut rows = select.query(params![hook, prefix, after, now.0])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        if found.len() >= limit || !key.starts_with(prefix) {
            break;
        }
        found.push(key);
    }
    Ok(found)
}

/// A page of pairs: keys that begin with `prefix`, in byte order, after `after`. `limit` and `shown`
/// bound the pairs and the bytes of each value. Postgres: `read::kv_page`.
pub(super) fn page(
    connection: &Connection,
    hook: &str,
    prefix: &str,
    after: &str,
    (limit, shown): (usize, usize),
    now: LedgerTime,
) -> rusqlite::Result<Vec<StoredValue>> {
    let mut select = connection.prepare_cached(
        "SELECT key, is_text, octet_length(value), substr(CAST(value AS BLOB), 1, ?5), until FROM kv
         WHERE hook = ?1 AND key >= ?2 AND key > ?3 AND (until IS NULL OR until > ?4) ORDER BY key",
    )?;
    let mut rows = select.query(params![hook, prefix, after, now.0, shown as i64])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        if found.len() >= limit || !key.starts_with(prefix) {
            break;
        }

        let until: Option<i64> = row.get(4)?;
        found.push(StoredValue {
            key,
            is_text: row.get(1)?,
            bytes: row.get(2)?,
            beginning: row.get(3)?,
            expires_in_ms: until.map(|until| now.until(LedgerTime(until)).as_millis() as u64),
            damaged: false,
        });
    }
    Ok(found)
}

/// Why these effects cannot be stored now, if so. Checked before anything is written. Postgres:
/// `effects::prepare`.
pub(super) fn refusal(
    connection: &Connection,
    hook: &str,
    effects: &Effects,
    quota: &Quota,
    now: LedgerTime,
) -> rusqlite::Result<Option<Refused>> {
    for KvExpected { key, value } in &effects.expected {
        if get(connection, hook, key, now)? != *value {
            return Ok(Some(Refused::Changed(key.clone())));
        }
    }

    for write in &effects.writes {
        let KvWrite { key, change } = write;
        if !matches!(change, KvChange::Delete) && result(connection, hook, write, now)?.is_none() {
            return Ok(Some(Refused::Changed(key.clone())));
        }
    }

    let (growth, rows) = growth(connection, hook, effects)?;
    let (kv_bytes, row_bytes) = if growth > 0 || rows > 0 {
        used(connection, hook)?
    } else {
        (0, 0)
    };
    Ok(Refused::over(quota, (growth, kv_bytes), (rows, row_bytes)))
}

/// How many bytes of values and of rows the effects add.
pub(super) fn growth(
    connection: &Connection,
    hook: &str,
    effects: &Effects,
) -> rusqlite::Result<(i64, i64)> {
    let mut values = 0;
    for KvWrite { key, change } in &effects.writes {
        if let KvChange::Set(value, _) = change {
            values += (key.len() + value.bytes.len()) as i64 - size(connection, hook, key)?;
        }
    }
    let rows = effects.rows.iter().map(|row| row.text.len() as i64).sum();
    Ok((values, rows))
}

/// Stores the changes, with the event whose handler made them. A number to which several events may
/// have added belongs to none. Postgres: `effects::store_results`.
pub(super) fn write(
    connection: &Connection,
    (hook, event): (&str, Option<&EventId>),
    writes: &[KvWrite],
    now: LedgerTime,
) -> rusqlite::Result<()> {
    for write in writes {
        let key = &write.key;
        let Some(value) = result(connection, hook, write, now)? else {
            connection
                .prepare_cached("DELETE FROM kv WHERE hook = ? AND key = ?")?
                .execute([hook, key])?;
            continue;
        };
        let until = match &write.change {
            KvChange::Set(_, expires_in) => expires_in.map(|time| now.plus(time).0),
            KvChange::Delete => None,
            KvChange::Add(_, expires_in) => match expiry(connection, hook, key, now)? {
                Some(until) => until,
                None => expires_in.map(|time| now.plus(time).0),
            },
        };
        let mut insert = connection.prepare_cached(
            "INSERT INTO kv (hook, key, is_text, value, until, checksum, event_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (hook, key) DO UPDATE SET is_text = ?3, value = ?4, until = ?5, checksum = ?6, event_id = ?7",
        )?;
        let sum = sum(hook, key, &value, until);
        let event = match &write.change {
            KvChange::Set(..) => event.map(EventId::as_bytes),
            KvChange::Add(..) | KvChange::Delete => None,
        };
        insert.execute(params![
            hook,
            key,
            value.is_text,
            &value.bytes[..],
            until,
            sum,
            event
        ])?;
    }
    Ok(())
}

/// When the current value expires. The outer `None`: there is no current value.
pub(super) fn expiry(
    connection: &Connection,
    hook: &str,
    key: &str,
    now: LedgerTime,
) -> rusqlite::Result<Option<Option<i64>>> {
    let mut select = connection.prepare_cached(
        "SELECT until FROM kv WHERE hook = ? AND key = ? AND (until IS NULL OR until > ?)",
    )?;
    select
        .query_row(params![hook, key, now.0], |row| row.get(0))
        .optional()
}

/// The value after a change. `None` if the key is deleted, or the current value is no number to add
/// to.
fn result(
    connection: &Connection,
    hook: &str,
    KvWrite { key, change }: &KvWrite,
    now: LedgerTime,
) -> rusqlite::Result<Option<KvValue>> {
    Ok(match change {
        KvChange::Set(value, _) => Some(value.clone()),
        KvChange::Delete => None,
        KvChange::Add(by, _) => match get(connection, hook, key, now)? {
            None => Some(KvValue::of_number(*by)),
            Some(value) => value
                .number()
                .and_then(|number| number.checked_add(*by))
                .map(KvValue::of_number),
        },
    })
}

/// Removes expired values. Postgres: `prune_expired`.
pub(super) fn expire(
    connection: &Connection,
    now: LedgerTime,
    max: i64,
) -> rusqlite::Result<usize> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM kv WHERE rowid IN (SELECT rowid FROM kv WHERE until <= ? ORDER BY until LIMIT ?)",
    )?;
    delete.execute(params![now.0, max])
}

fn size(connection: &Connection, hook: &str, key: &str) -> rusqlite::Result<i64> {
    let mut select = connection.prepare_cached(
        "SELECT length(CAST(key AS BLOB)) + length(value) FROM kv WHERE hook = ? AND key = ?",
    )?;
    Ok(select
        .query_row([hook, key], |row| row.get(0))
        .optional()?
        .unwrap_or(0))
}

/// The bytes of the hook's values and rows.
fn used(connection: &Connection, hook: &str) -> rusqlite::Result<(i64, i64)> {
    let mut select =
        connection.prepare_cached("SELECT kv_bytes, row_bytes FROM used WHERE hook = ?")?;
    Ok(select
        .query_row([hook], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .unwrap_or_default())
}
