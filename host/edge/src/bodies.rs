//! Memory for request bodies: all bodies of the node together stay below `limits.body_memory`. Every byte that is held for a body is
//! reserved before it is allocated: the bytes received, the bytes decoded, and the working memory of a decoder.

use std::sync::Arc;

use bytes::Bytes;
use memmap2::MmapMut;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const UNIT: usize = 1024;
/// Larger bodies have a mapping of their own, which is returned to the system when the body is dropped. The allocator would keep the
/// memory of freed bodies for each thread.
const SMALL_BYTES_MAX: usize = 256 << 10;

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

/// A body that grows. What is reserved is what was written: the rest of a mapping is address space, which uses no memory. While a body
/// is copied to its mapping, both copies are reserved.
pub struct BodyBuffer {
    held: Held,
    bytes: Storage,
    /// The buffer never holds more.
    max: usize,
}

enum Storage {
    Small(Vec<u8>),
    Mapped(Mapped),
}

struct Mapped {
    map: MmapMut,
    len: usize,
}

// === impl Room ===

impl Room {
    pub fn new(bytes: usize) -> Room {
        Room {
            units: Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Nothing yet.
    pub fn hold(&self) -> Held {
        Held {
            room: self.units.clone(),
            units: None,
        }
    }
}

// === impl Held ===

impl Held {
    /// Gives back what is reserved beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        if let Some(units) = &mut self.units {
            let surplus = units.num_permits().saturating_sub(bytes.div_ceil(UNIT));
            drop(units.split(surplus));
        }
    }

    /// The bytes that are reserved.
    pub fn bytes(&self) -> usize {
        self.units
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits)
            * UNIT
    }

    /// Another reservation in the same room, of nothing yet.
    pub fn another(&self) -> Held {
        Held {
            room: self.room.clone(),
            units: None,
        }
    }

    /// Adds another reservation to this one.
    pub fn merge(&mut self, other: Held) {
        match (&mut self.units, other.units) {
            (Some(units), Some(more)) => units.merge(more),
            (units @ None, more) => *units = more,
            (Some(_), None) => {}
        }
    }

    /// Makes it room for `bytes` in all.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let has = self
            .units
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let lacks = bytes.div_ceil(UNIT).saturating_sub(has);
        if lacks == 0 {
            return Ok(());
        }
        let more = u32::try_from(lacks).map_err(|_| NoRoom)?;
        let more = self
            .room
            .clone()
            .try_acquire_many_owned(more)
            .map_err(|_| NoRoom)?;
        self.merge(Held {
            room: self.room.clone(),
            units: Some(more),
        });
        Ok(())
    }
}

// === impl BodyBuffer ===

impl BodyBuffer {
    /// An empty buffer for a body of at most `max` bytes. What it holds is reserved in `held`.
    pub fn new(held: Held, max: usize) -> BodyBuffer {
        BodyBuffer {
            held,
            bytes: Storage::Small(Vec::new()),
            max,
        }
    }

    /// The bytes that it holds.
    pub fn len(&self) -> usize {
        match &self.bytes {
            Storage::Small(bytes) => bytes.len(),
            Storage::Mapped(mapped) => mapped.len,
        }
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds bytes. The caller has checked that they are within `max`.
    pub fn extend(&mut self, more: &[u8]) -> Result<(), NoRoom> {
        let new = self.len() + more.len();
        match &mut self.bytes {
            Storage::Mapped(mapped) => {
                self.held.grow_to(new)?;
                mapped.extend(more);
            }
            Storage::Small(bytes) if new <= SMALL_BYTES_MAX => {
                // A vector may double its capacity, and holds both copies while it does.
                self.held.grow_to(3 * new)?;
                bytes.extend_from_slice(more);
            }
            Storage::Small(bytes) => {
                self.held
                    .grow_to((bytes.len() + new).max(self.held.bytes()))?;
                let mut mapped = Mapped::new(self.max.max(new))?;
                mapped.extend(bytes);
                mapped.extend(more);
                self.bytes = Storage::Mapped(mapped);
                self.held.shrink_to(new);
            }
        }
        Ok(())
    }

    /// The bytes and their reservation.
    pub fn into_bytes(mut self) -> (Bytes, Held) {
        let bytes = match self.bytes {
            Storage::Small(bytes) => bytes.into_boxed_slice().into(),
            Storage::Mapped(mapped) => Bytes::from_owner(mapped),
        };
        self.held.shrink_to(bytes.len());
        (bytes, self.held)
    }
}

// === impl Mapped ===

impl Mapped {
    fn new(capacity: usize) -> Result<Mapped, NoRoom> {
        let map = MmapMut::map_anon(capacity).map_err(|_| NoRoom)?;
        Ok(Mapped { map, len: 0 })
    }

    fn extend(&mut self, more: &[u8]) {
        self.map[self.len..self.len + more.len()].copy_from_slice(more);
        self.len += more.len();
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_as_it_is_filled_and_given_back() {
        let room = Room::new(4 * UNIT);
        let (mut one, mut two) = (room.hold(), room.hold());
        assert_eq!(
            (one.grow_to(1), one.grow_to(UNIT), one.grow_to(3 * UNIT)),
            (Ok(()), Ok(()), Ok(()))
        );
        assert_eq!(
            (two.grow_to(UNIT), two.grow_to(UNIT + 1)),
            (Ok(()), Err(NoRoom))
        );
        drop(one);
        assert_eq!(two.grow_to(4 * UNIT), Ok(()));
    }

    #[test]
    fn buffers_reserve_what_they_hold() {
        let room = Room::new(1 << 20);
        let mut buffer = BodyBuffer::new(room.hold(), 1 << 20);
        let piece: Vec<u8> = (0..=250).cycle().take(10_000).collect();
        let mut pieces = 0;
        while buffer.len() + piece.len() <= 1 << 20 {
            buffer.extend(&piece).unwrap();
            pieces += 1;
            let (reserved, len) = (buffer.held.bytes(), buffer.len());
            let most = if len <= SMALL_BYTES_MAX { 3 * len } else { len } + UNIT;
            assert!(reserved >= len && reserved < most, "{reserved} {len}");
        }
        assert!(matches!(buffer.bytes, Storage::Mapped(_)));
        let (bytes, held) = buffer.into_bytes();
        assert_eq!(bytes, piece.repeat(pieces));
        assert_eq!(held.bytes(), bytes.len().div_ceil(UNIT) * UNIT);

        let mut late = BodyBuffer::new(room.hold(), 1 << 20);
        assert_eq!(late.extend(&piece.repeat(100)), Err(NoRoom));
        drop((late, held));
        assert_eq!(
            BodyBuffer::new(room.hold(), 1 << 20).extend(&piece.repeat(100)),
            Ok(())
        );
    }
}
