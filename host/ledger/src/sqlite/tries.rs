//! Published reports of `landfall try`. Runs inside a transaction of its caller. Postgres:
//! `tries.rs`.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, params};

use super::kv;
use crate::tries::{NewTry, PARTS_MAX, TRIES, TRY_GROUPS, TryPart, TryParts, ranges};
use landfall_model::{EventId, KvChange, KvValue, KvWrite, LedgerTime};

/// As `History::put_try`.
pub(super) fn put(
    connection: &Connection,
    new: &NewTry,
    keep: Duration,
    now: LedgerTime,
) -> rusqlite::Result<usize> {
    let sql = "SELECT 1 FROM events WHERE id = ? AND hook = ? AND erased_ms IS NULL";
    let mut find = connection.prepare_cached(sql)?;
    let mut stored = 0;
    for (place, group) in new.groups.iter().enumerate() {
        if !find.exists(params![group.event.as_bytes(), new.hook])? {
            continue;
        }
        let write = part(new.group_key(place), &group.json, keep);
        kv::write(connection, (TRY_GROUPS, Some(&group.event)), &[write], now)?;
        stored += 1;
    }

    let write = part(new.key(), &new.summary, keep);
    kv::write(connection, (TRIES, None), &[write], now)?;
    Ok(stored)
}

fn part(key: String, json: &[u8], keep: Duration) -> KvWrite {
    let value = KvValue {
        is_text: true,
        bytes: Bytes::copy_from_slice(json),
    };
    KvWrite {
        key,
        change: KvChange::Set(value, Some(keep)),
    }
}

/// As `History::try_parts`.
pub(super) fn list(
    connection: &Connection,
    parts: &TryParts,
    now: LedgerTime,
) -> rusqlite::Result<Vec<TryPart>> {
    let (owner, prefix) = (parts.owner(), parts.prefix());
    let mut found = Vec::new();
    for key in kv::keys(connection, owner, &prefix, "", PARTS_MAX, now)? {
        if let Some(value) = kv::get(connection, owner, &key, now)? {
            found.push(TryPart {
                key,
                json: value.bytes.to_vec(),
            });
        }
    }
    Ok(found)
}

/// As `History::remove_try`. Without an id: all reports of the hook.
pub(super) fn remove(
    connection: &Connection,
    hook: &str,
    id: Option<&EventId>,
) -> rusqlite::Result<()> {
    let sql = "DELETE FROM kv WHERE hook = ? AND key >= ? AND key < ?";
    for (owner, first, behind) in ranges(hook, id) {
        connection
            .prepare_cached(sql)?
            .execute(params![owner, first, behind])?;
    }
    Ok(())
}
