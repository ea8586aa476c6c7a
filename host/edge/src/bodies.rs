//! The memory budget of request bodies: all bodies of the node together stay below
//! `limits.body_memory`. Each byte is reserved before it is allocated: received bytes, decoded
//! bytes, and the working memory of decoders.

use std::sync::Arc;

use bytes::Bytes;
use memmap2::MmapMut;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const UNIT: usize = 1024;
/// A larger body has its own memory mapping, which returns to the system when the body is dropped.
/// The allocator would keep the memory of freed bodies for each thread.
const SMALL_BYTES_MAX: usize = 256 << 10;

/// The memory for all request bodies of the node.
pub(crate) struct BodyBudget {
    units: Arc<Semaphore>,
}

/// A part of the budget, reserved until it is dropped. It grows with the received bytes. The
/// announced length does not count, because a sender can announce any length.
#[derive(Debug)]
pub(crate) struct BodyReservation {
    budget: Arc<Semaphore>,
    units: Option<OwnedSemaphorePermit>,
}

/// Other bodies use the whole budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BudgetExhausted;

/// A body that grows. Only written bytes are reserved: the rest of a mapping is address space and
/// uses no memory. While a body is copied to its mapping, both copies are reserved.
pub(crate) struct BodyBuffer {
    reservation: BodyReservation,
    bytes: Storage,
    /// The maximum length.
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

// === impl BodyBudget ===

impl BodyBudget {
    pub(crate) fn new(bytes: usize) -> BodyBudget {
        BodyBudget {
            units: Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))),
        }
    }

    /// An empty reservation.
    pub(crate) fn reserve(&self) -> BodyReservation {
        BodyReservation {
            budget: self.units.clone(),
            units: None,
        }
    }
}

// === impl BodyReservation ===

impl BodyReservation {
    /// Releases what is reserved beyond `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(units) = &mut self.units {
            let surplus = units.num_permits().saturating_sub(bytes.div_ceil(UNIT));
            drop(units.split(surplus));
        }
    }

    /// Number of reserved bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.units
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits)
            * UNIT
    }

    /// An empty reservation of the same budget.
    pub(crate) fn sibling(&self) -> BodyReservation {
        BodyReservation {
            budget: self.budget.clone(),
            units: None,
        }
    }

    /// Adds another reservation to this one.
    pub(crate) fn merge(&mut self, other: BodyReservation) {
        match (&mut self.units, other.units) {
            (Some(units), Some(more)) => units.merge(more),
            (units @ None, more) => *units = more,
            (Some(_), None) => {}
        }
    }

    /// Extends this reservation to `bytes` in total.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), BudgetExhausted> {
        let has = self
            .units
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(UNIT).saturating_sub(has);
        if missing == 0 {
            return Ok(());
        }

        let more = u32::try_from(missing).map_err(|_| BudgetExhausted)?;
        let more = self
            .budget
            .clone()
            .try_acquire_many_owned(more)
            .map_err(|_| BudgetExhausted)?;
        self.merge(BodyReservation {
            budget: self.budget.clone(),
            units: Some(more),
        });
        Ok(())
    }
}

// === impl BodyBuffer ===

impl BodyBuffer {
    /// An empty buffer for at most `max` bytes, which are reserved in `reservation`.
    pub(crate) fn new(reservation: BodyReservation, max: usize) -> BodyBuffer {
        BodyBuffer {
            reservation,
            bytes: Storage::Small(Vec::new()),
            max,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.bytes {
            Storage::Small(bytes) => bytes.len(),
            Storage::Mapped(mapped) => mapped.len,
        }
    }

    /// Appends bytes. The caller has checked that the result is within `max`.
    pub(crate) fn extend(&mut self, more: &[u8]) -> Result<(), BudgetExhausted> {
        let new = self.len() + more.len();
        match &mut self.bytes {
            Storage::Mapped(mapped) => {
                self.reservation.grow_to(new)?;
                mapped.extend(more);
            }
            Storage::Small(bytes) if new <= SMALL_BYTES_MAX => {
                // While a vector doubles its capacity, both copies exist.
                self.reservation.grow_to(3 * new)?;
                bytes.extend_from_slice(more);
            }
            Storage::Small(bytes) => {
                self.reservation
                    .grow_to((bytes.len() + new).max(self.reservation.bytes()))?;
                let mut mapped = Mapped::new(self.max.max(new))?;
                mapped.extend(bytes);
                mapped.extend(more);
                self.bytes = Storage::Mapped(mapped);
                self.reservation.shrink_to(new);
            }
        }

        Ok(())
    }

    /// The bytes and their reservation.
    pub(crate) fn into_bytes(mut self) -> (Bytes, BodyReservation) {
        let bytes = match self.bytes {
            Storage::Small(bytes) => bytes.into_boxed_slice().into(),
            Storage::Mapped(mapped) => Bytes::from_owner(mapped),
        };

        self.reservation.shrink_to(bytes.len());
        (bytes, self.reservation)
    }
}

// === impl Mapped ===

impl Mapped {
    fn new(capacity: usize) -> Result<Mapped, BudgetExhausted> {
        let map = MmapMut::map_anon(capacity).map_err(|_| BudgetExhausted)?;
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
    fn budget_is_reserved_and_released() {
        let budget = BodyBudget::new(4 * UNIT);
        let (mut one, mut two) = (budget.reserve(), budget.reserve());
        assert_eq!(
            (one.grow_to(1), one.grow_to(UNIT), one.grow_to(3 * UNIT)),
            (Ok(()), Ok(()), Ok(()))
        );
        assert_eq!(
            (two.grow_to(UNIT), two.grow_to(UNIT + 1)),
            (Ok(()), Err(BudgetExhausted))
        );
        drop(one);
        assert_eq!(two.grow_to(4 * UNIT), Ok(()));
    }

    #[test]
    fn buffers_reserve_written_bytes() {
        let budget = BodyBudget::new(1 << 20);
        let mut buffer = BodyBuffer::new(budget.reserve(), 1 << 20);
        let piece: Vec<u8> = (0..=250).cycle().take(10_000).collect();
        let mut pieces = 0;
        while buffer.len() + piece.len() <= 1 << 20 {
            buffer.extend(&piece).unwrap();
            pieces += 1;
            let (reserved, len) = (buffer.reservation.bytes(), buffer.len());
            let most = if len <= SMALL_BYTES_MAX { 3 * len } else { len } + UNIT;
            assert!(reserved >= len && reserved < most, "{reserved} {len}");
        }

        assert!(matches!(buffer.bytes, Storage::Mapped(_)));
        let (bytes, reservation) = buffer.into_bytes();
        assert_eq!(bytes, piece.repeat(pieces));
        assert_eq!(reservation.bytes(), bytes.len().div_ceil(UNIT) * UNIT);

        let mut late = BodyBuffer::new(budget.reserve(), 1 << 20);
        assert_eq!(late.extend(&piece.repeat(100)), Err(BudgetExhausted));
        drop((late, reservation));
        assert_eq!(
            BodyBuffer::new(budget.reserve(), 1 << 20).extend(&piece.repeat(100)),
            Ok(())
        );
    }
}
