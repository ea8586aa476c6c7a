//! What lives as long as one attempt: the store's contents. Always a fresh one, always dropped.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{HostMonotonicClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::caps::emit::Emit;
use super::caps::http::Http;
use super::caps::kv::Kv;
use super::caps::log::{Lines, Log, Stdio};
use super::caps::settings::Settings;
use super::caps::table::Table;
use super::environment::Resolved;
use super::limits::Bounds;
use landfall_model::Effects;

/// Of random bytes in one call.
const RANDOM_BYTES_MAX: u64 = 64 << 10;
/// Of the headers of one message of `wasi:http`.
const FIELD_BYTES_MAX: usize = 32 << 10;

/// One attempt's context for every capability.
pub struct State {
    wasi: WasiCtx,
    resources: ResourceTable,
    pub(super) bounds: Bounds,
    pub(super) log: Log,
    pub(super) settings: Settings,
    pub(super) http: Http,
    wasi_http: WasiHttpCtx,
    pub(super) table: Table,
    pub(super) kv: Kv,
    pub(super) emit: Emit,
}

// === impl State ===

impl State {
    pub(super) fn new(
        bounds: Bounds,
        environment: Resolved,
        settings: Settings,
        http: Http,
        table: Table,
        kv: Kv,
        emit: Emit,
    ) -> State {
        let Resolved { variables, secrets } = environment;
        let lines = Arc::new(Mutex::new(Lines::new(bounds.memory().clone(), secrets)));
        State {
            wasi: denying_wasi(&lines, &variables),
            resources: ResourceTable::new(),
            bounds,
            log: Log::new(lines),
            settings,
            http,
            wasi_http: wasi_http(),
            table,
            kv,
            emit,
        }
    }

    pub(super) fn kv_and_resources(&mut self) -> (&mut Kv, &mut ResourceTable) {
        (&mut self.kv, &mut self.resources)
    }

    /// What was staged, at the end of the attempt.
    pub(super) fn effects(&mut self) -> Effects {
        let mut effects = Effects {
            rows: self.table.take(),
            emissions: self.emit.take(),
            ..Effects::default()
        };
        self.kv.take(&mut effects);
        effects
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.resources,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.http,
            table: &mut self.resources,
            ctx: &mut self.wasi_http,
        }
    }
}

fn wasi_http() -> WasiHttpCtx {
    let mut context = WasiHttpCtx::new();
    context.set_field_size_limit(FIELD_BYTES_MAX);
    context
}

/// WASI with nothing behind it but the hook's environment: no arguments, no files, no sockets, no names; coarse time.
fn denying_wasi(lines: &Arc<Mutex<Lines>>, variables: &[(String, String)]) -> WasiCtx {
    WasiCtxBuilder::new()
        .envs(variables)
        .stdout(Stdio::stdout(lines.clone()))
        .stderr(Stdio::stderr(lines.clone()))
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
