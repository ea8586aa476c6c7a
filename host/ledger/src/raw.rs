//! Records as the tables hold them, for the job that encrypts them again.

use landfall_model::EventId;

/// A table with content that can be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RawKind {
    /// Parts: head, body (`None` if it was removed), digest, checksum.
    Events,
    /// Parts: record, reason.
    Attempts,
    /// Parts: reason, reply.
    Deliveries,
    /// Parts: the JSON.
    Rows,
    /// Parts: the value.
    Values,
    /// Parts: the recording.
    Recordings,
    /// Only identities with a plain digest of a body. Parts: the key.
    Identities,
}

/// The place of a record in its table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawCursor {
    /// The number of the record; of attempts and recordings, that of the delivery.
    pub id: i64,
    /// The number of an attempt, or of the attempt of a recording.
    pub number: i64,
    /// The hook of a value or an identity.
    pub hook: String,
    /// The key of a value or an identity.
    pub key: Vec<u8>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// Its place.
    pub cursor: RawCursor,
    /// The event that it belongs to. Values and identities have none.
    pub event: Option<EventId>,
    /// The hook.
    pub hook: String,
    /// The table of a row, or the key of a value.
    pub name: String,
    /// Of events and rows: when the event was received, in ms since 1970. Of values: when it
    /// expires (ledger time).
    pub at_ms: Option<i64>,
    /// Of values: whether it is text.
    pub is_text: bool,
    /// Of attempts, deliveries and recordings: whether the delivery is a replay.
    pub is_replay: bool,
    /// What is stored, in the order that the kind says.
    pub parts: Vec<Option<Vec<u8>>>,
}

/// A record, and what replaces its parts if they are still the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawChange {
    /// The table.
    pub kind: RawKind,
    /// The record as it was read.
    pub record: RawRecord,
    /// The new parts.
    pub parts: Vec<Option<Vec<u8>>>,
}

// === impl RawKind ===

impl RawKind {
    /// Every kind.
    pub const ALL: [RawKind; 7] = [
        RawKind::Events,
        RawKind::Attempts,
        RawKind::Deliveries,
        RawKind::Rows,
        RawKind::Values,
        RawKind::Recordings,
        RawKind::Identities,
    ];

    /// The word in metrics and log lines.
    pub fn word(self) -> &'static str {
        match self {
            RawKind::Events => "events",
            RawKind::Attempts => "attempts",
            RawKind::Deliveries => "deliveries",
            RawKind::Rows => "rows",
            RawKind::Values => "values",
            RawKind::Recordings => "recordings",
            RawKind::Identities => "identities",
        }
    }
}

/// A part as text. The columns of texts hold UTF-8.
pub(crate) fn text_of(part: Option<&Vec<u8>>) -> Option<String> {
    part.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}
