//! What a Landfall handler written in Rust imports.
//!
//! A handler is one function: an [`Event`] in, a [`Reply`] or a [`Failure`] out. Landfall has checked who sent the
//! request, and runs the function in a fresh sandbox for each event. This is a whole component:
//!
//! ```
//! use landfall_sdk::{Event, Failure, Reply, handler, json, log};
//!
//! #[handler]
//! fn on_event(event: Event) -> Result<Reply, Failure> {
//!     log::info(format!("{} bytes from {}", event.bytes().len(), event.provider().unwrap_or("unknown")));
//!     Ok(Reply::json(200, &json!({ "event_id": event.id })))
//! }
//! ```
//!
//! Its `Cargo.toml` says `crate-type = ["cdylib", "rlib"]`, and
//! `cargo build --release --target wasm32-wasip2` makes the `.wasm` to drop into the plugins directory.
//!
//! # JSON in and out
//!
//! Take [`Json<T>`] instead of the event to get the body as a type of yours; return it to answer with one. A body
//! that does not fit is a [`Failure::Reject`] without a line of yours. [`Event::json`] does the same for a handler
//! that needs the rest of the event too.
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
//! # When it goes wrong
//!
//! `?` on any error is a [`Failure::Retry`]: the same event may succeed later. What can never succeed is a
//! [`Failure::reject`]. Both texts are for the operator; the caller never sees them.
//!
//! ```
//! use landfall_sdk::{Event, Failure};
//!
//! fn amount(event: &Event) -> Result<u32, Failure> {
//!     let text = event.text().ok_or_else(|| Failure::reject("the body is not text"))?;
//!     Ok(text.trim().parse()?)
//! }
//! ```
//!
//! # Settings
//!
//! The `[settings]` of the hook's file, one at a time or as a type of yours:
//!
//! ```
//! use landfall_sdk::{Event, Failure, Reply, handler, serde::Deserialize, settings};
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
//! With a schema of them, Landfall checks `[settings]` when it loads the hook: unknown and missing keys, templates, and URLs that
//! `[allow] http` does not have. `cargo test` writes the schema to `settings.schema.json` beside `Cargo.toml`.
//!
//! ```
//! use landfall_sdk::{Event, Failure, handler, serde::Deserialize, settings};
//!
//! #[settings]
//! #[derive(Deserialize)]
//! #[serde(crate = "landfall_sdk::serde", deny_unknown_fields)]
//! struct Settings {
//!     /// Where to post.
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
//! # Calling out
//!
//! The operator lists what may be reached under `[allow] http`, and Landfall adds the credentials: the handler never
//! sees them. [`error_for_status`](http::Response::error_for_status) turns a bad status into the right failure.
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
//! # Rows
//!
//! Rows go to a table that the operator granted under `[allow] table`. They are stored together with the handler's
//! success: one that fails leaves none.
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
//! With `[allow] kv = true` a hook keeps values by key. They are kept together with the handler's success, exactly once:
//! a handler that runs again after a crash does not count twice.
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
//! With `[allow] emit = ["notify"]` a handler hands work on, also queued with its success:
//!
//! ```
//! use landfall_sdk::{Event, Failure, emit, handler, json};
//!
//! #[handler]
//! fn fan_out(event: Event) -> Result<(), Failure> {
//!     emit::to("notify").json(&json!({ "text": "it came" })).key(&event.id).send()?;
//!     Ok(())
//! }
//! ```
//!
//! # Templates in settings
//!
//! With the feature `template` a setting may be a [`Template`] that sees the event: `body = "{{ event.json.ref }}"`.
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
//! # What well-known providers send
//!
//! [`providers`] has types for it, each behind the feature of its name (`landfall-sdk = { …, features = ["github"] }`):
//!
//! ```
//! use landfall_sdk::{Failure, handler, providers::github};
//!
//! #[handler]
//! fn on_github(event: github::Event) -> Result<String, Failure> {
//!     Ok(match event {
//!         github::Event::Push(push) => format!("{} commits to {}", push.commits.len(), push.branch().unwrap_or("a tag")),
//!         github::Event::PullRequest(change) => format!("{} {}", change.action, change.pull_request.title),
//!         other => format!("nothing to do for {}", other.kind()),
//!     })
//! }
//! ```
//!
//! # The quick answer
//!
//! In mode `async` the caller gets 202 before the handler runs. A [`responder`] says something better; it runs while the
//! caller waits, and what it stages is dropped.
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
//! # Testing natively
//!
//! The function stays a function: `cargo test` calls it with a made-up event from [`testing`], against a fake host
//! that answers, and remembers what was asked of it.
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
//! # The shape of a handler
//!
//! What does not fit is refused in words when it is compiled:
//!
//! ```compile_fail
//! #[landfall_sdk::handler]
//! async fn on_event(_: landfall_sdk::Event) -> Result<(), landfall_sdk::Failure> { Ok(()) }
//! ```
//! ```compile_fail
//! #[landfall_sdk::handler]
//! fn on_event() -> Result<(), landfall_sdk::Failure> { Ok(()) }
//! ```
//! ```compile_fail
//! #[landfall_sdk::handler]
//! fn on_event(_: u32) -> Result<(), landfall_sdk::Failure> { Ok(()) }
//! ```
//! ```compile_fail
//! #[landfall_sdk::handler]
//! struct NotAFunction;
//! ```

mod event;
mod failure;
mod form;
mod reply;

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

pub use event::{Event, FromEvent, Json, Payload};
pub use failure::Failure;
pub use landfall_sdk_macros::{handler, responder, settings};
pub use reply::{IntoReply, Reply};
#[cfg(not(target_arch = "wasm32"))]
pub use schemars;
pub use serde;
pub use serde_json::{self, json};
#[cfg(feature = "template")]
pub use template::Template;

/// Holds where `#[handler]` or `#[responder]` stands on a function that can be one; it calls this on every target.
#[doc(hidden)]
pub const fn is_handler<A: FromEvent, R: IntoReply>(_: fn(A) -> Result<R, Failure>) {}
