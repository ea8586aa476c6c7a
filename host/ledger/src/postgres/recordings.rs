//! Recordings of attempts. They go with their attempts, by a foreign key. SQLite: `recordings.rs`.

use deadpool_postgres::Object;
use tokio_postgres::{Error, Row};

use super::query::{Cached, event_of, millis};
use crate::held::ALONE;
use crate::recordings::{NewRecording, RecordedAttempt, RecordingFilter, StoredRecording};

/// Stores those whose attempts the ledger has. Returns the others' places in the list.
pub(super) async fn store(client: &Object, new: &[NewRecording]) -> Result<Vec<usize>, Error> {
    let insert = "INSERT INTO recordings (delivery, number, hook, until, recording)
                  SELECT a.delivery, a.number, $1::text, now_ms() + $2::bigint, $3::bytea FROM attempts a";
    // One may arrive after an operator has erased the event, or another one of the batch that ran.
    let kept = format!(
        "NOT EXISTS (SELECT 1 FROM deliveries d JOIN events e ON e.seq = d.event
                     WHERE d.id = a.delivery AND e.erased_ms IS NOT NULL)
         AND NOT EXISTS (SELECT 1 FROM deliveries m JOIN events e ON e.seq = m.event JOIN deliveries o ON o.id = m.batch
                         WHERE m.batch = a.delivery AND e.erased_ms IS NOT NULL
                         AND (o.flow <> {ALONE} OR a.number <= o.batch_attempts))"
    );
    let of_lease = format!(
        "{insert} WHERE {kept} AND a.delivery = $4 AND a.number = $5 ON CONFLICT DO NOTHING"
    );
    let first_of = format!(
        "{insert} WHERE {kept} AND a.number = 1 AND a.delivery = (
             SELECT d.id FROM events e JOIN deliveries d ON d.event = e.seq WHERE e.id = $4 ORDER BY d.id LIMIT 1)
         ON CONFLICT DO NOTHING"
    );

    let mut missing = Vec::new();
    for (place, one) in new.iter().enumerate() {
        let (hook, keep) = (&*one.hook, one.keep.map(millis));
        let stored = match one.of {
            RecordedAttempt::OfLease(fence) => {
                let number = fence.attempt as i32;
                client
                    .execute_cached(
                        &of_lease,
                        &[&hook, &keep, &one.recording, &fence.delivery, &number],
                    )
                    .await?
            }
            RecordedAttempt::FirstOf(event) => {
                client
                    .execute_cached(&first_of, &[&hook, &keep, &one.recording, &event.uuid()])
                    .await?
            }
        };
        if stored == 0 {
            missing.push(place);
        }
    }
    Ok(missing)
}

/// Recordings with their events, newest first.
pub(super) async fn list(
    client: &Object,
    filter: &RecordingFilter,
) -> Result<Vec<StoredRecording>, Error> {
    let sql = "SELECT r.delivery, r.number, a.outcome, a.started_ms, d.replayed, r.recording,
                      e.id, e.hook, e.received_ms, e.head, e.body_digest, e.checksum, p.body
               FROM recordings r JOIN attempts a ON a.delivery = r.delivery AND a.number = r.number
               JOIN deliveries d ON d.id = r.delivery JOIN events e ON e.seq = d.event
               LEFT JOIN payloads p ON p.event = e.seq
               WHERE (r.delivery, r.number) < ($1, $2) AND (r.until IS NULL OR r.until > now_ms())
               AND ($3::text IS NULL OR r.hook = $3) AND ($4::uuid IS NULL OR e.id = $4)
               AND (NOT $5 OR a.outcome <> 'done') AND ($6::bigint IS NULL OR a.started_ms >= $6)
               ORDER BY r.delivery DESC, r.number DESC LIMIT $7";
    let (delivery, attempt) = filter.before();
    let attempt = i32::try_from(attempt).unwrap_or(i32::MAX);
    let event = filter.event.map(|event| event.uuid());
    let limit = filter.limit as i64;
    let rows = client
        .query_cached(
            sql,
            &[
                &delivery,
                &attempt,
                &filter.hook,
                &event,
                &filter.is_failed,
                &filter.since_ms,
                &limit,
            ],
        )
        .await?;
    Ok(rows.iter().map(recording).collect())
}

/// Removes up to `limit` recordings whose time is over. Returns how many.
pub(super) async fn expire(client: &Object, limit: i64) -> Result<u64, Error> {
    let sql = "DELETE FROM recordings WHERE (delivery, number) IN (
                   SELECT delivery, number FROM recordings WHERE until < now_ms() ORDER BY until LIMIT $1
                   FOR UPDATE SKIP LOCKED)";
    client.execute_cached(sql, &[&limit]).await
}

fn recording(row: &Row) -> StoredRecording {
    StoredRecording {
        delivery: row.get(0),
        attempt: row.get::<_, i32>(1).unsigned_abs(),
        outcome: row.get(2),
        started_ms: row.get(3),
        is_replay: row.get(4),
        recording: row.get(5),
        event: event_of(row, 6).and_then(Result::ok),
    }
}
