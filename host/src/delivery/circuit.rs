//! A hook that only fails is left alone for a while: its events wait, and no attempts are burnt on them.

use std::time::{Duration, Instant};

/// Failures in a row before it opens.
const FAILURES: u32 = 20;
const PAUSE: Duration = Duration::from_secs(30);

/// How one hook has fared lately.
#[derive(Debug, Default)]
pub struct Circuit {
    failures: u32,
    open_until: Option<Instant>,
    is_probing: bool,
}

// === impl Circuit ===

impl Circuit {
    /// How many of `max` may begin now: one, to try, after the pause.
    pub fn allows(&self, max: usize, now: Instant) -> usize {
        match self.open_until {
            None => max,
            Some(until) if now < until || self.is_probing => 0,
            Some(_) => max.min(1),
        }
    }

    /// Something of the hook has begun.
    pub fn begun(&mut self) {
        self.is_probing = self.open_until.is_some();
    }

    /// It went well, or failed. True where this opened the circuit.
    pub fn ended(&mut self, well: bool, now: Instant) -> bool {
        self.is_probing = false;
        if well {
            *self = Circuit::default();
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        let opens = self.failures >= FAILURES;
        if opens {
            self.open_until = Some(now + PAUSE);
        }
        opens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_tries_one_and_closes() {
        let (mut circuit, start) = (Circuit::default(), Instant::now());
        for number in 1..=FAILURES {
            assert_eq!(circuit.allows(5, start), 5);
            assert_eq!(circuit.ended(false, start), number == FAILURES);
        }
        assert_eq!(circuit.allows(5, start), 0);
        let later = start + PAUSE;
        assert_eq!(circuit.allows(5, later), 1);
        circuit.begun();
        assert_eq!(circuit.allows(5, later), 0, "one at a time");
        assert!(circuit.ended(false, later), "open again");
        assert_eq!(circuit.allows(5, later + PAUSE), 1);
        circuit.begun();
        circuit.ended(true, later + PAUSE);
        assert_eq!(circuit.allows(5, later + PAUSE), 5);
    }
}
