//! Ends attempts: done with results, pending again, or dead. Each function runs inside a
//! transaction of its caller. Postgres: `functions/deliveries.sql`, `effects.rs`.

use rusqlite::{Connection, params};

use super::bound::SizeBound;
use super::{accept, deliveries, erase, events, held_members, kv, rows};
use crate::flow_counts::FlowNotes;
use crate::state_column::{DEAD, PENDING, RUNNING, StateColumn};
use crate::steps::{AttemptRecord, Committed, Disposition, Fence, Refused, Results};
use landfall_model::stored_event::Stored;
use landfall_model::{DeliveryState, EventId, LedgerTime};

/// Stores an attempt with its results and the new state of its delivery, if this lease is still
/// valid and the results can be stored. Postgres: `finish`, and `effects::finish` if there are
/// results.
pub(super) fn finish(
    connection: &Connection,
    fence: Fence,
    event: (&EventId, i64, &str),
    attempt: &AttemptRecord,
    disposition: &Disposition,
    now: LedgerTime,
    bound: &SizeBound,
) -> rusqlite::Result<(Committed, FlowNotes)> {
    if let Some(refused) = refusal(connection, event.2, disposition, now, bound)? {
        return Ok((Committed::Refused(refused, ()), FlowNotes::default()));
    }

    let (state, due, reason, ended) = match disposition {
        Disposition::Done(_) => (DeliveryState::Done, now, None, Some(now.0)),
        Disposition::Retry(pause) | Disposition::Defer(pause) => {
            let reason = Some(attempt.reason.as_str());
            (DeliveryState::Pending, now.plus(*pause), reason, None)
        }
        Disposition::Split(why) => (DeliveryState::Pending, now, Some(why.as_str()), None),
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
        return Ok((Committed::LeaseLost, FlowNotes::default()));
    }

    let has_ended = disposition.pause().is_none();
    let links = if has_ended {
        Some(deliveries::links(connection, fence.delivery)?)
    } else {
        None
    };
    if state == DeliveryState::Done && links.is_some_and(|links| links.is_repeat) {
        deliveries::resolve_repeated(connection, fence.delivery)?;
    }

    deliveries::write_attempt(connection, fence, attempt)?;
    let mut notes = FlowNotes::default();
    if let Disposition::Done(results) = disposition {
        store_results(connection, event, results, now, &mut notes)?;
        if attempt.refuses() {
            held_members::forget_refused(connection, fence.delivery)?;
        }
    }
    end_batch(connection, fence.delivery, links, disposition, now)?;
    if matches!(disposition, Disposition::Defer(_)) {
        deliveries::count_deferral(connection, fence, now)?;
    }
    if links.is_some_and(|links| links.has_order_key) {
        deliveries::unblock_next(connection, fence.delivery)?;
    }
    Ok((Committed::Stored, notes))
}

/// What the end of an attempt means for the other events of its batch. Postgres: in `finish`, and
/// `split_batch`.
fn end_batch(
    connection: &Connection,
    leader: i64,
    links: Option<deliveries::Links>,
    disposition: &Disposition,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let is_batch = links.is_some_and(|links| links.is_batch);
    match disposition {
        Disposition::Split(_) => held_members::split(connection, leader, now),
        Disposition::Done(_) if is_batch => held_members::finish_members(connection, leader, now),
        // The dispatcher splits a batch with other events instead. Whatever ends it, they run.
        Disposition::Dead(_) if is_batch => held_members::free_members(connection, leader, now),
        _ => Ok(()),
    }
}

/// Ends the lease of a batch as if its attempt had not begun, and lets each of its events run alone.
/// Postgres: `split_lease`.
pub(super) fn split(
    connection: &Connection,
    fence: Fence,
    why: &str,
    now: LedgerTime,
) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE deliveries SET state = {PENDING}, attempt = attempt - 1, due = ?, reason = ?, owner = NULL, lease_until = NULL
         WHERE id = ? AND state = {RUNNING} AND attempt = ?"
    );
    let updated = connection.prepare_cached(&sql)?.execute(params![
        now.0,
        why,
        fence.delivery,
        fence.attempt
    ])?;
    if updated == 0 {
        return Ok(());
    }
    held_members::split(connection, fence.delivery, now)
}

/// Why the results cannot be stored, if so. Postgres: `effects::prepare`.
fn refusal(
    connection: &Connection,
    hook: &str,
    disposition: &Disposition,
    now: LedgerTime,
    bound: &SizeBound,
) -> rusqlite::Result<Option<Refused>> {
    let Disposition::Done(results) = disposition else {
        return Ok(None);
    };
    let refused = kv::refusal(connection, hook, &results.effects, &results.quota, now)?;
    if refused.is_some() {
        return Ok(refused);
    }

    // Rows and values stay until the hook or the operator removes them, so they need room of their
    // own.
    let (values, rows) = kv::growth(connection, hook, &results.effects)?;
    let added = values.max(0) + rows;
    let has_room = added == 0 || bound.make_room(connection, hook, added as usize)?;
    Ok((!has_room).then(|| Refused::OverQuota(bound.last_refusal().to_string())))
}

/// Stores rows, values and emitted events in the step that ends their attempt. Postgres:
/// `effects::store_results`.
fn store_results(
    connection: &Connection,
    event: (&EventId, i64, &str),
    results: &Results,
    now: LedgerTime,
    notes: &mut FlowNotes,
) -> rusqlite::Result<()> {
    rows::append(connection, event, &results.effects.rows)?;
    let writes = &results.effects.writes;
    kv::write(connection, (event.2, Some(event.0)), writes, now)?;
    // The emitted events are only queued here, so that they need no owner.
    results.emitted.iter().try_for_each(|new| {
        accept::accept(connection, new, &[], now, None, notes)?;
        erase::set_cause(connection, &new.stored.event().id, event.0)
    })
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
    // Behind a lost lease, another one of the order key may run already.
    if update.execute(params![why, now.0, fence.delivery, fence.attempt])? == 0 {
        return Ok(());
    }
    held_members::free_members(connection, fence.delivery, now)?;
    deliveries::unblock_next(connection, fence.delivery)
}

/// Stores an event whose handler has answered already, with its attempt. Failed, it is dead, but no
/// dead letter: its caller knows. Postgres: `record_event`.
pub(super) fn record(
    connection: &Connection,
    stored: &Stored,
    attempt: &AttemptRecord,
    disposition: &Disposition,
    now: LedgerTime,
    bound: &SizeBound,
) -> rusqlite::Result<(Committed, FlowNotes)> {
    let hook = &*stored.event().hook;
    if let Some(refused) = refusal(connection, hook, disposition, now, bound)? {
        return Ok((Committed::Refused(refused, ()), FlowNotes::default()));
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
        Disposition::Retry(_) | Disposition::Defer(_) | Disposition::Split(_) => {
            (DeliveryState::Dead, Some(attempt.outcome))
        }
        Disposition::Dead(why) => (DeliveryState::Dead, Some(why.as_str())),
    };
    let mut insert = connection.prepare_cached(
        "INSERT INTO deliveries (event, hook, state, due, attempt, ended, reason, answered) VALUES (?, ?, ?, ?, 1, ?, ?, 1)",
    )?;
    insert.execute(params![seq, hook, StateColumn(state), now.0, now.0, reason])?;
    let fence = Fence {
        delivery: connection.last_insert_rowid(),
        attempt: 1,
    };
    deliveries::write_attempt(connection, fence, attempt)?;
    let mut notes = FlowNotes::default();
    if let Disposition::Done(results) = disposition {
        let event = rows::of(stored.event());
        store_results(connection, event, results, now, &mut notes)?;
    }
    Ok((Committed::Stored, notes))
}
