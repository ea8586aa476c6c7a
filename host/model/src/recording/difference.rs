//! One difference between a recorded run and another run.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::body::RecordedBody;

/// The most places of one body that are shown.
const PLACES_MAX: usize = 20;
/// Stands for all further places of a body, so that none is hidden by those before it.
const FURTHER: &str = "(further places)";
/// The most bytes of a value that a difference shows.
const SHOWN_BYTES_MAX: usize = 2 << 10;

/// What can differ between two runs, in the order of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The recorded run, or the other one, exceeds the limits of a recording: they were not
    /// compared.
    Truncated,
    /// The other run made a call that the recording has no answer to.
    UnansweredCall,
    /// The other run read something of `kv` that the recorded run did not read.
    UnrecordedRead,
    /// The outcome, its reason, or the pause that the handler asks for.
    Outcome,
    /// The reply.
    Reply,
    /// Outbound calls.
    Calls,
    /// Rows of tables.
    Rows,
    /// Changes of `kv`.
    Kv,
    /// Events for other hooks.
    Emitted,
    /// The duration, beyond the tolerance.
    Duration,
    /// The memory, beyond the tolerance.
    Memory,
}

/// One difference. Differences of many runs with the same `kind` and `place` belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// What differs.
    pub kind: DifferenceKind,
    /// Where, such as `status`, `POST https://api.example/ body/amount`. Positions in lists are
    /// `*`.
    pub place: String,
    /// What was recorded. Null: nothing.
    pub recorded: Value,
    /// What the other run did. Null: nothing.
    pub found: Value,
}

// === impl DifferenceKind ===

impl DifferenceKind {
    /// All kinds, in order.
    pub const ALL: [DifferenceKind; 11] = [
        DifferenceKind::Truncated,
        DifferenceKind::UnansweredCall,
        DifferenceKind::UnrecordedRead,
        DifferenceKind::Outcome,
        DifferenceKind::Reply,
        DifferenceKind::Calls,
        DifferenceKind::Rows,
        DifferenceKind::Kv,
        DifferenceKind::Emitted,
        DifferenceKind::Duration,
        DifferenceKind::Memory,
    ];

    /// The name in reports, in `--allow` and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            DifferenceKind::Truncated => "truncated",
            DifferenceKind::UnansweredCall => "unanswered_call",
            DifferenceKind::UnrecordedRead => "unrecorded_read",
            DifferenceKind::Outcome => "outcome",
            DifferenceKind::Reply => "reply",
            DifferenceKind::Calls => "calls",
            DifferenceKind::Rows => "rows",
            DifferenceKind::Kv => "kv",
            DifferenceKind::Emitted => "emitted",
            DifferenceKind::Duration => "duration",
            DifferenceKind::Memory => "memory",
        }
    }

    /// The kind with this name.
    pub fn of_word(word: &str) -> Option<DifferenceKind> {
        DifferenceKind::ALL
            .into_iter()
            .find(|kind| kind.word() == word)
    }

    /// Whether it is a question of the component without a recorded answer.
    pub fn is_question(self) -> bool {
        matches!(
            self,
            DifferenceKind::UnansweredCall | DifferenceKind::UnrecordedRead
        )
    }

    /// Whether it depends on the machine, so that it is reported and never counts.
    pub fn is_measured(self) -> bool {
        matches!(self, DifferenceKind::Duration | DifferenceKind::Memory)
    }
}

// === impl Difference ===

impl Difference {
    pub(super) fn new(
        kind: DifferenceKind,
        place: impl Into<String>,
        recorded: Value,
        found: Value,
    ) -> Difference {
        Difference {
            kind,
            place: place.into(),
            recorded: bounded(recorded),
            found: bounded(found),
        }
    }
}

/// The places at which two bodies differ. Of two JSON structures these are pointers.
pub(super) fn of_bodies(
    kind: DifferenceKind,
    place: &str,
    recorded: &RecordedBody,
    found: &RecordedBody,
) -> Vec<Difference> {
    if recorded == found {
        return Vec::new();
    }
    let (Some(old), Some(new)) = (recorded.structure(), found.structure()) else {
        return vec![Difference::new(
            kind,
            place,
            recorded.shown(),
            found.shown(),
        )];
    };

    let mut differences = of_values(kind, place, &old, &new);
    if differences.is_empty() {
        // The same JSON, spelled otherwise.
        let (old, new) = (recorded.text(), found.text());
        differences.push(Difference::new(kind, format!("{place} (form)"), old, new));
    }
    differences
}

/// The places at which two values differ, each once.
pub(super) fn of_values(
    kind: DifferenceKind,
    place: &str,
    recorded: &Value,
    found: &Value,
) -> Vec<Difference> {
    let mut places = Vec::new();
    add_places(kind, place, recorded, found, &mut places);
    if places.len() > PLACES_MAX {
        let (old, new) = (
            places[PLACES_MAX].recorded.clone(),
            places[PLACES_MAX].found.clone(),
        );
        places.truncate(PLACES_MAX);
        places.push(Difference::new(
            kind,
            format!("{place} {FURTHER}"),
            old,
            new,
        ));
    }
    places
}

/// Adds up to one place more than are shown.
fn add_places(
    kind: DifferenceKind,
    place: &str,
    recorded: &Value,
    found: &Value,
    differences: &mut Vec<Difference>,
) {
    if recorded == found || differences.len() > PLACES_MAX {
        return;
    }
    match (recorded, found) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let (value, other) = (old.get(key), new.get(key));
                let place = below(place, key);
                match (value, other) {
                    (Some(value), Some(other)) => {
                        add_places(kind, &place, value, other, differences);
                    }
                    (value, other) => {
                        let (value, other) = (shown_or_absent(value), shown_or_absent(other));
                        add_place(differences, Difference::new(kind, place, value, other));
                    }
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let place = below(place, "*");
            for (value, other) in old.iter().zip(new) {
                add_places(kind, &place, value, other, differences);
            }
        }
        _ => add_place(
            differences,
            Difference::new(kind, place, recorded.clone(), found.clone()),
        ),
    }
}

/// The elements of a list have the same place, of which the first is shown.
fn add_place(differences: &mut Vec<Difference>, new: Difference) {
    let is_known = differences.iter().any(|one| one.place == new.place);
    if !is_known && differences.len() <= PLACES_MAX {
        differences.push(new);
    }
}

/// A key may have the value null, so that none needs words of its own.
fn shown_or_absent(value: Option<&Value>) -> Value {
    value.cloned().unwrap_or_else(|| "(absent)".into())
}

/// The differences of two lists of headers, by name.
pub(super) fn of_headers(
    kind: DifferenceKind,
    place: &str,
    recorded: &[(String, String)],
    found: &[(String, String)],
) -> Vec<Difference> {
    let mut names: Vec<&str> = recorded
        .iter()
        .chain(found)
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();

    let differing = names.into_iter().filter_map(|name| {
        let (old, new) = (values(recorded, name), values(found, name));
        (old != new).then(|| Difference::new(kind, below(place, name), old, new))
    });
    differing.collect()
}

fn values(headers: &[(String, String)], name: &str) -> Value {
    let values: Vec<&str> = headers
        .iter()
        .filter(|(one, _)| one == name)
        .map(|(_, value)| value.as_str())
        .collect();
    if values.is_empty() {
        return Value::Null;
    }
    values.join(", ").into()
}

fn below(place: &str, key: &str) -> String {
    let key = key.replace('~', "~0").replace('/', "~1");
    if place.is_empty() {
        return key;
    }
    format!("{place}/{key}")
}

/// The value, or the beginning of its text if it is long.
fn bounded(value: Value) -> Value {
    let text = match &value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.len() <= SHOWN_BYTES_MAX {
        return value;
    }
    let cut = text.floor_char_boundary(SHOWN_BYTES_MAX);
    format!("{}… ({} bytes)", &text[..cut], text.len()).into()
}
