//! The circuit breaker of a hook: while every attempt fails, the events of the hook wait, and one
//! is tried now and then.

use std::time::{Duration, Instant};

/// Failures in a row before it opens.
const FAILURES: u32 = 20;
const PAUSE: Duration = Duration::from_secs(30);

/// How one hook has fared lately.
#[derive(Debug, Default)]
pub(crate) struct Circuit {
    failures: u32,
    open_until: Option<Instant>,
}

// === impl Circuit ===

impl Circuit {
    /// Whether nothing may begin now.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.open_until.is_some_and(|until| now < until)
    }

    /// How many of `max` may begin now: one, to try, after the pause; the next one not before
    /// another pause.
    pub(crate) fn begin(&mut self, max: usize, now: Instant) -> usize {
        match self.open_until {
            None => max,
            Some(until) if now < until || max == 0 => 0,
            Some(_) => {
                self.open_until = Some(now + PAUSE);
                1
            }
        }
    }

    /// An attempt has failed. True where this opened the circuit.
    pub(crate) fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES {
            return false;
        }
        self.open_until = Some(now + PAUSE);
        // Those that were running already, and the tries after a pause, say nothing new.
        self.failures == FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_circuit_admits_one_try() {
        let (mut circuit, start) = (Circuit::default(), Instant::now());
        for number in 1..=FAILURES {
            assert_eq!(circuit.begin(5, start), 5);
            assert_eq!(circuit.failed(start), number == FAILURES);
        }
        assert!(circuit.is_open(start) && circuit.begin(5, start) == 0);
        let later = start + PAUSE;
        assert_eq!(
            (
                circuit.is_open(later),
                circuit.begin(0, later),
                circuit.begin(5, later)
            ),
            (false, 0, 1)
        );
        assert_eq!(circuit.begin(5, later), 0, "one at a time");
        assert!(
            !circuit.failed(later) && circuit.is_open(later),
            "open still, which is nothing new"
        );
        assert_eq!(circuit.begin(5, later + PAUSE), 1);
    }
}
