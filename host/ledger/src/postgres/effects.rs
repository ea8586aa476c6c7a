//! Ends attempts with results: values, rows and emitted events are stored in the same transaction.
//! A transaction that changes values of a hook first locks the hook's row of `used`, so that the
//! values it compared cannot change before its commit. SQLite: `kv.rs`, `rows.rs`.

use std::collections::HashMap;

use bytes::Bytes;
use deadpool_postgres::{Object, Transaction};

use super::accept::accept;
use super::finish::{self, Ended};
use super::privacy;
use super::query::{Cached, millis};
use crate::error::LedgerError;
use crate::flow_counts::{FlowCounts, FlowNotes};
use crate::steps::{AttemptRecord, Committed, Disposition, Fence, Refused, Results};
use landfall_model::clock::to_ms;
use landfall_model::stored_event::Stored;
use landfall_model::{Effects, Event, KvChange, KvExpected, KvValue, KvWrite, Quota};

/// The current value of a key.
struct Current {
    value: KvValue,
    until: Option<i64>,
    is_expired: bool,
}

/// The new value of a key.
struct Change {
    key: Vec<u8>,
    /// `None`: the key is deleted.
    value: Option<KvValue>,
    until: Option<i64>,
    /// The value is of this event alone: several may have added to a number.
    is_of_event: bool,
}

/// Ends a lease and stores the results of its attempt. SQLite: `finish::finish`.
pub(super) async fn finish(
    client: &mut Object,
    fence: Fence,
    event: &Event,
    attempt: &AttemptRecord,
    results: &Results,
    counts: &FlowCounts,
) -> Result<Committed, LedgerError> {
    let transaction = client.transaction().await?;
    let done = Disposition::Done(Results {
        reply: results.reply.clone(),
        ..Results::empty(results.quota)
    });
    // A return without a commit rolls back.
    match finish::finish(&transaction, fence, attempt, &done).await? {
        Ended::LeaseLost => return Ok(Committed::LeaseLost),
        Ended::Before => return Ok(Committed::Stored),
        Ended::Now => {}
    }

    let changes = match prepare(&transaction, &event.hook, &results.effects, &results.quota).await?
    {
        Ok(changes) => changes,
        Err(refused) => return Ok(Committed::Refused(refused, ())),
    };

    let notes = store_results(&transaction, event, results, changes).await?;
    transaction.commit().await?;
    counts.add(notes);
    Ok(Committed::Stored)
}

/// Stores an event whose handler has answered already, with the results of its attempt. SQLite:
/// `finish::record`.
pub(super) async fn record(
    client: &mut Object,
    stored: &Stored,
    attempt: &AttemptRecord,
    disposition: &Disposition,
    counts: &FlowCounts,
) -> Result<Committed, LedgerError> {
    let transaction = client.transaction().await?;
    let mut notes = FlowNotes::default();
    if let Disposition::Done(results) = disposition {
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
        notes = store_results(&transaction, stored.event(), results, changes).await?;
    }

    finish::record(&transaction, stored, attempt, disposition).await?;
    transaction.commit().await?;
    counts.add(notes);
    Ok(Committed::Stored)
}

/// The changes of values, or why the effects cannot be stored. Locks the values and rows of the
/// hook until the transaction ends. SQLite: `kv::refusal`.
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
    let current = current_values(transaction, hook, effects, now).await?;

    for KvExpected { key, value } in &effects.expected {
        if unexpired(&current, key).map(|current| &current.value) != value.as_ref() {
            return Ok(Err(Refused::Changed(key.clone())));
        }
    }

    // `growth` counts every change, `set_growth` only those that the quota can refuse.
    let mut changes = Vec::with_capacity(effects.writes.len());
    let (mut growth, mut set_growth) = (0, 0);
    for KvWrite { key, change } in &effects.writes {
        let (value, until) = match change {
            KvChange::Set(value, expires_in) => (
                Some(value.clone()),
                expires_in.map(|time| now + millis(time)),
            ),
            KvChange::Delete => (None, None),
            KvChange::Add(by, expires_in) => {
                let current = unexpired(&current, key);
                let number = match current {
                    None => Some(*by),
                    Some(current) => current
                        .value
                        .number()
                        .and_then(|number| number.checked_add(*by)),
                };
                let Some(number) = number else {
                    return Ok(Err(Refused::Changed(key.clone())));
                };
                let until = match current {
                    Some(current) => current.until,
                    None => expires_in.map(|time| now + millis(time)),
                };
                (Some(KvValue::of_number(number)), until)
            }
        };
        let before = current.get(key.as_bytes()).map(|current| &current.value);
        let added = size(key, value.as_ref()) - size(key, before);
        growth += added;
        if matches!(change, KvChange::Set(..)) {
            set_growth += added;
        }
        changes.push(Change {
            key: key.as_bytes().to_vec(),
            value,
            until,
            is_of_event: matches!(change, KvChange::Set(..)),
        });
    }

    let rows: i64 = effects.rows.iter().map(|row| row.text.len() as i64).sum();
    if let Some(refused) = Refused::over(quota, (set_growth, kv_bytes), (rows, row_bytes)) {
        return Ok(Err(refused));
    }
    let sql =
        "UPDATE used SET kv_bytes = kv_bytes + $2, row_bytes = row_bytes + $3 WHERE hook = $1";
    transaction
        .execute_cached(sql, &[&hook, &growth, &rows])
        .await?;
    Ok(Ok(changes))
}

fn unexpired<'a>(current: &'a HashMap<Vec<u8>, Current>, key: &str) -> Option<&'a Current> {
    current
        .get(key.as_bytes())
        .filter(|current| !current.is_expired)
}

/// The bytes that count for the quota.
fn size(key: &str, value: Option<&KvValue>) -> i64 {
    value.map_or(0, |value| (key.len() + value.bytes.len()) as i64)
}

/// The current values, expired ones included, of all keys that the effects expect or change.
async fn current_values(
    transaction: &Transaction<'_>,
    hook: &str,
    effects: &Effects,
    now: i64,
) -> Result<HashMap<Vec<u8>, Current>, LedgerError> {
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
    Ok(rows
        .iter()
        .map(|row| (row.get(0), current_value(row, now)))
        .collect())
}

fn current_value(row: &tokio_postgres::Row, now: i64) -> Current {
    let until: Option<i64> = row.get(3);
    let value = KvValue {
        is_text: row.get(1),
        bytes: Bytes::from(row.get::<_, Vec<u8>>(2)),
    };
    Current {
        value,
        until,
        is_expired: until.is_some_and(|until| until <= now),
    }
}

/// Stores values, rows and emitted events. SQLite: `kv::write`, `rows::append`,
/// `finish::store_results`.
async fn store_results(
    transaction: &Transaction<'_>,
    event: &Event,
    results: &Results,
    changes: Vec<Change>,
) -> Result<FlowNotes, LedgerError> {
    let hook: &str = &event.hook;
    let (set, deleted): (Vec<Change>, Vec<Change>) = changes
        .into_iter()
        .partition(|change| change.value.is_some());

    if !deleted.is_empty() {
        let keys: Vec<Vec<u8>> = deleted.into_iter().map(|change| change.key).collect();
        transaction
            .execute_cached(
                "DELETE FROM kv WHERE hook = $1 AND key = ANY ($2)",
                &[&hook, &keys],
            )
            .await?;
    }

    if !set.is_empty() {
        let (mut keys, mut texts, mut values, mut untils, mut events) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for Change {
            key,
            value,
            until,
            is_of_event,
        } in set
        {
            let value = value.expect("partitioned");
            events.push(is_of_event.then(|| event.id.uuid()));
            keys.push(key);
            texts.push(value.is_text);
            values.push(value.bytes.to_vec());
            untils.push(until);
        }
        let sql = "INSERT INTO kv (hook, key, is_text, value, until, event_id)
                   SELECT $1, * FROM unnest($2::bytea[], $3::boolean[], $4::bytea[], $5::bigint[], $6::uuid[])
                   ON CONFLICT (hook, key) DO UPDATE SET is_text = excluded.is_text, value = excluded.value, until = excluded.until,
                       event_id = excluded.event_id";
        transaction
            .execute_cached(sql, &[&hook, &keys, &texts, &values, &untils, &events])
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

    let mut notes = FlowNotes::default();
    for new in &results.emitted {
        accept(transaction, new, None, &mut notes).await?;
        privacy::set_cause(transaction, &new.stored.event().id, &event.id).await?;
    }
    Ok(notes)
}
