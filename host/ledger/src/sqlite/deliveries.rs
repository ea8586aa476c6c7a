//! The state of a delivery and every step from one to the next. pending → running (a lease) → done, pending again, or dead.
//! Each function is one step inside somebody's transaction.

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

/// Keeps a new event with its delivery, unless it has come before. None: the ledger is over its bound and cannot make room. Without
/// `bound`, the size is not asked for.
pub(super) fn accept(
    connection: &Connection,
    new: &NewEvent,
    owner: &[u8],
    now: LedgerTime,
    bound: Option<&SizeBound>,
) -> rusqlite::Result<Option<Accepted>> {
    let event = new.stored.event();
    let hook = &*event.hook;
    let find = |dedup| events::find_earlier(connection, hook, dedup, new.stored.digest(), now);
    let (known, key) = new.dedup.as_ref().map(find).transpose()?.unzip();
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
        repeats(connection, delivery, &first)?;
    }
    let fence = Fence {
        delivery,
        attempt: 1,
    };
    let begun = new.run_now && begin(connection, fence, owner, now)?;
    let fence = begun.then_some(fence);

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

/// Counts a duplicate and joins it to the event that it repeats. A dead event gets a new delivery. `None` if that needs the body and
/// the body has been pruned: the duplicate is then the only copy, and is stored as an event of its own.
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
/// deliveries was handed to a broker and counts as handled here.
pub(super) fn latest(
    connection: &Connection,
    event: &Earlier,
    now: LedgerTime,
) -> rusqlite::Result<(Option<OpenState>, Option<Vec<u8>>)> {
    let mut find = connection.prepare_cached(
        "SELECT state, due, reply FROM deliveries WHERE event = ? ORDER BY id DESC LIMIT 1",
    )?;
    let row =
        |row: &rusqlite::Row<'_>| Ok((state_at(row, 0), LedgerTime(row.get(1)?), row.get(2)?));
    let Some((state, due, reply)) = find.query_row([event.seq], row).optional()? else {
        return Ok((None, None));
    };
    let open = match state {
        DeliveryState::Pending => Some(OpenState::Pending(now.until(due))),
        DeliveryState::Running => Some(OpenState::Running),
        DeliveryState::Dead => Some(OpenState::Replayed),
        // An operator who discards an event has handled it.
        DeliveryState::Done | DeliveryState::Resolved | DeliveryState::Discarded => None,
    };

    Ok((open, reply))
}

/// Whether an event with this identity and this body has been accepted before; counts it as a duplicate then.
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

/// A delivery of an event of its own repeats the latest one of an earlier event, which is dead.
pub(super) fn repeats(
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

/// The attempt counts from here on, before anything has run.
fn begin(
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

/// Takes up to `max` due deliveries of a hook, those that have waited longest first; and tells when the next one is due.
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
        // A number that cannot be is damage: it must not keep the others waiting.
        let attempt = row.get(1).unwrap_or(0);
        let fence = Fence {
            delivery: row.get(0)?,
            attempt: attempt + 1,
        };
        // Whatever stands in the delivery, the event knows whose it is.
        let event = events::read(row, 4)?.map(|event| event.and_then(|event| belongs(event, hook)));
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
        begin(connection, one.fence, owner, now)?;
    }
    Ok((claimed, next_due(connection, hook)?))
}

fn belongs(event: Event, hook: &str) -> Result<Event, Corrupt> {
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

/// Hooks that have something to run now or later.
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

/// Writes the attempt, what it leaves and the new state, if the lease is still this one and what it leaves can be kept.
pub(super) fn finish(
    connection: &Connection,
    fence: Fence,
    event: (&EventId, i64, &str),
    attempt: &AttemptRecord,
    ending: &Disposition,
    now: LedgerTime,
) -> rusqlite::Result<Committed> {
    if let Some(refused) = refusal(connection, event.2, ending, now)? {
        return Ok(Committed::Refused(refused, ()));
    }
    let (state, due, reason, ended) = match ending {
        Disposition::Done(_) => (DeliveryState::Done, now, None, Some(now.0)),
        Disposition::Retry(pause) => {
            let reason = Some(attempt.reason.as_str());
            (DeliveryState::Pending, now.plus(*pause), reason, None)
        }
        Disposition::Dead(why) => (DeliveryState::Dead, now, Some(why.as_str()), Some(now.0)),
    };
    let reply = if let Disposition::Done(results) = ending {
        results.reply.as_deref()
    } else {
        None
    };
    let sql = format!(
        "UPDATE deliveries SET state = ?, due = ?, reason = ?, ended = ?, reply = ?, unfinished = 0, owner = NULL,
         lease_until = NULL WHERE id = ? AND state = {RUNNING} AND attempt = ?"
    );
    let mut update = connection.prepare_cached(&sql)?;
    if update.execute(params![
        StateColumn(state),
        due.0,
        reason,
        ended,
        reply,
        fence.delivery,
        fence.attempt
    ])? == 0
    {
        return Ok(Committed::LeaseLost);
    }
    write_attempt(connection, fence, attempt)?;
    if let Disposition::Done(results) = ending {
        keep(connection, event, results, now)?;
        if attempt.refuses() {
            // The provider may retry what the handler's reply refuses: that is no duplicate.
            let sql = "DELETE FROM dedup WHERE event = (SELECT event FROM deliveries WHERE id = ?)";
            connection.prepare_cached(sql)?.execute([fence.delivery])?;
        }
    }
    if !matches!(ending, Disposition::Retry(_)) {
        unblock_next(connection, fence.delivery)?;
    }
    Ok(Committed::Stored)
}

fn refusal(
    connection: &Connection,
    hook: &str,
    ending: &Disposition,
    now: LedgerTime,
) -> rusqlite::Result<Option<Refused>> {
    match ending {
        Disposition::Done(results) => {
            kv::refusal(connection, hook, &results.effects, &results.quota, now)
        }
        Disposition::Retry(_) | Disposition::Dead(_) => Ok(None),
    }
}

/// Rows, values and events, in the step that ends their attempt.
fn keep(
    connection: &Connection,
    event: (&EventId, i64, &str),
    results: &Results,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    rows::append(connection, event, &results.effects.rows)?;
    kv::write(connection, event.2, &results.effects.writes, now)?;
    // Nobody begins these here, so nobody owns them.
    results
        .emitted
        .iter()
        .try_for_each(|new| accept(connection, new, &[], now, None).map(drop))
}

/// Ends a delivery that nobody can run.
pub(super) fn bury_unread(
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

/// The next of the same key may run.
pub(super) fn unblock_next(connection: &Connection, delivery: i64) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE deliveries SET blocked = 0 WHERE id = (
             SELECT min(o.id) FROM deliveries d JOIN deliveries o ON o.hook = d.hook AND o.order_key = d.order_key
             WHERE d.id = ? AND d.order_key IS NOT NULL AND o.state < {DONE})"
    );
    let mut update = connection.prepare_cached(&sql)?;
    update.execute([delivery]).map(drop)
}

/// Gives running deliveries back as if their attempt had not begun.
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

/// Holds on to everything that this node runs.
pub(super) fn hold(
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

/// Frees what an earlier process, or this one, has let go of: those whose lease has run out, or all of other owners. An
/// attempt that nobody finished counts; after three in a row the delivery is dead. How many were freed and given up.
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
    // A lease that this process has lost is no sign that the event ends processes.
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
    let mut given_up = 0;
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
            given_up += 1;
            unblock_next(connection, *delivery)?;
        }
    }
    Ok((lost.len(), given_up))
}

/// Keeps an event that has been answered already, with how it went.
pub(super) fn record(
    connection: &Connection,
    stored: &Stored,
    attempt: &AttemptRecord,
    ending: &Disposition,
    now: LedgerTime,
    bound: &SizeBound,
) -> rusqlite::Result<Committed> {
    let hook = &*stored.event().hook;
    if let Some(refused) = refusal(connection, hook, ending, now)? {
        return Ok(Committed::Refused(refused, ()));
    }
    // It has been answered already: it is kept even where there is nothing older to remove.
    bound.make_room(
        connection,
        hook,
        stored.event().body.len() + stored.head().len(),
    )?;
    let seq = events::insert(connection, stored)?;
    let (state, reason) = match ending {
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
    if let Disposition::Done(results) = ending {
        keep(connection, rows::of(stored.event()), results, now)?;
    }
    Ok(Committed::Stored)
}
