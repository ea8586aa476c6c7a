//! Events that did not wait for others, because the hook has as many open groups as it may have:
//! one log line a minute and hook.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall_model::lock;

const EVERY: Duration = Duration::from_secs(60);

/// When each hook was logged last, and how many events it has had since then.
#[derive(Debug, Default)]
pub(crate) struct UnheldLog(Mutex<HashMap<Arc<str>, (Instant, usize)>>);

// === impl UnheldLog ===

impl UnheldLog {
    /// Counts so many events. How many there were since the last line, if one is due now.
    pub(crate) fn count(&self, hook: &Arc<str>, count: usize, now: Instant) -> Option<usize> {
        let mut hooks = lock(&self.0);
        let Some((logged, since)) = hooks.get_mut(hook) else {
            hooks.insert(hook.clone(), (now, 0));
            return Some(count);
        };
        *since += count;
        if now.duration_since(*logged) < EVERY {
            return None;
        }
        *logged = now;
        Some(std::mem::take(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute() {
        let (log, start) = (UnheldLog::default(), Instant::now());
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        assert_eq!(log.count(&a, 1, start), Some(1));
        assert_eq!(log.count(&a, 1, start), None);
        assert_eq!(log.count(&b, 5, start), Some(5));
        assert_eq!(log.count(&a, 2, start + EVERY), Some(3));
        assert_eq!(log.count(&a, 1, start + EVERY), None);
    }
}
