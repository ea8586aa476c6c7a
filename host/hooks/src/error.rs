//! Why a hook cannot be loaded.

use super::file::FileError;
use landfall_config::ConfigError;
use landfall_engine::LoadError;
use landfall_model::{ComponentDigest, HookName, SecretError, SignatureError};

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
    #[error(transparent)]
    OtherDigest(#[from] OtherDigest),
    #[error(
        "component {component} has no signature {file}, and components.trusted_keys requires one: sign it with \
         `minisign -S -m {component}`{way_out}"
    )]
    Unsigned {
        component: String,
        file: String,
        way_out: &'static str,
    },
    #[error(
        "component {component} is not trusted: {file} {error}; get a signature of a key in components.trusted_keys, or \
         put the previous version back"
    )]
    Untrusted {
        component: String,
        file: String,
        #[source]
        error: SignatureError,
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
        "{0} needs a ledger without a queue, because the events wait in the ledger, and with [queue] they wait in the \
         broker: leave the table out, or run the hook on a node without [queue]"
    )]
    NotWithBroker(&'static str),
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

/// The component is another version than the one that the hook file pins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "component {component} has the digest {found}, and {name}.toml pins {pinned}: put the pinned version back, or \
     write the new digest into {name}.toml after you have checked that version"
)]
pub struct OtherDigest {
    /// The file name of the component.
    pub component: String,
    /// The name of the hook.
    pub name: HookName,
    /// What the hook file says.
    pub pinned: ComponentDigest,
    /// Of the bytes.
    pub found: ComponentDigest,
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
