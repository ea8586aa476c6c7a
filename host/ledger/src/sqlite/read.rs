//! Queries of the admin API and the command line: pages by key.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use super::events::{self, COLUMNS};
use crate::backlog::{self, BacklogLine, HookBacklog};
use crate::counts::{CountLine, add_up};
use crate::held::waits_for;
use crate::shown::{
    Content, Count, Filter, Listed, Parts, Repeats, SINCE_EVENTS_MAX, Shown, ShownAttempt,
    StoredTiming, first_id_since, time_of_day,
};
use crate::state_column::{DEAD, DONE, PENDING, RUNNING, SUPERSEDED, StateColumn, WAITING};
use landfall_model::{DeliveryState, EventId, LedgerTime};

const LISTED: &str = "d.id, e.id, d.hook, e.received_ms, d.state, d.attempt, d.due, d.reason, d.replayed, e.body_bytes,
    e.duplicates, e.conflicts, d.replay_of, d.resolved_by, d.discarded, d.deferrals, d.flow,
    CASE WHEN d.debounced IS NOT NULL AND d.state = state_superseded THEN (
        SELECT r.id FROM deliveries o JOIN events r ON r.seq = o.event
        WHERE o.debounced = d.debounced AND o.state <> state_superseded LIMIT 1) END,
    CASE WHEN d.batch IS NOT NULL THEN (
        SELECT r.id FROM deliveries o JOIN events r ON r.seq = o.event WHERE o.id = d.batch) END,
    CASE WHEN d.batch IS NOT NULL THEN (SELECT count(*) FROM deliveries o WHERE o.batch = d.batch) END,
    e.erased_ms";

/// The columns for `listed`.
fn listed_columns() -> String {
    LISTED.replace("state_superseded", &SUPERSEDED.to_string())
}

/// A damaged row must not hide the others: columns that cannot be read get a default.
fn listed(row: &rusqlite::Row<'_>, now: LedgerTime) -> rusqlite::Result<Listed> {
    let number = |at| row.get::<_, i64>(at).unwrap_or_default();
    let state = state_at(row, 4);
    let due = LedgerTime(number(6));
    Ok(Listed {
        delivery: row.get(0)?,
        event: EventId::from_bytes(row.get(1).unwrap_or_default()).to_string(),
        hook: text(row, 2).unwrap_or_default(),
        received_at: time_of_day(number(3)),
        state,
        attempt: row.get(5).unwrap_or_default(),
        due_in_ms: matches!(state, DeliveryState::Pending | DeliveryState::Waiting)
            .then(|| now.until(due).as_millis() as u64),
        reason: text(row, 7),
        replayed: row.get(8).unwrap_or_default(),
        body_bytes: number(9),
        duplicates: number(10),
        conflicts: number(11),
        replay_of: row.get(12).unwrap_or_default(),
        resolved_by: row.get(13).unwrap_or_default(),
        discarded: text(row, 14),
        deferrals: row.get(15).unwrap_or_default(),
        waits_for: (state == DeliveryState::Waiting).then(|| waits_for(number(16))),
        superseded_by: id_at(row, 17),
        batch: id_at(row, 18),
        batch_size: row.get(19).unwrap_or_default(),
        erased_at: row
            .get::<_, Option<i64>>(20)
            .unwrap_or_default()
            .map(time_of_day),
    })
}

/// The id of an event in a column that may be NULL.
fn id_at(row: &rusqlite::Row<'_>, at: usize) -> Option<String> {
    let bytes: Option<[u8; 16]> = row.get(at).unwrap_or_default();
    bytes.map(|bytes| EventId::from_bytes(bytes).to_string())
}

/// The state in a column, for an operator. A damaged value counts as dead, so that the operator
/// sees the delivery and can replay it. Steps that decide by the state take `StateColumn::read`,
/// which refuses.
pub(super) fn state_at(row: &rusqlite::Row<'_>, at: usize) -> DeliveryState {
    row.get(at)
        .map_or(DeliveryState::Dead, |StateColumn(state)| state)
}

fn text(row: &rusqlite::Row<'_>, at: usize) -> Option<String> {
    match row.get_ref(at) {
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        _ => None,
    }
}

/// A page of deliveries: newest first, or in ascending order if `after` is given. Postgres:
/// `read::list`.
pub(super) fn list(
    connection: &Connection,
    filter: &Filter,
    now: LedgerTime,
) -> rusqlite::Result<Vec<Listed>> {
    let Filter {
        hook,
        event,
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
    // Only the given conditions, so that SQLite can choose an index. Some states have their own.
    let (deliveries, states, pick) = (filter.deliveries_sql(), filter.states_sql(), pick.sql());
    let asked = [
        (hook.is_some(), "d.hook = ?1"),
        (event.is_some(), "e.id = ?7"),
        (
            deliveries.is_some(),
            deliveries.as_deref().unwrap_or_default(),
        ),
        (states.is_some(), states.as_deref().unwrap_or_default()),
        (pick.is_some(), pick.as_deref().unwrap_or_default()),
        (before.is_some(), "d.id < ?2"),
        (after.is_some(), "d.id > ?3"),
        (floor.is_some(), "d.id >= ?8"),
        (since_ms.is_some(), "e.received_ms >= ?4"),
        (until_ms.is_some(), "e.received_ms < ?5"),
        (
            true,
            "?6 >= 0 AND (?7 IS NULL OR true) AND (?8 IS NULL OR true)",
        ),
    ];
    let asked: Vec<&str> = asked
        .iter()
        .filter(|(is_asked, _)| *is_asked)
        .map(|(_, part)| *part)
        .collect();
    let sql = format!(
        "SELECT {} FROM deliveries d JOIN events e ON e.seq = d.event WHERE {} ORDER BY d.id {order} LIMIT ?6",
        listed_columns(),
        asked.join(" AND ")
    );
    // Not cached: the SQL text has the numbers of the deliveries.
    let mut select = connection.prepare(&sql)?;
    let event = event.as_ref().map(EventId::as_bytes);
    let wanted = params![
        hook,
        before,
        after,
        since_ms,
        until_ms,
        *limit as i64,
        event,
        floor
    ];
    select.query_map(wanted, |row| listed(row, now))?.collect()
}

pub(super) const YOUNG_EVENTS: &str =
    "SELECT count(*), min(seq) FROM (SELECT seq FROM events WHERE id >= ? ORDER BY id LIMIT ?)";
// Without the index, SQLite would search by number from the oldest delivery on.
pub(super) const FIRST_DELIVERY: &str =
    "SELECT min(id) FROM deliveries INDEXED BY deliveries_event WHERE event >= ?";

/// See `History::floor_since`. Postgres: `read::floor_since`.
pub(super) fn floor_since(connection: &Connection, since_ms: i64) -> rusqlite::Result<Option<i64>> {
    let first_id = first_id_since(since_ms);
    let mut select = connection.prepare_cached(YOUNG_EVENTS)?;
    let (young, first): (i64, Option<i64>) = select
        .query_row(params![first_id.as_bytes(), SINCE_EVENTS_MAX], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    if young == SINCE_EVENTS_MAX {
        return Ok(None);
    }

    let mut select = connection.prepare_cached(FIRST_DELIVERY)?;
    let delivery: Option<i64> = select.query_row([first.unwrap_or(i64::MAX)], |row| row.get(0))?;
    Ok(Some(delivery.unwrap_or(i64::MAX)))
}

/// Parts of deliveries. Postgres: `read::contents`.
pub(super) fn contents(
    connection: &Connection,
    deliveries: &[i64],
    parts: Parts,
) -> rusqlite::Result<HashMap<i64, Content>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries d JOIN events e ON e.seq = d.event
         LEFT JOIN payloads p ON p.event = e.seq WHERE d.id = ?"
    );
    let mut select_event = connection.prepare_cached(&sql)?;
    let mut select_attempts = connection
        .prepare_cached("SELECT outcome, duration_us FROM attempts WHERE delivery = ?")?;
    let mut found = HashMap::with_capacity(deliveries.len());
    for delivery in deliveries {
        let mut content = Content::default();
        if parts.event {
            let event = select_event
                .query_row([delivery], |row| events::read(row, 0))
                .optional()?;
            content.event = event.flatten().and_then(Result::ok);
        }
        if parts.attempts {
            let attempts = select_attempts.query_map([delivery], |row| {
                let micros = row.get::<_, i64>(1).unwrap_or_default();
                let duration = Duration::from_micros(micros.try_into().unwrap_or_default());
                Ok((text(row, 0).unwrap_or_default(), duration))
            })?;
            content.attempts = attempts.collect::<Result<_, _>>()?;
        }
        found.insert(*delivery, content);
    }
    Ok(found)
}

/// Events with ids between these two, in order. Postgres: `read::find_ids`.
pub(super) fn find_ids(
    connection: &Connection,
    first: &EventId,
    last: &EventId,
    limit: usize,
) -> rusqlite::Result<Vec<EventId>> {
    let sql = "SELECT id FROM events WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?";
    let mut select = connection.prepare_cached(sql)?;
    let wanted = params![first.as_bytes(), last.as_bytes(), limit as i64];
    select
        .query_map(wanted, |row| row.get(0).map(EventId::from_bytes))?
        .collect()
}

/// One event, if it is known. Postgres: `read::show`.
pub(super) fn show(
    connection: &Connection,
    id: &EventId,
    now: LedgerTime,
) -> rusqlite::Result<Option<Shown>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events e LEFT JOIN payloads p ON p.event = e.seq WHERE e.id = ?"
    );
    let event = connection
        .prepare_cached(&sql)?
        .query_row([id.as_bytes()], |row| events::read(row, 0))
        .optional()?;
    let Some(event) = event else { return Ok(None) };
    let sql = format!(
        "SELECT {} FROM events e JOIN deliveries d ON d.event = e.seq WHERE e.id = ? ORDER BY d.id DESC",
        listed_columns()
    );
    let mut select = connection.prepare_cached(&sql)?;
    let deliveries: Vec<Listed> = select
        .query_map([id.as_bytes()], |row| listed(row, now))?
        .collect::<Result<_, _>>()?;
    let mut select = connection.prepare_cached(
        "SELECT delivery, number, started_ms, duration_us, outcome, reason, status, record FROM attempts
         WHERE delivery = ? ORDER BY number",
    )?;
    let mut attempts = Vec::new();
    for delivery in deliveries.iter().rev() {
        let found = select.query_map([delivery.delivery], attempt)?;
        attempts.extend(found.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(Some(Shown {
        event,
        lacks_key: false,
        deliveries,
        attempts,
        repeats: repeats(connection, id)?,
        timing: timing(connection, id)?,
    }))
}

fn timing(connection: &Connection, id: &EventId) -> rusqlite::Result<StoredTiming> {
    let mut select =
        connection.prepare_cached("SELECT verify_us, stored_us FROM events WHERE id = ?")?;
    select.query_row([id.as_bytes()], |row| {
        Ok(StoredTiming {
            verify_us: row.get(0).unwrap_or_default(),
            stored_us: row.get(1).unwrap_or_default(),
        })
    })
}

fn repeats(connection: &Connection, id: &EventId) -> rusqlite::Result<Repeats> {
    let mut select = connection.prepare_cached(
        "SELECT duplicates, last_duplicate_ms, last_duplicate, conflicts, last_conflict FROM events WHERE id = ?",
    )?;
    select.query_row([id.as_bytes()], |row| {
        Ok(Repeats {
            duplicates: row.get(0).unwrap_or_default(),
            last_duplicate_at: row
                .get::<_, Option<i64>>(1)
                .unwrap_or_default()
                .map(time_of_day),
            last_duplicate: id_at(row, 2),
            conflicts: row.get(3).unwrap_or_default(),
            last_conflict: id_at(row, 4),
        })
    })
}

fn attempt(row: &rusqlite::Row<'_>) -> rusqlite::Result<ShownAttempt> {
    Ok(ShownAttempt {
        delivery: row.get(0)?,
        number: row.get(1)?,
        started_at: time_of_day(row.get(2).unwrap_or_default()),
        duration_ms: row.get::<_, i64>(3).unwrap_or_default() as f64 / 1000.0,
        outcome: text(row, 4).unwrap_or_default(),
        reason: text(row, 5).unwrap_or_default(),
        status: row.get(6).unwrap_or_default(),
        record: text(row, 7)
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
    })
}

/// Without the index, SQLite would read all deliveries in the order of their hooks.
pub(super) fn backlogs_sql() -> String {
    let running = "deliveries INDEXED BY deliveries_running";
    let dead = format!(
        "deliveries INDEXED BY deliveries_failed WHERE state > {DONE} AND state = {DEAD} AND answered = 0"
    );
    backlog::query("blocked = 0", "blocked = 1", running, &dead)
}

/// What waits, by hook. Postgres: `read::backlogs`.
pub(super) fn backlogs(
    connection: &Connection,
    now: LedgerTime,
) -> rusqlite::Result<Vec<HookBacklog>> {
    let mut select = connection.prepare_cached(&backlogs_sql())?;
    let lines = select.query_map([], |row| {
        Ok(BacklogLine {
            hook: text(row, 0).unwrap_or_default(),
            state: row.get(1)?,
            deliveries: row.get::<_, i64>(2)?.unsigned_abs(),
            // That of a damaged group is no number until the next repair.
            due: row.get::<_, Option<i64>>(3).unwrap_or(None).map(LedgerTime),
        })
    })?;
    Ok(backlog::add_up(lines.collect::<Result<_, _>>()?, now))
}

/// The deliveries of each hook, with NULL as their state, and those that are not done, by state.
/// Each part reads one partial index, or the row of each hook.
pub(super) fn counts_sql() -> String {
    format!(
        "SELECT hook, NULL AS state, deliveries FROM used
         UNION ALL SELECT hook, {PENDING}, count(*)
         FROM deliveries INDEXED BY deliveries_due WHERE state = {PENDING} AND blocked = 0 GROUP BY hook
         UNION ALL SELECT hook, {PENDING}, count(*)
         FROM deliveries INDEXED BY deliveries_key
         WHERE state < {DONE} AND order_key IS NOT NULL AND state = {PENDING} AND blocked = 1 GROUP BY hook
         UNION ALL SELECT hook, {PENDING}, count(*)
         FROM deliveries INDEXED BY deliveries_brokered
         WHERE state = {PENDING} AND blocked = 1 AND order_key IS NULL GROUP BY hook
         UNION ALL SELECT hook, {WAITING}, count(*)
         FROM deliveries INDEXED BY deliveries_waiting WHERE state = {WAITING} GROUP BY hook
         UNION ALL SELECT hook, {RUNNING}, count(*)
         FROM deliveries INDEXED BY deliveries_running WHERE state = {RUNNING} GROUP BY hook
         UNION ALL SELECT hook, state, count(*)
         FROM deliveries INDEXED BY deliveries_failed WHERE state > {DONE} GROUP BY hook, state"
    )
}

/// The number of deliveries by hook and state. Postgres: `counts::count`.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<Vec<Count>> {
    let mut select = connection.prepare_cached(&counts_sql())?;
    let mut rows = select.query([])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let has_state = row.get_ref(1)? != ValueRef::Null;
        lines.push(CountLine {
            hook: text(row, 0).unwrap_or_default(),
            state: has_state.then(|| state_at(row, 1)),
            deliveries: row.get(2)?,
        });
    }
    Ok(add_up(lines))
}
