//! The binary `landfall`: the command line, and the composition of the crates under host/.
//! docs/ARCHITECTURE.md describes the crates.

#![deny(unsafe_code)]
#![warn(unreachable_pub)]

pub mod app;
pub mod cli;
mod connect;
mod descriptors;
mod doctor;
mod exposed;
mod metrics;
mod offline;
mod setup;
pub mod shutdown;
pub mod telemetry;
mod tools;
mod trial;
