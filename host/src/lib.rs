//! Landfall host.
pub mod model;
pub mod config;
pub mod secrets;
pub mod egress;
pub mod verify;
pub mod engine;
