//! A component that is linked for one hook: it runs each attempt in a fresh store, within a
//! wall-clock limit.

mod recorded;
mod store;
mod surroundings;
mod world;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, InstancePre};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

pub use self::recorded::ShadowRun;
use self::world::World;
use super::attempt;
use super::background::HandlerSchedule;
use super::bindings::{Hook, HookPre, Responder, ResponderPre};
use super::cache::code::Cached;
use super::caps::settings::Settings;
use super::component::Component;
use super::environment::{Environment, EnvironmentError};
use super::guest_event::EventText;
use super::inspect::Inspected;
use super::limits;
use super::load_error::LoadError;
use super::poll_budget::PollBudget;
use super::recorded_world::RecordedWorld;
use super::recorder::Recorder;
use super::recording::Unmasked;
use super::runtime::Runtime;
use super::state::AttemptState;
use super::text::bounded;
use super::timeout::{TimedOut, timeout_at};
use super::{initialise, link, proxy, reply};
use landfall_egress::Client;
use landfall_flow::Shape;
use landfall_metrics::{HookMetrics, OutboundMetrics};
use landfall_model::{
    Attempt, CallResult, Event, Grants, HookSpec, OutboundCall, Outcome, RecordSpec, Redact, Reply,
    Sizes,
};

/// What wasmtime says of an interface or a function that is not in the linker.
const NOT_THERE: &str = "implementation is missing";
const PROBE_TIME_MAX: Duration = Duration::from_secs(5);

/// A component linked for one hook, ready to run its events.
pub struct Handler {
    runtime: Runtime,
    schedule: HandlerSchedule,
    export: Export,
    responder: Option<ResponderPre<AttemptState>>,
    /// Runs at the start of each event.
    init: Option<ComponentExportIndex>,
    inspected: Inspected,
    /// Shared with the other hooks as long as one of them keeps it.
    _loaded: Arc<Cached>,
    sizes: Sizes,
    /// The form in which the component receives events.
    shape: Shape,
    settings: Settings,
    environment: Environment,
    /// The attribute that a plain `wasi:http` component receives as its path.
    path_attribute: Option<String>,
    hook: Arc<str>,
    grants: Grants,
    record: RecordSpec,
    /// `[redact]` of the hook, which recordings obey.
    redaction: Option<Arc<dyn Redact>>,
    client: Arc<Client>,
    metrics: Arc<HookMetrics>,
    outbound: Arc<OutboundMetrics>,
}

/// The export that receives the events.
enum Export {
    /// `landfall:hook/handler`.
    Handler(HookPre<AttemptState>),
    /// `wasi:http/incoming-handler`.
    Proxy(ProxyPre<AttemptState>),
}

// === impl Handler ===

impl Handler {
    pub(crate) async fn prepare(
        runtime: &Runtime,
        component: &Component,
        spec: &HookSpec,
        sizes: Sizes,
        client: Arc<Client>,
        environment: Environment,
        metrics: Arc<HookMetrics>,
    ) -> Result<Handler, LoadError> {
        let inspected = component.inspected.clone();
        let mismatch = |error| mismatch(&inspected.file, &error);
        check_environment(&inspected, spec)?;

        let linker = link::linker(&runtime.wasm, component, &spec.allow)?;
        let pre: InstancePre<AttemptState> = linker
            .instantiate_pre(&component.loaded.code)
            .map_err(mismatch)?;
        let responder = if inspected.has_responder() {
            Some(ResponderPre::new(pre.clone()).map_err(mismatch)?)
        } else {
            None
        };
        let export = if inspected.is_proxy() {
            Export::Proxy(ProxyPre::new(pre).map_err(mismatch)?)
        } else {
            Export::Handler(HookPre::new(pre).map_err(mismatch)?)
        };

        let outbound = OutboundMetrics::new(metrics.clone(), &spec.allow.http);
        let handler = Handler {
            runtime: runtime.clone(),
            schedule: HandlerSchedule::new(),
            export,
            responder,
            init: initialise::init_of_each_event(component),
            inspected,
            _loaded: component.loaded.clone(),
            sizes,
            shape: Shape::of(&spec.flow, sizes.max_body),
            settings: Settings::new(spec.settings.clone()),
            environment,
            path_attribute: spec.strips.as_ref().map(|name| format!("param:{name}")),
            hook: spec.name.shared(),
            grants: spec.allow.capabilities.clone(),
            record: spec.record.clone(),
            redaction: redaction_of(spec),
            client,
            metrics,
            outbound: Arc::new(outbound),
        };
        handler.probe().await?;
        Ok(handler)
    }

    /// What the component's bytes say.
    pub fn component(&self) -> &Inspected {
        &self.inspected
    }

    /// The metrics of the hook.
    pub fn metrics(&self) -> &Arc<HookMetrics> {
        &self.metrics
    }

    /// Which attempts are recorded.
    pub fn record(&self) -> &RecordSpec {
        &self.record
    }

    /// Whether the component exports a `responder`.
    pub fn has_responder(&self) -> bool {
        self.responder.is_some()
    }

    /// Runs one event for at most `limit`. `number` counts the attempts, from 1. `[record]` of the
    /// hook says whether the attempt has a recording.
    pub async fn run(self: &Arc<Self>, event: Arc<Event>, number: u32, limit: Duration) -> Attempt {
        let world = self.world(&event);
        self.run_in(world, event, number, limit).await
    }

    /// As `run`, and the attempt has a recording, whatever `[record]` of the hook says.
    pub async fn run_and_record(
        self: &Arc<Self>,
        event: Arc<Event>,
        number: u32,
        limit: Duration,
    ) -> Attempt {
        let memory = self.runtime.recordings.clone().unwrap_or_default();
        let world = World {
            recorder: Recorder::new(&memory),
            keeps_success: true,
            recorded: None,
        };
        self.run_in(world, event, number, limit).await
    }

    async fn run_in(
        self: &Arc<Self>,
        world: World,
        event: Arc<Event>,
        number: u32,
        limit: Duration,
    ) -> Attempt {
        let budget = PollBudget::new(limit, self.runtime.slice);
        let attempt = self.clone().attempt(world, event, number, budget.clone());
        let attempt = Box::pin(attempt);
        self.runtime
            .background
            .run(&self.schedule, &budget, attempt)
            .await
    }

    /// The reply of the component's `responder`. `None` if it has none, if it wants the default
    /// answer, or if it failed or was too slow.
    pub async fn respond(self: &Arc<Self>, event: Arc<Event>, limit: Duration) -> Option<Reply> {
        let responder = self.responder.clone()?;
        let budget = PollBudget::new(limit, self.runtime.slice);
        let attempt = self
            .clone()
            .attempt_to_respond(responder, event.clone(), budget.clone());
        let attempt = Box::pin(attempt);
        let outcome = self
            .runtime
            .background
            .run(&self.schedule, &budget, attempt)
            .await;

        if let Outcome::Done(reply) = outcome {
            return reply;
        }
        let (outcome, reason) = (outcome.word(), outcome.reason());
        tracing::warn!(hook = &*event.hook, event = %event.id, outcome, reason, "the responder did not reply: the caller gets the default answer");
        None
    }

    async fn attempt(
        self: Arc<Self>,
        world: World,
        event: Arc<Event>,
        number: u32,
        budget: Arc<PollBudget>,
    ) -> Attempt {
        let (started, until) = (Instant::now(), budget.until());
        let environment = match self.environment_in(&world) {
            Ok(environment) => environment,
            Err(error) => return Attempt::of_host(retry(&error), started.elapsed()),
        };
        // A recording is of the event before `[transform]`: a run on it applies that again.
        let (input, refusal) = match self.shape.apply(&event) {
            Ok(input) => (input, None),
            Err(why) => (event.clone(), Some(why)),
        };

        let guest = self.runtime.ticker.guest();
        let mut store = self.store(&guest, Some(input.clone()), environment, budget, &world);
        let outcome = match refusal {
            Some(why) => Outcome::reject(why),
            None => {
                let recorded = world.recorded.as_ref();
                self.outcome_before(until, &mut store, &input, number, recorded)
                    .await
            }
        };
        let duration = started.elapsed();

        if !world.keeps(&outcome) {
            return attempt::record(outcome, duration, store);
        }
        let given = self.given(&store, &world, event, number);
        let mut attempt = attempt::record(outcome, duration, store);
        if let Some(parts) = world.recorder.close() {
            let recording = Unmasked::new(parts, given, &attempt);
            attempt.recording = Some(Box::new(recording));
        }
        attempt
    }

    /// Calls the component. The outcome, at this time at the latest.
    async fn outcome_before(
        &self,
        until: Instant,
        store: &mut Store<AttemptState>,
        event: &Event,
        number: u32,
        recorded: Option<&Arc<RecordedWorld>>,
    ) -> Outcome {
        let ended = {
            let call = pin!(self.call(store, event, number));
            match recorded {
                None => timeout_at(until, call).await,
                Some(recorded) => {
                    let call = pin!(recorded.until_deadline(call));
                    let ended = timeout_at(until, call).await;
                    ended.and_then(|ended| ended.ok_or(TimedOut))
                }
            }
        };
        match ended {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => attempt::outcome_of(&error, store.data()),
            Err(_) => Outcome::Timeout,
        }
    }

    async fn attempt_to_respond(
        self: Arc<Self>,
        responder: ResponderPre<AttemptState>,
        event: Arc<Event>,
        budget: Arc<PollBudget>,
    ) -> Outcome {
        let until = budget.until();
        let environment = match self.environment.resolve() {
            Ok(environment) => environment,
            Err(error) => return retry(&error),
        };

        let (guest, world) = (self.runtime.ticker.guest(), World::UNRECORDED);
        let mut store = self.store(&guest, Some(event.clone()), environment, budget, &world);
        store.data_mut().http.serve_responder();
        let ended = {
            let init = self.init.as_ref();
            let call = pin!(call_responder(&responder, &mut store, &event, init));
            timeout_at(until, call).await
        };
        let outcome = match ended {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => attempt::outcome_of(&error, store.data()),
            Err(_) => Outcome::Timeout,
        };

        log_failed_calls(&event, store.data().http.recorded());
        attempt::redact_outcome(outcome, &store)
    }

    async fn call(
        &self,
        store: &mut Store<AttemptState>,
        event: &Event,
        number: u32,
    ) -> wasmtime::Result<Outcome> {
        let init = self.init.as_ref();
        let pre = match &self.export {
            Export::Handler(pre) => pre,
            Export::Proxy(pre) => {
                let path = self
                    .path_attribute
                    .as_deref()
                    .and_then(|name| event.attribute(name));
                return proxy::call(pre, init, store, event, number, path).await;
            }
        };

        let instance = match init {
            None => pre.instantiate_async(&mut *store).await?,
            Some(init) => {
                let pre = pre.instance_pre();
                let instance = Box::pin(initialise::instantiate(pre, store, init)).await?;
                Hook::new(&mut *store, &instance)?
            }
        };
        let text = EventText::new(event);
        let (headers, attributes) = (text.headers(), text.attributes());
        let answer = instance
            .landfall_hook_handler()
            .call_handle(store, text.event(number, &headers, &attributes))
            .await?;
        Ok(reply::outcome(answer))
    }

    /// Creates one instance, since some mismatches of the exports only show then.
    async fn probe(&self) -> Result<(), LoadError> {
        let file = &self.inspected.file;
        let environment = self.environment.resolve_present();
        let budget = PollBudget::new(PROBE_TIME_MAX, self.runtime.slice);
        let guest = self.runtime.ticker.guest();
        let mut store = self.store(&guest, None, environment, budget, &World::UNRECORDED);

        let instantiate = self.export.instantiate(&mut store);
        match tokio::time::timeout(PROBE_TIME_MAX, instantiate).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.probe_error(&error, store.data())),
            Err(_) => Err(too_slow(file)),
        }
    }

    fn probe_error(&self, error: &wasmtime::Error, state: &AttemptState) -> LoadError {
        let file = &self.inspected.file;

        if state.limits.is_out_of_memory() {
            let memory = bytesize::ByteSize(self.sizes.memory as u64).display().iec();
            let message = format!("needs more memory than [limits] memory = {memory}: raise it");
            LoadError::lasting(file, message)
        } else if attempt::is_pool_full(error) {
            LoadError::passing(file, format!("cannot be tried: {error:#}"))
        } else if attempt::is_deadline(error) {
            too_slow(file)
        } else if error.is::<wasmtime::Trap>() {
            let trap = attempt::trap_reason(error, state);
            LoadError::lasting(file, format!("traps when it is started: {trap}"))
        } else {
            mismatch(file, error)
        }
    }
}

// === impl Export ===

impl Export {
    async fn instantiate(&self, store: &mut Store<AttemptState>) -> wasmtime::Result<()> {
        match self {
            Export::Handler(pre) => pre.instantiate_async(store).await.map(drop),
            Export::Proxy(pre) => pre.instantiate_async(store).await.map(drop),
        }
    }
}

async fn call_responder(
    responder: &ResponderPre<AttemptState>,
    store: &mut Store<AttemptState>,
    event: &Event,
    init: Option<&ComponentExportIndex>,
) -> wasmtime::Result<Outcome> {
    let instance = match init {
        None => responder.instantiate_async(&mut *store).await?,
        Some(init) => {
            let pre = responder.instance_pre();
            let instance = Box::pin(initialise::instantiate(pre, store, init)).await?;
            Responder::new(&mut *store, &instance)?
        }
    };
    let text = EventText::new(event);
    let (headers, attributes) = (text.headers(), text.attributes());
    let answer = instance
        .landfall_hook_responder()
        .call_respond(store, text.event(1, &headers, &attributes))
        .await?;
    Ok(reply::responder_outcome(answer))
}

/// A component that keeps its environment has the one of `init`, which is empty.
fn check_environment(inspected: &Inspected, spec: &HookSpec) -> Result<(), LoadError> {
    let init = inspected.init.as_ref();
    let report = init.and_then(|init| init.report.as_ref());
    if spec.environment.is_empty() || !report.is_some_and(|report| report.hides_environment()) {
        return Ok(());
    }

    let message = "has an init that read the environment, so that its snapshot has an empty one and the variables of \
        [environment] would not reach it: remove [environment], or the init (in Python, each init reads it)";
    Err(LoadError::lasting(&inspected.file, message))
}

/// `[redact]` of the hook, if it has any.
fn redaction_of(spec: &HookSpec) -> Option<Arc<dyn Redact>> {
    let redact = &spec.redact;
    (!redact.is_empty()).then(|| Arc::new(redact.clone()) as Arc<dyn Redact>)
}

fn retry(error: &EnvironmentError) -> Outcome {
    Outcome::Retry {
        reason: error.to_string(),
        after: None,
    }
}

/// A responder leaves no attempt in the ledger: the log is the only record of its failed calls.
fn log_failed_calls(event: &Event, calls: Vec<OutboundCall>) {
    for call in calls {
        let CallResult::Failed { error, reason } = call.result else {
            continue;
        };
        let (method, url) = (call.method, call.url);
        let repeated = (call.repeated > 0).then_some(call.repeated);
        tracing::warn!(hook = &*event.hook, event = %event.id, method, url, error, reason, repeated, "outbound call failed");
    }
}

fn too_slow(file: &str) -> LoadError {
    let seconds = PROBE_TIME_MAX.as_secs();
    LoadError::passing(file, format!("does not start within {seconds} s"))
}

fn mismatch(file: &str, error: &wasmtime::Error) -> LoadError {
    let error = bounded(&format!("{error:#}"));
    limits::too_many_parts(file, &error).unwrap_or_else(|| {
        let message = if error.contains(NOT_THERE) {
            format!(
                "imports what this host does not have: {error}; build it against wit/ of this version, or run a newer host"
            )
        } else {
            format!(
                "does not fit the contract of this host: {error}; rebuild it against the wit/ of this version"
            )
        };
        LoadError::lasting(file, message)
    })
}
