//! The rate limit of a hook: a token bucket. Events above the rate wait.

use std::time::Instant;

/// A bucket that fills by itself and holds a second's worth, one at least.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    tokens: f64,
    at: Instant,
}

// === impl Bucket ===

impl Bucket {
    /// Full.
    pub(crate) fn new(per_second: f64, now: Instant) -> Bucket {
        Bucket {
            per_second,
            tokens: per_second.max(1.0),
            at: now,
        }
    }

    /// How many of `max` may begin now; they are taken out.
    pub(crate) fn take(&mut self, per_second: f64, max: usize, now: Instant) -> usize {
        // The hook file may have changed.
        self.per_second = per_second;
        let filled =
            self.tokens + now.saturating_duration_since(self.at).as_secs_f64() * per_second;
        self.tokens = filled.min(per_second.max(1.0));
        self.at = now;
        let taken = (self.tokens.floor() as usize).min(max);
        self.tokens -= taken as f64;
        taken
    }

    /// Those that were not begun after all.
    pub(crate) fn put_back(&mut self, count: usize) {
        self.tokens += count as f64;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn attempts_per_second_are_limited() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, start);
        assert_eq!(
            (bucket.take(10.0, 16, start), bucket.take(10.0, 16, start)),
            (10, 0)
        );
        assert_eq!(bucket.take(10.0, 16, start + Duration::from_millis(350)), 3);
        bucket.put_back(2);
        assert_eq!(bucket.take(10.0, 16, start + Duration::from_millis(350)), 2);
        assert_eq!(
            bucket.take(10.0, 99, start + Duration::from_secs(60)),
            10,
            "nothing is saved up"
        );
        let mut slow = Bucket::new(0.5, start);
        assert_eq!(
            (
                slow.take(0.5, 9, start),
                slow.take(0.5, 9, start + Duration::from_secs(1))
            ),
            (1, 0)
        );
        assert_eq!(slow.take(0.5, 9, start + Duration::from_secs(2)), 1);
    }
}
