//! What a component may use, one file a capability: its context, its host functions, how it is linked.

pub mod config;
pub mod emit;
mod held;
pub mod http;
pub mod keyvalue;
pub mod kv;
pub mod log;
pub mod logging;
pub mod settings;
pub mod table;
