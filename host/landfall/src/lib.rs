//! The binary `landfall`: the command line, and the composition of the crates under host/. docs/ARCHITECTURE.md describes the crates.

#![deny(unsafe_code)]

pub mod app;
pub mod cli;
mod descriptors;
mod metrics;
pub mod shutdown;
pub mod telemetry;
mod writable;
