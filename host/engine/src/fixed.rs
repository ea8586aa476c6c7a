//! A time and a seed in place of the clock and the random numbers of the machine, so that a run can
//! be repeated.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_core::TryRng;
use wasmtime_wasi::{HostWallClock, WasiCtxBuilder};

/// The time of day and the random numbers that a component sees in an offline run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// The time of day, which does not pass. The monotonic clock runs.
    pub now: SystemTime,
    /// The first state of the random number generator.
    pub seed: u64,
}

/// A wall clock that is stopped.
struct StoppedClock(SystemTime);

/// SplitMix64: small, and the same on every machine. No secret depends on it.
pub(crate) struct SplitMix(u64);

// === impl Fixed ===

impl Fixed {
    /// Replaces the clock and the random numbers of a component.
    pub(crate) fn apply(self, wasi: &mut WasiCtxBuilder) {
        wasi.wall_clock(StoppedClock(self.now))
            .secure_random(SplitMix(self.seed))
            .insecure_random(SplitMix(self.seed.wrapping_add(1)))
            .insecure_random_seed(self.seed.into());
    }
}

// === impl StoppedClock ===

impl HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0.duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

// === impl SplitMix ===

impl SplitMix {
    pub(crate) fn new(seed: u64) -> SplitMix {
        SplitMix(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl TryRng for SplitMix {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.next().to_le_bytes()[..piece.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_give_known_numbers() {
        let mut numbers = SplitMix(0);
        assert_eq!(numbers.next(), 0xe220_a839_7b1d_cdaf);
        let (mut some, mut same) = ([0; 11], [0; 11]);
        SplitMix(7).try_fill_bytes(&mut some).unwrap();
        SplitMix(7).try_fill_bytes(&mut same).unwrap();
        assert_eq!(some, same);
        assert_ne!(some, [0; 11]);
    }
}
