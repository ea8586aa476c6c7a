//! Events that a broker delivers. The broker delivers them one by one, so each is one statement.
//! SQLite: `arrivals.rs`.

use std::time::Duration;

use deadpool_postgres::Object;
use uuid::Uuid;

use super::accept::{Keys, open_state};
use super::privacy;
use super::query::{Cached, deferred, millis, received};
use crate::steps::{Accepted, AlreadyEnded, Fence, Received, SHARED_LEASE, Started};
use landfall_model::{DedupKey, EventId};

/// Starts the attempt of a received event, if it may run. SQLite: `arrivals::start`.
pub(super) async fn start(
    client: &Object,
    event: &Received,
    owner: Uuid,
) -> Result<Started, tokio_postgres::Error> {
    let Received {
        new,
        replay,
        number,
    } = event;
    let event = new.stored.event();
    let (id, hook): (_, &str) = (event.id.uuid(), &event.hook);
    let Keys {
        key,
        body_key,
        window,
    } = Keys::of(new);
    let (replay_key, replay_window) = match replay.as_ref().map(DedupKey::of_replay) {
        Some(replay) => (Some(replay.key), millis(replay.window)),
        None => (None, 0),
    };
    let timing = new.stored.timing();
    let sql = "SELECT kind, delivery, number, wait, why, other, deferrals, deferred_since
               FROM start_received($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    let row = client
        .query_one_cached(
            sql,
            &[
                &id,
                &hook,
                &received(&new.stored),
                &new.stored.head(),
                &&event.body[..],
                &&new.stored.digest()[..],
                &&new.stored.checksum()[..],
                &key,
                &body_key,
                &window,
                &replay_key,
                &replay_window,
                &i32::try_from(*number).unwrap_or(i32::MAX),
                &owner,
                &millis(SHARED_LEASE),
                &timing.verify_us(),
                &timing.since_read_us(),
            ],
        )
        .await?;
    if let Some(cause) = new.stored.caused_by() {
        privacy::set_cause_of_received(client, &event.id, cause).await?;
    }
    let other = row
        .get::<_, Option<Uuid>>(5)
        .map(|id| EventId::from_bytes(id.into_bytes()));
    Ok(match row.get::<_, i32>(0) {
        0 => Started::Run {
            fence: Fence {
                delivery: row.get(1),
                attempt: row.get::<_, i32>(2) as u32,
            },
            deferred: deferred(&row, 6),
            conflict: other,
        },
        1 => Started::AlreadyEnded(
            row.get::<_, Option<String>>(4)
                .map_or(AlreadyEnded::Done, AlreadyEnded::Dead),
        ),
        3 => Started::AlreadyEnded(AlreadyEnded::DuplicateOf(other.unwrap_or(event.id))),
        _ => Started::Wait(Duration::from_millis(row.get::<_, i64>(3).max(0) as u64)),
    })
}

/// The earlier event with this identity and this body. SQLite: `accept::find_duplicate`.
pub(super) async fn find_duplicate(
    client: &Object,
    hook: &str,
    dedup: &DedupKey,
    digest: &[u8; 32],
    duplicate: EventId,
) -> Result<Option<Accepted>, tokio_postgres::Error> {
    let Keys { key, body_key, .. } = Keys::from_dedup(dedup, digest);
    let sql = "SELECT other, state, wait, reply FROM find_duplicate($1, $2, $3, $4, $5, $6)";
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 6] = [
        &hook,
        &key,
        &body_key,
        &&digest[..],
        &duplicate.uuid(),
        &duplicate.time_ms(),
    ];
    let rows = client.query_cached(sql, &parameters).await?;
    Ok(rows.first().map(|row| {
        let of = EventId::from_bytes(row.get::<_, Uuid>(0).into_bytes());
        Accepted::repeat(of, open_state(row, 1), row.get(3))
    }))
}
