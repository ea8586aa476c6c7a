//! An error in a `[verify]` table.

use std::fmt::Display;

use thiserror::Error;

/// An error in a `[verify]` table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct BuildError {
    /// The key of the hook file, in the table that is being built.
    pub key: &'static str,
    /// What is wrong and what to write.
    pub message: String,
}

pub(crate) fn wrong(key: &'static str, message: impl Display) -> BuildError {
    BuildError {
        key,
        message: message.to_string(),
    }
}
