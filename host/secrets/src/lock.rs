//! The one way to lock a mutex.

use std::sync::{Mutex, MutexGuard};

/// A panic of another thread leaves the data usable: every change is one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
