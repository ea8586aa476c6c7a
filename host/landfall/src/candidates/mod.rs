//! The candidates of a node: begins to try them, judges canaries by their rules, and carries out
//! promotions and rollbacks. Decisions are documents in the ledger, which all nodes follow: each of
//! them may decide, and the first one does.

mod age;
mod exchange;
mod phase;
mod promotions;
mod report;
mod states;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use landfall_admin::CandidateRefused;
use landfall_candidate::{By, CandidateState, Decided, Verdict, judge};
use landfall_engine::{Candidate, Handler};
use landfall_hooks::{Candidates, FoundCandidate, Hooks};
use landfall_ledger::{Ledger, LedgerError, NewAudit};
use landfall_model::clock::{from_ms, to_ms};
use landfall_model::{CanaryRules, Clock, Trial, lock};
use serde_json::json;

use self::age::Ages;
use self::exchange::{Counted, Exchange};
use self::phase::Phase;
use self::promotions::Promotions;
use self::states::States;

pub(crate) use self::report::PHASES;

/// How often canaries are judged.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a shared ledger is asked for decisions of other nodes while nothing is tried here.
const READ_EVERY: Duration = Duration::from_secs(5);
/// How often components that no hook needs are removed.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// What is remembered of candidates, before the hooks are loaded.
pub(crate) struct Remembered {
    ledger: Arc<dyn Ledger>,
    states: States,
    promotions: Promotions,
    candidates: Candidates,
}

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

/// When the loop has done what it does rarely.
struct Done {
    read: Instant,
    forgot: Instant,
}

// === impl Remembered ===

impl Remembered {
    /// Reads what is remembered, so that hooks begin with their promoted versions.
    pub(crate) async fn read(
        ledger: Arc<dyn Ledger>,
        candidates: Candidates,
    ) -> anyhow::Result<Remembered> {
        let states = States::open(ledger.clone())
            .await
            .context("the ledger cannot be asked for candidates")?;
        let promotions = Promotions::new(ledger.clone(), candidates.clone());
        for hook in states.hooks() {
            promotions.follow(&hook, &states).await;
        }
        Ok(Remembered {
            ledger,
            states,
            promotions,
            candidates,
        })
    }
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
            read: Instant::now(),
            forgot: Instant::now(),
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
        if is_shared && (!hooks.is_empty() || done.read.elapsed() >= READ_EVERY) {
            done.read = Instant::now();
            if let Err(error) = self.remembered.states.read().await {
                tracing::warn!(%error, "the ledger cannot be asked for decisions on candidates");
            }
        }

        self.follow_promotions().await;
        for hook in &hooks {
            if let Some(found) = candidates.found(hook) {
                self.look_at(hook, &found).await;
            }
        }

        self.end_removed().await;
        let tried: BTreeSet<&str> = hooks.iter().map(|hook| &**hook).collect();
        lock(&self.waits).retain(|hook, _| tried.contains(hook.as_str()));
        lock(&self.counted).retain(|hook, _| tried.contains(hook.as_str()));
        lock(&self.ages).retain(|hook| tried.contains(hook));
        self.exchange.retain(|hook, _| tried.contains(hook));
        if done.forgot.elapsed() >= FORGET_EVERY {
            done.forgot = Instant::now();
            let Remembered {
                promotions, states, ..
            } = &self.remembered;
            if let Err(error) = promotions.forget_unused(states).await {
                tracing::warn!(%error, "components that no hook needs cannot be removed yet");
            }
        }
    }

    /// Has each hook serve its promoted version.
    async fn follow_promotions(&self) {
        let Remembered {
            promotions, states, ..
        } = &self.remembered;
        let mut is_changed = false;
        for hook in states.hooks() {
            is_changed |= promotions.follow(&hook, states).await;
        }
        if is_changed {
            self.hooks.look_again();
        }
    }

    /// Ends the trials of hooks whose files name no candidate any more, so that a later trial of
    /// the same version begins anew. Other nodes of a shared ledger may still have the earlier file.
    async fn end_removed(&self) {
        if self.ledger().is_shared() {
            return;
        }
        let states = &self.remembered.states;
        for hook in states.hooks() {
            let is_removed = self
                .hooks
                .named(&hook)
                .is_some_and(|named| named.spec.candidate.is_none());
            if !is_removed || self.state(&hook).running.is_empty() {
                continue;
            }
            if let Err(error) = states.change(&hook, CandidateState::stop).await {
                tracing::warn!(hook, %error, "the end of a trial cannot be noted yet");
            }
        }
    }

    async fn look_at(&self, hook: &str, found: &FoundCandidate) {
        let Some(cell) = self.remembered.candidates.cell_of(hook) else {
            return;
        };
        if self.remembered.candidates.is_loading(hook) {
            return;
        }
        let (Phase::Tried(handler), Some(digest)) = (self.phase(hook, found), found.digest())
        else {
            cell.set(None);
            return;
        };

        let halted = (hook.to_owned(), digest.to_owned());
        let decided = lock(&self.halted).get(&halted).cloned();
        if let Some((by, why)) = decided {
            self.end_trial(hook, digest, by, &why).await.ok();
            return;
        }
        let candidate = match cell.get() {
            Some(candidate) if Arc::ptr_eq(&candidate.handler, &handler) => candidate,
            _ => {
                if !self.begin(hook, digest, &found.spec.trial).await {
                    // What was tried before is another version, or is linked otherwise.
                    cell.set(None);
                    return;
                }
                let candidate = Candidate::new(handler, found.spec.trial.clone());
                let candidate = Arc::new(candidate);
                cell.set(Some(candidate.clone()));
                candidate
            }
        };
        if let Trial::Canary(rules) = &candidate.trial {
            self.judge(hook, found, digest, rules, &candidate).await;
        }
    }

    /// Notes in the ledger that a version is tried. False: it cannot be noted.
    async fn begin(&self, hook: &str, digest: &str, trial: &Trial) -> bool {
        let now_ms = to_ms(self.clock.now());
        let is_canary = matches!(trial, Trial::Canary(_));
        let begun = self
            .remembered
            .states
            .change(hook, |state| state.start(digest, is_canary, now_ms));
        match begun.await {
            Ok(true) => {
                self.announce(hook, Decided::Started, digest, By::Rule, "");
                true
            }
            Ok(false) => true,
            Err(error) => {
                tracing::warn!(hook, digest, %error, "the candidate is not tried before the ledger can note that");
                false
            }
        }
    }

    async fn judge(
        &self,
        hook: &str,
        found: &FoundCandidate,
        digest: &str,
        rules: &CanaryRules,
        candidate: &Candidate,
    ) {
        let now = self.clock.now();
        let own = Counted {
            whole: candidate.whole(),
            recent: candidate.recent(now),
        };
        let Counted { whole, recent } = self.exchange.sum(hook, digest, own).await;
        let since_ms = self.state(hook).since_ms(digest);
        let since = since_ms.map_or(now, from_ms);
        let by_clock = now.duration_since(since).unwrap_or_default();
        let age = lock(&self.ages).of(hook, (digest, since), by_clock, Instant::now());
        let verdict = judge(rules, &whole, &recent, age);
        let counted = Counted { whole, recent };
        lock(&self.counted).insert(hook.to_owned(), counted);

        let decided = match &verdict {
            Verdict::Wait(why) => {
                lock(&self.waits).insert(hook.to_owned(), why.clone());
                return;
            }
            Verdict::Promote(why) => self.promote_found(hook, found, By::Rule, why).await,
            Verdict::RollBack(why) => self.end_trial(hook, digest, By::Rule, why).await,
        };
        if let Err(CandidateRefused::NotPossible(why)) = decided {
            lock(&self.waits).insert(hook.to_owned(), why);
        }
    }

    /// Makes the candidate the serving version, as an operator asks for.
    pub(super) async fn promote(&self, hook: &str) -> Result<(), CandidateRefused> {
        let _one = self.changing.lock().await;
        let found = self.remembered.candidates.found(hook);
        let found = found.ok_or_else(|| {
            not_possible(
                "the hook has no candidate: name its file in the hook file, with \
                 [candidate] component = \"new.wasm\"",
            )
        })?;
        self.promote_found(hook, &found, By::Operator, "an operator has promoted it")
            .await
    }

    async fn promote_found(
        &self,
        hook: &str,
        found: &FoundCandidate,
        by: By,
        reason: &str,
    ) -> Result<(), CandidateRefused> {
        let candidates = &self.remembered.candidates;
        if let Err(why) = &found.handler {
            return Err(not_possible(format!(
                "the candidate cannot be tried: {why}"
            )));
        }
        let version = found.version.as_ref();
        let version = version.ok_or_else(|| not_possible("the file cannot be read"))?;
        let (Some(file), Some(serving)) = (candidates.own_file(hook), self.serving(hook)) else {
            return Err(not_possible(
                "the component of the hook is missing or changing",
            ));
        };
        if version.digest == serving {
            return Err(not_possible("the candidate is the version that serves"));
        }
        if found.serving.digest != serving || candidates.is_loading(hook) {
            return Err(not_possible("the hook is being loaded: try again"));
        }

        let entry = self
            .audit("promote", hook, &version.digest, by, reason)
            .await?;
        let promotions = &self.remembered.promotions;
        promotions.keep(version).await.map_err(ledger)?;
        promotions.keep(&found.serving).await.map_err(ledger)?;
        landfall_model::kill_point!("candidate-kept");
        let (digest, now_ms) = (&version.digest, to_ms(self.clock.now()));
        let change = |state: &mut CandidateState| {
            // Another node may have decided meanwhile.
            let is_open = by == By::Operator || state.since_ms(digest).is_some();
            if is_open {
                let over = (file.as_str(), serving.as_str());
                state.promote(digest, over, by, reason, now_ms);
            }
            is_open
        };
        let decided = self.remembered.states.change(hook, change).await;
        let is_decided = self.audited(entry, by, decided).await?;
        if is_decided {
            lock(&self.halted).remove(&(hook.to_owned(), digest.clone()));
            landfall_model::kill_point!("candidate-promoted");
            self.announce(hook, Decided::Promoted, digest, by, reason);
        }
        self.follow_promotions().await;
        Ok(())
    }

    /// Ends the trial of the candidate, or returns to the version before the promoted one, as an
    /// operator asks for.
    pub(super) async fn roll_back(&self, hook: &str) -> Result<(), CandidateRefused> {
        let reason = "an operator has rolled it back";
        let candidates = &self.remembered.candidates;
        // At once: what holds the lock may wait for the ledger.
        if let Some(found) = candidates.found(hook)
            && let Some(digest) = found.digest()
            && matches!(self.phase(hook, &found), Phase::Tried(_))
        {
            self.halt(hook, digest, By::Operator, reason);
        }

        let _one = self.changing.lock().await;
        if let Some(found) = candidates.found(hook)
            && let Some(digest) = found.digest()
            && matches!(self.phase(hook, &found), Phase::Tried(_))
        {
            return self.end_trial(hook, digest, By::Operator, reason).await;
        }

        let file = candidates.own_file(hook);
        let state = self.state(hook);
        let promoted = file.as_ref().and_then(|file| state.promoted_over(file));
        let (Some(file), Some(promoted)) = (&file, promoted) else {
            let why = "no candidate is tried, and no promoted version serves: to go back, copy an \
                       earlier version over the component's file in the plugins directory";
            return Err(not_possible(why));
        };
        let (by, digest) = (By::Operator, &promoted.digest);
        let now_ms = to_ms(self.clock.now());
        let change = |state: &mut CandidateState| state.revert(file, by, reason, now_ms).is_some();
        let decided = self.remembered.states.change(hook, change).await;
        if decided.map_err(ledger)? {
            self.announce(hook, Decided::RolledBack, digest, by, reason);
        }
        self.follow_promotions().await;
        Ok(())
    }

    /// Ends the trial of a version at once, and then notes it.
    async fn end_trial(
        &self,
        hook: &str,
        digest: &str,
        by: By,
        reason: &str,
    ) -> Result<(), CandidateRefused> {
        self.halt(hook, digest, by, reason);
        let entry = self.audit("rollback", hook, digest, by, reason).await?;
        let now_ms = to_ms(self.clock.now());
        let change = |state: &mut CandidateState| {
            let is_open = !state.is_rejected(digest) && !is_promoted(state, digest);
            if is_open {
                state.roll_back(digest, by, reason, now_ms);
            }
            is_open
        };
        let decided = self.remembered.states.change(hook, change).await;
        let is_decided = self.audited(entry, by, decided).await?;
        lock(&self.halted).remove(&(hook.to_owned(), digest.to_owned()));
        if is_decided {
            landfall_model::kill_point!("candidate-rolled-back");
            self.announce(hook, Decided::RolledBack, digest, by, reason);
        }
        Ok(())
    }

    /// No event runs on this version from now on, also before that is noted.
    fn halt(&self, hook: &str, digest: &str, by: By, reason: &str) {
        let halted = (hook.to_owned(), digest.to_owned());
        lock(&self.halted).insert(halted, (by, reason.to_owned()));
        if let Some(cell) = self.remembered.candidates.cell_of(hook) {
            cell.set(None);
        }
    }

    /// An entry in the audit record for a decision of a rule. Those of operators have one of their
    /// request.
    async fn audit(
        &self,
        action: &'static str,
        hook: &str,
        digest: &str,
        by: By,
        reason: &str,
    ) -> Result<Option<i64>, CandidateRefused> {
        if by == By::Operator {
            return Ok(None);
        }
        let new = NewAudit {
            at_ms: to_ms(self.clock.now()),
            role: "rule",
            token: String::new(),
            address: None,
            action,
            hook: Some(hook.to_owned()),
            detail: json!({ "digest": digest, "reason": reason }).to_string(),
        };
        let entry = self.ledger().audit(new).await;
        entry.map(Some).map_err(ledger)
    }

    /// Adds the result of a decision to its entry.
    async fn audited(
        &self,
        entry: Option<i64>,
        by: By,
        decided: Result<bool, LedgerError>,
    ) -> Result<bool, CandidateRefused> {
        if let Err(error) = &decided {
            tracing::warn!(by = by.word(), %error, "a decision on a candidate cannot be stored yet");
        }
        if let Some(entry) = entry {
            let result = match &decided {
                Ok(decided) => json!({ "decided": decided }),
                Err(error) => json!({ "status": 503, "error": error.to_string() }),
            };
            let added = self.ledger().audit_result(entry, result.to_string());
            if let Err(error) = added.await {
                tracing::warn!(%error, "the result of a decision is not in the audit record");
            }
        }
        decided.map_err(ledger)
    }

    /// Logs and counts a decision of this node.
    fn announce(&self, hook: &str, decided: Decided, digest: &str, by: By, reason: &str) {
        let (decision, by) = (decided.word(), by.word());
        match decided {
            Decided::Started => tracing::info!(hook, digest, "the candidate is tried"),
            Decided::Promoted => {
                tracing::info!(
                    hook,
                    decision,
                    digest,
                    by,
                    reason,
                    "the candidate serves from now on"
                );
            }
            Decided::RolledBack => {
                tracing::warn!(
                    hook,
                    decision,
                    digest,
                    by,
                    reason,
                    "the candidate was rolled back"
                );
            }
        }
        if let Some(hook) = self.hooks.named(hook) {
            hook.metrics.count_candidate_decision(decision);
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

fn is_promoted(state: &CandidateState, digest: &str) -> bool {
    let promoted = state.promoted.as_ref();
    promoted.is_some_and(|promoted| promoted.digest == digest)
}

fn not_possible(why: impl Into<String>) -> CandidateRefused {
    CandidateRefused::NotPossible(why.into())
}

fn ledger(error: LedgerError) -> CandidateRefused {
    CandidateRefused::Ledger(error)
}
