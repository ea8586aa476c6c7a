//! The wall clock. It is passed in wherever the time of day is needed, so that a test can set it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A source of the time of day.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The clock of the machine. Only the crate `landfall` may create it.
    System,
    /// A clock that is stopped at this time, for request vectors and tests.
    Fixed(SystemTime),
}

impl Clock {
    /// The time of day.
    pub fn now(self) -> SystemTime {
        match self {
            Clock::System => SystemTime::now(),
            Clock::Fixed(at) => at,
        }
    }

    /// A clock that is stopped at `seconds` after 1970.
    pub fn fixed_at(seconds: u64) -> Clock {
        Clock::Fixed(UNIX_EPOCH + Duration::from_secs(seconds))
    }
}

/// Milliseconds since 1970. Earlier times count as 1970.
pub fn to_ms(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// The time at `ms` milliseconds after 1970.
pub fn from_ms(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms.max(0) as u64)
}
