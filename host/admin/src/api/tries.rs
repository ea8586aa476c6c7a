//! Published reports of `landfall try`: what differed when recorded attempts of a hook ran on
//! another component. The node stores what the command has found, and runs nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, ApiJson, ApiPath, Refusal, answered, bad_request, failed, refusal};
use crate::events::Events;
use crate::role::Caller;
use landfall_ledger::{NewTry, NewTryGroup, TryPart, TryParts};
use landfall_model::recording::DifferenceKind;
use landfall_model::{EventId, HookRetention};

/// Reports that are kept of a hook.
const KEPT_MAX: usize = 20;
/// The longest time for which a report is kept: 7 days.
const KEEP_MAX: Duration = Duration::from_secs(7 * 86_400);
/// The most groups of a report.
const GROUPS_MAX: usize = 250;
/// The most bytes of all texts of a report.
const TEXT_BYTES_MAX: usize = 512 << 10;
/// The most bytes of the name of a component.
const NAME_BYTES_MAX: usize = 200;
/// The most reasons why attempts were not run, and the most bytes of each.
const REASONS_MAX: usize = 20;
const REASON_BYTES_MAX: usize = 200;
/// Hexadecimal digits of a digest.
const DIGEST_DIGITS: usize = 64;

/// A report of `landfall try`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TryOrder {
    /// The hook whose attempts were run: that of the path.
    hook: String,
    /// The name of the component's file, without a folder. 1 to 200 bytes.
    component: String,
    /// The SHA-256 of the component, in 64 hexadecimal digits.
    digest: String,
    /// Attempts that were run: at least 1.
    attempts: u64,
    /// Attempts in which nothing differs that counts.
    same: u64,
    /// How many of them have differences that were allowed.
    allowed: u64,
    /// Attempts in which something differs.
    differs: u64,
    /// Attempts that asked for something that is not recorded.
    unanswered: u64,
    /// Attempts that exceed a limit of recordings.
    truncated: u64,
    /// Attempts that were not run, by reason.
    not_run: BTreeMap<String, u64>,
    /// The differences, at most 250, with up to 512 KiB of texts.
    groups: Vec<TryGroup>,
}

/// Differences of one kind at one place.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TryGroup {
    /// Such as `reply`, `rows`, `unanswered_call`. `duration` and `memory` never count.
    #[schema(example = "reply")]
    kind: String,
    /// Where it differs.
    #[schema(example = "body/total")]
    place: String,
    /// Attempts with this difference.
    attempts: u64,
    /// Whether it was allowed.
    allowed: bool,
    /// Whether it follows from a question that is not recorded, and does not count.
    follows: bool,
    /// One of these differences.
    sample: TrySample,
}

/// One difference.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrySample {
    /// The id of the event.
    event: String,
    /// The number of the delivery.
    delivery: i64,
    /// The number of the attempt.
    attempt: u64,
    /// Whether values of the recording are masked, so that what is computed of them differs.
    masked: bool,
    /// What was recorded, as text. Empty: nothing.
    recorded: String,
    /// What the other component did, as text. Empty: nothing.
    found: String,
}

/// The response to a published report.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TryPublished {
    /// The id of the report.
    id: String,
    /// Stored groups. Others were left out, because the ledger does not have the event of their
    /// sample under this hook, or it was erased.
    groups: usize,
}

/// What a report says as a whole. It has no content of an event.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TrySummary {
    /// The id of the report.
    id: String,
    /// When it was published, in RFC 3339.
    at: String,
    /// Who has published it: `operate`, or `local` for a command on the ledger of a stopped node.
    role: String,
    /// The first eight hexadecimal digits of the token's SHA-256. Empty for `local`.
    token: String,
    /// The name of the component's file.
    component: String,
    /// The SHA-256 of the component.
    digest: String,
    /// Attempts that were run.
    attempts: u64,
    /// Attempts in which nothing differs that counts.
    same: u64,
    /// How many of them have differences that were allowed.
    allowed: u64,
    /// Attempts in which something differs.
    differs: u64,
    /// Attempts that asked for something that is not recorded.
    unanswered: u64,
    /// Attempts that exceed a limit of recordings.
    truncated: u64,
    /// Attempts that were not run, by reason.
    not_run: BTreeMap<String, u64>,
    /// Whether nothing differs that counts: the exit code of the command was 0.
    is_same: bool,
    /// Groups of the report when it was published.
    groups: usize,
}

/// The reports of a hook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TryList {
    /// Newest first, at most 20.
    tries: Vec<TrySummary>,
}

/// A report.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TryShown {
    /// What it says as a whole.
    summary: TrySummary,
    /// The differences, in the order of the report. Those whose sample is of an erased event are
    /// gone.
    groups: Vec<TryGroup>,
}

/// Stores a report of `landfall try`, so that the dashboard shows it.
///
/// Nothing is run. The newest 20 reports of a hook are kept, each for 7 days at most.
#[utoipa::path(
    post,
    path = "/api/v1/hooks/{hook}/publish-try",
    operation_id = "publish_try",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook")),
    request_body = TryOrder,
    responses(
        (status = 200, body = TryPublished),
        (status = 400, description = "The report is wrong, or is of another hook", body = ApiError),
        (status = 404, description = "There is no such hook, and no event of it", body = ApiError),
        (status = 413, description = "The report is too large", body = ApiError),
        (status = 503, description = "The ledger cannot store it now", body = ApiError),
    )
)]
pub(crate) async fn publish(
    State(events): State<Events>,
    Extension(caller): Extension<Caller>,
    ApiPath(hook): ApiPath<String>,
    ApiJson(order): ApiJson<TryOrder>,
) -> Response {
    answered(store(&events, &caller, hook, order).await)
}

/// The published reports of `landfall try` on a hook, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/hooks/{hook}/tries",
    operation_id = "list_tries",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook")),
    responses(
        (status = 200, body = TryList),
        (status = 404, description = "There is no such hook, and no event of it", body = ApiError),
        (status = 503, description = "The ledger cannot answer now", body = ApiError),
    )
)]
pub(crate) async fn list(State(events): State<Events>, ApiPath(hook): ApiPath<String>) -> Response {
    answered(listed(&events, hook).await)
}

/// A published report of `landfall try`.
#[utoipa::path(
    get,
    path = "/api/v1/hooks/{hook}/tries/{id}",
    operation_id = "show_try",
    tag = "hooks",
    params(
        ("hook" = String, Path, description = "The name of the hook"),
        ("id" = String, Path, description = "The id of the report"),
    ),
    responses(
        (status = 200, body = TryShown),
        (status = 404, description = "The hook has no report with this id", body = ApiError),
        (status = 503, description = "The ledger cannot answer now", body = ApiError),
    )
)]
pub(crate) async fn show(
    State(events): State<Events>,
    ApiPath((hook, id)): ApiPath<(String, String)>,
) -> Response {
    answered(shown(&events, hook, &id).await)
}

async fn store(
    events: &Events,
    caller: &Caller,
    hook: String,
    order: TryOrder,
) -> Result<TryPublished, Refusal> {
    events.require_known(&hook).await?;
    check(&hook, &order)?;

    let groups = order.groups.iter().map(new_group);
    let groups: Vec<NewTryGroup> = groups.collect::<Result<_, _>>()?;
    let count = groups.len();
    let (keep, retention) = kept(events, &hook);
    let now = events.clock.now();
    let id = EventId::new(now);
    let at = humantime::format_rfc3339_millis(now).to_string();
    let summary = TrySummary::new(id, at, caller, order);
    let new = NewTry {
        hook: hook.clone(),
        id,
        keep,
        retention,
        summary: json_of(&summary)?,
        groups,
    };
    let stored = events.ledger.put_try(new).await.map_err(failed)?;
    remove_oldest(events, &hook).await?;
    tracing::info!(
        hook,
        component = summary.component,
        is_same = summary.is_same,
        groups = stored,
        left_out = count - stored,
        "an operator publishes a report of `landfall try`"
    );
    Ok(TryPublished {
        id: id.to_string(),
        groups: stored,
    })
}

/// How long a report of a hook is kept at most, and the retention of its events that the hook file
/// says: it is kept no longer than what it was made of.
fn kept(events: &Events, hook: &str) -> (Duration, HookRetention) {
    let running = events.running.as_ref();
    match running.and_then(|(_, hooks)| hooks.named(hook)) {
        None => (KEEP_MAX, HookRetention::default()),
        Some(hook) => {
            let keep = hook.spec.record.keep;
            let keep = keep.map_or(KEEP_MAX, |keep| keep.min(KEEP_MAX));
            (keep, hook.spec.retention)
        }
    }
}

async fn remove_oldest(events: &Events, hook: &str) -> Result<(), Refusal> {
    let parts = summaries(events, hook.to_owned()).await?;
    let excess = parts.len().saturating_sub(KEPT_MAX);
    for part in &parts[..excess] {
        let id = part.key.rsplit('/').next();
        let Some(id) = id.and_then(|id| id.parse::<EventId>().ok()) else {
            continue;
        };
        let removed = events.ledger.remove_try(hook.to_owned(), id);
        removed.await.map_err(failed)?;
    }
    Ok(())
}

/// The stored summaries of a hook, oldest first.
async fn summaries(events: &Events, hook: String) -> Result<Vec<TryPart>, Refusal> {
    let parts = events.ledger.try_parts(TryParts::Summaries(hook));
    parts.await.map_err(failed)
}

async fn listed(events: &Events, hook: String) -> Result<TryList, Refusal> {
    let parts = summaries(events, hook.clone()).await?;
    if parts.is_empty() {
        events.require_known(&hook).await?;
    }
    let newest = parts.iter().rev().take(KEPT_MAX);
    Ok(TryList {
        tries: newest.filter_map(read_part).collect(),
    })
}

async fn shown(events: &Events, hook: String, id: &str) -> Result<TryShown, Refusal> {
    let tries = listed(events, hook.clone()).await?.tries;
    let summary = tries.into_iter().find(|one| one.id == id);
    let id: Option<EventId> = id.parse().ok();
    let (Some(summary), Some(id)) = (summary, id) else {
        let why = "the hook has no report with this id: a report is kept for 7 days at most, and the newest 20 of a hook";
        return Err(refusal(StatusCode::NOT_FOUND, why));
    };

    let parts = events.ledger.try_parts(TryParts::Groups(hook, id));
    let parts = parts.await.map_err(failed)?;
    Ok(TryShown {
        summary,
        groups: parts.iter().filter_map(read_part).collect(),
    })
}

/// `None`: another version of Landfall has stored it.
fn read_part<T: DeserializeOwned>(part: &TryPart) -> Option<T> {
    serde_json::from_slice(&part.json).ok()
}

fn new_group(group: &TryGroup) -> Result<NewTryGroup, Refusal> {
    Ok(NewTryGroup {
        event: group.sample.event.parse().map_err(bad_request)?,
        json: json_of(group)?,
    })
}

fn json_of(value: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(value).map_err(bad_request)
}

/// Whether a report of this hook can be stored.
fn check(hook: &str, order: &TryOrder) -> Result<(), Refusal> {
    if order.hook != hook {
        let (named, hook) = (order.hook.escape_debug(), hook.escape_debug());
        return Err(bad_request(format!(
            "the report is of hook `{named}`, not of `{hook}`: send it to its own hook"
        )));
    }

    let name = &order.component;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('/') {
        return Err(bad_request(
            "component is the name of a file without a folder, of 1 to 200 bytes",
        ));
    }
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if order.digest.len() != DIGEST_DIGITS || !order.digest.bytes().all(is_digit) {
        return Err(bad_request(
            "digest is the SHA-256 of the component: 64 hexadecimal digits in lower case",
        ));
    }

    let counts = [order.same, order.differs, order.unanswered, order.truncated];
    let sum = counts
        .iter()
        .try_fold(0_u64, |sum, count| sum.checked_add(*count));
    if order.attempts == 0 || sum != Some(order.attempts) || order.allowed > order.same {
        return Err(bad_request(
            "attempts is at least 1, and the sum of same, differs, unanswered and truncated; allowed is a part of same",
        ));
    }

    let has_long = order.not_run.keys().any(|why| why.len() > REASON_BYTES_MAX);
    if order.not_run.len() > REASONS_MAX || has_long {
        return Err(bad_request(
            "not_run has at most 20 reasons of up to 200 bytes",
        ));
    }
    check_groups(&order.groups)
}

fn check_groups(groups: &[TryGroup]) -> Result<(), Refusal> {
    let texts = groups.iter().map(TryGroup::text_bytes);
    if groups.len() > GROUPS_MAX || texts.sum::<usize>() > TEXT_BYTES_MAX {
        let why = "a report has at most 250 groups, with up to 512 KiB of texts";
        return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, why));
    }

    let unknown = groups
        .iter()
        .find(|group| DifferenceKind::of_word(&group.kind).is_none());
    match unknown {
        None => Ok(()),
        Some(group) => {
            let kind = group.kind.escape_debug();
            Err(bad_request(format!("`{kind}` is no kind of difference")))
        }
    }
}

// === impl TryGroup ===

impl TryGroup {
    fn text_bytes(&self) -> usize {
        let sample = &self.sample;
        let texts = [&self.kind, &self.place, &sample.recorded, &sample.found];
        texts.into_iter().map(String::len).sum()
    }
}

// === impl TrySummary ===

impl TrySummary {
    fn new(id: EventId, at: String, caller: &Caller, order: TryOrder) -> TrySummary {
        TrySummary {
            id: id.to_string(),
            at,
            role: caller.role.to_owned(),
            token: caller.token.clone(),
            component: order.component,
            digest: order.digest,
            is_same: order.same == order.attempts,
            attempts: order.attempts,
            same: order.same,
            allowed: order.allowed,
            differs: order.differs,
            unanswered: order.unanswered,
            truncated: order.truncated,
            not_run: order.not_run,
            groups: order.groups.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const EVENT: &str = "0190f3c1-8a5e-7000-8000-0123456789ab";

    fn group(kind: &str, found: &str) -> Value {
        json!({
            "kind": kind, "place": "body/total", "attempts": 1, "allowed": false, "follows": false,
            "sample": {
                "event": EVENT, "delivery": 1, "attempt": 1, "masked": false, "recorded": "1", "found": found,
            },
        })
    }

    fn report() -> Value {
        json!({
            "hook": "orders", "component": "next.wasm", "digest": "0a".repeat(32), "attempts": 3, "same": 2, "allowed": 1,
            "differs": 1, "unanswered": 0, "truncated": 0, "not_run": {}, "groups": [group("reply", "2")],
        })
    }

    fn status(report: Value) -> u16 {
        let order: TryOrder = serde_json::from_value(report).unwrap();
        match check("orders", &order) {
            Ok(()) => 200,
            Err(refusal) => refusal.status().as_u16(),
        }
    }

    #[test]
    fn wrong_reports_are_refused() {
        assert_eq!(status(report()), 200);
        let long = "x".repeat(201);
        for (key, value, expected) in [
            ("hook", json!("other"), 400),
            ("component", json!(""), 400),
            ("component", json!("dir/next.wasm"), 400),
            ("component", json!(long), 400),
            ("digest", json!("0A".repeat(32)), 400),
            ("digest", json!("0a"), 400),
            ("attempts", json!(4), 400),
            ("allowed", json!(3), 400),
            ("unanswered", json!(u64::MAX), 400),
            ("not_run", json!({ long.as_str(): 1 }), 400),
            ("groups", json!([group("speed", "2")]), 400),
            ("groups", json!(vec![group("rows", "2"); 251]), 413),
            (
                "groups",
                json!([group("rows", &"x".repeat(TEXT_BYTES_MAX))]),
                413,
            ),
        ] {
            let mut wrong = report();
            wrong[key] = value;
            assert_eq!(status(wrong), expected, "{key}");
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        for pointer in ["", "/groups/0", "/groups/0/sample"] {
            let mut wrong = report();
            wrong.pointer_mut(pointer).unwrap()["canary"] = json!(1);
            assert!(serde_json::from_value::<TryOrder>(wrong).is_err());
        }
    }
}
