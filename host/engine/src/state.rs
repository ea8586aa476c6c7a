//! The state of one attempt: the content of its store. Each attempt has a fresh one.

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::caps::http::{Http, resource_bytes};
use super::caps::keyvalue;
use super::caps::log::{Log, SharedLines};
use super::caps::settings::Settings;
use super::caps::stdio::Stdio;
use super::caps::{Capabilities, HasCapabilities};
use super::environment::Resolved;
use super::limits::ResourceLimits;
use super::sources::Sources;
use landfall_model::{Effects, MemoryHold};

/// The most random bytes in one call.
const RANDOM_BYTES_MAX: u64 = 64 << 10;
/// The most bytes of the headers of one `wasi:http` message.
pub(crate) const FIELD_BYTES_MAX: usize = 32 << 10;
/// The most resources of one attempt: requests, responses, headers, streams, pollables.
const RESOURCES_MAX: usize = 2048;

/// The WASI of one attempt. It has a dozen parts, some with random seeds, and most handlers use
/// none of them: it is created when the component first calls a function of it.
struct LazyWasi {
    context: Option<Box<WasiCtx>>,
    lines: SharedLines,
    variables: Vec<(String, String)>,
    sources: Sources,
}

/// The contexts of all capabilities of one attempt.
pub(crate) struct AttemptState {
    wasi: LazyWasi,
    resources: ResourceTable,
    /// The memory that the resources occupy.
    resource_memory: MemoryHold,
    pub(crate) limits: ResourceLimits,
    pub(crate) log: Log,
    pub(crate) settings: Settings,
    pub(crate) http: Http,
    wasi_http: WasiHttpCtx,
    /// Those that need a grant.
    capabilities: Capabilities,
}

// === impl AttemptState ===

impl AttemptState {
    pub(crate) fn new(
        limits: ResourceLimits,
        environment: Resolved,
        sources: Sources,
        settings: Settings,
        http: Http,
        capabilities: Capabilities,
    ) -> AttemptState {
        let Resolved {
            variables,
            redactor,
        } = environment;
        let lines = SharedLines::new(limits.memory().clone(), redactor);
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(RESOURCES_MAX);

        AttemptState {
            wasi: LazyWasi {
                context: None,
                lines: lines.clone(),
                variables,
                sources,
            },
            resources,
            resource_memory: limits.memory().hold_nothing(),
            limits,
            log: Log::new(lines),
            settings,
            http,
            wasi_http: wasi_http(),
            capabilities,
        }
    }

    pub(crate) fn keyvalue(&mut self) -> keyvalue::View<'_> {
        keyvalue::View {
            kv: &mut self.capabilities.kv,
            resources: &mut self.resources,
        }
    }

    /// Counts what the resources occupy as memory of the attempt. wasmtime stores them without
    /// asking, so an attempt that exceeds its limit is stopped.
    pub(crate) fn count_resources(&mut self) {
        let bytes = resource_bytes(&mut self.resources);
        self.resource_memory.resize_or_overdraw(bytes);
    }

    /// The environment of the component.
    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.wasi.variables
    }

    /// The staged effects, at the end of the attempt.
    pub(crate) fn effects(&mut self) -> Effects {
        self.capabilities.effects()
    }
}

impl HasCapabilities for AttemptState {
    fn capabilities(&mut self) -> &mut Capabilities {
        &mut self.capabilities
    }
}

impl WasiView for AttemptState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: self.wasi.context(),
            table: &mut self.resources,
        }
    }
}

impl WasiHttpView for AttemptState {
    // wasmtime calls this for every host function of `wasi:http`.
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.count_resources();
        WasiHttpCtxView {
            hooks: &mut self.http,
            table: &mut self.resources,
            ctx: &mut self.wasi_http,
        }
    }
}

// === impl LazyWasi ===

impl LazyWasi {
    fn context(&mut self) -> &mut WasiCtx {
        self.context.get_or_insert_with(|| {
            let wasi = denying_wasi(&self.lines, &self.variables, &self.sources);
            Box::new(wasi)
        })
    }
}

fn wasi_http() -> WasiHttpCtx {
    let mut context = WasiHttpCtx::new();
    context.set_field_size_limit(FIELD_BYTES_MAX);
    context
}

/// WASI that grants only the hook's environment: no arguments, no files, no sockets, no name
/// lookup, coarse time.
fn denying_wasi(lines: &SharedLines, variables: &[(String, String)], sources: &Sources) -> WasiCtx {
    let mut wasi = WasiCtxBuilder::new();
    wasi.envs(variables)
        .stdout(Stdio::stdout(lines.clone()))
        .stderr(Stdio::stderr(lines.clone()))
        .max_random_size(RANDOM_BYTES_MAX)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    sources.apply(&mut wasi);
    wasi.build()
}
