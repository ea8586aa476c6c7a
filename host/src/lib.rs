//! Where webhooks land: receives them, proves who sent them, answers inside the sender's deadline, and runs each payload
//! through a sandboxed WebAssembly component that is dropped into a directory while the host runs.
//!
//! The map, in the order of dependency; `tests/tests/house.rs` keeps the arrows:
//!
//! - [`model`] the nouns; no IO
//! - [`config`] what was typed, turned into what may be relied on
//! - [`verify`] may this request in? pure functions over data
//! - [`egress`] the one way out of the process
//! - [`secrets`] present values of secrets
//! - [`ledger`] what must not be forgotten
//! - [`engine`] wasm: compile, link by grants, one store an attempt
//! - [`queue`] claim, lease, and how a lease ends
//! - [`delivery`] one attempt from event to record, and when the next
//! - [`hooks`] the plugins directory: watch, load, swap
//! - [`edge`] HTTP in
//! - [`admin`] for the operator
//! - [`app`] composes all of it; [`cli`] is the command line
//!
//! The way of one event: [`edge`] finds the hook and reads the body, [`verify`] judges it, [`delivery`] runs it in
//! [`engine`], stores what it left in [`ledger`] and answers.

#![deny(unsafe_code)]

/// A place where a test may end the process, as `kill -9` would: only in builds with debug assertions, and only where the
/// environment (`FAILPOINTS`) names it.
macro_rules! kill_point {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        fail::fail_point!($name, |_| std::process::abort());
    };
}

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod delivery;
mod descriptors;
pub mod edge;
pub mod egress;
pub mod engine;
pub mod hooks;
pub mod ledger;
pub mod model;
pub mod queue;
pub mod secrets;
pub mod shutdown;
pub mod telemetry;
pub mod verify;
