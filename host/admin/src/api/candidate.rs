//! The candidate of a hook: how it stands, and the commands that promote it or roll it back.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::error::{ApiError, ApiPath, Refusal, answered, failed, refusal};
use crate::candidate::CandidateRefused;
use crate::node::Admin;
use landfall_model::CandidateReport;

/// How the candidate of a hook stands, what was counted of both versions, and the last decisions.
#[utoipa::path(
    get,
    path = "/api/v1/hooks/{hook}/candidate",
    operation_id = "show_candidate",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook")),
    responses(
        (status = 200, body = CandidateReport),
        (status = 404, description = "No hook has this name", body = ApiError),
    )
)]
pub(crate) async fn show(State(admin): State<Admin>, ApiPath(hook): ApiPath<String>) -> Response {
    let report = admin.candidates.report(&hook);
    answered(report.ok_or_else(|| refused(CandidateRefused::NoHook)))
}

/// Makes the candidate of a hook the serving version, also if it was rolled back.
#[utoipa::path(
    post,
    path = "/api/v1/hooks/{hook}/promote",
    operation_id = "promote_candidate",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook")),
    responses(
        (status = 200, body = CandidateReport),
        (status = 404, description = "No hook has this name", body = ApiError),
        (status = 422, description = "There is no candidate that could serve", body = ApiError),
        (status = 503, description = "The ledger cannot store it now", body = ApiError),
    )
)]
pub(crate) async fn promote(
    State(admin): State<Admin>,
    ApiPath(hook): ApiPath<String>,
) -> Response {
    answered(decided(&admin, &hook, true).await)
}

/// Ends the trial of a hook's candidate, or returns to the version that served before the promoted
/// one.
#[utoipa::path(
    post,
    path = "/api/v1/hooks/{hook}/rollback",
    operation_id = "roll_back_candidate",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook")),
    responses(
        (status = 200, body = CandidateReport),
        (status = 404, description = "No hook has this name", body = ApiError),
        (status = 422, description = "There is nothing to roll back", body = ApiError),
        (status = 503, description = "The ledger cannot store it now", body = ApiError),
    )
)]
pub(crate) async fn roll_back(
    State(admin): State<Admin>,
    ApiPath(hook): ApiPath<String>,
) -> Response {
    answered(decided(&admin, &hook, false).await)
}

async fn decided(
    admin: &Admin,
    hook: &str,
    is_promotion: bool,
) -> Result<CandidateReport, Refusal> {
    let candidates = &admin.candidates;
    if candidates.report(hook).is_none() {
        return Err(refused(CandidateRefused::NoHook));
    }
    let deciding = if is_promotion {
        candidates.promote(hook)
    } else {
        candidates.roll_back(hook)
    };
    deciding.await.map_err(refused)
}

fn refused(why: CandidateRefused) -> Refusal {
    match why {
        CandidateRefused::NoHook => refusal(StatusCode::NOT_FOUND, "no hook has this name"),
        CandidateRefused::NotPossible(why) => refusal(StatusCode::UNPROCESSABLE_ENTITY, why),
        CandidateRefused::Ledger(error) => failed(error),
    }
}
