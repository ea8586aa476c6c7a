//! Accepting an event: a call of `functions/deliveries.sql`. SQLite: `accept.rs`.

use std::time::Duration;

use deadpool_postgres::Transaction;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use uuid::Uuid;

use super::held;
use super::query::{Cached, millis, received};
use crate::flow_counts::FlowNotes;
use crate::state_column::StateColumn;
use crate::steps::{Accepted, Fence, NewEvent, OpenState, SHARED_LEASE};
use landfall_model::{Admission, DedupKey, DeliveryState, EventId};

/// Longer keys are stored as their digest.
const KEY_BYTES_MAX: usize = 512;

/// A key that an index can hold: the digest of a long key.
pub(super) fn indexed(key: &[u8]) -> Vec<u8> {
    if key.len() <= KEY_BYTES_MAX {
        key.to_vec()
    } else {
        [b"sha256\0", &Sha256::digest(key)[..]].concat()
    }
}

/// Stores a new event with its delivery, unless it repeats an earlier event. SQLite:
/// `accept::accept`.
pub(super) async fn accept(
    transaction: &Transaction<'_>,
    new: &NewEvent,
    owner: Option<Uuid>,
    notes: &mut FlowNotes,
) -> Result<Accepted, tokio_postgres::Error> {
    let event = new.stored.event();
    let (id, hook): (_, &str) = (event.id.uuid(), &event.hook);
    let Keys {
        key,
        body_key,
        window,
    } = Keys::of(new);
    let order_key = new.order_key.as_deref().map(|key| indexed(key.as_bytes()));
    let timing = new.stored.timing();
    // An event that waits has its order key when it may run, and no lease before.
    let runs = new.admission == Admission::Run;
    let (order_now, owner) = (order_key.as_ref().filter(|_| runs), owner.filter(|_| runs));
    let sql = "SELECT kind, other, delivery, state, wait, reply
               FROM accept($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, false, $16, $17)";
    let row = transaction
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
                &order_now,
                &millis(new.delay),
                &owner,
                &millis(SHARED_LEASE),
                &new.dead,
                &timing.verify_us(),
                &timing.since_read_us(),
            ],
        )
        .await?;
    let fence = row.get::<_, Option<i64>>(2).map(|delivery| Fence {
        delivery,
        attempt: 1,
    });
    let other = row
        .get::<_, Option<Uuid>>(1)
        .map(|id| EventId::from_bytes(id.into_bytes()));
    if !runs && row.get::<_, i32>(0) != 1 {
        let order_key = order_key.as_deref();
        let done = held::admit(transaction, event, &new.admission, order_key).await?;
        notes.add_sum(hook, done);
    }
    Ok(match (row.get::<_, i32>(0), other) {
        (1, Some(of)) => Accepted::repeat(of, open_state(&row, 3), row.get(5)),
        (2, conflict) => Accepted::New { fence, conflict },
        _ => Accepted::New {
            fence,
            conflict: None,
        },
    })
}

/// The keys of an event's identity, as an index can hold them.
pub(super) struct Keys {
    /// The key of the identity, if the event has one.
    pub key: Option<Vec<u8>>,
    /// The key of the body under that identity. `None` if the identity alone decides.
    pub body_key: Option<Vec<u8>>,
    /// How long the identity is stored, in ms.
    pub window: i64,
}

// === impl Keys ===

impl Keys {
    pub(super) fn of(new: &NewEvent) -> Keys {
        match &new.dedup {
            Some(dedup) => Keys::from_dedup(dedup, new.stored.digest()),
            None => Keys {
                key: None,
                body_key: None,
                window: 0,
            },
        }
    }

    pub(super) fn from_dedup(dedup: &DedupKey, digest: &[u8; 32]) -> Keys {
        Keys {
            key: Some(indexed(&dedup.key)),
            body_key: dedup.of_body(digest).map(|dedup| indexed(&dedup.key)),
            window: millis(dedup.window),
        }
    }
}

/// The state of an earlier event's delivery, and when it is due, from two columns.
pub(super) fn open_state(row: &Row, at: usize) -> Option<OpenState> {
    let StateColumn(state) = row.get(at);
    let wait_ms = row.get::<_, Option<i64>>(at + 1).unwrap_or(0).max(0);
    match state {
        DeliveryState::Pending | DeliveryState::Waiting => {
            Some(OpenState::Pending(Duration::from_millis(wait_ms as u64)))
        }
        DeliveryState::Running => Some(OpenState::Running),
        DeliveryState::Dead => Some(OpenState::Replayed),
        DeliveryState::Done
        | DeliveryState::Resolved
        | DeliveryState::Discarded
        | DeliveryState::Filtered
        | DeliveryState::Superseded => None,
    }
}
