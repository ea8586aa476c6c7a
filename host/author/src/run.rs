//! What one attempt did, as text that can be compared with that of another version.

use std::fmt::Write as _;

use serde_json::Value;
use similar::TextDiff;

use landfall_model::{Attempt, CallResult, Event, EventId, KvChange, KvValue, OutboundCall};

/// The most characters of a body that are shown.
const SHOWN_MAX: usize = 4000;

/// One attempt, for people.
#[derive(Debug, Clone)]
pub struct Run {
    /// The event.
    pub event: EventId,
    /// The number of the attempt.
    pub number: u32,
    /// `done`, `retry`, …
    pub outcome: &'static str,
    /// Why it failed, and what the handler wrote to its log.
    pub said: String,
    reason: String,
    ms: f64,
    /// Outcome, reply, calls and effects, a fact a line.
    facts: String,
}

// === impl Run ===

impl Run {
    /// What an attempt did.
    pub fn new(event: &Event, number: u32, attempt: &Attempt) -> Run {
        let log = attempt.log.iter().map(|line| line.text.as_str());
        let reason = attempt.outcome.reason().to_owned();
        let said = [reason.as_str()].into_iter().chain(log).collect::<Vec<_>>();
        Run {
            event: event.id,
            number,
            outcome: attempt.outcome.word(),
            said: said.join("\n"),
            ms: attempt.duration.as_secs_f64() * 1000.0,
            facts: facts(attempt),
            reason,
        }
    }

    /// One line: `done in 1.2 ms`.
    pub fn line(&self) -> String {
        let attempt = match self.number {
            1 => String::new(),
            number => format!(", attempt {number}"),
        };
        let reason = match self.reason.as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        format!("{} in {:.1} ms{attempt}{reason}", self.outcome, self.ms)
    }

    /// Reply, calls and effects.
    pub fn facts(&self) -> &str {
        &self.facts
    }
}

/// The lines that differ, with `-` and `+`. `None` if nothing does.
pub fn difference(before: &Run, after: &Run) -> Option<String> {
    let [old, new] = [before, after].map(|run| {
        let reason = match run.reason.as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        format!("{}{reason}\n{}", run.outcome, run.facts)
    });
    if old == new {
        return None;
    }

    let mut text = String::new();
    let diff = TextDiff::from_lines(&old, &new);
    for change in diff.iter_all_changes() {
        write!(text, "{} {change}", change.tag()).expect("a string takes text");
    }
    Some(text.trim_end().to_owned())
}

fn facts(attempt: &Attempt) -> String {
    let mut text = String::new();
    let mut line = |part: String| {
        text.push_str(&part);
        text.push('\n');
    };
    if let Some(reply) = attempt.outcome.reply() {
        line(format!("reply {}", reply.status));
        for (name, value) in &reply.headers {
            line(format!(
                "  {name}: {}",
                String::from_utf8_lossy(value.as_bytes())
            ));
        }
        if !reply.body.is_empty() {
            line(indented(&reply.body));
        }
    }

    // Calls that run at the same time end in any order.
    let mut calls: Vec<String> = attempt.calls.iter().map(call).collect();
    calls.sort();
    calls.into_iter().for_each(&mut line);
    let effects = &attempt.effects;
    for row in &effects.rows {
        line(format!("row in {}: {}", row.table, row.text));
    }
    for write in &effects.writes {
        let change = match &write.change {
            KvChange::Set(value, _) => format!("= {}", shown(value)),
            KvChange::Delete => "deleted".to_owned(),
            KvChange::Add(number, _) => format!("+ {number}"),
        };
        line(format!("value {} {change}", write.key));
    }
    for emission in &effects.emissions {
        line(format!("event for {}", emission.hook));
        line(indented(&emission.body));
    }
    text
}

fn call(call: &OutboundCall) -> String {
    let OutboundCall {
        method,
        url,
        sent_bytes,
        sent,
        result,
        ..
    } = call;
    let mut text = match result {
        CallResult::Answered { status, .. } => format!("call {method} {url}: {status}"),
        CallResult::Failed { error, reason } => format!("call {method} {url}: {error}: {reason}"),
    };
    if !sent.is_empty() {
        text = format!("{text}\n{}", indented(sent.as_bytes()));
    }
    // Of a long body only the beginning is recorded, and nothing of one that is no text.
    if sent.len() < *sent_bytes {
        text = format!("{text}\n  {sent_bytes} bytes");
    }
    text
}

fn shown(value: &KvValue) -> String {
    String::from_utf8_lossy(&value.bytes).into_owned()
}

/// JSON is laid out, so that a difference is a line.
fn indented(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(json) => format!("{json:#}"),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let beginning: String = text.chars().take(SHOWN_MAX).collect();
    let more = if beginning.len() < text.len() {
        "\n  …"
    } else {
        ""
    };
    let lines: Vec<String> = beginning.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n") + more
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_model::{Outcome, Reply};
    use std::time::{Duration, SystemTime};

    fn run(body: &'static str, calls: &[(&str, &str)]) -> Run {
        let event = Event {
            id: EventId::from_bytes([1; 16]),
            hook: "a".into(),
            received_at: SystemTime::UNIX_EPOCH,
            method: "POST".parse().unwrap(),
            path: "/a".into(),
            query: None,
            headers: Default::default(),
            body: Default::default(),
            attributes: Vec::new(),
        };
        let reply = Reply {
            status: 200,
            headers: Default::default(),
            body: body.into(),
        };
        let mut attempt = Attempt::of_host(Outcome::Done(Some(reply)), Duration::from_millis(2));
        attempt.calls = calls
            .iter()
            .map(|(url, sent)| OutboundCall {
                method: "POST".into(),
                url: url.to_string(),
                sent_bytes: sent.len(),
                sent: sent.to_string(),
                duration: Duration::ZERO,
                result: CallResult::Answered {
                    status: 204,
                    bytes: 0,
                    beginning: String::new(),
                },
            })
            .collect();
        Run::new(&event, 1, &attempt)
    }

    #[test]
    fn differences_name_reply_and_calls() {
        let before = run(
            "{\"a\":1,\"b\":2}",
            &[("https://a.example/", "{\"n\":1,\"same\":true}")],
        );
        assert_eq!(difference(&before, &before), None);
        let after = run(
            "{\"a\":1,\"b\":3}",
            &[
                ("https://a.example/", "{\"n\":2,\"same\":true}"),
                ("https://b.example/", ""),
            ],
        );
        let text = difference(&before, &after).unwrap();
        let changed: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
        assert_eq!(
            changed,
            [
                "-     \"b\": 2",
                "+     \"b\": 3",
                "-     \"n\": 1,",
                "+     \"n\": 2,",
                "+ call POST https://b.example/: 204"
            ]
        );
        assert_eq!(after.line(), "done in 2.0 ms");
    }
}
