//! Room for request bodies: all of them together stay below a bound, so that no flood of them grows memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const UNIT: usize = 1024;

/// The room of the node.
pub struct Room {
    units: Arc<Semaphore>,
}

/// A part of the room, held as long as the body is.
#[derive(Debug)]
pub struct Held {
    _units: OwnedSemaphorePermit,
}

// === impl Room ===

impl Room {
    pub fn new(bytes: usize) -> Room {
        Room { units: Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))) }
    }

    /// Room for a body of at most `bytes`; none while others fill it.
    pub fn take(&self, bytes: usize) -> Option<Held> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        self.units.clone().try_acquire_many_owned(units).ok().map(|units| Held { _units: units })
    }
}
