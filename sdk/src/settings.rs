//! The `[settings]` table of the hook's file. It never holds a secret: those are the host's.

use crate::{Failure, imports};
use serde::de::DeserializeOwned;

/// One setting: the text of a string, the JSON form of anything else, none where it is not set.
pub fn get(key: &str) -> Option<String> {
    imports::setting(key)
}

/// The whole table as a type of yours.
///
/// A mistake in it is the operator's and may be mended while the event waits, so it is a [`Failure::Retry`].
pub fn all<T: DeserializeOwned>() -> Result<T, Failure> {
    serde_json::from_str(&imports::settings()).map_err(|error| {
        Failure::retry(format!("[settings] of the hook's file: {}", plain(&error)))
    })
}

/// The error without the position in the JSON, which the operator did not write.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ")
        .map_or(text.clone(), |(sentence, _)| sentence.to_owned())
}
