//! The binary `landfall`: the command line, and the composition of the crates under host/.
//! docs/ARCHITECTURE.md describes the crates.

#![deny(unsafe_code)]
#![warn(unreachable_pub)]

pub mod app;
mod candidates;
pub mod cli;
mod connect;
mod dashboard;
mod descriptors;
mod doctor;
mod encryption;
mod exposed;
mod log_cloud;
mod log_fields;
mod log_json;
#[cfg(test)]
mod log_testing;
mod log_writer;
mod mcp;
mod metrics;
mod offline;
mod otlp;
mod reconcile;
mod samples;
mod setup;
mod shapes;
pub mod shutdown;
pub mod telemetry;
mod tools;
mod trial;
mod watcher;
