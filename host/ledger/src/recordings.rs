//! Recordings of attempts: what is stored, and what is read back.

use std::sync::Arc;
use std::time::Duration;

use super::steps::Fence;
use landfall_model::{Event, EventId};

/// The attempt that a recording belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordedAttempt {
    /// The attempt of this lease.
    OfLease(Fence),
    /// The first attempt of the first delivery of this event.
    FirstOf(EventId),
}

/// A recording for an attempt that the ledger has.
#[derive(Debug, Clone)]
pub struct NewRecording {
    /// The attempt.
    pub of: RecordedAttempt,
    /// Its event.
    pub event: EventId,
    /// Its hook.
    pub hook: Arc<str>,
    /// How long it is kept. `None`: as long as its attempt.
    pub keep: Option<Duration>,
    /// JSON.
    pub recording: Vec<u8>,
}

/// Selects recordings, newest first.
#[derive(Debug, Clone, Default)]
pub struct RecordingFilter {
    /// Recordings of this hook.
    pub hook: Option<String>,
    /// Recordings of this event.
    pub event: Option<EventId>,
    /// Only of attempts that did not end as `done`.
    pub is_failed: bool,
    /// Attempts that began at this time or later, in ms since 1970.
    pub since_ms: Option<i64>,
    /// Recordings before this delivery and attempt.
    pub before: Option<(i64, u32)>,
    /// The largest number of results.
    pub limit: usize,
}

/// A stored recording.
#[derive(Debug, Clone)]
pub struct StoredRecording {
    /// The number of the delivery.
    pub delivery: i64,
    /// The number of the attempt, from 1, those that deferred the event included.
    pub attempt: u32,
    /// The outcome of the attempt.
    pub outcome: String,
    /// When the attempt began, in ms since 1970.
    pub started_ms: i64,
    /// Whether the delivery is a replay.
    pub is_replay: bool,
    /// JSON.
    pub recording: Vec<u8>,
    /// The event. `None` if its body has been pruned, or it is damaged.
    pub event: Option<Event>,
}

// === impl RecordedAttempt ===

impl RecordedAttempt {
    /// The number of the attempt, from 1, those that deferred the event included.
    pub(super) fn number(&self) -> u32 {
        match self {
            RecordedAttempt::OfLease(fence) => fence.attempt,
            RecordedAttempt::FirstOf(_) => 1,
        }
    }
}

// === impl RecordingFilter ===

impl RecordingFilter {
    /// The delivery and the attempt that the results are before.
    pub(super) fn before(&self) -> (i64, i64) {
        let (delivery, attempt) = self.before.unwrap_or((i64::MAX, 0));
        (delivery, attempt.into())
    }
}
