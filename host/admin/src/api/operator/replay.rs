//! Runs events again.

use std::collections::HashSet;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::errors::OrderErrors;
use super::order::{Order, SHOWN_MAX, Selected};
use crate::api::delivery::{Delivery, deliveries as shown};
use crate::api::error::{ApiJson, Refusal, answered, bad_request, failed};
use crate::events::Events;
use landfall_ledger::{Listed, Pick, ReplayOrder, Replayed as Fate};
use landfall_model::{DeliveryState, EventId};

/// Replays that start per second, unless the request says otherwise.
const RATE_DEFAULT: f64 = 100.0;
/// The longest delay of the first event: a year, in milliseconds.
const DELAY_MS_MAX: u64 = 365 * 86_400_000;

/// The response to a replay.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Replayed {
    /// Number of events that run again, or would in a dry run.
    events: usize,
    /// Whether nothing was changed.
    dry_run: bool,
    /// They wait or run already.
    waiting: usize,
    /// Number of events that another command has replayed since this request selected them.
    repeated: usize,
    /// Number of events that are messages which no node could decode: no hook runs them.
    undecodable: usize,
    /// Number of the events that run again whose hook does not exist on this node: they wait for
    /// it.
    orphaned: usize,
    /// Number of events that were skipped because an operator had discarded them and `again` was
    /// not set.
    discarded: usize,
    /// Number of events of which an operator has erased what they contained: nothing is left to run.
    erased: usize,
    /// Ids that match no event.
    unknown: Vec<String>,
    /// The first of them, where this is a dry run.
    shown: Vec<Delivery>,
    /// The `after` of the next request. Null at the end.
    next: Option<i64>,
    /// The `before` of the next request.
    before: Option<i64>,
}

/// Runs events again: the given ones, or one page of a hook's.
///
/// Only this command takes `again`, `per_second` and `delay_ms`.
#[utoipa::path(
    post,
    path = "/api/v1/replay",
    operation_id = "replay",
    tag = "commands",
    request_body = Order,
    responses(
        (status = 200, body = Replayed),
        OrderErrors,
    )
)]
pub(crate) async fn replay(
    State(events): State<Events>,
    ApiJson(order): ApiJson<Order>,
) -> Response {
    answered(replay_page(&events, order).await)
}

async fn replay_page(events: &Events, order: Order) -> Result<Replayed, Refusal> {
    let order = order.check("replay")?;
    let per_second = order.per_second.unwrap_or(RATE_DEFAULT);
    if !(0.001..=100_000.0).contains(&per_second) {
        return Err(bad_request("per_second is out of range: 0.001 to 100000"));
    }
    if order.delay_ms.is_some_and(|delay| delay > DELAY_MS_MAX) {
        return Err(bad_request(
            "delay_ms is out of range: 0 to 31536000000, a year",
        ));
    }

    let again = order.again.unwrap_or(false);
    let (chosen, selected) = if order.events.is_empty() {
        let asked = order.state(DeliveryState::Dead)?;
        // An event that a later delivery has handled, or will, is not run again.
        let (states, pick) = match (asked, again) {
            (DeliveryState::Dead, true) => {
                let failed = vec![
                    DeliveryState::Dead,
                    DeliveryState::Resolved,
                    DeliveryState::Discarded,
                ];
                (failed, Pick::LatestFailed)
            }
            (state, true) => (vec![state], Pick::All),
            (state, false) => (vec![state], Pick::Latest),
        };

        let selected = order.page(events, states, pick).await?;
        (chosen(&selected.deliveries, again), selected)
    } else {
        let (ids, unknown) = order.ids(events).await?;
        let selected = Selected {
            unknown,
            ..Selected::default()
        };
        (ids.into_iter().map(|id| (id, None)).collect(), selected)
    };

    let Selected {
        mut deliveries,
        unknown,
        next,
        before,
        ..
    } = selected;
    #[cfg(debug_assertions)]
    super::hold_point::hold_point("selected").await;
    let dry_run = order.dry_run;
    let replays = ReplayOrder {
        events: chosen.clone(),
        delay: Duration::from_millis(order.delay_ms.unwrap_or(0)),
        apart: Duration::from_secs_f64(1.0 / per_second),
        again,
        dry_run,
    };
    let fates = events.ledger.replay(replays).await.map_err(failed)?;
    landfall_model::kill_point!("replayed");
    deliveries.truncate(if dry_run { SHOWN_MAX } else { 0 });
    let mut replayed = Replayed {
        dry_run,
        shown: shown(events, deliveries),
        unknown,
        next,
        before,
        ..Replayed::default()
    };
    for ((id, _), fate) in chosen.iter().zip(&fates) {
        match fate {
            Fate::Queued(hook) => {
                replayed.events += 1;
                replayed.orphaned += usize::from(events.is_orphan(hook));
                if !dry_run {
                    events.wake(std::iter::once(hook.as_str()));
                }
            }
            Fate::Waiting => replayed.waiting += 1,
            Fate::Repeated => replayed.repeated += 1,
            Fate::Discarded => replayed.discarded += 1,
            Fate::Erased => replayed.erased += 1,
            Fate::Undecodable => replayed.undecodable += 1,
            Fate::Unknown => replayed.unknown.push(id.to_string()),
        }
    }

    if dry_run {
        return Ok(replayed);
    }

    tracing::info!(
        events = replayed.events,
        hook = order.hook,
        state = order.state,
        "an operator replays events"
    );
    Ok(replayed)
}

/// The events of these deliveries, each with the delivery to repeat. With `again`, events may have
/// later ones.
fn chosen(deliveries: &[Listed], again: bool) -> Vec<(EventId, Option<i64>)> {
    let mut seen = HashSet::new();
    deliveries
        .iter()
        .filter_map(|one| Some((one.event.parse().ok()?, (!again).then_some(one.delivery))))
        .filter(|(event, _)| seen.insert(*event))
        .collect()
}
