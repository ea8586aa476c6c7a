//! When the disk was last seen with enough free space. Asking the system for each event
//! would cost a large part of what its statements cost.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use landfall_model::lock;

/// How long a reading of enough free space holds. The events of this time fit into the rest of the
/// disk; what does not fit is refused by the commit.
const FRESH: Duration = Duration::from_millis(2);

/// Remembers for a moment that there was enough free space.
#[derive(Default)]
pub(super) struct FreeSpace {
    enough_at: Mutex<Option<Instant>>,
}

// === impl FreeSpace ===

impl FreeSpace {
    /// Whether there was enough a moment ago.
    pub(super) fn was_enough(&self, now: Instant) -> bool {
        let enough_at = *lock(&self.enough_at);
        enough_at.is_some_and(|at| now.saturating_duration_since(at) < FRESH)
    }

    /// There was enough at this time.
    pub(super) fn set_enough(&self, at: Instant) {
        *lock(&self.enough_at) = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_space_is_soon_forgotten() {
        let (space, at) = (FreeSpace::default(), Instant::now());
        assert!(!space.was_enough(at));
        space.set_enough(at);
        assert!(space.was_enough(at));
        assert!(!space.was_enough(at + FRESH));
    }
}
