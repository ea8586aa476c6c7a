//! The data of a ledger that the admin API and the command line show.

use std::time::Duration;

use serde::Serialize;

use super::state_column::{DEAD, DISCARDED, RESOLVED};
use landfall_model::clock::from_ms;
use landfall_model::stored_event::Corrupt;
use landfall_model::{DeliveryState, Event, EventId};

/// The most events that `floor_since` looks at.
pub(super) const SINCE_EVENTS_MAX: i64 = 50_000;
/// An id carries the time at which it was made. An emitted event gets its id during its attempt,
/// and counts as received when that ends.
const ID_LAG_MS: i64 = 2 * 3_600_000;

/// One delivery and its event, without the body.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// The number of the delivery. Lists are newest first; the next page begins before the last
    /// number of a page.
    pub delivery: i64,
    /// The id of the event.
    pub event: String,
    /// The name of the hook.
    pub hook: String,
    /// When the event was received, in RFC 3339.
    pub received_at: String,
    /// The state of the delivery.
    pub state: DeliveryState,
    /// Started attempts.
    pub attempt: u32,
    /// Those of them that deferred the event. They do not count against `[retry] attempts`.
    pub deferrals: u32,
    /// The time until the next attempt, if the delivery is pending; until its group is closed, if it is
    /// waiting.
    pub due_in_ms: Option<u64>,
    /// Why the delivery is dead, or was retried.
    pub reason: Option<String>,
    /// Whether the delivery is a replay.
    pub replayed: bool,
    /// The delivery that this one repeats.
    pub replay_of: Option<i64>,
    /// The later delivery that handled the event, if this one is resolved.
    pub resolved_by: Option<i64>,
    /// The operator's reason, if the delivery was discarded.
    pub discarded: Option<String>,
    /// What the delivery is held for, while its state is `waiting`: `debounce` or `batch`.
    pub waits_for: Option<&'static str>,
    /// The event of the same debounced group that runs instead, if this one is superseded.
    pub superseded_by: Option<String>,
    /// The first event of the batch of the delivery. Its delivery has the attempts of the batch.
    pub batch: Option<String>,
    /// The number of events of that batch.
    pub batch_size: Option<i64>,
    /// The size of the body.
    pub body_bytes: i64,
    /// Duplicates of the event, which did not run.
    pub duplicates: i64,
    /// Other events with the same identity and another body.
    pub conflicts: i64,
    /// When an operator erased what the event contained, in RFC 3339.
    pub erased_at: Option<String>,
}

/// The duplicates and conflicts of an event, summarized.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Repeats {
    /// Duplicates of the event, which did not run.
    pub duplicates: i64,
    /// When the last duplicate was received, in RFC 3339.
    pub last_duplicate_at: Option<String>,
    /// The id that the last duplicate was given, as log lines name it.
    pub last_duplicate: Option<String>,
    /// Other events with the same identity and another body, which ran.
    pub conflicts: i64,
    /// The id of the last conflicting event.
    pub last_conflict: Option<String>,
}

/// The way of a request to the ledger, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoredTiming {
    /// How long the check of the sender took, in microseconds.
    pub verify_us: Option<i64>,
    /// The microseconds from the end of the request until the row of the event was written, just
    /// before its transaction was committed.
    pub stored_us: Option<i64>,
}

/// Selects deliveries.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Deliveries of this hook.
    pub hook: Option<String>,
    /// Deliveries of this event.
    pub event: Option<EventId>,
    /// Delivery numbers; empty: any.
    pub deliveries: Vec<i64>,
    /// States; empty: any.
    pub states: Vec<DeliveryState>,
    /// Which deliveries of the same event.
    pub pick: Pick,
    /// Deliveries with smaller numbers.
    pub before: Option<i64>,
    /// Deliveries with greater numbers, in ascending order.
    pub after: Option<i64>,
    /// Deliveries with this or a greater number: limits how far a list searches.
    pub floor: Option<i64>,
    /// Events received at this time or later, in ms since 1970.
    pub since_ms: Option<i64>,
    /// Events received before this time, in ms since 1970.
    pub until_ms: Option<i64>,
    /// The largest number of results.
    pub limit: usize,
}

/// Selects deliveries of one event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pick {
    /// All deliveries.
    #[default]
    All,
    /// The latest delivery, if it matches the filter.
    Latest,
    /// The latest dead, resolved or discarded delivery.
    LatestFailed,
}

/// One recorded attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownAttempt {
    /// The number of the delivery.
    pub delivery: i64,
    /// The number of the attempt, from 1.
    pub number: u32,
    /// In RFC 3339.
    pub started_at: String,
    /// In milliseconds.
    pub duration_ms: f64,
    /// `done`, `retry`, `trap` …
    pub outcome: String,
    /// A sentence for the operator.
    pub reason: String,
    /// The HTTP status of the reply.
    pub status: Option<u16>,
    /// Log lines, memory, calls.
    pub record: serde_json::Value,
}

/// The parts of deliveries that a search reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    /// Read the events.
    pub event: bool,
    /// Read the attempts.
    pub attempts: bool,
}

/// The parts of one delivery.
#[derive(Debug, Default)]
pub struct Content {
    /// `None` if it was not requested, its body has been pruned, or it is damaged.
    pub event: Option<Event>,
    /// Outcome and duration of each attempt.
    pub attempts: Vec<(String, Duration)>,
}

/// One event with its deliveries and attempts.
#[derive(Debug)]
pub struct Shown {
    /// The event. `None` if its body has been pruned.
    pub event: Option<Result<Event, Corrupt>>,
    /// The event is encrypted with a key that this node does not have. `event` is an error then.
    pub lacks_key: bool,
    /// Newest first.
    pub deliveries: Vec<Listed>,
    /// In ascending order.
    pub attempts: Vec<ShownAttempt>,
    /// The duplicates and conflicts of the event.
    pub repeats: Repeats,
    /// How long the steps until it was stored took.
    pub timing: StoredTiming,
}

/// What a purge removed, or would remove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Purged {
    /// Deliveries, with their attempts and the events that no other delivery needs.
    pub deliveries: i64,
    /// Identities of deliveries.
    pub identities: i64,
    /// Rows of all tables.
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
    /// Ascending: the next page begins after the last id of a page.
    pub id: i64,
    /// The event whose handler stored it.
    pub event_id: String,
    /// When that event was received, in RFC 3339.
    pub received_at: String,
    /// The JSON that the handler stored.
    pub row: serde_json::Value,
    /// The checksum of the row does not match, or it is encrypted and cannot be read, which `row`
    /// says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

/// One key-value pair of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredValue {
    /// The key.
    pub key: String,
    /// Whether the handler stored text. Otherwise the value is bytes.
    pub is_text: bool,
    /// The length of the value.
    pub bytes: i64,
    /// The first bytes of the value, as many as were asked for.
    pub beginning: Vec<u8>,
    /// The time until the value expires. `None`: it does not expire.
    pub expires_in_ms: Option<u64>,
    /// The value is encrypted, and cannot be read. `beginning` is empty.
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
            // Some states have an index of their own.
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
            Pick::LatestFailed => {
                format!(" AND later.state IN ({DEAD}, {RESOLVED}, {DISCARDED})")
            }
        };

        Some(format!(
            "NOT EXISTS (SELECT 1 FROM deliveries later WHERE later.event = d.event AND later.id > d.id{later})"
        ))
    }
}

/// No event that was received at this time or later has a smaller id.
pub(super) fn first_id_since(since_ms: i64) -> EventId {
    let ms = since_ms.saturating_sub(ID_LAG_MS).max(0) as u64;
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    EventId::from_bytes(bytes)
}

/// A time in RFC 3339.
pub(super) fn time_of_day(ms: i64) -> String {
    humantime::format_rfc3339_millis(from_ms(ms)).to_string()
}
