//! The documents of candidates, and kept components. Postgres: `candidates.rs`.

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, params};

use super::Sqlite;
use super::work::{Sync, WriteOptions};
use crate::candidates::{Candidates, PART_BYTES, StoredCandidate, UNUSED_MS};
use crate::error::LedgerError;
use landfall_model::LedgerTime;

#[async_trait]
impl Candidates for Sqlite {
    async fn candidates(&self) -> Result<Vec<StoredCandidate>, LedgerError> {
        self.ask(list).await
    }

    async fn put_candidate(
        &self,
        hook: String,
        version: i64,
        json: String,
    ) -> Result<bool, LedgerError> {
        // A rollback is possible on a full disk, too.
        self.writer
            .write(WriteOptions::reclaim(Sync::Durable), move |tx| {
                put(tx, &hook, version, &json)
            })
            .await
    }

    async fn remove_candidate(&self, hook: String, version: i64) -> Result<bool, LedgerError> {
        self.writer
            .write(WriteOptions::reclaim(Sync::Durable), move |tx| {
                remove(tx, &hook, version)
            })
            .await
    }

    async fn keep_component(&self, name: String, bytes: Bytes) -> Result<(), LedgerError> {
        let clock = self.clock;
        for (number, part) in bytes.chunks(PART_BYTES).enumerate() {
            let (name, part) = (name.clone(), bytes.slice_ref(part));
            let act = move |tx: &Connection| keep(tx, &name, number as i64, &part, clock.now());
            self.writer
                .write(WriteOptions::insert(Sync::Relaxed), act)
                .await?;
        }
        Ok(())
    }

    async fn kept_component(&self, name: String) -> Result<Option<Vec<u8>>, LedgerError> {
        self.ask(move |connection| kept(connection, &name)).await
    }

    async fn forget_components(&self, used: Vec<String>) -> Result<usize, LedgerError> {
        let before = LedgerTime(self.clock.now().0 - UNUSED_MS);
        let unused = self
            .ask(move |connection| unused(connection, &used, before))
            .await?;
        for name in &unused {
            let name = name.clone();
            self.writer
                .write(WriteOptions::reclaim(Sync::Relaxed), move |tx| {
                    forget(tx, &name, before)
                })
                .await?;
        }
        Ok(unused.len())
    }
}

fn list(connection: &Connection) -> rusqlite::Result<Vec<StoredCandidate>> {
    let mut select = connection.prepare_cached("SELECT hook, version, json FROM candidates")?;
    let rows = select.query_map([], |row| {
        Ok(StoredCandidate {
            hook: row.get(0)?,
            version: row.get(1)?,
            json: row.get(2)?,
        })
    })?;
    rows.collect()
}

fn put(connection: &Connection, hook: &str, version: i64, json: &str) -> rusqlite::Result<bool> {
    let changed = if version == 0 {
        let sql = "INSERT OR IGNORE INTO candidates (hook, version, json) VALUES (?, 1, ?)";
        connection
            .prepare_cached(sql)?
            .execute(params![hook, json])?
    } else {
        let sql =
            "UPDATE candidates SET version = version + 1, json = ? WHERE hook = ? AND version = ?";
        connection
            .prepare_cached(sql)?
            .execute(params![json, hook, version])?
    };
    Ok(changed == 1)
}

fn remove(connection: &Connection, hook: &str, version: i64) -> rusqlite::Result<bool> {
    let removed = connection
        .prepare_cached("DELETE FROM candidates WHERE hook = ? AND version = ?")?
        .execute(params![hook, version])?;
    Ok(removed == 1)
}

fn keep(
    connection: &Connection,
    name: &str,
    part: i64,
    bytes: &[u8],
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO components (name, part, kept, bytes) VALUES (?, ?, ?, ?)
               ON CONFLICT (name, part) DO UPDATE SET kept = excluded.kept, bytes = excluded.bytes";
    connection
        .prepare_cached(sql)?
        .execute(params![name, part, now.0, bytes])
        .map(drop)
}

fn kept(connection: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "SELECT bytes FROM components WHERE name = ? ORDER BY part";
    let mut select = connection.prepare_cached(sql)?;
    let parts = select.query_map([name], |row| row.get::<_, Vec<u8>>(0))?;
    let parts: Vec<Vec<u8>> = parts.collect::<Result<_, _>>()?;
    Ok((!parts.is_empty()).then(|| parts.concat()))
}

/// The names of components that are not used, and were stored before this time.
fn unused(
    connection: &Connection,
    used: &[String],
    before: LedgerTime,
) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM components GROUP BY name HAVING max(kept) < ?";
    let mut select = connection.prepare_cached(sql)?;
    let names = select.query_map([before.0], |row| row.get::<_, String>(0))?;
    let mut names: Vec<String> = names.collect::<Result<_, _>>()?;
    names.retain(|name| !used.contains(name));
    Ok(names)
}

fn forget(connection: &Connection, name: &str, before: LedgerTime) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM components WHERE name = ? AND kept < ?")?
        .execute(params![name, before.0])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema;

    fn ledger() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        connection
    }

    #[test]
    fn one_of_two_changes_wins() {
        let tx = ledger();
        assert!(put(&tx, "orders", 0, "{}").unwrap());
        assert!(!put(&tx, "orders", 0, "{}").unwrap());
        assert!(put(&tx, "orders", 1, "[1]").unwrap());
        assert!(!put(&tx, "orders", 1, "[2]").unwrap());
        assert!(!put(&tx, "unknown", 1, "{}").unwrap());
        let expected = StoredCandidate {
            hook: "orders".into(),
            version: 2,
            json: "[1]".into(),
        };
        assert_eq!(list(&tx).unwrap(), [expected]);

        assert!(!remove(&tx, "orders", 1).unwrap(), "it has been changed");
        assert!(remove(&tx, "orders", 2).unwrap());
        assert!(list(&tx).unwrap().is_empty());
        assert!(put(&tx, "orders", 0, "{}").unwrap());
    }

    #[test]
    fn unused_components_are_forgotten_later() {
        let tx = ledger();
        for (part, bytes) in [(0, b"ab"), (1, b"cd")] {
            keep(&tx, "one", part, bytes, LedgerTime(10)).unwrap();
        }
        keep(&tx, "two", 0, b"ef", LedgerTime(10)).unwrap();
        keep(&tx, "three", 0, b"gh", LedgerTime(30)).unwrap();
        assert_eq!(kept(&tx, "one").unwrap().as_deref(), Some(&b"abcd"[..]));
        assert_eq!(kept(&tx, "none").unwrap(), None);

        let names = unused(&tx, &["one".into()], LedgerTime(20)).unwrap();
        assert_eq!(names, ["two"]);
        forget(&tx, "two", LedgerTime(20)).unwrap();
        assert_eq!(kept(&tx, "two").unwrap(), None);
        // Stored again by another node meanwhile.
        forget(&tx, "three", LedgerTime(20)).unwrap();
        assert!(kept(&tx, "three").unwrap().is_some());
    }
}
