//! The audit record. SQLite: `audit.rs`.

use deadpool_postgres::Object;
use tokio_postgres::{Error, Row};

use super::query::{Cached, plain};
use crate::audit::{
    AGE_MAX_MS, AuditColumns, AuditEntry, AuditFilter, ENTRIES_MAX, NewAudit, REMOVED_MAX,
};

/// Stores an entry, and removes some that are too old or too many. Returns its id.
pub(super) async fn add(client: &Object, new: &NewAudit) -> Result<i64, Error> {
    let sql = "INSERT INTO audit (at_ms, role, token, address, action, hook, detail)
               VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id";
    let (hook, detail) = (new.hook.as_deref().map(plain), plain(&new.detail));
    let row = client
        .query_one_cached(
            sql,
            &[
                &new.at_ms,
                &new.role,
                &new.token,
                &new.address,
                &new.action,
                &hook,
                &detail,
            ],
        )
        .await?;
    let id: i64 = row.get(0);

    let sql = "DELETE FROM audit WHERE id IN (
                   SELECT id FROM (SELECT id, at_ms FROM audit ORDER BY id LIMIT $1) oldest
                   WHERE id <= $2 OR at_ms < $3)";
    let (last, oldest_ms) = (id - ENTRIES_MAX, new.at_ms - AGE_MAX_MS);
    client
        .execute_cached(sql, &[&REMOVED_MAX, &last, &oldest_ms])
        .await?;
    Ok(id)
}

/// Adds the result of a change to its entry.
pub(super) async fn end(client: &Object, id: i64, result: &str) -> Result<(), Error> {
    let sql = "UPDATE audit SET result = $1 WHERE id = $2";
    client
        .execute_cached(sql, &[&plain(result), &id])
        .await
        .map(drop)
}

/// A page of entries, newest first.
pub(super) async fn list(client: &Object, filter: &AuditFilter) -> Result<Vec<AuditEntry>, Error> {
    let sql = "SELECT id, at_ms, role, token, address, action, hook, detail, result FROM audit
               WHERE id < $1 AND ($2::text IS NULL OR hook = $2) AND ($3::text IS NULL OR action = $3)
               AND ($4::bigint IS NULL OR at_ms >= $4) AND ($5::bigint IS NULL OR at_ms < $5)
               ORDER BY id DESC LIMIT $6";
    let (before, limit) = (filter.before.unwrap_or(i64::MAX), filter.limit as i64);
    let (hook, action) = (
        filter.hook.as_deref().map(plain),
        filter.action.as_deref().map(plain),
    );
    let rows = client
        .query_cached(
            sql,
            &[
                &before,
                &hook,
                &action,
                &filter.since_ms,
                &filter.until_ms,
                &limit,
            ],
        )
        .await?;
    Ok(rows.iter().map(entry).collect())
}

fn entry(row: &Row) -> AuditEntry {
    let columns = AuditColumns {
        id: row.get(0),
        at_ms: row.get(1),
        role: row.get(2),
        token: row.get(3),
        address: row.get(4),
        action: row.get(5),
        hook: row.get(6),
        detail: row.get(7),
        result: row.get(8),
    };
    columns.entry()
}
