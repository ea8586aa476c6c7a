//! Durations as the contract has them: `u32` in whole seconds, or milliseconds for the limit of a
//! single call. A part of a unit is rounded up, so that nothing ends earlier than the author wrote;
//! what is too long becomes the longest.

use std::time::Duration;

pub(crate) fn whole_seconds(duration: Duration) -> u32 {
    let seconds = duration.as_nanos().div_ceil(1_000_000_000);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(any(target_arch = "wasm32", test))]
pub(crate) fn whole_milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_up() {
        let seconds = [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_millis(1500), 2),
            (Duration::from_secs(60 * 24 * 3600), 60 * 24 * 3600),
            (Duration::MAX, u32::MAX),
        ];
        for (duration, expected) in seconds {
            assert_eq!(whole_seconds(duration), expected, "{duration:?}");
        }
        let milliseconds = [
            (Duration::ZERO, 0),
            (Duration::from_micros(1), 1),
            (Duration::from_millis(1500), 1500),
            (Duration::MAX, u32::MAX),
        ];
        for (duration, expected) in milliseconds {
            assert_eq!(whole_milliseconds(duration), expected, "{duration:?}");
        }
    }
}
