//! Missed deliveries: starts a search for them, and tells how it goes.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, ApiJson, ApiPath, Refusal, answered, bad_request, refusal};
use crate::node::Admin;
use crate::reconcile::ReconcileRefused;
use landfall_model::SearchReport;

/// The longest time that a search looks back.
const SINCE_MAX: Duration = Duration::from_secs(30 * 86_400);

/// What to search for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchOrder {
    /// Deliveries since this time ago, such as `3d`; at most 30 days. Default: those that no
    /// scheduled search has seen.
    #[serde(default)]
    since: Option<String>,
    /// Change nothing; report what was missed.
    #[serde(default)]
    dry_run: bool,
}

/// The response to the start of a search.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StartedSearch {
    /// Whether this request started a search. If not, another search of the hook goes on.
    started: bool,
    /// The search that goes on.
    report: SearchReport,
}

/// The last search of a hook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastSearch {
    /// The search. It may go on.
    report: SearchReport,
}

/// Starts a search for the deliveries that a hook has missed.
///
/// They are listed by the provider's API, and stored as new events. `GET` of the same path tells
/// how the search goes.
#[utoipa::path(
    post,
    path = "/api/v1/hooks/{hook}/reconcile",
    operation_id = "start_search",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook")),
    request_body = SearchOrder,
    responses(
        (status = 200, body = StartedSearch),
        (status = 400, description = "The order is wrong", body = ApiError),
        (status = 404, description = "No hook has this name", body = ApiError),
        (status = 422, description = "The hook file has no `[reconcile]`", body = ApiError),
        (status = 503, description = "The ledger cannot store it now", body = ApiError),
    )
)]
pub(crate) async fn start(
    State(admin): State<Admin>,
    ApiPath(hook): ApiPath<String>,
    ApiJson(order): ApiJson<SearchOrder>,
) -> Response {
    answered(start_search(&admin, &hook, order))
}

/// The last search for missed deliveries since the start of the node.
#[utoipa::path(
    get,
    path = "/api/v1/hooks/{hook}/reconcile",
    operation_id = "show_search",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook")),
    responses(
        (status = 200, body = LastSearch),
        (status = 404, description = "There was no search of this hook", body = ApiError),
    )
)]
pub(crate) async fn report(State(admin): State<Admin>, ApiPath(hook): ApiPath<String>) -> Response {
    let found = admin.reconcile.report(&hook);
    answered(found.map(|report| LastSearch { report }).ok_or_else(|| {
        let why = "no search for missed deliveries of this hook since the start of the node";
        refusal(StatusCode::NOT_FOUND, why)
    }))
}

fn start_search(admin: &Admin, hook: &str, order: SearchOrder) -> Result<StartedSearch, Refusal> {
    let SearchOrder { since, dry_run } = order;
    let since = since.as_deref().map(duration).transpose()?;
    match admin.reconcile.start(hook, since, dry_run) {
        Ok(report) => {
            tracing::info!(
                hook,
                dry_run,
                "an operator started a search for missed deliveries"
            );
            Ok(StartedSearch {
                started: true,
                report,
            })
        }
        // The caller waits for the running search, and asks again.
        Err(ReconcileRefused::Running(report)) => Ok(StartedSearch {
            started: false,
            report: *report,
        }),
        Err(ReconcileRefused::NoHook(why)) => Err(refusal(StatusCode::NOT_FOUND, why)),
        Err(ReconcileRefused::NotPossible(why)) => {
            Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, why))
        }
    }
}

fn duration(typed: &str) -> Result<Duration, Refusal> {
    let parsed = humantime::parse_duration(typed).ok();
    let parsed = parsed.filter(|since| !since.is_zero() && *since <= SINCE_MAX);
    parsed.ok_or_else(|| {
        let typed = typed.escape_debug();
        bad_request(format!(
            "`{typed}` is not a time of at most 30 days: write it with its unit, such as 3d"
        ))
    })
}
