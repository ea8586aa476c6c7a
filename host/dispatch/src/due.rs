//! When each hook may have something to run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall_model::{LedgerTime, lock};
use tokio::sync::Notify;

/// The hooks with work, and when the first delivery of each may be due.
#[derive(Default)]
pub(crate) struct DueHooks {
    due: Mutex<HashMap<Arc<str>, LedgerTime>>,
    changed: Notify,
}

// === impl DueHooks ===

impl DueHooks {
    /// A delivery of this hook may be due at this time.
    pub(crate) fn mark_due(&self, hook: &Arc<str>, at: LedgerTime) {
        self.mark_all([(hook.clone(), at)]);
        self.notify();
    }

    /// As `mark_due` for several hooks, without waking the scheduler.
    pub(crate) fn mark_all(&self, hooks: impl IntoIterator<Item = (Arc<str>, LedgerTime)>) {
        let mut due = lock(&self.due);
        for (hook, at) in hooks {
            let earliest = due.entry(hook).or_insert(at);
            *earliest = at.min(*earliest);
        }
    }

    /// Forgets these hooks. What becomes due from now on marks them again.
    pub(crate) fn clear(&self, hooks: &[Arc<str>]) {
        lock(&self.due).retain(|hook, _| !hooks.contains(hook));
    }

    /// The hooks that may have something due now, in no order.
    pub(crate) fn due_at(&self, now: LedgerTime) -> Vec<Arc<str>> {
        let due = lock(&self.due);
        let hooks = due.iter().filter(|(_, at)| **at <= now);
        hooks.map(|(hook, _)| hook.clone()).collect()
    }

    /// Wakes the scheduler if any hook is marked: a permit is free for its deliveries.
    pub(crate) fn notify_if_marked(&self) {
        let is_marked = !lock(&self.due).is_empty();
        if is_marked {
            self.notify();
        }
    }

    /// Wakes the scheduler.
    pub(crate) fn notify(&self) {
        self.changed.notify_one();
    }

    /// Returns when something may be due, when the scheduler is woken, or after `longest`.
    pub(crate) async fn wait(&self, now: LedgerTime, longest: Duration) {
        let next = {
            let due = lock(&self.due);
            let later = due.values().filter(|at| **at > now);
            later.map(|at| now.until(*at)).min()
        };
        let time = next
            .map_or(longest, |next| next.min(longest))
            .max(Duration::from_millis(1));
        tokio::time::timeout(time, self.changed.notified())
            .await
            .ok();
    }
}
