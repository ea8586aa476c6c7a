//! What happens to the events of a hook before they run (docs/FLOW.md): which events are filtered,
//! which wait for others, what a batch looks like, and the body that a template makes. Pure: the
//! ledger keeps the events that wait, and `dispatch` runs them.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod batch;
mod filter;
mod flow;
mod mistake;
mod seen;
mod shape;
#[cfg(test)]
mod testing;
mod transform;

pub use batch::{compose, is_batch};
pub use filter::{Verdict, filtered_place};
pub use flow::Flow;
pub use mistake::FlowMistake;
pub use shape::Shape;
