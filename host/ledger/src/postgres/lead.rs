//! The right to do what only one node does, and the values that it protects. The right is a row of
//! `kv`, whose value is its owner and a term. Each taking begins a new term.
//!
//! The answer to a taking may be lost although the server has committed it. Therefore the node
//! compares terms: a right is `Held` only in a term that an earlier answer has named.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::Error;
use uuid::Uuid;

use super::query::{Cached, millis};
use crate::lead::Lead;
use landfall_model::lock;

/// The owner and the term of each right that this node has, or had, by the last answer.
#[derive(Default)]
pub(super) struct KnownTerms(Mutex<HashMap<&'static str, Vec<u8>>>);

// === impl KnownTerms ===

impl KnownTerms {
    /// Takes or renews a right, if no other node has it.
    pub(super) async fn lead(
        &self,
        client: &Object,
        owner: Uuid,
        what: &'static str,
        lasts: Duration,
    ) -> Result<Lead, Error> {
        // Nodes of versions before 11 write a value without a term.
        let sql = "INSERT INTO kv (hook, key, is_text, value, until)
                   VALUES ('_lead', $1, false, $2::bytea || $3::bytea, now_ms() + $4)
                   ON CONFLICT (hook, key) DO UPDATE SET until = excluded.until,
                       value = CASE WHEN substring(kv.value FROM 1 FOR 16) = $2 THEN kv.value ELSE excluded.value END
                   WHERE kv.until <= now_ms() OR substring(kv.value FROM 1 FOR 16) = $2
                   RETURNING value";
        let new_term = Uuid::new_v4();
        let (owner, term) = (&owner.as_bytes()[..], &new_term.as_bytes()[..]);
        let rows = client
            .query_cached(sql, &[&what.as_bytes(), &owner, &term, &millis(lasts)])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(Lead::Elsewhere);
        };

        let value: Vec<u8> = row.get(0);
        let before = lock(&self.0).insert(what, value.clone());
        Ok(if before == Some(value) {
            Lead::Held
        } else {
            Lead::Taken
        })
    }

    /// Stores or deletes a value of the node itself, if the term that this node knows is the
    /// present one. Returns whether it is.
    pub(super) async fn put_own(
        &self,
        client: &Object,
        lead: &'static str,
        (owner, key): (&str, &str),
        value: Option<&[u8]>,
    ) -> Result<bool, Error> {
        let known = lock(&self.0).get(lead).cloned();
        let Some(known) = known else {
            return Ok(false);
        };

        // The lock keeps other nodes from taking the right until the value is stored: one that
        // takes it then reads this value.
        let led = "led AS MATERIALIZED (
                       SELECT 1 FROM kv WHERE hook = '_lead' AND key = $3 AND value = $4 FOR SHARE)";
        let sql = match value {
            Some(_) => format!(
                "WITH {led}, put AS (
                     INSERT INTO kv (hook, key, is_text, value) SELECT $1::text, $2::bytea, true, $5::bytea FROM led
                     ON CONFLICT (hook, key) DO UPDATE SET value = excluded.value, until = NULL)
                 SELECT count(*) FROM led"
            ),
            None => format!(
                "WITH {led}, gone AS (
                     DELETE FROM kv WHERE hook = $1 AND key = $2 AND $5::bytea IS NULL AND EXISTS (SELECT 1 FROM led))
                 SELECT count(*) FROM led"
            ),
        };
        let (key, lead) = (key.as_bytes(), lead.as_bytes());
        let row = client
            .query_one_cached(&sql, &[&owner, &key, &lead, &known, &value])
            .await?;
        Ok(row.try_get::<_, i64>(0)? > 0)
    }
}
