//! The end of an attempt that leaves something: values, rows and events for other hooks, in one transaction with it. Whoever changes
//! the values of a hook holds the hook's row of `used`: what was decided on is still so when it is committed.

use std::collections::HashMap;

use bytes::Bytes;
use deadpool_postgres::{Object, Transaction};

use super::writer::{End, accept, finish as end, keep_answered};
use super::{Cached, millis};
use crate::error::LedgerError;
use crate::steps::{AttemptRecord, Committed, Disposition, Fence, Refused, Results};
use landfall_model::clock::to_ms;
use landfall_model::stored_event::Stored;
use landfall_model::{Effects, Event, KvChange, KvExpected, KvValue, KvWrite, Quota};

/// A value as it stands in the table.
struct Present {
    value: KvValue,
    until: Option<i64>,
    is_alive: bool,
}

/// What is to be written.
struct Change {
    key: Vec<u8>,
    /// None: nothing is left.
    value: Option<KvValue>,
    until: Option<i64>,
}

/// Ends a lease with what its attempt leaves.
pub async fn finish(
    client: &mut Object,
    fence: Fence,
    event: &Event,
    attempt: &AttemptRecord,
    results: &Results,
) -> Result<Committed, LedgerError> {
    let transaction = client.transaction().await?;
    let done = Disposition::Done(Results {
        reply: results.reply.clone(),
        ..Results::empty(results.quota)
    });
    // Whatever is returned without a commit is undone.
    match end(&transaction, fence, attempt, &done).await? {
        End::Lost => return Ok(Committed::LeaseLost),
        End::Before => return Ok(Committed::Stored),
        End::Now => {}
    }
    let changes = match prepare(&transaction, &event.hook, &results.effects, &results.quota).await?
    {
        Ok(changes) => changes,
        Err(refused) => return Ok(Committed::Refused(refused, ())),
    };
    keep(&transaction, event, results, changes).await?;
    transaction.commit().await?;
    Ok(Committed::Stored)
}

/// Keeps an event whose handler has answered, with what it leaves.
pub async fn record(
    client: &mut Object,
    stored: &Stored,
    attempt: &AttemptRecord,
    ending: &Disposition,
) -> Result<Committed, LedgerError> {
    let transaction = client.transaction().await?;
    if let Disposition::Done(results) = ending {
        let changes = match prepare(
            &transaction,
            &stored.event().hook,
            &results.effects,
            &results.quota,
        )
        .await?
        {
            Ok(changes) => changes,
            Err(refused) => return Ok(Committed::Refused(refused, ())),
        };
        keep(&transaction, stored.event(), results, changes).await?;
    }
    keep_answered(&transaction, stored, attempt, ending).await?;
    transaction.commit().await?;
    Ok(Committed::Stored)
}

/// The changes of values, or why these effects cannot be kept. From here on nobody else changes anything of this hook.
async fn prepare(
    transaction: &Transaction<'_>,
    hook: &str,
    effects: &Effects,
    quota: &Quota,
) -> Result<Result<Vec<Change>, Refused>, LedgerError> {
    if effects.writes.is_empty() && effects.expected.is_empty() && effects.rows.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let sql =
        "INSERT INTO used (hook) VALUES ($1) ON CONFLICT (hook) DO UPDATE SET hook = excluded.hook
               RETURNING kv_bytes, row_bytes, now_ms()";
    let row = transaction.query_one_cached(sql, &[&hook]).await?;
    let (kv_bytes, row_bytes, now): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    let present = present(transaction, hook, effects, now).await?;
    let alive = |key: &str| {
        present
            .get(key.as_bytes())
            .filter(|present| present.is_alive)
    };
    for KvExpected { key, value } in &effects.expected {
        if alive(key).map(|present| &present.value) != value.as_ref() {
            return Ok(Err(Refused::Changed(key.clone())));
        }
    }
    let (mut changes, mut growth, mut judged) = (Vec::with_capacity(effects.writes.len()), 0, 0);
    for KvWrite { key, change } in &effects.writes {
        let (value, until) = match change {
            KvChange::Set(value, expires_in) => (
                Some(value.clone()),
                expires_in.map(|time| now + millis(time)),
            ),
            KvChange::Delete => (None, None),
            KvChange::Add(by) => {
                let number = match alive(key) {
                    None => Some(*by),
                    Some(present) => present
                        .value
                        .number()
                        .and_then(|number| number.checked_add(*by)),
                };
                let Some(number) = number else {
                    return Ok(Err(Refused::Changed(key.clone())));
                };
                (
                    Some(KvValue::of_number(number)),
                    alive(key).and_then(|present| present.until),
                )
            }
        };
        let size = |value: &KvValue| (key.len() + value.bytes.len()) as i64;
        let before = present
            .get(key.as_bytes())
            .map_or(0, |present| size(&present.value));
        let more = value.as_ref().map_or(0, size) - before;
        growth += more;
        if matches!(change, KvChange::Set(..)) {
            judged += more;
        }
        changes.push(Change {
            key: key.as_bytes().to_vec(),
            value,
            until,
        });
    }
    let rows: i64 = effects.rows.iter().map(|row| row.text.len() as i64).sum();
    if let Some(refused) = Refused::over(quota, (judged, kv_bytes), (rows, row_bytes)) {
        return Ok(Err(refused));
    }
    let sql =
        "UPDATE used SET kv_bytes = kv_bytes + $2, row_bytes = row_bytes + $3 WHERE hook = $1";
    transaction
        .execute_cached(sql, &[&hook, &growth, &rows])
        .await?;
    Ok(Ok(changes))
}

async fn present(
    transaction: &Transaction<'_>,
    hook: &str,
    effects: &Effects,
    now: i64,
) -> Result<HashMap<Vec<u8>, Present>, LedgerError> {
    let expected = effects
        .expected
        .iter()
        .map(|expected| expected.key.as_bytes());
    let keys: Vec<&[u8]> = effects
        .writes
        .iter()
        .map(|write| write.key.as_bytes())
        .chain(expected)
        .collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "SELECT key, is_text, value, until FROM kv WHERE hook = $1 AND key = ANY ($2)";
    let rows = transaction.query_cached(sql, &[&hook, &keys]).await?;
    let one = |row: &tokio_postgres::Row| {
        let until: Option<i64> = row.get(3);
        let value = KvValue {
            is_text: row.get(1),
            bytes: Bytes::from(row.get::<_, Vec<u8>>(2)),
        };
        (
            row.get(0),
            Present {
                value,
                until,
                is_alive: until.is_none_or(|until| until > now),
            },
        )
    };
    Ok(rows.iter().map(one).collect())
}

async fn keep(
    transaction: &Transaction<'_>,
    event: &Event,
    results: &Results,
    changes: Vec<Change>,
) -> Result<(), LedgerError> {
    let hook: &str = &event.hook;
    let (set, gone): (Vec<Change>, Vec<Change>) = changes
        .into_iter()
        .partition(|change| change.value.is_some());
    if !gone.is_empty() {
        let keys: Vec<Vec<u8>> = gone.into_iter().map(|change| change.key).collect();
        transaction
            .execute_cached(
                "DELETE FROM kv WHERE hook = $1 AND key = ANY ($2)",
                &[&hook, &keys],
            )
            .await?;
    }
    if !set.is_empty() {
        let (mut keys, mut texts, mut values, mut untils) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for Change { key, value, until } in set {
            let value = value.expect("partitioned");
            keys.push(key);
            texts.push(value.is_text);
            values.push(value.bytes.to_vec());
            untils.push(until);
        }
        let sql = "INSERT INTO kv (hook, key, is_text, value, until)
                   SELECT $1, * FROM unnest($2::bytea[], $3::boolean[], $4::bytea[], $5::bigint[])
                   ON CONFLICT (hook, key) DO UPDATE SET is_text = excluded.is_text, value = excluded.value, until = excluded.until";
        transaction
            .execute_cached(sql, &[&hook, &keys, &texts, &values, &untils])
            .await?;
    }
    let rows = &results.effects.rows;
    if !rows.is_empty() {
        let (names, texts): (Vec<&str>, Vec<&str>) = rows
            .iter()
            .map(|row| (row.table.as_str(), row.text.as_str()))
            .unzip();
        let (id, at) = (event.id.uuid(), to_ms(event.received_at) as f64 / 1000.0);
        let sql = "INSERT INTO rows (hook, name, event_id, received_at, json, text)
                   SELECT $1, name, $4, to_timestamp($5), as_jsonb(text), CASE WHEN as_jsonb(text) IS NULL THEN text END
                   FROM unnest($2::text[], $3::text[]) AS row (name, text)";
        transaction
            .execute_cached(sql, &[&hook, &names, &texts, &id, &at])
            .await?;
    }
    for new in &results.emitted {
        accept(transaction, new, None).await?;
    }
    Ok(())
}
