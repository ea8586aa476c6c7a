//! The rules by which a hook is learned: its own, and those of the node where it has none.

use std::time::Duration;

use landfall_hooks::Hook;
use landfall_shape::Rules;

use super::Shapes;

// === impl Shapes ===

impl Shapes {
    /// The rules of a hook. `None`: it is not learned.
    pub(super) fn rules(&self, hook: &Hook) -> Option<Rules> {
        let (spec, node) = (&hook.spec.shape, self.node_rules());
        spec.learn.unwrap_or(self.settings.learn).then(|| Rules {
            min_events: spec.min_events.unwrap_or(node.min_events),
            min_ms: spec.min_time.map_or(node.min_ms, milliseconds),
            adopt_ms: spec.adopt_after.map_or(node.adopt_ms, milliseconds),
        })
    }

    pub(super) fn node_rules(&self) -> Rules {
        Rules {
            min_events: self.settings.min_events as u64,
            min_ms: milliseconds(self.settings.min_time.0),
            adopt_ms: milliseconds(self.settings.adopt_after.0),
        }
    }
}

fn milliseconds(time: Duration) -> i64 {
    time.as_millis().try_into().unwrap_or(i64::MAX)
}
