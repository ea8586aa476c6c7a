//! Numbers of deliveries that the tail has passed and not found. Nodes that share a database take
//! numbers in one order and commit in another: such a delivery is reported as soon as it is there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A transaction that has taken a number has ended after this time, by the limits of its session.
/// The number was rolled back, or its delivery was removed.
const AGE_MAX: Duration = Duration::from_secs(180);
/// The most numbers. The lowest are given up first.
const GAPS_MAX: usize = 4_000;

/// The numbers, and since when each is missing.
#[derive(Debug, Default)]
pub(super) struct Gaps(BTreeMap<i64, Instant>);

// === impl Gaps ===

impl Gaps {
    /// Adds the numbers between two deliveries that were found. Returns how many were given up.
    pub(super) fn add_between(&mut self, last: i64, next: i64, now: Instant) -> usize {
        let nearest = next.saturating_sub(GAPS_MAX as i64);
        let first = nearest.max(last.saturating_add(1));
        self.0.extend((first..next).map(|number| (number, now)));

        let surplus = self.0.len().saturating_sub(GAPS_MAX);
        for _ in 0..surplus {
            self.0.pop_first();
        }
        surplus
    }

    /// The missing numbers, in order.
    pub(super) fn numbers(&self) -> Vec<i64> {
        self.0.keys().copied().collect()
    }

    /// Removes a number that was found.
    pub(super) fn remove(&mut self, number: i64) {
        self.0.remove(&number);
    }

    /// Gives up what has been missing for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        self.0
            .retain(|_, since| now.saturating_duration_since(*since) < AGE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_between_are_missing() {
        let (mut gaps, now) = (Gaps::default(), Instant::now());
        assert_eq!(gaps.add_between(3, 4, now), 0);
        assert!(gaps.numbers().is_empty());

        gaps.add_between(4, 8, now);
        gaps.remove(6);
        gaps.remove(100);
        assert_eq!(gaps.numbers(), [5, 7]);
    }

    #[test]
    fn old_numbers_are_given_up() {
        let (mut gaps, began) = (Gaps::default(), Instant::now());
        gaps.add_between(0, 3, began);
        gaps.add_between(3, 5, began + AGE_MAX / 2);
        gaps.expire(began + AGE_MAX);
        assert_eq!(gaps.numbers(), [4]);
    }

    #[test]
    fn missing_numbers_are_bounded() {
        let (mut gaps, now) = (Gaps::default(), Instant::now());
        gaps.add_between(0, 11, now);
        assert_eq!(gaps.add_between(11, i64::MAX, now), 10);
        let numbers = gaps.numbers();
        assert_eq!(numbers.len(), GAPS_MAX);
        assert_eq!(numbers.last(), Some(&(i64::MAX - 1)));
    }
}
