//! The candidates of a node: begins to try them, judges canaries by their rules, and carries out
//! promotions and rollbacks. Decisions are documents in the ledger, which all nodes follow: each of
//! them may decide, and the first one does.

mod age;
mod audit;
mod decisions;
mod exchange;
mod gone;
mod phase;
mod promotions;
mod remembered;
mod report;
mod served;
mod states;
mod trials;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_candidate::{By, CandidateState};
use landfall_engine::Handler;
use landfall_hooks::{FoundCandidate, Hooks};
use landfall_ledger::Ledger;
use landfall_model::{Clock, lock};

use self::age::Ages;
use self::exchange::{Counted, Exchange};
use self::phase::Phase;

pub(crate) use self::remembered::Remembered;
pub(crate) use self::report::PHASES;

/// How often canaries are judged.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a shared ledger is asked for decisions of other nodes while nothing is tried here.
const READ_EVERY: Duration = Duration::from_secs(5);
/// How often trials of candidates are ended that no node of a shared ledger has any more.
const END_EVERY: Duration = Duration::from_secs(5);
/// How often hooks are looked for that are gone, and components that no hook needs.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// The candidates of a running node.
pub(crate) struct CandidateControl {
    remembered: Remembered,
    exchange: Exchange,
    hooks: Hooks,
    clock: Clock,
    ages: Mutex<Ages>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    /// What rules wait for, by hook.
    waits: Mutex<BTreeMap<String, String>>,
    /// The sums of all nodes' counts, by hook.
    counted: Mutex<BTreeMap<String, Counted>>,
    /// Hooks and versions that were rolled back, by whom and why, whose decision is not stored yet.
    halted: Mutex<BTreeMap<(String, String), (By, String)>>,
}

/// When the loop has done what it does rarely. `None`: not yet.
#[derive(Default)]
struct Done {
    read: Option<Instant>,
    /// The last read of a shared ledger has failed: other nodes may have decided what is not known
    /// here.
    is_outdated: bool,
    ended: Option<Instant>,
    forgot: Option<Instant>,
}

// === impl CandidateControl ===

impl CandidateControl {
    pub(crate) fn new(remembered: Remembered, hooks: Hooks, clock: Clock) -> CandidateControl {
        CandidateControl {
            exchange: Exchange::new(remembered.ledger.clone()),
            remembered,
            hooks,
            clock,
            ages: Mutex::default(),
            changing: tokio::sync::Mutex::new(()),
            waits: Mutex::default(),
            counted: Mutex::default(),
            halted: Mutex::default(),
        }
    }

    /// Looks at every interval, until the process ends.
    pub(crate) async fn run(self: Arc<CandidateControl>) {
        let mut done = Done {
            read: Some(Instant::now()),
            ..Done::default()
        };
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // Before that, hooks are missing that exist.
            if self.hooks.is_complete() {
                self.look(&mut done).await;
            }
        }
    }

    async fn look(&self, done: &mut Done) {
        let _one = self.changing.lock().await;
        let candidates = &self.remembered.candidates;
        let hooks = candidates.hooks();
        let is_shared = self.ledger().is_shared();
        if is_shared && (is_due(&mut done.read, READ_EVERY) || !hooks.is_empty()) {
            let read = self.remembered.states.read().await;
            done.is_outdated = read.is_err();
            if let Err(error) = read {
                tracing::warn!(%error, "the ledger cannot be asked for decisions on candidates");
            }
        }

        self.follow_promotions().await;
        for hook in &hooks {
            if let Some(found) = candidates.found(hook) {
                self.look_at(hook, &found).await;
            }
        }

        if !is_shared || is_due(&mut done.ended, END_EVERY) {
            self.end_removed().await;
        }
        let tried: BTreeSet<&str> = hooks.iter().map(|hook| &**hook).collect();
        lock(&self.waits).retain(|hook, _| tried.contains(hook.as_str()));
        lock(&self.counted).retain(|hook, _| tried.contains(hook.as_str()));
        lock(&self.ages).retain(|hook| tried.contains(hook));
        self.exchange.retain(|hook, digest| {
            tried.contains(hook) || self.state(hook).since_ms(digest).is_some()
        });
        // Otherwise a version that another node has promoted meanwhile would seem to be unused.
        if !done.is_outdated && is_due(&mut done.forgot, FORGET_EVERY) {
            self.forget_gone().await;
        }
    }

    /// Has each hook serve its promoted version.
    async fn follow_promotions(&self) {
        let Remembered {
            promotions, states, ..
        } = &self.remembered;
        let mut hooks: BTreeSet<String> = states.hooks().into_iter().collect();
        // Also those of which nothing is remembered any more.
        hooks.extend(self.remembered.candidates.promoted());
        let mut is_changed = false;
        for hook in hooks {
            is_changed |= promotions.follow(&hook, states).await;
        }
        if is_changed {
            self.hooks.look_again();
        }
    }

    fn phase(&self, hook: &str, found: &FoundCandidate) -> Phase {
        let file = self.remembered.candidates.own_file(hook);
        let serving = self.serving(hook);
        Phase::of(
            found,
            &self.state(hook),
            file.as_deref(),
            serving.as_deref(),
        )
    }

    fn state(&self, hook: &str) -> CandidateState {
        self.remembered.states.get(hook)
    }

    /// The version that serves.
    fn serving(&self, hook: &str) -> Option<String> {
        let hook = self.hooks.named(hook)?;
        let handler: &Arc<Handler> = &hook.target()?.handler;
        Some(handler.component().digest.clone())
    }

    fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.remembered.ledger
    }
}

/// Whether this time has passed since something was done, which is done now.
fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
    let is_due = last.is_none_or(|last| last.elapsed() >= every);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}
