//! An attempt with what the host recorded of it: log, outbound calls, effects.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use landfall_ledger::ShownAttempt;

/// One recorded attempt.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Attempt {
    /// The number of the delivery.
    delivery: i64,
    /// The number of the attempt, from 1.
    number: u32,
    /// In RFC 3339.
    started_at: String,
    /// In milliseconds.
    duration_ms: f64,
    /// `done`, `retry`, `trap` …
    outcome: String,
    /// A sentence for the operator.
    reason: String,
    /// The HTTP status of the reply.
    status: Option<u16>,
    /// What the host recorded. Empty if nothing was run.
    pub(crate) record: AttemptRecord,
}

/// What the host recorded of an attempt. An attempt that did not run has none of these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AttemptRecord {
    /// The lines of the handler: level and text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Vec<String>>>)]
    log: Option<Vec<(String, String)>>,
    /// Whether lines were dropped at the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_truncated: Option<bool>,
    /// The most linear memory in use at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    /// The number of outbound calls. At the limit, not all of them are in `calls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    http_calls: Option<u64>,
    /// The outbound calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<Vec<Call>>,
    /// Staged rows. They are stored only if the outcome is `done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    /// Staged writes of key-value pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    kv_writes: Option<u64>,
    /// Staged events for other hooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    emitted: Option<u64>,
    /// The stored ones: the id of the event and its hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Vec<String>>>)]
    pub(crate) emitted_events: Option<Vec<(String, String)>>,
    /// SHA-256 of the component.
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<String>,
}

/// An outbound call, as the host made it. Either `status` or `error` is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Call {
    /// The method that the handler wrote.
    method: String,
    /// The URL without query, user and password.
    url: String,
    /// From the handler's request to the last byte of the response, in milliseconds.
    ms: f64,
    /// The status of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// The length of the response's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_bytes: Option<u64>,
    /// The beginning of the response's body without secrets, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// `denied`, `unreachable`, `timeout` …: why there is no response.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The rule that denied the call, or the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// How many later calls reached the same limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeated: Option<u64>,
}

// === impl Attempt ===

impl From<ShownAttempt> for Attempt {
    fn from(shown: ShownAttempt) -> Attempt {
        Attempt {
            delivery: shown.delivery,
            number: shown.number,
            started_at: shown.started_at,
            duration_ms: shown.duration_ms,
            outcome: shown.outcome,
            reason: shown.reason,
            status: shown.status,
            record: serde_json::from_value(shown.record).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_are_shown_as_stored() {
        let record = json!({
            "log": [["info", "hi"]],
            "log_truncated": false,
            "memory_bytes": 65536,
            "http_calls": 2,
            "calls": [
                { "method": "GET", "url": "https://a.example/", "ms": 1.5, "status": 200, "answer_bytes": 2, "answer": "ok" },
                { "method": "GET", "url": "https://b.example/", "ms": 0.0, "error": "denied", "reason": "no grant" },
                { "method": "GET", "url": "https://c.example/", "ms": 0.0, "error": "limit", "reason": "64 calls", "repeated": 935 },
            ],
            "rows": 1,
            "kv_writes": 0,
            "emitted": 1,
            "emitted_events": [["01890000-0000-7000-8000-000000000000", "alerts"]],
            "component": "ab",
        });
        let read: AttemptRecord = serde_json::from_value(record.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), record);
        assert_eq!(
            serde_json::to_value(AttemptRecord::default()).unwrap(),
            json!({})
        );
    }
}
