//! Made-up events, and a fake host for native tests. Each thread, and so each `#[test]`, has a host
//! of its own.
//!
//! ```
//! use landfall_sdk::{json, log, settings, testing};
//!
//! let host = testing::host().setting("branch", "main");
//! log::info(settings::get("branch").unwrap());
//! assert_eq!(host.logs(), ["info: main"]);
//!
//! let event = testing::post(json!({ "zen": "…" })).header("X-GitHub-Event", "ping").provider("github");
//! assert_eq!(event.build().provider.as_deref(), Some("github"));
//! ```

use crate::function::HandlerFn;
use crate::http::{HttpError, Request, Response};
use crate::{CapabilityError, Event, Failure, Payload, Reply};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::marker::PhantomData;

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

#[derive(Default)]
struct State {
    settings: Map<String, Value>,
    answers: Vec<Answer>,
    logs: Vec<String>,
    calls: Vec<Request>,
    /// The errors of capabilities that are refused, by name.
    refused: HashMap<&'static str, CapabilityError>,
    /// The fakes of capabilities that need a grant, by type.
    fakes: HashMap<TypeId, Box<dyn Any>>,
}

// === impl State ===

impl State {
    fn answer(&mut self, url: &str) -> Option<Result<Response, HttpError>> {
        let fits = |answer: &Answer| url.starts_with(&answer.url_prefix);
        let once = self
            .answers
            .iter()
            .position(|answer| answer.is_once && fits(answer));
        if let Some(at) = once {
            return Some(self.answers.remove(at).result);
        }

        let fitting = self.answers.iter().filter(|answer| fits(answer));
        let longest = fitting.max_by_key(|answer| answer.url_prefix.len())?;
        Some(longest.result.clone())
    }
}

/// What the fake host answers to calls.
struct Answer {
    url_prefix: String,
    result: Result<Response, HttpError>,
    is_once: bool,
}

/// Runs a handler on an event as the host would, and returns what the caller receives. The
/// function's arguments are read from the event and from the fake host.
///
/// ```
/// use landfall_sdk::{Failure, Json, Reply, Settings, json, serde_json::Value, testing};
///
/// fn on_push(Json(push): Json<Value>, Settings(settings): Settings<Value>) -> Result<String, Failure> {
///     Ok(format!("{} {}", push["ref"], settings["branch"]))
/// }
///
/// let host = testing::host().setting("branch", "main");
/// let reply = testing::run(on_push, testing::event(json!({ "ref": 1 })));
/// assert_eq!(reply, Ok(Some(Reply::text(200, "1 \"main\""))));
/// ```
pub fn run<A>(handler: impl HandlerFn<A>, event: Event) -> Result<Option<Reply>, Failure> {
    handler.call(event)
}

/// A new fake host for this thread. It has nothing of an earlier one.
pub fn host() -> Host {
    crate::facade::install();
    STATE.take();
    Host {
        _not_send: PhantomData,
    }
}

/// Compares the file `settings.schema.json` in `dir` with the schema of `T`. A different one is
/// written anew.
///
/// # Panics
///
/// If the file was written anew, or if it cannot be written.
#[cfg(not(target_arch = "wasm32"))]
pub fn settings_schema<T: schemars::JsonSchema>(dir: &str) {
    let mut schema = schemars::SchemaGenerator::default().into_root_schema_for::<T>();
    schema.remove("$schema");
    schema.remove("title");
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    assert!(
        !text.contains("\'\'\'"),
        "the schema has three quotes in a row: it cannot be in a manifest"
    );
    let path = std::path::Path::new(dir).join("settings.schema.json");
    if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return;
    }
    std::fs::write(&path, text).expect("the folder of the crate is writable");
    panic!(
        "{} was not that of the settings: it was written anew, run the tests again",
        path.display()
    );
}

/// The fake host of this thread. Without it, a handler finds no settings and each call is denied.
pub struct Host {
    _not_send: PhantomData<*const ()>,
}

impl Host {
    /// Sets one key of `[settings]`.
    ///
    /// # Panics
    ///
    /// If `value` cannot be JSON.
    #[must_use]
    pub fn setting(self, key: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("a setting is JSON");
        STATE.with_borrow_mut(|state| state.settings.insert(key.to_owned(), value));
        self
    }

    /// Answers every call whose URL starts with `url_prefix`. Answers that are given once come
    /// first; then the longest prefix wins, then the latest.
    #[must_use]
    pub fn answer(self, url_prefix: &str, status: u16, body: impl Into<Payload>) -> Self {
        self.answer_with(
            url_prefix,
            Response {
                status,
                headers: Vec::new(),
                body: body.into(),
            },
        )
    }

    /// As [`answer`](Self::answer), with headers.
    #[must_use]
    pub fn answer_with(self, url_prefix: &str, response: Response) -> Self {
        self.end_with(url_prefix, Ok(response))
    }

    /// Ends every call whose URL starts with `url_prefix` with this error.
    #[must_use]
    pub fn fail_with(self, url_prefix: &str, error: HttpError) -> Self {
        self.end_with(url_prefix, Err(error))
    }

    /// Answers the next call whose URL starts with `url_prefix`, and no later one. Several answers
    /// are given in their order.
    #[must_use]
    pub fn answer_once(self, url_prefix: &str, status: u16, body: impl Into<Payload>) -> Self {
        let response = Response {
            status,
            headers: Vec::new(),
            body: body.into(),
        };
        self.push(url_prefix, Ok(response), true)
    }

    /// Ends every call of a capability with this error: `kv`, `table` or `emit`. The fake host
    /// grants all of them otherwise.
    #[must_use]
    pub fn refuse(self, capability: &'static str, error: CapabilityError) -> Self {
        STATE.with_borrow_mut(|state| state.refused.insert(capability, error));
        self
    }

    fn end_with(self, url_prefix: &str, result: Result<Response, HttpError>) -> Self {
        self.push(url_prefix, result, false)
    }

    fn push(self, url_prefix: &str, result: Result<Response, HttpError>, is_once: bool) -> Self {
        let answer = Answer {
            url_prefix: url_prefix.to_owned(),
            result,
            is_once,
        };
        STATE.with_borrow_mut(|state| state.answers.push(answer));
        self
    }

    /// The lines so far: `info: hello`.
    pub fn logs(&self) -> Vec<String> {
        STATE.with_borrow(|state| state.logs.clone())
    }

    /// The requests sent so far, those denied among them.
    pub fn calls(&self) -> Vec<Request> {
        STATE.with_borrow(|state| state.calls.clone())
    }
}

/// The error of a capability that the test refuses.
pub(crate) fn allowed(capability: &str) -> Result<(), CapabilityError> {
    let refused = STATE.with_borrow(|state| state.refused.get(capability).cloned());
    refused.map_or(Ok(()), Err)
}

/// The state of a fake capability on this thread: its default after each [`host`]. No other
/// capability uses the type.
pub(crate) fn fake<S: Default + 'static, R>(work: impl FnOnce(&mut S) -> R) -> R {
    STATE.with_borrow_mut(|state| {
        let fake = state.fakes.entry(TypeId::of::<S>());
        let fake = fake.or_insert_with(|| Box::<S>::default());
        work(fake.downcast_mut().expect("the key is the type"))
    })
}

/// A `POST` with this JSON body.
pub fn event(body: Value) -> Event {
    post(body).build()
}

/// A `POST` with this JSON body, for more changes.
pub fn post(body: Value) -> EventBuilder {
    post_raw(body.to_string()).header("content-type", "application/json")
}

/// A `POST` with any body and no headers.
pub fn post_raw(body: impl Into<Payload>) -> EventBuilder {
    EventBuilder {
        event: Event {
            id: "019c1234-5678-7abc-8def-0123456789ab".into(),
            hook: "test".into(),
            attempt: 1,
            received_at: "2026-01-31T08:15:30.123Z".into(),
            provider: None,
            event_type: None,
            delivery_id: None,
            method: "POST".into(),
            path: "/test".into(),
            query: None,
            headers: Vec::new(),
            body: body.into(),
            attributes: vec![
                ("verified-by".into(), "none".into()),
                ("verified-by-scheme".into(), "none".into()),
            ],
        },
    }
}

/// Builds an event.
#[derive(Debug, Clone)]
pub struct EventBuilder {
    event: Event,
}

impl EventBuilder {
    /// Adds a header. Its name becomes lower case, as it does in the host.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.event
            .headers
            .push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Sets the provider: `github`.
    #[must_use]
    pub fn provider(mut self, provider: &str) -> Self {
        self.event.provider = Some(provider.to_owned());
        self
    }

    /// Sets the provider's name for this kind of event: `push`.
    #[must_use]
    pub fn event_type(mut self, event_type: &str) -> Self {
        self.event.event_type = Some(event_type.to_owned());
        self
    }

    /// Sets the provider's id of this delivery.
    #[must_use]
    pub fn delivery_id(mut self, delivery_id: &str) -> Self {
        self.event.delivery_id = Some(delivery_id.to_owned());
        self
    }

    /// Sets an attribute, such as `client-address`.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        let attributes = &mut self.event.attributes;
        attributes.retain(|(known, _)| known != name);
        attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a `{name}` segment of the path.
    #[must_use]
    pub fn param(self, name: &str, value: &str) -> Self {
        self.attribute(&format!("param:{name}"), value)
    }

    /// Sets the query, without its question mark.
    #[must_use]
    pub fn query(mut self, query: &str) -> Self {
        self.event.query = Some(query.to_owned());
        self
    }

    /// Sets the number of the attempt.
    #[must_use]
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.event.attempt = attempt;
        self
    }

    /// The event. Set its fields for what the builder has no function for.
    pub fn build(self) -> Event {
        self.event
    }
}

/// What `imports` is in a component.
pub(crate) mod imports {
    use super::*;
    use crate::log::Level;

    pub(crate) fn log(level: Level, text: &str) {
        let line = format!("{}: {text}", format!("{level:?}").to_lowercase());
        STATE.with_borrow_mut(|state| state.logs.push(line));
    }

    pub(crate) fn setting(key: &str) -> Option<String> {
        STATE.with_borrow(|state| match state.settings.get(key)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        })
    }

    pub(crate) fn settings() -> String {
        STATE.with_borrow(|state| json!(state.settings).to_string())
    }

    pub(crate) fn send(request: Request) -> Result<Response, HttpError> {
        STATE.with_borrow_mut(|state| {
            let result = state.answer(&request.url).unwrap_or_else(|| {
                Err(HttpError::Denied(format!(
                    "{} is not in [allow] http",
                    request.url
                )))
            });
            state.calls.push(request);
            result
        })
    }

    pub(crate) fn send_all(requests: Vec<Request>) -> Vec<Result<Response, HttpError>> {
        requests.into_iter().map(send).collect()
    }
}
