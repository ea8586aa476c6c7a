//! Discards deliveries, and makes retries due.

use std::collections::HashSet;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::errors::OrderErrors;
use super::order::{Order, SHOWN_MAX, Selected};
use crate::api::delivery::{Delivery, deliveries as shown};
use crate::api::error::{ApiJson, Refusal, answered, bad_request, failed};
use crate::events::Events;
use landfall_ledger::Step;
use landfall_model::DeliveryState;

const REASON_CHARACTERS_MAX: usize = 500;

/// The response to a discard or a retry now.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Stepped {
    /// Number of deliveries that were changed, or would be in a dry run.
    deliveries: usize,
    /// Whether nothing was changed.
    dry_run: bool,
    /// Number of deliveries that were skipped: in another state, or just started by a worker.
    skipped: usize,
    /// Ids that match no event.
    unknown: Vec<String>,
    /// The first of them, where this is a dry run.
    shown: Vec<Delivery>,
    /// The `after` of the next request. Null at the end.
    next: Option<i64>,
    /// The `before` of the next request.
    before: Option<i64>,
}

/// Gives up dead or pending deliveries. `reason` is required.
#[utoipa::path(
    post,
    path = "/api/v1/discard",
    operation_id = "discard",
    tag = "commands",
    request_body = Order,
    responses(
        (status = 200, body = Stepped),
        OrderErrors,
    )
)]
pub(crate) async fn discard(
    State(events): State<Events>,
    ApiJson(order): ApiJson<Order>,
) -> Response {
    answered(discard_page(&events, order).await)
}

async fn discard_page(events: &Events, order: Order) -> Result<Stepped, Refusal> {
    let order = order.check("discard")?;
    let reason = order.reason.clone().unwrap_or_default().trim().to_owned();
    if reason.is_empty() || reason.chars().count() > REASON_CHARACTERS_MAX {
        return Err(bad_request(format!(
            "say why, in `reason`: 1 to {REASON_CHARACTERS_MAX} characters"
        )));
    }

    let states = match (order.events.is_empty(), order.state(DeliveryState::Dead)?) {
        (true, state @ (DeliveryState::Dead | DeliveryState::Pending)) => vec![state],
        (true, _) => {
            return Err(bad_request(
                "only dead and pending deliveries can be discarded",
            ));
        }
        (false, _) => vec![DeliveryState::Dead, DeliveryState::Pending],
    };

    let stepped = step(events, &order, states, Step::Discard(reason.clone())).await?;
    if !order.dry_run {
        tracing::info!(
            deliveries = stepped.deliveries,
            hook = order.hook,
            reason,
            "an operator discards deliveries"
        );
    }

    Ok(stepped)
}

/// Makes pending deliveries due now.
#[utoipa::path(
    post,
    path = "/api/v1/retry-now",
    operation_id = "retry_now",
    tag = "commands",
    request_body = Order,
    responses(
        (status = 200, body = Stepped),
        OrderErrors,
    )
)]
pub(crate) async fn retry_now(
    State(events): State<Events>,
    ApiJson(order): ApiJson<Order>,
) -> Response {
    answered(retry_page(&events, order).await)
}

async fn retry_page(events: &Events, order: Order) -> Result<Stepped, Refusal> {
    let order = order.check("retry-now")?;
    let states = vec![DeliveryState::Pending, DeliveryState::Waiting];
    let stepped = step(events, &order, states, Step::RetryNow).await?;
    if !order.dry_run {
        tracing::info!(
            deliveries = stepped.deliveries,
            hook = order.hook,
            "an operator makes retries due"
        );
    }

    Ok(stepped)
}

async fn step(
    events: &Events,
    order: &Order,
    states: Vec<DeliveryState>,
    step: Step,
) -> Result<Stepped, Refusal> {
    let Selected {
        mut deliveries,
        unknown,
        skipped,
        next,
        before,
    } = order.select(events, states).await?;
    let asked = deliveries.len();
    if matches!(step, Step::RetryNow) {
        // Deliveries that are due already are not counted.
        deliveries.retain(|one| one.due_in_ms.is_some_and(|due| due > 0));
    }

    let stepped = Stepped {
        skipped: skipped + asked - deliveries.len(),
        unknown,
        next,
        before,
        ..Stepped::default()
    };
    if order.dry_run {
        let count = deliveries.len();
        deliveries.truncate(SHOWN_MAX);
        return Ok(Stepped {
            deliveries: count,
            dry_run: true,
            shown: shown(events, deliveries),
            ..stepped
        });
    }

    let ids: Vec<i64> = deliveries.iter().map(|one| one.delivery).collect();
    let asked = ids.len();
    let done: HashSet<i64> = events
        .ledger
        .operate(step, ids)
        .await
        .map_err(failed)?
        .into_iter()
        .collect();
    landfall_model::kill_point!("stepped");
    let hooks: HashSet<&str> = deliveries
        .iter()
        .filter(|one| done.contains(&one.delivery))
        .map(|one| one.hook.as_str())
        .collect();
    events.wake(hooks.into_iter());
    Ok(Stepped {
        deliveries: done.len(),
        skipped: stepped.skipped + asked - done.len(),
        ..stepped
    })
}
