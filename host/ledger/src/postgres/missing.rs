//! For how long hooks with deliveries have had a file at no node. SQLite: `missing.rs`.

use std::collections::HashSet;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::Error;

use super::query::{Cached, millis};
use crate::missing::{BETWEEN_LOOKS, NOTED_FOR, OWNER, limit, report};

/// Notes that these hooks have no file now, and no others. Returns those that have had none for
/// `missing_for`. Each node adds the time since the last look of any node.
pub(super) async fn gone(
    client: &Object,
    mut missing: Vec<String>,
    missing_for: Duration,
) -> Result<HashSet<String>, Error> {
    limit(&mut missing);
    // Sorted alike on all nodes against deadlocks.
    missing.sort_unstable();
    let keys: Vec<&[u8]> = missing.iter().map(String::as_bytes).collect();
    let forget = "DELETE FROM kv WHERE hook = $1 AND key = ANY (ARRAY(
                      SELECT key FROM kv WHERE hook = $1 AND key <> ALL ($2) ORDER BY key FOR UPDATE))";
    client.execute_cached(forget, &[&OWNER, &keys]).await?;

    // The end of a note tells when the last look was. A damaged note begins anew.
    let look = "INSERT INTO kv (hook, key, is_text, value, until)
                SELECT $1::text, noted.key, true, '0'::bytea, now_ms() + $3::bigint FROM unnest($2::bytea[]) AS noted (key)
                ON CONFLICT (hook, key) DO UPDATE SET until = greatest(kv.until, excluded.until),
                    value = CASE WHEN kv.until > now_ms() AND encode(kv.value, 'escape') ~ '^[0-9]{1,15}$'
                        THEN convert_to((convert_from(kv.value, 'UTF8')::bigint
                            + least(greatest(excluded.until - kv.until, 0), $4::bigint))::text, 'UTF8')
                        ELSE excluded.value END
                RETURNING kv.key, convert_from(kv.value, 'UTF8')::bigint";
    let (noted_for, most) = (millis(NOTED_FOR), millis(BETWEEN_LOOKS));
    let rows = client
        .query_cached(look, &[&OWNER, &keys, &noted_for, &most])
        .await?;

    let mut gone = HashSet::new();
    for row in rows {
        let (key, time): (Vec<u8>, i64) = (row.get(0), row.get(1));
        let hook = String::from_utf8_lossy(&key).into_owned();
        if time == 0 {
            report(&hook);
        }
        if time >= millis(missing_for) {
            gone.insert(hook);
        }
    }
    Ok(gone)
}
