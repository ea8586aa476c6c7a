//! The `[settings]` table of the hook file. It has no secrets.

use crate::{Event, Failure, FromEvent, imports, json};
use serde::de::DeserializeOwned;

/// The whole table as a type of yours, as an argument of a handler: `Settings(settings):
/// Settings<Deploy>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings<T>(pub T);

impl<T: DeserializeOwned> FromEvent for Settings<T> {
    fn from_event(_: Event) -> Result<Self, Failure> {
        all().map(Self)
    }

    fn from_event_ref(_: &Event) -> Result<Self, Failure> {
        all().map(Self)
    }
}

/// One setting: the text of a string, the JSON form of another value, `None` if it is not set.
pub fn get(key: &str) -> Option<String> {
    imports::setting(key)
}

/// The whole table as a type of yours.
///
/// A table that does not fit is a [`Failure::Retry`], because the operator can correct it while the
/// event waits. Its reason names the setting.
pub fn all<T: DeserializeOwned>() -> Result<T, Failure> {
    json::read_text(&imports::settings()).map_err(|error| {
        // The operator wrote TOML: a position in the JSON would not help.
        let error = error.without_position();
        Failure::retry(format!("[settings] of the hook's file: {error}"))
    })
}
