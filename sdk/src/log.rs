//! Log lines for the operator, stored with the attempt. Lines beyond 64 KiB are dropped. `println!`
//! and `eprintln!` write to the same log.

use crate::imports;
use std::fmt::Display;

/// The level of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// Details for debugging.
    Debug,
    /// What the handler did.
    Info,
    /// The operator may want to look.
    Warn,
    /// The operator must look.
    Error,
}

/// Writes one line.
pub fn line(level: Level, text: impl Display) {
    imports::log(level, &text.to_string());
}

/// Writes a line at [`Level::Trace`].
pub fn trace(text: impl Display) {
    line(Level::Trace, text);
}

/// Writes a line at [`Level::Debug`].
pub fn debug(text: impl Display) {
    line(Level::Debug, text);
}

/// Writes a line at [`Level::Info`].
pub fn info(text: impl Display) {
    line(Level::Info, text);
}

/// Writes a line at [`Level::Warn`].
pub fn warn(text: impl Display) {
    line(Level::Warn, text);
}

/// Writes a line at [`Level::Error`].
pub fn error(text: impl Display) {
    line(Level::Error, text);
}
