//! The `[settings]` table of the hook file. It has no secrets.

use crate::{Failure, imports};
use serde::de::DeserializeOwned;

/// One setting: the text of a string, the JSON form of another value, `None` if it is not set.
pub fn get(key: &str) -> Option<String> {
    imports::setting(key)
}

/// The whole table as a type of yours.
///
/// A table that does not fit is a [`Failure::Retry`], because the operator can correct it while the event waits.
pub fn all<T: DeserializeOwned>() -> Result<T, Failure> {
    serde_json::from_str(&imports::settings()).map_err(|error| {
        Failure::retry(format!("[settings] of the hook's file: {}", plain(&error)))
    })
}

/// The error without its position in the JSON: the operator wrote TOML.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ")
        .map_or(text.clone(), |(sentence, _)| sentence.to_owned())
}
