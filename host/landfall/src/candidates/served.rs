//! After a decision, the hook is loaded anew. The request that decided waits for that, so that the
//! next one shows what was decided.

use std::time::{Duration, Instant};

use super::CandidateControl;

/// The longest wait of a request. A load that takes longer goes on.
const SERVED_WITHIN: Duration = Duration::from_secs(5);
/// How often the hook is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

// === impl CandidateControl ===

impl CandidateControl {
    /// Waits until the hook serves what was decided, for some time.
    pub(super) async fn until_served(&self, hook: &str) {
        let until = Instant::now() + SERVED_WITHIN;
        while !self.serves_as_decided(hook) && Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// That the hook does not serve its promoted version yet.
    pub(super) fn not_served_yet(&self, hook: &str) -> Option<String> {
        let file = self.remembered.candidates.own_file(hook)?;
        let state = self.state(hook);
        let promoted = state.promoted_over(&file)?;
        let serving = self.serving(hook)?;
        (serving != promoted.digest)
            .then(|| format!("the promoted version is being loaded: {serving} serves until then"))
    }

    /// Whether the hook serves the version that it should. Also if that cannot be known now.
    fn serves_as_decided(&self, hook: &str) -> bool {
        let promotions = &self.remembered.promotions;
        let file = self.remembered.candidates.own_file(hook);
        let (Some(file), Some(serving)) = (file, self.serving(hook)) else {
            return true;
        };
        let state = self.state(hook);
        let promoted = state.promoted_over(&file);
        let wanted = promoted.map_or(file.as_str(), |promoted| promoted.digest.as_str());
        serving == wanted || promotions.problem(hook).is_some()
    }
}
