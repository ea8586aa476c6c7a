//! The `[redact]` of hooks whose files have vanished. A file can be away for a moment, while it is
//! replaced, and what is emitted for its hook meanwhile must not be stored as it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use landfall_model::{Event, RedactSpec, lock};

/// The most hooks whose rules are remembered.
const HOOKS_MAX: usize = 1_000;

/// The last rules of each hook whose file has vanished since the start of the process.
#[derive(Default)]
pub(crate) struct VanishedRules(Mutex<BTreeMap<Arc<str>, RedactSpec>>);

// === impl VanishedRules ===

impl VanishedRules {
    /// The event without the values that the last file of its hook names. As it is, if the hook has
    /// a file or had none.
    pub(crate) fn redacted(&self, event: Event) -> Event {
        match lock(&self.0).get(&event.hook) {
            Some(rules) => rules.event_or_head(event),
            None => event,
        }
    }

    /// Remembers the rules of these hooks that have no file any more, and forgets those of hooks
    /// that have one again.
    pub(crate) fn update<'r>(
        &self,
        rules: impl Iterator<Item = (Arc<str>, &'r RedactSpec)>,
        has_file: impl Fn(&str) -> bool,
    ) {
        let mut vanished = lock(&self.0);
        vanished.retain(|hook, _| !has_file(hook));
        for (hook, rules) in rules {
            if !rules.is_empty() && vanished.len() < HOOKS_MAX && !has_file(&hook) {
                vanished.insert(hook, rules.clone());
            }
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

    fn body_of(vanished: &VanishedRules) -> String {
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
        let redacted = vanished.redacted(event);
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
}
