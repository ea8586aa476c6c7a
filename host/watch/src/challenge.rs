//! Ownership checks that a provider repeats: one that fails or does not come disables the webhook.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::latch::Verdict;
use super::sentence::{seconds, time};

/// A check may be late by this many periods.
const PERIODS: f64 = 2.5;

/// The checks of one hook.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Challenges {
    /// There was a check that was answered.
    is_seen: bool,
    /// The last check was refused.
    is_failing: bool,
    /// Since the last check that was answered.
    quiet_s: f64,
}

// === impl Challenges ===

impl Challenges {
    /// Goes on by `step`, in which there were so many answered and refused checks.
    pub(crate) fn go_on(&mut self, step: Duration, answered: u64, refused: u64) {
        self.quiet_s += step.as_secs_f64();
        if answered > 0 {
            self.is_seen = true;
            self.is_failing = false;
            self.quiet_s = 0.0;
        } else if refused > 0 {
            self.is_failing = true;
        }
    }

    pub(crate) fn verdict(&self, every: Option<Duration>, hook: &str, sender: &str) -> Verdict {
        let Some(every) = every else {
            return Verdict::Clear;
        };
        if self.is_failing {
            return Verdict::raised(
                format!(
                    "the last ownership check of {sender} was refused: it may disable the webhook"
                ),
                format!("`landfall explain {hook}` says why"),
            );
        }
        if self.is_seen && self.quiet_s > PERIODS * every.as_secs_f64() {
            return Verdict::raised(
                format!(
                    "no ownership check for {}; {sender} repeats it every {}",
                    seconds(self.quiet_s),
                    time(every)
                ),
                "look at the webhook's settings at the provider: it may be disabled or removed"
                    .to_owned(),
            );
        }
        Verdict::Clear
    }
}
