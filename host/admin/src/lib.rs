//! The admin API: health probes, metrics, and `/api/v1` for hooks, events and operator commands, on
//! its own listener. All but the probes need a token. `routes` lists every route,
//! `api::operations` every operation with its role.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod allowance;
mod api;
mod authenticate;
mod candidate;
mod command_head;
mod events;
mod guard;
mod in_process;
mod node;
mod presented_token;
mod reconcile;
mod refused;
mod role;
mod routes;
mod samples;
mod sender;
mod shapes;
mod turns;

pub use candidate::{CandidateDecider, CandidateRefused, Deciding, SharedCandidates};
pub use events::Events;
pub use guard::Guard;
pub use in_process::InProcess;
pub use node::{Admin, Scrape};
pub use reconcile::{Reconcile, ReconcileRefused, SharedReconcile};
pub use refused::Refused;
pub use role::{Caller, Role, VIA};
pub use routes::{answer_one, guarded, router};
pub use samples::{
    SampleOrder, SampleRefused, SendSamples, SendingSample, SentSample, SharedSamples,
};
pub use shapes::{LearnedHook, ShapeChange, Shapes, SharedShapes};
