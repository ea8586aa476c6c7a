//! What was typed, turned into what may be relied on: `Config` for the node, `HookSpec` for a hook. Errors name the
//! file, the line, the column and the way out. The only module that reads environment variables.
#![deny(unsafe_code)]

mod credential;
pub mod env;
mod environment;
mod error;
mod hook_file;
mod node;
mod own_secrets;
mod queue;
mod queued;
mod values;
mod variables;

pub use error::ConfigError;
pub use hook_file::{
    HookSource, asked_by, component_file, parse_hook, parse_manifest, requests, suggested_answer_within,
};
pub use node::{Config, Flags, LogFormat, Readiness};
pub use values::listen_address;
