//! What lives as long as one attempt: the store's contents. Always a fresh one, always dropped.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{HostMonotonicClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::caps::http::Http;
use super::caps::log::{Lines, Log, Stdio};
use super::caps::settings::Settings;
use super::caps::table::Table;
use super::limits::Bounds;

/// Of random bytes in one call.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// One attempt's context for every capability.
pub struct State {
    wasi: WasiCtx,
    resources: ResourceTable,
    pub(super) bounds: Bounds,
    pub(super) log: Log,
    pub(super) settings: Settings,
    pub(super) http: Http,
    pub(super) table: Table,
}

// === impl State ===

impl State {
    pub(super) fn new(bounds: Bounds, settings: Settings, http: Http, table: Table) -> State {
        let lines = Arc::new(Mutex::new(Lines::default()));
        State {
            wasi: denying_wasi(&lines),
            resources: ResourceTable::new(),
            bounds,
            log: Log::new(lines),
            settings,
            http,
            table,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.resources }
    }
}

/// WASI with nothing behind it: no environment, no arguments, no files, no sockets, no names; coarse time.
fn denying_wasi(lines: &Arc<Mutex<Lines>>) -> WasiCtx {
    WasiCtxBuilder::new()
        .stdout(Stdio::new(lines.clone(), "info"))
        .stderr(Stdio::new(lines.clone(), "warn"))
        .monotonic_clock(CoarseClock(Instant::now()))
        .max_random_size(RANDOM_BYTES_MAX)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// Milliseconds: enough for any handler, too coarse to time the host by.
struct CoarseClock(Instant);

impl HostMonotonicClock for CoarseClock {
    fn resolution(&self) -> u64 {
        Duration::from_millis(1).as_nanos() as u64
    }

    fn now(&self) -> u64 {
        self.0.elapsed().as_millis() as u64 * self.resolution()
    }
}
