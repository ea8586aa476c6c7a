//! Recordings of attempts. They go with their attempts, by a trigger. Postgres: `recordings.rs`.

use rusqlite::{Connection, params};

use super::events::{self, COLUMNS};
use crate::held::ALONE;
use crate::recordings::{NewRecording, RecordedAttempt, RecordingFilter, StoredRecording};
use landfall_model::LedgerTime;

/// Stores those whose attempts the ledger has. Returns the others' places in the list.
pub(super) fn store(
    connection: &Connection,
    new: &[NewRecording],
    now: LedgerTime,
) -> rusqlite::Result<Vec<usize>> {
    let insert = "INSERT OR IGNORE INTO recordings (delivery, number, hook, until, recording)
                  SELECT a.delivery, a.number, ?, ?, ? FROM attempts a";
    // One may arrive after an operator has erased the event, or another one of the batch that ran.
    let kept = format!(
        "NOT EXISTS (SELECT 1 FROM deliveries d JOIN events e ON e.seq = d.event
                     WHERE d.id = a.delivery AND e.erased_ms IS NOT NULL)
         AND NOT EXISTS (SELECT 1 FROM deliveries m JOIN events e ON e.seq = m.event JOIN deliveries o ON o.id = m.batch
                         WHERE m.batch = a.delivery AND e.erased_ms IS NOT NULL
                         AND (o.flow <> {ALONE} OR a.number <= o.batch_attempts))"
    );
    let of_lease = format!("{insert} WHERE {kept} AND a.delivery = ? AND a.number = ?");
    let first_of = format!(
        "{insert} WHERE {kept} AND a.number = 1 AND a.delivery = (
             SELECT d.id FROM events e JOIN deliveries d ON d.event = e.seq WHERE e.id = ? ORDER BY d.id LIMIT 1)"
    );

    let mut missing = Vec::new();
    for (place, one) in new.iter().enumerate() {
        let until = one.keep.map(|keep| now.plus(keep).0);
        let (hook, recording) = (&*one.hook, &one.recording);
        let stored = match one.of {
            RecordedAttempt::OfLease(fence) => {
                connection.prepare_cached(&of_lease)?.execute(params![
                    hook,
                    until,
                    recording,
                    fence.delivery,
                    fence.attempt
                ])?
            }
            RecordedAttempt::FirstOf(event) => connection
                .prepare_cached(&first_of)?
                .execute(params![hook, until, recording, event.as_bytes()])?,
        };
        if stored == 0 {
            missing.push(place);
        }
    }
    Ok(missing)
}

/// Recordings with their events, newest first.
pub(super) fn list(
    connection: &Connection,
    filter: &RecordingFilter,
    now: LedgerTime,
) -> rusqlite::Result<Vec<StoredRecording>> {
    let sql = format!(
        "SELECT r.delivery, r.number, a.outcome, a.started_ms, d.replayed, r.recording, {COLUMNS}
         FROM recordings r JOIN attempts a ON a.delivery = r.delivery AND a.number = r.number
         JOIN deliveries d ON d.id = r.delivery JOIN events e ON e.seq = d.event
         LEFT JOIN payloads p ON p.event = e.seq
         WHERE (r.delivery, r.number) < (?1, ?2) AND (r.until IS NULL OR r.until > ?3)
         {hook}{event}
         AND (NOT ?6 OR a.outcome <> 'done') AND (?7 IS NULL OR a.started_ms >= ?7)
         ORDER BY r.delivery DESC, r.number DESC LIMIT ?8",
        hook = match filter.hook {
            Some(_) => "AND r.hook = ?4",
            None => "AND ?4 IS NULL",
        },
        event = match filter.event {
            Some(_) => " AND e.id = ?5",
            None => " AND ?5 IS NULL",
        },
    );
    let (delivery, attempt) = filter.before();
    let event = filter.event.as_ref().map(|event| event.as_bytes());
    let mut select = connection.prepare_cached(&sql)?;
    let found = select.query_map(
        params![
            delivery,
            attempt,
            now.0,
            filter.hook,
            event,
            filter.is_failed,
            filter.since_ms,
            filter.limit as i64
        ],
        |row| {
            Ok(StoredRecording {
                delivery: row.get(0)?,
                attempt: row.get(1)?,
                outcome: row.get(2)?,
                started_ms: row.get(3)?,
                is_replay: row.get(4)?,
                recording: row.get(5)?,
                event: events::read(row, 6)?.and_then(Result::ok),
            })
        },
    )?;
    found.collect()
}

/// Removes up to `limit` recordings whose time is over. Returns how many.
pub(super) fn expire(
    connection: &Connection,
    now: LedgerTime,
    limit: i64,
) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM recordings WHERE (delivery, number) IN (
                   SELECT delivery, number FROM recordings WHERE until < ? ORDER BY until LIMIT ?)";
    connection
        .prepare_cached(sql)?
        .execute(params![now.0, limit])
}
