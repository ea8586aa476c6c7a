//! A component that is linked for one hook: it runs each attempt in a fresh store, within a
//! wall-clock limit.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{ComponentExportIndex, InstancePre};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use super::attempt::{self, DeadlinePassed, MemoryOverdrawn};
use super::background::HandlerSchedule;
use super::bindings::{Hook, HookPre, Responder, ResponderPre};
use super::caps::Capabilities;
use super::caps::capability::AttemptContext;
use super::caps::http::{CallRecord, Caller, Http};
use super::caps::settings::Settings;
use super::component::Component;
use super::environment::{Environment, EnvironmentError, Resolved};
use super::guest_event::EventText;
use super::inspect::Inspected;
use super::limits::{self, ResourceLimits};
use super::load_error::LoadError;
use super::masking::{self, Masking};
use super::poll_budget::PollBudget;
use super::recorded_world::RecordedWorld;
use super::recorder::Recorder;
use super::recording::{Given, Unmasked};
use super::runtime::Runtime;
use super::sources::Sources;
use super::state::AttemptState;
use super::text::bounded;
use super::timeout::{TimedOut, timeout_at};
use super::{initialise, link, proxy, reply};
use landfall_egress::Client;
use landfall_flow::Shape;
use landfall_metrics::{HookMetrics, OutboundMetrics};
use landfall_model::{
    Attempt, CallResult, Event, Grants, HookSpec, MemoryBudget, OutboundCall, Outcome, RecordSpec,
    RecordedRun, Recording, Redact, Reply, Sizes, TRACEPARENT, TraceContext,
};

/// The bytes that a guest may pass to the host in one call.
const HOSTCALL_BYTES_MAX: usize = 16 << 20;
const HANDLES_MAX: usize = 1024;
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

/// What surrounds one attempt, and whether it is recorded.
struct World {
    recorder: Recorder,
    /// The attempt is recorded even if it ends as `done`.
    keeps_success: bool,
    /// The recording that answers the component. `None`: the world itself.
    recorded: Option<Arc<RecordedWorld>>,
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
        let pre: InstancePre<AttemptState> =
            linker.instantiate_pre(&component.code).map_err(mismatch)?;
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

    /// Runs an event on the recording of one of its attempts: outbound calls, `kv`, clocks, random
    /// numbers, settings and environment are the recorded ones, and no effect is applied. `event`
    /// is the stored event. The grants are those of this handler.
    pub async fn run_recorded(
        self: &Arc<Self>,
        event: &Event,
        recording: Arc<Recording>,
        limit: Duration,
    ) -> RecordedRun {
        let number = recording.attempt;
        let (world, recorded) = self.recorded_world(event, recording);
        let event = Arc::new(recorded.event(event));
        let attempt = self.run_in(world, event, number, limit).await;
        recorded_run(attempt, &recorded)
    }

    /// As `run_recorded`, in time that nothing else needs. Takes no permit: one runs at a time.
    pub async fn run_shadow(
        self: &Arc<Self>,
        event: &Event,
        recording: Arc<Recording>,
        limit: Duration,
    ) -> RecordedRun {
        let number = recording.attempt;
        let (world, recorded) = self.recorded_world(event, recording);
        let event = Arc::new(recorded.event(event));
        let budget = PollBudget::new(limit, self.runtime.slice);
        let attempt = self.clone().attempt(world, event, number, budget.clone());
        let attempt = Box::pin(attempt);
        let pool = &self.runtime.background;
        let attempt = pool.run_late(&self.schedule, &budget, attempt).await;
        recorded_run(attempt, &recorded)
    }

    /// Whether `[record]` of the hook keeps the recording of an attempt with this outcome.
    pub fn keeps_recording(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Done(_) => self.record.takes_success(chance),
            _ => self.record.failures || self.record.takes_success(chance),
        }
    }

    fn recorded_world(
        &self,
        event: &Event,
        recording: Arc<Recording>,
    ) -> (World, Arc<RecordedWorld>) {
        let masking = Masking::new(&[masking::placeholder()], self.redaction.clone());
        let settings = self.settings.table();
        let recorded = RecordedWorld::new(recording, event, settings, masking);
        let memory = self.runtime.recordings.clone().unwrap_or_default();
        let world = World {
            recorder: Recorder::new(&memory),
            keeps_success: true,
            recorded: Some(recorded.clone()),
        };
        (world, recorded)
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

    /// The world of an attempt of a node. That of a batch is not recorded: its recording would belong
    /// to one of its events.
    fn world(&self, event: &Event) -> World {
        if landfall_flow::is_batch(event) {
            return World::UNRECORDED;
        }

        let keeps_success = self.record.takes_success(chance);
        let memory = self.runtime.recordings.as_ref();
        let recorder = match memory.filter(|_| keeps_success || self.record.failures) {
            Some(memory) => Recorder::new(memory),
            None => Recorder::OFF,
        };
        World {
            recorder,
            keeps_success,
            recorded: None,
        }
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

        let mut store = self.store(Some(input.clone()), environment, budget, &world);
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
        let given = self.given(&store, event, number);
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

    /// The environment of the component.
    fn environment_in(&self, world: &World) -> Result<Resolved, EnvironmentError> {
        match &world.recorded {
            None => self.environment.resolve(),
            Some(recorded) => Ok(Resolved {
                variables: recorded.environment(),
                secrets: Arc::new([masking::placeholder()]),
            }),
        }
    }

    /// What the attempt in this store was given.
    fn given(&self, store: &Store<AttemptState>, event: Arc<Event>, number: u32) -> Given {
        let state = store.data();
        Given {
            event,
            number,
            component: self.inspected.digest.to_string(),
            settings: state.settings.table().clone(),
            environment: state.environment().to_vec(),
            secrets: state.log.lines().secrets(),
            redaction: self.redaction.clone(),
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

        let mut store = self.store(Some(event.clone()), environment, budget, &World::UNRECORDED);
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
        let mut store = self.store(None, environment, budget, &World::UNRECORDED);

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

    /// The trace that outbound calls pass on.
    fn trace_of(&self, event: &Event) -> Option<TraceContext> {
        if !self.runtime.passes_traces {
            return None;
        }
        event.attribute(TRACEPARENT).and_then(TraceContext::parse)
    }

    /// The clocks and the random numbers of the component.
    fn sources_in(&self, world: &World) -> Sources {
        let recorder = &world.recorder;
        match (&world.recorded, self.runtime.fixed) {
            (Some(recorded), _) => Sources::Recorded(recorded.clone(), recorder.clone()),
            (None, Some(fixed)) => Sources::Fixed(fixed),
            (None, None) if recorder.is_on() => {
                Sources::Recording(recorder.clone(), self.runtime.clock)
            }
            (None, None) => Sources::Machine,
        }
    }

    fn settings_in(&self, world: &World) -> Settings {
        match &world.recorded {
            None => self.settings.clone(),
            Some(recorded) => Settings::new(recorded.settings(self.settings.table())),
        }
    }

    fn store(
        &self,
        event: Option<Arc<Event>>,
        environment: Resolved,
        budget: Arc<PollBudget>,
        world: &World,
    ) -> Store<AttemptState> {
        let until = budget.until();
        let memory = MemoryBudget::new(self.sizes.memory);
        let trace = event.as_ref().and_then(|event| self.trace_of(event));
        let recorded = world.recorded.clone();
        let recorded = recorded.map(|recorded| recorded as Arc<dyn landfall_ledger::Kv>);
        let capabilities = Capabilities::new(&AttemptContext {
            hook: &self.hook,
            grants: &self.grants,
            memory: &memory,
            clock: self.runtime.clock,
            fixed: self.runtime.fixed,
            ledger: recorded.as_ref().or(self.runtime.ledger.as_ref()),
            recorder: &world.recorder,
            world: world.recorded.as_ref(),
        });
        let caller = Caller {
            client: self.client.clone(),
            world: world.recorded.clone(),
        };
        let metrics = match world.recorded {
            None => Some(self.outbound.clone()),
            Some(_) => None,
        };
        let record = CallRecord::new(metrics, until, world.recorder.clone());
        let state = AttemptState::new(
            ResourceLimits::new(memory.clone(), self.runtime.limits),
            environment,
            self.sources_in(world),
            self.settings_in(world),
            Http::new(caller, event, until, memory.clone(), record, trace),
            capabilities,
        );

        let mut store = Store::new(&self.runtime.wasm, state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX.max(self.sizes.max_body * 2));
        store.set_max_component_handles(HANDLES_MAX);

        // A guest that computes for long yields, so that it does not block a thread of the
        // executor.
        store.epoch_deadline_callback(move |mut store| {
            store.data_mut().count_resources();
            if Instant::now() >= until {
                Err(wasmtime::Error::new(DeadlinePassed))
            } else if memory.is_overdrawn() {
                Err(wasmtime::Error::new(MemoryOverdrawn))
            } else if budget.check_exceeded() {
                Ok(UpdateDeadline::Yield(1))
            } else {
                Ok(UpdateDeadline::Continue(1))
            }
        });
        store.set_epoch_deadline(1);
        store
    }
}

// === impl World ===

impl World {
    /// The world itself, of which nothing is recorded.
    const UNRECORDED: World = World {
        recorder: Recorder::OFF,
        keeps_success: false,
        recorded: None,
    };

    /// Whether the recording of an attempt with this outcome is kept.
    fn keeps(&self, outcome: &Outcome) -> bool {
        let is_success = matches!(outcome, Outcome::Done(_));
        self.recorder.is_on() && (self.keeps_success || !is_success)
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

/// The run of an attempt on a recording, masked.
fn recorded_run(attempt: Attempt, recorded: &RecordedWorld) -> RecordedRun {
    let recording = attempt.recording.map(|recording| recording.finish());
    RecordedRun {
        recording: recording.unwrap_or_default(),
        missing: recorded.missing(),
    }
}

/// `[redact]` of the hook, if it has any.
fn redaction_of(spec: &HookSpec) -> Option<Arc<dyn Redact>> {
    let redact = &spec.redact;
    (!redact.is_empty()).then(|| Arc::new(redact.clone()) as Arc<dyn Redact>)
}

/// A random number from 0 to 1, without 1.
fn chance() -> f64 {
    let number = u32::from_le_bytes(landfall_model::random_bytes());
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
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
