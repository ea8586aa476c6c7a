//! A delivery, as lists and commands show it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::events::Events;
use landfall_ledger::Listed;
use landfall_model::DeliveryState;

/// One delivery and its event, without the body.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Delivery {
    /// The number of the delivery. Lists are newest first.
    pub(crate) delivery: i64,
    /// The id of the event.
    event: String,
    /// The name of the hook.
    pub(crate) hook: String,
    /// When the event was received, in RFC 3339.
    received_at: String,
    /// `waiting`, `pending`, `running`, `done`, `dead`, `resolved`, `discarded`, `filtered` or
    /// `superseded`.
    #[schema(value_type = String, example = "dead")]
    pub(crate) state: DeliveryState,
    /// Started attempts.
    pub(crate) attempt: u32,
    /// Those of them that deferred the event.
    pub(crate) deferrals: u32,
    /// The time until the next attempt, if the delivery is pending; until its group is closed, if it is
    /// waiting.
    due_in_ms: Option<u64>,
    /// Why the delivery is dead, was retried, or is filtered.
    reason: Option<String>,
    /// Whether the delivery is a replay.
    replayed: bool,
    /// The delivery that this one repeats.
    replay_of: Option<i64>,
    /// The later delivery that handled the event, if this one is resolved.
    resolved_by: Option<i64>,
    /// The operator's reason, if the delivery was discarded.
    discarded: Option<String>,
    /// What the delivery waits for. While it is `waiting`: `debounce` or `batch`. While it is
    /// `pending`: `retry`, its next attempt; `start`, its first attempt at a later time, such as
    /// that of a replay; `resume`, because its hook is paused. Otherwise null: it is due.
    #[schema(example = "retry")]
    waits_for: Option<&'static str>,
    /// The event of the same debounced group that runs instead, if this one is superseded.
    superseded_by: Option<String>,
    /// The first event of the batch of the delivery. Its delivery has the attempts of the batch.
    batch: Option<String>,
    /// The number of events of that batch.
    batch_size: Option<i64>,
    /// The size of the body.
    body_bytes: i64,
    /// Duplicates of the event, which did not run.
    duplicates: i64,
    /// Other events with the same identity and another body.
    conflicts: i64,
    /// When an operator erased what the event contained, in RFC 3339.
    erased_at: Option<String>,
}

// === impl Delivery ===

impl From<Listed> for Delivery {
    fn from(listed: Listed) -> Delivery {
        let is_later = listed.due_in_ms.is_some_and(|due| due > 0);
        let pending_for = match (listed.state, listed.attempt) {
            (DeliveryState::Pending, 0) if is_later => Some("start"),
            (DeliveryState::Pending, _) if is_later => Some("retry"),
            _ => None,
        };
        Delivery {
            delivery: listed.delivery,
            event: listed.event,
            hook: listed.hook,
            received_at: listed.received_at,
            state: listed.state,
            attempt: listed.attempt,
            deferrals: listed.deferrals,
            due_in_ms: listed.due_in_ms,
            reason: listed.reason,
            replayed: listed.replayed,
            replay_of: listed.replay_of,
            resolved_by: listed.resolved_by,
            discarded: listed.discarded,
            waits_for: listed.waits_for.or(pending_for),
            superseded_by: listed.superseded_by,
            batch: listed.batch,
            batch_size: listed.batch_size,
            body_bytes: listed.body_bytes,
            duplicates: listed.duplicates,
            conflicts: listed.conflicts,
            erased_at: listed.erased_at,
        }
    }
}

/// Deliveries as they are shown.
pub(crate) fn deliveries(events: &Events, listed: Vec<Listed>) -> Vec<Delivery> {
    let mut deliveries: Vec<Delivery> = listed.into_iter().map(Delivery::from).collect();
    for one in &mut deliveries {
        if one.state == DeliveryState::Pending && events.is_paused(&one.hook) {
            one.waits_for = Some("resume");
        }
    }
    deliveries
}
