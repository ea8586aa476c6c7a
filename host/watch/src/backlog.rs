//! Deliveries that wait for too long, or more and more of them; and dead letters.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::latch::Verdict;
use super::reading::Backlog;
use super::sentence::{counted, time};

const SAMPLE: Duration = Duration::from_secs(60);
/// The depth is compared with that of 15 minutes ago.
const SAMPLES: usize = 15;
/// With fewer pending deliveries, growth is no alarm.
const PENDING_MIN: u64 = 1_000;
/// Growth by this factor is one.
const GROWTH: u64 = 2;
/// The alarm on dead letters closes if there is no new one for this long.
const DEAD_QUIET: f64 = 86_400.0;

/// The depth of the last 15 minutes. Begins empty at each start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Depths {
    samples: VecDeque<u64>,
    since_sample: Duration,
}

/// The dead letters that are known.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct DeadLetters {
    count: u64,
    /// Since the last new one.
    quiet_s: f64,
}

// === impl Depths ===

impl Depths {
    pub(crate) fn go_on(&mut self, pending: u64, step: Duration) {
        self.since_sample += step;
        if self.samples.is_empty() || self.since_sample >= SAMPLE {
            self.since_sample = Duration::ZERO;
            if self.samples.len() > SAMPLES {
                self.samples.pop_front();
            }
            self.samples.push_back(pending);
        }
    }

    pub(crate) fn verdict(
        &self,
        backlog: Option<Backlog>,
        queue_age: Duration,
        is_paused: bool,
        hook: &str,
    ) -> Verdict {
        let Some(Backlog {
            pending, overdue, ..
        }) = backlog
        else {
            return Verdict::Unsure;
        };

        let before = self.samples.front().copied();
        let before = before.filter(|_| self.samples.len() > SAMPLES);
        let grown = before.filter(|before| pending >= PENDING_MIN && pending >= GROWTH * *before);
        // Just after a start, it is not known.
        let is_growing = pending >= PENDING_MIN && before.is_none_or(|before| pending > before);
        let hint = if is_paused {
            format!("an operator has paused the hook: `landfall hooks resume {hook}`")
        } else {
            format!(
                "`landfall events list --hook {hook}` shows how attempts end; raise concurrency if they succeed"
            )
        };
        if overdue >= queue_age {
            let sentence = format!(
                "a delivery has been due for {}; pending: {}",
                time(overdue),
                counted(pending, "delivery", "deliveries")
            );
            Verdict::raised(sentence, hint)
        } else if let Some(before) = grown {
            let sentence = format!(
                "{pending} deliveries wait, 15 minutes ago {before}: more arrive than are handled"
            );
            Verdict::raised(sentence, hint)
        } else if overdue < queue_age / 2 && !is_growing {
            Verdict::Clear
        } else {
            Verdict::Unsure
        }
    }
}

// === impl DeadLetters ===

impl DeadLetters {
    pub(crate) fn verdict(
        &mut self,
        backlog: Option<Backlog>,
        step: Duration,
        hook: &str,
    ) -> Verdict {
        let Some(Backlog { dead, .. }) = backlog else {
            return Verdict::Unsure;
        };

        let is_new = dead > self.count;
        self.count = dead;
        self.quiet_s = if is_new {
            0.0
        } else {
            self.quiet_s + step.as_secs_f64()
        };
        if is_new {
            Verdict::raised(
                format!(
                    "the hook has {}, which Landfall does not run again",
                    counted(dead, "dead letter", "dead letters")
                ),
                format!(
                    "`landfall events list --hook {hook} --state dead` shows why; `landfall events \
                     replay --hook {hook}` runs them again when the cause is gone"
                ),
            )
        } else if dead == 0 || self.quiet_s > DEAD_QUIET {
            Verdict::Clear
        } else {
            Verdict::Unsure
        }
    }
}
