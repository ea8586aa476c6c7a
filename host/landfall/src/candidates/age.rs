//! How long candidates are tried. Only clocks that go forward count: that of this process from its
//! first look at a trial, beside what nodes have noted before. So no step of the time of day
//! promotes a candidate or keeps it from being promoted, and neither does a wrong time at its
//! start.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A process notes an age when it has grown by this. That much is lost when it ends.
const NOTED_EVERY: Duration = Duration::from_secs(30);

/// The trials that this process has looked at, by hook.
#[derive(Debug, Default)]
pub(super) struct Ages(BTreeMap<String, Age>);

#[derive(Debug)]
struct Age {
    digest: String,
    /// The start of the trial, which tells it from an earlier one of the same version.
    since_ms: i64,
    first_look: Instant,
    /// What was noted at the first look.
    before: Duration,
}

// === impl Ages ===

impl Ages {
    /// The age of the trial of a hook: of this version, since this start. `noted`: what nodes have
    /// noted of it.
    pub(super) fn of(
        &mut self,
        hook: &str,
        (digest, since_ms): (&str, i64),
        noted: Duration,
        now: Instant,
    ) -> Duration {
        if let Some(age) = self.0.get(hook)
            && age.digest == digest
            && age.since_ms == since_ms
        {
            let own = age.before + now.saturating_duration_since(age.first_look);
            return own.max(noted);
        }

        let age = Age {
            digest: digest.to_owned(),
            since_ms,
            first_look: now,
            before: noted,
        };
        self.0.insert(hook.to_owned(), age);
        noted
    }

    /// Forgets the trials of all other hooks.
    pub(super) fn retain(&mut self, is_tried: impl Fn(&str) -> bool) {
        self.0.retain(|hook, _| is_tried(hook));
    }
}

/// Whether an age is to be noted, so that it outlives this process.
pub(super) fn is_due(age: Duration, noted: Duration) -> bool {
    age >= noted + NOTED_EVERY
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const ZERO: Duration = Duration::ZERO;

    #[test]
    fn ages_grow_with_the_process() {
        let (mut ages, start) = (Ages::default(), Instant::now());
        assert_eq!(ages.of("one", ("aa", 1), ZERO, start), ZERO);
        let second = Duration::from_secs(1);
        assert_eq!(ages.of("one", ("aa", 1), ZERO, start + second), second);
        assert_eq!(ages.of("one", ("aa", 1), second, start + HOUR), HOUR);
        // Another node has tried it for longer.
        assert_eq!(ages.of("one", ("aa", 1), 2 * HOUR, start + HOUR), 2 * HOUR);
    }

    #[test]
    fn earlier_processes_count() {
        let (mut ages, start) = (Ages::default(), Instant::now());
        assert_eq!(ages.of("one", ("aa", 1), HOUR, start), HOUR);
        let later = ages.of("one", ("aa", 1), HOUR, start + HOUR);
        assert_eq!(later, 2 * HOUR);

        // Another version, another trial of it, and a hook that was forgotten.
        let now = start + HOUR;
        assert_eq!(ages.of("one", ("bb", 1), ZERO, now), ZERO);
        assert_eq!(ages.of("one", ("bb", 2), ZERO, now), ZERO);
        ages.retain(|hook| hook != "one");
        assert_eq!(ages.of("one", ("bb", 2), HOUR, now), HOUR);
    }

    #[test]
    fn ages_are_noted_now_and_then() {
        assert!(!is_due(NOTED_EVERY / 2, ZERO));
        assert!(is_due(NOTED_EVERY, ZERO));
        assert!(!is_due(HOUR, HOUR));
    }
}
