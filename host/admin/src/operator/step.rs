//! Discards deliveries, and makes retries due.

use std::collections::HashSet;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::order::{Asked, Order, Refusal, SHOWN_MAX, Selected, answered, failed, wake};
use crate::events::{Events, bad_request};
use landfall_ledger::{Listed, Step};
use landfall_model::DeliveryState;

const REASON_CHARACTERS_MAX: usize = 500;

/// The response to a discard or a retry now.
#[derive(Debug, Default, Serialize)]
struct Stepped {
    /// Number of deliveries that were changed, or would be in a dry run.
    deliveries: usize,
    dry_run: bool,
    /// Number of deliveries that were skipped: in another state, or just started by a worker.
    skipped: usize,
    unknown: Vec<String>,
    /// The first of them, where this is a dry run.
    shown: Vec<Listed>,
    next: Option<i64>,
    before: Option<i64>,
}

pub(crate) async fn discard(State(events): State<Events>, order: Asked) -> Response {
    answered(discard_page(&events, order).await)
}

async fn discard_page(events: &Events, order: Asked) -> Result<Stepped, Refusal> {
    let order = Order::read(order, "discard")?;
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

pub(crate) async fn retry_now(State(events): State<Events>, order: Asked) -> Response {
    answered(retry_page(&events, order).await)
}

async fn retry_page(events: &Events, order: Asked) -> Result<Stepped, Refusal> {
    let order = Order::read(order, "retry-now")?;
    let stepped = step(events, &order, vec![DeliveryState::Pending], Step::RetryNow).await?;
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
            shown: deliveries,
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
    wake(events, hooks.into_iter());
    Ok(Stepped {
        deliveries: done.len(),
        skipped: stepped.skipped + asked - done.len(),
        ..stepped
    })
}
