//! A scrape of `/metrics`: what the parts of the node count, and the values that are read for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use landfall_dispatch::Dispatcher;
use landfall_engine::Engine;
use landfall_hooks::{HookState, Hooks};
use landfall_ledger::{HookBacklog, LedgerUse};
use landfall_metrics::{Family, Gauges, Metrics, add_process};
use landfall_model::{AlarmKind, Clock, NO_HOOK, SecretSource};
use landfall_reconcile::Reconciler;
use landfall_secrets::Secrets;
use tokio::sync::Mutex;

use crate::candidates::{CandidateControl, PHASES};
use crate::encryption::EncryptionJob;
use crate::shapes::Shapes;
use crate::watcher::Watcher;

/// The ledger is asked at most this often, however many scrapers there are.
const LEDGER_EVERY: Duration = Duration::from_secs(2);
/// A scrape does not wait longer for the ledger. Its metrics are then left out.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(2);
const STATES: [HookState; 4] = [
    HookState::Serving,
    HookState::Stale,
    HookState::Closed,
    HookState::Unavailable,
];

/// What a scrape reads.
pub(crate) struct Scraper {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) hooks: Hooks,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) watcher: Arc<Watcher>,
    pub(crate) candidates: Arc<CandidateControl>,
    pub(crate) reconciler: Arc<Reconciler>,
    pub(crate) shapes: Arc<Shapes>,
    pub(crate) clock: Clock,
    /// When the process started.
    pub(crate) started: SystemTime,
    pub(crate) ledger: LedgerCache,
    /// `None`: the ledger is not encrypted.
    pub(crate) encryption: Option<Arc<EncryptionJob>>,
}

/// The last answer of the ledger, and when it came.
#[derive(Default)]
pub(crate) struct LedgerCache(Mutex<Option<(Instant, LedgerUse)>>);

// === impl Scraper ===

impl Scraper {
    /// All metrics in the text format of Prometheus.
    pub(crate) async fn text(&self) -> String {
        self.metrics.text(&self.gauges().await)
    }

    /// All metrics as values.
    pub(crate) async fn snapshot(&self) -> Vec<Family> {
        self.metrics.snapshot(&self.gauges().await)
    }

    async fn gauges(&self) -> Gauges {
        let gauges = Gauges::new();
        self.add_node(&gauges);
        let names = self.hooks.names();
        self.add_hooks(&gauges, &names);
        self.add_secrets(&gauges, &names);
        self.add_alarms(&gauges, &names);
        self.add_searches(&gauges);
        self.add_candidates(&gauges);
        self.add_shapes(&gauges, &names);
        if let Some(usage) = self.ledger_use().await {
            add_ledger(&gauges, &names, usage);
        }
        if let Some(encryption) = &self.encryption {
            encryption.add_to(&gauges);
        }

        add_process(&gauges, self.started);
        gauges
    }

    fn add_node(&self, gauges: &Gauges) {
        gauges.set_all(
            "landfall_build_info",
            "The version of this node.",
            ["version"],
            [([env!("CARGO_PKG_VERSION").to_owned()], 1.0)],
        );
        gauges.set(
            "landfall_accepts_events",
            "1 if events can be stored now, otherwise 0.",
            f64::from(self.dispatcher.can_accept()),
        );
        gauges.set(
            "landfall_attempts_running",
            "Attempts that run now.",
            self.engine.running() as f64,
        );
        gauges.set(
            "landfall_deliveries_leased",
            "Deliveries that this node has leased: those that run, and those whose end is not stored yet.",
            self.dispatcher.leases() as f64,
        );
        gauges.count(
            "landfall_ledger_removed_total",
            "Ended deliveries that were removed because of ledger.max_size.",
            self.dispatcher.ledger().removed_by_size() as u64,
        );
        gauges.set(
            "landfall_ledger_retention_stopped",
            "1 if nothing is removed by age, because the nodes of a shared ledger cannot agree on the retention, otherwise 0.",
            f64::from(self.dispatcher.ledger().is_retention_stopped()),
        );
        gauges.count(
            "landfall_cache_evictions_total",
            "Compiled components that were removed because of cache.max_size.",
            self.engine.cache_evictions(),
        );

        let (replies, reply_bytes) = self.dispatcher.remembered_replies();
        gauges.set(
            "landfall_remembered_replies",
            "Replies that are remembered for callers that come after the end of their event: at most 256.",
            replies as f64,
        );
        gauges.set(
            "landfall_remembered_reply_bytes",
            "Bytes of the bodies of remembered replies: at most 16 MiB.",
            reply_bytes as f64,
        );
    }

    fn add_hooks(&self, gauges: &Gauges, names: &[Arc<str>]) {
        let states: BTreeMap<String, HookState> = self
            .hooks
            .statuses()
            .into_iter()
            .map(|status| (status.name, status.state))
            .collect();
        let states = names.iter().flat_map(|name| {
            let present = states.get(&**name).copied();
            STATES.map(|state| {
                let labels = [name.to_string(), state.to_string()];
                (labels, f64::from(present == Some(state)))
            })
        });
        gauges.set_all(
            "landfall_hook_state",
            "1 for the state of the hook, 0 for the other states.",
            ["hook", "state"],
            states,
        );

        gauges.set_all(
            "landfall_hook_paused",
            "1 if an operator has paused the hook.",
            ["hook"],
            by_name(names, |name| {
                f64::from(self.dispatcher.hook_status(name).is_paused)
            }),
        );
        gauges.set_all(
            "landfall_hook_circuit_open",
            "1 if every attempt of the hook fails, so that its events wait.",
            ["hook"],
            by_name(names, |name| {
                f64::from(self.dispatcher.hook_status(name).is_failing)
            }),
        );

        let hooks: Vec<_> = names
            .iter()
            .filter_map(|name| Some((name.to_string(), self.hooks.named(name)?)))
            .collect();
        let running = hooks
            .iter()
            .map(|(name, hook)| ([name.clone()], hook.permits.in_use() as f64));
        gauges.set_all(
            "landfall_hook_attempts_running",
            "Attempts of the hook that run now on this node.",
            ["hook"],
            running,
        );
        let limits = hooks
            .iter()
            .map(|(name, hook)| ([name.clone()], hook.permits.concurrency() as f64));
        gauges.set_all(
            "landfall_hook_concurrency_limit",
            "The most attempts of the hook that run at a time on a node.",
            ["hook"],
            limits,
        );
        let waiting = hooks
            .iter()
            .map(|(name, hook)| ([name.clone()], hook.permits.waiting_tasks() as f64));
        let without_hook = self.engine.slots().unassigned_waiting() as f64;
        gauges.set_all(
            "landfall_hook_tasks_waiting",
            "Requests and attempts of the hook that wait for a run slot on this node; `-`: what has no hook yet, and HTTP/2 connections.",
            ["hook"],
            waiting.chain([([NO_HOOK.to_owned()], without_hook)]),
        );
    }

    /// The label `key` is that of `landfall_verified_total`.
    fn add_secrets(&self, gauges: &Gauges, names: &[Arc<str>]) {
        let (mut available, mut ages) = (Vec::new(), Vec::new());
        let now = self.clock.now();
        for name in names {
            let Some(hook) = self.hooks.named(name) else {
                continue;
            };
            let word = hook.verifier.auth_scheme().word();
            for (index, reference) in hook.verifier.secrets().iter().enumerate() {
                let labels = [name.to_string(), format!("{word}#{}", index + 1)];
                let has_value = self.secrets.value(reference).is_ok();
                available.push((labels.clone(), f64::from(has_value)));
                if let Some(age) = self.secrets.age(reference, now) {
                    ages.push((labels, age.as_secs_f64()));
                }
            }
        }

        gauges.set_all(
            "landfall_secret_available",
            "1 if the secret has a value, otherwise 0.",
            ["hook", "key"],
            available,
        );
        gauges.set_all(
            "landfall_secret_age_seconds",
            "Since the file of the secret was modified, or since this node first read its value.",
            ["hook", "key"],
            ages,
        );
    }

    /// Every alarm of every hook, and those of the node as `-`.
    fn add_alarms(&self, gauges: &Gauges, names: &[Arc<str>]) {
        let open = self.watcher.open();
        let open: BTreeSet<(&str, AlarmKind)> = open
            .iter()
            .map(|alarm| (alarm.hook.as_str(), alarm.alarm))
            .collect();
        let value = |hook: &str, kind: AlarmKind| {
            let labels = [hook.to_owned(), kind.word().to_owned()];
            (labels, f64::from(open.contains(&(hook, kind))))
        };
        let kinds = |is_of_node: bool| {
            let all = AlarmKind::ALL.into_iter();
            all.filter(move |kind| kind.is_of_node() == is_of_node)
        };
        let of_hooks = names
            .iter()
            .flat_map(|name| kinds(false).map(move |kind| (name, kind)))
            .map(|(name, kind)| value(name, kind));
        let of_node = kinds(true).map(|kind| value(NO_HOOK, kind));
        gauges.set_all(
            "landfall_alarm_open",
            "1 if the alarm is open.",
            ["hook", "alarm"],
            of_hooks.chain(of_node),
        );
    }

    /// Hooks with a candidate.
    fn add_candidates(&self, gauges: &Gauges) {
        let phases = self.candidates.phases().into_iter();
        let values = phases.flat_map(|(hook, present)| {
            PHASES.map(|phase| {
                let labels = [hook.clone(), phase.to_owned()];
                (labels, f64::from(phase == present))
            })
        });
        gauges.set_all(
            "landfall_candidate_phase",
            "1 for the phase of the hook's candidate, 0 for the other phases.",
            ["hook", "phase"],
            values,
        );
    }

    /// Hooks with scheduled searches for missed deliveries.
    fn add_searches(&self, gauges: &Gauges) {
        let failing = self.reconciler.failing().into_iter();
        gauges.set_all(
            "landfall_reconcile_failing",
            "1 if the last scheduled search for missed deliveries ended before it had seen everything.",
            ["hook"],
            failing.map(|(hook, is_failing)| ([hook], f64::from(is_failing))),
        );
    }

    fn add_shapes(&self, gauges: &Gauges, names: &[Arc<str>]) {
        let counts = self.shapes.counts();
        gauges.count(
            "landfall_shape_events_learned_total",
            "Stored events from which this node has learned the shape of their type.",
            counts.learned.load(Ordering::Relaxed),
        );
        gauges.count(
            "landfall_shape_events_skipped_total",
            "Stored events whose body was too large, had too many fields, or could not be read.",
            counts.skipped.load(Ordering::Relaxed),
        );
        gauges.count(
            "landfall_shape_events_untyped_total",
            "Stored events whose type was not learned: the hook has too many, or its name is too long.",
            counts.untyped.load(Ordering::Relaxed),
        );
        gauges.set_all(
            "landfall_shape_types",
            "Event types of the hook whose shapes are learned.",
            ["hook"],
            by_name(names, |name| self.shapes.types(name) as f64),
        );
        gauges.set_all(
            "landfall_shape_differences",
            "Open differences between the events of the hook and their shapes.",
            ["hook"],
            by_name(names, |name| {
                let found = self.shapes.differences(name).unwrap_or_default();
                found.open as f64
            }),
        );
    }

    /// `None` if the ledger does not answer.
    async fn ledger_use(&self) -> Option<LedgerUse> {
        let mut cached = self.ledger.0.lock().await;
        if let Some((at, usage)) = &*cached
            && at.elapsed() < LEDGER_EVERY
        {
            return Some(usage.clone());
        }

        let question = self.dispatcher.ledger().usage();
        match tokio::time::timeout(LEDGER_TIMEOUT, question).await {
            Ok(Ok(usage)) => {
                *cached = Some((Instant::now(), usage.clone()));
                Some(usage)
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the metrics of the ledger are left out");
                None
            }
            Err(_) => {
                tracing::debug!(
                    "the metrics of the ledger are left out: it did not answer in time"
                );
                None
            }
        }
    }
}

/// A value for each hook.
fn by_name(
    names: &[Arc<str>],
    value: impl Fn(&Arc<str>) -> f64,
) -> impl Iterator<Item = ([String; 1], f64)> {
    names
        .iter()
        .map(move |name| ([name.to_string()], value(name)))
}

fn add_ledger(gauges: &Gauges, names: &[Arc<str>], usage: LedgerUse) {
    gauges.set(
        "landfall_ledger_size_bytes",
        "The size of the ledger: its file and log, or its database.",
        usage.bytes as f64,
    );
    if let Some(free) = usage.free_bytes {
        gauges.set(
            "landfall_disk_free_bytes",
            "Free bytes of the file system of the data directory.",
            free as f64,
        );
    }

    let backlogs = known_hooks(names, usage.hooks);
    let deliveries = backlogs.iter().flat_map(|backlog| {
        [
            ("waiting", backlog.waiting),
            ("pending", backlog.pending),
            ("running", backlog.running),
            ("dead", backlog.dead),
        ]
        .map(|(state, count)| ([backlog.hook.clone(), state.to_owned()], count as f64))
    });
    gauges.set_all(
        "landfall_deliveries",
        "Deliveries in the ledger that are held, wait, run, or are dead letters; of hooks that no longer exist together as `-`.",
        ["hook", "state"],
        deliveries,
    );
    let ages = backlogs
        .iter()
        .map(|backlog| ([backlog.hook.clone()], backlog.overdue.as_secs_f64()));
    gauges.set_all(
        "landfall_queue_oldest_age_seconds",
        "For how long the delivery has been due that has waited longest; 0 if none is due.",
        ["hook"],
        ages,
    );
}

/// A backlog for each hook, and one for those that no longer exist, if they have any.
fn known_hooks(names: &[Arc<str>], backlogs: Vec<HookBacklog>) -> Vec<HookBacklog> {
    let mut known: BTreeMap<String, HookBacklog> = names
        .iter()
        .map(|name| (name.to_string(), HookBacklog::default()))
        .collect();
    for backlog in backlogs {
        let name = if known.contains_key(&backlog.hook) {
            backlog.hook
        } else {
            NO_HOOK.to_owned()
        };
        let sum = known.entry(name).or_default();
        sum.waiting += backlog.waiting;
        sum.pending += backlog.pending;
        sum.running += backlog.running;
        sum.dead += backlog.dead;
        sum.overdue = sum.overdue.max(backlog.overdue);
    }

    known
        .into_iter()
        .map(|(hook, backlog)| HookBacklog { hook, ..backlog })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_hooks_count_together() {
        let backlog = |hook: &str, dead| HookBacklog {
            hook: hook.into(),
            dead,
            ..HookBacklog::default()
        };
        let found = known_hooks(
            &["a".into(), "b".into()],
            vec![backlog("gone", 1), backlog("b", 2), backlog("lost", 3)],
        );
        assert_eq!(found, [backlog("-", 4), backlog("a", 0), backlog("b", 2)]);
    }
}
