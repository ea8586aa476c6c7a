//! The state of a component while its `init` runs. There is no event, no hook and no network: WASI
//! grants nothing, its clocks stand still, and its random numbers are those of the machine.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand_core::{Rng, TryRng};
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
};

use super::limits::InitLimits;
use crate::caps::log::{Log, SharedLines};
use crate::caps::stdio::Stdio;
use landfall_model::{ComponentLimits, MemoryBudget};

/// The time of day in `init`: 2000-01-01, seconds after 1970. A time that a component computes from
/// it is long past when the first event comes, not an hour later.
const NOW: Duration = Duration::from_secs(946_684_800);
/// The most random bytes in one call.
const RANDOM_BYTES_MAX: u64 = 64 << 10;
/// The most resources at a time.
const RESOURCES_MAX: usize = 2048;
/// More than a node allows by default: the node says what it does not allow.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;
/// The most instances, memories and tables. What instances occupy beside their memories is not
/// counted, so their number is limited.
const PARTS: ComponentLimits = ComponentLimits::DEFAULT;
/// The snapshotter adds an instance, which reads the others.
const READERS: usize = 1;
/// For the lines that are kept.
const LINE_MEMORY: usize = 1 << 20;

/// The content of the store.
pub(super) struct InitState {
    wasi: WasiCtx,
    pub(super) resources: ResourceTable,
    pub(super) limiter: Limiter,
    pub(super) log: Log,
    pub(super) read_environment: bool,
    took_random_numbers: Arc<AtomicBool>,
}

/// What all memories and tables together may use.
pub(super) struct Limiter {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    was_refused: bool,
}

/// Clocks that stand still.
struct StoppedClock;

/// The random numbers of the machine. Notes that some were taken.
struct NotedRandom {
    random: Box<dyn Rng + Send>,
    was_used: Arc<AtomicBool>,
}

// === impl InitState ===

impl InitState {
    pub(super) fn new(limits: InitLimits) -> InitState {
        let lines = SharedLines::new(MemoryBudget::new(LINE_MEMORY), Arc::default());
        let took_random_numbers = Arc::<AtomicBool>::default();
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(RESOURCES_MAX);

        InitState {
            wasi: wasi(&lines, &took_random_numbers),
            resources,
            limiter: Limiter::new(limits.memory_bytes),
            log: Log::new(lines),
            read_environment: false,
            took_random_numbers,
        }
    }

    /// A seed for `wasi:random/insecure-seed`, such as those of Rust's hash maps.
    pub(super) fn seed(&mut self) -> (u64, u64) {
        self.took_random_numbers.store(true, Ordering::Relaxed);
        let mut random = wasmtime_wasi::thread_rng();
        (random.next_u64(), random.next_u64())
    }

    pub(super) fn took_random_numbers(&self) -> bool {
        self.took_random_numbers.load(Ordering::Relaxed)
    }
}

impl WasiView for InitState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.resources,
        }
    }
}

fn wasi(lines: &SharedLines, took_random_numbers: &Arc<AtomicBool>) -> WasiCtx {
    WasiCtxBuilder::new()
        .stdout(Stdio::stdout(lines.clone()))
        .stderr(Stdio::stderr(lines.clone()))
        .wall_clock(StoppedClock)
        .monotonic_clock(StoppedClock)
        .secure_random(NotedRandom::new(took_random_numbers))
        .insecure_random(NotedRandom::new(took_random_numbers))
        .max_random_size(RANDOM_BYTES_MAX)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

// === impl Limiter ===

impl Limiter {
    fn new(memory_bytes_max: usize) -> Limiter {
        Limiter {
            memory_bytes: 0,
            memory_bytes_max,
            table_elements: 0,
            was_refused: false,
        }
    }

    /// The bytes of all memories.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Whether memory was refused.
    pub(super) fn was_refused(&self) -> bool {
        self.was_refused
    }

    /// The snapshotter appends a page to each memory, to read it.
    pub(super) fn lift(&mut self) {
        self.memory_bytes_max = usize::MAX;
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let bytes = self.memory_bytes.saturating_add(desired - current);
        let fits = bytes <= self.memory_bytes_max;
        if fits {
            self.memory_bytes = bytes;
        } else {
            self.was_refused = true;
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = self.table_elements.saturating_add(desired - current);
        let fits = elements <= TABLE_ELEMENTS_MAX;
        if fits {
            self.table_elements = elements;
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        PARTS.instances as usize + READERS
    }

    fn memories(&self) -> usize {
        PARTS.memories as usize
    }

    fn tables(&self) -> usize {
        PARTS.tables as usize
    }
}

// === impl StoppedClock ===

impl HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        NOW
    }
}

impl HostMonotonicClock for StoppedClock {
    fn resolution(&self) -> u64 {
        Duration::from_millis(1).as_nanos() as u64
    }

    // That of an event starts here too, so that no time passes backwards.
    fn now(&self) -> u64 {
        0
    }
}

// === impl NotedRandom ===

impl NotedRandom {
    fn new(was_used: &Arc<AtomicBool>) -> NotedRandom {
        NotedRandom {
            random: wasmtime_wasi::thread_rng(),
            was_used: was_used.clone(),
        }
    }

    fn noted(&mut self) -> &mut (dyn Rng + Send) {
        self.was_used.store(true, Ordering::Relaxed);
        &mut *self.random
    }
}

impl TryRng for NotedRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.noted().next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.noted().next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.noted().fill_bytes(bytes);
        Ok(())
    }
}
