//! Hooks that are gone: what is remembered of their candidates is removed some time later, and the
//! components that were kept for them with it.

use std::collections::BTreeSet;

use super::CandidateControl;

/// What is remembered of a hook stays for so long after the last node has lost its file, in ms of
/// ledger time.
const GRACE_MS: i64 = 7 * 24 * 3_600_000;

/// What to do about a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Nothing,
    /// Note since when it is gone, or that it is there again.
    Note(Option<i64>),
    /// Forget it.
    Forget,
}

// === impl CandidateControl ===

impl CandidateControl {
    /// Notes that a hook which was gone is there again.
    pub(super) async fn note_return(&self, hook: &str) {
        if self.state(hook).gone_ms.is_none() || self.hooks.named(hook).is_none() {
            return;
        }

        let states = &self.remembered.states;
        let noted = states.change(hook, |state| state.set_gone(None)).await;
        if let Err(error) = noted {
            tracing::warn!(hook, %error, "the ledger cannot note yet that the hook is back");
        }
    }

    /// Notes which hooks are gone, and forgets those that have been gone for long. Then removes the
    /// components that no hook needs.
    pub(super) async fn forget_gone(&self) {
        let states = &self.remembered.states;
        let now_ms = self.ledger().now().0;
        // Also those that cannot be served.
        let statuses = self.hooks.statuses().into_iter();
        let here: BTreeSet<String> = statuses.map(|status| status.name).collect();
        for hook in states.hooks() {
            let is_here = here.contains(&hook) || self.hooks.named(&hook).is_some();
            let state = self.state(&hook);
            let done = match step(is_here, state.gone_ms, now_ms) {
                Step::Nothing => continue,
                Step::Note(gone_ms) => {
                    let noted = states.change(&hook, |state| state.set_gone(gone_ms));
                    let noted = noted.await;
                    if gone_ms.is_some() && matches!(noted, Ok(true)) {
                        tracing::info!(
                            hook,
                            "the hook is gone: what is remembered of its candidates stays for 7 days"
                        );
                    }
                    noted.map(drop)
                }
                Step::Forget => {
                    let promoted = state.promoted.map(|promoted| promoted.digest);
                    let removed = states.remove(&hook).await;
                    if let Ok(true) = removed {
                        tracing::warn!(
                            hook,
                            promoted,
                            "the hook has been gone for 7 days: what was remembered of its candidates is removed"
                        );
                    }
                    removed.map(drop)
                }
            };
            if let Err(error) = done {
                tracing::warn!(hook, %error, "what is remembered of a hook without a file cannot be changed yet");
            }
        }

        self.remembered.candidates.drop_unused();
        let unused = self.remembered.promotions.forget_unused(states).await;
        if let Err(error) = unused {
            tracing::warn!(%error, "components that no hook needs cannot be removed yet");
        }
    }
}

/// `gone_ms`: since when the hook is gone, as far as that is noted.
fn step(is_here: bool, gone_ms: Option<i64>, now_ms: i64) -> Step {
    match gone_ms {
        None if is_here => Step::Nothing,
        None => Step::Note(Some(now_ms)),
        Some(_) if is_here => Step::Note(None),
        Some(gone_ms) if now_ms - gone_ms < GRACE_MS => Step::Nothing,
        Some(_) => Step::Forget,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_forgotten_after_the_grace() {
        for (is_here, gone_ms, expected) in [
            (true, None, Step::Nothing),
            (false, None, Step::Note(Some(GRACE_MS))),
            (true, Some(0), Step::Note(None)),
            (false, Some(1), Step::Nothing),
            (false, Some(0), Step::Forget),
        ] {
            let found = step(is_here, gone_ms, GRACE_MS);
            assert_eq!(found, expected, "{is_here} {gone_ms:?}");
        }
    }
}
