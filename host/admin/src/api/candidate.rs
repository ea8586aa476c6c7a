//! The candidate of a hook: how it stands, and the commands that promote it or roll it back.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::error::{ApiError, ApiPath, Refusal, answered, failed, refusal};
use super::no_hook::no_hook;
use super::params::HookPath;
use crate::candidate::CandidateRefused;
use crate::node::Admin;
use landfall_model::CandidateReport;
use utoipa::IntoResponses;

/// The responses to a decision about a candidate with other statuses than 200.
#[derive(IntoResponses)]
#[allow(dead_code)]
enum DecisionRefusals {
    /// No hook has this name
    #[response(status = 404)]
    NoHook(ApiError),
    /// There is no candidate to promote, or nothing to roll back
    #[response(status = 422)]
    NotPossible(ApiError),
    /// The ledger cannot store it now
    #[response(status = 503)]
    Ledger(ApiError),
}

/// How the candidate of a hook stands, what was counted of both versions, and the last decisions.
#[utoipa::path(
    get,
    path = "/api/v1/hooks/{hook}/candidate",
    operation_id = "show_candidate",
    tag = "hooks",
    params(HookPath),
    responses(
        (status = 200, body = CandidateReport),
        (status = 404, description = "No hook has this name", body = ApiError),
    )
)]
pub(crate) async fn show(State(admin): State<Admin>, ApiPath(hook): ApiPath<String>) -> Response {
    let report = admin.candidates.report(&hook);
    answered(report.ok_or_else(|| no_hook(&admin, &hook)))
}

/// Makes the candidate of a hook the serving version, also if it was rolled back.
#[utoipa::path(
    post,
    path = "/api/v1/hooks/{hook}/promote",
    operation_id = "promote_candidate",
    tag = "hooks",
    params(HookPath),
    responses((status = 200, body = CandidateReport), DecisionRefusals)
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
    params(HookPath),
    responses((status = 200, body = CandidateReport), DecisionRefusals)
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
        return Err(no_hook(admin, hook));
    }
    let deciding = if is_promotion {
        candidates.promote(hook)
    } else {
        candidates.roll_back(hook)
    };
    let decided = deciding.await;
    decided.map_err(|why| refused(admin, hook, why))
}

fn refused(admin: &Admin, hook: &str, why: CandidateRefused) -> Refusal {
    match why {
        CandidateRefused::NoHook => no_hook(admin, hook),
        CandidateRefused::NotPossible(why) => refusal(StatusCode::UNPROCESSABLE_ENTITY, why),
        CandidateRefused::Ledger(error) => failed(error),
    }
}
