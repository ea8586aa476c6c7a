//! The crates `log` and `tracing` write to the log of the attempt: features `log` and `tracing`.
//!
//! `#[handler]` installs both before the function runs, and [`testing::host`](crate::testing::host)
//! does in native tests. Another logger that is installed before stays.

#[cfg(feature = "log")]
mod logger;
#[cfg(feature = "tracing")]
mod subscriber;

use crate::log::Level;
use std::sync::atomic::{AtomicU8, Ordering};

static MAX_LEVEL: AtomicU8 = AtomicU8::new(Level::Debug as u8);

/// Lets lines of `log` and `tracing` up to this level into the log. [`Level::Debug`] without this
/// call. The functions of [`log`](crate::log) are not affected.
#[cfg(any(feature = "log", feature = "tracing"))]
pub fn set_max_level(level: Level) {
    MAX_LEVEL.store(level as u8, Ordering::Relaxed);
}

pub(crate) fn install() {
    #[cfg(feature = "log")]
    logger::install();
    #[cfg(feature = "tracing")]
    subscriber::install();
}

/// Whether a line of this level is written. `Level` ascends from `Trace` to `Error`.
#[cfg_attr(not(any(feature = "log", feature = "tracing")), expect(dead_code))]
fn is_enabled(level: Level) -> bool {
    level as u8 >= MAX_LEVEL.load(Ordering::Relaxed)
}
