//! The documents of candidates, and kept components. SQLite: `candidates.rs`.

use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::Object;
use tokio_postgres::Error;

use super::Postgres;
use super::query::{Cached, plain};
use crate::candidates::{Candidates, PART_BYTES, StoredCandidate, UNUSED_MS};
use crate::error::LedgerError;

#[async_trait]
impl Candidates for Postgres {
    async fn candidates(&self) -> Result<Vec<StoredCandidate>, LedgerError> {
        self.ask(async |client| list(client).await).await
    }

    async fn put_candidate(
        &self,
        hook: String,
        version: i64,
        json: String,
    ) -> Result<bool, LedgerError> {
        let json = plain(&json);
        let put = self.ask(async |client| put(client, &hook, version, &json).await);
        self.record_reachability(put.await)
    }

    async fn remove_candidate(&self, hook: String, version: i64) -> Result<bool, LedgerError> {
        let removed = self.ask(async |client| remove(client, &hook, version).await);
        self.record_reachability(removed.await)
    }

    async fn keep_component(&self, name: String, bytes: Bytes) -> Result<(), LedgerError> {
        for (number, part) in bytes.chunks(PART_BYTES).enumerate() {
            let keep = self.ask(async |client| keep(client, &name, number as i32, part).await);
            self.record_reachability(keep.await)?;
        }
        Ok(())
    }

    async fn kept_component(&self, name: String) -> Result<Option<Vec<u8>>, LedgerError> {
        self.ask(async |client| kept(client, &name).await).await
    }

    async fn forget_components(&self, used: Vec<String>) -> Result<usize, LedgerError> {
        self.ask(async |client| forget(client, &used).await).await
    }
}

async fn list(client: &Object) -> Result<Vec<StoredCandidate>, Error> {
    let sql = "SELECT hook, version, json FROM candidates";
    let rows = client.query_cached(sql, &[]).await?;
    let stored = rows.iter().map(|row| StoredCandidate {
        hook: row.get(0),
        version: row.get(1),
        json: row.get(2),
    });
    Ok(stored.collect())
}

async fn put(client: &Object, hook: &str, version: i64, json: &str) -> Result<bool, Error> {
    let changed = if version == 0 {
        let sql = "INSERT INTO candidates (hook, version, json) VALUES ($1, 1, $2)
                   ON CONFLICT (hook) DO NOTHING";
        client.execute_cached(sql, &[&hook, &json]).await?
    } else {
        let sql = "UPDATE candidates SET version = version + 1, json = $2 WHERE hook = $1 AND version = $3";
        client
            .execute_cached(sql, &[&hook, &json, &version])
            .await?
    };
    Ok(changed == 1)
}

async fn remove(client: &Object, hook: &str, version: i64) -> Result<bool, Error> {
    let sql = "DELETE FROM candidates WHERE hook = $1 AND version = $2";
    let removed = client.execute_cached(sql, &[&hook, &version]).await?;
    Ok(removed == 1)
}

async fn keep(client: &Object, name: &str, part: i32, bytes: &[u8]) -> Result<(), Error> {
    let sql = "INSERT INTO components (name, part, kept, bytes) VALUES ($1, $2, now_ms(), $3)
               ON CONFLICT (name, part) DO UPDATE SET kept = excluded.kept, bytes = excluded.bytes";
    client
        .execute_cached(sql, &[&name, &part, &bytes])
        .await
        .map(drop)
}

async fn kept(client: &Object, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let sql = "SELECT bytes FROM components WHERE name = $1 ORDER BY part";
    let rows = client.query_cached(sql, &[&name]).await?;
    let parts: Vec<Vec<u8>> = rows.iter().map(|row| row.get(0)).collect();
    Ok((!parts.is_empty()).then(|| parts.concat()))
}

async fn forget(client: &Object, used: &[String]) -> Result<usize, Error> {
    let sql = "DELETE FROM components WHERE name <> ALL ($1::text[]) AND kept < now_ms() - $2";
    let removed = client.execute_cached(sql, &[&used, &UNUSED_MS]).await?;
    Ok(removed as usize)
}
