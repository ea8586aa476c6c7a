//! Leases of deliveries: claimed, extended, released, and recovered from processes that ended. Each
//! function runs inside a transaction of its caller.

use rusqlite::{Connection, params};

use super::events::{self, COLUMNS};
use super::{deliveries, held, held_groups, held_members};
use crate::flow_counts::FlowNotes;
use crate::state_column::{PENDING, RUNNING, StateColumn};
use crate::steps::{AttemptRecord, CLAIM_AGAIN, Claimed, Deferred, Fence, LEASE, UNFINISHED_MAX};
use landfall_model::{DeliveryState, LedgerTime};

/// Leases up to `max` due deliveries of a hook, the longest due first. Also returns when the next
/// one is due. Postgres: `claim` in `postgres/mod.rs`.
pub(super) fn claim(
    connection: &Connection,
    hook: &str,
    max: usize,
    owner: &[u8],
    now: LedgerTime,
    notes: &mut FlowNotes,
) -> rusqlite::Result<(Vec<Claimed>, Option<LedgerTime>)> {
    held::close_due(connection, hook, now, notes)?;
    let sql = format!(
        "SELECT d.id, d.attempt, d.replayed, d.due, d.deferrals + d.batch_attempts, d.deferred_since, {COLUMNS},
             d.batch IS d.id
         FROM deliveries d LEFT JOIN events e ON e.seq = d.event
         LEFT JOIN payloads p ON p.event = e.seq
         WHERE d.hook = ? AND d.state = {PENDING} AND d.blocked = 0 AND d.due <= ? ORDER BY d.due LIMIT ?"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let found = select.query_map(params![hook, now.0, max as i64], |row| {
        // A damaged number must not stop the other deliveries.
        let attempt = row.get(1).unwrap_or(0);
        let fence = Fence {
            delivery: row.get(0)?,
            attempt: attempt + 1,
        };
        // The hook in the delivery has no checksum; the hook in the event has one.
        let event =
            events::read(row, 6)?.map(|event| event.and_then(|event| events::of_hook(event, hook)));
        let due = LedgerTime(row.get(3).unwrap_or(0));
        let deferred = Deferred {
            count: row.get(4).unwrap_or(0),
            since: row.get(5).unwrap_or(None).map(LedgerTime),
        };
        let claimed = Claimed {
            fence,
            deferred,
            event,
            replayed: row.get(2).unwrap_or(false),
            due,
            members: Vec::new(),
        };
        Ok((claimed, row.get(13).unwrap_or(false)))
    })?;
    let found: Vec<(Claimed, bool)> = found.collect::<Result<_, _>>()?;

    let mut claimed = Vec::with_capacity(found.len());
    for (mut one, is_batch) in found {
        deliveries::start_attempt(connection, one.fence, owner, now)?;
        if is_batch {
            one.members = held_members::members(connection, one.fence.delivery, hook)?;
        }
        claimed.push(one);
    }

    Ok((claimed, next_due(connection, hook)?))
}

/// As `claim`. If a damaged row of the hook makes that impossible, nothing of this hook changes,
/// and others go on: the hook is due again after `CLAIM_AGAIN`. Postgres: in `Deliveries::claim`.
pub(super) fn claim_apart(
    connection: &Connection,
    hook: &str,
    max: usize,
    owner: &[u8],
    now: LedgerTime,
    notes: &mut FlowNotes,
) -> rusqlite::Result<(Vec<Claimed>, Option<LedgerTime>)> {
    let mut own_notes = FlowNotes::default();
    connection.execute_batch("SAVEPOINT of_hook")?;
    match claim(connection, hook, max, owner, now, &mut own_notes) {
        Ok(claimed) => {
            connection.execute_batch("RELEASE of_hook")?;
            notes.append(own_notes);
            Ok(claimed)
        }
        Err(error) if is_damage(&error) => {
            connection.execute_batch("ROLLBACK TO of_hook; RELEASE of_hook")?;
            tracing::error!(
                hook,
                %error,
                "a damaged row keeps the events of this hook from running; other hooks go on"
            );
            Ok((Vec::new(), Some(now.plus(CLAIM_AGAIN))))
        }
        Err(error) => Err(error),
    }
}

/// Whether a value has another type than its column.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    )
}

/// When the next delivery or group of a hook is due.
fn next_due(connection: &Connection, hook: &str) -> rusqlite::Result<Option<LedgerTime>> {
    let delivery = deliveries::next_due(connection, hook)?;
    let group = held_groups::next_due(connection, hook)?;
    Ok(delivery.into_iter().chain(group).min())
}

/// Hooks with pending deliveries or open groups, and when the first of each is due. Postgres:
/// `read::hooks_with_work`.
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
            break;
        };
        let due = deliveries::next_due(connection, &hook)?.unwrap_or(LedgerTime(0));
        found.push((hook, due));
    }

    for (hook, due) in held_groups::hooks(connection)? {
        match found.iter_mut().find(|(name, _)| *name == hook) {
            Some((_, first)) => *first = due.min(*first),
            None => found.push((hook, due)),
        }
    }
    Ok(found)
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

/// Frees deliveries whose lease has expired, and all deliveries that an earlier process leased. An
/// attempt that ended with its process counts: after `UNFINISHED_MAX` of them in a row the delivery
/// is dead. Returns how many deliveries were freed, and how many of those are dead. Postgres:
/// `recover`.
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
        let is_over = *unfinished >= UNFINISHED_MAX;
        // One event of the batch may be at fault: each runs alone.
        let is_split = is_over && held_members::has_members(connection, *delivery)?;
        let is_dead = is_over && !is_split;
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
        deliveries::write_attempt(
            connection,
            Fence {
                delivery: *delivery,
                attempt: *attempt,
            },
            &record,
        )?;
        if is_split {
            held_members::split(connection, *delivery, now)?;
        }
        if is_dead {
            dead += 1;
            deliveries::unblock_next(connection, *delivery)?;
        }
    }

    Ok((lost.len(), dead))
}
