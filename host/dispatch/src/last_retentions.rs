//! The retention of hooks whose files have vanished. A file can be away for a moment, while it is
//! replaced or its file system is not mounted, and what is removed by age does not come back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_model::{HookRetention, HookRetentions};

/// A hook without a file keeps its retention for so long. So long after the start of the process,
/// nothing is removed of a hook that had no file since.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(86_400);

/// The last known retention of each hook, and when it was known.
pub(crate) struct LastRetentions {
    known: HashMap<Arc<str>, (HookRetention, Instant)>,
    /// When the process started.
    since: Instant,
}

// === impl LastRetentions ===

impl LastRetentions {
    /// Nothing is known at the start of the process.
    pub(crate) fn new(since: Instant) -> LastRetentions {
        LastRetentions {
            known: HashMap::new(),
            since,
        }
    }

    /// Those of the hooks that are served `at` this time, and of hooks that were until recently.
    pub(crate) fn with(&mut self, served: HookRetentions, at: Instant) -> HookRetentions {
        for (hook, retention) in served.named {
            self.known.insert(hook, (retention, at));
        }
        self.known
            .retain(|_, (_, known)| at.duration_since(*known) < KEPT_FOR);
        let all = self.known.iter();
        let named = all.map(|(hook, (retention, _))| (hook.clone(), *retention));
        // The directory of the hook files may have been empty, because it was not mounted.
        let is_young = at.duration_since(self.since) < KEPT_FOR;
        HookRetentions {
            named: named.collect(),
            others: if is_young {
                HookRetention::UNKNOWN
            } else {
                served.others
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vanished_hooks_keep_their_retention() {
        let own = HookRetention {
            deliveries: Some(400 * KEPT_FOR),
            ..HookRetention::default()
        };
        let served = HookRetentions {
            named: [("a".into(), own)].into(),
            ..HookRetentions::default()
        };
        let begin = Instant::now();
        let mut last = LastRetentions::new(begin);
        assert_eq!(last.with(served.clone(), begin).named, served.named);
        let soon = last.with(HookRetentions::default(), begin + KEPT_FOR / 2);
        assert_eq!(soon.named, served.named);
        let late = last.with(HookRetentions::default(), begin + KEPT_FOR);
        assert!(late.named.is_empty());
    }

    #[test]
    fn unnamed_hooks_are_kept_at_first() {
        let begin = Instant::now();
        let mut last = LastRetentions::new(begin);
        let none = HookRetentions::default;
        let early = last.with(none(), begin + KEPT_FOR / 2);
        assert_eq!(early.of("a"), &HookRetention::UNKNOWN);
        let late = last.with(none(), begin + KEPT_FOR);
        assert_eq!(late.of("a"), &HookRetention::default());
    }
}
