//! Limits the work for hints, because a rejected request must cost little.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use landfall_model::lock;

/// Hints for one hook at once. For a hint, signatures are computed again.
const HINTS_MAX: f64 = 20.0;
const HINTS_PER_SECOND: f64 = 10.0;
/// A hint for a larger body counts as several.
const HINT_BODY_BYTES: usize = 16 << 10;

/// The hints that each hook has left.
#[derive(Debug, Default)]
pub(crate) struct HintBudget {
    by_hook: Mutex<HashMap<String, HintBucket>>,
}

/// A token bucket.
#[derive(Debug)]
struct HintBucket {
    refilled: Instant,
    hints: f64,
}

// === impl HintBudget ===

impl HintBudget {
    /// Whether a hint for this hook may be computed now. `body` is the number of bytes that are
    /// read for it.
    pub(crate) fn take(&self, hook: &str, body: usize) -> bool {
        let now = Instant::now();
        let mut by_hook = lock(&self.by_hook);
        if !by_hook.contains_key(hook) {
            by_hook.insert(hook.to_owned(), HintBucket::full(now));
        }

        let Some(bucket) = by_hook.get_mut(hook) else {
            return false;
        };

        let cost = (1.0 + (body / HINT_BODY_BYTES) as f64).min(HINTS_MAX);
        bucket.refill(now);
        bucket.take(cost)
    }
}

// === impl HintBucket ===

impl HintBucket {
    fn full(now: Instant) -> HintBucket {
        HintBucket {
            refilled: now,
            hints: HINTS_MAX,
        }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.duration_since(self.refilled).as_secs_f64();
        self.hints = (self.hints + elapsed * HINTS_PER_SECOND).min(HINTS_MAX);
        self.refilled = now;
    }

    fn take(&mut self, cost: f64) -> bool {
        let is_available = self.hints >= cost;
        if is_available {
            self.hints -= cost;
        }

        is_available
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_cost_more_hints() {
        let budget = HintBudget::default();
        assert_eq!(
            (0..100).filter(|_| budget.take("small", 100)).count(),
            HINTS_MAX as usize
        );
        assert_eq!(
            (0..100).filter(|_| budget.take("large", 10 << 20)).count(),
            1
        );
    }
}
