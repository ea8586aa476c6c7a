//! How long each hook keeps its events. A hook file can be away for a moment, while it is replaced,
//! and its hook runs without it if its component is there: what the file keeps must not be removed
//! meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use landfall_model::{HookRetention, HookRetentions, lock};

/// When each hook had a file last. A hook that had none for `HookRetentions::MISSING_FOR` is
/// forgotten.
#[derive(Default)]
pub(crate) struct FileTimes(Mutex<BTreeMap<Arc<str>, Instant>>);

// === impl FileTimes ===

impl FileTimes {
    /// The retention of each hook. `files`: the hooks that have a file now. `served`: what is served,
    /// with its retention. A file that is not served may keep its events longer than the node does.
    pub(crate) fn retentions(
        &self,
        files: impl Iterator<Item = Arc<str>>,
        served: impl Iterator<Item = (Arc<str>, HookRetention)>,
        now: Instant,
    ) -> HashMap<Arc<str>, HookRetention> {
        let mut times = lock(&self.0);
        times.retain(|_, at| now.saturating_duration_since(*at) < HookRetentions::MISSING_FOR);

        let mut named = HashMap::new();
        for hook in files {
            times.insert(hook.clone(), now);
            named.insert(hook, HookRetention::UNKNOWN);
        }
        for (hook, own) in served {
            let has_lost_file = times.get(&hook).is_some_and(|at| *at < now);
            let own = if has_lost_file {
                HookRetention::UNKNOWN
            } else {
                own
            };
            named.insert(hook, own);
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = HookRetentions::MISSING_FOR;

    #[test]
    fn lost_files_keep_events_for_a_day() {
        let (times, start) = (FileTimes::default(), Instant::now());
        let name = || Arc::<str>::from("in");
        let of = |has_file: bool, is_served: bool, now: Instant| {
            let files = has_file.then(name).into_iter();
            let served = is_served.then(|| (name(), HookRetention::default()));
            let named = times.retentions(files, served.into_iter(), now);
            named.get("in").copied()
        };
        let usual = Some(HookRetention::default());
        let unknown = Some(HookRetention::UNKNOWN);
        assert_eq!(of(false, true, start), usual, "it never had a file");
        assert_eq!(of(true, false, start), unknown, "its path is taken");
        assert_eq!(of(true, true, start), usual);

        let minute = Duration::from_secs(60);
        assert_eq!(of(false, false, start + minute), None);
        assert_eq!(of(false, true, start + minute), unknown);
        assert_eq!(of(true, true, start + 2 * minute), usual);
        assert_eq!(of(false, true, start + DAY + minute), unknown);
        assert_eq!(of(false, true, start + DAY + 2 * minute), usual);
    }
}
