//! What is wrong with a `[verify]` table.

/// What is wrong with a `[verify]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    /// The key in `[verify]`.
    pub key: &'static str,
    /// A sentence with the way out.
    pub message: String,
}

/// A mistake at a key.
pub fn wrong(key: &'static str, message: impl Into<String>) -> BuildError {
    BuildError {
        key,
        message: message.into(),
    }
}
