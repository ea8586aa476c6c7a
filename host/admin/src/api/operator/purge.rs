//! Removes everything of a hook that no longer exists.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::order::{PAGE_MAX, listed};
use crate::api::error::{ApiError, ApiJson, Refusal, answered, bad_request, failed, refusal};
use crate::events::Events;
use landfall_ledger::{Filter, Purged};
use landfall_model::DeliveryState;

/// What to purge.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PurgeOrder {
    /// The hook. It must have no hook file and no component.
    hook: String,
    /// Change nothing; report what would be removed.
    #[serde(default)]
    dry_run: bool,
}

/// The response to a purge.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PurgedPage {
    /// Removed deliveries, with their attempts and the events that no other delivery needs.
    deliveries: i64,
    /// Removed identities of deliveries.
    identities: i64,
    /// Removed rows of all tables.
    rows: i64,
    /// Removed key-value pairs.
    values: i64,
    /// Whether nothing was changed.
    dry_run: bool,
    /// Number of deliveries that run now: they stay. At most 500 are counted.
    running: usize,
    /// Nothing is left, apart from deliveries that are running.
    done: bool,
}

/// Removes one page of everything of a hook that no longer exists.
///
/// Repeat the request until `done` is true.
#[utoipa::path(
    post,
    path = "/api/v1/purge",
    operation_id = "purge",
    tag = "commands",
    request_body = PurgeOrder,
    responses(
        (status = 200, body = PurgedPage),
        (status = 400, description = "The order is wrong", body = ApiError),
        (status = 404, description = "There is no such hook, and no event of it", body = ApiError),
        (status = 409, description = "The hook exists", body = ApiError),
        (status = 503, description = "The plugins directory is still being read", body = ApiError),
    )
)]
pub(crate) async fn purge(
    State(events): State<Events>,
    ApiJson(order): ApiJson<PurgeOrder>,
) -> Response {
    answered(purge_page(&events, order).await)
}

async fn purge_page(events: &Events, order: PurgeOrder) -> Result<PurgedPage, Refusal> {
    let PurgeOrder { hook, dry_run } = order;
    let Some((_, hooks)) = &events.running else {
        return Err(bad_request(
            "only a running node knows which hooks are gone: leave out --data",
        ));
    };

    if !hooks.is_complete() {
        let why = "the plugins directory is still being read: try again when the node is ready";
        return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, why));
    }

    if hooks.statuses().iter().any(|status| status.name == hook) {
        let why = format!(
            "hook `{}` exists: purge removes all that a hook without a hook file and component \
             has left; remove those first",
            hook.escape_debug()
        );
        return Err(refusal(StatusCode::CONFLICT, why));
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
        let running = listed(events, running).await?.len();
        return Ok(PurgedPage::new(purged, dry_run, running, true));
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
    let running = if done {
        listed(events, running).await?.len()
    } else {
        0
    };
    Ok(PurgedPage::new(purged, dry_run, running, done))
}

// === impl PurgedPage ===

impl PurgedPage {
    fn new(purged: Purged, dry_run: bool, running: usize, done: bool) -> PurgedPage {
        PurgedPage {
            deliveries: purged.deliveries,
            identities: purged.identities,
            rows: purged.rows,
            values: purged.values,
            dry_run,
            running,
            done,
        }
    }
}
