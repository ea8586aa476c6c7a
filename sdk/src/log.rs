//! Lines for the operator, kept with the attempt: 64 KiB of them. `println!` ends up in the same place.

use crate::imports;
use std::fmt::Display;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Each step.
    Trace,
    /// Details for debugging.
    Debug,
    /// The usual.
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
