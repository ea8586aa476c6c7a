//! Counts of deliveries, and requests, attempts and failures over time.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ApiQuery, Refusal, answered, bad_request, failed};
use super::params::time;
use crate::events::Events;
use landfall_ledger::{Activity, ActivityQuery};
use landfall_model::DeliveryState;
use landfall_model::clock::{from_ms, to_ms};

const RANGE_DEFAULT_MS: i64 = 3_600_000;
/// 31 days.
const RANGE_MAX_MS: i64 = 31 * 24 * 3_600_000;
const BUCKETS_DEFAULT: usize = 60;
const BUCKETS_MAX: usize = 500;
/// The most hooks of an answer: those with the most requests.
const HOOKS_MAX: usize = 200;
const BUCKET_MIN_MS: i64 = 1000;

/// How many deliveries of a hook are in one state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryCount {
    /// The hook.
    hook: String,
    /// `waiting`, `pending`, `running`, `done`, `dead`, `resolved`, `discarded`, `filtered` or
    /// `superseded`.
    #[schema(value_type = String, example = "done")]
    state: DeliveryState,
    /// How many.
    deliveries: i64,
    /// No hook has this name, so its events wait.
    orphaned: bool,
}

/// A range of time and its division.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatsQuery {
    /// Only this hook.
    hook: Option<String>,
    /// The beginning: `2026-01-31T08:15:30Z`, or `24h` for a day ago. Default: an hour ago. At most
    /// 31 days before `until`.
    since: Option<String>,
    /// The end. Default: now.
    until: Option<String>,
    /// How many buckets, 1 to 500. Default: 60. A bucket has at least one second.
    buckets: Option<usize>,
}

/// What happened in a range of time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActivityAnswer {
    /// The beginning of the first bucket, in RFC 3339.
    since: String,
    /// The end of the last bucket, in RFC 3339.
    until: String,
    /// The length of a bucket in seconds.
    bucket_seconds: f64,
    /// Something is missing: the range has more events than one request reads, or more hooks than
    /// one answer has.
    truncated: bool,
    /// The hooks with requests or attempts, by name.
    hooks: Vec<HookActivity>,
}

/// What happened to one hook: a number for each bucket, oldest first.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct HookActivity {
    /// The name of the hook.
    hook: String,
    /// Events that were received. Those of mode `sync` are among them.
    requests: Vec<i64>,
    /// Attempts that were started and have ended.
    attempts: Vec<i64>,
    /// Those of them whose outcome was neither `done` nor `defer`.
    failures: Vec<i64>,
}

/// The number of deliveries by hook and state.
#[utoipa::path(
    get,
    path = "/api/v1/stats",
    operation_id = "count_deliveries",
    tag = "stats",
    responses((status = 200, body = Vec<DeliveryCount>))
)]
pub(crate) async fn counts(State(events): State<Events>) -> Response {
    answered(count(&events).await)
}

/// Requests, attempts and failures over time, by hook.
#[utoipa::path(
    get,
    path = "/api/v1/stats/activity",
    operation_id = "show_activity",
    tag = "stats",
    params(StatsQuery),
    responses(
        (status = 200, body = ActivityAnswer),
        (status = 400, description = "A parameter is wrong", body = ApiError),
    )
)]
pub(crate) async fn activity(
    State(events): State<Events>,
    ApiQuery(query): ApiQuery<StatsQuery>,
) -> Response {
    answered(over_time(&events, query).await)
}

async fn count(events: &Events) -> Result<Vec<DeliveryCount>, Refusal> {
    let counts = events.ledger.count().await.map_err(failed)?;
    let counted = counts.into_iter().map(|count| DeliveryCount {
        orphaned: events.is_orphan(&count.hook),
        hook: count.hook,
        state: count.state,
        deliveries: count.deliveries,
    });
    Ok(counted.collect())
}

async fn over_time(events: &Events, query: StatsQuery) -> Result<ActivityAnswer, Refusal> {
    let now_ms = to_ms(events.clock.now());
    let until = time(query.until.as_deref(), events.clock).map_err(bad_request)?;
    let until_ms = until.unwrap_or(now_ms);
    let since = time(query.since.as_deref(), events.clock).map_err(bad_request)?;
    let from_ms = since.unwrap_or(until_ms - RANGE_DEFAULT_MS);
    let range_ms = until_ms - from_ms;
    if !(BUCKET_MIN_MS..=RANGE_MAX_MS).contains(&range_ms) {
        return Err(bad_request(
            "`since` must be before `until`: by at least a second, and by at most 31 days",
        ));
    }

    let buckets = query.buckets.unwrap_or(BUCKETS_DEFAULT);
    if !(1..=BUCKETS_MAX).contains(&buckets) {
        return Err(bad_request(format!("buckets: 1 to {BUCKETS_MAX}")));
    }

    let bucket_ms = (range_ms as u64).div_ceil(buckets as u64) as i64;
    let bucket_ms = bucket_ms.max(BUCKET_MIN_MS);
    let ago = u64::try_from(now_ms - from_ms).unwrap_or(0);
    let asked = ActivityQuery {
        hook: query.hook,
        from_ms,
        until_ms,
        bucket_ms,
        ago: Duration::from_millis(ago),
    };
    let found = events.ledger.activity(asked).await.map_err(failed)?;

    let count = (range_ms as u64).div_ceil(bucket_ms as u64) as usize;
    let (hooks, is_cut) = by_hook(&found, count);
    Ok(ActivityAnswer {
        since: rfc3339(from_ms),
        until: rfc3339(until_ms),
        bucket_seconds: bucket_ms as f64 / 1000.0,
        truncated: found.truncated || is_cut,
        hooks,
    })
}

/// The series of each hook, and whether some hooks were left out.
fn by_hook(found: &Activity, count: usize) -> (Vec<HookActivity>, bool) {
    let mut hooks: BTreeMap<&str, HookActivity> = BTreeMap::new();
    for one in &found.buckets {
        let Some(bucket) = usize::try_from(one.bucket)
            .ok()
            .filter(|bucket| *bucket < count)
        else {
            continue;
        };
        let hook = hooks
            .entry(&one.hook)
            .or_insert_with(|| HookActivity::empty(&one.hook, count));
        hook.requests[bucket] += one.requests;
        hook.attempts[bucket] += one.attempts;
        hook.failures[bucket] += one.failures;
    }

    let is_cut = hooks.len() > HOOKS_MAX;
    let mut hooks: Vec<HookActivity> = hooks.into_values().collect();
    if is_cut {
        hooks.sort_by_key(|hook| std::cmp::Reverse(hook.requests.iter().sum::<i64>()));
        hooks.truncate(HOOKS_MAX);
        hooks.sort_by(|a, b| a.hook.cmp(&b.hook));
    }
    (hooks, is_cut)
}

fn rfc3339(ms: i64) -> String {
    humantime::format_rfc3339_millis(from_ms(ms)).to_string()
}

// === impl HookActivity ===

impl HookActivity {
    fn empty(hook: &str, count: usize) -> HookActivity {
        HookActivity {
            hook: hook.to_owned(),
            requests: vec![0; count],
            attempts: vec![0; count],
            failures: vec![0; count],
        }
    }
}

#[cfg(test)]
mod tests {
    use landfall_ledger::ActivityBucket;

    use super::*;

    fn bucket(hook: &str, bucket: i64, requests: i64, attempts: i64) -> ActivityBucket {
        ActivityBucket {
            hook: hook.into(),
            bucket,
            requests,
            attempts,
            failures: attempts,
        }
    }

    #[test]
    fn buckets_become_series() {
        let found = Activity {
            buckets: vec![
                bucket("b", 2, 5, 0),
                bucket("a", 0, 1, 0),
                bucket("a", 0, 0, 2),
                bucket("a", 3, 9, 9),
                bucket("a", -1, 9, 9),
            ],
            truncated: false,
        };
        let (hooks, is_cut) = by_hook(&found, 3);
        assert!(!is_cut);
        assert_eq!((hooks[0].hook.as_str(), hooks[1].hook.as_str()), ("a", "b"));
        assert_eq!(hooks[0].requests, [1, 0, 0]);
        assert_eq!(hooks[0].failures, [2, 0, 0]);
        assert_eq!(hooks[1].requests, [0, 0, 5]);
    }

    #[test]
    fn the_busiest_hooks_are_kept() {
        let buckets = (0..300).map(|number| bucket(&format!("h{number:03}"), 0, number, 0));
        let found = Activity {
            buckets: buckets.collect(),
            truncated: false,
        };
        let (hooks, is_cut) = by_hook(&found, 1);
        assert!(is_cut);
        assert_eq!((hooks.len(), hooks[0].hook.as_str()), (HOOKS_MAX, "h100"));
    }
}
