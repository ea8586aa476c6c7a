//! What was typed, turned into what may be relied on: `Config` for the node, `HookSpec` for a hook. Errors name the
//! file, the line, the column and the way out. The only module that reads environment variables.
#![deny(unsafe_code)]

mod allow;
mod credential;
pub mod env;
mod environment;
mod error;
mod hook_file;
mod hook_path;
mod hook_tables;
mod layers;
mod manifest;
mod mistake;
mod node;
mod node_build;
mod node_file;
mod own_secrets;
mod queue;
mod queued;
mod settings_schema;
mod settings_text;
mod values;
mod variables;

pub use error::ConfigError;
pub use hook_file::{HookSource, parse_hook};
pub use hook_path::component_file;
pub use manifest::{
    asked_by, parse_manifest, requests, settings_schema, suggested_answer_within, without_schema,
};
pub use node::{Config, Flags, LogFormat, Readiness};
pub use settings_schema::{SettingsMistake, SettingsSchema};
pub use values::listen_address;
