//! The steps of a delivery: pending → running (leased) → done, pending again, or dead. Each function runs inside a transaction of its
//! caller. Postgres has the same steps in `functions/deliveries.sql`.

use rusqlite::{Connection, OptionalExtension, params};

use super::bound::SizeBound;
use super::events::{self, COLUMNS, Earlier, Known};
use super::read::state_at;
use super::{kv, operator, rows};
use crate::state_column::{DEAD, DONE, PENDING, RUNNING, StateColumn};
use crate::steps::{
    Accepted, AttemptRecord, Claimed, Committed, Disposition, Fence, LEASE, NewEvent, OpenState,
    Refused, Replayed, Results, UNFINISHED_MAX,
};
use landfall_model::stored_event::{Corrupt, Stored};
use landfall_model::{DedupKey, DeliveryState, Event, EventId, LedgerTime};

/// Stores a new event with its delivery, unless it repeats an earlier event. `None`: the ledger has reached its size limit and cannot
/// make room. Without `bound`, the size is not checked. Postgres: `accept`.
pub(super) fn accept(
    connection: &Connection,
    new: &NewEvent,
    owner: &[u8],
    now: LedgerTime,
    bound: Option<&SizeBound>,
) -> rusqlite::Result<Option<Accepted>> {
    let event = new.stored.event();
    let hook = &*event.hook;
    let (known, key) = match &new.dedup {
        Some(dedup) => {
            let digest = new.stored.digest();
            events::find_earlier(connection, hook, dedup, digest, now).map(Some)?
        }
        None => None,
    }
    .unzip();
    if let Some(Known::Same(first)) = known
        && let Some(duplicate) = join(connection, &first, &event.id, now)?
    {
        return Ok(Some(duplicate));
    }

    let bytes = event.body.len() + new.stored.head().len();
    if !bound.map_or(Ok(true), |bound| bound.make_room(connection, hook, bytes))? {
        return Ok(None);
    }

    let seq = events::insert(connection, &new.stored)?;
    if let Some(why) = new.dead {
        insert_dead(connection, seq, hook, why, now)?;
        return Ok(Some(Accepted::NEW));
    }
    if let Some(key) = key {
        events::remember(connection, hook, &key, seq, now)?;
    }

    let delivery = insert(
        connection,
        seq,
        hook,
        new.order_key.as_deref(),
        now.plus(new.delay),
        false,
    )?;
    if let Some(Known::Same(first)) = known {
        set_replay_of(connection, delivery, &first)?;
    }

    let fence = Fence {
        delivery,
        attempt: 1,
    };
    let has_started = new.run_now && start_attempt(connection, fence, owner, now)?;
    let fence = has_started.then_some(fence);

    let Some(Known::OtherBody(first)) = known else {
        return Ok(Some(Accepted::New {
            fence,
            conflict: None,
        }));
    };
    events::count_conflict(connection, first.seq, &event.id)?;
    Ok(Some(Accepted::New {
        fence,
        conflict: Some(first.id),
    }))
}

/// Counts a duplicate and joins it to the event that it repeats. A dead event gets a new delivery. `None` if that event's body has been
/// pruned: the duplicate is then the only copy, and is stored as a new event.
fn join(
    connection: &Connection,
    first: &Earlier,
    duplicate: &EventId,
    now: LedgerTime,
) -> rusqlite::Result<Option<Accepted>> {
    let (open, reply) = latest(connection, first, now)?;
    if open == Some(OpenState::Replayed)
        && operator::replay(connection, &first.id, now)? == Replayed::Unknown
    {
        return Ok(None);
    }

    events::count_duplicate(connection, first.seq, duplicate)?;
    Ok(Some(Accepted::repeat(first.id, open, reply)))
}

/// The state of an event's latest delivery and its reply: `None` if it has been handled, `Replayed` if it is dead. An event without
/// deliveries was handed to a broker and counts as handled here. Postgres: `latest`.
pub(super) fn latest(
    connection: &Connection,
    event: &Earlier,
    now: LedgerTime,
) -> rusqlite::Result<(Option<OpenState>, Option<Vec<u8>>)> {
    let mut find = connection.prepare_cached(
        "SELECT state, due, reply FROM deliveries WHERE event = ? ORDER BY id DESC LIMIT 1",
    )?;
    let latest = find
        .query_row([event.seq], |row| {
            Ok((state_at(row, 0), LedgerTime(row.get(1)?), row.get(2)?))
        })
        .optional()?;
    let Some((state, due, reply)) = latest else {
        return Ok((None, None));
    };

    let open = match state {
        DeliveryState::Pending => Some(OpenState::Pending(now.until(due))),
        DeliveryState::Running => Some(OpenState::Running),
        DeliveryState::Dead => Some(OpenState::Replayed),
        // A discarded event counts as handled: the operator decided so.
        DeliveryState::Done | DeliveryState::Resolved | DeliveryState::Discarded => None,
    };

    Ok((open, reply))
}

/// The earlier event with this identity and this body. Counts the duplicate, unless that event is dead. Postgres: `find_duplicate`.
pub(super) fn find_duplicate(
    connection: &Connection,
    hook: &str,
    dedup: &DedupKey,
    digest: &[u8; 32],
    duplicate: &EventId,
    now: LedgerTime,
) -> rusqlite::Result<Option<Accepted>> {
    let (Known::Same(first), _) = events::find_earlier(connection, hook, dedup, digest, now)?
    else {
        return Ok(None);
    };

    let (open, reply) = latest(connection, &first, now)?;
    if open != Some(OpenState::Replayed) {
        events::count_duplicate(connection, first.seq, duplicate)?;
    }
    Ok(Some(Accepted::repeat(first.id, open, reply)))
}

/// Inserts a pending delivery and returns its number. Postgres: `insert_delivery`.
pub(super) fn insert(
    connection: &Connection,
    event: i64,
    hook: &str,
    order_key: Option<&str>,
    due: LedgerTime,
    replayed: bool,
) -> rusqlite::Result<i64> {
    let sql = format!(
        "INSERT INTO deliveries (event, hook, state, due, order_key, replayed, replay_of, blocked)
         VALUES (?1, ?2, {PENDING}, ?3, ?4, ?5, CASE WHEN ?5 THEN (SELECT max(id) FROM deliveries WHERE event = ?1) END,
             ?4 IS NOT NULL AND EXISTS (
                 SELECT 1 FROM deliveries WHERE hook = ?2 AND order_key = ?4 AND state < {DONE}))"
    );
    let mut insert = connection.prepare_cached(&sql)?;
    insert.execute(params![event, hook, due.0, order_key, replayed])?;
    Ok(connection.last_insert_rowid())
}

/// Marks a delivery as a replay of the latest delivery of an earlier event, which is dead. Postgres: in `accept` and `arrive`.
pub(super) fn set_replay_of(
    connection: &Connection,
    delivery: i64,
    first: &Earlier,
) -> rusqlite::Result<()> {
    let sql = "UPDATE deliveries SET replay_of = (SELECT max(id) FROM deliveries WHERE event = ?) WHERE id = ?";
    connection
        .prepare_cached(sql)?
        .execute([first.seq, delivery])
        .map(drop)
}

/// Inserts a delivery that is a dead letter from the start. Postgres: `insert_dead`.
pub(super) fn insert_dead(
    connection: &Connection,
    event: i64,
    hook: &str,
    why: &str,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO deliveries (event, hook, state, due, ended, reason) VALUES (?, ?, {DEAD}, ?, ?, ?)"
    );
    let mut insert = connection.prepare_cached(&sql)?;
    insert
        .execute(params![event, hook, now.0, now.0, why])
        .map(drop)
}

/// Leases a pending delivery for its next attempt, which counts from here on. Postgres: in `insert_delivery`.
fn start_attempt(
    connection: &Connection,
    fence: Fence,
    owner: &[u8],
    now: LedgerTime,
) -> rusqlite::Result<bool> {
    let sql = format!(
        "UPDATE deliveries SET state = {RUNNING}, attempt = ?, owner = ?, lease_until = ?
         WHERE id = ? AND state = {PENDING} AND blocked = 0"
    );
    let mut update = connection.prepare_cached(&sql)?;
    Ok(update.execute(params![
        fence.attempt,
        owner,
        now.plus(LEASE).0,
        fence.delivery
    ])? == 1)
}

/// Leases up to `max` due deliveries of a hook, the longest due first. Also returns when the next one is due. Postgres: `claim` in
/// `postgres/mod.rs`.
pub(super) fn claim(
    connection: &Connection,
    hook: &str,
    max: usize,
    owner: &[u8],
    now: LedgerTime,
) -> rusqlite::Result<(Vec<Claimed>, Option<LedgerTime>)> {
    let sql = format!(
        "SELECT d.id, d.attempt, d.replayed, d.due, {COLUMNS} FROM deliveries d LEFT JOIN events e ON e.seq = d.event
         LEFT JOIN payloads p ON p.event = e.seq
         WHERE d.hook = ? AND d.state = {PENDING} AND d.blocked = 0 AND d.due <= ? ORDER BY d.due LIMIT ?"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let claimed = select.query_map(params![hook, now.0, max as i64], |row| {
        // A damaged number must not stop the other deliveries.
        let attempt = row.get(1).unwrap_or(0);
        let fence = Fence {
            delivery: row.get(0)?,
            attempt: attempt + 1,
        };
        // The hook in the delivery has no checksum; the hook in the event has one.
        let event = events::read(row, 4)?.map(|event| event.and_then(|event| of_hook(event, hook)));
        let due = LedgerTime(row.get(3).unwrap_or(0));
        Ok(Claimed {
            fence,
            event,
            replayed: row.get(2).unwrap_or(false),
            due,
        })
    })?;
    let claimed: Vec<Claimed> = claimed.collect::<Result<_, _>>()?;

    for one in &claimed {
        start_attempt(connection, one.fence, owner, now)?;
    }

    Ok((claimed, next_due(connection, hook)?))
}

/// The event, if it belongs to this hook.
fn of_hook(event: Event, hook: &str) -> Result<Event, Corrupt> {
    if &*event.hook == hook {
        Ok(event)
    } else {
        Err(Corrupt)
    }
}

/// When the next delivery of a hook is due.
pub(super) fn next_due(
    connection: &Connection,
    hook: &str,
) -> rusqlite::Result<Option<LedgerTime>> {
    let sql = format!(
        "SELECT min(due) FROM deliveries WHERE hook = ? AND state = {PENDING} AND blocked = 0"
    );
    let mut select = connection.prepare_cached(&sql)?;
    Ok(select
        .query_row([hook], |row| row.get::<_, Option<i64>>(0))?
        .map(LedgerTime))
}

/// Hooks with pending deliveries, and when the first delivery of each is due. Postgres: `read::hooks_with_work`.
pub(super) fn hooks_with_work(
    connection: &Connection,
) -> rusqlite::Result<Vec<(String, LedgerTime)>> {
    let mut found: Vec<(String, LedgerTime)> = Vec::new();
    // The index leads from one hook to the next, however many deliveries each has.
    let sql = format!(
        "SELECT min(hook) FROM deliveries WHERE state = {PENDING} AND blocked = 0 AND hook > ?"
    );
    let mut next = connection.prepare_cached(&sql)?;

    loop {
        let after = found.last().map_or("", |(hook, _)| hook);
        let Some(hook) = next.query_row([after], |row| row.get::<_, Option<String>>(0))? else {
            return Ok(found);
        };
        let due = next_due(connection, &hook)?.unwrap_or(LedgerTime(0));
        found.push((hook, due));
    }
}

/// Stores an attempt with its results and the new state of its delivery, if this lease is still valid and the results can be stored.
/// Postgres: `finish`, and `effects::finish` if there are results.
pub(super) fn finish(
    connection: &Connection,
    fence: Fence,
    event: (&EventId, i64, &str),
    attempt: &AttemptRecord,
    disposition: &Disposition,
    now: LedgerTime,
) -> rusqlite::Result<Committed> {
    if let Some(refused) = refusal(connection, event.2, disposition, now)? {
        return Ok(Committed::Refused(refused, ()));
    }

    let (state, due, reason, ended) = match disposition {
        Disposition::Done(_) => (DeliveryState::Done, now, None, Some(now.0)),
        Disposition::Retry(pause) => {
            let reason = Some(attempt.reason.as_str());
            (DeliveryState::Pending, now.plus(*pause), reason, None)
        }
        Disposition::Dead(why) => (DeliveryState::Dead, now, Some(why.as_str()), Some(now.0)),
    };
    let reply = if let Disposition::Done(results) = disposition {
        results.reply.as_deref()
    } else {
        None
    };

    let sql = format!(
        "UPDATE deliveries SET state = ?, due = ?, reason = ?, ended = ?, reply = ?, unfinished = 0, owner = NULL,
         lease_until = NULL WHERE id = ? AND state = {RUNNING} AND attempt = ?"
    );
    let mut update = connection.prepare_cached(&sql)?;
    let updated = update.execute(params![
        StateColumn(state),
        due.0,
        reason,
        ended,
        reply,
        fence.delivery,
        fence.attempt
    ])?;
    if updated == 0 {
        return Ok(Committed::LeaseLost);
    }

    write_attempt(connection, fence, attempt)?;
    if let Disposition::Done(results) = disposition {
        store_results(connection, event, results, now)?;
        if attempt.refuses() {
            // The provider may retry a refused event: the retry is not a duplicate.
            let sql = "DELETE FROM dedup WHERE event = (SELECT event FROM deliveries WHERE id = ?)";
            connection.prepare_cached(sql)?.execute([fence.delivery])?;
        }
    }
    if !matches!(disposition, Disposition::Retry(_)) {
        unblock_next(connection, fence.delivery)?;
    }
    Ok(Committed::Stored)
}

/// Why the results cannot be stored, if so. Postgres: `effects::prepare`.
fn refusal(
    connection: &Connection,
    hook: &str,
    disposition: &Disposition,
    now: LedgerTime,
) -> rusqlite::Result<Option<Refused>> {
    match disposition {
        Disposition::Done(results) => {
            kv::refusal(connection, hook, &results.effects, &results.quota, now)
        }
        Disposition::Retry(_) | Disposition::Dead(_) => Ok(None),
    }
}

/// Stores rows, values and emitted events in the step that ends their attempt. Postgres: `effects::store_results`.
fn store_results(
    connection: &Connection,
    event: (&EventId, i64, &str),
    results: &Results,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    rows::append(connection, event, &results.effects.rows)?;
    kv::write(connection, event.2, &results.effects.writes, now)?;
    // The emitted events are only queued here, so that they need no owner.
    results
        .emitted
        .iter()
        .try_for_each(|new| accept(connection, new, &[], now, None).map(drop))
}

/// Makes a dead letter of a delivery whose event cannot be read back. Postgres: `finish`.
pub(super) fn dead_letter_unreadable(
    connection: &Connection,
    fence: Fence,
    why: &str,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE deliveries SET state = {DEAD}, reason = ?, ended = ?, owner = NULL, lease_until = NULL
         WHERE id = ? AND state = {RUNNING} AND attempt = ?"
    );
    let mut update = connection.prepare_cached(&sql)?;
    update.execute(params![why, now.0, fence.delivery, fence.attempt])?;
    unblock_next(connection, fence.delivery)
}

/// Records an attempt. Postgres: `write_attempt`.
fn write_attempt(
    connection: &Connection,
    fence: Fence,
    attempt: &AttemptRecord,
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO attempts (delivery, number, started_ms, duration_us, outcome, reason, status, record)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let AttemptRecord {
        started_ms,
        duration_us,
        outcome,
        reason,
        status,
        record,
    } = attempt;
    let Fence { delivery, attempt } = fence;
    insert
        .execute(params![
            delivery,
            attempt,
            started_ms,
            duration_us,
            outcome,
            reason,
            status,
            record
        ])
        .map(drop)
}

/// Lets the next delivery of the same order key run. Postgres: `unblock_next`.
pub(super) fn unblock_next(connection: &Connection, delivery: i64) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE deliveries SET blocked = 0 WHERE id = (
             SELECT min(o.id) FROM deliveries d JOIN deliveries o ON o.hook = d.hook AND o.order_key = d.order_key
             WHERE d.id = ? AND d.order_key IS NOT NULL AND o.state < {DONE})"
    );
    let mut update = connection.prepare_cached(&sql)?;
    update.execute([delivery]).map(drop)
}

/// Ends leases as if their attempts had not started. Postgres: `release` in `postgres/traits.rs`.
pub(super) fn release(
    connection: &Connection,
    fences: &[Fence],
    due: LedgerTime,
) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE deliveries SET state = {PENDING}, attempt = attempt - 1, due = ?, owner = NULL, lease_until = NULL
         WHERE id = ? AND state = {RUNNING} AND attempt = ?"
    );
    let mut update = connection.prepare_cached(&sql)?;
    fences.iter().try_for_each(|fence| {
        update
            .execute(params![due.0, fence.delivery, fence.attempt])
            .map(drop)
    })
}

/// Extends the leases of this node. Postgres: `heartbeat` in `postgres/traits.rs`.
pub(super) fn extend(
    connection: &Connection,
    fences: &[Fence],
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE deliveries SET lease_until = ? WHERE id = ? AND state = {RUNNING} AND attempt = ?"
    );
    let mut update = connection.prepare_cached(&sql)?;
    let until = now.plus(LEASE).0;
    fences.iter().try_for_each(|fence| {
        update
            .execute(params![until, fence.delivery, fence.attempt])
            .map(drop)
    })
}

/// Frees deliveries whose lease has expired, and all deliveries that an earlier process leased. An attempt that ended with its process
/// counts: after `UNFINISHED_MAX` of them in a row the delivery is dead. Returns how many deliveries were freed, and how many of those are
/// dead. Postgres: `recover`.
pub(super) fn recover(
    connection: &Connection,
    owner: &[u8],
    now: LedgerTime,
) -> rusqlite::Result<(usize, usize)> {
    let sql = format!(
        "SELECT id, attempt, unfinished + (owner IS NOT ?1) FROM deliveries
         WHERE state = {RUNNING} AND (owner IS NOT ?1 OR lease_until < ?2)"
    );
    let mut select = connection.prepare_cached(&sql)?;
    // If this process has only lost the lease, the event did not end the process.
    let row = |row: &rusqlite::Row<'_>| {
        Ok((
            row.get(0)?,
            row.get(1).unwrap_or(0),
            row.get(2).unwrap_or(0),
        ))
    };
    let lost: Vec<(i64, u32, i64)> = select
        .query_map(params![owner, now.0], row)?
        .collect::<Result<_, _>>()?;

    let mut dead = 0;
    for (delivery, attempt, unfinished) in &lost {
        let is_dead = *unfinished >= UNFINISHED_MAX;
        let (state, reason, ended) = if is_dead {
            (DeliveryState::Dead, Some("crashed-host"), Some(now.0))
        } else {
            (DeliveryState::Pending, None, None)
        };
        let mut update = connection.prepare_cached(
            "UPDATE deliveries SET state = ?, due = ?, unfinished = ?, reason = ?, ended = ?, owner = NULL,
             lease_until = NULL WHERE id = ?",
        )?;
        update.execute(params![
            StateColumn(state),
            now.0,
            unfinished,
            reason,
            ended,
            delivery
        ])?;

        let record = AttemptRecord {
            started_ms: 0,
            duration_us: 0,
            outcome: "unfinished",
            reason: "the process ended, or lost the lease, while it ran".into(),
            status: None,
            record: "{}".into(),
        };
        write_attempt(
            connection,
            Fence {
                delivery: *delivery,
                attempt: *attempt,
            },
            &record,
        )?;
        if is_dead {
            dead += 1;
            unblock_next(connection, *delivery)?;
        }
    }

    Ok((lost.len(), dead))
}

/// Stores an event whose handler has answered already, with its attempt. Postgres: `keep_answered`.
pub(super) fn record(
    connection: &Connection,
    stored: &Stored,
    attempt: &AttemptRecord,
    disposition: &Disposition,
    now: LedgerTime,
    bound: &SizeBound,
) -> rusqlite::Result<Committed> {
    let hook = &*stored.event().hook;
    if let Some(refused) = refusal(connection, hook, disposition, now)? {
        return Ok(Committed::Refused(refused, ()));
    }

    // The event has been answered: it is stored even if there is nothing older to remove.
    bound.make_room(
        connection,
        hook,
        stored.event().body.len() + stored.head().len(),
    )?;
    let seq = events::insert(connection, stored)?;
    let (state, reason) = match disposition {
        Disposition::Done(_) => (DeliveryState::Done, None),
        Disposition::Retry(_) => (DeliveryState::Dead, Some(attempt.outcome)),
        Disposition::Dead(why) => (DeliveryState::Dead, Some(why.as_str())),
    };
    let mut insert = connection.prepare_cached(
        "INSERT INTO deliveries (event, hook, state, due, attempt, ended, reason) VALUES (?, ?, ?, ?, 1, ?, ?)",
    )?;
    insert.execute(params![seq, hook, StateColumn(state), now.0, now.0, reason])?;
    let fence = Fence {
        delivery: connection.last_insert_rowid(),
        attempt: 1,
    };
    write_attempt(connection, fence, attempt)?;
    if let Disposition::Done(results) = disposition {
        store_results(connection, rows::of(stored.event()), results, now)?;
    }
    Ok(Committed::Stored)
}
