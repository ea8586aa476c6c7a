//! Accepting an event, and duplicates of it. Each function runs inside a transaction of its caller.
//! Postgres: `functions/deliveries.sql`.

use rusqlite::Connection;

use super::bound::SizeBound;
use super::events::{self, Earlier, Known};
use super::{deliveries, held, operator};
use crate::flow_counts::FlowNotes;
use crate::steps::{Accepted, Fence, NewEvent, OpenState, Replayed};
use landfall_model::{Admission, DedupKey, EventId, LedgerTime};

/// Stores a new event with its delivery, unless it repeats an earlier event. `None`: the ledger has
/// reached its size limit and cannot make room. Without `bound`, the size is not checked. Postgres:
/// `accept`.
pub(super) fn accept(
    connection: &Connection,
    new: &NewEvent,
    owner: &[u8],
    now: LedgerTime,
    bound: Option<&SizeBound>,
    notes: &mut FlowNotes,
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
        deliveries::insert_dead(connection, seq, hook, why, now)?;
        return Ok(Some(Accepted::NEW));
    }
    if let Some(key) = key {
        events::remember(connection, hook, &key, seq, now)?;
    }

    let (delivery, fence) = insert_delivery(connection, new, seq, owner, now, notes)?;
    if let Some(Known::Same(first)) = known {
        deliveries::set_replay_of(connection, delivery, &first)?;
    }

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

/// Inserts the delivery of a new event. Also the right to run it, if its first attempt starts now.
/// Postgres: `insert_delivery`.
fn insert_delivery(
    connection: &Connection,
    new: &NewEvent,
    event: i64,
    owner: &[u8],
    now: LedgerTime,
    notes: &mut FlowNotes,
) -> rusqlite::Result<(i64, Option<Fence>)> {
    let hook = &*new.stored.event().hook;
    let order_key = new.order_key.as_deref();
    let due = now.plus(new.delay);
    if new.admission != Admission::Run {
        let delivery = deliveries::insert(connection, event, hook, None, due, false)?;
        let admission = &new.admission;
        held::admit(connection, delivery, hook, admission, order_key, now, notes)?;
        return Ok((delivery, None));
    }

    // Without an order key, no earlier delivery can block it.
    if new.run_now && order_key.is_none() {
        let fence = deliveries::insert_started(connection, event, hook, due, owner, now)?;
        return Ok((fence.delivery, Some(fence)));
    }

    let delivery = deliveries::insert(connection, event, hook, order_key, due, false)?;
    let fence = Fence {
        delivery,
        attempt: 1,
    };
    let has_started = new.run_now && deliveries::start_attempt(connection, fence, owner, now)?;
    Ok((delivery, has_started.then_some(fence)))
}

/// Counts a duplicate and joins it to the event that it repeats. A dead event gets a new delivery.
/// `None` if that event's body has been pruned: the duplicate is then the only copy, and is stored
/// as a new event.
fn join(
    connection: &Connection,
    first: &Earlier,
    duplicate: &EventId,
    now: LedgerTime,
) -> rusqlite::Result<Option<Accepted>> {
    let (open, reply) = deliveries::latest(connection, first, now)?;
    if open == Some(OpenState::Replayed)
        && operator::replay(connection, &first.id, now)? == Replayed::Unknown
    {
        return Ok(None);
    }

    events::count_duplicate(connection, first.seq, duplicate)?;
    Ok(Some(Accepted::repeat(first.id, open, reply)))
}

/// The earlier event with this identity and this body. Counts the duplicate, unless that event is
/// dead. Postgres: `find_duplicate`.
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

    let (open, reply) = deliveries::latest(connection, &first, now)?;
    if open != Some(OpenState::Replayed) {
        events::count_duplicate(connection, first.seq, duplicate)?;
    }
    Ok(Some(Accepted::repeat(first.id, open, reply)))
}
