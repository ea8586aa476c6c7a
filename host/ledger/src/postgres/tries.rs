//! Published reports of `landfall try`. SQLite: `tries.rs`.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::Error;
use uuid::Uuid;

use super::query::{Cached, millis};
use crate::tries::{NewTry, PARTS_MAX, TryPart, TryParts, ranges};
use landfall_model::EventId;

/// As `History::put_try`. Erasing an event locks it, so that no group of it is stored meanwhile.
pub(super) async fn put(client: &Object, new: &NewTry, keep: Duration) -> Result<usize, Error> {
    // Expired values are only looked for where `used` has a row. Nothing else reads its count of
    // reports, which is too high once a report or an event was removed.
    let sql = "WITH known AS (
                   SELECT id FROM events WHERE id = ANY ($4::uuid[]) AND hook = $5 AND erased_ms IS NULL ORDER BY id FOR SHARE),
               parts AS (
                   SELECT '_tries'::text AS hook, $6::bytea AS key, $7::bytea AS value, NULL::uuid AS event
                   UNION ALL
                   SELECT '_try-groups'::text, t.key, t.value, t.event
                   FROM unnest($2::bytea[], $3::bytea[], $4::uuid[]) AS t (key, value, event)
                   WHERE t.event IN (SELECT id FROM known)),
               counted AS (
                   INSERT INTO used (hook, kv_bytes)
                   SELECT hook, sum(octet_length(key) + octet_length(value)) FROM parts GROUP BY hook ORDER BY hook
                   ON CONFLICT (hook) DO UPDATE SET kv_bytes = used.kv_bytes + excluded.kv_bytes),
               stored AS (
                   INSERT INTO kv (hook, key, is_text, value, until, event_id)
                   SELECT hook, key, true, value, now_ms() + $1::bigint, event FROM parts RETURNING event_id)
               SELECT count(event_id) FROM stored";
    let keys = (0..new.groups.len()).map(|place| new.group_key(place).into_bytes());
    let keys: Vec<Vec<u8>> = keys.collect();
    let values: Vec<&[u8]> = new.groups.iter().map(|group| &group.json[..]).collect();
    let events: Vec<Uuid> = new.groups.iter().map(|group| group.event.uuid()).collect();
    let (keep, key) = (millis(keep), new.key().into_bytes());
    let row = client
        .query_one_cached(
            sql,
            &[
                &keep,
                &keys,
                &values,
                &events,
                &new.hook,
                &key,
                &new.summary,
            ],
        )
        .await?;
    let stored: i64 = row.try_get(0)?;
    Ok(stored as usize)
}

/// As `History::try_parts`.
pub(super) async fn list(client: &Object, parts: &TryParts) -> Result<Vec<TryPart>, Error> {
    let sql = "SELECT key, value FROM kv WHERE hook = $1 AND key >= $2 AND substring(key FROM 1 FOR octet_length($2)) = $2
               AND (until IS NULL OR until > now_ms()) ORDER BY key LIMIT $3";
    let (owner, prefix) = (parts.owner(), parts.prefix().into_bytes());
    let rows = client
        .query_cached(sql, &[&owner, &prefix, &(PARTS_MAX as i64)])
        .await?;
    let parts = rows.iter().map(|row| TryPart {
        key: String::from_utf8_lossy(row.get(0)).into_owned(),
        json: row.get(1),
    });
    Ok(parts.collect())
}

/// As `History::remove_try`. Without an id: all reports of the hook. Expired values are removed by
/// `prune_expired` alone.
pub(super) async fn remove(client: &Object, hook: &str, id: Option<&EventId>) -> Result<(), Error> {
    let sql = "DELETE FROM kv WHERE hook = $1 AND key >= $2 AND key < $3 AND (until IS NULL OR until > now_ms())";
    for (owner, first, behind) in ranges(hook, id) {
        let (first, behind) = (first.into_bytes(), behind.into_bytes());
        client
            .execute_cached(sql, &[&owner, &first, &behind])
            .await?;
    }
    Ok(())
}
