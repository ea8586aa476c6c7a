//! The `[redact]` of hooks whose files have vanished. A file can be away for a moment, while it is
//! replaced, and what is emitted for its hook meanwhile must not be stored as it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use landfall_model::{Event, RedactSpec, lock};

/// The most hooks whose rules are remembered.
const HOOKS_MAX: usize = 1_000;

/// The last rules of each hook that is not served with known ones any more, since the start of the
/// process. They are unknown if its file was never readable.
#[derive(Default)]
pub(crate) struct VanishedRules(Mutex<BTreeMap<Arc<str>, RedactSpec>>);

// === impl VanishedRules ===

impl VanishedRules {
    /// The event without the values that the last file of its hook names. As it is, if the hook has
    /// a file or had none. Fails if that file could not be read when it vanished.
    pub(crate) fn redacted(&self, event: Event) -> Result<Event, String> {
        match lock(&self.0).get(&event.hook) {
            None => Ok(event),
            Some(rules) if rules.is_unknown() => Err(format!(
                "{}.toml is gone and could not be read before, and its [redact] may remove values: write it \
                 anew, or start the node again",
                event.hook
            )),
            Some(rules) => Ok(rules.event_or_head(event)),
        }
    }

    /// Remembers the rules of these hooks that have none that are known any more, and forgets those
    /// of hooks that have some again.
    pub(crate) fn update<'r>(
        &self,
        rules: impl Iterator<Item = (Arc<str>, &'r RedactSpec)>,
        is_known: impl Fn(&str) -> bool,
    ) {
        let mut vanished = lock(&self.0);
        vanished.retain(|hook, _| !is_known(hook));
        for (hook, rules) in rules {
            let removes = rules.is_unknown() || !rules.is_empty();
            if !removes || vanished.len() >= HOOKS_MAX || is_known(&hook) {
                continue;
            }
            // Those that were known before say more.
            vanished.entry(hook).or_insert_with(|| rules.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use landfall_model::{EventId, Unreadable};

    use super::*;

    const PLAIN: &str = "{\"a\":\"canary\"}";
    const REDACTED: &str = "{\"a\":\"[redacted]\"}";

    fn redacted(vanished: &VanishedRules) -> Result<Event, String> {
        let event = Event {
            id: EventId::new(SystemTime::UNIX_EPOCH),
            hook: "in".into(),
            received_at: SystemTime::UNIX_EPOCH,
            method: Default::default(),
            path: "/in".into(),
            query: None,
            headers: Default::default(),
            body: PLAIN.into(),
            attributes: Vec::new(),
        };
        vanished.redacted(event)
    }

    fn body_of(vanished: &VanishedRules) -> String {
        let redacted = redacted(vanished).unwrap();
        String::from_utf8(redacted.body.to_vec()).unwrap()
    }

    #[test]
    fn rules_outlive_their_file() {
        let vanished = VanishedRules::default();
        let rules = RedactSpec::new(["/a"], Unreadable::Refuse).unwrap();
        let served = || std::iter::once((Arc::from("in"), &rules));
        vanished.update(served(), |_| true);
        assert_eq!(body_of(&vanished), PLAIN);
        vanished.update(served(), |_| false);
        vanished.update(std::iter::empty(), |_| false);
        assert_eq!(body_of(&vanished), REDACTED);
        vanished.update(std::iter::empty(), |_| true);
        assert_eq!(body_of(&vanished), PLAIN);
    }

    #[test]
    fn unreadable_files_that_vanish_store_nothing() {
        let vanished = VanishedRules::default();
        let unknown = RedactSpec::unknown();
        let unread = || std::iter::once((Arc::from("in"), &unknown));
        vanished.update(unread(), |_| false);
        vanished.update(std::iter::empty(), |_| false);
        assert!(
            redacted(&vanished)
                .unwrap_err()
                .starts_with("in.toml is gone")
        );
        vanished.update(std::iter::empty(), |_| true);
        assert_eq!(body_of(&vanished), PLAIN);

        // It could be read before.
        let rules = RedactSpec::new(["/a"], Unreadable::Refuse).unwrap();
        vanished.update(std::iter::once((Arc::from("in"), &rules)), |_| false);
        vanished.update(unread(), |_| false);
        assert_eq!(body_of(&vanished), REDACTED);
    }
}
