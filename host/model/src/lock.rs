//! The one way to lock a mutex.

use std::sync::{Mutex, MutexGuard};

/// Locks a mutex, also if a thread has panicked while it held the lock: no critical section of the
/// host leaves its data half changed.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
