//! Removes everything of a hook that no longer exists.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::order::{PAGE_MAX, Refusal, answered, failed, listed};
use crate::events::{Events, bad_request, refused};
use landfall_ledger::{Filter, Purged};
use landfall_model::DeliveryState;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PurgeOrder {
    hook: String,
    #[serde(default)]
    dry_run: bool,
}

/// The response to a purge.
#[derive(Debug, Serialize)]
struct PurgedPage {
    #[serde(flatten)]
    purged: Purged,
    dry_run: bool,
    /// Number of deliveries that run now: they stay. At most 500 are counted.
    running: usize,
    /// Nothing is left, apart from deliveries that are running.
    done: bool,
}

pub(crate) async fn purge(
    State(events): State<Events>,
    order: Result<Json<PurgeOrder>, JsonRejection>,
) -> Response {
    answered(purge_page(&events, order).await)
}

async fn purge_page(
    events: &Events,
    order: Result<Json<PurgeOrder>, JsonRejection>,
) -> Result<PurgedPage, Refusal> {
    let Json(PurgeOrder { hook, dry_run }) = order.map_err(|why| bad_request(why.body_text()))?;
    let Some((_, hooks)) = &events.running else {
        return Err(bad_request(
            "only a running node knows which hooks are gone: leave out --data",
        ));
    };

    if !hooks.is_complete() {
        let why = "the plugins directory is still being read: try again when the node is ready";
        return Err(Box::new(refused(StatusCode::SERVICE_UNAVAILABLE, why)));
    }

    if hooks.statuses().iter().any(|status| status.name == hook) {
        let why = format!(
            "hook `{}` exists: purge removes all that a hook without a hook file and component \
             has left; remove those first",
            hook.escape_debug()
        );
        return Err(Box::new(refused(StatusCode::CONFLICT, &why)));
    }

    let running = Filter {
        hook: Some(hook.clone()),
        states: vec![DeliveryState::Running],
        limit: PAGE_MAX,
        ..Filter::default()
    };
    if dry_run {
        let purged = events
            .ledger
            .purgeable(hook.clone())
            .await
            .map_err(failed)?;
        if purged == Purged::default() {
            events.require_known(&hook).await?;
        }
        return Ok(PurgedPage {
            purged,
            dry_run,
            running: listed(events, running).await?.len(),
            done: true,
        });
    }

    let purged = events
        .ledger
        .purge(hook.clone(), PAGE_MAX)
        .await
        .map_err(failed)?;
    let Purged {
        deliveries,
        identities,
        rows,
        values,
    } = purged;
    tracing::info!(
        hook,
        deliveries,
        identities,
        rows,
        values,
        "an operator removes what a hook that is gone has left"
    );
    let done = purged == Purged::default();
    Ok(PurgedPage {
        purged,
        dry_run,
        running: if done {
            listed(events, running).await?.len()
        } else {
            0
        },
        done,
    })
}
