//! Records as the tables hold them, for the job that encrypts them again. SQLite: `raw.rs`.

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::query::Cached;
use crate::raw::{RawChange, RawCursor, RawKind, RawRecord, text_of};
use landfall_model::EventId;

/// Up to `limit` records after a place, in the order of the table.
pub(super) async fn list(
    client: &Object,
    kind: RawKind,
    after: &RawCursor,
    limit: usize,
) -> Result<Vec<RawRecord>, Error> {
    // Columns: id, number, event, hook, name, time, is_text, is_replay, then the parts as bytes.
    let sql = match kind {
        RawKind::Events => {
            "SELECT e.seq, 0::bigint, e.id, e.hook, ''::bytea, e.received_ms, false, false, e.head, p.body, e.body_digest, e.checksum
             FROM events e LEFT JOIN payloads p ON p.event = e.seq
             WHERE e.seq > $1 AND ($2::bigint, $3::text, $4::bytea) IS NOT NULL ORDER BY e.seq LIMIT $5"
        }
        RawKind::Attempts => {
            "SELECT a.delivery, a.number::bigint, e.id, e.hook, ''::bytea, NULL::bigint, false, d.replayed, convert_to(a.record, 'UTF8'),
                    convert_to(a.reason, 'UTF8')
             FROM attempts a JOIN deliveries d ON d.id = a.delivery JOIN events e ON e.seq = d.event
             WHERE (a.delivery, a.number::bigint) > ($1, $2) AND ($3::text, $4::bytea) IS NOT NULL
             ORDER BY a.delivery, a.number LIMIT $5"
        }
        RawKind::Deliveries => {
            "SELECT d.id, 0::bigint, e.id, e.hook, ''::bytea, NULL::bigint, false, d.replayed, convert_to(d.reason, 'UTF8'), d.reply
             FROM deliveries d JOIN events e ON e.seq = d.event
             WHERE d.id > $1 AND ($2::bigint, $3::text, $4::bytea) IS NOT NULL ORDER BY d.id LIMIT $5"
        }
        RawKind::Rows => {
            "SELECT r.id, 0::bigint, r.event_id, r.hook, convert_to(r.name, 'UTF8'), NULL::bigint, false, false,
                    convert_to(coalesce(r.text, r.json::text), 'UTF8')
             FROM rows r WHERE r.id > $1 AND ($2::bigint, $3::text, $4::bytea) IS NOT NULL ORDER BY r.id LIMIT $5"
        }
        // The node's own values are not content, apart from groups of published tries.
        RawKind::Values => {
            "SELECT 0::bigint, 0::bigint, NULL::uuid, k.hook, k.key, k.until, k.is_text, false, k.value FROM kv k
             WHERE (k.hook, k.key) > ($3::text, $4::bytea) AND ($1::bigint, $2::bigint) IS NOT NULL
             AND (left(k.hook, 1) <> '_' OR k.hook = '_try-groups')
             ORDER BY k.hook, k.key LIMIT $5"
        }
        RawKind::Recordings => {
            "SELECT r.delivery, r.number::bigint, e.id, e.hook, ''::bytea, NULL::bigint, false, d.replayed, r.recording
             FROM recordings r JOIN deliveries d ON d.id = r.delivery JOIN events e ON e.seq = d.event
             WHERE (r.delivery, r.number::bigint) > ($1, $2) AND ($3::text, $4::bytea) IS NOT NULL
             ORDER BY r.delivery, r.number LIMIT $5"
        }
        // Those that are a digest of a body, or end with one as sent.
        RawKind::Identities => {
            "SELECT 0::bigint, 0::bigint, NULL::uuid, i.hook, ''::bytea, NULL::bigint, false, false, i.key FROM dedup i
             WHERE (i.hook, i.key) > ($3::text, $4::bytea) AND ($1::bigint, $2::bigint) IS NOT NULL
             AND (octet_length(i.key) = 32
                  OR substring(i.key FROM octet_length(i.key) - 37 FOR 6) = '\\x0073656e7400'::bytea)
             ORDER BY i.hook, i.key LIMIT $5"
        }
    };
    let rows = client
        .query_cached(
            sql,
            &[
                &after.id,
                &after.number,
                &after.hook,
                &after.key,
                &(limit as i64),
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| record(row, kind)).collect())
}

fn record(row: &Row, kind: RawKind) -> RawRecord {
    let event: Option<Uuid> = row.get(2);
    let hook: String = row.get(3);
    let name = String::from_utf8_lossy(row.get(4)).into_owned();
    let parts: Vec<Option<Vec<u8>>> = (8..row.len()).map(|at| row.get(at)).collect();
    let key = match kind {
        RawKind::Values => name.clone().into_bytes(),
        RawKind::Identities => parts[0].clone().unwrap_or_default(),
        _ => Vec::new(),
    };
    RawRecord {
        cursor: RawCursor {
            id: row.get(0),
            number: row.get(1),
            hook: hook.clone(),
            key,
        },
        event: event.map(|id| EventId::from_bytes(id.into_bytes())),
        at_ms: row.get(5),
        is_text: row.get(6),
        is_replay: row.get(7),
        parts,
        hook,
        name,
    }
}

/// Replaces the parts of records that are still as they were read. Returns how many.
pub(super) async fn replace(client: &mut Object, changes: &[RawChange]) -> Result<usize, Error> {
    let transaction = client.transaction().await?;
    // A transaction that changes rows or values of a hook locks its row of `used` first.
    let counted = changes
        .iter()
        .filter(|change| matches!(change.kind, RawKind::Rows | RawKind::Values));
    let mut hooks: Vec<&str> = counted.map(|change| &*change.record.hook).collect();
    hooks.sort_unstable();
    hooks.dedup();
    for hook in hooks {
        let sql = "SELECT 1 FROM used WHERE hook = $1 FOR UPDATE";
        transaction.execute_cached(sql, &[&hook]).await?;
    }
    let mut replaced = 0;
    for change in changes {
        replaced += replace_one(&transaction, change).await?;
    }
    transaction.commit().await?;
    Ok(replaced as usize)
}

async fn replace_one(transaction: &Transaction<'_>, change: &RawChange) -> Result<u64, Error> {
    let RawChange {
        kind,
        record,
        parts: new,
    } = change;
    let old = &record.parts;
    let RawCursor { id, .. } = record.cursor;
    let text = |parts: &[Option<Vec<u8>>], at: usize| text_of(parts[at].as_ref());
    match kind {
        RawKind::Events => {
            let sql = "UPDATE events SET head = $1, body_digest = $2, checksum = $3 WHERE seq = $4 AND head = $5";
            let replaced = transaction
                .execute_cached(sql, &[&new[0], &new[2], &new[3], &id, &old[0]])
                .await?;
            // Identities that end with `\0body\0` and the digest get the new digest.
            if replaced == 1 && old[2] != new[2] {
                let sql = "UPDATE dedup i SET key = substring(i.key FROM 1 FOR octet_length(i.key) - 32) || $1::bytea
                           WHERE i.event = $2
                           AND substring(i.key FROM octet_length(i.key) - 37 FOR 6) = '\\x00626f647900'::bytea
                           AND substring(i.key FROM octet_length(i.key) - 31) = $3::bytea
                           AND NOT EXISTS (SELECT 1 FROM dedup o WHERE o.hook = i.hook
                               AND o.key = substring(i.key FROM 1 FOR octet_length(i.key) - 32) || $1::bytea)";
                transaction
                    .execute_cached(sql, &[&new[2], &id, &old[2]])
                    .await?;
            }
            if let (1, Some(body)) = (replaced, &new[1]) {
                let sql = "UPDATE payloads SET body = $1 WHERE event = $2";
                transaction.execute_cached(sql, &[body, &id]).await?;
            }
            Ok(replaced)
        }
        RawKind::Attempts => {
            let sql =
                "UPDATE attempts SET record = $1, reason = $2 WHERE delivery = $3 AND number = $4
                       AND record = $5 AND reason = $6";
            let number = record.cursor.number as i32;
            let (record, reason) = (text(new, 0), text(new, 1));
            let (old_record, old_reason) = (text(old, 0), text(old, 1));
            transaction
                .execute_cached(
                    sql,
                    &[&record, &reason, &id, &number, &old_record, &old_reason],
                )
                .await
        }
        RawKind::Deliveries => {
            let sql = "UPDATE deliveries SET reason = $1, reply = $2 WHERE id = $3 AND reason IS NOT DISTINCT FROM $4
                       AND reply IS NOT DISTINCT FROM $5";
            let (reason, old_reason) = (text(new, 0), text(old, 0));
            transaction
                .execute_cached(sql, &[&reason, &new[1], &id, &old_reason, &old[1]])
                .await
        }
        RawKind::Rows => {
            let sql = "UPDATE rows SET json = as_jsonb($1), text = NULL WHERE id = $2 AND coalesce(text, json::text) = $3";
            let (json, old_json) = (text(new, 0), text(old, 0));
            let replaced = transaction
                .execute_cached(sql, &[&json, &id, &old_json])
                .await?;
            let sql = "UPDATE used SET row_bytes = greatest(0, row_bytes + $2) WHERE hook = $1";
            grow(transaction, sql, change, replaced).await
        }
        RawKind::Values => {
            let sql = "UPDATE kv SET value = $1 WHERE hook = $2 AND key = $3 AND value = $4";
            let key = record.name.as_bytes();
            let replaced = transaction
                .execute_cached(sql, &[&new[0], &record.hook, &key, &old[0]])
                .await?;
            let sql = "UPDATE used SET kv_bytes = greatest(0, kv_bytes + $2) WHERE hook = $1";
            grow(transaction, sql, change, replaced).await
        }
        RawKind::Recordings => {
            let sql = "UPDATE recordings SET recording = $1 WHERE delivery = $2 AND number = $3 AND recording = $4";
            let number = record.cursor.number as i32;
            transaction
                .execute_cached(sql, &[&new[0], &id, &number, &old[0]])
                .await
        }
        RawKind::Identities => replace_identity(transaction, &record.hook, &old[0], &new[0]).await,
    }
}

/// Gives an identity its new key. If a later event has that one already, the old key is removed.
/// Returns whether the identity was still there, as a number. SQLite: `replace_identity`.
async fn replace_identity(
    transaction: &Transaction<'_>,
    hook: &str,
    old: &Option<Vec<u8>>,
    new: &Option<Vec<u8>>,
) -> Result<u64, Error> {
    let sql = "UPDATE dedup i SET key = $1 WHERE i.hook = $2 AND i.key = $3
               AND NOT EXISTS (SELECT 1 FROM dedup o WHERE o.hook = $2 AND o.key = $1)";
    let replaced = transaction.execute_cached(sql, &[new, &hook, old]).await?;
    if replaced > 0 {
        return Ok(replaced);
    }

    let sql = "DELETE FROM dedup WHERE hook = $1 AND key = $2 RETURNING event";
    let gone = transaction.query_cached(sql, &[&hook, old]).await?;
    for row in &gone {
        let event: i64 = row.get(0);
        let sql = "SELECT drop_event($1)";
        transaction.execute_cached(sql, &[&event]).await?;
    }
    Ok(gone.len() as u64)
}

/// Counts what a replaced part added for the quotas of its hook.
async fn grow(
    transaction: &Transaction<'_>,
    sql: &str,
    change: &RawChange,
    replaced: u64,
) -> Result<u64, Error> {
    if replaced > 0 {
        let bytes = |parts: &[Option<Vec<u8>>]| parts[0].as_ref().map_or(0, Vec::len) as i64;
        let grown = bytes(&change.parts) - bytes(&change.record.parts);
        transaction
            .execute_cached(sql, &[&change.record.hook, &grown])
            .await?;
    }
    Ok(replaced)
}
