//! Why a component cannot be loaded.

/// Why a component cannot be loaded, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("component {file} {message}")]
pub struct LoadError {
    /// The name of the file.
    pub file: String,
    /// What is wrong. Follows the name of the file.
    pub message: String,
    /// Whether the same component may load later: the machine was full or too busy.
    pub is_passing: bool,
}

// === impl LoadError ===

impl LoadError {
    /// The component is at fault: the same file fails again.
    pub(crate) fn lasting(file: &str, message: impl Into<String>) -> LoadError {
        LoadError {
            file: file.into(),
            message: message.into(),
            is_passing: false,
        }
    }

    /// The host could not do its part.
    pub(crate) fn passing(file: &str, message: impl Into<String>) -> LoadError {
        LoadError {
            file: file.into(),
            message: message.into(),
            is_passing: true,
        }
    }
}
