//! Decisions: a candidate is promoted, its trial is ended, or a hook returns to the version before
//! the promoted one.

use landfall_admin::CandidateRefused;
use landfall_candidate::{By, CandidateState, Decided};
use landfall_hooks::FoundCandidate;
use landfall_model::clock::to_ms;
use landfall_model::lock;

use super::CandidateControl;
use super::audit::ledger;
use super::phase::Phase;

// === impl CandidateControl ===

impl CandidateControl {
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

    pub(super) async fn promote_found(
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
    pub(super) async fn end_trial(
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
}

fn is_promoted(state: &CandidateState, digest: &str) -> bool {
    let promoted = state.promoted.as_ref();
    promoted.is_some_and(|promoted| promoted.digest == digest)
}

fn not_possible(why: impl Into<String>) -> CandidateRefused {
    CandidateRefused::NotPossible(why.into())
}
