//! Requests and failures of each hook over the last five minutes, sampled from its counters. In
//! memory only: after a restart, the ledger fills the time before. Refused requests of that time are
//! missing, because the ledger does not have them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use landfall_admin::InProcess;
use landfall_hooks::Hooks;
use landfall_ledger::{Filter, History};
use landfall_model::lock;
use serde::Deserialize;

use crate::api;
use crate::spark::{Spark, spark};

/// How often the counters are sampled.
pub(crate) const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);
/// Samples of one hook: five minutes.
const SAMPLES_MAX: usize = 60;
const MINUTES: usize = 5;

/// How often hooks without an event are looked at, while a page shows them.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The samples of all hooks that exist.
#[derive(Default)]
pub(crate) struct Series {
    hooks: Mutex<BTreeMap<String, HookSeries>>,
    /// When the hooks without an event were looked at last.
    looked: Mutex<Option<Instant>>,
}

#[derive(Debug, Clone, Default)]
struct HookSeries {
    /// The counters at the last sample; `None` before the first one.
    total: Option<Counted>,
    requests: VecDeque<u64>,
    failures: VecDeque<u64>,
    /// When its newest event was received, in RFC 3339.
    last_seen: Option<String>,
}

/// What happened before the start, as `GET /api/v1/stats/activity` answers it.
#[derive(Debug, Deserialize)]
struct Activity {
    hooks: Vec<HookActivity>,
}

/// A number for each sample, oldest first.
#[derive(Debug, Deserialize)]
struct HookActivity {
    hook: String,
    requests: Vec<u64>,
    failures: Vec<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    requests: u64,
    failures: u64,
}

// === impl Series ===

impl Series {
    /// The picture of a hook.
    pub(crate) fn spark(&self, hook: &str) -> Spark {
        let all = lock(&self.hooks);
        let series = all.get(hook);
        let requests = whole(series.map(|series| &series.requests));
        let failures = whole(series.map(|series| &series.failures));
        spark(&requests, &failures, MINUTES)
    }

    /// When the newest event of a hook was received, in RFC 3339. `None` if it has none, or if it
    /// was not sampled yet.
    pub(crate) fn last_seen(&self, hook: &str) -> Option<String> {
        lock(&self.hooks).get(hook)?.last_seen.clone()
    }

    /// Takes the time before the start from the ledger.
    pub(crate) async fn fill(&self, api: &InProcess) {
        let path = format!("/stats/activity?since={MINUTES}m&buckets={SAMPLES_MAX}");
        match api::get::<Activity>(api, &path).await {
            Ok(activity) => self.begin_with(activity),
            Err(error) => tracing::warn!(%error, "the pictures of the last minutes begin anew"),
        }
    }

    fn begin_with(&self, activity: Activity) {
        let mut all = lock(&self.hooks);
        for hook in activity.hooks {
            let series = HookSeries {
                requests: hook.requests.into(),
                failures: hook.failures.into(),
                ..HookSeries::default()
            };
            all.entry(hook.hook).or_insert(series);
        }
    }

    /// Adds a sample of each hook. Series of removed hooks end.
    pub(crate) async fn sample(&self, hooks: &Hooks, ledger: &dyn History) {
        let is_complete = hooks.is_complete();
        let names = hooks.names();
        let exists = |known: &str| names.iter().any(|name| **name == *known);
        lock(&self.hooks).retain(|known, series| {
            if exists(known) {
                return true;
            }
            // A hook that is not loaded yet.
            series.push(0, 0);
            !is_complete
        });
        for name in names {
            let Some(hook) = hooks.named(&name) else {
                continue;
            };
            let totals = hook.metrics.totals();
            let total = Counted {
                requests: totals.requests,
                failures: totals.failures,
            };
            if self.add(&name, total) {
                self.look(&name, ledger).await;
            }
        }
    }

    /// Looks for the first event of hooks that had none, so that a page need not wait for the next
    /// sample.
    pub(crate) async fn look_for_first(&self, hooks: &Hooks, ledger: &dyn History) {
        if !self.may_look() {
            return;
        }

        for name in hooks.names() {
            if self.last_seen(&name).is_none() {
                self.look(&name, ledger).await;
            }
        }
    }

    fn may_look(&self) -> bool {
        let mut looked = lock(&self.looked);
        let is_due = looked.is_none_or(|looked| looked.elapsed() >= LOOK_INTERVAL);
        if is_due {
            *looked = Some(Instant::now());
        }
        is_due
    }

    /// Finds the newest event of a hook.
    async fn look(&self, hook: &str, ledger: &dyn History) {
        let newest = Filter {
            hook: Some(hook.to_owned()),
            limit: 1,
            ..Filter::default()
        };
        let Ok(newest) = ledger.list(newest).await else {
            return;
        };
        let mut all = lock(&self.hooks);
        let series = all.entry(hook.to_owned()).or_default();
        series.last_seen = newest.into_iter().next().map(|one| one.received_at);
    }

    /// Adds a sample. Returns whether the hook may have a newer event than before.
    fn add(&self, hook: &str, total: Counted) -> bool {
        let mut all = lock(&self.hooks);
        let series = all.entry(hook.to_owned()).or_default();
        // A hook that is new has counted all of it since the last sample.
        let before = series.total.unwrap_or_default();
        series.push(
            total.requests.saturating_sub(before.requests),
            total.failures.saturating_sub(before.failures),
        );
        // An event that another one emitted, or that a broker delivered, is no request.
        let may_be_newer = series.total != Some(total) || series.last_seen.is_none();
        series.total = Some(total);
        may_be_newer
    }
}

// === impl HookSeries ===

impl HookSeries {
    fn push(&mut self, requests: u64, failures: u64) {
        push(&mut self.requests, requests);
        push(&mut self.failures, failures);
    }
}

/// Samples of the whole time: zero before the first one.
fn whole(samples: Option<&VecDeque<u64>>) -> Vec<u64> {
    let known = samples.map_or(0, VecDeque::len);
    let mut whole = vec![0; SAMPLES_MAX.saturating_sub(known)];
    whole.extend(samples.into_iter().flatten());
    whole
}

fn push(samples: &mut VecDeque<u64>, value: u64) {
    if samples.len() >= SAMPLES_MAX {
        samples.pop_front();
    }
    samples.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(requests: u64, failures: u64) -> Counted {
        Counted { requests, failures }
    }

    #[test]
    fn samples_are_differences() {
        let series = Series::default();
        assert!(series.add("a", counted(100, 7)));
        series.add("a", counted(103, 8));
        series.add("a", counted(2, 0));
        let all = lock(&series.hooks);
        assert_eq!(all["a"].requests, [100, 3, 0]);
        assert_eq!(all["a"].failures, [7, 1, 0]);
    }

    #[test]
    fn the_time_before_is_filled() {
        let series = Series::default();
        let before = HookActivity {
            hook: "a".into(),
            requests: vec![1; SAMPLES_MAX],
            failures: vec![0; SAMPLES_MAX],
        };
        series.begin_with(Activity {
            hooks: vec![before],
        });
        series.add("a", counted(1, 0));
        series.add("a", counted(3, 1));
        let label = series.spark("a").label;
        assert!(label.starts_with("61 requests and 1 failure"), "{label}");
    }

    #[test]
    fn samples_are_bounded() {
        let series = Series::default();
        for total in 0..200 {
            series.add("a", counted(total, 0));
        }
        assert_eq!(lock(&series.hooks)["a"].requests.len(), SAMPLES_MAX);
        assert!(
            series
                .spark("a")
                .label
                .starts_with("60 requests and 0 failures")
        );
        assert!(series.spark("b").failures.is_empty());
    }
}
