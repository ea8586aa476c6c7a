//! Turns what was typed into what may be relied on: `Config` for the node, `HookSpec` for a hook.
//! Errors name the file, the line, the column and the way out. The only crate that reads
//! environment variables.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod allow;
mod candidate;
mod config_page;
mod credential;
pub mod env;
mod environment;
mod error;
mod flow;
mod hook_file;
mod hook_path;
mod hook_tables;
mod layers;
mod manifest;
mod mistake;
mod needs;
mod node;
mod node_settings;
mod own_secrets;
mod queue;
mod queue_url;
mod queued;
mod reconcile;
mod record;
mod redact;
mod retention;
mod setting;
mod settings_check;
mod settings_references;
mod settings_schema;
mod settings_text;
mod settings_value;
mod shape;
mod telemetry;
mod tool_files;
mod value_error;
mod values;
mod variables;
mod watch;

pub use config_page::rewrite_config_page;
pub use error::{ConfigError, nearest};
pub use hook_file::{HookSource, parse_hook};
pub use hook_path::component_file;
pub use manifest::Manifest;
pub use needs::Need;
pub use node::{Config, Flags};
pub use node_settings::{LogFormat, NodeSettings, NodeShapeTable, NodeWatchTable, Readiness};
pub use settings_check::SettingsMistake;
pub use settings_references::literal_references;
pub use settings_schema::SettingsSchema;
pub use telemetry::TelemetrySpec;
pub use tool_files::is_tool_file;
pub use values::listen_address;
