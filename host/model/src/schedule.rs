//! The retry schedule of a hook: a pure function of the attempt number, so that tests need not
//! wait.

use std::time::Duration;

/// The retry schedule of a hook.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetrySpec {
    /// The number of attempts. After the last one, the delivery is dead.
    pub attempts: u32,
    /// The pause before the second attempt, and the shortest pause for a hint.
    pub first: Duration,
    /// Each pause is the previous pause times this factor.
    pub factor: f64,
    /// The longest pause.
    pub max: Duration,
    /// The largest random change of a pause, as a fraction: 0.2 is 20 %.
    pub jitter: f64,
    /// The longest time for which a handler can defer an event. After it, the delivery is dead.
    pub max_age: Duration,
}

// === impl RetrySpec ===

impl RetrySpec {
    /// The pause after attempt `number` (from 1) has failed. `None`: the delivery is dead. `chance`
    /// is a random number from 0 to 1. A handler's hint replaces the computed pause, clamped to
    /// `first` … `max`.
    pub fn pause(&self, number: u32, hint: Option<Duration>, chance: f64) -> Option<Duration> {
        if number >= self.attempts {
            return None;
        }
        Some(self.step(number, hint, chance))
    }

    /// The pause after a handler has deferred the event for the `count`-th time (from 1), `since`
    /// the first time. `None`: the delivery is dead.
    pub fn deferral(
        &self,
        count: u32,
        since: Duration,
        hint: Option<Duration>,
        chance: f64,
    ) -> Option<Duration> {
        (since < self.max_age).then(|| self.step(count, hint, chance))
    }

    fn step(&self, number: u32, hint: Option<Duration>, chance: f64) -> Duration {
        if let Some(hint) = hint {
            return hint.clamp(self.first.min(self.max), self.max);
        }

        let steps = i32::try_from(number.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.first.as_secs_f64() * self.factor.powi(steps);
        let capped = grown.min(self.max.as_secs_f64());
        let spread = 1.0 + self.jitter * (2.0 * chance - 1.0);
        Duration::from_secs_f64((capped * spread).min(self.max.as_secs_f64()))
    }
}

impl Default for RetrySpec {
    fn default() -> RetrySpec {
        RetrySpec {
            attempts: 8,
            first: Duration::from_secs(5),
            factor: 3.0,
            max: Duration::from_secs(10 * 3600),
            jitter: 0.2,
            max_age: Duration::from_secs(7 * 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn pauses_grow_to_the_maximum() {
        let spec = RetrySpec {
            attempts: 5,
            max: S(60),
            ..RetrySpec::default()
        };
        let pauses: Vec<_> = (1..=5)
            .map(|number| spec.pause(number, None, 0.5))
            .collect();
        assert_eq!(
            pauses,
            [Some(S(5)), Some(S(15)), Some(S(45)), Some(S(60)), None]
        );
    }

    #[test]
    fn jitter_stays_within_its_fraction() {
        let spec = RetrySpec {
            max: S(16),
            ..RetrySpec::default()
        };
        assert_eq!(spec.pause(1, None, 0.0), Some(S(4)));
        assert_eq!(spec.pause(1, None, 1.0), Some(S(6)));
        assert_eq!(spec.pause(2, None, 1.0), Some(S(16)));
    }

    #[test]
    fn hints_are_clamped() {
        let spec = RetrySpec {
            max: S(100),
            ..RetrySpec::default()
        };
        for (hint, pause) in [(0, 5), (7, 7), (1000, 100)] {
            assert_eq!(spec.pause(1, Some(S(hint)), 0.0), Some(S(pause)));
        }
        assert_eq!(
            spec.pause(8, Some(S(7)), 0.0),
            None,
            "a hint adds no attempts"
        );
    }

    #[test]
    fn deferrals_end_with_their_age() {
        let spec = RetrySpec {
            attempts: 1,
            max_age: S(100),
            ..RetrySpec::default()
        };
        assert_eq!(spec.deferral(1, S(0), None, 0.5), Some(S(5)));
        assert_eq!(spec.deferral(3, S(99), None, 0.5), Some(S(45)));
        assert_eq!(spec.deferral(3, S(99), Some(S(20)), 0.5), Some(S(20)));
        assert_eq!(spec.deferral(3, S(100), Some(S(20)), 0.5), None);
    }
}
