//! An attempt: what its handler logged, called and stored.

use serde_json::Value;

use super::row::{Time, outcome_tone};
use super::values::{clip, list};
use crate::text;

/// The most log lines, and the most calls, of one attempt.
const LINES_MAX: usize = 500;
pub(super) const CALLS_MAX: usize = 500;

pub(super) struct AttemptView {
    pub(super) title: String,
    pub(super) tone: &'static str,
    pub(super) reason: String,
    pub(super) started: Time,
    pub(super) duration: String,
    pub(super) memory: String,
    pub(super) component: String,
    pub(super) effects: String,
    pub(super) calls: Vec<CallView>,
    pub(super) log: Vec<(String, String)>,
    pub(super) log_note: String,
}

pub(super) struct CallView {
    pub(super) line: String,
    pub(super) result: String,
    pub(super) answer: String,
}

pub(super) fn attempt_view(attempt: &Value) -> AttemptView {
    let record = &attempt["record"];
    let outcome = attempt["outcome"].as_str().unwrap_or("unknown");
    let log = list(&record["log"]).iter().take(LINES_MAX).map(|line| {
        (
            text::line(line[0].as_str().unwrap_or("info"), 10),
            text::visible(&clip(line[1].as_str().unwrap_or_default())),
        )
    });
    let count = |name: &str| record[name].as_u64().unwrap_or(0);
    AttemptView {
        title: format!(
            "Delivery {}, attempt {}: {}",
            attempt["delivery"].as_i64().unwrap_or(0),
            attempt["number"].as_u64().unwrap_or(0),
            text::line(outcome, 40)
        ),
        tone: outcome_tone(outcome),
        reason: text::visible(attempt["reason"].as_str().unwrap_or_default()),
        started: Time::new(attempt["started_at"].as_str().unwrap_or_default()),
        duration: text::duration(attempt["duration_ms"].as_f64().unwrap_or(0.0)),
        memory: text::bytes(count("memory_bytes")),
        component: text::line(record["component"].as_str().unwrap_or("unknown"), 64),
        effects: match effects(record) {
            none if none.is_empty() => "none".to_owned(),
            some => some,
        },
        calls: list(&record["calls"])
            .iter()
            .take(CALLS_MAX)
            .map(call_view)
            .collect(),
        log: log.collect(),
        log_note: match record["log_truncated"].as_bool() {
            Some(true) => {
                "The handler wrote more than an attempt may: the rest was dropped.".to_owned()
            }
            _ => String::new(),
        },
    }
}

/// What an attempt stores if it succeeds; empty: nothing.
pub(super) fn effects(record: &Value) -> String {
    const EFFECTS: [(&str, &str, &str); 3] = [
        ("rows", "row", "rows"),
        ("kv_writes", "value", "values"),
        ("emitted", "emitted event", "emitted events"),
    ];
    let counted = EFFECTS.map(|(name, one, more)| (record[name].as_u64().unwrap_or(0), one, more));
    let shown: Vec<String> = counted
        .iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, one, more)| text::count(*count, one, more))
        .collect();
    shown.join(", ")
}

pub(super) fn call_view(call: &Value) -> CallView {
    let ms = text::duration(call["ms"].as_f64().unwrap_or(0.0));
    let result = match (call["status"].as_u64(), call["error"].as_str()) {
        (Some(status), _) => format!("{status} in {ms}"),
        (None, error) => format!(
            "{} after {ms}: {}",
            error.unwrap_or("failed"),
            call["reason"].as_str().unwrap_or("no reason is known")
        ),
    };
    CallView {
        line: text::line(
            &format!(
                "{} {}",
                call["method"].as_str().unwrap_or("?"),
                call["url"].as_str().unwrap_or("?")
            ),
            300,
        ),
        result: text::line(&result, 300),
        answer: text::visible(&clip(call["answer"].as_str().unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failed_calls_say_why() {
        let call = json!({ "method": "GET", "url": "https://x/\u{1b}", "ms": 3.0, "error": "denied", "reason": "not allowed" });
        let view = call_view(&call);
        assert_eq!(view.line, "GET https://x/\u{241b}");
        assert_eq!(view.result, "denied after 3 ms: not allowed");
    }
}
