//! The hooks: status, component, queue, and the commands that pause, resume and reload them.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ApiPath, ApiQuery, Refusal, answered, failed};
use super::no_hook::no_hook;
use crate::node::Admin;
use landfall_hooks::{HookState, HookStatus, Serving};
use landfall_ledger::{Filter, HookBacklog, Listed};
use landfall_model::DeliveryState;

/// The most hooks whose newest delivery one list reads.
const SEEN_MAX: usize = 1000;

/// The status of a hook, and whether its events are held back.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HookEntry {
    /// The name of the hook or of the file.
    name: String,
    /// The path that it serves. Null if its file cannot be read.
    path: Option<String>,
    /// `serving`, `stale`, `closed` or `unavailable`.
    #[schema(value_type = String, example = "serving")]
    state: HookState,
    /// Since when it is in this state with this component, in RFC 3339. A node that starts counts
    /// anew.
    since: Option<String>,
    /// SHA-256 of the component that serves.
    digest: Option<String>,
    /// The version in the manifest of that component.
    version: Option<String>,
    /// What is wrong and what to do.
    problem: Option<String>,
    /// What the component's manifest needs and the hook file does not grant.
    wants: Option<String>,
    /// What of the component's manifest is not used, and which settings look like references.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// What the component can do and is not granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<&'static str>,
    /// What the provider's signature does not cover.
    #[serde(skip_serializing_if = "Option::is_none")]
    unsigned: Option<&'static str>,
    /// The file name of its component.
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<String>,
    /// SHA-256 of the component file that was loaded last. It differs from `digest` if that file
    /// was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    tried: Option<String>,
    /// Paused by an operator.
    paused: bool,
    /// Its circuit breaker is open: every attempt fails, and events wait.
    failing: bool,
    /// What happens to its events before they run, one text for each step. See docs/FLOW.md.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flow: Vec<String>,
    /// What waits, if the request asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<HookQueue>,
    /// The last search for missed deliveries since the start of the node, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    reconcile: Option<SearchSummary>,
    /// Its candidate, if the hook file names one or a promoted version serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate: Option<CandidateSummary>,
}

/// How a candidate stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CandidateSummary {
    /// `loading`, `shadow`, `canary`, `promoted`, `superseded`, `rolled-back`, `refused`, `serving`,
    /// or `none` if a promoted version serves and the hook file names no candidate.
    #[schema(example = "canary")]
    phase: &'static str,
    /// SHA-256 of the candidate.
    digest: Option<String>,
    /// SHA-256 of the version to which a rollback returns, if the serving one was promoted.
    previous: Option<String>,
    /// What a rule waits for, or why the candidate is not tried.
    detail: Option<String>,
}

/// What a search for missed deliveries came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchSummary {
    /// When it ended, in RFC 3339. Null: it goes on.
    ended_at: Option<String>,
    /// Missed deliveries that were stored as new events.
    accepted: u64,
    /// Why it ended before it had seen everything.
    error: Option<String>,
}

/// The deliveries of a hook that have not succeeded, and its newest event.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct HookQueue {
    /// Deliveries that are held for a debounced group or a batch.
    waiting: u64,
    /// Deliveries that wait.
    pending: u64,
    /// Deliveries that run.
    running: u64,
    /// Dead letters. Failed events of mode `sync` are none.
    dead: u64,
    /// For how long the delivery has been due that has waited longest, in seconds.
    oldest_age_seconds: f64,
    /// When the newest event was received, in RFC 3339. Null: never, or no longer stored.
    last_seen: Option<String>,
}

/// The parameters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct HooksQuery {
    /// Add `queue` to each hook.
    #[serde(default)]
    #[param(required = false)]
    queue: bool,
}

/// One hook with its component.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HookDetail {
    /// The status, with `queue`.
    status: HookEntry,
    /// What the component is and may do. Null if none serves.
    receipt: Option<HookReceipt>,
    /// The newest dead delivery. Null if there is none.
    last_error: Option<HookFailure>,
}

/// What a component is, and what its hook grants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HookReceipt {
    /// SHA-256 of the component.
    digest: String,
    /// The size of the component.
    bytes: usize,
    /// The name in its manifest.
    name: Option<String>,
    /// The version in its manifest.
    version: Option<String>,
    /// The sentence in its manifest.
    description: Option<String>,
    /// The kinds of events in its manifest.
    event_types: Vec<String>,
    /// Imported interfaces.
    imports: Vec<String>,
    /// Exported interfaces.
    exports: Vec<String>,
    /// Granted capabilities, as lines of `[allow]`.
    grants: Vec<String>,
    /// Hosts of granted URLs.
    http: Vec<String>,
}

/// A dead delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HookFailure {
    /// The number of the delivery.
    delivery: i64,
    /// The id of the event.
    event: String,
    /// When the event was received, in RFC 3339.
    received_at: String,
    /// Why the delivery is dead.
    reason: Option<String>,
}

/// The answer to a reload.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reloading {
    /// The files and secrets are being read again. `GET /api/v1/hooks` shows the result.
    reloading: bool,
}

/// The status of each hook, and of each file that cannot be one.
#[utoipa::path(
    get,
    path = "/api/v1/hooks",
    operation_id = "list_hooks",
    tag = "hooks",
    params(HooksQuery),
    responses(
        (status = 200, body = Vec<HookEntry>),
        (status = 400, description = "A parameter is wrong", body = ApiError),
    )
)]
pub(crate) async fn list(
    State(admin): State<Admin>,
    ApiQuery(query): ApiQuery<HooksQuery>,
) -> Response {
    let statuses = admin.hooks.statuses();
    let entries = if query.queue {
        with_queues(&admin, statuses).await
    } else {
        let entries = statuses.into_iter().map(|status| entry(&admin, status));
        Ok(entries.collect())
    };
    answered(entries)
}

/// One hook: status, queue, component, and its newest dead delivery.
#[utoipa::path(
    get,
    path = "/api/v1/hooks/{hook}",
    operation_id = "show_hook",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook")),
    responses(
        (status = 200, body = HookDetail),
        (status = 404, description = "No hook has this name", body = ApiError),
    )
)]
pub(crate) async fn show(State(admin): State<Admin>, ApiPath(hook): ApiPath<String>) -> Response {
    answered(detail(&admin, &hook).await)
}

/// Stops running a hook's events.
///
/// In modes `async` and `auto` they are still accepted, and wait.
#[utoipa::path(
    post,
    path = "/api/v1/hooks/{hook}/pause",
    operation_id = "pause_hook",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook")),
    responses(
        (status = 200, body = HookEntry),
        (status = 404, description = "No hook has this name", body = ApiError),
        (status = 503, description = "The ledger cannot store it now", body = ApiError),
    )
)]
pub(crate) async fn pause(State(admin): State<Admin>, ApiPath(hook): ApiPath<String>) -> Response {
    answered(set_paused(&admin, &hook, true).await)
}

/// Runs the events of a paused hook again.
#[utoipa::path(
    post,
    path = "/api/v1/hooks/{hook}/resume",
    operation_id = "resume_hook",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook")),
    responses(
        (status = 200, body = HookEntry),
        (status = 404, description = "No hook has this name", body = ApiError),
        (status = 503, description = "The ledger cannot store it now", body = ApiError),
    )
)]
pub(crate) async fn resume(State(admin): State<Admin>, ApiPath(hook): ApiPath<String>) -> Response {
    answered(set_paused(&admin, &hook, false).await)
}

/// Reads the plugins directory and all secrets again, as SIGHUP does.
#[utoipa::path(
    post,
    path = "/api/v1/reload",
    operation_id = "reload",
    tag = "hooks",
    responses((status = 200, body = Reloading))
)]
pub(crate) async fn reload(State(admin): State<Admin>) -> Response {
    (admin.reload)();
    tracing::info!("an operator reloads the plugins directory and the secrets");
    answered(Ok(Reloading { reloading: true }))
}

async fn set_paused(admin: &Admin, hook: &str, paused: bool) -> Result<HookEntry, Refusal> {
    let status = find(admin, hook)?;
    admin.dispatcher.pause(hook, paused).await.map_err(failed)?;
    tracing::info!(hook, paused, "an operator paused or resumed a hook");
    Ok(entry(admin, status))
}

fn find(admin: &Admin, hook: &str) -> Result<HookStatus, Refusal> {
    let mut statuses = admin.hooks.statuses().into_iter();
    statuses
        .find(|status| status.name == hook)
        .ok_or_else(|| no_hook(admin, hook))
}

fn entry(admin: &Admin, status: HookStatus) -> HookEntry {
    let waits = admin.dispatcher.hook_status(&status.name);
    let search = admin.reconcile.report(&status.name);
    let candidate = candidate(admin, &status.name);
    let hook = admin.hooks.named(&status.name);
    HookEntry {
        name: status.name,
        path: status.path,
        state: status.state,
        since: status.since,
        digest: status.digest,
        version: status.version,
        problem: status.problem,
        wants: status.wants,
        warnings: status.warnings,
        denied: status.denied,
        unsigned: status.unsigned,
        component: status.component,
        tried: status.tried,
        paused: waits.is_paused,
        failing: waits.is_failing,
        flow: hook.map_or_else(Vec::new, |hook| hook.flow.describe()),
        queue: None,
        reconcile: search.map(|search| SearchSummary {
            ended_at: search.ended_at,
            accepted: search.accepted,
            error: search.error,
        }),
        candidate,
    }
}

fn candidate(admin: &Admin, hook: &str) -> Option<CandidateSummary> {
    let report = admin.candidates.report(hook)?;
    let is_shown = report.component.is_some() || report.previous.is_some();
    is_shown.then_some(CandidateSummary {
        phase: report.phase,
        digest: report.digest,
        previous: report.previous,
        detail: report.detail,
    })
}

async fn with_queues(admin: &Admin, statuses: Vec<HookStatus>) -> Result<Vec<HookEntry>, Refusal> {
    let usage = admin.ledger.usage().await.map_err(failed)?;
    let mut backlogs: HashMap<String, HookBacklog> = usage
        .hooks
        .into_iter()
        .map(|backlog| (backlog.hook.clone(), backlog))
        .collect();
    let mut entries = Vec::with_capacity(statuses.len());
    for (number, status) in statuses.into_iter().enumerate() {
        let backlog = backlogs.remove(&status.name).unwrap_or_default();
        let last_seen = if number < SEEN_MAX {
            last_seen(admin, &status.name).await?
        } else {
            None
        };
        entries.push(HookEntry {
            queue: Some(HookQueue::of(backlog, last_seen)),
            ..entry(admin, status)
        });
    }
    Ok(entries)
}

async fn detail(admin: &Admin, hook: &str) -> Result<HookDetail, Refusal> {
    let status = find(admin, hook)?;
    let mut with_queue = with_queues(admin, vec![status.clone()]).await?;
    let status = with_queue.pop().unwrap_or_else(|| entry(admin, status));
    let dead = newest(admin, hook, vec![DeliveryState::Dead]).await?;
    Ok(HookDetail {
        status,
        receipt: receipt(admin, hook),
        last_error: dead.map(|dead| HookFailure {
            delivery: dead.delivery,
            event: dead.event,
            received_at: dead.received_at,
            reason: dead.reason,
        }),
    })
}

async fn last_seen(admin: &Admin, hook: &str) -> Result<Option<String>, Refusal> {
    let newest = newest(admin, hook, Vec::new()).await?;
    Ok(newest.map(|newest| newest.received_at))
}

/// The newest delivery of a hook in one of these states.
async fn newest(
    admin: &Admin,
    hook: &str,
    states: Vec<DeliveryState>,
) -> Result<Option<Listed>, Refusal> {
    let filter = Filter {
        hook: Some(hook.to_owned()),
        states,
        limit: 1,
        ..Filter::default()
    };
    let mut listed = admin.ledger.list(filter).await.map_err(failed)?;
    Ok(listed.pop())
}

fn receipt(admin: &Admin, hook: &str) -> Option<HookReceipt> {
    let hook = admin.hooks.named(hook)?;
    let Serving::Ready(handler) = &hook.serving else {
        return None;
    };
    let inspected = handler.component();
    let allow = &hook.spec.allow;
    Some(HookReceipt {
        digest: inspected.digest.clone(),
        bytes: inspected.size,
        name: hook.manifest.name.clone(),
        version: hook.manifest.version.clone(),
        description: hook.manifest.description.clone(),
        event_types: hook.manifest.event_types.clone(),
        imports: inspected.imports.clone(),
        exports: inspected.exports.clone(),
        grants: allow.capabilities.lines().collect(),
        http: allow
            .http
            .iter()
            .map(|grant| grant.host_pattern())
            .collect(),
    })
}

// === impl HookQueue ===

impl HookQueue {
    fn of(backlog: HookBacklog, last_seen: Option<String>) -> HookQueue {
        HookQueue {
            waiting: backlog.waiting,
            pending: backlog.pending,
            running: backlog.running,
            dead: backlog.dead,
            oldest_age_seconds: backlog.overdue.as_secs_f64(),
            last_seen,
        }
    }
}
