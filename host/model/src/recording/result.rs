//! What a component made of an event: everything that two runs are compared by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::body::RecordedBody;

/// The result of a run, before the host applied or discarded its effects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// One of [`crate::OUTCOME_WORDS`].
    pub outcome: String,
    /// The reason of the outcome, masked. Empty if the word is sufficient.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The handler's hint for the next attempt, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_s: Option<u64>,
    /// The reply of the handler, if it returned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<RecordedReply>,
    /// Staged rows, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RecordedRow>,
    /// Staged changes of `kv`, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kv: BTreeMap<String, RecordedChange>,
    /// The values, by key, that must be unchanged when the effects are applied (`compare_and_set`),
    /// also if the attempt has changed the key since. `None`: the key must have no value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, Option<RecordedBody>>,
    /// Staged events for other hooks, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emitted: Vec<RecordedEmission>,
    /// From the start of the instance to the outcome, in microseconds.
    pub duration_us: u64,
    /// The most memory in use at once, in bytes.
    pub memory_bytes: u64,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedReply {
    /// 200 to 599.
    pub status: u16,
    /// Masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body, or its digest.
    #[serde(default, skip_serializing_if = "RecordedBody::is_empty")]
    pub body: RecordedBody,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedRow {
    /// The name of the table.
    pub table: String,
    /// The JSON object as text, or its digest.
    pub row: RecordedBody,
}

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedChange {
    /// A new value.
    Set {
        /// The value, or its digest.
        value: RecordedBody,
        /// It expires this many seconds after it is stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_in_s: Option<u64>,
    },
    /// The value is deleted.
    Delete,
    /// This number is added.
    Add {
        /// The number.
        by: i64,
        /// A new value expires this many seconds after it is stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_in_s: Option<u64>,
    },
}

/// An event for another hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedEmission {
    /// The id that the component received. It is not compared.
    pub id: String,
    /// The hook that handles the event.
    pub hook: String,
    /// The attribute `event-type` of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body, or its digest.
    #[serde(default, skip_serializing_if = "RecordedBody::is_empty")]
    pub body: RecordedBody,
    /// The key of several emissions of which one is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Seconds from the end of the attempt until the event is due.
    pub delay_s: u64,
}
