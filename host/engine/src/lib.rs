//! Runs components: compiled once and cached, linked by grants, a fresh store for every attempt,
//! everything bounded.
//!
//! Each lifetime has one struct: [`Engine`] for the process, [`Handler`] for a hook, `AttemptState`
//! for an attempt. No other crate uses wasmtime.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod address_space;
mod alike;
mod attempt;
mod background;
mod bindings;
mod cache;
mod candidate;
mod caps;
mod compile;
mod component;
mod confine;
mod contract;
mod drafts;
mod engine;
mod environment;
mod fair_queue;
mod fixed;
mod functions;
mod guest_event;
mod handler;
mod initialise;
mod inspect;
mod kept_functions;
mod limits;
mod link;
mod load_error;
mod masking;
mod permits;
mod poll_budget;
mod process_tag;
mod proxy;
mod recorded_world;
mod recorder;
mod recording;
mod reply;
mod run_queue;
mod run_slots;
#[cfg(test)]
mod run_slots_tests;
mod runtime;
mod settings;
mod shared_code;
mod snapshot;
mod sources;
mod state;
mod syscalls;
mod target;
mod text;
mod ticker;
mod timeout;
mod trap;
mod trust;

pub use cache::{CacheUse, cache_use};
pub use candidate::{Candidate, CandidateCell};
pub use caps::CAPABILITIES;
pub use compile::compile_child;
pub use component::Component;
pub use confine::Confinement;
pub use contract::grant_for;
pub use engine::{Engine, EngineSettings, Surroundings, precompile};
pub use fixed::Fixed;
pub use handler::{Handler, ShadowRun};
pub use inspect::{COMPONENT_BYTES_MAX, Init, Inspected, inspect};
pub use load_error::LoadError;
pub use permits::{NoPermit, Permit, Permits};
pub use run_slots::{Flow, Overloaded, RunSlots};
pub use settings::SHADOW_RUNS_MAX;
pub use snapshot::obstacle as snapshot_obstacle;
pub use snapshot::report::InitReport;
pub use target::{OrderOf, Target};
pub use timeout::{TimedOut, timeout};
