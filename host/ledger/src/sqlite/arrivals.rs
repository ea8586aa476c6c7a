//! Events that a broker delivers. Their deliveries stay `blocked`, so that only a message of the
//! broker starts them. State, attempts and results are stored as for other deliveries. Postgres has
//! the same steps in `functions/brokers.sql`.

use rusqlite::{Connection, OptionalExtension, params};

use super::bound::SizeBound;
use super::events::Known;
use super::{deliveries, erase, events, leases, retention};
use crate::state_column::{DISCARDED, PENDING, RUNNING, StateColumn};
use crate::steps::{AlreadyEnded, Deferred, Fence, LEASE, OpenState, Received, Started};
use landfall_model::{DedupKey, DeliveryState, LedgerTime};

/// Starts the attempt of a received event, if it may run. `None`: the ledger has reached its size
/// limit and cannot make room. Postgres: `start_received`.
pub(super) fn start(
    connection: &Connection,
    received: &Received,
    owner: &[u8],
    now: LedgerTime,
    bound: &SizeBound,
) -> rusqlite::Result<Option<Started>> {
    let event = received.new.stored.event();
    let mut find = connection.prepare_cached("SELECT seq FROM events WHERE id = ?")?;
    match find
        .query_row([event.id.as_bytes()], |row| row.get::<_, i64>(0))
        .optional()?
    {
        None => start_new(connection, received, owner, now, bound),
        Some(seq) => start_known(connection, received, seq, owner, now).map(Some),
    }
}

/// Stores an event that the ledger does not know, and starts its attempt.
fn start_new(
    connection: &Connection,
    received: &Received,
    owner: &[u8],
    now: LedgerTime,
    bound: &SizeBound,
) -> rusqlite::Result<Option<Started>> {
    let Received {
        new,
        replay,
        number,
    } = received;
    let hook = &*new.stored.event().hook;
    // A replay is no duplicate of the event that it runs again.
    let dedup = new.dedup.as_ref().filter(|_| replay.is_none());
    let (known, key) = match dedup {
        Some(dedup) => {
            let digest = new.stored.digest();
            events::find_earlier(connection, hook, dedup, digest, now).map(Some)?
        }
        None => None,
    }
    .unzip();
    let event = new.stored.event();
    if let Some(Known::Same(first)) = known
        // A duplicate of a dead event runs in its place.
        && deliveries::latest(connection, &first, now)?.0 != Some(OpenState::Replayed)
    {
        events::count_duplicate(connection, first.seq, &event.id)?;
        return Ok(Some(Started::AlreadyEnded(AlreadyEnded::DuplicateOf(
            first.id,
        ))));
    }
    if !bound.make_room(connection, hook, event.body.len() + new.stored.head().len())? {
        return Ok(None);
    }

    let seq = events::insert(connection, &new.stored)?;
    if let Some(cause) = new.stored.caused_by() {
        erase::set_cause(connection, &event.id, cause)?;
    }
    if let Some(key) = key {
        events::remember(connection, hook, &key, seq, now)?;
    }
    if let Some(replay) = replay {
        events::remember(connection, hook, &DedupKey::of_replay(replay), seq, now)?;
    }
    let delivery = deliveries::insert(connection, seq, hook, None, now, replay.is_some())?;
    if let Some(Known::Same(first)) = known {
        deliveries::set_replay_of(connection, delivery, &first)?;
    }

    let started = start_attempt(
        connection,
        Fence {
            delivery,
            attempt: (*number).max(1),
        },
        owner,
        now,
    )?;
    match (known, started) {
        (
            Some(Known::OtherBody(first)),
            Started::Run {
                fence, deferred, ..
            },
        ) => {
            events::count_conflict(connection, first.seq, &event.id)?;
            Ok(Some(Started::Run {
                fence,
                deferred,
                conflict: Some(first.id),
            }))
        }
        (_, started) => Ok(Some(started)),
    }
}

/// Starts the attempt of an event that the ledger has stored, if it is due.
fn start_known(
    connection: &Connection,
    received: &Received,
    seq: i64,
    owner: &[u8],
    now: LedgerTime,
) -> rusqlite::Result<Started> {
    let event = received.new.stored.event();
    let hook = &*event.hook;
    let mut find = connection.prepare_cached(
        "SELECT id, state, attempt, due, lease_until, reason, blocked FROM deliveries WHERE event = ?
         ORDER BY id DESC LIMIT 1",
    )?;
    type Found = (
        i64,
        DeliveryState,
        u32,
        i64,
        Option<i64>,
        Option<String>,
        bool,
    );
    let row = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Found> {
        Ok((
            row.get(0)?,
            StateColumn::read(row, 1, row.get(0)?, event.id)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
            row.get(6)?,
        ))
    };
    let found = find.query_row([seq], row).optional()?;
    match (found, &received.replay) {
        (Some((delivery, DeliveryState::Pending, attempt, due, ..)), replay) if due <= now.0 => {
            if let Some(replay) = replay {
                events::remember(connection, hook, &DedupKey::of_replay(replay), seq, now)?;
            }
            start_attempt(
                connection,
                Fence {
                    delivery,
                    attempt: attempt + 1,
                },
                owner,
                now,
            )
        }
        (Some((_, DeliveryState::Pending, _, due, ..)), _) => {
            Ok(Started::Wait(now.until(LedgerTime(due))))
        }
        // The delivery is being handed over, and the broker has delivered it already.
        (Some((delivery, DeliveryState::Running, attempt, .., false)), replay) => {
            if let Some(replay) = replay {
                events::remember(connection, hook, &DedupKey::of_replay(replay), seq, now)?;
            }
            start_attempt(connection, Fence { delivery, attempt }, owner, now)
        }
        (Some((_, DeliveryState::Running, _, _, until, ..)), _) => {
            Ok(Started::Wait(now.until(LedgerTime(until.unwrap_or(now.0)))))
        }
        (_, Some(replay))
            if !events::is_known(connection, hook, &DedupKey::of_replay(replay), now)? =>
        {
            events::remember(connection, hook, &DedupKey::of_replay(replay), seq, now)?;
            let delivery = deliveries::insert_again(connection, seq, hook, None, now, true)?;
            start_attempt(
                connection,
                Fence {
                    delivery,
                    attempt: 1,
                },
                owner,
                now,
            )
        }
        (Some((_, DeliveryState::Dead, _, _, _, reason, _)), _) => Ok(Started::AlreadyEnded(
            AlreadyEnded::Dead(reason.unwrap_or_default()),
        )),
        (Some(_), _) => Ok(Started::AlreadyEnded(AlreadyEnded::Done)),
        // The delivery was handed over to the broker, and its identity is still stored.
        (None, _) => {
            let body = &event.body[..];
            let mut insert = connection
                .prepare_cached("INSERT OR IGNORE INTO payloads (event, body) VALUES (?, ?)")?;
            if insert.execute(params![seq, body])? > 0 {
                events::count_use(connection, hook, body.len(), 0)?;
            }
            let delivery = deliveries::insert_again(connection, seq, hook, None, now, false)?;
            start_attempt(
                connection,
                Fence {
                    delivery,
                    attempt: 1,
                },
                owner,
                now,
            )
        }
    }
}

/// Leases a delivery for its next attempt, which counts from here on.
fn start_attempt(
    connection: &Connection,
    fence: Fence,
    owner: &[u8],
    now: LedgerTime,
) -> rusqlite::Result<Started> {
    let sql = format!(
        "UPDATE deliveries SET state = {RUNNING}, blocked = 1, attempt = ?, owner = ?, lease_until = ? WHERE id = ?"
    );
    let mut update = connection.prepare_cached(&sql)?;
    update.execute(params![
        fence.attempt,
        owner,
        now.plus(LEASE).0,
        fence.delivery
    ])?;

    let sql = "SELECT deferrals, deferred_since FROM deliveries WHERE id = ?";
    let mut select = connection.prepare_cached(sql)?;
    let deferred = select.query_row([fence.delivery], |row| {
        Ok(Deferred {
            count: row.get(0)?,
            since: row.get::<_, Option<i64>>(1)?.map(LedgerTime),
        })
    })?;
    Ok(Started::Run {
        fence,
        deferred,
        conflict: None,
    })
}

/// Removes leased deliveries that the broker has stored, and their events if nothing else refers to
/// them; their identities stay. A delivery that the broker has already redelivered is blocked, and
/// stays. Postgres: `hand_over`.
pub(super) fn hand_over(connection: &Connection, fences: &[Fence]) -> rusqlite::Result<()> {
    let sql = format!(
        "SELECT event FROM deliveries WHERE id = ? AND state = {RUNNING} AND blocked = 0 AND attempt = ?"
    );
    let mut find = connection.prepare_cached(&sql)?;
    for fence in fences {
        let event = find
            .query_row(params![fence.delivery, fence.attempt], |row| {
                row.get::<_, i64>(0)
            })
            .optional()?;
        let Some(event) = event else { continue };

        if fence.attempt > 1 {
            // The delivery has attempts: its row stays until the broker delivers the event.
            let sql = format!(
                "UPDATE deliveries SET state = {PENDING}, blocked = 1, attempt = attempt - 1, owner = NULL,
                 lease_until = NULL WHERE id = ?"
            );
            connection.prepare_cached(&sql)?.execute([fence.delivery])?;
            continue;
        }

        // For `unblock_next`, the delivery must not be open; and as done it would resolve dead
        // letters.
        let sql = format!("UPDATE deliveries SET state = {DISCARDED} WHERE id = ?");
        connection.prepare_cached(&sql)?.execute([fence.delivery])?;
        deliveries::unblock_next(connection, fence.delivery)?;
        connection
            .prepare_cached("DELETE FROM attempts WHERE delivery = ?")?
            .execute([fence.delivery])?;
        connection
            .prepare_cached("DELETE FROM deliveries WHERE id = ?")?
            .execute([fence.delivery])?;
        retention::drop_event(connection, event)?;
    }
    Ok(())
}

/// Releases leased deliveries that the broker has not stored, as far as is known. Postgres:
/// `release_unpublished`.
pub(super) fn release_unpublished(
    connection: &Connection,
    fences: &[Fence],
    due: LedgerTime,
) -> rusqlite::Result<()> {
    let mut find =
        connection.prepare_cached("SELECT 1 FROM deliveries WHERE id = ? AND blocked = 0")?;
    for fence in fences {
        if find.exists([fence.delivery])? {
            leases::release(connection, std::slice::from_ref(fence), due)?;
        }
    }
    Ok(())
}
