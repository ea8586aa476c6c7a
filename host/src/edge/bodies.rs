//! Room for request bodies: all of them together stay below a bound, so that no flood of them grows memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const UNIT: usize = 1024;

/// The room of the node.
pub struct Room {
    units: Arc<Semaphore>,
}

/// A part of the room, held as long as the body is. It grows with the bytes that have come, not with what was announced:
/// announcing costs a sender nothing.
#[derive(Debug)]
pub struct Held {
    room: Arc<Semaphore>,
    units: Option<OwnedSemaphorePermit>,
}

/// Others fill the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

// === impl Room ===

impl Room {
    pub fn new(bytes: usize) -> Room {
        Room { units: Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))) }
    }

    /// Nothing yet.
    pub fn hold(&self) -> Held {
        Held { room: self.units.clone(), units: None }
    }
}

// === impl Held ===

impl Held {
    /// Makes it room for `bytes` in all.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let has = self.units.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let lacks = bytes.div_ceil(UNIT).saturating_sub(has);
        if lacks == 0 {
            return Ok(());
        }
        let more = u32::try_from(lacks).map_err(|_| NoRoom)?;
        let more = self.room.clone().try_acquire_many_owned(more).map_err(|_| NoRoom)?;
        match &mut self.units {
            Some(units) => units.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_as_it_is_filled_and_given_back() {
        let room = Room::new(4 * UNIT);
        let (mut one, mut two) = (room.hold(), room.hold());
        assert_eq!((one.grow_to(1), one.grow_to(UNIT), one.grow_to(3 * UNIT)), (Ok(()), Ok(()), Ok(())));
        assert_eq!((two.grow_to(UNIT), two.grow_to(UNIT + 1)), (Ok(()), Err(NoRoom)));
        drop(one);
        assert_eq!(two.grow_to(4 * UNIT), Ok(()));
    }
}
