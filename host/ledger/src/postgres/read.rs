//! Queries of the admin API and the command line: pages by key; the session limits the time of
//! every statement.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use deadpool_postgres::Object;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::query::{Cached, event_of};
use crate::backlog::{self, BacklogLine, HookBacklog};
use crate::held::waits_for;
use crate::shown::{
    Content, Filter, Listed, Parts, Repeats, SINCE_EVENTS_MAX, Shown, ShownAttempt, StoredRow,
    StoredTiming, StoredValue, first_id_since, time_of_day,
};
use crate::state_column::{DEAD, PENDING, StateColumn};
use landfall_model::clock::to_ms;
use landfall_model::{DeliveryState, EventId, KvValue, LedgerTime};

/// Hooks with pending deliveries or open groups, and when the first of each is due. SQLite:
/// `leases::hooks_with_work`.
pub(super) async fn hooks_with_work(client: &Object) -> Result<Vec<(String, LedgerTime)>, Error> {
    // The indexes lead from one hook to the next, however many deliveries and groups each has.
    let sql = format!(
        "WITH RECURSIVE names AS (
             (SELECT min(hook) AS hook FROM deliveries WHERE state = {PENDING} AND NOT blocked)
             UNION ALL
             SELECT (SELECT min(d.hook) FROM deliveries d
                     WHERE d.state = {PENDING} AND NOT d.blocked AND d.hook > names.hook)
             FROM names WHERE names.hook IS NOT NULL),
         held_hooks AS (
             (SELECT min(hook) AS hook FROM held)
             UNION ALL
             SELECT (SELECT min(h.hook) FROM held h WHERE h.hook > held_hooks.hook) FROM held_hooks WHERE held_hooks.hook IS NOT NULL),
         work AS (
             SELECT hook, (SELECT min(due) FROM deliveries d
                           WHERE d.hook = names.hook AND d.state = {PENDING} AND NOT d.blocked) AS due
             FROM names WHERE hook IS NOT NULL
             UNION ALL SELECT hook, (SELECT min(due) FROM held h WHERE h.hook = held_hooks.hook) FROM held_hooks WHERE hook IS NOT NULL)
         SELECT hook, min(due) FROM work WHERE due IS NOT NULL GROUP BY hook"
    );
    let rows = client.query_cached(&sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), LedgerTime(row.get(1))))
        .collect())
}

const LISTED: &str = "d.id, e.id, d.hook, e.received_ms, d.state, d.attempt, d.due, d.reason, d.replayed, e.body_bytes,
    e.duplicates, e.conflicts, d.replay_of, d.resolved_by, d.discarded, d.deferrals, d.flow,
    CASE WHEN d.debounced IS NOT NULL AND d.state = state_superseded() THEN (
        SELECT r.id FROM deliveries o JOIN events r ON r.seq = o.event
        WHERE o.debounced = d.debounced AND o.state <> state_superseded() LIMIT 1) END,
    CASE WHEN d.batch IS NOT NULL THEN (
        SELECT r.id FROM deliveries o JOIN events r ON r.seq = o.event WHERE o.id = d.batch) END,
    CASE WHEN d.batch IS NOT NULL THEN (SELECT count(*) FROM deliveries o WHERE o.batch = d.batch) END,
    e.erased_ms";

/// The state in a column, for an operator. A damaged value counts as dead, so that the operator
/// sees the delivery and can replay it.
fn state_at(row: &Row, at: usize) -> DeliveryState {
    row.try_get(at)
        .map_or(DeliveryState::Dead, |StateColumn(state)| state)
}

fn listed(row: &Row, now: LedgerTime) -> Listed {
    let state = state_at(row, 4);
    let due = LedgerTime(row.get(6));
    Listed {
        delivery: row.get(0),
        event: EventId::from_bytes(row.get::<_, Uuid>(1).into_bytes()).to_string(),
        hook: row.get(2),
        received_at: time_of_day(row.get(3)),
        state,
        attempt: row.get::<_, i32>(5) as u32,
        due_in_ms: matches!(state, DeliveryState::Pending | DeliveryState::Waiting)
            .then(|| now.until(due).as_millis() as u64),
        reason: row.get(7),
        replayed: row.get(8),
        body_bytes: row.get(9),
        duplicates: row.get(10),
        conflicts: row.get(11),
        replay_of: row.get(12),
        resolved_by: row.get(13),
        discarded: row.get(14),
        deferrals: row.get::<_, i32>(15) as u32,
        waits_for: (state == DeliveryState::Waiting)
            .then(|| waits_for(i64::from(row.get::<_, i16>(16)))),
        superseded_by: event_id(row, 17),
        batch: event_id(row, 18),
        batch_size: row.get(19),
        erased_at: row.get::<_, Option<i64>>(20).map(time_of_day),
    }
}

/// A page of deliveries: newest first, or in ascending order if `after` is given. SQLite:
/// `read::list`.
pub(super) async fn list(
    client: &Object,
    filter: &Filter,
    now: LedgerTime,
) -> Result<Vec<Listed>, Error> {
    let Filter {
        hook,
        event,
        deliveries,
        pick,
        before,
        after,
        floor,
        since_ms,
        until_ms,
        limit,
        ..
    } = filter;
    let order = if after.is_some() { "ASC" } else { "DESC" };
    let event = event.as_ref().map(EventId::uuid);
    // Only the given conditions, so that Postgres can choose an index.
    let (states, pick) = (filter.states_sql(), pick.sql());
    let asked = [
        (hook.is_some(), "d.hook = $1"),
        (before.is_some(), "d.id < $2"),
        (after.is_some(), "d.id > $3"),
        (floor.is_some(), "d.id >= $9"),
        (since_ms.is_some(), "e.received_ms >= $4"),
        (until_ms.is_some(), "e.received_ms < $5"),
        (event.is_some(), "e.id = $7"),
        (!deliveries.is_empty(), "d.id = ANY ($8)"),
        (states.is_some(), states.as_deref().unwrap_or_default()),
        (pick.is_some(), pick.as_deref().unwrap_or_default()),
    ];
    let asked: String = asked
        .iter()
        .filter(|(is_asked, _)| *is_asked)
        .map(|(_, part)| format!(" AND {part}"))
        .collect();
    let sql = format!(
        "SELECT {LISTED} FROM deliveries d JOIN events e ON e.seq = d.event
         WHERE ($1::text, $2::bigint, $3::bigint, $4::bigint, $5::bigint, $7::uuid, $8::bigint[], $9::bigint) IS NOT NULL IS NOT NULL{asked}
         ORDER BY d.id {order} LIMIT $6"
    );
    let limit = *limit as i64;
    let rows = client
        .query_cached(
            &sql,
            &[
                hook, before, after, since_ms, until_ms, &limit, &event, deliveries, floor,
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| listed(row, now)).collect())
}

/// See `History::floor_since`. SQLite: `read::floor_since`.
pub(super) async fn floor_since(client: &Object, since_ms: i64) -> Result<Option<i64>, Error> {
    // Materialized, because Postgres would otherwise search by number from the oldest delivery on.
    let sql = "WITH young AS MATERIALIZED (SELECT seq FROM events WHERE id >= $1 ORDER BY id LIMIT $2),
               later AS MATERIALIZED (SELECT id FROM deliveries WHERE event >= (SELECT min(seq) FROM young))
               SELECT (SELECT count(*) FROM young), CASE WHEN (SELECT count(*) FROM young) < $2 THEN (SELECT min(id) FROM later) END";
    let first_id = first_id_since(since_ms).uuid();
    let row = client
        .query_one_cached(sql, &[&first_id, &SINCE_EVENTS_MAX])
        .await?;
    let (young, delivery): (i64, Option<i64>) = (row.get(0), row.get(1));
    Ok((young < SINCE_EVENTS_MAX).then_some(delivery.unwrap_or(i64::MAX)))
}

/// Parts of deliveries. SQLite: `read::contents`.
pub(super) async fn contents(
    client: &Object,
    deliveries: &[i64],
    parts: Parts,
) -> Result<HashMap<i64, Content>, Error> {
    let mut found: HashMap<i64, Content> = deliveries
        .iter()
        .map(|delivery| (*delivery, Content::default()))
        .collect();
    if parts.event {
        let sql = "SELECT e.id, e.hook, e.received_ms, e.head, e.body_digest, e.checksum, p.body, d.id
                   FROM deliveries d JOIN events e ON e.seq = d.event LEFT JOIN payloads p ON p.event = e.seq
                   WHERE d.id = ANY ($1)";
        for row in client.query_cached(sql, &[&deliveries]).await? {
            let event = event_of(&row, 0).and_then(Result::ok);
            found.entry(row.get(7)).or_default().event = event;
        }
    }
    if parts.attempts {
        let sql = "SELECT delivery, outcome, duration_us FROM attempts WHERE delivery = ANY ($1)";
        for row in client.query_cached(sql, &[&deliveries]).await? {
            let micros = row.get::<_, i64>(2).try_into().unwrap_or_default();
            let attempt = (row.get(1), Duration::from_micros(micros));
            found.entry(row.get(0)).or_default().attempts.push(attempt);
        }
    }
    Ok(found)
}

/// Events with ids between these two, in order. SQLite: `read::find_ids`.
pub(super) async fn find_ids(
    client: &Object,
    first: &EventId,
    last: &EventId,
    limit: usize,
) -> Result<Vec<EventId>, Error> {
    let sql = "SELECT id FROM events WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3";
    let rows = client
        .query_cached(sql, &[&first.uuid(), &last.uuid(), &(limit as i64)])
        .await?;
    Ok(rows
        .iter()
        .map(|row| EventId::from_bytes(row.get::<_, Uuid>(0).into_bytes()))
        .collect())
}

/// One event, if it is known. SQLite: `read::show`.
pub(super) async fn show(
    client: &Object,
    id: &EventId,
    now: LedgerTime,
) -> Result<Option<Shown>, Error> {
    let id = id.uuid();
    let sql = "SELECT e.id, e.hook, e.received_ms, e.head, e.body_digest, e.checksum, p.body,
                      e.duplicates, e.last_duplicate_ms, e.last_duplicate, e.conflicts, e.last_conflict,
                      e.verify_us, e.stored_us
               FROM events e LEFT JOIN payloads p ON p.event = e.seq WHERE e.id = $1";
    let events = client.query_cached(sql, &[&id]).await?;
    let Some(row) = events.first() else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT {LISTED} FROM events e JOIN deliveries d ON d.event = e.seq WHERE e.id = $1 ORDER BY d.id DESC"
    );
    let deliveries = client.query_cached(&sql, &[&id]).await?;
    let sql = "SELECT a.delivery, a.number, a.started_ms, a.duration_us, a.outcome, a.reason, a.status, a.record
               FROM events e JOIN deliveries d ON d.event = e.seq JOIN attempts a ON a.delivery = d.id
               WHERE e.id = $1 ORDER BY a.delivery, a.number";
    let attempts = client.query_cached(sql, &[&id]).await?;
    Ok(Some(Shown {
        event: event_of(row, 0),
        lacks_key: false,
        deliveries: deliveries.iter().map(|row| listed(row, now)).collect(),
        attempts: attempts.iter().map(attempt).collect(),
        repeats: repeats(row, 7),
        timing: StoredTiming {
            verify_us: row.get(12),
            stored_us: row.get(13),
        },
    }))
}

fn repeats(row: &Row, at: usize) -> Repeats {
    Repeats {
        duplicates: row.get(at),
        last_duplicate_at: row.get::<_, Option<i64>>(at + 1).map(time_of_day),
        last_duplicate: event_id(row, at + 2),
        conflicts: row.get(at + 3),
        last_conflict: event_id(row, at + 4),
    }
}

fn event_id(row: &Row, at: usize) -> Option<String> {
    let id: Option<Uuid> = row.get(at);
    id.map(|id| EventId::from_bytes(id.into_bytes()).to_string())
}

fn attempt(row: &Row) -> ShownAttempt {
    ShownAttempt {
        delivery: row.get(0),
        number: row.get::<_, i32>(1) as u32,
        started_at: time_of_day(row.get(2)),
        duration_ms: row.get::<_, i64>(3) as f64 / 1000.0,
        outcome: row.get(4),
        reason: row.get(5),
        status: row.get::<_, Option<i32>>(6).map(|status| status as u16),
        record: serde_json::from_str(row.get(7)).unwrap_or_default(),
    }
}

/// What waits, by hook. SQLite: `read::backlogs`.
pub(super) async fn backlogs(client: &Object, now: LedgerTime) -> Result<Vec<HookBacklog>, Error> {
    let dead = format!("deliveries WHERE state = {DEAD} AND NOT answered");
    let sql = backlog::query("NOT blocked", "blocked", "deliveries", &dead);
    let rows = client.query_cached(&sql, &[]).await?;
    let lines = rows.iter().map(backlog_line).collect();
    Ok(backlog::add_up(lines, now))
}

fn backlog_line(row: &Row) -> BacklogLine {
    let state: i32 = row.get(1);
    let deliveries: i64 = row.get(2);
    BacklogLine {
        hook: row.get(0),
        state: state as i16,
        deliveries: deliveries.unsigned_abs(),
        due: row.get::<_, Option<i64>>(3).map(LedgerTime),
    }
}

/// The bytes of the database. Zero if this role may not ask.
pub(super) async fn bytes(client: &Object) -> Result<u64, Error> {
    let sql = "SELECT CASE WHEN has_database_privilege(current_database(), 'CONNECT') THEN pg_database_size(current_database()) END";
    let row = client.query_one_cached(sql, &[]).await?;
    let bytes: Option<i64> = row.get(0);
    Ok(bytes.unwrap_or_default().unsigned_abs())
}

/// Whether an event is known under one of these keys. SQLite: `events::knows`.
pub(super) async fn knows(client: &Object, hook: &str, keys: &[Vec<u8>]) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM dedup WHERE hook = $1 AND key = ANY ($2) AND until > now_ms())";
    client
        .query_one_cached(sql, &[&hook, &keys])
        .await?
        .try_get(0)
}

/// The value of a key. `None` if the key has no value, or its value has expired. SQLite: `kv::get`.
pub(super) async fn kv_get(
    client: &Object,
    hook: &str,
    key: &str,
) -> Result<Option<KvValue>, Error> {
    let sql = "SELECT is_text, value FROM kv WHERE hook = $1 AND key = $2 AND (until IS NULL OR until > now_ms())";
    let rows = client.query_cached(sql, &[&hook, &key.as_bytes()]).await?;
    let value = |row: &Row| KvValue {
        is_text: row.get(0),
        bytes: Bytes::from(row.get::<_, Vec<u8>>(1)),
    };
    Ok(rows.first().map(value))
}

/// Keys that begin with `prefix`, in byte order, after `after`. SQLite: `kv::keys`.
pub(super) async fn kv_keys(
    client: &Object,
    hook: &str,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<String>, Error> {
    let sql = "SELECT key FROM kv WHERE hook = $1 AND key >= $2 AND key > $3 AND substring(key FROM 1 FOR octet_length($2)) = $2
               AND (until IS NULL OR until > now_ms()) ORDER BY key LIMIT $4";
    let rows = client
        .query_cached(
            sql,
            &[
                &hook,
                &prefix.as_bytes(),
                &after.as_bytes(),
                &(limit as i64),
            ],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| String::from_utf8_lossy(row.get(0)).into_owned())
        .collect())
}

/// A page of pairs: keys that begin with `prefix`, in byte order, after `after`. `limit` and `shown`
/// bound the pairs and the bytes of each value. SQLite: `kv::page`.
pub(super) async fn kv_page(
    client: &Object,
    hook: &str,
    prefix: &str,
    after: &str,
    (limit, shown): (usize, usize),
) -> Result<Vec<StoredValue>, Error> {
    let sql = "SELECT key, is_text, octet_length(value)::bigint, substring(value FROM 1 FOR $5), until - now_ms() FROM kv
               WHERE hook = $1 AND key >= $2 AND key > $3 AND substring(key FROM 1 FOR octet_length($2)) = $2
               AND (until IS NULL OR until > now_ms()) ORDER BY key LIMIT $4";
    let (limit, shown) = (limit as i64, i32::try_from(shown).unwrap_or(i32::MAX));
    let rows = client
        .query_cached(
            sql,
            &[&hook, &prefix.as_bytes(), &after.as_bytes(), &limit, &shown],
        )
        .await?;
    let value = |row: &Row| StoredValue {
        key: String::from_utf8_lossy(row.get(0)).into_owned(),
        is_text: row.get(1),
        bytes: row.get(2),
        beginning: row.get(3),
        expires_in_ms: row
            .get::<_, Option<i64>>(4)
            .map(|left| left.max(0).unsigned_abs()),
        damaged: false,
    };
    Ok(rows.iter().map(value).collect())
}

/// A page of a table's rows. SQLite: `rows::list`.
pub(super) async fn rows(
    client: &Object,
    hook: &str,
    table: &str,
    after: i64,
    limit: usize,
) -> Result<Vec<StoredRow>, Error> {
    let sql = "SELECT id, event_id, received_at, coalesce(text, json::text) FROM rows
               WHERE hook = $1 AND name = $2 AND id > $3 ORDER BY id LIMIT $4";
    let rows = client
        .query_cached(sql, &[&hook, &table, &after, &(limit as i64)])
        .await?;
    let row = |row: &Row| StoredRow {
        id: row.get(0),
        event_id: EventId::from_bytes(row.get::<_, Uuid>(1).into_bytes()).to_string(),
        received_at: time_of_day(to_ms(row.get(2))),
        row: serde_json::from_str(row.get(3)).unwrap_or_default(),
        damaged: false,
    };
    Ok(rows.iter().map(row).collect())
}
