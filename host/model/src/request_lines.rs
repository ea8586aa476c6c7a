//! Which answered requests have a line in the log.

use serde::Deserialize;

/// Which answered requests have a line in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestLines {
    /// All of them.
    #[default]
    All,
    /// Those with a status of 400 or more.
    Failed,
    /// None of them.
    None,
}
