//! Why cases or events cannot be run. A failed case is no error.

use std::path::PathBuf;

use landfall_config::ConfigError;
use landfall_engine::LoadError;
use landfall_hooks::OtherDigest;

/// Why nothing was run. Each text says what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum OfflineError {
    /// A hook file or a case file has a mistake.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Several case files have mistakes.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Cases(Vec<ConfigError>),
    /// The hook file pins another version of the component.
    #[error(transparent)]
    Digest(#[from] OtherDigest),
    /// The component cannot be loaded.
    #[error(transparent)]
    Component(#[from] LoadError),
    #[error("{} cannot be read: {error}", .path.display())]
    Unreadable {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{} cannot be written: {error}", .path.display())]
    Unwritable {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{0}")]
    Other(String),
}

// === impl OfflineError ===

impl OfflineError {
    pub(crate) fn unreadable(path: impl Into<PathBuf>, error: std::io::Error) -> OfflineError {
        OfflineError::Unreadable {
            path: path.into(),
            error,
        }
    }
}
