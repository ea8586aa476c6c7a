//! The SDK for Landfall handlers in Rust.
//!
//! A handler is one function: an [`Event`] in, and a [`Reply`], nothing or a [`Failure`] out.
//! Landfall has checked who sent the request, and runs the function in a fresh sandbox for each
//! event. This is a whole component:
//!
//! ```
//! use landfall_sdk::{Event, Failure, handler, log};
//!
//! #[handler]
//! fn on_event(event: Event) -> Result<(), Failure> {
//!     let provider = event.provider.as_deref().unwrap_or("unknown");
//!     log::info(format!("{} bytes from {provider}", event.bytes().len()));
//!     Ok(())
//! }
//! ```
//!
//! Its `Cargo.toml` has `crate-type = ["cdylib", "rlib"]`. `landfall build`, or `cargo build
//! --release --target wasm32-wasip2`, makes the `.wasm` file for the plugins directory. A crate for
//! `wasm32-unknown-unknown` needs the linker `wasm-component-ld` in cargo's configuration, which
//! `landfall new` writes.
//!
//! # What the caller receives
//!
//! `Ok` means that the event is done: what the handler staged is kept, whatever the status of the
//! reply is. The caller receives the reply if it still waits. `()` and `None` are the answer that
//! the provider takes for success: only the host knows which status that is. Return a [`Reply`],
//! [`Json<T>`] or text only if the caller reads it.
//!
//! # JSON in and out
//!
//! Take [`Json<T>`] instead of the event to get the body as a type of yours. Return it to answer
//! with one. A body that does not fit is a [`Failure::Reject`] before the handler runs; its reason
//! names the place: `commits[0].id`.
//!
//! ```
//! use landfall_sdk::{Failure, Json, handler, serde::{Deserialize, Serialize}};
//!
//! #[derive(Deserialize)]
//! #[serde(crate = "landfall_sdk::serde")]
//! struct Push { r#ref: String }
//!
//! #[derive(Serialize)]
//! #[serde(crate = "landfall_sdk::serde")]
//! struct Seen { branch: String }
//!
//! #[handler]
//! fn on_push(Json(push): Json<Push>) -> Result<Json<Seen>, Failure> {
//!     let branch = push.r#ref.strip_prefix("refs/heads/").ok_or_else(|| Failure::reject("not a branch"))?;
//!     Ok(Json(Seen { branch: branch.to_owned() }))
//! }
//! ```
//!
//! A handler takes up to four arguments: the event, its body, the settings, a type of
//! [`providers`]. The first one that the event or the settings do not fit ends the attempt.
//!
//! ```
//! use landfall_sdk::{Event, Failure, Json, Settings, handler, log, serde::Deserialize};
//!
//! #[derive(Deserialize)]
//! #[serde(crate = "landfall_sdk::serde")]
//! struct Push { r#ref: String }
//!
//! #[derive(Deserialize)]
//! #[serde(crate = "landfall_sdk::serde")]
//! struct Deploy { branch: String }
//!
//! #[handler]
//! fn on_push(event: Event, Json(push): Json<Push>, Settings(deploy): Settings<Deploy>) -> Result<(), Failure> {
//!     if push.r#ref == format!("refs/heads/{}", deploy.branch) {
//!         log::info(format!("{} deploys {}", event.id, deploy.branch));
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Failures
//!
//! | failure | meaning | what the host does |
//! |---|---|---|
//! | [`Failure::retry`] | something outside failed | runs the event again, as often as `[retry] attempts` says |
//! | [`Failure::defer`] | something that the event needs is not there yet | runs it again without counting the attempt, for at most `[retry] max_age` |
//! | [`Failure::reject`] | the event can never succeed | the event is dead at once; the caller receives 422 or your reply |
//!
//! After each of them, nothing that the handler staged is kept. The reasons are for the operator;
//! the caller never sees them. `?` on any error is a retry, also on `anyhow::Error`, `Box<dyn
//! Error>` and text; `map_err(Failure::reject)` makes a rejection of it. The reason has the error
//! and all its sources: `no deploy: no connection: refused`.
//!
//! ```
//! use landfall_sdk::{Event, Failure, Reply, json};
//!
//! fn amount(event: &Event) -> Result<u32, Failure> {
//!     let text = event.text().ok_or_else(|| Failure::reject("the body is not text"))?;
//!     let amount: u32 = text.trim().parse()?;
//!     if amount == 0 {
//!         let reply = Reply::json(409, &json!({ "error": "the amount is 0" }));
//!         return Err(Failure::reject("the amount is 0").with_reply(reply));
//!     }
//!     Ok(amount)
//! }
//! ```
//!
//! A reply with a 4xx status inside `Ok` is not a failure: the event is done and what the handler
//! staged is kept.
//!
//! # Settings
//!
//! The `[settings]` of the hook file, one at a time or as a type of yours:
//!
//! ```
//! use landfall_sdk::{Event, Failure, handler, serde::Deserialize, settings};
//!
//! #[derive(Deserialize)]
//! #[serde(crate = "landfall_sdk::serde")]
//! struct Settings { branch: String, #[serde(default)] loud: bool }
//!
//! #[handler]
//! fn on_event(_: Event) -> Result<String, Failure> {
//!     let Settings { branch, loud } = settings::all()?;
//!     Ok(if loud { branch.to_uppercase() } else { branch })
//! }
//! ```
//!
//! If the component has a schema of its settings, Landfall checks `[settings]` when it loads the
//! hook: unknown and missing keys, templates, and URLs that are not in `[allow] http`. `cargo test`
//! writes the schema to `settings.schema.json` beside `Cargo.toml`.
//!
//! ```
//! use landfall_sdk::{Event, Failure, handler, serde::Deserialize, settings};
//!
//! #[settings]
//! #[derive(Deserialize)]
//! #[serde(crate = "landfall_sdk::serde", deny_unknown_fields)]
//! struct Settings {
//!     /// The URL to post to.
//!     #[schemars(extend("x-landfall" = "url"))]
//!     url: String,
//! }
//!
//! #[handler(settings = Settings)]
//! fn on_event(_: Event) -> Result<String, Failure> {
//!     let Settings { url } = settings::all()?;
//!     Ok(url)
//! }
//! ```
//!
//! # The manifest
//!
//! `#[handler]` writes a manifest into the component, as the custom section `landfall:manifest` in
//! TOML. It has the name, the version and the description from `Cargo.toml`, and the schema of the
//! settings. With `#[handler(manifest = "manifest.toml")]` a file beside `Cargo.toml` adds these
//! keys, all optional:
//!
//! ```toml
//! event-types = ["push"]        # the kinds of events that the component handles
//!
//! [suggests]                    # keys of a hook file, used if the hook file has none
//! methods = ["POST"]
//! mode = "async"
//! answer_within = "3s"
//! [suggests.settings]
//! branch = "main"
//!
//! [needs]                       # what the component needs from [allow]: a request, never a grant
//! http = ["https://deploy.example.com/"]
//! kv = true
//! table = ["pushes"]
//! emit = ["notify"]
//! ```
//!
//! # Outbound calls
//!
//! The operator lists what may be reached under `[allow] http`. Landfall adds the credentials; the
//! handler never sees them. [`error_for_status`](http::Response::error_for_status) makes the
//! failure that follows from a status.
//!
//! ```
//! use landfall_sdk::{Event, Failure, handler, http, json};
//! use std::time::Duration;
//!
//! #[handler]
//! fn deploy(event: Event) -> Result<(), Failure> {
//!     let request = http::Request::post("https://deploy.example.com/run");
//!     let response = request.json(&json!({ "because": event.id })).timeout(Duration::from_secs(5)).send()?;
//!     response.error_for_status()?;
//!     Ok(())
//! }
//! ```
//!
//! [`http::send_all`] sends several requests at the same time. After an error,
//! [`nothing_was_sent`](http::HttpError::nothing_was_sent) says whether the receiver may have
//! acted.
//!
//! # Rows
//!
//! Rows go to a table that the operator grants under `[allow] table`. The host stores them together
//! with the success of the attempt. An attempt that fails leaves none.
//!
//! ```
//! use landfall_sdk::{Event, Failure, handler, json, table};
//!
//! #[handler]
//! fn keep(event: Event) -> Result<(), Failure> {
//!     table::append("pushes", &json!({ "id": event.id, "at": event.received_at }))?;
//!     Ok(())
//! }
//! ```
//!
//! # Values
//!
//! With `[allow] kv = true` a hook keeps values by key. The host commits them together with the
//! success of the attempt, exactly once: a handler that runs again after a crash does not count
//! twice.
//!
//! ```
//! use landfall_sdk::{Event, Failure, handler, kv};
//! use std::time::Duration;
//!
//! #[handler]
//! fn count(event: Event) -> Result<String, Failure> {
//!     if kv::get(&format!("seen/{}", event.id))?.is_some() {
//!         return Ok("seen already".into());
//!     }
//!     kv::set_for(&format!("seen/{}", event.id), "yes", Duration::from_secs(3600))?;
//!     Ok(format!("number {}", kv::increment("count", 1)?))
//! }
//! ```
//!
//! # Events for other hooks
//!
//! With `[allow] emit = ["notify"]` a handler emits events to the hook `notify`. The host queues
//! them together with the success of the attempt.
//!
//! ```
//! use landfall_sdk::{Event, Failure, emit, handler, json};
//!
//! #[handler]
//! fn fan_out(event: Event) -> Result<(), Failure> {
//!     emit::to("notify").event_type("order.paid").json(&json!({ "text": "paid" })).key(&event.id).send()?;
//!     Ok(())
//! }
//! ```
//!
//! # Templates in settings
//!
//! With the feature `template` a setting can be a [`Template`] that reads the event: `body = "{{
//! event.json.ref }}"`.
//!
//! ```
//! use landfall_sdk::{Event, Failure, Template, handler, serde::Deserialize, settings};
//!
//! #[derive(Deserialize)]
//! #[serde(crate = "landfall_sdk::serde")]
//! struct Settings { body: Template }
//!
//! #[handler]
//! fn on_event(event: Event) -> Result<String, Failure> {
//!     settings::all::<Settings>()?.body.render(&event)
//! }
//! ```
//!
//! # Types of well-known providers
//!
//! [`providers`] has types for what they send, each behind the feature of its name (`landfall-sdk =
//! { …, features = ["github"] }`):
//!
//! ```
//! use landfall_sdk::{Failure, handler, log, providers::github};
//!
//! #[handler]
//! fn on_github(event: github::Event) -> Result<(), Failure> {
//!     log::info(match event {
//!         github::Event::Push(push) => format!("{} commits to {}", push.commits.len(), push.branch().unwrap_or("a tag")),
//!         github::Event::PullRequest(change) => format!("{} {}", change.action, change.pull_request.title),
//!         other => format!("nothing to do for {}", other.kind()),
//!     });
//!     Ok(())
//! }
//! ```
//!
//! # The quick answer
//!
//! In mode `async` the caller receives an answer before the handler runs. A [`responder`] makes
//! that answer. It runs in an instance of its own while the caller waits, and nothing that it
//! stages is kept.
//!
//! It returns the same types as a handler. After a failure of any kind the caller receives the
//! answer that the provider takes for success: only the reason goes to the host, for the operator,
//! and the event is handled whatever the responder returns.
//!
//! ```
//! use landfall_sdk::{Event, Failure, Reply, handler, json, responder};
//!
//! #[handler]
//! fn later(_: Event) -> Result<(), Failure> { Ok(()) }
//!
//! #[responder]
//! fn now(event: Event) -> Result<Reply, Failure> {
//!     Ok(Reply::json(200, &json!({ "text": "on it", "ticket": event.id })))
//! }
//! ```
//!
//! # Initialise once
//!
//! An [`init`] runs once, when the host compiles the component. Each event starts with a copy of
//! the memory that it left, so that the handler finds compiled templates and tables. It has no
//! settings, no calls and no capabilities, and its clocks stand still. Random numbers that it keeps
//! are the same in every event: the page `docs/handlers/initialise.md` says what follows from that.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::OnceLock;
//!
//! use landfall_sdk::{Event, Failure, handler, init};
//!
//! static NAMES: OnceLock<BTreeMap<&str, &str>> = OnceLock::new();
//!
//! #[init]
//! fn prepare() -> Result<(), String> {
//!     let names = BTreeMap::from([("eu", "Europe"), ("us", "United States")]);
//!     NAMES.set(names).map_err(|_| "init runs once".to_owned())
//! }
//!
//! #[handler]
//! fn on_event(event: Event) -> Result<String, Failure> {
//!     let names = NAMES.get().ok_or_else(|| Failure::reject("init has not run"))?;
//!     let region = event.text().and_then(|region| names.get(region));
//!     Ok(region.unwrap_or(&"unknown").to_string())
//! }
//!
//! prepare().unwrap();
//! let answer = on_event(landfall_sdk::testing::post_raw("eu").build());
//! assert_eq!(answer.unwrap(), "Europe");
//! ```
//!
//! # The crates `log` and `tracing`
//!
//! With the feature `log` or `tracing`, the macros of these crates write to the log of the attempt,
//! without a call that sets them up. A line of `tracing` begins with the spans that it is in:
//! `deploy{branch=main}: started run=7`. [`facade::set_max_level`] lets `trace` lines through,
//! which are left out otherwise.
//!
//! ```
//! use landfall_sdk::{Event, Failure, handler, testing, json};
//!
//! #[handler]
//! fn on_event(event: Event) -> Result<(), Failure> {
//!     let _span = tracing::info_span!("deploy", branch = %"main").entered();
//!     tracing::info!(attempt = event.attempt, "started");
//!     log::warn!("slow");
//!     Ok(())
//! }
//!
//! let host = testing::host();
//! on_event(testing::event(json!({}))).unwrap();
//! assert_eq!(host.logs(), ["info: deploy{branch=main}: started attempt=1", "warn: slow"]);
//! ```
//!
//! # Native tests
//!
//! The function stays a function. `cargo test` calls it with an event from [`testing`], against a
//! fake host that answers calls and keeps what the handler did.
//!
//! ```
//! use landfall_sdk::{Event, Failure, handler, http, json, testing};
//!
//! #[handler]
//! fn ping(event: Event) -> Result<&'static str, Failure> {
//!     http::Request::get("https://a.example/ping").header("x-event", &event.id).send()?.error_for_status()?;
//!     Ok("pong")
//! }
//!
//! let host = testing::host().answer("https://a.example/", 200, "");
//! assert_eq!(ping(testing::event(json!({}))).unwrap(), "pong");
//! assert_eq!(host.calls()[0].url, "https://a.example/ping");
//! ```
//!
//! [`testing::run`] runs a handler as the host does: it reads the arguments from the event and the
//! settings.
//!
//! # The shape of a handler
//!
//! The compiler refuses functions that cannot be handlers, and says why:
//!
//! ```compile_fail
//! #[landfall_sdk::handler]
//! async fn on_event(_: landfall_sdk::Event) -> Result<(), landfall_sdk::Failure> { Ok(()) }
//! ```
#![warn(unreachable_pub)]

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod allocator;
mod capability;
mod event;
mod excerpt;
pub mod facade;
mod failure;
mod form;
#[doc(hidden)]
pub mod function;
mod json;
mod reply;
#[cfg(any(test, all(target_arch = "wasm32", target_os = "unknown")))]
mod small_blocks;
mod time;

pub mod emit;
pub mod http;
pub mod kv;
pub mod log;
pub mod providers;
#[doc(hidden)]
pub mod section;
pub mod settings;
pub mod table;
#[cfg(feature = "template")]
mod template;

#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
#[cfg(not(target_arch = "wasm32"))]
use testing::imports;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod exports;
#[cfg(target_arch = "wasm32")]
mod imports;

pub use capability::CapabilityError;
pub use event::{Event, FromEvent, Json, Payload};
pub use failure::Failure;
pub use landfall_sdk_macros::{handler, init, responder, settings};
pub use reply::{IntoReply, Reply};
#[cfg(not(target_arch = "wasm32"))]
pub use schemars;
pub use serde;
pub use serde_json::{self, json};
pub use settings::Settings;
#[cfg(feature = "template")]
pub use template::Template;

/// Runs the samples of the page for authors.
#[cfg(doctest)]
#[doc = include_str!("../../docs/handlers/rust.md")]
struct AuthorsPage;

/// Runs the sample in Rust.
#[cfg(doctest)]
#[doc = include_str!("../../docs/handlers/initialise.md")]
struct InitialisePage;
