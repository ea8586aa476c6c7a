//! Runs one event, and keeps everything that a case can compare.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use landfall_flow::Verdict;
use landfall_ledger::Refused;
use landfall_model::{
    Attempt, CallResult, Effects, Emission, Event, KvChange, KvWrite, LogLine, OutboundCall,
    Outcome, Quota, Reply, Row,
};
use serde_json::{Map, Value, json};

use crate::calls::{MadeCall, ScriptedCalls};
use crate::case::Case;
use crate::content::{Content, header_map};
use crate::error::OfflineError;
use crate::event::event;
use crate::hook::{OfflineEngine, OfflineHook, Outside};
use crate::pointer::Override;

/// The end of a run whose event is filtered.
pub(crate) const FILTERED: &str = "filtered";

/// The result of one attempt.
#[derive(Debug)]
pub struct Run {
    /// The event that was handled.
    pub event: Arc<Event>,
    /// Why the event does not run in a node, if so: a condition of `[filter]` that does not hold.
    pub filtered: Option<String>,
    /// How the attempt ended; done if the event is filtered.
    pub outcome: Outcome,
    /// The lines of the handler.
    pub log: Vec<LogLine>,
    /// Whether lines were dropped at the limit.
    pub is_log_truncated: bool,
    /// Calls that the case answered, or that found no answer. Empty if the network answered.
    pub calls: Vec<MadeCall>,
    /// Every call as the host records it, also those that it refused.
    pub recorded: Vec<OutboundCall>,
    /// Rows that a node would store.
    pub rows: Vec<Row>,
    /// Events that a node would queue.
    pub emitted: Vec<Emission>,
    /// Keys that a node would write, and their values; `None`: deleted.
    pub written: BTreeMap<String, Option<String>>,
    /// The stored values before the attempt.
    before: BTreeMap<String, String>,
    /// Effects were staged, and a node would not apply them.
    pub is_discarded: bool,
    /// From the start of the instance to the outcome.
    pub duration: Duration,
    /// The most linear memory in use at once, in bytes.
    pub memory_peak_bytes: usize,
}

/// Runs a case.
pub(crate) async fn run(
    engine: &OfflineEngine,
    hook: &OfflineHook,
    case: &Case,
    overrides: &[Override],
    network: Option<Outside>,
) -> Result<Run, OfflineError> {
    let event = Arc::new(event(case, hook, overrides)?);
    let calls = ScriptedCalls::new(case.answers.clone());
    if let Verdict::Filtered(why) = hook.flow.filter(&event) {
        let nothing = Attempt::of_host(Outcome::Done(None), Duration::ZERO);
        let mut run = Run::new(event, nothing, Vec::new(), case);
        run.filtered = Some(why);
        return Ok(run);
    }
    let outside = network.unwrap_or_else(|| Outside::Faked(calls.clone()));
    let handler = engine.handler(hook, case, outside).await?;

    let attempt = handler
        .run(event.clone(), case.attempt, hook.deadline())
        .await;
    let attempt = within_quota(attempt, &hook.spec.quota, &case.kv);
    Ok(Run::new(event, attempt, calls.made(), case))
}

/// The attempt with the outcome that a ledger gives it: effects above the quota of the hook are not
/// stored. Only the values of the case are there already.
fn within_quota(mut attempt: Attempt, quota: &Quota, stored: &BTreeMap<String, String>) -> Attempt {
    let writes = attempt.effects.writes.iter();
    let growth: i64 = writes.map(|write| growth(write, stored)).sum();
    let present: i64 = stored.iter().map(|(key, text)| size(key, text.len())).sum();
    let rows = attempt.effects.rows.iter();
    let rows: i64 = rows.map(|row| row.text.len() as i64).sum();

    if matches!(attempt.outcome, Outcome::Done(_))
        && let Some(Refused::OverQuota(why)) = Refused::over(quota, (growth, present), (rows, 0))
    {
        attempt.outcome = Outcome::OverLimit(why);
    }
    attempt
}

/// The bytes that a write adds. As in a ledger, only new values count.
fn growth(write: &KvWrite, stored: &BTreeMap<String, String>) -> i64 {
    let KvChange::Set(value, _) = &write.change else {
        return 0;
    };
    let before = stored.get(&write.key);
    let before = before.map_or(0, |text| size(&write.key, text.len()));
    size(&write.key, value.bytes.len()) - before
}

fn size(key: &str, value_bytes: usize) -> i64 {
    (key.len() + value_bytes) as i64
}

// === impl Run ===

impl Run {
    fn new(event: Arc<Event>, attempt: Attempt, calls: Vec<MadeCall>, case: &Case) -> Run {
        // As in a node, effects are applied only if the attempt is done.
        let is_done = matches!(attempt.outcome, Outcome::Done(_));
        let is_discarded = !is_done && !attempt.effects.is_empty();
        let effects = if is_done {
            attempt.effects
        } else {
            Effects::default()
        };

        let written = effects.writes.into_iter().map(|write| {
            let before = case.kv.get(&write.key);
            (write.key, value_after(before, write.change))
        });
        Run {
            event,
            filtered: None,
            outcome: attempt.outcome,
            log: attempt.log,
            is_log_truncated: attempt.log_truncated,
            calls,
            recorded: attempt.calls,
            rows: effects.rows,
            emitted: effects.emissions,
            written: written.collect(),
            before: case.kv.clone(),
            is_discarded,
            duration: attempt.duration,
            memory_peak_bytes: attempt.memory_peak_bytes,
        }
    }

    /// How the run ended, in one word: `filtered`, or the outcome of the attempt.
    pub fn word(&self) -> &'static str {
        if self.filtered.is_some() {
            FILTERED
        } else {
            self.outcome.word()
        }
    }

    /// Why it ended like this; empty if it is done.
    pub fn reason(&self) -> &str {
        self.filtered
            .as_deref()
            .unwrap_or_else(|| self.outcome.reason())
    }

    /// The value of a key after the attempt.
    pub(crate) fn value(&self, key: &str) -> Option<&String> {
        match self.written.get(key) {
            Some(value) => value.as_ref(),
            None => self.before.get(key),
        }
    }

    /// Each line with its level: `info: a push to main`.
    pub fn log_lines(&self) -> Vec<String> {
        let lines = self.log.iter();
        lines
            .map(|line| format!("{}: {}", line.level, line.text))
            .collect()
    }

    /// Calls that the host refused or that failed, with the reason.
    pub fn failed_calls(&self) -> impl Iterator<Item = String> {
        self.recorded.iter().filter_map(|call| match &call.result {
            CallResult::Failed { error, reason } => {
                Some(format!("{} {}: {error}: {reason}", call.method, call.url))
            }
            CallResult::Answered { .. } => None,
        })
    }

    /// The whole result as one object.
    pub fn to_json(&self) -> Value {
        let calls: Vec<Value> = if self.calls.is_empty() {
            self.recorded.iter().map(recorded_json).collect()
        } else {
            self.calls.iter().map(call_json).collect()
        };
        json!({
            "event": self.event.id.to_string(),
            "outcome": self.word(),
            "reason": self.reason(),
            "reply": self.outcome.reply().map(reply_json),
            "log": self.log_lines(),
            "log_truncated": self.is_log_truncated,
            "calls": calls,
            "failed_calls": self.failed_calls().collect::<Vec<_>>(),
            "rows": self.rows.iter().map(row_json).collect::<Vec<_>>(),
            "kv": self.written,
            "emitted": self.emitted.iter().map(emission_json).collect::<Vec<_>>(),
            "effects_discarded": self.is_discarded,
            "ms": milliseconds(self.duration),
            "memory_bytes": self.memory_peak_bytes,
        })
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

fn value_after(before: Option<&String>, change: KvChange) -> Option<String> {
    match change {
        KvChange::Delete => None,
        KvChange::Set(value, _) => Some(Content::new(value.bytes).into_text()),
        KvChange::Add(by, _) => {
            let number: i64 = before.and_then(|text| text.parse().ok()).unwrap_or(0);
            Some(number.saturating_add(by).to_string())
        }
    }
}

fn reply_json(reply: &Reply) -> Value {
    let mut shown = Map::new();
    shown.insert("status".into(), reply.status.into());
    shown.insert("headers".into(), header_map(&reply.headers).into());
    Content::new(reply.body.clone()).put_into(&mut shown);
    Value::Object(shown)
}

fn call_json(call: &MadeCall) -> Value {
    let mut shown = Map::new();
    shown.insert("method".into(), call.method.clone().into());
    shown.insert("url".into(), call.url.clone().into());
    let headers = call
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.clone())));
    shown.insert("headers".into(), Value::Object(headers.collect()));
    Content::new(call.body.clone()).put_into(&mut shown);
    Value::Object(shown)
}

fn recorded_json(call: &OutboundCall) -> Value {
    match &call.result {
        CallResult::Answered { status, bytes, .. } => {
            json!({ "method": call.method, "url": call.url, "status": status, "answer_bytes": bytes, "ms": milliseconds(call.duration) })
        }
        CallResult::Failed { error, reason } => {
            json!({ "method": call.method, "url": call.url, "error": error, "reason": reason, "ms": milliseconds(call.duration) })
        }
    }
}

fn row_json(row: &Row) -> Value {
    let content: Value =
        serde_json::from_str(&row.text).unwrap_or_else(|_| row.text.clone().into());
    json!({ "table": row.table, "row": content })
}

fn emission_json(emission: &Emission) -> Value {
    let mut shown = Map::new();
    shown.insert("hook".into(), emission.hook.to_string().into());
    if let Some(event_type) = &emission.event_type {
        shown.insert("event-type".into(), event_type.clone().into());
    }
    if let Some(key) = &emission.key {
        shown.insert("key".into(), key.clone().into());
    }
    shown.insert("headers".into(), header_map(&emission.headers).into());
    Content::new(emission.body.clone()).put_into(&mut shown);
    Value::Object(shown)
}
