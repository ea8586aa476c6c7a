//! The wall clock: everybody who needs the time of day asks here, so that a test can pretend another one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the time of day comes from.
#[derive(Debug, Clone, Copy, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Stands still at this time: for request vectors and tests.
    Fixed(SystemTime),
}

impl Clock {
    /// The time now.
    pub fn now(self) -> SystemTime {
        match self {
            Clock::System => SystemTime::now(),
            Clock::Fixed(at) => at,
        }
    }

    /// A clock that stands still at `seconds` after 1970.
    pub fn fixed_at(seconds: u64) -> Clock {
        Clock::Fixed(UNIX_EPOCH + Duration::from_secs(seconds))
    }
}

/// Milliseconds since 1970; times before count as 1970.
pub fn to_ms(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// The time that `to_ms` was made from.
pub fn from_ms(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms.max(0) as u64)
}
