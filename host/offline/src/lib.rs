//! Runs a component without a node, on the real engine: test cases in files, the built-in cases of
//! a provider, one event.
//!
//! What surrounds the component is faked: answers to outbound calls, stored values, the clock and
//! the random numbers come from the case. Limits, grants and linking are those of a node.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod calls;
mod case;
mod compare;
mod content;
mod difference;
mod error;
mod event;
mod files;
mod folder;
mod hook;
mod invoke;
mod junit;
mod kv;
mod line_ends;
mod pointer;
mod provider;
mod report;
mod run;
mod saved;
mod secrets;
mod test;
mod tried;
mod update;

pub use calls::MadeCall;
pub use error::OfflineError;
pub use folder::Folder;
pub use hook::OfflineEngine;
pub use invoke::{Invocation, Invoked, Network};
pub use pointer::{Override, PointerError};
pub use report::{CaseReport, Report};
pub use run::Run;
pub use saved::{SaveError, SavedCase};
pub use test::TestPlan;
pub use tried::{Allowed, Trial, TryPlan, TryReport, UnknownDifference};
