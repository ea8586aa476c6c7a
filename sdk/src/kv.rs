//! Values that the host keeps for this hook, by key. The operator grants them with `[allow] kv = true`.
//!
//! Writes are kept together with the handler's success, exactly once; reads see what this handler has written.

use crate::{Payload, imports};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The value of a key; none where there is none, or it has expired.
pub fn get(key: &str) -> Result<Option<Payload>, KvError> {
    imports::kv_get(key)
}

/// The value as text; [`KvError::Invalid`] where it is not UTF-8.
pub fn get_text(key: &str) -> Result<Option<String>, KvError> {
    match get(key)? {
        None => Ok(None),
        Some(Payload::Text(text)) => Ok(Some(text)),
        Some(Payload::Binary(_)) => Err(KvError::Invalid(format!("`{key}` is not text"))),
    }
}

/// Sets a value that stays.
pub fn set(key: &str, value: impl Into<Payload>) -> Result<(), KvError> {
    imports::kv_set(key, value.into(), None)
}

/// Sets a value that expires; parts of a second count as a whole one.
pub fn set_for(key: &str, value: impl Into<Payload>, time: Duration) -> Result<(), KvError> {
    imports::kv_set(key, value.into(), Some(seconds(time)))
}

/// Deletes a value, if there is one.
pub fn delete(key: &str) -> Result<(), KvError> {
    imports::kv_delete(key)
}

/// Keys that begin with `prefix`, in byte order, after `after`; at most `limit`, and at most 1,000.
pub fn list_keys(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, KvError> {
    imports::kv_list_keys(prefix, after, limit)
}

/// Sets the value if the present one is `expected` (none = there is none); false: it differs.
/// After true, if another handler changes the value before this one succeeds, nothing of this one is kept, and its event is
/// run again.
pub fn compare_and_set(
    key: &str,
    expected: Option<&Payload>,
    value: impl Into<Payload>,
) -> Result<bool, KvError> {
    imports::kv_compare_and_set(key, expected.cloned(), value.into())
}

/// Adds to a whole number that begins at 0. What handlers add at the same time adds up; the number returned is what this
/// one sees.
pub fn increment(key: &str, by: i32) -> Result<i64, KvError> {
    imports::kv_increment(key, by)
}

fn seconds(time: Duration) -> u32 {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(whole).unwrap_or(u32::MAX)
}

/// Why a value was not read or taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvError {
    /// Not a key, or not a number where one is needed.
    Invalid(String),
    /// The value is too large, or there are too many.
    Limit(String),
    /// Anything else: the event may succeed later.
    Other(String),
}

impl fmt::Display for KvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text) => write!(f, "kv invalid: {text}"),
            Self::Limit(text) => write!(f, "kv above a limit: {text}"),
            Self::Other(text) => write!(f, "kv: {text}"),
        }
    }
}

impl Error for KvError {}
