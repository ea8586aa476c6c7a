//! What is counted of the attempts of one version. The size is bounded.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Classes of durations: four for each power of two, up to 71 minutes.
const CLASSES: usize = 128;
const LONGEST_US: u64 = u32::MAX as u64;

/// Attempts, failures and durations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Attempts.
    pub runs: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts by class of duration, up to the longest class that was needed.
    times: Vec<u64>,
}

// === impl Counts ===

impl Counts {
    /// Counts an attempt.
    pub fn add(&mut self, is_failed: bool, duration: Duration) {
        self.runs += 1;
        self.failed += u64::from(is_failed);
        let class = class_of(duration);
        if self.times.len() <= class {
            self.times.resize(class + 1, 0);
        }
        self.times[class] += 1;
    }

    /// Counts one of the successes as a failure. False, and nothing changes: no success was
    /// counted.
    pub fn take_back(&mut self) -> bool {
        let has_success = self.failed < self.runs;
        self.failed += u64::from(has_success);
        has_success
    }

    /// Adds the counts of another node or time.
    pub fn merge(&mut self, other: &Counts) {
        self.runs += other.runs;
        self.failed += other.failed;
        let classes = other.times.len().min(CLASSES);
        if self.times.len() < classes {
            self.times.resize(classes, 0);
        }
        for (own, more) in self.times.iter_mut().zip(&other.times) {
            *own += more;
        }
    }

    /// Failures of 100 attempts. 0 if there was no attempt.
    pub fn failure_percent(&self) -> f64 {
        if self.runs == 0 {
            return 0.0;
        }
        self.failed as f64 * 100.0 / self.runs as f64
    }

    /// The least and the most that the failures of 100 attempts are in the long run: Wilson's
    /// interval of so many standard deviations. Everything is possible if there was no attempt.
    pub fn failure_percent_bounds(&self, deviations: f64) -> (f64, f64) {
        if self.runs == 0 {
            return (0.0, 100.0);
        }
        let (runs, square) = (self.runs as f64, deviations * deviations);
        let rate = self.failed as f64 / runs;
        let center = rate + square / (2.0 * runs);
        let variance = rate * (1.0 - rate) / runs + square / (4.0 * runs * runs);
        let (half, scale) = (deviations * variance.sqrt(), 1.0 + square / runs);
        let (least, most) = ((center - half) / scale, (center + half) / scale);
        (least.max(0.0) * 100.0, most.min(1.0) * 100.0)
    }

    /// The duration that 99 of 100 attempts do not exceed, rounded up by at most a quarter. `None`
    /// if there was no attempt.
    pub fn p99(&self) -> Option<Duration> {
        let total: u64 = self.times.iter().sum();
        if total == 0 {
            return None;
        }
        let rank = total - total / 100;
        let mut sum = 0;
        let class = self.times.iter().position(|count| {
            sum += count;
            sum >= rank
        })?;
        Some(Duration::from_micros(end_of(class)))
    }
}

/// The class of a duration.
fn class_of(duration: Duration) -> usize {
    let us = u64::try_from(duration.as_micros()).unwrap_or(LONGEST_US);
    let us = us.clamp(1, LONGEST_US);
    let power = us.ilog2();
    let quarter = if power < 2 {
        0
    } else {
        (us >> (power - 2)) & 3
    };
    power as usize * 4 + quarter as usize
}

/// The end of a class, in microseconds.
fn end_of(class: usize) -> u64 {
    let (power, quarter) = (class / 4, class as u64 % 4);
    if power < 2 {
        return 2 << power;
    }
    (5 + quarter) << (power - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(durations: impl IntoIterator<Item = u64>) -> Counts {
        let mut counts = Counts::default();
        for ms in durations {
            counts.add(false, Duration::from_millis(ms));
        }
        counts
    }

    #[test]
    fn percentiles_are_rounded_up() {
        for ms in [1, 2, 3, 7, 10, 99, 1_000, 59_999, 3_600_000] {
            let p99 = counts([ms]).p99().unwrap();
            let (least, most) = (ms as f64, ms as f64 * 1.26);
            let found = p99.as_secs_f64() * 1000.0;
            assert!((least..=most).contains(&found), "{ms}: {found}");
        }
        assert_eq!(Counts::default().p99(), None);
        let day = counts([86_400_000]).p99().unwrap();
        assert!(day >= Duration::from_secs(4_000));
    }

    #[test]
    fn rare_slow_runs_are_allowed() {
        let fast = (0..990).map(|_| 10);
        let mixed = counts(fast.clone().chain((0..10).map(|_| 5_000)));
        assert!(mixed.p99().unwrap() < Duration::from_millis(13));
        let slower = counts(fast.chain((0..20).map(|_| 5_000)));
        assert!(slower.p99().unwrap() >= Duration::from_secs(5));
    }

    #[test]
    fn bounds_become_closer() {
        let bounds = |runs, failed| {
            let times = Vec::new();
            let counts = Counts {
                runs,
                failed,
                times,
            };
            let (least, most) = counts.failure_percent_bounds(1.96);
            (least.round() as u64, most.round() as u64)
        };
        assert_eq!(bounds(0, 0), (0, 100));
        assert_eq!(bounds(10, 0), (0, 28));
        assert_eq!(bounds(10, 10), (72, 100));
        assert_eq!(bounds(100, 50), (40, 60));
        assert_eq!(bounds(10_000, 5_000), (49, 51));
    }

    #[test]
    fn merged_counts_are_sums() {
        let mut sum = counts([1, 1_000]);
        sum.merge(&counts([60_000]));
        assert_eq!(sum, counts([1, 1_000, 60_000]));
        sum.add(true, Duration::ZERO);
        assert_eq!((sum.runs, sum.failed), (4, 1));
        assert_eq!(sum.failure_percent(), 25.0);
    }
}
