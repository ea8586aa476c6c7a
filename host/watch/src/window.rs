//! Sums over the last ten minutes, in slots of a minute. A window begins empty at each start.

use std::time::Duration;

const SLOTS: usize = 10;
const SLOT: Duration = Duration::from_secs(60);

/// What the rules need of the last minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) refused: u64,
    pub(crate) slow: u64,
    pub(crate) server_errors: u64,
}

/// The last ten minutes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    slots: [Counts; SLOTS],
    at: usize,
    in_slot: Duration,
    watched: Duration,
}

// === impl Counts ===

impl Counts {
    fn add(&mut self, other: Counts) {
        self.requests += other.requests;
        self.refused += other.refused;
        self.slow += other.slow;
        self.server_errors += other.server_errors;
    }
}

// === impl Window ===

impl Window {
    /// The length of a window.
    pub(crate) const LENGTH: Duration = Duration::from_secs(60 * SLOTS as u64);

    /// Adds what happened in the last `step`.
    pub(crate) fn add(&mut self, counts: Counts, step: Duration) {
        self.watched = self.watched.saturating_add(step);
        self.in_slot += step.min(Window::LENGTH);
        while self.in_slot >= SLOT {
            self.in_slot -= SLOT;
            self.at = (self.at + 1) % SLOTS;
            self.slots[self.at] = Counts::default();
        }
        self.slots[self.at].add(counts);
    }

    pub(crate) fn sum(&self) -> Counts {
        let mut sum = Counts::default();
        self.slots.iter().for_each(|slot| sum.add(*slot));
        sum
    }

    /// Whether it has been filled since the start: before that, few requests say nothing.
    pub(crate) fn is_full(&self) -> bool {
        self.watched >= Window::LENGTH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_slots_are_forgotten() {
        let mut window = Window::default();
        let one = Counts {
            requests: 1,
            ..Counts::default()
        };
        for _ in 0..30 {
            window.add(one, Duration::from_secs(60));
        }
        assert_eq!(window.sum().requests, 10);
        assert!(window.is_full());
        window.add(Counts::default(), Duration::from_secs(600));
        assert_eq!(window.sum().requests, 0);
    }
}
