//! Requests and attempts over time. Postgres: `activity.rs`.

use rusqlite::{Connection, params};

use crate::activity::{Activity, ActivityBucket, ActivityQuery, CLOCK_SLACK, READ_MAX};
use crate::shown::first_id_since;
use crate::state_column::{DONE, PENDING, RUNNING};
use landfall_model::LedgerTime;

/// What happened in a range of time. Every part reads a bounded number of rows.
pub(super) fn activity(
    connection: &Connection,
    query: &ActivityQuery,
    now: LedgerTime,
) -> rusqlite::Result<Activity> {
    let (mut buckets, read) = requests(connection, query)?;
    let ended_since = now.minus(query.ago.saturating_add(CLOCK_SLACK));
    buckets.extend(attempts(connection, query, ended_since)?);
    let ended: i64 = connection
        .prepare_cached(&format!(
            "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state >= {DONE} AND ended >= ? LIMIT ?)"
        ))?
        .query_row(params![ended_since.0, READ_MAX], |row| row.get(0))?;

    Ok(Activity {
        buckets,
        truncated: read >= READ_MAX || ended >= READ_MAX,
    })
}

/// The events by bucket, and how many were read.
fn requests(
    connection: &Connection,
    query: &ActivityQuery,
) -> rusqlite::Result<(Vec<ActivityBucket>, i64)> {
    let first = first_id_since(query.from_ms);
    let read = connection
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM events WHERE id >= ? LIMIT ?)")?
        .query_row(params![first.as_bytes(), READ_MAX], |row| row.get(0))?;

    let mut select = connection.prepare_cached(
        "SELECT hook, (received_ms - ?1) / ?2, count(*)
         FROM (SELECT hook, received_ms FROM events WHERE id >= ?3 ORDER BY id DESC LIMIT ?4)
         WHERE received_ms >= ?1 AND received_ms < ?5 AND (?6 IS NULL OR hook = ?6) GROUP BY 1, 2",
    )?;
    let wanted = params![
        query.from_ms,
        query.bucket_ms,
        first.as_bytes(),
        READ_MAX,
        query.until_ms,
        query.hook
    ];
    let buckets = select.query_map(wanted, |row| {
        Ok(ActivityBucket {
            hook: row.get(0)?,
            bucket: row.get(1)?,
            requests: row.get(2)?,
            ..ActivityBucket::default()
        })
    })?;
    Ok((buckets.collect::<Result<_, _>>()?, read))
}

/// The attempts by bucket. A delivery with an attempt in the range has ended in it or later, or has
/// not ended.
fn attempts(
    connection: &Connection,
    query: &ActivityQuery,
    ended_since: LedgerTime,
) -> rusqlite::Result<Vec<ActivityBucket>> {
    let sql = format!(
        "SELECT d.hook, (a.started_ms - ?1) / ?2, count(*), count(*) FILTER (WHERE a.outcome NOT IN ('done', 'defer'))
         FROM (
             SELECT id, hook FROM (SELECT id, hook FROM deliveries
                                   WHERE state >= {DONE} AND ended >= ?3 ORDER BY ended DESC LIMIT ?4)
             UNION ALL SELECT id, hook FROM (SELECT id, hook FROM deliveries WHERE state = {RUNNING} LIMIT ?4)
             UNION ALL SELECT id, hook FROM (SELECT id, hook FROM deliveries
                                             WHERE state = {PENDING} AND blocked = 0 LIMIT ?4)
         ) d JOIN attempts a ON a.delivery = d.id
         WHERE a.started_ms >= ?1 AND a.started_ms < ?5 AND (?6 IS NULL OR d.hook = ?6) GROUP BY 1, 2"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let wanted = params![
        query.from_ms,
        query.bucket_ms,
        ended_since.0,
        READ_MAX,
        query.until_ms,
        query.hook
    ];
    let buckets = select.query_map(wanted, |row| {
        Ok(ActivityBucket {
            hook: row.get(0)?,
            bucket: row.get(1)?,
            attempts: row.get(2)?,
            failures: row.get(3)?,
            ..ActivityBucket::default()
        })
    })?;
    buckets.collect()
}
