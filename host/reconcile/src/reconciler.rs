//! Starts the runs: each hook with `[reconcile]` has one every so often, and one when an operator
//! asks for it. A hook has one run at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::api::Api;
use super::error::RunError;
use super::progress::Progress;
use super::report::{begin, time};
use super::run::{Order, Run};
use landfall_dispatch::Dispatcher;
use landfall_hooks::{Hook, Hooks};
use landfall_ledger::Lead;
use landfall_model::clock::to_ms;
use landfall_model::{Clock, SearchReport, SecretSource, lock};
use landfall_verify::AuthScheme;

/// Runs that hold an answer of an API in memory at the same time.
const RUNS_MAX: usize = 2;
/// How often the schedule is looked at.
const TICK: Duration = Duration::from_secs(1);
/// When a run that has reached its limits goes on.
const MORE_AFTER_MS: i64 = 1000;
/// When another node goes on with a run that stores no more pages.
const TAKEN_OVER_AFTER_MS: i64 = 60_000;
/// Of the nodes that share a ledger, one has the scheduled runs. Another one takes over after this
/// time,
const LEAD: Duration = Duration::from_secs(60);
/// and asks this often whether it may.
const LEAD_EVERY: Duration = Duration::from_secs(20);
/// What only one node does.
const SCHEDULE: &str = "reconcile";

/// The runs of all hooks of a node.
pub struct Reconciler {
    hooks: Hooks,
    dispatcher: Arc<Dispatcher>,
    secrets: Arc<dyn SecretSource>,
    clock: Clock,
    places: Arc<Semaphore>,
    /// One entry for each hook with `[reconcile]`.
    states: Mutex<BTreeMap<Arc<str>, State>>,
    stopped: watch::Sender<bool>,
    /// This node has the scheduled runs.
    leads: AtomicBool,
}

/// What is known of a hook's runs.
#[derive(Default)]
struct State {
    /// The last run, which may go on.
    report: Option<Arc<Mutex<SearchReport>>>,
    /// When the next scheduled run begins, in ms since 1970. `None`: the ledger has to say it.
    due_ms: Option<i64>,
    /// The last scheduled run ended early. `None`: there was none.
    is_failing: Option<bool>,
}

/// Why no run was started.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// No hook has this name.
    #[error("no hook has this name: `landfall hooks` lists them")]
    NoHook,
    /// The hook file has no `[reconcile]`.
    #[error("the hook file has no [reconcile]: docs/RECONCILE.md has one for each provider")]
    NotConfigured,
    /// The hook takes no request.
    #[error("the hook is closed: write [verify] first, which also says what identifies a delivery")]
    Closed,
    /// The last run goes on.
    #[error("a run of this hook is under way: ask again when it has ended")]
    Running(Box<SearchReport>),
    /// The API cannot be called.
    #[error("{0}")]
    Api(String),
}

// === impl Reconciler ===

impl Reconciler {
    /// Starts no run yet.
    pub fn new(
        hooks: Hooks,
        dispatcher: Arc<Dispatcher>,
        secrets: Arc<dyn SecretSource>,
        clock: Clock,
    ) -> Arc<Reconciler> {
        Arc::new(Reconciler {
            hooks,
            dispatcher,
            secrets,
            clock,
            places: Arc::new(Semaphore::new(RUNS_MAX)),
            states: Mutex::default(),
            stopped: watch::Sender::new(false),
            leads: AtomicBool::new(false),
        })
    }

    /// Starts the scheduled runs, until `stop`.
    pub async fn run_schedule(self: Arc<Self>) {
        let mut lead = None;
        while !*self.stopped.borrow() {
            let hooks = self.configured();
            let names: BTreeSet<&str> = hooks.iter().map(|hook| &*hook.spec.name).collect();
            lock(&self.states).retain(|name, _| names.contains(&**name));
            if !hooks.is_empty() && self.leads(&mut lead).await {
                for hook in hooks {
                    if self.is_due(&hook).await {
                        self.start_scheduled(&hook);
                    }
                }
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Ends every run where it is, and starts no scheduled one. The next start goes on.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Lets another node have the scheduled runs, after `stop`.
    pub async fn release(&self) {
        let ledger = self.dispatcher.ledger();
        if self.leads.load(Ordering::Relaxed) {
            ledger.lead(SCHEDULE, Duration::ZERO).await.ok();
        }
    }

    /// Whether this node has the scheduled runs. `last`: when the ledger was asked, and what it has
    /// said.
    async fn leads(&self, last: &mut Option<(Instant, bool)>) -> bool {
        if let Some((asked, leads)) = last
            && asked.elapsed() < LEAD_EVERY
        {
            return *leads;
        }

        let lead = match self.dispatcher.ledger().lead(SCHEDULE, LEAD).await {
            Ok(lead) => lead,
            Err(error) => {
                tracing::debug!(%error, "missed deliveries are not looked for");
                Lead::Elsewhere
            }
        };
        let leads = lead.is_own();
        let has_led = self.leads.swap(leads, Ordering::Relaxed);
        if has_led && lead != Lead::Held {
            // Another node knows more from now on, or may have had the runs in between.
            lock(&self.states).retain(|_, state| state.is_running());
        }
        *last = Some((Instant::now(), leads));
        leads
    }

    /// The hooks that had a scheduled run on this node, and whether the last one ended early. None
    /// on a node that has no scheduled runs.
    pub fn failing(&self) -> Vec<(String, bool)> {
        let states = lock(&self.states);
        let failing = states.iter();
        failing
            .filter_map(|(hook, state)| Some((hook.to_string(), state.is_failing?)))
            .collect()
    }

    /// The last run of a hook, which may go on. `None`: there was none since the start.
    pub fn report(&self, hook: &str) -> Option<SearchReport> {
        let states = lock(&self.states);
        let report = states.get(hook)?.report.as_ref()?;
        Some(lock(report).clone())
    }

    /// Starts a run of this hook in the background. Returns its report at the beginning.
    pub fn start(self: &Arc<Self>, hook: &str, order: Order) -> Result<SearchReport, StartError> {
        let hook = self.hooks.named(hook).ok_or(StartError::NoHook)?;
        self.start_run(hook, order)
    }

    fn configured(&self) -> Vec<Arc<Hook>> {
        let names = self.hooks.names();
        names
            .iter()
            .filter_map(|name| self.hooks.named(name))
            .filter(|hook| hook.spec.reconcile.is_some() && !is_closed(hook))
            .collect()
    }

    fn start_scheduled(self: &Arc<Self>, hook: &Arc<Hook>) {
        let order = Order {
            since: None,
            dry_run: false,
        };
        match self.start_run(hook.clone(), order) {
            Ok(_) | Err(StartError::Running(_)) => {}
            Err(error) => {
                let name = &*hook.spec.name;
                tracing::warn!(hook = name, %error, "missed deliveries are not looked for");
                self.schedule(hook, false);
            }
        }
    }

    /// Whether the hook's next scheduled run begins now.
    async fn is_due(&self, hook: &Arc<Hook>) -> bool {
        let now_ms = to_ms(self.clock.now());
        let due_ms = {
            let mut states = lock(&self.states);
            let state = states.entry(hook.spec.name.shared()).or_default();
            if state.is_running() {
                return false;
            }
            state.due_ms
        };
        // A later time is one of a clock that was ahead.
        let latest_ms = now_ms.saturating_add(every_ms(hook));
        if let Some(due_ms) = due_ms
            && (now_ms + 1..=latest_ms).contains(&due_ms)
        {
            return false;
        }

        // Another node may have had the run, or this one before its restart.
        let ledger = &**self.dispatcher.ledger();
        let due_ms = match Progress::read(ledger, &hook.spec.name).await {
            Ok(progress) => due_after(&progress, now_ms, every_ms(hook), ledger.is_shared()),
            Err(error) => {
                let name = &*hook.spec.name;
                tracing::warn!(hook = name, %error, "missed deliveries are not looked for");
                Some(now_ms + 10 * MORE_AFTER_MS)
            }
        };
        let due_ms = due_ms.unwrap_or(now_ms);
        if let Some(state) = lock(&self.states).get_mut(&*hook.spec.name) {
            state.due_ms = Some(due_ms);
        }
        due_ms <= now_ms
    }

    fn start_run(
        self: &Arc<Self>,
        hook: Arc<Hook>,
        order: Order,
    ) -> Result<SearchReport, StartError> {
        let spec = hook
            .spec
            .reconcile
            .clone()
            .ok_or(StartError::NotConfigured)?;
        if is_closed(&hook) {
            return Err(StartError::Closed);
        }
        let api = Api::new(&hook.spec, &spec, self.secrets.clone(), self.clock)
            .map_err(|error| StartError::Api(error.to_string()))?;

        let now_ms = to_ms(self.clock.now());
        let report = begin(&hook.spec.name, &spec.source, order.dry_run, now_ms);
        let shared = Arc::new(Mutex::new(report.clone()));
        {
            let mut states = lock(&self.states);
            let state = states.entry(hook.spec.name.shared()).or_default();
            if let Some(running) = state.running() {
                return Err(StartError::Running(Box::new(running)));
            }
            state.report = Some(shared.clone());
        }

        let run = Run {
            hook: hook.clone(),
            spec,
            api,
            dispatcher: self.dispatcher.clone(),
            clock: self.clock,
            places: self.places.clone(),
            report: shared.clone(),
            order,
        };
        let reconciler = self.clone();
        let mut stopped = self.stopped.subscribe();
        tokio::spawn(async move {
            let mut run = tokio::spawn(run.whole());
            tokio::select! {
                ended = &mut run => {
                    let result = ended.unwrap_or(Err(RunError::Fault));
                    reconciler.end_run(&hook, &shared, order, result);
                }
                _ = stopped.wait_for(|is_stopped| *is_stopped) => run.abort(),
            }
        });
        Ok(report)
    }

    fn end_run(
        &self,
        hook: &Hook,
        report: &Mutex<SearchReport>,
        order: Order,
        result: Result<(), RunError>,
    ) {
        let name = &*hook.spec.name;
        let error = result.err().map(|error| error.to_string());
        if let Some(error) = &error {
            hook.metrics.count_reconciled("error");
            tracing::warn!(
                hook = name,
                %error,
                "a search for missed deliveries ended early"
            );
        }

        let ended = {
            let mut report = lock(report);
            report.running = false;
            report.waits_until = None;
            report.ended_at = Some(time(to_ms(self.clock.now())));
            report.error = error;
            report.clone()
        };
        if ended.missed > 0 {
            tracing::info!(
                hook = name,
                dry_run = ended.dry_run,
                missed = ended.missed,
                accepted = ended.accepted,
                skipped = ended.skipped,
                "missed deliveries were found"
            );
        }
        if order.is_scheduled() {
            self.schedule(hook, ended.more && ended.error.is_none());
            if let Some(state) = lock(&self.states).get_mut(name) {
                state.is_failing = Some(ended.error.is_some());
            }
        }
    }

    /// Sets when the hook's next scheduled run begins.
    fn schedule(&self, hook: &Hook, goes_on: bool) {
        let now_ms = to_ms(self.clock.now());
        if let Some(state) = lock(&self.states).get_mut(&*hook.spec.name) {
            state.due_ms = Some(if goes_on {
                now_ms + MORE_AFTER_MS
            } else {
                now_ms + every_ms(hook)
            });
        }
    }
}

// === impl State ===

impl State {
    fn is_running(&self) -> bool {
        self.report
            .as_ref()
            .is_some_and(|report| lock(report).running)
    }

    fn running(&self) -> Option<SearchReport> {
        let report = lock(self.report.as_ref()?).clone();
        report.running.then_some(report)
    }
}

fn is_closed(hook: &Hook) -> bool {
    *hook.verifier.auth_scheme() == AuthScheme::Closed
}

/// The time between two runs of the hook.
fn every_ms(hook: &Hook) -> i64 {
    let spec = hook.spec.reconcile.as_ref();
    spec.map_or(0, |spec| spec.every.as_millis() as i64)
}

/// When the run after the last one begins. `None`: now. A run that has not come to its end goes on
/// now, unless it may still be one of another node.
fn due_after(progress: &Progress, now_ms: i64, every_ms: i64, is_shared: bool) -> Option<i64> {
    // A later time is one of a clock that was ahead.
    let past = |at_ms: Option<i64>| at_ms.filter(|at_ms| *at_ms <= now_ms);
    match &progress.open {
        Some(_) if is_shared => Some(past(progress.touched_ms)? + TAKEN_OVER_AFTER_MS),
        Some(_) => None,
        None => Some(past(progress.started_ms)? + every_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::Open;
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const HOUR: i64 = 3_600_000;

    #[test]
    fn runs_follow_each_other() {
        let ended = |started_ms: i64| Progress {
            started_ms: Some(started_ms),
            ..Progress::default()
        };
        let due = |progress: &Progress| due_after(progress, NOW, HOUR, true);
        assert_eq!(due(&Progress::default()), None);
        assert_eq!(due(&ended(NOW - HOUR / 2)), Some(NOW + HOUR / 2));
        assert_eq!(due(&ended(NOW + 9 * HOUR)), None, "the clock was ahead");
    }

    #[test]
    fn open_runs_of_dead_nodes_go_on() {
        let open = |touched_ms: i64| Progress {
            started_ms: Some(NOW - HOUR),
            touched_ms: Some(touched_ms),
            open: Some(Open::default()),
            ..Progress::default()
        };
        let of_another = due_after(&open(NOW - 1000), NOW, HOUR, true);
        assert_eq!(of_another, Some(NOW - 1000 + TAKEN_OVER_AFTER_MS));
        let of_this = due_after(&open(NOW - 1000), NOW, HOUR, false);
        assert_eq!(of_this, None);
        assert_eq!(due_after(&open(NOW + HOUR), NOW, HOUR, true), None);
    }
}
