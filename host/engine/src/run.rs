//! One attempt: a fresh store, one call, one outcome. Bounded by the wall clock whether the guest computes or waits.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::InstancePre;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use super::bindings::{GuestEvent, HookPre, PayloadParam, ResponderPre};
use super::caps::emit::Emit;
use super::caps::http::{ANSWER_BYTES_MAX, Http};
use super::caps::kv::Kv;
use super::caps::settings::Settings;
use super::caps::table::Table;
use super::component::Component;
use super::environment::{Environment, Resolved};
use super::inspect::{Inspected, LoadError};
use super::lane::{Habit, Lane, Pace};
use super::limits::Bounds;
use super::settings::ComponentLimits;
use super::state::State;
use super::{Engine, limits, link, proxy, reply};
use landfall_egress::Client;
use landfall_model::{
    Attempt, CallResult, Event, HookSpec, MemoryBudget, OutboundCall, Outcome, Reply, Sizes,
};

/// Bytes that a guest may hand to the host in one call.
const HOSTCALL_BYTES_MAX: usize = 16 << 20;
const HANDLES_MAX: usize = 1024;
const PROBE_TIME_MAX: Duration = Duration::from_secs(5);

/// A component linked for one hook, ready to run its events.
pub struct Handler {
    engine: wasmtime::Engine,
    limits: ComponentLimits,
    lane: Arc<Lane>,
    habit: Habit,
    export: Export,
    responder: Option<ResponderPre<State>>,
    inspected: Inspected,
    sizes: Sizes,
    settings: Settings,
    environment: Environment,
    /// The attribute that a plain `wasi:http` component gets as its path.
    path_attribute: Option<String>,
    hook: Arc<str>,
    tables: Arc<[String]>,
    emits: Arc<[String]>,
    client: Arc<Client>,
    ledger: Option<Arc<dyn landfall_ledger::Kv>>,
}

/// What takes the events.
enum Export {
    /// `landfall:hook/handler`.
    Handler(HookPre<State>),
    /// `wasi:http/incoming-handler`.
    Proxy(ProxyPre<State>),
}

/// The guest was still running at its deadline.
#[derive(Debug, thiserror::Error)]
#[error("still running at its deadline")]
struct DeadlinePassed;

/// The host holds more for the guest than its memory limit, in streams that it could not refuse.
#[derive(Debug, thiserror::Error)]
#[error("over its memory limit")]
struct MemoryOverdrawn;

// === impl Handler ===

impl Handler {
    pub(super) async fn prepare(
        host: &Engine,
        component: &Component,
        spec: &HookSpec,
        sizes: Sizes,
        client: Arc<Client>,
        environment: Environment,
    ) -> Result<Handler, LoadError> {
        let engine = &host.wasm;
        let file = &component.inspected.file;
        let linker = link::linker(engine, component, &spec.allow)?;
        let fits = |error| mismatch(file, &error);
        let pre: InstancePre<State> = linker.instantiate_pre(&component.code).map_err(fits)?;
        let responder = match component.inspected.has_responder() {
            true => Some(ResponderPre::new(pre.clone()).map_err(fits)?),
            false => None,
        };
        let export = match component.inspected.is_proxy() {
            true => Export::Proxy(ProxyPre::new(pre).map_err(fits)?),
            false => Export::Handler(HookPre::new(pre).map_err(fits)?),
        };
        let handler = Handler {
            engine: engine.clone(),
            limits: host.limits,
            lane: host.lane.clone(),
            habit: Habit::new(),
            export,
            responder,
            inspected: component.inspected.clone(),
            sizes,
            settings: Settings::new(spec.settings.clone()),
            environment,
            path_attribute: spec.strips.as_ref().map(|name| format!("param:{name}")),
            hook: spec.name.shared(),
            tables: spec.allow.table.clone().into(),
            emits: spec.allow.emit.iter().map(ToString::to_string).collect(),
            client,
            ledger: host.ledger.clone(),
        };
        handler.probe().await?;
        Ok(handler)
    }

    /// What the component's bytes say.
    pub fn component(&self) -> &Inspected {
        &self.inspected
    }

    /// Runs one event for at most `limit`. `number` counts the attempts, from 1.
    pub async fn run(self: &Arc<Self>, event: Arc<Event>, number: u32, limit: Duration) -> Attempt {
        let (handler, pace) = (self.clone(), Pace::new(limit));
        let its_pace = pace.clone();
        let attempt = async move {
            let started = Instant::now();
            let environment = match handler.environment.resolve() {
                Ok(environment) => environment,
                Err(reason) => {
                    return Attempt::of_host(
                        Outcome::Retry {
                            reason,
                            after: None,
                        },
                        started.elapsed(),
                    );
                }
            };
            let mut store = handler.store(Some(event.clone()), environment, its_pace);
            let outcome =
                match tokio::time::timeout(limit, handler.call(&mut store, &event, number)).await {
                    Ok(Ok(outcome)) => outcome,
                    Ok(Err(error)) => broken(&error, store.data()),
                    Err(_) => Outcome::Timeout,
                };
            record(outcome, started.elapsed(), store)
        };
        self.lane.run(&self.habit, &pace, attempt).await
    }

    /// Whether the component has a quick answer.
    pub fn has_responder(&self) -> bool {
        self.responder.is_some()
    }

    /// The quick answer of a component that has one; none where it has not, or it did not come to one in time.
    pub async fn respond(self: &Arc<Self>, event: Arc<Event>, limit: Duration) -> Option<Reply> {
        let responder = self.responder.clone()?;
        let (handler, pace, its_event) = (self.clone(), Pace::new(limit), event.clone());
        let its_pace = pace.clone();
        let attempt = async move {
            let event = &*its_event;
            let environment = match handler.environment.resolve() {
                Ok(environment) => environment,
                Err(reason) => {
                    return Outcome::Retry {
                        reason,
                        after: None,
                    };
                }
            };
            let mut store = handler.store(Some(its_event.clone()), environment, its_pace);
            let call = async {
                let instance = responder.instantiate_async(&mut store).await?;
                let (texts, responder) = (Texts::of(event), instance.landfall_hook_responder());
                let (headers, attributes) = (texts.headers(), texts.attributes(event));
                responder
                    .call_respond(&mut store, texts.event(event, 1, &headers, &attributes))
                    .await
            };
            let outcome = match tokio::time::timeout(limit, call).await {
                Ok(Ok(answer)) => reply::outcome(answer),
                Ok(Err(error)) => broken(&error, store.data()),
                Err(_) => Outcome::Timeout,
            };
            for OutboundCall {
                method,
                url,
                result,
                ..
            } in store.data().http.recorded()
            {
                let CallResult::Failed { error, reason } = result else {
                    continue;
                };
                tracing::warn!(hook = &*event.hook, event = %event.id, method, url, error, reason, "outbound call failed");
            }
            redacted(outcome, &store)
        };
        let outcome = self.lane.run(&self.habit, &pace, attempt).await;
        if let Outcome::Done(reply) = outcome {
            return Some(reply);
        }
        let (word, reason) = (outcome.word(), outcome.reason());
        tracing::warn!(hook = &*event.hook, event = %event.id, word, reason, "no quick answer: the usual one is given");
        None
    }

    async fn call(
        &self,
        store: &mut Store<State>,
        event: &Event,
        number: u32,
    ) -> wasmtime::Result<Outcome> {
        let pre = match &self.export {
            Export::Handler(pre) => pre,
            Export::Proxy(pre) => {
                let path = self
                    .path_attribute
                    .as_deref()
                    .and_then(|name| event.attribute(name));
                return proxy::call(pre, store, event, number, path).await;
            }
        };
        let instance = pre.instantiate_async(&mut *store).await?;
        let texts = Texts::of(event);
        let (headers, attributes) = (texts.headers(), texts.attributes(event));
        let event = texts.event(event, number, &headers, &attributes);
        Ok(reply::outcome(
            instance
                .landfall_hook_handler()
                .call_handle(store, event)
                .await?,
        ))
    }

    /// Export mismatches show only when an instance is made.
    async fn probe(&self) -> Result<(), LoadError> {
        let file = &self.inspected.file;
        let mut store = self.store(
            None,
            self.environment.resolve_present(),
            Pace::new(PROBE_TIME_MAX),
        );
        match tokio::time::timeout(PROBE_TIME_MAX, self.export.instantiate(&mut store)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) if store.data().bounds.is_out_of_memory() => Err(LoadError::lasting(
                file,
                format!(
                    "needs more memory than [limits] memory = {}: raise it",
                    bytesize::ByteSize(self.sizes.memory as u64).display().iec()
                ),
            )),
            Ok(Err(error)) if is_no_place(&error) => Err(LoadError::passing(
                file,
                format!("cannot be tried: {error:#}"),
            )),
            Ok(Err(error)) if is_deadline(&error) => Err(too_slow(file)),
            Ok(Err(error)) if error.downcast_ref::<wasmtime::Trap>().is_some() => {
                let trap =
                    with_last_words(&error, reply::bounded(&format!("{error:#}")), store.data());
                Err(LoadError::lasting(
                    file,
                    format!("traps when it is started: {trap}"),
                ))
            }
            Ok(Err(error)) => Err(mismatch(file, &error)),
            Err(_) => Err(too_slow(file)),
        }
    }

    fn store(
        &self,
        event: Option<Arc<Event>>,
        environment: Resolved,
        pace: Arc<Pace>,
    ) -> Store<State> {
        let until = pace.until();
        let memory = MemoryBudget::new(self.sizes.memory);
        let state = State::new(
            Bounds::new(memory.clone(), self.limits),
            environment,
            self.settings.clone(),
            Http::new(self.client.clone(), event, until, memory.clone()),
            Table::new(self.tables.clone(), memory.clone()),
            Kv::new(self.hook.clone(), self.ledger.clone(), memory.clone()),
            Emit::new(self.emits.clone(), memory.clone()),
        );
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.bounds);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX.max(self.sizes.max_body * 2));
        store.set_max_component_handles(HANDLES_MAX);
        // A guest that computes gives way, so that it holds no thread of the executor.
        store.epoch_deadline_callback(move |_| match Instant::now() < until {
            true if memory.is_overdrawn() => Err(wasmtime::Error::new(MemoryOverdrawn)),
            true if pace.is_over() => Ok(UpdateDeadline::Yield(1)),
            true => Ok(UpdateDeadline::Continue(1)),
            false => Err(wasmtime::Error::new(DeadlinePassed)),
        });
        store.set_epoch_deadline(1);
        store
    }
}

// === impl Export ===

impl Export {
    async fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<()> {
        match self {
            Export::Handler(pre) => pre.instantiate_async(store).await.map(drop),
            Export::Proxy(pre) => pre.instantiate_async(store).await.map(drop),
        }
    }
}

fn too_slow(file: &str) -> LoadError {
    LoadError::passing(
        file,
        format!("does not start within {} s", PROBE_TIME_MAX.as_secs()),
    )
}

fn is_deadline(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<DeadlinePassed>().is_some()
}

fn is_no_place(error: &wasmtime::Error) -> bool {
    error
        .downcast_ref::<wasmtime::PoolConcurrencyLimitError>()
        .is_some()
}

fn mismatch(file: &str, error: &wasmtime::Error) -> LoadError {
    let error = reply::bounded(&format!("{error:#}"));
    limits::too_many_parts(file, &error).unwrap_or_else(|| {
        let way_out = "rebuild it against the wit/ of this version";
        LoadError::lasting(
            file,
            format!("does not fit landfall:hook@0.1 of this host: {error}; {way_out}"),
        )
    })
}

/// What a failed call amounts to.
fn broken(error: &wasmtime::Error, state: &State) -> Outcome {
    let text = reply::bounded(&format!("{error:#}"));
    if is_deadline(error) {
        Outcome::Timeout
    } else if state.bounds.is_out_of_memory() {
        Outcome::OutOfMemory
    } else if is_no_place(error) {
        Outcome::HostFault(text)
    } else if text.contains("fuel allocated for hostcalls") || text.contains("resource table") {
        Outcome::OverLimit(text)
    } else {
        Outcome::Trap(with_last_words(error, text, state))
    }
}

/// A trap with what the guest wrote to standard error: the trap of a panic or of an exception says nothing by itself.
fn with_last_words(error: &wasmtime::Error, text: String, state: &State) -> String {
    match state.log.lines().last_words() {
        Some(words) => reply::bounded(&format!("{words}\n{}", error.root_cause())),
        None => text,
    }
}

/// The outcome without the secrets of the component's environment in what is recorded of it.
fn redacted(mut outcome: Outcome, store: &Store<State>) -> Outcome {
    let lines = store.data().log.lines();
    if let Some(reason) = outcome.reason_mut() {
        *reason = lines.redacted(reason).into_owned();
    }
    outcome
}

fn redacted_call(mut call: OutboundCall, store: &Store<State>) -> OutboundCall {
    let lines = store.data().log.lines();
    call.url = lines.redacted(&call.url).into_owned();
    match &mut call.result {
        CallResult::Answered { beginning, .. } => {
            *beginning = lines.redacted(beginning).into_owned();
            beginning.truncate(beginning.floor_char_boundary(ANSWER_BYTES_MAX));
        }
        CallResult::Failed { reason, .. } => *reason = lines.redacted(reason).into_owned(),
    }
    call
}

fn record(outcome: Outcome, duration: Duration, mut store: Store<State>) -> Attempt {
    let effects = store.data_mut().effects();
    let staged = (
        effects.rows.len(),
        effects.writes.len(),
        effects.emissions.len(),
    );
    let (memory_peak_bytes, http_calls) = (
        store.data().bounds.memory().peak(),
        store.data().http.calls(),
    );
    let calls = store.data().http.recorded();
    let calls = calls
        .into_iter()
        .map(|call| redacted_call(call, &store))
        .collect();
    let outcome = redacted(outcome, &store);
    let State { log, .. } = store.into_data();
    let (log, log_truncated) = log.lines().take();
    Attempt {
        outcome,
        duration,
        log,
        log_truncated,
        memory_peak_bytes,
        http_calls,
        calls,
        staged,
        effects,
    }
}

/// The parts of an event that are not text already, as text.
struct Texts<'a> {
    id: String,
    received_at: String,
    headers: Vec<(&'a str, Cow<'a, str>)>,
}

// === impl Texts ===

impl<'a> Texts<'a> {
    fn of(event: &'a Event) -> Texts<'a> {
        let headers = event
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())));
        Texts {
            id: event.id.to_string(),
            received_at: humantime::format_rfc3339_millis(event.received_at).to_string(),
            headers: headers.collect(),
        }
    }

    fn event<'b>(
        &'b self,
        event: &'b Event,
        number: u32,
        headers: &'b [(&'b str, &'b str)],
        attributes: &'b [(&'b str, &'b str)],
    ) -> GuestEvent<'b> {
        GuestEvent {
            id: &self.id,
            hook: &event.hook,
            attempt: number,
            received_at: &self.received_at,
            method: event.method.as_str(),
            path: &event.path,
            query: event.query.as_deref(),
            headers,
            body: match std::str::from_utf8(&event.body) {
                Ok(text) => PayloadParam::Text(text),
                Err(_) => PayloadParam::Binary(&event.body),
            },
            attributes,
        }
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect()
    }

    fn attributes(&self, event: &'a Event) -> Vec<(&str, &str)> {
        event
            .attributes
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect()
    }
}
