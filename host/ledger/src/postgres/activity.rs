//! Requests and attempts over time. SQLite: `activity.rs`.

use deadpool_postgres::Object;
use tokio_postgres::{Error, Row};

use super::query::{Cached, plain};
use crate::activity::{Activity, ActivityBucket, ActivityQuery, CLOCK_SLACK, READ_MAX};
use crate::shown::first_id_since;
use crate::state_column::{DONE, PENDING, RUNNING};
use landfall_model::LedgerTime;

/// What happened in a range of time. Every part reads a bounded number of rows.
pub(super) async fn activity(
    client: &Object,
    query: &ActivityQuery,
    now: LedgerTime,
) -> Result<Activity, Error> {
    let hook = query.hook.as_deref().map(plain);
    let first = first_id_since(query.from_ms).uuid();
    let ended_since = now.minus(query.ago.saturating_add(CLOCK_SLACK)).0;
    let (from, until, bucket) = (query.from_ms, query.until_ms, query.bucket_ms);

    let sql = format!(
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM events WHERE id >= $1 LIMIT $3) young),
                (SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state >= {DONE} AND ended >= $2 LIMIT $3) late)"
    );
    let row = client
        .query_one_cached(&sql, &[&first, &ended_since, &READ_MAX])
        .await?;
    let (read, ended): (i64, i64) = (row.get(0), row.get(1));

    let sql = "SELECT hook, (received_ms - $1::bigint) / $2::bigint, count(*)
               FROM (SELECT hook, received_ms FROM events WHERE id >= $3 ORDER BY id DESC LIMIT $4) young
               WHERE received_ms >= $1 AND received_ms < $5 AND ($6::text IS NULL OR hook = $6) GROUP BY 1, 2";
    let rows = client
        .query_cached(sql, &[&from, &bucket, &first, &READ_MAX, &until, &hook])
        .await?;
    let mut buckets: Vec<ActivityBucket> = rows.iter().map(requests).collect();

    let sql = format!(
        "SELECT d.hook, (a.started_ms - $1::bigint) / $2::bigint, count(*),
                count(*) FILTER (WHERE a.outcome NOT IN ('done', 'defer'))
         FROM (
             (SELECT id, hook FROM deliveries WHERE state >= {DONE} AND ended >= $3 ORDER BY ended DESC LIMIT $4)
             UNION ALL (SELECT id, hook FROM deliveries WHERE state = {RUNNING} LIMIT $4)
             UNION ALL (SELECT id, hook FROM deliveries WHERE state = {PENDING} AND NOT blocked LIMIT $4)
         ) d JOIN attempts a ON a.delivery = d.id
         WHERE a.started_ms >= $1 AND a.started_ms < $5 AND ($6::text IS NULL OR d.hook = $6) GROUP BY 1, 2"
    );
    let rows = client
        .query_cached(
            &sql,
            &[&from, &bucket, &ended_since, &READ_MAX, &until, &hook],
        )
        .await?;
    buckets.extend(rows.iter().map(attempts));

    Ok(Activity {
        buckets,
        truncated: read >= READ_MAX || ended >= READ_MAX,
    })
}

fn requests(row: &Row) -> ActivityBucket {
    ActivityBucket {
        hook: row.get(0),
        bucket: row.get(1),
        requests: row.get(2),
        ..ActivityBucket::default()
    }
}

fn attempts(row: &Row) -> ActivityBucket {
    ActivityBucket {
        hook: row.get(0),
        bucket: row.get(1),
        attempts: row.get(2),
        failures: row.get(3),
        ..ActivityBucket::default()
    }
}
