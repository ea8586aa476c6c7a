//! The effects of an attempt: staged while the handler runs, and applied in the transaction that
//! ends the attempt, if it is done.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::event::EventId;

/// The staged writes of one attempt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effects {
    /// Rows for named tables, in order.
    pub rows: Vec<Row>,
    /// Key-value writes. Each key occurs once.
    pub writes: Vec<KvWrite>,
    /// Values that must be unchanged for the effects to be applied.
    pub expected: Vec<KvExpected>,
    /// Events for other hooks, in order.
    pub emissions: Vec<Emission>,
}

/// One row for a named table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// A checked table name.
    pub table: String,
    /// A JSON object, in one line.
    pub text: String,
}

/// A value of `kv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvValue {
    /// The bytes are UTF-8. Of values that earlier versions have stored, it may be false although
    /// they are.
    pub is_text: bool,
    /// The bytes of the value.
    pub bytes: Bytes,
}

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvWrite {
    /// 1 to 512 bytes.
    pub key: String,
    /// The change of the key's value.
    pub change: KvChange,
}

/// A change of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvChange {
    /// A new value. It expires this long after it is stored, or never.
    Set(KvValue, Option<Duration>),
    /// The value is deleted.
    Delete,
    /// This number is added to an integer. A new integer begins at 0 and expires this long after it
    /// is stored, or never.
    Add(i64, Option<Duration>),
}

/// A value that the handler has read and that must be unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvExpected {
    /// 1 to 512 bytes.
    pub key: String,
    /// `None`: the key has no value.
    pub value: Option<KvValue>,
}

/// An event for another hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emission {
    /// The id of the event, if it is stored.
    pub id: EventId,
    /// The hook that handles the event.
    pub hook: Arc<str>,
    /// The attribute `event-type` of the event.
    pub event_type: Option<String>,
    /// Valid headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Of several emissions with the same key, one is stored.
    pub key: Option<String>,
    /// The time from the end of the attempt until the event is due.
    pub delay: Duration,
}

/// How much one hook may store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of keys and values.
    pub kv: u64,
    /// Bytes of the rows of all tables, as JSON.
    pub rows: u64,
}

// === impl Effects ===

impl Effects {
    /// Whether nothing is staged.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.writes.is_empty() && self.emissions.is_empty()
    }
}

// === impl KvValue ===

impl KvValue {
    /// A value, which is text if the bytes are UTF-8.
    pub fn of(bytes: Bytes) -> KvValue {
        KvValue {
            is_text: std::str::from_utf8(&bytes).is_ok(),
            bytes,
        }
    }

    /// An integer in the form that `increment` stores.
    pub fn of_number(number: i64) -> KvValue {
        KvValue {
            is_text: true,
            bytes: number.to_string().into(),
        }
    }

    /// The value as an integer.
    pub fn number(&self) -> Option<i64> {
        std::str::from_utf8(&self.bytes).ok()?.parse().ok()
    }
}
