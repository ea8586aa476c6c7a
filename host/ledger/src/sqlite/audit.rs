//! The audit record. Postgres: `audit.rs`.

use rusqlite::{Connection, params};

use crate::audit::{
    AGE_MAX_MS, AuditColumns, AuditEntry, AuditFilter, ENTRIES_MAX, NewAudit, REMOVED_MAX,
};

/// Stores an entry, and removes some that are too old or too many. Returns its id.
pub(super) fn add(connection: &Connection, new: &NewAudit) -> rusqlite::Result<i64> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO audit (at_ms, role, token, address, action, hook, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    let id = insert.insert(params![
        new.at_ms,
        new.role,
        new.token,
        new.address,
        new.action,
        new.hook,
        new.detail
    ])?;

    let mut remove = connection.prepare_cached(
        "DELETE FROM audit WHERE id IN (
             SELECT id FROM (SELECT id, at_ms FROM audit ORDER BY id LIMIT ?1) WHERE id <= ?2 OR at_ms < ?3)",
    )?;
    remove.execute(params![
        REMOVED_MAX,
        id - ENTRIES_MAX,
        new.at_ms - AGE_MAX_MS
    ])?;
    Ok(id)
}

/// Adds the result of a change to its entry.
pub(super) fn end(connection: &Connection, id: i64, result: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE audit SET result = ? WHERE id = ?")?
        .execute(params![result, id])
        .map(drop)
}

/// A page of entries, newest first.
pub(super) fn list(
    connection: &Connection,
    filter: &AuditFilter,
) -> rusqlite::Result<Vec<AuditEntry>> {
    let mut select = connection.prepare_cached(
        "SELECT id, at_ms, role, token, address, action, hook, detail, result FROM audit
         WHERE id < ?1 AND (?2 IS NULL OR hook = ?2) AND (?3 IS NULL OR action = ?3)
         AND (?4 IS NULL OR at_ms >= ?4) AND (?5 IS NULL OR at_ms < ?5) ORDER BY id DESC LIMIT ?6",
    )?;
    let wanted = params![
        filter.before.unwrap_or(i64::MAX),
        filter.hook,
        filter.action,
        filter.since_ms,
        filter.until_ms,
        filter.limit as i64
    ];
    let entries = select.query_map(wanted, |row| {
        let columns = AuditColumns {
            id: row.get(0)?,
            at_ms: row.get(1)?,
            role: row.get(2)?,
            token: row.get(3)?,
            address: row.get(4)?,
            action: row.get(5)?,
            hook: row.get(6)?,
            detail: row.get(7)?,
            result: row.get(8)?,
        };
        Ok(columns.entry())
    })?;
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema;

    fn entry(at_ms: i64, action: &'static str) -> NewAudit {
        NewAudit {
            at_ms,
            role: "operate",
            token: "0123abcd".into(),
            address: Some("127.0.0.1".into()),
            action,
            hook: Some("orders".into()),
            detail: r#"{"paused":true}"#.into(),
        }
    }

    fn ledger() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        connection
    }

    #[test]
    fn entries_are_listed_with_results() {
        let connection = ledger();
        let first = add(&connection, &entry(1_000, "pause")).unwrap();
        let second = add(&connection, &entry(2_000, "resume")).unwrap();
        end(&connection, first, r#"{"ok":true}"#).unwrap();

        let all = AuditFilter {
            limit: 10,
            ..AuditFilter::default()
        };
        let listed = list(&connection, &all).unwrap();
        assert_eq!(
            listed.iter().map(|one| one.id).collect::<Vec<_>>(),
            [second, first]
        );
        assert_eq!(listed[0].result, None);
        assert_eq!(listed[1].result.as_ref().unwrap()["ok"], true);
        assert_eq!(listed[1].detail["paused"], true);

        let older = AuditFilter {
            before: Some(second),
            ..all.clone()
        };
        assert_eq!(list(&connection, &older).unwrap().len(), 1);
        let resumed = AuditFilter {
            action: Some("resume".into()),
            since_ms: Some(1_500),
            ..all
        };
        assert_eq!(list(&connection, &resumed).unwrap()[0].id, second);
    }

    #[test]
    fn old_entries_are_removed() {
        let connection = ledger();
        for at_ms in 0..5 {
            add(&connection, &entry(at_ms, "pause")).unwrap();
        }
        let id = add(&connection, &entry(AGE_MAX_MS + 4, "pause")).unwrap();

        let all = AuditFilter {
            limit: 10,
            ..AuditFilter::default()
        };
        let ids: Vec<i64> = list(&connection, &all)
            .unwrap()
            .iter()
            .map(|one| one.id)
            .collect();
        assert_eq!(ids, [id, id - 1]);
    }
}
