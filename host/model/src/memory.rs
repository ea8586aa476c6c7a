//! The memory limit of one attempt: the memory of the component, and what the host stores for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Counts the bytes of one attempt. Clones share the count.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    max: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
    is_overdrawn: AtomicBool,
}

/// Counted bytes, which are released when this is dropped.
#[derive(Debug)]
pub struct MemoryHold {
    budget: MemoryBudget,
    bytes: usize,
}

/// The bytes exceed the rest of the attempt's memory limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the attempt has no memory left for it: raise `[limits] memory` of this hook (now {})", bytesize::ByteSize(*.max as u64).display().iec())]
pub struct MemoryExhausted {
    max: usize,
}

// === impl MemoryBudget ===

impl MemoryBudget {
    /// A budget of `max` bytes.
    pub fn new(max: usize) -> MemoryBudget {
        MemoryBudget(Arc::new(Counts {
            max,
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            is_overdrawn: AtomicBool::new(false),
        }))
    }

    /// The most bytes that were in use at once.
    pub fn peak(&self) -> usize {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// The bytes that are not in use.
    pub fn left(&self) -> usize {
        self.0
            .max
            .saturating_sub(self.0.used.load(Ordering::Relaxed))
    }

    /// Counts bytes that are in use until the attempt ends.
    pub fn take(&self, bytes: usize) -> Result<(), MemoryExhausted> {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.0.max);
        match self
            .0
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
        {
            Ok(used) => {
                self.0.peak.fetch_max(used + bytes, Ordering::Relaxed);
                Ok(())
            }
            Err(_) => Err(MemoryExhausted { max: self.0.max }),
        }
    }

    /// Counts bytes that are in use until the attempt ends and that cannot be refused. If they
    /// exceed the limit, the attempt is stopped.
    pub fn take_or_overdraw(&self, bytes: usize) {
        if self.take(bytes).is_err() {
            self.0.is_overdrawn.store(true, Ordering::Relaxed);
        }
    }

    /// Whether bytes that could not be refused have exceeded the limit.
    pub fn is_overdrawn(&self) -> bool {
        self.0.is_overdrawn.load(Ordering::Relaxed)
    }

    /// Counts no bytes yet.
    pub fn hold_nothing(&self) -> MemoryHold {
        MemoryHold {
            budget: self.clone(),
            bytes: 0,
        }
    }

    /// Counts bytes until the returned value is dropped.
    pub fn hold(&self, bytes: usize) -> Result<MemoryHold, MemoryExhausted> {
        self.take(bytes)?;
        Ok(MemoryHold {
            budget: self.clone(),
            bytes,
        })
    }
}

// === impl MemoryHold ===

impl MemoryHold {
    /// Counts more bytes.
    pub fn grow(&mut self, bytes: usize) -> Result<(), MemoryExhausted> {
        self.budget.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Counts this many bytes from now on. They are in use already, so they cannot be refused: if
    /// they exceed the limit, the attempt is stopped.
    pub fn resize_or_overdraw(&mut self, bytes: usize) {
        let released = self.bytes.saturating_sub(bytes);
        self.budget.0.used.fetch_sub(released, Ordering::Relaxed);
        self.bytes -= released;

        let added = bytes - self.bytes;
        if added > 0 && self.grow(added).is_err() {
            self.budget.0.is_overdrawn.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for MemoryHold {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_holds_release_their_bytes() {
        let budget = MemoryBudget::new(100);
        budget.take(40).unwrap();
        let mut hold = budget.hold(30).unwrap();
        hold.grow(30).unwrap();
        let error = budget.take(1).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("raise `[limits] memory` of this hook (now 100 B)"),
            "{error}"
        );
        assert!(hold.grow(1).is_err());
        drop(hold);
        assert_eq!(budget.left(), 60);
        budget.take(60).unwrap();
        assert_eq!((budget.peak(), budget.left()), (100, 0));
    }

    #[test]
    fn holds_follow_their_size() {
        let budget = MemoryBudget::new(100);
        let mut hold = budget.hold_nothing();
        hold.resize_or_overdraw(80);
        hold.resize_or_overdraw(30);
        assert_eq!((budget.peak(), budget.left()), (80, 70));
        hold.resize_or_overdraw(101);
        assert!(budget.is_overdrawn());
        drop(hold);
        assert_eq!(budget.left(), 100);
    }

    #[test]
    fn overdrawn_budgets_are_marked() {
        let budget = MemoryBudget::new(10);
        budget.take_or_overdraw(10);
        assert!(!budget.is_overdrawn());
        budget.take_or_overdraw(1);
        assert!(budget.is_overdrawn());
    }
}
