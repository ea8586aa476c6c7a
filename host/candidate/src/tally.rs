//! The counts of both versions: since the candidate is tried, and of the last minutes. Both versions
//! are counted over the same time.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counts::Counts;

/// The last minutes are counted in slices.
const SLICE_MS: i64 = 30_000;
/// Five minutes.
const SLICES: usize = 10;

/// The version that runs an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The one that serves.
    Serving,
    /// The one that is tried.
    Candidate,
}

/// The counts of both versions over the same time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Of the candidate.
    pub candidate: Counts,
    /// Of the serving version.
    pub serving: Counts,
}

/// The counts since the start of a trial.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    whole: Pair,
    /// Slices by their number, the oldest first.
    slices: VecDeque<(i64, Pair)>,
}

// === impl Pair ===

impl Pair {
    /// Adds the counts of another node or time.
    pub fn merge(&mut self, other: &Pair) {
        self.candidate.merge(&other.candidate);
        self.serving.merge(&other.serving);
    }

    fn add(&mut self, version: Version, is_failed: bool, duration: Duration) {
        match version {
            Version::Candidate => self.candidate.add(is_failed, duration),
            Version::Serving => self.serving.add(is_failed, duration),
        }
    }

    fn take_back(&mut self, version: Version) -> bool {
        match version {
            Version::Candidate => self.candidate.take_back(),
            Version::Serving => self.serving.take_back(),
        }
    }
}

// === impl Tally ===

impl Tally {
    /// Counts an attempt that ended at this time, by a clock that only goes forward.
    pub fn add(&mut self, version: Version, is_failed: bool, duration: Duration, now_ms: i64) {
        self.whole.add(version, is_failed, duration);

        let number = now_ms.div_euclid(SLICE_MS);
        if self.slices.back().is_none_or(|(last, _)| *last != number) {
            if self.slices.len() == SLICES {
                self.slices.pop_front();
            }
            self.slices.push_back((number, Pair::default()));
        }
        if let Some((_, slice)) = self.slices.back_mut() {
            slice.add(version, is_failed, duration);
        }
    }

    /// Counts a successful attempt as failed, because its results could not be stored.
    pub fn take_back(&mut self, version: Version) {
        self.whole.take_back(version);
        for (_, slice) in self.slices.iter_mut().rev() {
            if slice.take_back(version) {
                return;
            }
        }
    }

    /// Since the start of the trial.
    pub fn whole(&self) -> &Pair {
        &self.whole
    }

    /// Of the last five minutes.
    pub fn recent(&self, now_ms: i64) -> Pair {
        let now = now_ms.div_euclid(SLICE_MS);
        let mut sum = Pair::default();
        for (number, slice) in &self.slices {
            if (now - *number).unsigned_abs() < SLICES as u64 {
                sum.merge(slice);
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn old_slices_are_forgotten() {
        let mut tally = Tally::default();
        for minute in 0..60 {
            tally.add(Version::Candidate, minute == 0, MS, minute * 60_000);
            tally.add(Version::Serving, false, MS, minute * 60_000);
        }
        assert_eq!(tally.whole().candidate.runs, 60);
        assert_eq!(tally.whole().candidate.failed, 1);
        let recent = tally.recent(59 * 60_000);
        assert_eq!((recent.candidate.runs, recent.serving.runs), (5, 5));
        assert_eq!(recent.candidate.failed, 0);
        assert_eq!(tally.recent(2 * 3_600_000), Pair::default());
    }

    #[test]
    fn successes_are_taken_back() {
        let mut tally = Tally::default();
        tally.take_back(Version::Candidate);
        tally.add(Version::Candidate, false, MS, 0);
        // The next slice has begun before the results of the attempt were refused.
        tally.add(Version::Serving, false, MS, SLICE_MS);
        for _ in 0..2 {
            tally.take_back(Version::Candidate);
        }
        let recent = tally.recent(SLICE_MS);
        for pair in [tally.whole(), &recent] {
            assert_eq!((pair.candidate.runs, pair.candidate.failed), (1, 1));
            assert_eq!((pair.serving.runs, pair.serving.failed), (1, 0));
        }
    }

    #[test]
    fn steps_of_the_clock_are_bounded() {
        let mut tally = Tally::default();
        for number in 0..1_000 {
            let at = if number % 2 == 0 { 0 } else { 3_600_000 };
            tally.add(Version::Candidate, false, MS, at);
        }
        assert!(tally.slices.len() <= SLICES);
        assert_eq!(tally.whole().candidate.runs, 1_000);
    }
}
