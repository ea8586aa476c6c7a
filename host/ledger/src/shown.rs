//! What the admin API and the command line show of a ledger.

use std::time::Duration;

use serde::Serialize;

use super::state_column::DEAD;
use landfall_model::clock::from_ms;
use landfall_model::stored_event::Corrupt;
use landfall_model::{DeliveryState, Event, EventId};

/// One delivery and its event, without the body.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// Newest first; the next page begins before the last one seen.
    pub delivery: i64,
    /// Its event.
    pub event: String,
    /// Its hook.
    pub hook: String,
    /// RFC 3339.
    pub received_at: String,
    /// Its state.
    pub state: DeliveryState,
    /// Attempts begun.
    pub attempt: u32,
    /// Until the next attempt, where it is pending.
    pub due_in_ms: Option<u64>,
    /// Why it is dead, or was tried again.
    pub reason: Option<String>,
    /// A new delivery of an old event.
    pub replayed: bool,
    /// The delivery that this one repeats.
    pub replay_of: Option<i64>,
    /// The delivery that has handled the event since, where it is resolved.
    pub resolved_by: Option<i64>,
    /// The operator's reason, where it was discarded.
    pub discarded: Option<String>,
    /// Of the body.
    pub body_bytes: i64,
    /// How often the event came again and was not run.
    pub duplicates: i64,
    /// How many other events have the same identity and another body.
    pub conflicts: i64,
}

/// How often an event came again: a bounded summary, however often that was.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Repeats {
    /// Requests that were the same delivery and did not run.
    pub duplicates: i64,
    /// When the last one came: RFC 3339.
    pub last_duplicate_at: Option<String>,
    /// The id that the last one was given, as log lines name it.
    pub last_duplicate: Option<String>,
    /// Other events with the same identity and another body; they ran.
    pub conflicts: i64,
    /// The last of them.
    pub last_conflict: Option<String>,
}

/// Which deliveries.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this hook.
    pub hook: Option<String>,
    /// Of this event.
    pub event: Option<EventId>,
    /// Delivery numbers; empty: any.
    pub deliveries: Vec<i64>,
    /// States; empty: any.
    pub states: Vec<DeliveryState>,
    /// Which deliveries of the same event.
    pub pick: Pick,
    /// With smaller numbers than this.
    pub before: Option<i64>,
    /// With greater numbers than this, in their order.
    pub after: Option<i64>,
    /// With this number or greater ones: bounds how far a list looks.
    pub floor: Option<i64>,
    /// Received at this time of day or later, in ms since 1970.
    pub since_ms: Option<i64>,
    /// Received before it.
    pub until_ms: Option<i64>,
    /// At most.
    pub limit: usize,
}

/// Which deliveries of one event a list has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pick {
    /// All.
    #[default]
    All,
    /// The latest, if it fits the filter.
    Latest,
    /// The latest of those that are dead, resolved or discarded.
    LatestFailed,
}

/// One attempt as it was recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownAttempt {
    /// The delivery.
    pub delivery: i64,
    /// From 1.
    pub number: u32,
    /// RFC 3339.
    pub started_at: String,
    /// In milliseconds.
    pub duration_ms: f64,
    /// Its word.
    pub outcome: String,
    /// For people.
    pub reason: String,
    /// Of the reply.
    pub status: Option<u16>,
    /// Log, memory, calls.
    pub record: serde_json::Value,
}

/// The parts of deliveries that a search reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    /// Their events.
    pub event: bool,
    /// Their attempts.
    pub attempts: bool,
}

/// The parts of one delivery.
#[derive(Debug, Default)]
pub struct Content {
    /// `None` if it was not asked for, its body has been pruned, or it is damaged.
    pub event: Option<Event>,
    /// Outcome and duration of each attempt.
    pub attempts: Vec<(String, Duration)>,
}

/// One event with everything that happened to it.
#[derive(Debug)]
pub struct Shown {
    /// The event; none where its body has been pruned.
    pub event: Option<Result<Event, Corrupt>>,
    /// Newest first.
    pub deliveries: Vec<Listed>,
    /// In order.
    pub attempts: Vec<ShownAttempt>,
    /// How often it came again.
    pub repeats: Repeats,
}

/// What a purge removed, or would remove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Purged {
    /// With their attempts, and events that no other delivery needs.
    pub deliveries: i64,
    /// Identities of deliveries.
    pub identities: i64,
    /// Rows, of all tables.
    pub rows: i64,
    /// Key-value pairs.
    pub values: i64,
}

/// How many deliveries of a hook are in each state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Count {
    /// The hook.
    pub hook: String,
    /// The state.
    pub state: DeliveryState,
    /// How many.
    pub deliveries: i64,
}

/// One row of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredRow {
    /// Grows: the next page begins after the last one seen.
    pub id: i64,
    /// The event whose handler stored it.
    pub event_id: String,
    /// RFC 3339: when that event came.
    pub received_at: String,
    /// As the handler wrote it.
    pub row: serde_json::Value,
    /// It is not what was stored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

// === impl Filter ===

impl Filter {
    /// The SQL condition on `d.id`, if the filter has one.
    pub(super) fn deliveries_sql(&self) -> Option<String> {
        let numbers: Vec<String> = self.deliveries.iter().map(i64::to_string).collect();
        (!numbers.is_empty()).then(|| format!("d.id IN ({})", numbers.join(", ")))
    }

    /// The SQL condition on `d.state`, if the filter has one.
    pub(super) fn states_sql(&self) -> Option<String> {
        let numbers: Vec<String> = self
            .states
            .iter()
            .map(|state| state.number().to_string())
            .collect();
        match &numbers[..] {
            [] => None,
            // An index may hold just these.
            [one] => Some(format!("d.state = {one}")),
            all => Some(format!("d.state IN ({})", all.join(", "))),
        }
    }
}

// === impl Pick ===

impl Pick {
    /// The SQL condition on later deliveries of the event, if there is one.
    pub(super) fn sql(self) -> Option<String> {
        let later = match self {
            Pick::All => return None,
            Pick::Latest => String::new(),
            // Dead, resolved or discarded.
            Pick::LatestFailed => format!(" AND later.state >= {DEAD}"),
        };

        Some(format!(
            "NOT EXISTS (SELECT 1 FROM deliveries later WHERE later.event = d.event AND later.id > d.id{later})"
        ))
    }
}

/// As people read it.
pub(super) fn time_of_day(ms: i64) -> String {
    humantime::format_rfc3339_millis(from_ms(ms)).to_string()
}
