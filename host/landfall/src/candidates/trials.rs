//! Tries candidates: begins the trial of a version, has rules judge a canary, and ends trials of
//! versions that no node has any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_admin::CandidateRefused;
use landfall_candidate::{By, Decided, Verdict, judge};
use landfall_engine::Candidate;
use landfall_hooks::FoundCandidate;
use landfall_model::clock::to_ms;
use landfall_model::{CanaryRules, Trial, lock};

use super::CandidateControl;
use super::age;
use super::exchange::Counted;
use super::phase::Phase;

// === impl CandidateControl ===

impl CandidateControl {
    /// Tries the candidate of a hook if it should be tried, and has rules judge a canary.
    pub(super) async fn look_at(&self, hook: &str, found: &Arc<FoundCandidate>) {
        let Some(cell) = self.remembered.candidates.cell_of(hook) else {
            return;
        };
        if let Some(digest) = found.digest()
            && self.state(hook).since_ms(digest).is_some()
        {
            self.exchange.announce(hook, digest).await;
        }
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
        // Nodes that could not reach the ledger may have ended a trial that goes on here.
        let state = self.state(hook);
        let is_noted = state.since_ms(digest).is_some() || state.is_full();
        let candidate = match cell.get() {
            Some(candidate) if is_noted && Arc::ptr_eq(&candidate.handler, &handler) => candidate,
            _ => {
                if !self.begin(hook, digest, &found.spec.trial).await {
                    // What was tried before is another version, or is linked otherwise.
                    cell.set(None);
                    return;
                }
                let candidate = Candidate::new(handler, found.spec.trial.clone());
                let candidate = Arc::new(candidate);
                let candidates = &self.remembered.candidates;
                if !candidates.begin(hook, found, candidate.clone()) {
                    return;
                }
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
        let own = Counted {
            whole: candidate.whole(),
            recent: candidate.recent(),
        };
        let Counted { whole, recent } = self.exchange.sum(hook, digest, own).await;
        let age = self.age_of(hook, digest).await;
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

    /// For how long a version has been tried. Notes it now and then.
    async fn age_of(&self, hook: &str, digest: &str) -> Duration {
        let state = self.state(hook);
        let (Some(since_ms), Some(noted)) = (state.since_ms(digest), state.age_ms(digest)) else {
            return Duration::ZERO;
        };
        let noted = Duration::from_millis(noted);
        let age = lock(&self.ages).of(hook, (digest, since_ms), noted, Instant::now());
        if age::is_due(age, noted) {
            let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            let states = &self.remembered.states;
            let noted = states.change(hook, |state| state.note_age(digest, age_ms));
            if let Err(error) = noted.await {
                tracing::warn!(hook, digest, %error, "the age of a trial cannot be noted yet");
            }
        }
        age
    }

    /// Ends the trials of versions that no node has as a candidate any more, so that a later trial
    /// of the same version begins anew.
    pub(super) async fn end_removed(&self) {
        let states = &self.remembered.states;
        for hook in states.hooks() {
            self.note_return(&hook).await;
            for running in self.state(&hook).running {
                let digest = &running.digest;
                if !self.is_removed(&hook, digest) {
                    continue;
                }
                let ended = match self.exchange.is_gone(&hook, digest).await {
                    Ok(false) => continue,
                    Ok(true) => states.change(&hook, |state| state.stop(digest)).await,
                    Err(error) => Err(error),
                };
                match ended {
                    Ok(true) => {
                        tracing::info!(
                            hook,
                            digest,
                            "no node has the candidate any more: its trial has ended"
                        );
                    }
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(hook, digest, %error, "the end of a trial cannot be noted yet");
                    }
                }
            }
        }
    }

    /// Whether the files of this node have another candidate than this version, or none. False
    /// while that is not known: a file that is away for a moment, or is being read, ends no trial.
    fn is_removed(&self, hook: &str, digest: &str) -> bool {
        let candidates = &self.remembered.candidates;
        let Some(named) = self.hooks.named(hook) else {
            return false;
        };
        if named.spec.candidate.is_none() {
            return true;
        }
        let found = candidates.found(hook);
        let found = found.as_ref().and_then(|found| found.digest());
        found.is_some_and(|found| found != digest) && !candidates.is_loading(hook)
    }
}
