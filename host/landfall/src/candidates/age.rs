//! How long candidates are tried. The time of day counts once, at the first look of this process;
//! from then on a clock that only goes forward counts, so that no step of the time promotes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

/// The trials that this process has looked at, by hook.
#[derive(Debug, Default)]
pub(super) struct Ages(BTreeMap<String, Age>);

#[derive(Debug)]
struct Age {
    digest: String,
    /// The start of the trial, as all nodes remember it.
    since: SystemTime,
    first_look: Instant,
    /// At the first look.
    before: Duration,
}

// === impl Ages ===

impl Ages {
    /// The age of the trial of a hook: of this version, since this time of day. `by_clock`: its age
    /// by the time of day.
    pub(super) fn of(
        &mut self,
        hook: &str,
        (digest, since): (&str, SystemTime),
        by_clock: Duration,
        now: Instant,
    ) -> Duration {
        if let Some(age) = self.0.get(hook)
            && age.digest == digest
            && age.since == since
        {
            return age.before + now.duration_since(age.first_look);
        }

        let age = Age {
            digest: digest.to_owned(),
            since,
            first_look: now,
            before: by_clock,
        };
        self.0.insert(hook.to_owned(), age);
        by_clock
    }

    /// Forgets the trials of all other hooks.
    pub(super) fn retain(&mut self, is_tried: impl Fn(&str) -> bool) {
        self.0.retain(|hook, _| is_tried(hook));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const SINCE: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn steps_of_the_time_count_nothing() {
        let (mut ages, start) = (Ages::default(), Instant::now());
        let trial = ("aa", SINCE);
        assert_eq!(ages.of("one", trial, Duration::ZERO, start), Duration::ZERO);
        let second = Duration::from_secs(1);
        assert_eq!(ages.of("one", trial, HOUR, start + second), second);
        assert_eq!(ages.of("one", trial, Duration::ZERO, start + HOUR), HOUR);
    }

    #[test]
    fn earlier_processes_count() {
        let (mut ages, start) = (Ages::default(), Instant::now());
        assert_eq!(ages.of("one", ("aa", SINCE), HOUR, start), HOUR);
        let later = ages.of("one", ("aa", SINCE), HOUR, start + HOUR);
        assert_eq!(later, 2 * HOUR);

        // Another version, another trial of it, and a hook that was forgotten.
        let new = (Duration::ZERO, start + HOUR);
        assert_eq!(ages.of("one", ("bb", SINCE), new.0, new.1), new.0);
        assert_eq!(ages.of("one", ("bb", SINCE + HOUR), new.0, new.1), new.0);
        ages.retain(|hook| hook != "one");
        assert_eq!(ages.of("one", ("bb", SINCE + HOUR), HOUR, new.1), HOUR);
    }
}
