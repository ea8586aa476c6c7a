//! Events that a broker brings: each asked for by itself, since it comes by itself.

use std::time::Duration;

use deadpool_postgres::Object;
use uuid::Uuid;

use super::writer::indexed;
use super::{Cached, millis, received};
use crate::ledger::steps::{Arrived, Brought, DedupKey, Fence, LEASE};

/// Where the event stands; its attempt has begun if it may.
pub async fn arrive(client: &Object, brought: &Brought, owner: Uuid) -> Result<Arrived, tokio_postgres::Error> {
    let Brought { new, replay, number } = brought;
    let event = new.stored.event();
    let (id, hook): (_, &str) = (event.id.uuid(), &event.hook);
    let (key, window) = match &new.dedup {
        Some(dedup) => (Some(indexed(&dedup.key)), millis(dedup.window)),
        None => (None, 0),
    };
    let wish = replay.as_ref().map(DedupKey::of_replay);
    let (wish, wish_window) = wish.map_or((None, 0), |wish| (Some(wish.key), millis(wish.window)));
    let sql = "SELECT kind, delivery, number, wait, why FROM arrive($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
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
                &window,
                &wish,
                &wish_window,
                &i32::try_from(*number).unwrap_or(i32::MAX),
                &owner,
                &millis(LEASE),
            ],
        )
        .await?;
    Ok(match row.get::<_, i32>(0) {
        0 => Arrived::Begun(Fence { delivery: row.get(1), attempt: row.get::<_, i32>(2) as u32 }),
        1 => Arrived::Ended(row.get(4)),
        _ => Arrived::Waits(Duration::from_millis(row.get::<_, i64>(3).max(0) as u64)),
    })
}
