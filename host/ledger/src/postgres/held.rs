//! Events that wait: calls of `functions/held.sql`. SQLite: `held.rs`.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::Error;

use super::query::{Cached, event_of, millis, plain};
use crate::flow_counts::{FlowNotes, FlowStep};
use crate::held::{LONGEST_MS, NOT_HELD, STRANDED, STRANDED_STEP, Stranded};
use crate::state_column::WAITING;
use landfall_model::{Admission, Corrupt, Event, Hold, Keep, OPEN_GROUPS_MAX};

/// The other events of batches, by the delivery that carries the batch.
pub(super) type Members = HashMap<i64, Vec<Option<Result<Event, Corrupt>>>>;

/// In what `hold` returns: a damaged group was removed.
const DAMAGED: i32 = 16;
const GROUPS_MAX: i64 = OPEN_GROUPS_MAX as i64;

/// Applies the flow of the hook to an event that this transaction has accepted. Returns what was
/// done, for `FlowNotes::add_sum`. SQLite: `admit`.
pub(super) async fn admit(
    transaction: &Transaction<'_>,
    event: &Event,
    admission: &Admission,
    order_key: Option<&[u8]>,
) -> Result<i32, Error> {
    let (filtered, hold) = match admission {
        Admission::Run => return Ok(0),
        Admission::Filtered(why) => (Some(plain(why)), None),
        Admission::Hold(hold) => (None, Some(hold)),
    };
    let (id, hook): (_, &str) = (event.id.uuid(), &event.hook);
    let debounce = hold.and_then(|hold: &Hold| hold.debounce.as_ref());
    let batch = hold.and_then(|hold: &Hold| hold.batch.as_ref());

    let key = debounce.map(|group| &group.key[..]);
    let wait = debounce.map(|group| millis(group.wait));
    let maximum = debounce.map(|group| millis(group.maximum));
    let is_first_kept = debounce.is_some_and(|group| group.keep == Keep::First);
    let batch_key = batch.map(|batch| &batch.key[..]);
    let count = batch.map(|batch| i64::from(batch.count));
    let time = batch.map(|batch| millis(batch.time));
    let bytes_max = batch.map(|batch| batch.bytes_max as i64);
    let bytes = batch.map(|batch| batch.bytes as i64);
    let sql = "SELECT hold($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    let row = transaction
        .query_one_cached(
            sql,
            &[
                &id,
                &hook,
                &order_key,
                &filtered,
                &key,
                &wait,
                &maximum,
                &is_first_kept,
                &batch_key,
                &count,
                &time,
                &bytes_max,
                &bytes,
                &GROUPS_MAX,
                &NOT_HELD,
            ],
        )
        .await?;
    let done: i32 = row.get(0);
    if done & DAMAGED != 0 {
        report_damage(hook, 1);
    }
    Ok(done)
}

/// Closes the groups of a hook that are due. SQLite: `close_due`.
pub(super) async fn close_due(
    client: &Object,
    hook: &str,
    notes: &mut FlowNotes,
) -> Result<(), Error> {
    let sql = "SELECT batched, unheld, damaged FROM close_due($1, $2, $3)";
    let row = client
        .query_one_cached(sql, &[&hook, &GROUPS_MAX, &NOT_HELD])
        .await?;
    for (at, step) in [FlowStep::Batched, FlowStep::Unheld, FlowStep::Damaged]
        .into_iter()
        .enumerate()
    {
        notes.add_times(hook, step, row.get::<_, i64>(at) as usize);
    }
    if row.get::<_, i64>(2) > 0 {
        report_damage(hook, row.get(2));
    }
    Ok(())
}

fn report_damage(hook: &str, count: i64) {
    tracing::error!(
        hook,
        count,
        "rows of open groups are damaged and were removed: their events run alone, within a minute"
    );
}

/// Repairs open groups that nothing else would close.
async fn repair_groups(client: &Object, notes: &mut FlowNotes) -> Result<(), Error> {
    let rows = client
        .query_cached("SELECT repair_groups($1)", &[&LONGEST_MS])
        .await?;
    for row in rows {
        let hook: &str = row.get(0);
        report_damage(hook, 1);
        notes.add(hook, FlowStep::Damaged);
    }
    Ok(())
}

/// One step of `Deliveries::free_stranded`. SQLite: `free_stranded`.
pub(super) async fn free_stranded(
    client: &Object,
    after: &(String, i64),
    notes: &mut FlowNotes,
) -> Result<Stranded, Error> {
    if after.0.is_empty() {
        repair_groups(client, notes).await?;
    }
    let sql = format!(
        "SELECT d.hook, d.id, is_stranded(d.hook, d.id, d.flow, d.debounced, d.batch) FROM deliveries d
         WHERE d.state = {WAITING} AND (d.hook, d.id) > ($1, $2) ORDER BY d.hook, d.id LIMIT $3"
    );
    let (hook, delivery) = after;
    let limit = STRANDED_STEP as i64;
    let rows = client.query_cached(&sql, &[hook, delivery, &limit]).await?;
    let mut page: Vec<(String, i64, bool)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    let found: Vec<i64> = page
        .iter()
        .filter_map(|(_, delivery, is_stranded)| is_stranded.then_some(*delivery))
        .collect();
    if !found.is_empty() {
        // Each is looked at again under its lock.
        let sql = "SELECT free_stranded($1, $2)";
        let rows = client.query_cached(sql, &[&found, &STRANDED]).await?;
        let freed: HashSet<i64> = rows.iter().map(|row| row.get(0)).collect();
        for (_, delivery, is_freed) in &mut page {
            *is_freed = freed.contains(delivery);
        }
    }
    Ok(Stranded::of(page))
}

/// The other events of the batches that these deliveries carry, in the order of their arrival.
/// SQLite: `members`.
pub(super) async fn members(client: &Object, leaders: &[i64]) -> Result<Members, Error> {
    let mut members = Members::new();
    if leaders.is_empty() {
        return Ok(members);
    }
    let sql = format!(
        "SELECT e.id, e.hook, e.received_ms, e.head, e.body_digest, e.checksum, p.body, d.batch
         FROM deliveries d LEFT JOIN events e ON e.seq = d.event LEFT JOIN payloads p ON p.event = d.event
         WHERE d.batch = ANY ($1) AND d.id <> d.batch AND d.state = {WAITING} ORDER BY d.id"
    );
    for row in client.query_cached(&sql, &[&leaders]).await? {
        let of_batch = members.entry(row.get(7)).or_default();
        of_batch.push(event_of(&row, 0));
    }
    Ok(members)
}
