//! Why a hook cannot be loaded.

use super::file::FileError;
use landfall_config::ConfigError;
use landfall_engine::LoadError;
use landfall_model::{HookName, SecretError};

/// Why a hook cannot be made from its files. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HookError {
    #[error("{file} {error}")]
    File {
        file: String,
        #[source]
        error: FileError,
    },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Component(#[from] LoadError),
    #[error("{}", missing_component(.component, .similar.as_deref()))]
    MissingComponent {
        component: String,
        similar: Option<String>,
    },
    #[error("{name}.toml: {error}")]
    SecretNotGranted {
        name: HookName,
        #[source]
        error: SecretError,
    },
    #[error("{key} {why}")]
    NotOnThisNode { key: String, why: &'static str },
    #[error(
        "order_by needs a queue that keeps order, and Cloud Tasks keeps none: use another queue, \
         or leave it out"
    )]
    NoOrder,
    #[error(
        "the new {component} asks for more than it was granted: {grants}; write that under \
         [allow] in {name}.toml, or keep the old one"
    )]
    NewGrants {
        component: String,
        name: HookName,
        grants: String,
    },
    #[error("loading it panicked: this is a fault of Landfall, please report it")]
    Panicked,
}

// === impl HookError ===

impl HookError {
    /// Whether the same files may load later: the machine was full or too busy.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, HookError::Component(error) if error.is_passing)
    }
}

/// The problem of a hook whose component is missing.
pub(crate) fn missing_component(component: &str, similar: Option<&str>) -> String {
    let hint = similar
        .map(|similar| format!("; did you mean {similar}?"))
        .unwrap_or_default();
    format!(
        "component {component} is missing: put it into the plugins directory, or name its folder \
         with --bundled{hint}"
    )
}
