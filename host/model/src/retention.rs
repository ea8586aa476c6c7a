//! How long the ledger keeps deliveries that have ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long the ledger keeps a delivery after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// `ledger.retention`: for the delivery with its attempts.
    pub deliveries: Duration,
    /// `ledger.body_retention`: for the body of its event, if the delivery is done. A dead delivery
    /// keeps its body, so that it can be replayed.
    pub bodies: Duration,
    /// The largest size of the file in bytes. Above it, the oldest deliveries are removed before
    /// their time.
    pub max_size: u64,
}

/// How long the deliveries of one hook are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookRetention {
    /// `retention` of the hook file. `None`: `Retention::deliveries`.
    pub deliveries: Option<Duration>,
    /// `body_retention` of the hook file. `None`: `Retention::bodies`.
    pub bodies: Option<Duration>,
    /// False: the hook file cannot be read, so that nothing of the hook is removed by age.
    pub is_known: bool,
}

/// The retention of each hook of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookRetentions {
    /// Those of the hooks that have a file.
    pub named: HashMap<Arc<str>, HookRetention>,
    /// A hook without a file has the retention of the node when it has been missing at every node
    /// for so long. Until then, nothing of it is removed by age: the file may be away for a moment.
    pub missing_for: Duration,
}

// === impl Retention ===

impl Retention {
    /// How long bodies and deliveries of a hook are kept. `None`: nothing is removed.
    pub fn of(&self, own: &HookRetention) -> Option<(Duration, Duration)> {
        own.is_known.then(|| {
            let bodies = own.bodies.unwrap_or(self.bodies);
            (bodies, own.deliveries.unwrap_or(self.deliveries))
        })
    }
}

// === impl HookRetentions ===

impl HookRetentions {
    /// `missing_for` of a node.
    pub const MISSING_FOR: Duration = Duration::from_secs(86_400);

    /// The retention of a hook. `None`: it has no file.
    pub fn of(&self, hook: &str) -> Option<&HookRetention> {
        self.named.get(hook)
    }
}

// === impl HookRetention ===

impl HookRetention {
    /// Of a hook whose file cannot be read.
    pub const UNKNOWN: HookRetention = HookRetention {
        deliveries: None,
        bodies: None,
        is_known: false,
    };
}

impl Default for HookRetention {
    fn default() -> HookRetention {
        HookRetention {
            is_known: true,
            ..HookRetention::UNKNOWN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_override_the_node() {
        let day = Duration::from_secs(86_400);
        let node = Retention {
            deliveries: 30 * day,
            bodies: 7 * day,
            max_size: 0,
        };
        let own = HookRetention {
            bodies: Some(day),
            ..HookRetention::default()
        };
        let usual = node.of(&HookRetention::default());
        assert_eq!(usual, Some((7 * day, 30 * day)));
        assert_eq!(node.of(&own), Some((day, 30 * day)));
        assert_eq!(node.of(&HookRetention::UNKNOWN), None);
    }
}
