//! Hook files whose settings do not fit together.

use landfall_sdk::Failure;
use std::fmt::Display;

/// The failure of an event whose hook file has a mistake. It is a retry: the event waits until the
/// operator has corrected the file.
pub fn mistake(text: impl Display) -> Failure {
    Failure::retry(format!("[settings] of the hook's file: {text}"))
}
