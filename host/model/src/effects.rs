//! What an attempt leaves behind if it is done: staged while the handler runs, applied with the outcome or not at all.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::delivery::Row;
use super::event::EventId;

/// The staged writes of one attempt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effects {
    /// Rows for named tables, in order.
    pub rows: Vec<Row>,
    /// Values by key, each key once.
    pub writes: Vec<KvWrite>,
    /// What must still be so for the writes to count.
    pub expected: Vec<KvExpected>,
    /// Events for other hooks, in order.
    pub emissions: Vec<Emission>,
}

/// A value of `kv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvValue {
    /// UTF-8, and handed to the guest as text.
    pub is_text: bool,
    /// The bytes.
    pub bytes: Bytes,
}

/// What becomes of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvWrite {
    /// 1 to 512 bytes.
    pub key: String,
    /// What.
    pub change: KvChange,
}

/// What becomes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvChange {
    /// Another value; it expires so long after it has been kept, or never.
    Set(KvValue, Option<Duration>),
    /// None any more.
    Delete,
    /// A whole number grows by this.
    Add(i64),
}

/// The value that a decision was built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvExpected {
    /// Of this key.
    pub key: String,
    /// None: the key has no value.
    pub value: Option<KvValue>,
}

/// An event for another hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emission {
    /// Its id, if it comes to be.
    pub id: EventId,
    /// Who handles it.
    pub hook: Arc<str>,
    /// Checked.
    pub headers: HeaderMap,
    /// Whole.
    pub body: Bytes,
    /// One of the same key is enough.
    pub key: Option<String>,
    /// From the success of the handler.
    pub delay: Duration,
}

/// How much one hook may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Keys and values together, in bytes.
    pub kv: u64,
    /// Rows of all tables together, in bytes of JSON.
    pub rows: u64,
}

// === impl Effects ===

impl Effects {
    /// Nothing is left behind.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.writes.is_empty() && self.emissions.is_empty()
    }
}

// === impl KvValue ===

impl KvValue {
    /// Text if it is UTF-8.
    pub fn of(bytes: Bytes) -> KvValue {
        KvValue {
            is_text: std::str::from_utf8(&bytes).is_ok(),
            bytes,
        }
    }

    /// A whole number, as `increment` keeps them.
    pub fn of_number(number: i64) -> KvValue {
        KvValue {
            is_text: true,
            bytes: number.to_string().into(),
        }
    }

    /// The whole number that it says.
    pub fn number(&self) -> Option<i64> {
        std::str::from_utf8(&self.bytes).ok()?.parse().ok()
    }
}
