//! Where the clocks and the random numbers of a component come from.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use chacha20::ChaCha12Rng;
use rand_core::SeedableRng;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

use super::fixed::{Fixed, SplitMix};
use super::recorded_world::RecordedWorld;
use super::recorder::Recorder;
use landfall_model::Clock;
use landfall_model::recording::RandomSeeds;

/// The clocks and the random numbers of one attempt.
pub(crate) enum Sources {
    /// Those of the machine.
    Machine,
    /// Given ones.
    Fixed(Fixed),
    /// Those of the machine, and they are recorded.
    Recording(Recorder, Clock),
    /// The recorded ones. What the component reads of them is recorded again.
    Recorded(Arc<RecordedWorld>, Recorder),
}

/// A clock in milliseconds: enough for a handler, too coarse to measure the host.
struct CoarseClock(Instant);

/// The clocks of the machine, recorded.
struct RecordingWallClock(Recorder, Clock);
struct RecordingMonotonicClock(Recorder, CoarseClock);

/// The recorded clocks.
struct RecordedWallClock(Arc<RecordedWorld>, Recorder);
struct RecordedMonotonicClock(Arc<RecordedWorld>, Recorder);

// === impl Sources ===

impl Sources {
    /// Sets the clocks and the random numbers of a component.
    pub(crate) fn apply(&self, wasi: &mut WasiCtxBuilder) {
        let coarse = CoarseClock(Instant::now());
        match self {
            Sources::Machine => {
                wasi.monotonic_clock(coarse);
            }
            Sources::Fixed(fixed) => {
                wasi.monotonic_clock(coarse);
                fixed.apply(wasi);
            }
            Sources::Recording(recorder, clock) => {
                let seeds = fresh_seeds();
                recorder.random(seeds);
                apply_seeds(seeds, wasi);
                wasi.wall_clock(RecordingWallClock(recorder.clone(), *clock))
                    .monotonic_clock(RecordingMonotonicClock(recorder.clone(), coarse));
            }
            Sources::Recorded(world, recorder) => {
                let seeds = world.seeds();
                recorder.random(seeds);
                apply_seeds(seeds, wasi);
                wasi.wall_clock(RecordedWallClock(world.clone(), recorder.clone()))
                    .monotonic_clock(RecordedMonotonicClock(world.clone(), recorder.clone()));
            }
        }
    }
}

fn fresh_seeds() -> RandomSeeds {
    let number = || u64::from_le_bytes(landfall_model::random_bytes());
    RandomSeeds {
        secure: landfall_model::random_bytes(),
        insecure: number(),
        seed: (number(), number()),
    }
}

/// The numbers of the first generator cannot be guessed without its seed, as components expect of
/// `wasi:random/random`.
fn apply_seeds(seeds: RandomSeeds, wasi: &mut WasiCtxBuilder) {
    let (lower, upper) = seeds.seed;
    wasi.secure_random(ChaCha12Rng::from_seed(seeds.secure))
        .insecure_random(SplitMix::new(seeds.insecure))
        .insecure_random_seed(u128::from(lower) | (u128::from(upper) << 64));
}

// === impl CoarseClock ===

impl HostMonotonicClock for CoarseClock {
    fn resolution(&self) -> u64 {
        Duration::from_millis(1).as_nanos() as u64
    }

    fn now(&self) -> u64 {
        self.0.elapsed().as_millis() as u64 * self.resolution()
    }
}

// === impl RecordingWallClock ===

impl HostWallClock for RecordingWallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        let now = self.1.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.0.wall_clock(now.as_nanos() as u64);
        now
    }
}

// === impl RecordingMonotonicClock ===

impl HostMonotonicClock for RecordingMonotonicClock {
    fn resolution(&self) -> u64 {
        self.1.resolution()
    }

    fn now(&self) -> u64 {
        let now = self.1.now();
        self.0.monotonic_clock(now);
        now
    }
}

// === impl RecordedWallClock ===

impl HostWallClock for RecordedWallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        let now_ns = self.0.wall_clock_ns();
        self.1.wall_clock(now_ns);
        Duration::from_nanos(now_ns)
    }
}

// === impl RecordedMonotonicClock ===

impl HostMonotonicClock for RecordedMonotonicClock {
    fn resolution(&self) -> u64 {
        Duration::from_millis(1).as_nanos() as u64
    }

    fn now(&self) -> u64 {
        let now_ns = self.0.monotonic_ns();
        self.1.monotonic_clock(now_ns);
        now_ns
    }
}
